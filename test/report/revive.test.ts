/** Reports are read for ever: those of test/report/old were written by 0.1.0 before this reader was. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Document } from "../../src/report/document.ts";
import { formatted } from "../../src/report/formats/index.ts";
import { reviveReport, withNumbers } from "../../src/report/revive.ts";
import { hostileDocuments } from "./formats/hostile.ts";

const folder = new URL("old/", import.meta.url);
const old = readdirSync(folder).map((file) => [file, readFileSync(new URL(file, folder), "utf8")] as const);
const FORMATS = ["json", "jsonl", "markdown", "csv", "sarif", "junit", "github", "html"] as const;

describe("reviveReport", () => {
  it.each(old)("opens %s, in every form", (file, text) => {
    const document = reviveReport(text, file);
    expect(document.kind).toBe(
      { "fold.json": "fold", "verify.json": "verify", "inspect.json": "inspect", "many.jsonl": "folds" }[file],
    );
    for (const format of FORMATS) expect(formatted(document, format, { code: 0 }).length).toBeGreaterThan(40);
  });

  it.each(hostileDocuments.map((document) => [document.kind, document] as const))(
    "gives back what was written of %s",
    (_kind, document) => {
      const clean = JSON.parse(JSON.stringify(document)) as Document;
      const again = reviveReport(formatted(document, "json", { code: 0 }), "r.json");

      expect(JSON.parse(JSON.stringify(again))).toEqual(clean);
      if ("lines" in document)
        expect(reviveReport(formatted(document, "jsonl", { code: 0 }), "r.jsonl")).toMatchObject({
          lines: { length: document.lines.length },
        });
    },
  );

  it("turns the words for numbers back where a number stands, and leaves names alone", () => {
    expect(withNumbers({ ratio: "Infinity", name: "NaN", scaleRange: ["-Infinity", 1], deep: { rms: "NaN" } })).toEqual({
      ratio: Number.POSITIVE_INFINITY,
      name: "NaN",
      scaleRange: [Number.NEGATIVE_INFINITY, 1],
      deep: { rms: Number.NaN },
    });
  });

  it("leaves out a line a kill has cut off", () => {
    const [, text] = old.find(([file]) => file === "many.jsonl") as (typeof old)[number];
    const document = reviveReport(text.slice(0, -40), "many.jsonl");
    expect("lines" in document && document.lines).toHaveLength(3);
  });

  it.each([
    ["[1]", /not a report/],
    ["{}", /not a report of bnfold/],
    ['{"version": 2, "folds": []}', /version 2/],
    ['{"version": 1, "tool": {}}', /no kind that is shown/],
    ["", /no report in it/],
    ["{\nnot json\n{}", /line 1 is not JSON/],
    ['{"version": 1, "file": "a", "status": "done"}\n{"version": 1}', /no line of a report/],
  ])("refuses %j", (text, message) => expect(() => reviveReport(text, "r.json")).toThrow(message));
});
