/** Text fitted to the width of where it is shown: words wrapped, names shortened in the middle, columns aligned. */
import { printable } from "./words.ts";

/** Columns are this far apart. */
const GAP = "  ";
/** A column is not made narrower than this. */
const LEAST = 8;

/** The text in at most `most` characters, its middle left out: both ends of a name tell it from its neighbours. */
export function shorten(text: string, most: number): string {
  if (text.length <= most) return text;
  if (most <= 3) return text.slice(0, most);
  const kept = most - 3;
  const tail = Math.ceil(kept / 2);
  return `${text.slice(0, kept - tail)}...${text.slice(text.length - tail)}`;
}

/** A quoted name as long as a line is shortened; paths and commands are left whole, to be copied. */
const fitted = (word: string, room: number): string => (word.startsWith('"') ? shorten(word, Math.max(LEAST, room)) : word);

/**
 * Words in lines of at most `width` characters, `indent` before each but the first, which keeps the spaces it begins with; a longer
 * word has a line of its own.
 */
export function wrap(text: string, width: number, indent = ""): string[] {
  const lines: string[] = [];
  const [start] = /^ */.exec(text) as RegExpExecArray;
  let line = start;
  for (const long of text.slice(start.length).split(" ")) {
    const word = fitted(long, width - indent.length);
    const next = line.trim() === "" ? line + word : `${line} ${word}`;
    if (next.length > width && line.trim() !== "") {
      lines.push(line);
      line = indent + word;
    } else line = next;
  }
  return [...lines, line];
}

export type Align = "l" | "r";

/** The widest columns of words made narrower, each as far as the next one, until the row fits or none can give way. */
function narrowed(widths: readonly number[], align: readonly Align[], width: number): number[] {
  const out = [...widths];
  const words = out.flatMap((_, i) => (align[i] === "l" ? [i] : []));
  for (;;) {
    const excess = rowWidth(out) - width;
    const [widest, next] = words.toSorted((i, j) => out[j] - out[i]);
    if (excess <= 0 || widest === undefined || out[widest] <= LEAST) return out;
    const floor = Math.max(LEAST, Math.min(out[next] ?? LEAST, out[widest] - 1));
    out[widest] = Math.max(floor, out[widest] - excess);
  }
}

const rowWidth = (widths: readonly number[]): number => widths.reduce((sum, w) => sum + w, GAP.length * (widths.length - 1));

const widthsOf = (rows: readonly (readonly string[])[], n: number): number[] =>
  Array.from({ length: n }, (_, i) => rows.reduce((most, row) => Math.max(most, row[i].length), 0));

/** Rows in columns as wide as they are told. */
const aligned = (rows: readonly (readonly string[])[], widths: readonly number[], align: readonly Align[]): string[] =>
  rows.map((row) =>
    row
      .map((cell, i) => {
        const text = shorten(cell, widths[i]);
        return align[i] === "r" ? text.padStart(widths[i]) : text.padEnd(widths[i]);
      })
      .join(GAP)
      .trimEnd(),
  );

/** Each row below the one before, a line for each cell: where a screen is too narrow for columns. */
function stacked(head: readonly string[], rows: readonly (readonly string[])[], width: number): string[] {
  const label = Math.max(...head.slice(1).map((name) => name.length));
  return rows.flatMap(([first, ...rest]) => [
    shorten(first, width),
    ...rest.flatMap((cell, i) =>
      cell === ""
        ? []
        : [`${GAP}${head[i + 1].padEnd(label)}${GAP}${shorten(cell, Math.max(LEAST, width - label - 4))}`.trimEnd()],
    ),
  ]);
}

/**
 * Rows under a head, in aligned columns. Where they are too wide, words of the head go below each other, then columns of words are
 * shortened; where that does not do either, cells stand below each other.
 */
export function columns(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly Align[],
  width = Number.POSITIVE_INFINITY,
): string[] {
  const body = rows.map((row) => row.map(printable));
  const wide = widthsOf([head, ...body], head.length);
  if (rowWidth(wide) <= width) return aligned([head, ...body], wide, align);
  const words = head.map((name) => " ".repeat(Math.max(...name.split(" ").map((word) => word.length))));
  const widths = narrowed(widthsOf([...body, words], head.length), align, width);
  if (rowWidth(widths) > width) return stacked(head, body, width);
  const heads = head.map((name, i) => wrap(name, widths[i]));
  const height = Math.max(...heads.map(({ length }) => length));
  const lines = Array.from({ length: height }, (_, k) => heads.map((parts) => parts[k - height + parts.length] ?? ""));
  return aligned([...lines, ...body], widths, align);
}

/** `label` in a narrow column, what is said of it beside it, wrapped to `width`. */
export function labelled(label: string, text: string, width: number, column = 9): string[] {
  const indent = "  ";
  const room = Math.max(24, width - indent.length - column);
  return wrap(text, room).map((line, i) => `${indent}${(i === 0 ? label : "").padEnd(column)}${line}`);
}
