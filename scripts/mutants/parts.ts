/**
 * Parts of a source file that run or do not: bodies of functions, branches of `if` and `?:`, right sides of `&&`, `||` and `??`.
 * `traced` is the text with a note at the start of each part, `globalThis.__ran[n] = 1`. A mutant is seen by those tests only that
 * run the innermost part around it.
 */
import ts from "typescript";

export interface Part {
  readonly start: number;
  readonly end: number;
}

interface Found extends Part {
  /** Where the note goes, what stands around it. */
  readonly inside: number;
  readonly wrap: "block" | "statement" | "expression";
}

const SHORT = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
  ts.SyntaxKind.AmpersandAmpersandEqualsToken,
  ts.SyntaxKind.BarBarEqualsToken,
  ts.SyntaxKind.QuestionQuestionEqualsToken,
]);

function foundIn(text: string): Found[] {
  const file = ts.createSourceFile("x.ts", text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);
  const found: Found[] = [];
  const add = (node: ts.Node, wrap: Found["wrap"]) => {
    const start = node.getStart(file);
    found.push({ start, end: node.getEnd(), inside: wrap === "block" ? start + 1 : start, wrap });
  };
  const statement = (node: ts.Statement) => add(node, ts.isBlock(node) ? "block" : "statement");
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined)
      add(node.body as ts.Node, ts.isBlock(node.body as ts.Node) ? "block" : "expression");
    else if (ts.isIfStatement(node)) {
      statement(node.thenStatement);
      if (node.elseStatement !== undefined) statement(node.elseStatement);
    } else if (ts.isConditionalExpression(node)) {
      add(node.whenTrue, "expression");
      add(node.whenFalse, "expression");
    } else if (ts.isBinaryExpression(node) && SHORT.has(node.operatorToken.kind)) add(node.right, "expression");
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** The parts of a file, always in the same order. */
export const partsOf = (text: string): Part[] => foundIn(text);

/** The innermost part around a stretch of the text, or undefined: what stands outside runs when the file is loaded. */
export function partAround(parts: readonly Part[], { start, end }: Part): number | undefined {
  let best: number | undefined;
  parts.forEach((part, i) => {
    if (part.start > start || part.end < end) return;
    // A part that is the stretch itself is what runs; of nested ones the smaller.
    if (best === undefined || part.end - part.start < parts[best].end - parts[best].start) best = i;
  });
  return best;
}

/** The text with a note in every part; the first part notes itself as number `first`. */
export function traced(text: string, first: number): string {
  const inserts: { at: number; order: number; text: string }[] = [];
  foundIn(text).forEach(({ start, end, inside, wrap }, i) => {
    const note = `globalThis.__ran[${first + i}]=1`;
    const [open, close] = wrap === "block" ? [`${note};`, ""] : wrap === "statement" ? [`{${note};`, "}"] : [`(${note},`, ")"];
    // Outer parts open first and close last.
    inserts.push({ at: inside, order: start - end, text: open });
    if (close !== "") inserts.push({ at: end, order: end - start - text.length, text: close });
  });
  inserts.sort((a, b) => a.at - b.at || a.order - b.order);
  let [out, at] = ["", 0];
  for (const insert of inserts) {
    out += text.slice(at, insert.at) + insert.text;
    at = insert.at;
  }
  return out + text.slice(at);
}
