/** bnfold moments merge: the shards of a recalibration as one file. */
import { readFileSync, writeFileSync } from "node:fs";
import { plural, printable } from "../report/words.ts";
import { formatMoments, mergeMomentsFiles, parseMoments } from "../train/index.ts";
import { blocksOf } from "../train/moments-file.ts";
import { type Command, text, texts, usage, type Values } from "./command.ts";
import { print } from "./terminal.ts";

async function run(values: Values): Promise<number> {
  const names = texts(values, "files");
  const output = text(values, "output");
  if (output === undefined) throw usage("where to write? -o <file>");
  const files = names.map((name) => ({ name, file: parseMoments(readFileSync(name, "utf8"), name) }));
  const merged = mergeMomentsFiles(files);
  writeFileSync(output, formatMoments(merged));
  const open = merged.layers.filter(({ total }) => total === undefined).length;
  const blocks = blocksOf(merged);
  print(
    `wrote ${printable(output)}: ${plural(merged.layers.length, "layer")}, ${plural(merged.samples, "sample")} in ${plural(blocks, "block")}` +
      `${open === 0 ? ", complete" : `; ${plural(open, "layer")} still ${open === 1 ? "lacks" : "lack"} blocks`}`,
  );
  return 0;
}

export const command: Command = {
  positionals: {
    action: { type: "string", choices: ["merge"], describe: "What to do", demandOption: true },
    files: { type: "string", array: true, describe: "Files that recalibrate --moments wrote, in any order", demandOption: true },
  },
  options: { output: { alias: "o", requiresArg: true, type: "string", describe: "File to write" } },
  examples: [["bnfold moments merge part-*.json -o all.json", "all shards as one"]],
  run,
};
