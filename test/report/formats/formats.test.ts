import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import type { Document } from "../../../src/report/document.ts";
import { findingsOf } from "../../../src/report/findings.ts";
import { type Format, formatted } from "../../../src/report/formats/index.ts";
import { uriOf } from "../../../src/report/formats/sarif.ts";
import { parseXml, type XmlElement } from "../../helpers/xml.ts";
import { expectValid } from "../schema.ts";
import { HOSTILE, hostileDocuments, plainReport } from "./hostile.ts";

const fold: Document = { kind: "fold", report: plainReport };
const write = (document: Document, format: Format, failOn: readonly string[] = []) =>
  formatted(document, format, { code: failOn.length > 0 ? 5 : 0, failOn: new Set(failOn) });

/** What SARIF 2.1.0 (OASIS standard, sections 3.13 to 3.52) asks of the parts that are written here. */
const text = {
  type: "object",
  required: ["text"],
  properties: { text: { type: "string", minLength: 1 } },
  additionalProperties: false,
};
const SARIF = {
  type: "object",
  required: ["version", "runs"],
  properties: {
    $schema: { type: "string", format: "uri" },
    version: { const: "2.1.0" },
    runs: {
      type: "array",
      items: {
        type: "object",
        required: ["tool", "results"],
        properties: {
          tool: {
            type: "object",
            required: ["driver"],
            properties: {
              driver: {
                type: "object",
                required: ["name"],
                properties: {
                  name: { type: "string" },
                  version: { type: "string" },
                  semanticVersion: { type: "string" },
                  rules: {
                    type: "array",
                    uniqueItems: true,
                    items: {
                      type: "object",
                      required: ["id"],
                      properties: {
                        id: { type: "string" },
                        name: { type: "string" },
                        shortDescription: text,
                        fullDescription: text,
                        help: text,
                      },
                      additionalProperties: false,
                    },
                  },
                },
                additionalProperties: false,
              },
            },
            additionalProperties: false,
          },
          invocations: {
            type: "array",
            items: {
              type: "object",
              required: ["executionSuccessful"],
              properties: { executionSuccessful: { type: "boolean" }, exitCode: { type: "integer" } },
              additionalProperties: false,
            },
          },
          columnKind: { enum: ["utf16CodeUnits", "unicodeCodePoints"] },
          results: {
            type: "array",
            items: {
              type: "object",
              required: ["message", "ruleId", "ruleIndex", "level", "locations"],
              properties: {
                ruleId: { type: "string" },
                ruleIndex: { type: "integer", minimum: 0 },
                level: { enum: ["none", "note", "warning", "error"] },
                message: text,
                locations: {
                  type: "array",
                  items: {
                    type: "object",
                    properties: {
                      physicalLocation: {
                        type: "object",
                        required: ["artifactLocation"],
                        properties: {
                          artifactLocation: {
                            type: "object",
                            properties: { uri: { type: "string", format: "uri-reference" } },
                            additionalProperties: false,
                          },
                          region: {
                            type: "object",
                            properties: { startLine: { type: "integer", minimum: 1 } },
                            additionalProperties: false,
                          },
                        },
                        additionalProperties: false,
                      },
                      logicalLocations: {
                        type: "array",
                        uniqueItems: true,
                        items: {
                          type: "object",
                          properties: {
                            name: { type: "string" },
                            fullyQualifiedName: { type: "string" },
                            kind: { type: "string" },
                          },
                          additionalProperties: false,
                        },
                      },
                    },
                    additionalProperties: false,
                  },
                },
                partialFingerprints: { type: "object", additionalProperties: { type: "string" } },
                properties: { type: "object" },
              },
              additionalProperties: false,
            },
          },
        },
        additionalProperties: false,
      },
    },
  },
  additionalProperties: false,
};
const ajv = new Ajv2020({ strict: false, allErrors: true });
// RFC 3986: the characters a reference may have, "%" only before two hexadecimal digits.
ajv.addFormat("uri-reference", /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*$/);
ajv.addFormat("uri", /^https:\/\/\S+$/);
const isSarif = ajv.compile(SARIF);

interface Sarif {
  runs: [{ tool: { driver: { rules: { id: string }[] } }; results: { ruleId: string; ruleIndex: number; level: string }[] }];
}

const all = (root: XmlElement): XmlElement[] => [root, ...root.children.flatMap(all)];

describe("SARIF", () => {
  it.each([fold, ...hostileDocuments].map((document) => [document.kind, document] as const))(
    "of %s is valid",
    (_kind, document) => {
      const log = JSON.parse(write(document, "sarif")) as Sarif;
      isSarif(log);
      expect(isSarif.errors ?? []).toEqual([]);
      const [{ tool, results }] = log.runs;
      expect(results).toHaveLength(findingsOf(document).length);
      for (const { ruleId, ruleIndex } of results) expect(tool.driver.rules[ruleIndex].id).toBe(ruleId);
    },
  );

  it("marks what fails the run as an error", () => {
    const levels = (failOn: string[]) =>
      (JSON.parse(write(fold, "sarif", failOn)) as Sarif).runs[0].results.map(({ level }) => level);
    expect(levels([])).toEqual(["warning"]);
    expect(levels(["other-reader"])).toEqual(["error"]);
    expect(levels(["training-mode"])).toEqual(["warning"]);
  });

  it("gives a node the same mark wherever its file lies, and another to another node", () => {
    const marks = (file: string, name: string) => {
      const [kept] = plainReport.kept;
      const report = { ...plainReport, input: { ...plainReport.input, file }, kept: [{ ...kept, node: { ...kept.node, name } }] };
      return /"primaryLocationLineHash": "(\w+)"/.exec(write({ kind: "fold", report }, "sarif"))?.[1];
    };
    expect(marks("a.onnx", "n")).toBe(marks("b/c.onnx", "n"));
    expect(marks("a.onnx", "n")).not.toBe(marks("a.onnx", "m"));
  });

  it.each([
    ["models/a b.onnx", "models/a%20b.onnx"],
    ["./a%#?.onnx", "a%25%23%3F.onnx"],
    ["/abs/ä.onnx", "file:///abs/%C3%A4.onnx"],
    ["..\\up\\m.onnx", "../up/m.onnx"],
    ["C:\\models\\m.onnx", "file:///C:/models/m.onnx"],
  ])("writes the path %s as %s", (path, uri) => expect(uriOf(path)).toBe(uri));
});

describe("JUnit", () => {
  it.each([fold, ...hostileDocuments].map((document) => [document.kind, document] as const))(
    "of %s is XML that counts right",
    (_kind, document) => {
      const root = parseXml(write(document, "junit"));
      expect(root.name).toBe("testsuites");
      for (const suite of [root, ...root.children]) {
        const cases = all(suite).filter(({ name }) => name === "testcase");
        const holding = (what: string) => cases.filter(({ children }) => children.some(({ name }) => name === what)).length;
        expect([suite.attributes.get("tests"), suite.attributes.get("failures"), suite.attributes.get("skipped")]).toEqual(
          [cases.length, holding("failure"), holding("skipped")].map(String),
        );
      }
      expect(
        all(root)
          .map(({ name }) => name)
          .filter((name) => !["testsuites", "testsuite", "testcase", "failure", "skipped"].includes(name)),
      ).toEqual([]);
    },
  );

  it("fails what --fail-on names, and skips what merely stays", () => {
    expect(write(fold, "junit")).toContain('failures="0"');
    expect(write(fold, "junit", ["other-reader"])).toContain('<failure type="other-reader"');
  });
});

describe("GitHub's commands", () => {
  it.each(hostileDocuments.map((document) => [document.kind, document] as const))(
    "of %s are one line each, and no more than there are findings",
    (_kind, document) => {
      const lines = write(document, "github").split(/\r|\n/);
      const commands = lines.filter((line) => line.startsWith("::"));
      expect(commands).toHaveLength(findingsOf(document).length);
      for (const command of commands) expect(command).toMatch(/^::(error|warning|notice) file=[^:,]*,title=[^:,]*::/);
    },
  );

  it("says the answer last", () => {
    const lines = write(fold, "github").split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^::warning file=model\.onnx,title=bnfold other-reader%3A .*::.*"bn3".*%0A/);
    expect(lines[1]).toMatch(/^Equivalent\. 1 of 2 BatchNormalization folded/);
  });
});

describe("Markdown", () => {
  it.each(hostileDocuments.map((document) => [document.kind, document] as const))(
    "of %s lets no name out of its place",
    (_kind, document) => {
      const said = write(document, "markdown");
      // Outside of code spans nothing is left that formats, links, mentions or makes an element.
      const outside = said.replace(/(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g, "").replace(/\\[\s\S]/g, "");
      expect(outside).not.toMatch(/<|\]\(|@|https?:\/\/|www\./);
      for (const row of said.split("\n").filter((one) => one.startsWith("|"))) {
        const cells = row.replaceAll("\\|", "").split("|").length;
        const head = said
          .split("\n")
          .filter((one) => one.startsWith("|") && one.replaceAll("\\|", "").split("|").length === cells);
        expect(head.length).toBeGreaterThan(2);
      }
    },
  );
});

describe("CSV", () => {
  /** RFC 4180. */
  const rows = (csv: string): string[][] =>
    csv
      .split("\r\n")
      .map((row) => [...row.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,"]*))/g)].map(([, q, p]) => q?.replaceAll('""', '"') ?? p));

  it.each(hostileDocuments.map((document) => [document.kind, document] as const))(
    "of %s has rows of one length, and no formula",
    (_kind, document) => {
      const table = rows(write(document, "csv"));
      expect(new Set(table.map(({ length }) => length)).size).toBe(1);
      expect(table.flat().filter((cell) => /^[=@]/.test(cell))).toEqual([]);
    },
  );

  it("has a row for each node", () => {
    const [head, ...body] = rows(write(fold, "csv"));
    expect(head.slice(0, 4)).toEqual(["decision", "kind", "operator", "node"]);
    expect(body.map(([decision, , , node]) => [decision, node])).toEqual([
      ["folded", "bn1"],
      ["folded", "Mul_out"],
      ["kept", "bn3"],
    ]);
  });
});

describe("JSON", () => {
  it("is the report, or the lines of many with what was done to them", () => {
    expectValid("fold", JSON.parse(write(fold, "json")));
    for (const document of hostileDocuments) {
      const value = JSON.parse(write(document, "json"));
      expectValid("lines" in document ? "many" : document.kind, value);
      if ("lines" in document) expect(value.lines).toHaveLength(document.lines.length);
      expect(write(document, "jsonl").split("\n")).toHaveLength("lines" in document ? document.lines.length : 1);
    }
    expect(write(hostileDocuments[0], "json")).toContain(JSON.stringify(HOSTILE));
  });
});
