/** JUnit's XML, as build servers read it: a suite for each model; what fails the run is a failure, what merely stays is skipped. */
import type { Document } from "../document.ts";
import { markup } from "../escape.ts";
import { type Finding, findingsOf, type Strictness, textOf } from "../findings.ts";

interface Case {
  readonly name: string;
  readonly seconds?: number;
  readonly findings: readonly Finding[];
}

interface Suite {
  readonly name: string;
  readonly cases: readonly Case[];
}

/** Documents of one model each, with the file they are about. */
function parts(document: Document): { readonly file: string; readonly part: Document; readonly seconds?: number }[] {
  switch (document.kind) {
    case "fold":
      return [{ file: document.report.input.file, part: document }];
    case "diff":
      return [{ file: document.report.b.file, part: document, seconds: document.report.diffMs / 1000 }];
    case "verify":
      return [{ file: document.report.b.file, part: document, seconds: document.report.verifyMs / 1000 }];
    case "inspect":
      return [{ file: document.report.model.file, part: document }];
    case "folds":
      return document.lines.map((line) => ({ file: line.file, part: { kind: "folds", lines: [line] }, seconds: line.seconds }));
    case "verifies":
      return document.lines.map((line) => ({
        file: line.file,
        part: { kind: "verifies", lines: [line] },
        seconds: line.seconds,
      }));
    case "inspects":
      return document.lines.map((line) => ({ file: line.file, part: { kind: "inspects", lines: [line] } }));
  }
}

const WORK = {
  diff: "compared",
  fold: "folded",
  folds: "folded",
  verify: "equivalent",
  verifies: "equivalent",
  inspect: "read",
  inspects: "read",
};

function suites(document: Document, strictness: Strictness): Suite[] {
  return parts(document).map(({ file, part, seconds }) => {
    const found = findingsOf(part, strictness);
    const whole = found.filter(({ node }) => node === undefined);
    const nodes = found.filter(({ node }) => node !== undefined);
    const cases = nodes.map(
      (one): Case => ({ name: `${one.rule}: ${one.node?.opType} ${one.node?.name || one.node?.output}`, findings: [one] }),
    );
    return { name: file, cases: [{ name: WORK[document.kind], seconds, findings: whole }, ...cases] };
  });
}

const isFailure = ({ findings }: Case): boolean => findings.some(({ level }) => level === "error");
const isSkipped = (one: Case): boolean => one.findings.length > 0 && !isFailure(one);

function element(suite: string, one: Case): string {
  const head = `    <testcase classname="${markup(suite)}" name="${markup(one.name)}" time="${(one.seconds ?? 0).toFixed(3)}"`;
  if (one.findings.length === 0) return `${head}/>`;
  const [first] = one.findings;
  const text = one.findings.map((finding) => textOf(finding, "\n")).join("\n");
  const said = text.split("\n").map(markup).join("\n");
  const inner = isFailure(one)
    ? `      <failure type="${markup(first.rule)}" message="${markup(first.message)}">${said}</failure>`
    : `      <skipped message="${markup(`[${first.rule}] ${first.message}`)}"/>`;
  return `${head}>\n${inner}\n    </testcase>`;
}

export function junit(document: Document, strictness: Strictness = {}): string {
  const all = suites(document, strictness);
  const counts = (cases: readonly Case[]) =>
    `tests="${cases.length}" failures="${cases.filter(isFailure).length}" errors="0" skipped="${cases.filter(isSkipped).length}" ` +
    `time="${cases.reduce((n, { seconds = 0 }) => n + seconds, 0).toFixed(3)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="bnfold" ${counts(all.flatMap(({ cases }) => cases))}>`,
    ...all.flatMap(({ name, cases }) => [
      `  <testsuite name="${markup(name)}" ${counts(cases)}>`,
      ...cases.map((one) => element(name, one)),
      "  </testsuite>",
    ]),
    "</testsuites>",
  ].join("\n");
}
