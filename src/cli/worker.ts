/** bnfold worker: takes jobs of a store out of a queue, on any machine, until it is told to stop. */
import { accessSync, constants } from "node:fs";
import { availableParallelism, hostname, tmpdir } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { bullEngine } from "../jobs/bullmq-engine.ts";
import type { Outcome } from "../jobs/engine.ts";
import { fileOf, StoreHands } from "../jobs/hands.ts";
import { isHolder, type Job } from "../jobs/job.ts";
import { noteTag, queueName } from "../jobs/runs.ts";
import { fileError } from "../node/files.ts";
import { plural } from "../report/words.ts";
import { type Command, flag, integer, text, texts, usage, type Values } from "./command.ts";
import { refuseForeignJobs } from "./jobs-mixing.ts";
import { ALLOWED } from "./jobs-options.ts";
import { crewOf, openSession, placeOptions } from "./jobs-session.ts";
import { sizeOption } from "./memory.ts";
import { scratchOf, sweepScratch } from "./scratch.ts";
import { note } from "./terminal.ts";

const DEFAULT_LOCK = 30;
const DEFAULT_GRACE = 20;
/** Time to hand back what was ended. */
const LEAVE_MS = 5_000;
/** Time for what was said to be heard. */
const EXIT_MS = 500;
/** How often the end is looked for. */
const LOOK_MS = 200;

interface Ending {
  /** As a first signal does; the end of the grace, or a second one, hands back what is under way. */
  readonly leave: () => void;
  /** Takes no more. */
  readonly drain: AbortController;
  /** Ends what is under way. */
  readonly stop: AbortController;
}

function onSignals(grace: number): Ending & { readonly off: () => void } {
  const [drain, stop] = [new AbortController(), new AbortController()];
  let timer: NodeJS.Timeout | undefined;
  const told = (): void => {
    if (drain.signal.aborted) stop.abort();
    drain.abort();
    timer ??= setTimeout(() => stop.abort(), 1000 * grace);
  };
  const names = ["SIGTERM", "SIGINT"] as const;
  for (const name of names) process.on(name, told);
  return {
    leave: told,
    drain,
    stop,
    off: () => {
      clearTimeout(timer);
      for (const name of names) process.removeListener(name, told);
    },
  };
}

/** What was ended could not be handed back in time: its lock will run out. */
async function afterStop(stop: AbortSignal): Promise<void> {
  while (!stop.aborted) await wait(LOOK_MS, undefined, { ref: false });
  await wait(LEAVE_MS, undefined, { ref: false });
}

function scratchFolder(values: Values): string {
  const folder = text(values, "scratch") ?? tmpdir();
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw fileError(folder, error);
  }
  return folder;
}

/** Whose data this worker has. */
function holderOf(values: Values): { readonly name: string; readonly data: readonly string[] } | undefined {
  const [name, data] = [text(values, "holder"), texts(values, "data")];
  if (name === undefined && data.length === 0) return undefined;
  if (name === undefined || data.length === 0)
    throw usage("--holder and --data belong together", "A worker with data of its own says whose it is, and where.");
  if (!isHolder(name)) throw usage(`--holder is a name of small letters, digits and -, got "${name}"`);
  return { name, data };
}

async function run(values: Values): Promise<number> {
  const jobs = integer(values, "jobs", 1, 1024) ?? availableParallelism();
  const [lock, grace, idle] = [
    integer(values, "lock", 1, 86_400) ?? DEFAULT_LOCK,
    integer(values, "grace", 0, 86_400) ?? DEFAULT_GRACE,
    integer(values, "idle", 0),
  ];
  const limits = { memory: sizeOption(values, "max-memory"), seconds: integer(values, "max-time", 1) };
  const scratch = scratchFolder(values);
  await sweepScratch(scratch);
  const holder = holderOf(values);
  const session = await openSession(values);
  if (session.queue === undefined)
    throw usage("a worker needs a queue: --queue, or BNFOLD_QUEUE", "Without a server, bnfold jobs does the work itself.");
  const { store, storeUrl, id, tag } = session;
  const nameOf = (whose: string | undefined) => queueName(id, tag, whose);
  const ending = onSignals(grace);
  const talk = new Talk(flag(values, "verbose"));
  const crew = crewOf(limits);
  const onError = (error: Error): void => talk.trouble(error.message);
  const holders = [holder?.name];
  const engine = await bullEngine(session.queue, { name: nameOf, onError, holders, patience: session.patience.first });
  try {
    await refuseForeignJobs(session, session.queue, engine, holder?.name);
    await noteTag(store, tag);
    const hands = new StoreHands({
      ...{
        store,
        storeUrl,
        storeId: id,
        crew,
        tag,
        allowed: ALLOWED,
        scratch: scratchOf(scratch),
        signal: ending.stop.signal,
        holder,
      },
      onOutcome: (job, outcome) => talk.outcome(job, outcome),
    });
    const name = `${hostname()}-${process.pid}`.replace(/[^\w.-]/g, "-");
    const taker = await engine.take(hands, {
      name,
      jobs,
      lock,
      holder: holder?.name,
      patience: session.patience.later,
      onError,
    });
    note(`worker ${name} takes ${plural(jobs, "job")} at a time from ${engine.label} for ${store.label}`);
    const isDone = () => ending.drain.signal.aborted || (idle !== undefined && taker.idleMs() >= 1000 * idle);
    const gone = () => taker.absence.failure("Whoever takes a job again finds in the store what is done of it.");
    while (!isDone() && gone() === undefined) await wait(LOOK_MS);
    const failure = gone();
    if (failure !== undefined) ending.leave();
    await Promise.race([taker.drain(), afterStop(ending.stop.signal)]);
    await taker.close();
    note(talk.summary());
    if (failure !== undefined) throw failure;
    return 0;
  } finally {
    ending.off();
    crew.close();
    await engine.close();
    // Drivers go on looking for a server that is away.
    setTimeout(() => process.exit(), EXIT_MS).unref();
  }
}

/** What a worker says: troubles once, and each job when it is asked to. */
class Talk {
  private last = "";
  private done = 0;
  private back = 0;

  constructor(private readonly verbose: boolean) {}

  trouble(message: string): void {
    if (message !== this.last) note(message);
    this.last = message;
  }

  outcome(job: Job, outcome: Outcome): void {
    this.last = "";
    if (outcome.kind === "done") this.done++;
    else this.back++;
    const why = "why" in outcome ? `: ${outcome.why}` : "";
    if (this.verbose || why !== "") note(`${"file" in job ? `${job.kind} ` : ""}${fileOf(job)}, ${WORDS[outcome.kind]}${why}`);
  }

  summary(): string {
    return `${plural(this.done, "job")} done, ${this.back} handed back`;
  }
}

const WORDS: Readonly<Record<Outcome["kind"], string>> = {
  done: "done",
  later: "put off",
  lost: "to be tried again",
  back: "handed back",
};

export const command: Command = {
  positionals: {},
  options: {
    ...placeOptions,
    jobs: {
      requiresArg: true,
      describe: "Jobs at the same time, each in a process of its own (default: the number of processors)",
    },
    "max-memory": {
      requiresArg: true,
      type: "string",
      describe: "Most memory of such a process, e.g. 4G: one that needs more is ended, and its job counts as failed",
    },
    "max-time": { requiresArg: true, describe: "Most seconds of a job" },
    scratch: {
      requiresArg: true,
      type: "string",
      describe: "Folder for copies of what is not on this machine (default: the system's)",
    },
    lock: { requiresArg: true, describe: "Seconds after which a job of a worker that is gone goes to another one (default 30)" },
    grace: {
      requiresArg: true,
      describe: "Seconds that jobs have to end after SIGTERM, before they are handed back (default 20)",
    },
    holder: {
      requiresArg: true,
      type: "string",
      describe: "Name of the one whose data this machine has: takes nothing but what jobs recalibrate --holder asks of it",
    },
    data: {
      array: true,
      type: "string",
      requiresArg: true,
      describe: "With --holder: samples on this machine, as for recalibrate --data; they never leave it",
    },
    idle: { requiresArg: true, describe: "End after this number of seconds without a job; default: never" },
    verbose: { alias: "v", type: "boolean", describe: "A line for every job" },
  },
  examples: [["bnfold worker --store /mnt/zoo --queue redis://queue --jobs 8 --max-memory 4G", "eight at a time"]],
  run,
};
