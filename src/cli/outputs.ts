/** Options and words that commands which change what a model computes have in common. */
import type { Options } from "yargs";
import type { ModelFacts, OutputFacts } from "../report/report.ts";
import { sizeLine, unusedLines } from "../report/text.ts";
import { brief, listed, printable } from "../report/words.ts";
import type { OutputChange } from "../train/index.ts";
import { grid, said } from "./screen.ts";
import { externalOption, mkdirOption } from "./target.ts";

export const outputOptions: Readonly<Record<string, Options>> = {
  output: { alias: "o", requiresArg: true, type: "string", describe: "File to write" },
  "in-place": { type: "boolean", describe: "Replace the model itself" },
  "dry-run": { type: "boolean", describe: "Do everything, but keep nothing" },
  mkdir: mkdirOption,
  external: externalOption,
};

/** How the outputs moved, one row each. */
export function changeTable(changes: readonly OutputChange[]): string[] {
  const share = ({ rms, scale }: OutputChange) => (scale > 0 ? `${brief((100 * rms) / scale)} %` : "");
  const rows = changes.map((change) => [change.name, brief(change.scale), brief(change.rms), brief(change.max), share(change)]);
  return grid(["output", "rms before", "rms change", "largest change", "relative"], rows, ["l", "r", "r", "r", "r"]);
}

/** Where the output went, and both sizes with side files. */
export function writtenLines(output: OutputFacts | undefined, input: ModelFacts): string[] {
  if (output === undefined) return ["nothing was written"];
  const side = output.sideFiles.length === 0 ? "" : `, with ${listed(output.sideFiles.map(({ file }) => printable(file)))}`;
  return [`wrote ${printable(output.file)}${side}: ${sizeLine(input, output)}`, ...unusedLines(input, output)].flatMap((line) =>
    said(line, "  "),
  );
}

/** Accepts whatever was written: for commands that change the function on purpose and say by how much. */
export const acceptAll = async (): Promise<boolean> => true;
