/** A document in the format that is asked for; a report of its own file by its extension. */
import { answerOf } from "../answer.ts";
import type { Document } from "../document.ts";
import { findingsOf, type Strictness } from "../findings.ts";
import { htmlPage } from "../html/page.ts";
import { toJson, tool } from "../report.ts";
import { csv } from "./csv.ts";
import { github } from "./github.ts";
import { junit } from "./junit.ts";
import { markdown } from "./markdown.ts";
import { sarif } from "./sarif.ts";

/** Extension of a report's file → its format. */
export const EXTENSIONS = {
  ".json": "json",
  ".jsonl": "jsonl",
  ".md": "markdown",
  ".csv": "csv",
  ".sarif": "sarif",
  ".xml": "junit",
  ".html": "html",
} as const;

export type Format = (typeof EXTENSIONS)[keyof typeof EXTENSIONS] | "github";

export interface FormatOptions extends Strictness {
  /** Exit code the command ends with. */
  readonly code: number;
}

/** What JSON has no number for, as in other reports. */
const finite = (_key: string, v: unknown): unknown => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v);

const oneLine = (value: object): string => JSON.stringify(value, finite);

/** The text of a document, without a line break at its end. */
export function formatted(document: Document, format: Format, options: FormatOptions): string {
  switch (format) {
    case "json":
      return toJson(
        "lines" in document ? { version: 1, tool: tool(), kind: document.kind, lines: document.lines } : document.report,
      );
    case "jsonl":
      return "lines" in document ? document.lines.map(oneLine).join("\n") : oneLine(document.report);
    case "markdown":
      return markdown(document, options);
    case "html":
      return htmlPage(document);
    case "csv":
      return csv(document);
    case "sarif":
      return sarif(findingsOf(document, options), options.code);
    case "junit":
      return junit(document, options);
    case "github":
      return github(findingsOf(document, options), answerOf(document));
  }
}
