/** Many models, looked at one after the other: a plan each, nothing is run. */
import { join } from "node:path";
import { BnfoldError, ERROR_KINDS } from "../diag/error.ts";
import type { InspectLine } from "../report/document.ts";
import { summary } from "../report/many.ts";
import { tool } from "../report/report.ts";
import { findModels, isMany } from "./batch-files.ts";
import { flag, type Values } from "./command.ts";
import { say, wantedOf, wantsHashes, writeReports } from "./formats.ts";
import type { Inspected } from "./inspect.ts";
import type { Inspection } from "./inspect-text.ts";
import { patternsMeanSomething } from "./plan-options.ts";
import { Progress } from "./progress.ts";
import { explain, stdoutWidth } from "./terminal.ts";

/** The files that names, folders and patterns stand for, each once. */
function filesOf(places: readonly string[]): string[] {
  const files = places.flatMap((place) => {
    if (!isMany(place)) return [place];
    const { base, files: found } = findModels(place, undefined);
    return found.map((file) => (base === "." ? file : join(base, file)));
  });
  if (files.length === 0) throw new BnfoldError("file", "there is no model", { file: places[0] }, "Models end in .onnx.");
  return [...new Set(files)];
}

/** Looks at one of them. */
type Look = (values: Values, file: string, hash: boolean) => Promise<Inspected>;

async function look(inspectOne: Look, values: Values, file: string, hash: boolean): Promise<InspectLine> {
  const base = { version: 1, tool: tool(), file } as const;
  try {
    const { report, code } = await inspectOne(values, file, hash);
    return { ...base, status: "inspected", code, report };
  } catch (error) {
    const known = explain(error);
    if (known === undefined) throw error;
    const { kind, message, hint } = known;
    return { ...base, status: "failed", code: known.exitCode, error: { kind, message, ...(hint === undefined ? {} : { hint }) } };
  }
}

/** The code of many: some could not be read; or, as the options say, one keeps what it may not. */
export const exitOfLooks = (lines: readonly InspectLine[]): 0 | 5 | 6 =>
  lines.some(({ status }) => status === "failed") ? 6 : lines.some(({ code }) => code === 5) ? 5 : 0;

export async function inspectMany(values: Values, places: readonly string[], inspectOne: Look): Promise<number> {
  const files = filesOf(places);
  const wanted = wantedOf(values, files);
  const progress = new Progress();
  progress.begin("reading");
  const lines: InspectLine[] = [];
  for (const file of files) {
    lines.push(await look(inspectOne, values, file, wantsHashes(wanted)));
    progress.step(lines.length, files.length, file);
  }
  progress.end();
  const seen = lines.flatMap(({ report }) => (report === undefined ? [] : [report as Inspection]));
  const nodes = seen.flatMap((one) => [...one.batchNormalizations, ...one.kept].map(({ node }) => node));
  const meant = seen.some(({ affine }) => affine.folded > 0) || patternsMeanSomething(values, nodes);
  const code = meant ? exitOfLooks(lines) : ERROR_KINDS.usage;
  const document = { kind: "inspects", lines } as const;
  await writeReports(document, wanted, code);
  const verbose = flag(values, "verbose");
  if (!flag(values, "quiet") || wanted.format !== "text")
    say(document, wanted, code, () => summary(document, { width: stdoutWidth(), verbose }));
  return code;
}
