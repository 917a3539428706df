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

/** Words in lines of at most `width` characters, `indent` before each but the first; a longer word has a line of its own. */
export function wrap(text: string, width: number, indent = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const next = line === "" ? word : `${line} ${word}`;
    if (next.length > width && line.trim() !== "") {
      lines.push(line);
      line = indent + word;
    } else line = next;
  }
  return [...lines, line];
}

export type Align = "l" | "r";

/** Rows under a head, in aligned columns; where they are too wide, the widest column of words is shortened. */
export function columns(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly Align[],
  width = Number.POSITIVE_INFINITY,
): string[] {
  const all = [head, ...rows].map((row) => row.map(printable));
  const widths = head.map((_, i) => all.reduce((most, row) => Math.max(most, row[i].length), 0));
  for (;;) {
    const total = widths.reduce((sum, w) => sum + w, GAP.length * (widths.length - 1));
    const widest = widths.reduce((best, w, i) => (align[i] === "l" && w > (widths[best] ?? 0) ? i : best), -1);
    if (total <= width || widest < 0 || widths[widest] <= LEAST) break;
    widths[widest] = Math.max(LEAST, widths[widest] - (total - width));
  }
  return all.map((row) =>
    row
      .map((cell, i) => {
        const text = shorten(cell, widths[i]);
        return align[i] === "r" ? text.padStart(widths[i]) : text.padEnd(widths[i]);
      })
      .join(GAP)
      .trimEnd(),
  );
}

/** `label` in a narrow column, what is said of it beside it, wrapped to `width`. */
export function labelled(label: string, text: string, width: number, column = 9): string[] {
  const indent = "  ";
  const room = Math.max(24, width - indent.length - column);
  return wrap(text, room).map((line, i) => `${indent}${(i === 0 ? label : "").padEnd(column)}${line}`);
}
