/** What the commands of `bnfold jobs` share: the store, the engine, one live display, the summary. */
import { copyFile, mkdir, rename } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import type { Options } from "yargs";
import { BnfoldError } from "../diag/error.ts";
import { persist } from "../jobs/absence.ts";
import { Crew } from "../jobs/crew.ts";
import { type Engine, queueUrl } from "../jobs/engine.ts";
import { type Ended, type FollowOptions, follow, type Look } from "../jobs/follow.ts";
import { type Answer, StoreHands, type Task } from "../jobs/hands.ts";
import type { Options as JobOptions } from "../jobs/job.ts";
import { LocalEngine } from "../jobs/local-engine.ts";
import { ownTag } from "../jobs/program.ts";
import { noteTag, queueName, type Run, storeId, writeRun } from "../jobs/runs.ts";
import { openStore, type Store } from "../jobs/store.ts";
import { fileError } from "../node/files.ts";
import { temporaryIn } from "../node/litter.ts";
import { plural } from "../report/words.ts";
import { TEMPORARY } from "./batch.ts";
import { integer, text, usage, type Values } from "./command.ts";
import { Progress } from "./progress.ts";
import { scratchOf, sweepScratch } from "./scratch.ts";
import { note } from "./terminal.ts";

export const placeOptions: Readonly<Record<string, Options>> = {
  store: {
    requiresArg: true,
    type: "string",
    describe: "Where models are and results go: a folder all machines see, or s3://bucket/prefix",
  },
  queue: {
    requiresArg: true,
    type: "string",
    describe: "redis://, rediss://, postgres:// (or BNFOLD_QUEUE); without it this machine does all",
  },
  "queue-timeout": {
    requiresArg: true,
    describe: "Seconds the queue's server may be away before this gives up with code 75 (default: 15 to begin with, 600 later)",
  },
};

export const sendOptions: Readonly<Record<string, Options>> = {
  ...placeOptions,
  detach: { type: "boolean", describe: "Put the jobs into the queue, and do not wait" },
  attempts: { requiresArg: true, describe: "Tries of a model whose process crashes or goes beyond its limits (default 3)" },
  retries: {
    requiresArg: true,
    describe: "Tries where something passes: a full disk, a store that does not answer (default 100)",
  },
  jobs: { requiresArg: true, describe: "Without a queue: jobs at the same time (default: the number of processors)" },
};

export interface Session {
  readonly store: Store;
  readonly storeUrl: string;
  readonly id: string;
  readonly tag: string;
  readonly queue: string | undefined;
  readonly attempts: number;
  readonly retries: number;
  /** Milliseconds a queue's server may be away: when it is asked for the first time, or once only; and later. */
  readonly patience: { readonly first: number; readonly later: number };
}

const PATIENCE = { first: 15, later: 600 };

export async function openSession(values: Values): Promise<Session> {
  const url = text(values, "store") ?? (process.env.BNFOLD_STORE || undefined);
  if (url === undefined) throw usage("where are the models? --store <folder>, or s3://bucket/prefix");
  const queue = queueUrl(text(values, "queue"));
  if (values.detach === true && queue === undefined)
    throw usage("--detach needs --queue: without one this process does the work");
  const store = await openStore(url);
  const [id, tag] = [await storeId(store), ownTag()];
  const attempts = integer(values, "attempts", 1, 1000) ?? 3;
  const retries = integer(values, "retries", 0, 100_000) ?? 100;
  const asked = integer(values, "queue-timeout", 1, 86_400);
  const patience = { first: 1000 * (asked ?? PATIENCE.first), later: 1000 * (asked ?? PATIENCE.later) };
  return { store, storeUrl: url, id, tag, queue, attempts, retries, patience };
}

/** Options of a job: those of `names` that were given. */
export function jobOptions(values: Values, names: Iterable<string>): JobOptions {
  const given = [...names].sort().filter((name) => values[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, values[name]])) as JobOptions;
}

export const crewOf = (limits: { readonly memory?: number; readonly seconds?: number } = {}): Crew<Task, Answer> =>
  new Crew<Task, Answer>([process.argv[1], "--worker"], limits);

interface Use {
  /** Jobs are put in, which nobody would do where all workers are of another program. */
  readonly sends?: boolean;
  /** The program whose queue it is. */
  readonly tag?: string;
  /** Those who hold data, when the run has some. */
  readonly holders?: readonly string[];
}

/** The engine a session works with; `close` ends all it began. */
export async function openEngine(
  session: Session,
  values: Values,
  allowed: ReadonlySet<string>,
  onTrouble: (message: string) => void,
  { sends = false, tag = session.tag, holders = [] }: Use = {},
): Promise<Engine> {
  const { store, storeUrl, id, queue } = session;
  if (queue !== undefined) {
    const { bullEngine } = await import("../jobs/bullmq-engine.ts");
    const engine = await bullEngine(queue, {
      name: (holder) => queueName(id, tag, holder),
      onError: (error) => onTrouble(error.message),
      holders: [undefined, ...holders],
      patience: session.patience.first,
    });
    if (!sends) return engine;
    try {
      await (await import("./jobs-mixing.ts")).refuseForeignWorkers(session, queue, engine);
      await noteTag(store, tag);
      return engine;
    } catch (error) {
      await engine.close();
      throw error;
    }
  }
  await sweepScratch(undefined);
  const crew = crewOf();
  const stop = new AbortController();
  const hands = new StoreHands({
    store,
    storeUrl,
    storeId: id,
    crew,
    tag,
    allowed,
    scratch: scratchOf(undefined),
    signal: stop.signal,
  });
  const local = new LocalEngine(hands, integer(values, "jobs", 1, 1024) ?? availableParallelism(), (error) =>
    onTrouble(error.message),
  );
  const close = local.close.bind(local);
  return Object.assign(local, {
    close: async () => {
      await close();
      stop.abort();
      crew.close();
    },
  });
}

/** The live display: how much is done, how fast, what failed, who works. */
class Display {
  private readonly progress = new Progress();
  private readonly startedAt = performance.now();
  private firstDone: number | undefined;
  private trouble = "";
  private told = "";

  constructor(
    what: string,
    private readonly total: number,
    private readonly isFailed: (line: { readonly status: string }) => boolean,
  ) {
    this.progress.begin(what);
  }

  show({ lines, counts }: Look<{ readonly status: string }>): void {
    this.firstDone ??= lines.size;
    const seconds = (performance.now() - this.startedAt) / 1000;
    const rate = (lines.size - this.firstDone) / Math.max(seconds, 0.001);
    const failed = [...lines.values()].filter(this.isFailed).length;
    const parts = [
      `${rate >= 10 ? Math.round(rate) : rate.toFixed(1)}/s`,
      `${failed} failed`,
      ...(counts === undefined ? ["the queue does not answer"] : [`${counts.active} under way`]),
      ...(counts?.workers === undefined ? [] : [plural(counts.workers.length, "worker")]),
    ];
    this.progress.step(lines.size, this.total, parts.join(", "));
    if (counts?.workers?.length === 0 && seconds > 5)
      this.tell("no worker is there yet: bnfold worker, with the same --queue and --store");
    if (counts !== undefined) this.trouble = "";
  }

  /** Said once as long as it stays the same. */
  tell(message: string): void {
    if (message === this.told || message === this.trouble) return;
    this.told = message;
    this.trouble = message;
    note(message);
  }

  end(): void {
    this.progress.end();
  }
}

export interface Followed<L> {
  readonly ended: Ended;
  readonly lines: ReadonlyMap<string, L>;
}

/** Begins a run, or takes it up again, and follows it until the end, or until Ctrl-C. */
export async function followed<L extends { readonly status: string }>(
  session: Session,
  values: Values,
  allowed: ReadonlySet<string>,
  what: string,
  run: Run,
  options: Omit<FollowOptions<L>, "store" | "engine" | "run" | "wanted" | "onLook" | "onTrouble" | "patience" | "signal">,
): Promise<Followed<L>> {
  const { store, patience } = session;
  const wanted = new Set(run.jobs.map(({ id }) => id));
  const display = new Display(what, wanted.size, ({ status }) => status === "failed");
  const engine = await openEngine(session, values, allowed, (message) => display.tell(message), {
    sends: true,
    holders: run.plan?.holders,
  });
  const stop = new AbortController();
  const detach = (): void => stop.abort();
  process.once("SIGINT", detach);
  process.once("SIGTERM", detach);
  try {
    // What is refused has left nothing behind.
    await writeRun(store, run);
    if (values.detach === true) {
      await persist(patience.first, () => engine.add(options.next(new Set())));
      return { ended: "detached", lines: new Map() };
    }
    return await follow({
      ...options,
      ...{ store, engine, run: run.run, wanted, patience: patience.later, signal: stop.signal },
      onLook: (look) => display.show(look),
      onTrouble: (message) => display.tell(message),
    });
  } finally {
    process.removeListener("SIGINT", detach);
    process.removeListener("SIGTERM", detach);
    display.end();
    await engine.close();
  }
}

/** What to say when a command ends before its run does. */
export function leave(ended: Ended, session: Session, run: string, values: Values): number {
  if (ended === "cancelled") {
    note(`the run ${run} was cancelled; bnfold jobs retry ${run} takes it up again`);
    return TEMPORARY;
  }
  const goes = session.queue === undefined ? "stopped; what is done stays done" : "detached; the jobs go on";
  note(`${goes}. The same command attaches again (run ${run})`);
  return values.detach === true ? 0 : TEMPORARY;
}

/** A file of the store, brought into a folder of this machine under its own name, whole or not at all. */
export async function bring(store: Store, key: string, path: string): Promise<void> {
  const entry = await store.stat(key);
  if (entry === undefined) throw new BnfoldError("file", `"${key}" is not in the store`, { file: key });
  try {
    await mkdir(dirname(path), { recursive: true });
    const temporary = temporaryIn(dirname(path));
    const there = await store.fetch(entry, temporary);
    if (there !== temporary) await copyFile(there, temporary);
    await rename(temporary, path);
  } catch (error) {
    throw fileError(path, error);
  }
}
