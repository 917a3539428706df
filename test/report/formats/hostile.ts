/** Documents whose every name tries to get out of where it is put. */
import type { Document } from "../../../src/report/document.ts";
import { type Report, report } from "../../../src/report/report.ts";
import { parts } from "../sample.ts";

/** Ends elements, attributes, comments, sections, cells, lines and code spans; formats, links, mentions, commands, computes. */
export const HOSTILE = [
  `"><script>alert(1)</script>`,
  "]]></failure></testcase>",
  "' onload='alert(1)",
  "--><!-- &amp; &bogus; %0A::error::x",
  "\n::error file=a::b\r\n| cell | cell |",
  "`code` ``more`` **bold** [link](javascript:alert(1)) ![x](http://evil.example/x.png)",
  "@everyone www.evil.example https://evil.example",
  '=HYPERLINK("http://evil.example")',
  "\u001b[31m\u0000\u202e\ud800\uffff\u2028",
  "NaN",
  "__proto__",
].join(" ");

const renamed = <T>(value: T, key = ""): T => {
  if (typeof value === "string")
    return (
      ["name", "output", "file", "value", "message", "reason", "tensor", "from", "to"].includes(key) ? HOSTILE : value
    ) as T;
  if (Array.isArray(value)) return value.map((one) => renamed(one, key)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, renamed(inner, name)])) as T;
};

export const plainReport: Report = report(parts);
const spoiled = renamed(plainReport);
export const hostileReport: Report = {
  ...spoiled,
  tool: plainReport.tool,
  input: { ...spoiled.input, producer: { name: HOSTILE, version: HOSTILE } },
};

const line = { version: 1, tool: plainReport.tool, file: HOSTILE } as const;
const broken = { kind: "format", message: HOSTILE, hint: HOSTILE };

export const hostileDocuments: readonly Document[] = [
  { kind: "fold", report: hostileReport },
  {
    kind: "verify",
    report: {
      ...{ version: 1, tool: plainReport.tool, a: hostileReport.input, b: hostileReport.input, verifyMs: 5 },
      verdict: renamed({
        outcome: "different",
        summary: "x",
        proof: {
          outcome: "different",
          identicalNodes: 1,
          regions: [
            {
              outcome: "different",
              nodes: ["n"],
              value: "v",
              worstHalfUlps: Number.POSITIVE_INFINITY,
              coefficients: 4,
              reason: "r",
            },
          ],
        },
      } as const),
    },
  },
  {
    kind: "folds",
    lines: [
      { ...line, status: "done", code: 5, content: null, settings: "", seconds: 1, worker: 1, report: hostileReport },
      { ...line, status: "failed", code: 3, content: null, settings: "", seconds: 1, worker: 1, error: broken },
    ],
  },
  {
    kind: "verifies",
    lines: [
      { ...line, status: "missing", code: 1, seconds: 0, missing: "second" },
      { ...line, status: "failed", code: 3, seconds: 0, error: broken },
    ],
  },
  { kind: "inspects", lines: [{ ...line, status: "failed", code: 3, error: broken }] },
];
