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
    if (isLine(value)) lines.set(value.file, withNumbers(value));
  }
  return lines;
}
