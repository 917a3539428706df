/** Markdown tables, so that they survive being pasted into a thread. */
import { markdownTable } from "markdown-table";
import { printable } from "./words.ts";

const cell = (text: string) => printable(text).replaceAll("|", "\\|");

export function table(head: readonly string[], rows: readonly (readonly string[])[], align: readonly ("l" | "r")[]): string {
  return markdownTable(
    [head, ...rows].map((row) => row.map(cell)),
    { align: [...align] },
  );
}
