/** bnfold jobs status, retry, cancel: what a store and a queue say of runs. */

import { BnfoldError } from "../diag/error.ts";
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
import { openEngine, openSession, placeOptions } from "./jobs-session.ts";
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
  const engine =
    session.queue === undefined
      ? undefined
      : await openEngine(session, values, ALLOWED, note, { holders: asked === undefined ? [] : runs[0].plan?.holders });
  const counts = await engine?.counts();
  await engine?.close();
  if (flag(values, "json")) {
    const rows = states.map(({ failed, ...rest }) => ({
      ...rest,
      failed: failed.map((line) => ({ file: line.file, code: line.code, message: messageOf(line) })),
    }));
    print(toJson({ version: 1, tool: tool(), store: store.label, queue: counts ?? null, runs: rows }));
    return 0;
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
  return 0;
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
  for (const { id } of failed) await store.remove(doneKey(run.run, id));
  await store.remove(cancelKey(run.run));
  const open = run.jobs.filter(({ id }) => !lines.has(id));
  if (session.queue !== undefined && run.kind !== "recalibrate")
    await withEngine(session, values, { sends: true }, (engine) => engine.add([...failed, ...open]));
  const next =
    session.queue === undefined || run.kind === "recalibrate" ? "; the same command as before does them" : ", in the queue again";
  print(`${plural(failed.length, "failed job")} and ${open.length} open${next}`);
  return 0;
}

async function withEngine(
  session: Awaited<ReturnType<typeof openSession>>,
  values: Values,
  use: Parameters<typeof openEngine>[4],
  work: (engine: Awaited<ReturnType<typeof openEngine>>) => Promise<void>,
): Promise<void> {
  const engine = await openEngine(session, values, ALLOWED, note, use);
  try {
    await work(engine);
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
  if (session.queue !== undefined)
    await withEngine(session, values, { tag: run.tag, holders: run.plan?.holders }, (engine) => engine.remove(open));
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
