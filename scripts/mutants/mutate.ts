/**
 * Mutants of a source file: small changes of its text that a test should notice. One mutant replaces one stretch of the text:
 *
 *   compare   < and <=, > and >=, === and !==         boundary, and equality turned round
 *   arith     + and -, * and /, % to *                && and ||, a ?? b to b
 *   negate    the condition of an if, a ternary, a loop; !x to x; true and false
 *   remove    `if (…) return`, throw, continue or break as a whole; an element of a list
 *   constant  a number one more, or one less
 *   swap      the first two arguments of a call; a and b of `x ? a : b`
 *   call      every and some, min and max, floor and ceil
 */
import { Script } from "node:vm";
import ts from "typescript";

export interface Mutant {
  readonly kind: string;
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

const BINARY: Readonly<Record<string, readonly [kind: string, ...others: string[]]>> = {
  "<": ["compare", "<="],
  "<=": ["compare", "<"],
  ">": ["compare", ">="],
  ">=": ["compare", ">"],
  "===": ["compare", "!=="],
  "!==": ["compare", "==="],
  "+": ["arith", "-"],
  "-": ["arith", "+"],
  "*": ["arith", "/"],
  "/": ["arith", "*"],
  "%": ["arith", "*"],
  "&&": ["arith", "||"],
  "||": ["arith", "&&"],
};
const CALLS: ReadonlyMap<string, string> = new Map(
  Object.entries({ every: "some", some: "every", min: "max", max: "min", floor: "ceil", ceil: "floor" }),
);

const leaves = (statement: ts.Statement): boolean => {
  const inner = ts.isBlock(statement) && statement.statements.length === 1 ? statement.statements[0] : statement;
  return ts.isReturnStatement(inner) || ts.isThrowStatement(inner) || ts.isContinueStatement(inner) || ts.isBreakStatement(inner);
};

/** Every mutant of a file, in the order of the text. */
export function mutantsOf(text: string): Mutant[] {
  const file = ts.createSourceFile("x.ts", text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);
  const found: Mutant[] = [];
  const add = (kind: string, node: ts.Node, replacement: string) =>
    found.push({ kind, start: node.getStart(file), end: node.getEnd(), replacement });
  const of = (node: ts.Node) => node.getText(file);
  const negate = (condition: ts.Expression) => add("negate", condition, `!(${of(condition)})`);

  const binary = (node: ts.BinaryExpression) => {
    const [kind, ...others] = BINARY[of(node.operatorToken)] ?? [];
    if (kind !== undefined && ts.isStringLiteralLike(node.left) === false)
      for (const other of others) add(kind, node.operatorToken, other);
    if (node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken) add("arith", node, of(node.right));
  };
  const call = (node: ts.CallExpression) => {
    const [first, second] = node.arguments;
    if (
      second !== undefined &&
      of(first) !== of(second) &&
      [first, second].every((a) => !ts.isFunctionLike(a) && !ts.isStringLiteralLike(a))
    )
      found.push({ kind: "swap", start: first.getStart(file), end: second.getEnd(), replacement: `${of(second)}, ${of(first)}` });
    if (ts.isPropertyAccessExpression(node.expression)) {
      const other = CALLS.get(node.expression.name.text);
      if (other !== undefined) add("call", node.expression.name, other);
    }
  };
  const number = (node: ts.NumericLiteral) => {
    const value = Number(node.text);
    add("constant", node, String(value + 1));
    if (value !== 0) add("constant", node, String(value - 1));
  };

  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isImportDeclaration(node))
      return;
    if (ts.isBinaryExpression(node)) binary(node);
    else if (ts.isCallExpression(node)) call(node);
    else if (ts.isNumericLiteral(node)) number(node);
    else if (node.kind === ts.SyntaxKind.TrueKeyword) add("negate", node, "false");
    else if (node.kind === ts.SyntaxKind.FalseKeyword) add("negate", node, "true");
    else if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken)
      add("negate", node, of(node.operand));
    else if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.MinusToken) add("arith", node, of(node.operand));
    else if (ts.isConditionalExpression(node)) negate(node.condition);
    else if (ts.isWhileStatement(node)) negate(node.expression);
    else if (ts.isIfStatement(node)) {
      negate(node.expression);
      if (node.elseStatement === undefined && leaves(node.thenStatement)) add("remove", node, ";");
    } else if (ts.isArrayLiteralExpression(node) && node.elements.length > 1 && !ts.isBinaryExpression(node.parent)) {
      node.elements.forEach((element, i) => {
        if (ts.isSpreadElement(element) || ts.isOmittedExpression(element)) return;
        const [from, to] =
          i === 0 ? [element.getStart(file), node.elements[1].getStart(file)] : [node.elements[i - 1].getEnd(), element.getEnd()];
        found.push({ kind: "remove", start: from, end: to, replacement: "" });
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found.sort((a, b) => a.start - b.start || a.end - b.end);
}

/** The text with a mutant in it. */
export const mutated = (text: string, { start, end, replacement }: Mutant): string =>
  text.slice(0, start) + replacement + text.slice(end);

/** A mutant in a line: where it is and what becomes of what. */
export function described(text: string, { start, end, replacement }: Mutant): string {
  const line = text.slice(0, start).split("\n").length;
  const short = (s: string) => {
    const flat = s.replace(/\s+/g, " ").trim();
    return flat.length > 60 ? `${flat.slice(0, 57)}...` : flat;
  };
  const [from, to] = [text.lastIndexOf("\n", start - 1) + 1, text.indexOf("\n", end)];
  const code = short(text.slice(from, to < 0 ? undefined : to));
  return `line ${line}: ${short(text.slice(start, end))} -> ${replacement === "" ? "nothing" : short(replacement)}    in: ${code}`;
}

/** Whether a text is a program at all: `a ?? b || c` is none. */
export function parses(text: string): boolean {
  const { outputText, diagnostics = [] } = ts.transpileModule(text, {
    reportDiagnostics: true,
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS },
  });
  try {
    return diagnostics.length === 0 && new Script(outputText) !== undefined;
  } catch {
    return false;
  }
}
