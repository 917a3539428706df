/** The report of many models as it is read back; docs/report.md explains the fields. */
import { readFileSync } from "node:fs";
import { fileError } from "../node/files.ts";
import type { FoldLine } from "../report/document.ts";
import { withNumbers } from "../report/revive.ts";

export type Line = FoldLine;

const isLine = (value: unknown): value is Line =>
  typeof value === "object" &&
  value !== null &&
  "file" in value &&
  "status" in value &&
  "version" in value &&
  value.version === 1;

/** A line that was read back, or undefined when the value is none. */
export const lineOf = (value: unknown): Line | undefined => (isLine(value) ? withNumbers(value) : undefined);

/** The lines of a report, the last of each file. A line cut off by a kill is left out. */
export function readLines(path: string): Map<string, Line> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw fileError(path, error);
  }
  const lines = new Map<string, Line>();
  for (const written of text.split("\n")) {
    let value: unknown;
    try {
      value = JSON.parse(written);
    } catch {
      continue;
    }
    const line = lineOf(value);
    if (line !== undefined) lines.set(line.file, line);
  }
  return lines;
}
