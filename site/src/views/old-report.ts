/** Reports that bnfold wrote on a command line, opened as they would look here. */
import { BnfoldError } from "../../../src/diag/error.ts";
import { answerOf } from "../../../src/report/answer.ts";
import { markdown } from "../../../src/report/formats/markdown.ts";
import type { Report } from "../../../src/report/report.ts";
import { reviveReport } from "../../../src/report/revive.ts";
import { printable } from "../../../src/report/words.ts";
import { copyButton, h } from "../dom.ts";
import type { Given } from "../files.ts";
import { failureView } from "./progress.ts";
import { banner, details, summary } from "./report.ts";

function foldReport(report: Report): HTMLElement {
  const by = `A report of bnfold ${printable(report.tool.version)}, of ${printable(report.input.file)}`;
  return h("article", { class: "result" }, h("p", { class: "file" }, by), banner(report), summary(report), details(report));
}

export async function oldReports(given: readonly Given[]): Promise<HTMLElement[]> {
  const out: HTMLElement[] = [];
  for (const { path, file } of given) {
    try {
      const document = reviveReport(await file.text(), path);
      if (document.kind === "fold") out.push(foldReport(document.report));
      else if (document.kind === "folds")
        out.push(...document.lines.flatMap(({ report }) => (report === undefined ? [] : [foldReport(report as Report)])));
      else {
        const text = markdown(document);
        out.push(
          h(
            "article",
            { class: "result" },
            h("h2", { class: "answer not-checked", tabindex: "-1" }, printable(answerOf(document))),
          ),
          h(
            "p",
            {},
            copyButton("Copy as Markdown", () => text),
          ),
          h("pre", { class: "command", tabindex: 0 }, h("code", {}, text)),
        );
      }
    } catch (error) {
      if (!(error instanceof BnfoldError)) throw error;
      const { kind, message, place, hint } = error;
      out.push(failureView({ kind, message, place, stage: "reading", ...(hint === undefined ? {} : { hint }) }, ""));
    }
  }
  return out;
}
