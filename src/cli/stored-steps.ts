/** The steps of a recalibration on many machines, by the command that does it on one: moments of some blocks, their merge, the model. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { stepsAfter } from "../jobs/flow.ts";
import { fileOf } from "../jobs/hands.ts";
import { type Job, resultOf, type StepJob } from "../jobs/job.ts";
import { baseOf, joinKeys } from "../jobs/keys.ts";
import { holderKey, levelKey, RESULT, resultFolder, shardKey } from "../jobs/layout.ts";
import { isCancelled, type Plan, readRun } from "../jobs/runs.ts";
import { bytesOf, getJson, type Store } from "../jobs/store.ts";
import { openModel } from "../node/files.ts";
import { tool } from "../report/report.ts";
import { formatMoments, mergeMomentsFiles, parseMoments } from "../train/index.ts";
import { settingsOf } from "./batch.ts";
import type { Line } from "./batch-lines.ts";
import type { Values } from "./command.ts";
import { openData } from "./data.ts";
import { contentOf, failureOf, passes } from "./line-parts.ts";
import { npyHead } from "./npy-rows.ts";
import type { Place } from "./recalibrate.ts";
import { commitOutput, fetched, fetchedModel, renamed, spoken } from "./stored-files.ts";

/** Largest file of moments: a total and some subtrees of every layer. */
const LARGEST_MOMENTS = 1 << 30;
/** More than the head of any .npy file. */
const HEAD_BYTES = 1 << 16;
/** Bytes of rows asked for at a time. */
const CHUNK = 1 << 23;

/** Samples of a shard: whole blocks, as equal as can be. */
function samplesOf({ samples, block }: Plan, { index, of }: StepJob): { readonly start: number; readonly end: number } {
  const blocks = Math.ceil(samples / block);
  const edge = (i: number) => Math.min(samples, Math.floor((i * blocks) / of) * block);
  return { start: edge(index - 1), end: edge(index) };
}

/**
 * A .npy file of which only some rows are there, at their place in a file of the full size: what reads it reads no others.
 * Nothing of it takes room but what was fetched.
 */
async function sparse(store: Store, entry: Plan["data"][number], place: string, start: number, end: number): Promise<string> {
  const whole = { key: entry.key, version: entry.version, size: entry.bytes };
  const head = await store.read(whole, 0, Math.min(entry.bytes, HEAD_BYTES));
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, head);
  truncateSync(place, entry.bytes);
  const known = npyHead(place);
  if (known === undefined) throw new BnfoldError("format", "the file is no .npy array of rows any more", { file: entry.key });
  const file = await open(place, "r+");
  try {
    const [from, to] = [known.start + start * known.row, known.start + end * known.row];
    for (let at = from; at < to; at += CHUNK) {
      const bytes = await store.read(whole, at, Math.min(to, at + CHUNK));
      await file.write(bytes, 0, bytes.length, at);
    }
  } finally {
    await file.close();
  }
  return place;
}

/** The data on this machine: files of a folder where they are; of arrays in a bucket only the rows of the shard. */
async function dataOf(store: Store, plan: Plan, job: StepJob, folder: string): Promise<string[]> {
  const { start, end } = samplesOf(plan, job);
  const paths: string[] = [];
  let first = 0;
  for (const [i, entry] of plan.data.entries()) {
    const place = join(folder, String(i), baseOf(entry.key));
    let path: string;
    if (entry.samples === undefined || !store.remote) path = await fetched(store, entry, place);
    else {
      const clamp = (n: number) => Math.min(Math.max(n - first, 0), entry.samples as number);
      path = await sparse(store, entry, place, clamp(start), clamp(end));
    }
    paths.push(entry.input === undefined ? path : `${entry.input}=${path}`);
    first += entry.samples ?? 0;
  }
  return paths;
}

async function take(store: Store, key: string, place: string): Promise<string> {
  const bytes = await store.get(key, LARGEST_MOMENTS);
  if (bytes === undefined) throw new BnfoldError("temporary", `"${key}" is not in the store yet`, { file: key });
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, bytes);
  return place;
}

const recalibrate = async () => import("./recalibrate.ts");

/** What a step works on and with. */
interface Step {
  readonly job: StepJob;
  readonly plan: Plan;
  readonly options: Values;
  readonly store: Store;
  readonly scratch: string;
  /** What a holder of data lets its jobs read. */
  readonly data: readonly string[];
}

/** Samples of a holder of data, and how many make a block, as it has said. */
async function countsOf(store: Store, run: string, holder: string): Promise<{ samples: number; blocks: number }> {
  const key = holderKey(run, holder);
  const said = (await getJson(store, key)) as { samples: number; blocks: number } | undefined;
  if (said === undefined) throw new BnfoldError("temporary", `"${key}" is not in the store yet`, { file: key });
  return said;
}

/** How much data a holder has: the first of what leaves it, with the moments. */
async function count({ job, plan, options, store, scratch, data }: Step): Promise<void> {
  const { path } = await fetchedModel(store, plan.model, join(scratch, "in"));
  const opened = openModel(path);
  try {
    const { samples, blocks } = openData(opened.model, data, {
      ...{ fixed: new Map(), block: plan.block, whole: options.whole === true },
    });
    await store.put(holderKey(job.run, job.holder as string), bytesOf({ samples, blocks }));
  } finally {
    opened.close();
  }
}

/** Where a holder's data stands among that of all: behind that of those before it, from the next whole block on. */
async function placeOf({ job, plan, store }: Step): Promise<Place> {
  const { holders = [] } = plan;
  const counts = await Promise.all(holders.map((holder) => countsOf(store, job.run, holder)));
  const blocks = (some: typeof counts) => some.reduce((n, one) => n + one.blocks, 0);
  return {
    samples: counts.reduce((n, one) => n + one.samples, 0),
    blocks: blocks(counts),
    before: blocks(counts.slice(0, holders.indexOf(job.holder as string))),
  };
}

async function shard(step: Step): Promise<void> {
  const { job, plan, options, store, scratch } = step;
  const model = await fetchedModel(store, plan.model, join(scratch, "in"));
  const moments = join(scratch, "moments.json");
  const before = job.level === 1 ? undefined : await take(store, levelKey(job.run, job.level - 1), join(scratch, "before.json"));
  const { command, recalibratePart } = await recalibrate();
  const values = {
    ...options,
    ...{ model: model.path, moments },
    ...(before === undefined ? {} : { "from-moments": before }),
  };
  if (job.holder === undefined) {
    const data = await dataOf(store, plan, job, join(scratch, "data"));
    await spoken(() => command.run({ ...values, data, shard: `${job.index}/${job.of}` }));
  } else {
    const each = job.of / (plan.holders?.length ?? 1);
    const place = await placeOf(step);
    const part = { ...values, data: step.data, block: plan.block, shard: `${((job.index - 1) % each) + 1}/${each}` };
    await spoken(async () => {
      await recalibratePart(part, place);
      return 0;
    });
  }
  await store.put(shardKey(job.run, job.level, job.index, job.of), readFileSync(moments));
}

async function merge({ job, store }: Step): Promise<void> {
  const files = [];
  for (let i = 1; i <= job.of; i++) {
    const name = shardKey(job.run, job.level, i, job.of);
    const bytes = await store.get(name, LARGEST_MOMENTS);
    if (bytes === undefined) throw new BnfoldError("temporary", `"${name}" is not in the store yet`, { file: name });
    files.push({ name, file: parseMoments(new TextDecoder().decode(bytes), name) });
  }
  await store.put(levelKey(job.run, job.level), new TextEncoder().encode(formatMoments(mergeMomentsFiles(files))));
}

/** The model with the new statistics, and what `recalibrate --json` says of it. */
async function apply({ job, plan, options, store, scratch }: Step): Promise<unknown> {
  const model = await fetchedModel(store, plan.model, join(scratch, "in"));
  const moments = await take(store, levelKey(job.run, plan.levels), join(scratch, "moments.json"));
  const content = `${await contentOf(model.path)} ${createHash("sha256").update(readFileSync(moments)).digest("hex")}`;
  const folder = resultFolder(resultOf("recalibrate", `${content} ${baseOf(plan.model.key)}`, {}, job.tag));
  const name = baseOf(plan.model.key);
  const place = await store.place(joinKeys(folder, name), join(scratch, "out", name));
  const { block: _, whole: __, ...rest } = options;
  const { command } = await recalibrate();
  const { out } = await spoken(() =>
    command.run({ ...rest, model: model.path, "from-moments": moments, output: place, json: true } as unknown as Values),
  );
  const report = JSON.parse(out);
  await commitOutput(store, folder, report.output);
  const named = renamed(report, [...model.names, [dirname(place), folder]]);
  await store.put(joinKeys(folder, RESULT), bytesOf(named));
  return named;
}

/** Text in which files of a holder have a number, and no name. */
function privately(text: string, data: readonly string[]): string {
  const places = data
    .map((spec) => spec.replace(/^[^=/]+=/, ""))
    .flatMap((path, i) => [[resolve(path), i + 1] as const, [path, i + 1] as const]);
  return places.reduce((out, [path, number]) => {
    const written = path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return out.replace(new RegExp(`${written}[^"\\n:]*`, "g"), `data ${number}`);
  }, text);
}

/** A step, and its line. */
export async function performStep(
  job: StepJob,
  store: Store,
  scratch: string,
  data: readonly string[] = [],
): Promise<Line & { readonly recalibration?: unknown }> {
  const start = performance.now();
  const { plan, options } = await readRun(store, job.run);
  if (plan === undefined) throw new BnfoldError("usage", `the run ${job.run} has no plan`);
  const base = { version: 1, tool: tool(), file: fileOf(job), content: null } as const;
  const rest = () => ({
    settings: settingsOf(options),
    seconds: Math.round(performance.now() - start) / 1000,
    worker: process.pid,
  });
  const step: Step = { job, plan, options: options as unknown as Values, store, scratch, data };
  try {
    if (job.kind === "count") await count(step);
    if (job.kind === "shard") await shard(step);
    if (job.kind === "merge") await merge(step);
    const recalibration = job.kind === "apply" ? await apply(step) : undefined;
    return { ...base, ...rest(), status: "done", code: 0, ...(recalibration === undefined ? {} : { recalibration }) };
  } catch (error) {
    if (passes(error) !== undefined) throw error;
    // Where a machine keeps what is nobody else's business.
    const places = [`${scratch}/`, `${store.label}/`].map((path) => [path, ""] as const);
    const { error: told, ...failure } = failureOf(error);
    const message = privately(told?.message ?? "", data);
    return renamed({ ...base, ...rest(), ...failure, error: { kind: "internal", ...told, message } }, places);
  }
}

/** What a step lets begin. A run that was called off goes no further. */
export async function nextOf(job: StepJob, store: Store): Promise<readonly Job[]> {
  const { plan } = await readRun(store, job.run);
  return plan === undefined || (await isCancelled(store, job.run)) ? [] : stepsAfter(store, plan, job);
}
