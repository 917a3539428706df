/** bnfold recalibrate: mean and variance of every BatchNormalization from data, whole or one shard of it. */
import { readFileSync, writeFileSync } from "node:fs";
import { anyOf } from "../engine/written.ts";
import { requirePlace } from "../node/atomic.ts";
import { toJson, tool } from "../report/report.ts";
import { brief, nodeLabel, plural, printable } from "../report/words.ts";
import {
  BuiltInEngine,
  type Engine,
  formatMoments,
  type LayerDrift,
  type MomentsFile,
  type MomentsHeader,
  momentsFile,
  type OutputChange,
  parseMoments,
  Recalibration,
  type SkippedLayer,
  useMoments,
} from "../train/index.ts";
import { requireSame } from "../train/moments-file.ts";
import { type Command, flag, integer, text, texts, usage, type Values } from "./command.ts";
import { type Data, openData } from "./data.ts";
import { hashed, hashedAll, type OpenedModel, openInput, sha256 } from "./files.ts";
import { givenInputs } from "./inputs.ts";
import { openOnnxRuntime } from "./onnxruntime.ts";
import { acceptAll, changeTable, outputOptions, writtenLines } from "./outputs.ts";
import { requireMatches } from "./plan-options.ts";
import { produce } from "./produce.ts";
import { Progress } from "./progress.ts";
import { statisticsOptions } from "./recalibrate-options.ts";
import { grid, item, said } from "./screen.ts";
import { isSameFile, targetOf } from "./target.ts";
import { note, print, stdoutStyle } from "./terminal.ts";

/** Blocks the change of the outputs is measured on. */
const MEASURED = 2;

interface Shard {
  readonly number: number;
  readonly of: number;
}

/** `3/8`: the third of eight parts. */
function shardOf(values: Values): Shard | undefined {
  const written = text(values, "shard");
  if (written === undefined) return undefined;
  const [, number, of] = (/^(\d+)\/(\d+)$/.exec(written) ?? []).map(Number);
  if (!(number >= 1 && number <= of)) throw usage(`--shard is written i/n with i from 1 to n, got "${written}"`);
  if (text(values, "moments") === undefined) throw usage("--shard computes a part of the moments: say where to with --moments");
  return { number, of };
}

/** Blocks of a shard: as equal as can be, in order. */
function blocksOfShard({ number, of }: Shard, blocks: readonly number[]): readonly number[] {
  const edge = (i: number) => Math.floor((i * blocks.length) / of);
  return blocks.slice(edge(number - 1), edge(number));
}

/** Where the data of one of several holders stands among that of all. */
export interface Place {
  readonly samples: number;
  /** Blocks of all, and of those before this one. */
  readonly blocks: number;
  readonly before: number;
}

const placed = (data: Data, { samples, blocks, before }: Place): Data => ({
  ...{ samples, block: data.block, blocks },
  load: (k) => data.load(k - before),
});

interface Job {
  readonly input: OpenedModel;
  readonly recalibration: Recalibration;
  readonly data: Data | undefined;
  /** Blocks the data has itself, when it is a part of more. */
  readonly own: readonly number[];
  /** What moments files of this job say of themselves; without data only the engine and the model are known. */
  readonly header: MomentsHeader | undefined;
  readonly engine: Engine;
  readonly progress: Progress;
}

async function jobOf(values: Values, input: OpenedModel, progress: Progress, place?: Place): Promise<Job> {
  const { model, facts } = input;
  const order = flag(values, "at-once") ? "at-once" : "layers";
  const unbiased = flag(values, "unbiased");
  const select = anyOf(texts(values, "only"));
  const recalibration = new Recalibration(model, { order, unbiased, select, untie: flag(values, "untie") });
  const { fixed, notes } = await givenInputs(values, model);
  for (const line of notes) note(line);
  const specs = texts(values, "data");
  const whole = flag(values, "whole");
  const found =
    specs.length === 0
      ? undefined
      : openData(model, specs, { fixed: fixed ?? new Map(), block: integer(values, "block", 1), whole });
  const data = found === undefined || place === undefined ? found : placed(found, place);
  const own = Array.from({ length: found?.blocks ?? 0 }, (_, k) => k + (place?.before ?? 0));
  const gigabytes = integer(values, "memory", 0) ?? 1;
  const asked = text(values, "engine") ?? "bnfold";
  const engine =
    asked === "onnxruntime"
      ? await openOnnxRuntime(model)
      : new BuiltInEngine(model, recalibration.targets, { memory: gigabytes * 2 ** 30 });
  const needsHeader = data !== undefined && (text(values, "moments") ?? text(values, "from-moments")) !== undefined;
  const header: MomentsHeader | undefined = needsHeader
    ? {
        model: await sha256(facts.file),
        ...{ samples: data.samples, block: data.block },
        ...(data.blocks === Math.ceil(data.samples / data.block) ? {} : { blocks: data.blocks }),
        ...{
          order,
          variance: unbiased ? "unbiased" : "population",
          engine: engine.label,
        },
      }
    : undefined;
  return { input, recalibration, data, own, header, engine, progress };
}

/** Totals of an earlier round. */
async function takeMoments(values: Values, { recalibration, header, input }: Job): Promise<void> {
  const file = text(values, "from-moments");
  if (file === undefined) return;
  const moments: MomentsFile = parseMoments(readFileSync(file, "utf8"), file);
  const own: MomentsHeader = header ?? {
    ...moments,
    model: await sha256(input.facts.file),
    order: recalibration.order,
    variance: recalibration.unbiased ? "unbiased" : "population",
  };
  requireSame(own, moments, "this run", file);
  useMoments(recalibration, moments, file);
}

/** One pass over the blocks of a shard, written as moments. */
async function runShard(values: Values, job: Job, shard: Shard): Promise<void> {
  const { recalibration, data, own, header, engine, progress } = job;
  if (data === undefined || header === undefined) throw usage("--shard needs --data");
  const blocks = blocksOfShard(shard, own);
  if (recalibration.done) throw usage("every layer is done: leave --shard away and write the model with -o");
  const { next } = recalibration;
  progress.begin("statistics");
  const parts = await recalibration.collect(data, engine, blocks, (done, total) => progress.step(done, total));
  progress.end();
  const file = text(values, "moments") as string;
  writeFileSync(file, formatMoments(momentsFile(header, recalibration, parts)));
  const left =
    recalibration.targets.length - next.length - recalibration.targets.filter((t) => recalibration.momentsOf(t)).length;
  print(
    [
      `wrote ${printable(file)}: ${plural(next.length, "layer")} over ${plural(blocks.length, "block")} of ${data.blocks}, shard ${shard.number} of ${shard.of}`,
      left === 0
        ? "Next: bnfold moments merge, then bnfold recalibrate --from-moments <merged> -o <file>"
        : `Next: bnfold moments merge, then the next round with --from-moments <merged>; ${plural(left, "layer")} to go after this round`,
    ].join("\n"),
  );
}

/** The moments of a part of one holder's data, written to --moments. */
export async function recalibratePart(values: Values, place: Place): Promise<void> {
  const progress = new Progress();
  const input = openInput(String(values.model));
  try {
    const job = await jobOf(values, input, progress, place);
    await takeMoments(values, job);
    await runShard(values, job, shardOf(values) ?? { number: 1, of: 1 });
    await job.engine.close();
  } finally {
    progress.end();
    input.close();
  }
}

async function run(values: Values): Promise<number> {
  const file = String(values.model);
  const shard = shardOf(values);
  const moments = text(values, "moments");
  const writes = ["output", "in-place", "dry-run"].some((name) => values[name] !== undefined);
  if (texts(values, "data").length === 0 && text(values, "from-moments") === undefined)
    throw usage("recalibrate needs --data, or --from-moments");
  if (
    moments !== undefined &&
    [file, text(values, "output")].some((other) => other !== undefined && isSameFile(moments, other))
  ) {
    throw usage(`the moments ${moments} would overwrite a model`, "Name another file.");
  }
  if (shard !== undefined && writes) throw usage("a shard writes moments, not a model: leave -o away");
  const target = shard !== undefined || (moments !== undefined && !writes) ? undefined : targetOf(file, values);
  const progress = new Progress();
  if (moments !== undefined) requirePlace(moments);
  const input = openInput(file);
  try {
    requireMatches(input.model, values);
    const job = await jobOf(values, input, progress);
    await takeMoments(values, job);
    if (shard !== undefined) await runShard(values, job, shard);
    else await runWhole(values, job, target);
    await job.engine.close();
    return 0;
  } finally {
    progress.end();
    input.close();
  }
}

async function runWhole(values: Values, job: Job, target: ReturnType<typeof targetOf> | undefined): Promise<void> {
  const { input, recalibration, data, header, engine, progress } = job;
  if (!recalibration.done) {
    if (data === undefined)
      throw usage(`the moments leave ${plural(recalibration.next.length, "layer")} open: give --data for the next round`);
    progress.begin("statistics");
    await recalibration.run(data, engine, (done, total, pass) => progress.step(done, total, `pass ${pass}`));
    progress.end();
  }
  const file = text(values, "moments");
  if (file !== undefined) {
    if (header === undefined) throw usage("--moments needs --data");
    writeFileSync(file, formatMoments(momentsFile(header, recalibration)));
  }
  progress.begin("measuring");
  const measured = data === undefined ? [] : Array.from({ length: Math.min(MEASURED, data.blocks) }, (_, k) => data.load(k));
  const change = recalibration.outputChange(measured);
  progress.end();
  const facts = flag(values, "json") ? await hashed(input.facts) : input.facts;
  const output =
    target === undefined ? undefined : await produce(input.model, input.facts.file, recalibration.edits(), target, acceptAll);
  const drift = recalibration.drift();
  const variance = recalibration.unbiased ? "unbiased" : "population";
  if (flag(values, "json")) {
    const made = output === undefined ? null : await hashedAll(output);
    const amount = data === undefined ? null : { samples: data.samples, block: data.block };
    print(
      toJson({
        version: 1,
        tool: tool(),
        input: facts,
        output: made,
        data: amount,
        order: recalibration.order,
        variance,
        engine: engine.label,
        layers: drift,
        skipped: recalibration.skipped,
        change,
      }),
    );
    return;
  }
  print(
    [
      ...driftLines(drift, recalibration.skipped),
      "",
      ...changeLines(change, measured.length),
      ...(file === undefined ? [] : [`wrote ${printable(file)}`]),
      ...writtenLines(output, input.facts),
    ].join("\n"),
  );
}

function driftLines(drift: readonly LayerDrift[], skipped: readonly SkippedLayer[]): string[] {
  const rows = drift.map(({ node, channels, elements, meanDrift, deviationRatio }) => [
    nodeLabel(node).replace(/^BatchNormalization /, ""),
    String(channels),
    String(elements),
    brief(meanDrift.rms),
    brief(meanDrift.max),
    brief(deviationRatio.min),
    brief(deviationRatio.max),
  ]);
  const tied = drift.filter(({ uses }) => uses !== undefined).length;
  const head = ["layer", "channels", "elements", "mean moved, rms", "largest", "deviation, least", "most"];
  return [
    stdoutStyle("bold", `Recalibrated (${plural(drift.length, "layer")})`),
    "",
    ...grid(head, rows, ["l", "r", "r", "r", "r", "r", "r"]),
    ...said("mean moved: in old standard deviations; deviation: new over old standard deviation", "  "),
    ...(tied === 0 ? [] : said(`${tied} of them share their tensors: statistics over all uses of a layer (--untie parts them)`)),
    ...(skipped.length === 0 ? [] : ["", stdoutStyle("bold", `Left alone (${plural(skipped.length, "layer")})`)]),
    ...skipped.flatMap(({ node, reason }) => item(`${nodeLabel(node)}: ${reason}`)),
  ];
}

function changeLines(change: readonly OutputChange[], blocks: number): string[] {
  if (blocks === 0) return [];
  return [
    ...said(`Change of the outputs, on the first ${blocks === 1 ? "block" : `${blocks} blocks`} of the data:`),
    "",
    ...changeTable(change),
    "",
  ];
}

export const command: Command = {
  positionals: { model: { type: "string", describe: "ONNX file", demandOption: true } },
  options: {
    data: {
      array: true,
      type: "string",
      requiresArg: true,
      describe: "Samples: .npy, .npz, .pb, name=file, a folder, or a .txt list of them",
    },
    ...outputOptions,
    ...statisticsOptions,
    input: { array: true, type: "string", requiresArg: true, describe: "Input that is the same for every sample: name=file" },
    shard: { requiresArg: true, type: "string", describe: "Compute only part i of n of the data (i/n), into --moments" },
    moments: { requiresArg: true, type: "string", describe: "Write the moments to this file" },
    "from-moments": { requiresArg: true, type: "string", describe: "Use the moments of this file" },
    json: { type: "boolean", describe: "Print JSON" },
  },
  examples: [
    ["bnfold recalibrate model.onnx --data images.npy -o fresh.onnx", "new statistics from images"],
    ["bnfold recalibrate model.onnx --data x/ --at-once --shard 3/8 --moments 3.json", "one part, on one machine"],
    ["bnfold recalibrate model.onnx --from-moments all.json --at-once -o fresh.onnx", "the merged parts into the model"],
  ],
  run,
};
