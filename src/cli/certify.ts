/** bnfold certify: does a certificate hold, that no rewrite of its kind keeps fewer nodes of a model? */
import { readFileSync } from "node:fs";
import { checkSteps } from "../certify/check.ts";
import { type Certificate, parseCertificate } from "../certify/index.ts";
import { BnfoldError } from "../diag/error.ts";
import { paced } from "../diag/steps.ts";
import { labelled, wrap } from "../report/layout.ts";
import { toJson, tool } from "../report/report.ts";
import { listed, plural, printable } from "../report/words.ts";
import { type Command, flag, type Values } from "./command.ts";
import { hashed, openInput } from "./files.ts";
import { print, stdoutStyle, stdoutWidth } from "./terminal.ts";

function read(file: string): Certificate {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const hint = "bnfold fold --certificate writes one.";
    throw new BnfoldError("format", `not a certificate: ${error.message}`, { file }, hint);
  }
  try {
    return parseCertificate(value);
  } catch (error) {
    throw error instanceof BnfoldError ? error.at({ file }) : error;
  }
}

const CONFLICTS = { gain: "gains", sign: "signs", shift: "shifts", name: "names" } as const;

/** What the sets show, in words. */
function shown({ sets }: Certificate): string {
  const alone = sets.filter(({ nodes }) => nodes.length === 1).length;
  const others = sets.filter(({ nodes }) => nodes.length > 1).map(({ nodes, least }) => `${least} of ${nodes.length}`);
  const conflicts = sets.flatMap((set) => set.conflicts);
  const systems = Object.entries(CONFLICTS).flatMap(([system, words]) => {
    const n = conflicts.filter((conflict) => conflict.system === system).length;
    return n === 0 ? [] : [`${n} of ${words}`];
  });
  return [
    ...(alone === 0 ? [] : [`${plural(alone, "node")} that cannot go whatever the others do`]),
    ...(others.length === 0 ? [] : [`${listed(others)} that contradict each other`]),
    ...(conflicts.length === 0
      ? ["nothing has to stay"]
      : [`${plural(conflicts.length, "contradiction")} added up (${listed(systems)})`]),
  ].join("; ");
}

async function run(values: Values): Promise<number> {
  const [file, json] = [String(values.model), String(values.certificate)];
  const certificate = read(json);
  const input = openInput(file);
  try {
    const facts = await hashed(input.facts);
    const checked = await paced(checkSteps(input.model, certificate, { assumeConstant: flag(values, "assume-constant") }));
    const foreign = certificate.sha256 !== null && certificate.sha256 !== facts.sha256;
    const problems = [
      ...(foreign ? [`it was made for a file whose SHA-256 is ${certificate.sha256}; this one's is ${facts.sha256}`] : []),
      ...checked.problems,
    ];
    const holds = problems.length === 0;
    const { candidates, kept, assumptions } = certificate;
    const counts = { candidates, kept: kept.length, least: checked.least };
    if (flag(values, "json")) {
      print(toJson({ version: 1, tool: tool(), model: facts, certificate: json, holds, ...counts, problems, assumptions }));
      return holds ? 0 : 1;
    }
    const width = stdoutWidth() ?? Number.POSITIVE_INFINITY;
    const head = holds
      ? `The certificate holds: of ${plural(candidates, "node")} that could go, at least ${checked.least} stay, whatever rewrite of this kind is made.`
      : "The certificate does not hold.";
    const minimal = kept.length === checked.least ? ": no rewrite of this kind keeps fewer" : "";
    const rows: [string, string][] = [
      ["kept", `${kept.length} by the fold it was made with${minimal}`],
      ["shown", shown(certificate)],
    ];
    print(
      [
        ...wrap(head, width).map((line) => stdoutStyle(holds ? "green" : "red", stdoutStyle("bold", line))),
        "",
        ...(holds ? rows.flatMap(([label, text]) => labelled(label, text, width)) : []),
        ...(holds ? ["", "It takes for granted:"] : []),
        ...(holds ? assumptions : problems).flatMap((line) => wrap(`- ${printable(line)}`, width, "  ")),
      ].join("\n"),
    );
    return holds ? 0 : 1;
  } finally {
    input.close();
  }
}

export const command: Command = {
  positionals: {
    model: { type: "string", describe: "The model, as it was before the fold", demandOption: true },
    certificate: { type: "string", describe: "What fold --certificate wrote", demandOption: true },
  },
  options: {
    "assume-constant": {
      type: "boolean",
      describe: "Take initializers that are also graph inputs as constants, as the fold did",
    },
    json: { type: "boolean", describe: "Print JSON" },
  },
  examples: [
    ["bnfold fold model.onnx -o folded.onnx --certificate model.json", "fold, and say why no fewer nodes can stay"],
    ["bnfold certify model.onnx model.json", "check that, without the solver"],
  ],
  run,
};
