/** The steps of a recalibration on many machines, by the command that does it on one: moments of some blocks, their merge, the model. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { stepsAfter } from "../jobs/flow.ts";
import { type Job, resultOf, type StepJob } from "../jobs/job.ts";
import { baseOf, joinKeys } from "../jobs/keys.ts";
import { levelKey, RESULT, resultFolder, shardKey } from "../jobs/layout.ts";
import { isCancelled, type Plan, readRun } from "../jobs/runs.ts";
import { bytesOf, type Store } from "../jobs/store.ts";
import { tool } from "../report/report.ts";
import { formatMoments, mergeMomentsFiles, parseMoments } from "../train/index.ts";
import { settingsOf } from "./batch.ts";
import type { Line } from "./batch-lines.ts";
import type { Values } from "./command.ts";
import { contentOf, failureOf } from "./line-parts.ts";
import { npyHead } from "./npy-rows.ts";
import { commitOutput, fetched, fetchedModel, passes, renamed, spoken } from "./stored-files.ts";

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

const recalibrate = async () => (await import("./recalibrate.ts")).command;

async function shard(job: StepJob, plan: Plan, options: Values, store: Store, scratch: string): Promise<void> {
  const model = await fetchedModel(store, plan.model, join(scratch, "in"));
  const moments = join(scratch, "moments.json");
  const data = await dataOf(store, plan, job, join(scratch, "data"));
  const before = job.level === 1 ? undefined : await take(store, levelKey(job.run, job.level - 1), join(scratch, "before.json"));
  const command = await recalibrate();
  await spoken(() =>
    command.run({
      ...options,
      ...{ model: model.path, data, moments, shard: `${job.index}/${job.of}` },
      ...(before === undefined ? {} : { "from-moments": before }),
    }),
  );
  await store.put(shardKey(job.run, job.level, job.index, job.of), readFileSync(moments));
}

async function merge(job: StepJob, store: Store): Promise<void> {
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
async function apply(job: StepJob, plan: Plan, options: Values, store: Store, scratch: string): Promise<unknown> {
  const model = await fetchedModel(store, plan.model, join(scratch, "in"));
  const moments = await take(store, levelKey(job.run, plan.levels), join(scratch, "moments.json"));
  const content = `${await contentOf(model.path)} ${createHash("sha256").update(readFileSync(moments)).digest("hex")}`;
  const folder = resultFolder(resultOf("recalibrate", `${content} ${baseOf(plan.model.key)}`, {}, job.tag));
  const name = baseOf(plan.model.key);
  const place = await store.place(joinKeys(folder, name), join(scratch, "out", name));
  const { block: _, whole: __, ...rest } = options;
  const command = await recalibrate();
  const { out } = await spoken(() =>
    command.run({ ...rest, model: model.path, "from-moments": moments, output: place, json: true } as unknown as Values),
  );
  const report = JSON.parse(out);
  await commitOutput(store, folder, report.output);
  const named = renamed(report, [...model.names, [dirname(place), folder]]);
  await store.put(joinKeys(folder, RESULT), bytesOf(named));
  return named;
}

/** A step, and its line. */
export async function performStep(
  job: StepJob,
  store: Store,
  scratch: string,
): Promise<Line & { readonly recalibration?: unknown }> {
  const start = performance.now();
  const { plan, options } = await readRun(store, job.run);
  if (plan === undefined) throw new BnfoldError("usage", `the run ${job.run} has no plan`);
  const base = { version: 1, tool: tool(), file: `${job.kind} ${job.level}.${job.index}`, content: null } as const;
  const rest = () => ({
    settings: settingsOf(options),
    seconds: Math.round(performance.now() - start) / 1000,
    worker: process.pid,
  });
  const values = options as unknown as Values;
  try {
    if (job.kind === "shard") await shard(job, plan, values, store, scratch);
    if (job.kind === "merge") await merge(job, store);
    const recalibration = job.kind === "apply" ? await apply(job, plan, values, store, scratch) : undefined;
    return { ...base, ...rest(), status: "done", code: 0, ...(recalibration === undefined ? {} : { recalibration }) };
  } catch (error) {
    if (passes(error) !== undefined) throw error;
    return { ...base, ...rest(), ...failureOf(error) };
  }
}

/** What a step lets begin. A run that was called off goes no further. */
export async function nextOf(job: StepJob, store: Store): Promise<readonly Job[]> {
  const { plan } = await readRun(store, job.run);
  return plan === undefined || (await isCancelled(store, job.run)) ? [] : stepsAfter(store, plan, job);
}
