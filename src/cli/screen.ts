/** What a command that has no report shows: tables and sentences fitted to the terminal, as wide as they are elsewhere. */
import { type Align, columns, wrap } from "../report/layout.ts";
import { stdoutWidth } from "./terminal.ts";

const width = (): number => stdoutWidth() ?? Number.POSITIVE_INFINITY;

/** A table, set in by two blanks. */
export const grid = (head: readonly string[], rows: readonly (readonly string[])[], align: readonly Align[]): string[] =>
  columns(head, rows, align, width() - 2).map((line) => `  ${line}`);

/** A sentence; what does not fit goes on below, `indent` further in. */
export const said = (text: string, indent = ""): string[] => wrap(text, width(), indent);

/** An entry of a list. */
export const item = (text: string): string[] => said(`- ${text}`, "  ");
