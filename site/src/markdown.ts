/** A report as Markdown to paste into a thread: the command line's, and the command that makes the same. */
import { code } from "../../src/report/escape.ts";
import { markdown } from "../../src/report/formats/markdown.ts";
import type { Report } from "../../src/report/report.ts";

export const reportMarkdown = (report: Report, command: string): string =>
  `${markdown({ kind: "fold", report })}\n\nbnfold ${report.tool.version}: ${code(command)}\n`;
