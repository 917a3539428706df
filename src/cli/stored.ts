/** A job of a store, done in a process of its own: what it needs is fetched, the result is committed, and last the line that says so. */
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import type { Answer, Task } from "../jobs/hands.ts";
import { type FoldJob, type Job, resultOf, type VerifyJob } from "../jobs/job.ts";
import { baseOf, joinKeys } from "../jobs/keys.ts";
import { doneKey, RESULT, resultFolder } from "../jobs/layout.ts";
import { doneLine, knownId } from "../jobs/runs.ts";
import { bytesOf, getJson, openStore, type Store } from "../jobs/store.ts";
import type { VerifyLine } from "../report/document.ts";
import { tool } from "../report/report.ts";
import { settingsOf } from "./batch.ts";
import { type Line, lineOf } from "./batch-lines.ts";
import type { Values } from "./command.ts";
import { EXIT, foldOne } from "./fold-one.ts";
import { contentOf, failureOf, finite, passes } from "./line-parts.ts";
import { Progress } from "./progress.ts";
import { commitOutput, fetchedModel, renamed } from "./stored-files.ts";
import { nextOf, performStep } from "./stored-steps.ts";
import { targetOf } from "./target.ts";
import { pairLine } from "./verify-many.ts";

async function fold(job: FoldJob, store: Store, scratch: string): Promise<Line> {
  const start = performance.now();
  const { path, names } = await fetchedModel(store, job.model, join(scratch, "in"));
  const settings = settingsOf(job.options);
  const content = await contentOf(path);
  const base = { version: 1, tool: tool(), file: job.file, content, settings, worker: process.pid } as const;
  const seconds = () => Math.round(performance.now() - start) / 1000;
  const name = baseOf(job.file);
  const folder = content === null ? undefined : resultFolder(resultOf("fold", `${content} ${name}`, job.options, job.tag));
  const before = folder === undefined ? undefined : lineOf(await getJson(store, joinKeys(folder, RESULT)));
  if (before !== undefined) return { ...before, file: job.file };
  try {
    const own = join(scratch, "out", name);
    const place = folder === undefined ? own : await store.place(joinKeys(folder, name), own);
    mkdirSync(dirname(place), { recursive: true });
    const values = { ...job.options, model: path, output: place } as unknown as Values;
    const { report, code } = await foldOne(values, path, targetOf(path, values), {
      progress: new Progress(true),
      hash: true,
      many: true,
      threads: 1,
    });
    if (folder !== undefined && report.output !== null) await commitOutput(store, folder, report.output);
    const named = renamed(report, [...names, [dirname(place), folder ?? ""]]);
    const line: Line = {
      ...base,
      status: code === EXIT.notEquivalent ? "failed" : "done",
      code,
      seconds: seconds(),
      report: named,
    };
    if (folder !== undefined) await store.put(joinKeys(folder, RESULT), bytesOf(JSON.parse(JSON.stringify(line, finite))));
    return line;
  } catch (error) {
    failing(error);
    return renamed({ ...base, seconds: seconds(), ...failureOf(error) }, names);
  }
}

async function verify(job: VerifyJob, store: Store, scratch: string): Promise<VerifyLine> {
  const [a, b] = [await fetchedModel(store, job.a, join(scratch, "a")), await fetchedModel(store, job.b, join(scratch, "b"))];
  const values = job.options as unknown as Values;
  const line = await pairLine({ task: "verify", name: job.file, first: a.path, second: b.path, values }, failing);
  return renamed(line, [...a.names, ...b.names]);
}

/** What passes is tried again, and is nothing to write down. */
function failing(error: unknown): void {
  if (passes(error) !== undefined) throw error;
}

/** Where the copies of a task go: beside those of others, away when it is done. */
async function inScratch<T>(folder: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(folder, { recursive: true });
  try {
    return await work();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function once(job: Job, store: Store, { scratch, data, storeId }: Task): Promise<Answer> {
  // A job may come twice: from a queue that was made anew, or because its worker was slow.
  const before = await doneLine(store, job.run, job.id);
  const line = lineOf(before) ?? (await sureLine(job, store, scratch, data, storeId));
  // A line that a machine takes with it is as if it were not there: the result is, and the job comes to it again at once.
  if (before === undefined) await store.put(doneKey(job.run, job.id), bytesOf(JSON.parse(JSON.stringify(line, finite))), false);
  const failed = line.status === "failed";
  const next = job.kind === "fold" || job.kind === "verify" || failed ? [] : await nextOf(job, store);
  return { kind: "done", next, failed };
}

/**
 * What a job came to. While a mount comes and goes a file may be missing that is there: what says so is asked a second time, in a
 * store that is what it was.
 */
async function sureLine(
  job: Job,
  store: Store,
  scratch: string,
  data: Task["data"],
  storeId: string,
): Promise<Line | VerifyLine> {
  const line = await lineFor(job, store, scratch, data);
  const unread = job.kind === "fold" && line.status === "done" && (line as Line).content === null;
  if (line.error?.kind !== "file" && !unread) return line;
  await requireSame(store, storeId);
  return inScratch(join(scratch, "again"), () => lineFor(job, store, join(scratch, "again"), data));
}

/** A mount that is gone leaves an empty folder behind: nothing of it must be believed, and nothing written to it. */
async function requireSame(store: Store, storeId: string): Promise<void> {
  if ((await knownId(store)) !== storeId)
    throw new BnfoldError("temporary", `the store ${store.label} is not what it was: is it mounted?`);
}

async function lineFor(job: Job, store: Store, scratch: string, data: Task["data"]): Promise<Line | VerifyLine> {
  if (job.kind === "fold") return fold(job, store, scratch);
  if (job.kind === "verify") return verify(job, store, scratch);
  return performStep(job, store, scratch, data);
}

export async function performStored(task: Task): Promise<Answer> {
  const { store: url, storeId: id, job, scratch } = task;
  try {
    const store = await openStore(url);
    await requireSame(store, id);
    return await inScratch(scratch, () => once(job, store, task));
  } catch (error) {
    const { here } = passes(error) ?? { here: false };
    return { kind: "later", why: error instanceof Error ? error.message : String(error), here };
  }
}
