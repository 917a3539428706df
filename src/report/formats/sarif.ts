/** SARIF 2.1.0 (OASIS, 2020): findings for code scanning. A model is binary: a finding names its node as a logical location. */
import { Sha256 } from "../../onnx/sha256.ts";
import { wellFormed } from "../escape.ts";
import { type Finding, ruleOf, textOf } from "../findings.ts";
import { VERSION } from "../version.ts";
import { nodeLabel, printable } from "../words.ts";

const SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/** A path as a URI reference: relative where it is, with a scheme where it is absolute. */
export function uriOf(path: string): string {
  const parts = path
    .replaceAll("\\", "/")
    .replace(/^\.\//, "")
    .split("/")
    .map((part) => encodeURIComponent(wellFormed(part)));
  if (/^[A-Za-z]:$/.test(path.slice(0, 2))) return `file:///${path.slice(0, 2)}/${parts.slice(1).join("/")}`;
  return path.startsWith("/") ? `file://${parts.join("/")}` : parts.join("/");
}

/** The same finding of the same node keeps its mark from run to run, wherever the file lies. */
function markOf({ rule, node, value }: Finding): string {
  const of = node === undefined ? (value ?? "") : `${node.scope}\n${node.name || node.output}`;
  return new Sha256()
    .update(new TextEncoder().encode(`${rule}\n${of}`))
    .hex()
    .slice(0, 32);
}

function resultOf(finding: Finding, index: number): object {
  const { rule, level, file, node, value } = finding;
  const logical =
    node !== undefined
      ? [
          {
            name: printable(node.name || node.output),
            fullyQualifiedName: printable(`${node.scope}${node.scope === "" ? "" : "/"}${node.name || node.output}`),
            kind: "function",
          },
        ]
      : value === undefined
        ? undefined
        : [{ name: printable(value), kind: "variable" }];
  return {
    ruleId: rule,
    ruleIndex: index,
    level,
    message: { text: printable(textOf(finding)) },
    locations: [
      {
        // Viewers ask for a line; a model has one.
        physicalLocation: { artifactLocation: { uri: uriOf(file) }, region: { startLine: 1 } },
        ...(logical === undefined ? {} : { logicalLocations: logical }),
      },
    ],
    partialFingerprints: { primaryLocationLineHash: markOf(finding) },
    ...(node === undefined ? {} : { properties: { operator: node.opType, label: nodeLabel(node) } }),
  };
}

/** One run with every finding; `code` is the exit code the command ends with. */
export function sarif(findings: readonly Finding[], code: number): string {
  const rules = [...new Set(findings.map(({ rule }) => rule))].sort();
  const log = {
    $schema: SCHEMA,
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "bnfold",
            version: VERSION,
            semanticVersion: VERSION,
            rules: rules.map((id) => {
              const { title, advice } = ruleOf(id);
              const text = `${title}. ${advice}`.trim();
              return { id, name: id, shortDescription: { text: `${title}.` }, fullDescription: { text }, help: { text } };
            }),
          },
        },
        invocations: [{ executionSuccessful: code === 0 || code === 1 || code === 5, exitCode: code }],
        columnKind: "utf16CodeUnits",
        results: findings.map((finding) => resultOf(finding, rules.indexOf(finding.rule))),
      },
    ],
  };
  return JSON.stringify(log, undefined, 2);
}
