/** Fold, proof and run of one model, into Blobs. The output is read back from its Blob: what is judged is what is downloaded. */
import { BnfoldError } from "../../../src/diag/error.ts";
import { paced } from "../../../src/diag/steps.ts";
import { foldChecked, type OnStage } from "../../../src/engine/fold.ts";
import type { Frozen } from "../../../src/engine/frozen.ts";
import { memoryNeeds } from "../../../src/engine/needs.ts";
import type { PlanData } from "../../../src/fold/types.ts";
import { read } from "../../../src/onnx/read.ts";
import type { ExternalData, Model } from "../../../src/onnx/records.ts";
import type { ByteSource } from "../../../src/onnx/source.ts";
import { madeOf } from "../../../src/onnx/spliced.ts";
import { type ModelEdits, type Written, write } from "../../../src/onnx/write.ts";
import { modelFacts, neededFiles, type Report } from "../../../src/report/report.ts";
import { byteSize } from "../../../src/report/words.ts";
import { certificateName } from "../command.ts";
import type { Folded, FoldOptions, ModelFiles, Opened, OutputFile } from "../protocol.ts";
import { toBlob } from "./blobs.ts";
import { baseName, missingSides, openModel, sideFile } from "./models.ts";
import { allOperators } from "./operators.ts";
import { memoryLimit, planOptionsOf, runOptionsOf } from "./options.ts";
import { blobSource } from "./source.ts";
import { startThreads } from "./threads.ts";

/** Bytes hashed at a time. */
const HASHED = 1 << 22;
/** A tab's memory ends at about 4 GB: what needs more than this is left out of the check, and said. */
const MEMORY = 3e9;
/** Largest side file of "split", as on the command line. */
const SPLIT = 2e9;

const factsOf = (files: ModelFiles, model: Model) =>
  modelFacts(model, { file: baseName(files.path), bytes: files.main.size, sha256: null });

export async function opened(files: ModelFiles): Promise<Opened> {
  const model = await openModel(files);
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

/** What the limit given, and a tab, allow. @throws BnfoldError of kind "usage" when not even the fold fits into the limit given. */
function affordable(model: Model, options: FoldOptions): { prove: boolean; run: boolean; notes: string[] } {
  const needs = memoryNeeds(model);
  const given = memoryLimit(options);
  if (given !== undefined && given < needs.fold)
    throw new BnfoldError("usage", `--max-memory: bnfold itself needs ${byteSize(needs.fold)}`);
  const limit = Math.min(MEMORY, given ?? MEMORY);
  const wantsRun = !options.noRun && !options.noCheck;
  const why = limit < MEMORY ? `more than --max-memory ${byteSize(limit)}.` : "more than a tab has. The command line does it.";
  const left = (what: string, need: number) => `${what} is left out: it needs about ${byteSize(need)} of memory, ${why}`;
  return {
    prove: needs.proof <= limit,
    run: wantsRun && needs.run <= limit,
    notes: [
      ...(needs.proof > limit && !options.noCheck ? [left("The proof", needs.proof)] : []),
      ...(needs.run > limit && wantsRun ? [left("The run", needs.run)] : []),
    ],
  };
}

/** SHA-256 of a file, read in blocks. */
async function sha256Of(source: ByteSource): Promise<string> {
  const { Sha256 } = await import("../../../src/onnx/sha256.ts");
  const hash = new Sha256();
  for (let at = 0; at < source.size; at += HASHED) hash.update(source.read(at, Math.min(source.size, at + HASHED)));
  return hash.hex();
}

/** The model in inference semantics where that is asked for. @throws BnfoldError of kind "usage" for a certificate of what was changed. */
async function frozenBy(options: FoldOptions, model: Model): Promise<{ model: Model; frozen?: Frozen["frozen"] }> {
  if (!options.freeze) return { model };
  const { FROZEN_CERTIFICATE, frozenFirst } = await import("../../../src/engine/frozen.ts");
  const found = frozenFirst(model, options.dropOutputs);
  const [message, hint] = FROZEN_CERTIFICATE;
  if (found.model !== model && options.certificate) throw new BnfoldError("usage", message, {}, hint);
  return found;
}

async function certified(model: Model, plan: PlanData, output: string, { assumeConstant }: FoldOptions) {
  const { certificateSteps, UNCERTIFIED } = await import("../../../src/engine/certificate.ts");
  const made = await paced(certificateSteps(model, plan, { assumeConstant, sha256: await sha256Of(model.files.main) }));
  if (made === undefined) return { notes: [`${UNCERTIFIED[0].toUpperCase()}${UNCERTIFIED.slice(1)}.`] };
  const name = certificateName(output);
  return { notes: [], certificate: { name, blob: new Blob([made.bytes]) }, facts: { file: name, ...made.facts } };
}

export async function folded(files: ModelFiles, options: FoldOptions, onProgress: OnStage): Promise<Folded> {
  const began = performance.now();
  startThreads();
  // The check comes last: it is fetched while the fold is planned.
  const check = options.noCheck ? undefined : Promise.all([import("../../../src/verify/index.ts"), allOperators()]);
  check?.catch(() => undefined);
  const opened = await openModel(files);
  const readMs = performance.now() - began;
  const { model, frozen } = await frozenBy(options, opened);
  const can = affordable(model, options);
  const name = outputName(files.path);
  let outputs: OutputFile[] = [];
  const made = await foldChecked(model, {
    ...(await planOptionsOf(options)),
    check: !options.noCheck,
    prove: can.prove,
    run: can.run,
    inputs: runOptionsOf(options, model),
    file: factsOf(files, opened),
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
      await check;
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
  const wanted = made.accepted && options.certificate ? await certified(opened, made.plan, name, options) : undefined;
  const report: Report = {
    ...made.report,
    ...(frozen === undefined ? {} : { frozen }),
    ...(wanted?.facts === undefined ? {} : { certificate: wanted.facts }),
    timings: { ...made.report.timings, readMs },
  };
  return {
    ...{ report, plan: made.plan, accepted: made.accepted, outputs: made.accepted ? outputs : [] },
    ...(wanted?.certificate === undefined ? {} : { certificate: wanted.certificate }),
    notes: [...can.notes, ...(wanted?.notes ?? [])],
  };
}
