/** bnfold jobs status, retry, cancel: what a store and a queue say of runs. */

import { BnfoldError } from "../diag/error.ts";
import { isPassing, persist } from "../jobs/absence.ts";
import type { Counts, Engine } from "../jobs/engine.ts";
import type { Job } from "../jobs/job.ts";
import { cancelKey, doneKey } from "../jobs/layout.ts";
import { doneIds, doneLine, isCancelled, listRuns, type Run, readRun } from "../jobs/runs.ts";
import { bytesOf, type Store } from "../jobs/store.ts";
import { columns } from "../report/layout.ts";
import { toJson, tool } from "../report/report.ts";
import { plural } from "../report/words.ts";
import { type Line, lineOf } from "./batch-lines.ts";
import { type Command, flag, type Values } from "./command.ts";
import { ALLOWED } from "./jobs-options.ts";
import { openEngine, openSession, placeOptions, type Session } from "./jobs-session.ts";
import { note, print, stdoutWidth } from "./terminal.ts";

interface State {
  readonly run: string;
  readonly kind: Run["kind"];
  readonly title: string;
  readonly jobs: number;
  readonly done: number;
  readonly failed: readonly Line[];
  readonly cancelled: boolean;
}

/** Lines of what is done, a few at a time. */
async function linesOf(store: Store, { run, jobs }: Run): Promise<Map<string, Line>> {
  const done = await doneIds(store, run);
  const open = jobs.map(({ id }) => id).filter((id) => done.has(id));
  const lines = new Map<string, Line>();
  const lane = async (): Promise<void> => {
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      const line = lineOf(await doneLine(store, run, id));
      if (line !== undefined) lines.set(id, line);
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  return lines;
}

async function stateOf(store: Store, run: Run): Promise<State> {
  const lines = [...(await linesOf(store, run)).values()];
  const failed = lines.filter(({ status }) => status === "failed").sort((a, b) => (a.file < b.file ? -1 : 1));
  const { kind, title, jobs } = run;
  return {
    run: run.run,
    kind,
    title,
    jobs: jobs.length,
    done: lines.length,
    failed,
    cancelled: await isCancelled(store, run.run),
  };
}

const messageOf = ({ error, report }: Line): string => error?.message ?? report?.verdict.summary ?? "";

async function status(values: Values): Promise<number> {
  const session = await openSession(values);
  const { store } = session;
  const asked = values.run === undefined ? undefined : String(values.run);
  const runs = asked === undefined ? await listRuns(store) : [await readRun(store, asked)];
  const states = [];
  for (const run of runs) states.push(await stateOf(store, run));
  const { counts, away } = await queueState(session, values, asked === undefined ? [] : runs[0].plan?.holders);
  tell(values, store, states, asked, counts);
  // What the store says is told all the same.
  if (away !== undefined) throw away;
  return 0;
}

/** What waits in the queue, and who works; why it is not known. */
async function queueState(
  session: Session,
  values: Values,
  holders: readonly string[] = [],
): Promise<{ readonly counts?: Counts; readonly away?: unknown }> {
  if (session.queue === undefined) return {};
  try {
    return { counts: await withEngine(session, values, { holders }, (engine) => engine.counts()) };
  } catch (error) {
    if (isPassing(error)) return { away: error };
    throw error;
  }
}

function tell(
  values: Values,
  store: Store,
  states: readonly State[],
  asked: string | undefined,
  counts: Counts | undefined,
): void {
  if (flag(values, "json")) {
    const rows = states.map(({ failed, ...rest }) => ({
      ...rest,
      failed: failed.map((line) => ({ file: line.file, code: line.code, message: messageOf(line) })),
    }));
    print(toJson({ version: 1, tool: tool(), store: store.label, queue: counts ?? null, runs: rows }));
    return;
  }
  const rows = states.map(({ run, jobs, done, failed, cancelled, title }) => [
    run,
    `${done} of ${jobs}`,
    String(failed.length),
    cancelled ? "cancelled" : done === jobs ? "done" : "open",
    title,
  ]);
  const table =
    rows.length === 0
      ? ["no run"]
      : columns(["run", "done", "failed", "state", "command"], rows, ["l", "r", "r", "l", "l"], stdoutWidth());
  const failures =
    asked === undefined ? [] : states.flatMap(({ failed }) => failed.map((line) => `  failed  ${line.file}  ${messageOf(line)}`));
  const queue =
    counts === undefined
      ? []
      : [
          "",
          `queue: ${counts.waiting} waiting, ${counts.active} under way${counts.workers === undefined ? "" : `, ${plural(counts.workers.length, "worker")}`}`,
        ];
  print([...table, ...(failures.length === 0 ? [] : ["", ...failures]), ...queue].join("\n"));
}

/** Failed jobs as if they had never been tried, and those of a run that was cancelled. */
async function retry(values: Values): Promise<number> {
  const session = await openSession(values);
  const { store } = session;
  const run = await readRun(store, String(values.run));
  if (run.tag !== session.tag)
    throw new BnfoldError(
      "usage",
      `the run is of bnfold ${run.tag}, this is ${session.tag}: their bytes may differ`,
      {},
      "Retry it with that version, or give the same command anew: it makes a run of its own.",
    );
  const lines = await linesOf(store, run);
  const failed = run.jobs.filter(({ id }) => lines.get(id)?.status === "failed");
  const open = run.jobs.filter(({ id }) => !lines.has(id));
  const again = async (): Promise<void> => {
    for (const { id } of failed) await store.remove(doneKey(run.run, id));
    await store.remove(cancelKey(run.run));
  };
  const queued = session.queue !== undefined && run.kind !== "recalibrate";
  if (!queued) await again();
  else
    await withEngine(session, values, { sends: true }, async (engine) => {
      // Only now: a queue that refuses leaves all as it is.
      await again();
      await engine.add([...failed, ...open]);
    });
  const next = queued ? ", in the queue again" : "; the same command as before does them";
  print(`${plural(failed.length, "failed job")} and ${open.length} open${next}`);
  return 0;
}

/** Something asked of a queue, as often as its server has to be waited for. */
async function withEngine<T>(
  session: Session,
  values: Values,
  use: Parameters<typeof openEngine>[4],
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = await openEngine(session, values, ALLOWED, note, use);
  try {
    return await persist(session.patience.first, () => work(engine));
  } finally {
    await engine.close();
  }
}

async function cancel(values: Values): Promise<number> {
  const session = await openSession(values);
  const { store } = session;
  const run = await readRun(store, String(values.run));
  await store.put(cancelKey(run.run), bytesOf({ cancelled: Date.now() }));
  const done = await doneIds(store, run.run);
  const open: Job[] = run.jobs.filter(({ id }) => !done.has(id));
  if (session.queue !== undefined) {
    const use = { tag: run.tag, holders: run.plan?.holders };
    await withEngine(session, values, use, (engine) => engine.remove(open)).catch((error: unknown) => {
      if (isPassing(error)) note(`the run ${run.run} is cancelled, but its jobs are still in the queue: cancel it again`);
      throw error;
    });
  }
  print(`cancelled: ${plural(open.length, "job")} not done; what is under way ends by itself`);
  return 0;
}

const runPlace = (demandOption: boolean): Command["positionals"] => ({
  run: { type: "string", describe: "Name of a run, as status lists it", demandOption },
});

export const statusCommand: Command = {
  positionals: runPlace(false),
  options: { ...placeOptions, json: { type: "boolean", describe: "Print JSON" } },
  examples: [["bnfold jobs status --store /mnt/zoo", "all runs"]],
  run: status,
};

export const retryCommand: Command = {
  positionals: runPlace(true),
  options: placeOptions,
  examples: [["bnfold jobs retry run-1f… --store /mnt/zoo --queue redis://queue", "what failed, again"]],
  run: retry,
};

export const cancelCommand: Command = {
  positionals: runPlace(true),
  options: placeOptions,
  examples: [["bnfold jobs cancel run-1f… --store /mnt/zoo --queue redis://queue", "take what waits out of the queue"]],
  run: cancel,
};
