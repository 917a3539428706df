/** Fold, proof and run of one model, into Blobs. The output is read back from its Blob: what is judged is what is downloaded. */
import { foldChecked, type OnStage } from "../../../src/engine/fold.ts";
import { memoryNeeds } from "../../../src/engine/needs.ts";
import { read } from "../../../src/onnx/read.ts";
import type { ExternalData, Model } from "../../../src/onnx/records.ts";
import { madeOf } from "../../../src/onnx/spliced.ts";
import { type ModelEdits, type Written, write } from "../../../src/onnx/write.ts";
import { modelFacts, neededFiles } from "../../../src/report/report.ts";
import { byteSize } from "../../../src/report/words.ts";
import type { Folded, FoldOptions, ModelFiles, Opened, OutputFile } from "../protocol.ts";
import { toBlob } from "./blobs.ts";
import { baseName, missingSides, openModel, sideFile } from "./models.ts";
import { planOptionsOf, runOptionsOf } from "./options.ts";
import { blobSource } from "./source.ts";

/** A tab's memory ends at about 4 GB: what needs more than this is left out of the check, and said. */
const MEMORY = 3e9;
/** Largest side file of "split", as on the command line. */
const SPLIT = 2e9;

const factsOf = (files: ModelFiles, model: Model) =>
  modelFacts(model, { file: baseName(files.path), bytes: files.main.size, sha256: null });

export function opened(files: ModelFiles): Opened {
  const model = openModel(files);
  const { graph } = model;
  return {
    facts: factsOf(files, model),
    nodes: graph.nodes.length,
    batchNormalizations: graph.nodes.filter(({ opType, domain }) => opType === "BatchNormalization" && domain === "").length,
    missing: missingSides(files, model),
    inputs: graph.inputs.map(({ name }) => name),
    needs: memoryNeeds(model).run,
  };
}

/** `model.onnx` → `model.folded.onnx`. */
export const outputName = (path: string): string => {
  const name = baseName(path);
  return /\.onnx$/i.test(name) ? name.replace(/\.onnx$/i, ".folded.onnx") : `${name}.folded.onnx`;
};

/** The pieces, with side files named as the command line names them for this output. */
function written(model: Model, edits: ModelEdits, name: string, external: FoldOptions["external"]): Written {
  const locations = model.externalTensors.map((tensor) => (tensor.external as ExternalData).location.toLowerCase());
  const taken = new Set([...locations, name.toLowerCase()]);
  const stem = `${name}${external === "keep" ? ".bnfold" : ""}`;
  for (let i = 1; ; i++) {
    const number = i === 1 ? "" : `.${i}`;
    const sideFileName = (k: number) => `${stem}${number}${k === 1 ? "" : `-${k}`}.data`;
    const limit = external === "split" ? { sideFileLimit: SPLIT } : {};
    const made = write(model, edits, { external, sideFileName, ...limit });
    if (made.sideFiles.every(({ location }) => !taken.has(location.toLowerCase()))) return made;
  }
}

function affordable(model: Model, options: FoldOptions): { prove: boolean; run: boolean; notes: string[] } {
  const needs = memoryNeeds(model);
  const wantsRun = !options.noRun && !options.noCheck;
  const left = (what: string, need: number) =>
    `${what} is left out: it needs about ${byteSize(need)} of memory, more than a tab has. The command line does it.`;
  return {
    prove: needs.proof <= MEMORY,
    run: wantsRun && needs.run <= MEMORY,
    notes: [
      ...(needs.proof > MEMORY && !options.noCheck ? [left("The proof", needs.proof)] : []),
      ...(needs.run > MEMORY && wantsRun ? [left("The run", needs.run)] : []),
    ],
  };
}

export async function folded(files: ModelFiles, options: FoldOptions, onProgress: OnStage): Promise<Folded> {
  const began = performance.now();
  const model = openModel(files);
  const readMs = performance.now() - began;
  const can = affordable(model, options);
  const name = outputName(files.path);
  let outputs: OutputFile[] = [];
  const made = await foldChecked(model, {
    ...planOptionsOf(options),
    check: !options.noCheck,
    prove: can.prove,
    run: can.run,
    inputs: runOptionsOf(options, model),
    file: factsOf(files, model),
    onProgress,
    sink: async (edits, judge) => {
      const pieces = written(model, edits, name, options.external);
      const main = toBlob(pieces.main);
      const sides = pieces.sideFiles.map((side) => ({ ...side, blob: toBlob(side.pieces) }));
      const fresh = new Map(
        sides.map(({ location, blob, pieces: of }) => [location, madeOf(blobSource(blob, location), of)] as const),
      );
      const source = madeOf(blobSource(main, name), pieces.main);
      const result = read(source, { external: (location) => fresh.get(location) ?? model.files.external(location) });
      if (!(await judge(result))) return undefined;
      const kept = pieces.keptFiles.flatMap((location): OutputFile[] => {
        const side = sideFile(files, location);
        return side === undefined ? [] : [{ name: location, blob: side.file }];
      });
      outputs = [{ name, blob: main }, ...sides.map(({ location, blob }) => ({ name: location, blob })), ...kept];
      const facts = { file: name, bytes: main.size, sha256: null };
      const { sideFiles, totalBytes } = neededFiles(result, facts);
      return { ...facts, sideFiles, totalBytes };
    },
  });
  const report = { ...made.report, timings: { ...made.report.timings, readMs } };
  return { report, plan: made.plan, accepted: made.accepted, outputs: made.accepted ? outputs : [], notes: can.notes };
}
