/**
 * Jobs on a server, through BullMQ: redis:// and rediss:// (Redis, Valkey), postgres:// and postgresql://. The package and the
 * driver of the server are optional peers.
 *
 * One queue for each store and program: a worker of another version, or of another store, cannot get a job that is not its own.
 * Jobs are removed when they are done; the store knows that they are.
 */
import { setTimeout as wait } from "node:timers/promises";
import { BnfoldError } from "../diag/error.ts";
import { type Counts, type Engine, type Hands, type Outcome, pauseMs, type Taker, type TakerOptions } from "./engine.ts";
import { holderOf, type Job, requireSmall } from "./job.ts";
import {
  type BullJob,
  type BullQueue,
  type BullWorker,
  connect,
  PATIENCE_MS,
  refused,
  type Server,
  within,
} from "./queue-server.ts";
import { redacted } from "./redact.ts";

/** Jobs added with one request. */
const BULK = 500;
/** A job may be tried as often as its own counters say, which are compared elsewhere. */
const ATTEMPTS = 1_000_000;
const RETRY_MS = 1_000;
/** How long a worker rests whose machine hinders it: its disk is full, for instance. */
const REST_MS = 5_000;

const settled = async (work: Promise<unknown>): Promise<void> => void (await work.catch(() => undefined));

/** How often is looked whether jobs have ended. */
const LOOK_MS = 100;
/** Time a question about the state may take before it is answered with what is not known. */
const QUESTION_MS = 5_000;

class BullEngine implements Engine {
  /** By whose data they are about; undefined for what everybody can do. */
  private readonly queues = new Map<string | undefined, BullQueue>();

  constructor(
    readonly label: string,
    private readonly server: Server,
    private readonly name: (holder: string | undefined) => string,
    /** Whose queues are looked into. */
    holders: readonly (string | undefined)[],
    private readonly onError: (error: Error) => void,
  ) {
    for (const holder of holders) this.queue(holder);
  }

  private queue(holder: string | undefined): BullQueue {
    const known = this.queues.get(holder);
    if (known !== undefined) return known;
    const { bull, options, backend } = this.server;
    const made = new bull.Queue(this.name(holder), options, backend);
    made.on("error", this.onError);
    this.queues.set(holder, made);
    return made;
  }

  async ready(): Promise<void> {
    const late = () => new Error("it does not answer");
    for (const queue of this.queues.values()) await within(PATIENCE_MS, queue.waitUntilReady(), late);
  }

  async add(jobs: readonly Job[]): Promise<void> {
    for (const holder of new Set(jobs.map(holderOf)))
      await this.addTo(
        this.queue(holder),
        jobs.filter((job) => holderOf(job) === holder),
      );
  }

  private async addTo(queue: BullQueue, jobs: readonly Job[]): Promise<void> {
    for (let i = 0; i < jobs.length; i += BULK) {
      const bulk = jobs.slice(i, i + BULK);
      bulk.forEach(requireSmall);
      await queue.addBulk(
        bulk.map((job) => ({
          name: job.kind,
          data: job,
          opts: {
            jobId: job.id,
            attempts: ATTEMPTS,
            backoff: { type: "fixed", delay: RETRY_MS },
            removeOnComplete: true,
            removeOnFail: true,
          },
        })),
      );
    }
  }

  async counts(): Promise<Counts> {
    const late = () => new BnfoldError("temporary", `the queue ${this.label} does not answer`);
    const states = ["waiting", "active", "delayed", "paused", "prioritized"];
    let [waiting, active] = [0, 0];
    for (const queue of this.queues.values()) {
      const counts = await within(QUESTION_MS, queue.getJobCounts(...states), late);
      waiting += ["waiting", "delayed", "paused", "prioritized"].reduce((sum, state) => sum + (counts[state] ?? 0), 0);
      active += counts.active ?? 0;
    }
    return { waiting, active, workers: await this.workers() };
  }

  /** Servers that are run for others may not say who is connected. */
  private async workers(): Promise<string[] | undefined> {
    try {
      const late = () => new Error("late");
      const clients = [];
      for (const queue of this.queues.values()) clients.push(...(await within(QUESTION_MS, queue.getWorkers(), late)));
      return clients.map(({ name = "", rawname = "" }) => /:w:(.*)$/.exec(rawname)?.[1] ?? name);
    } catch {
      return undefined;
    }
  }

  async remove(jobs: readonly Job[]): Promise<void> {
    // One that is being done is locked, and stays.
    for (const job of jobs) await settled(this.queue(holderOf(job)).remove(job.id));
  }

  async close(): Promise<void> {
    for (const queue of this.queues.values()) await settled(within(QUESTION_MS, queue.close(), () => new Error("late")));
    await settled(within(QUESTION_MS, this.server.close(), () => new Error("late")));
  }

  /** Takes jobs for `hands`. */
  async take(hands: Hands, { name, jobs, lock, holder, onError: say }: TakerOptions): Promise<Taker> {
    const { bull, options, backend, safe } = this.server;
    const onError = (error: Error): void => say(safe(error));
    let busy = 0;
    let leaving = false;
    /** What hinders here would hinder every job: others get a chance to take them. */
    const rest = async (ms: number): Promise<void> => {
      await worker.pause(true);
      await wait(ms, undefined, { ref: false });
      if (!leaving) await worker.resume();
    };
    let endedAt = performance.now();
    const worker: BullWorker = new bull.Worker(
      this.name(holder),
      async (job, token) => {
        busy++;
        try {
          const outcome = await this.try(hands, job, onError);
          if (outcome.kind === "later" && outcome.here) rest(REST_MS).catch(onError);
          return await this.settle(job, token, outcome);
        } finally {
          busy--;
          endedAt = performance.now();
        }
      },
      {
        ...options,
        ...{ name, concurrency: jobs, lockDuration: 1000 * lock, stalledInterval: 1000 * lock },
        // Jobs count their own tries: one that takes its worker with it is found out by `perform`.
        maxStalledCount: ATTEMPTS,
      },
      backend,
    );
    worker.on("error", onError);
    await worker.waitUntilReady();
    return {
      drain: async () => {
        leaving = true;
        const paused = settled(worker.pause());
        while (busy > 0) await wait(LOOK_MS);
        // Nothing is under way: a server that is away need not be told.
        await settled(within(QUESTION_MS, paused, () => new Error("late")));
      },
      idleMs: () => (busy > 0 ? 0 : performance.now() - endedAt),
      close: () => settled(within(QUESTION_MS, worker.close(true), () => new Error("late"))),
    };
  }

  private async try(hands: Hands, job: BullJob, onError: TakerOptions["onError"]): Promise<Outcome> {
    const lost = job.attemptsMade + job.stalledCounter;
    try {
      return await hands.perform(job.data, { lost, later: Math.max(0, job.attemptsStarted - 1 - lost) });
    } catch (error) {
      // No job of ours: it leaves the queue, and nobody waits for it.
      onError(error as Error);
      throw new this.server.bull.UnrecoverableError((error as Error).message);
    }
  }

  private async settle(job: BullJob, token: string | undefined, outcome: Outcome): Promise<null> {
    const { DelayedError, WaitingError } = this.server.bull;
    if (outcome.kind === "later") {
      const tries = Math.max(0, job.attemptsStarted - 1 - job.attemptsMade - job.stalledCounter);
      await job.moveToDelayed(Date.now() + pauseMs(tries), token);
      throw new DelayedError();
    }
    if (outcome.kind === "back") {
      await job.moveToWait(token);
      throw new WaitingError();
    }
    if (outcome.kind === "lost") throw new Error(outcome.why);
    // Before this job is done: were it the last of its level, nobody else would add them.
    await this.add(outcome.next);
    return null;
  }
}

export type { BullEngine };

/**
 * The queue of a store and a program on a server, by the name of it and of those of holders.
 * @throws BnfoldError of kind "usage" when a package is missing, "temporary" when the server does not answer.
 */
export async function bullEngine(
  url: string,
  name: (holder: string | undefined) => string,
  onError: (error: Error) => void,
  holders: readonly (string | undefined)[] = [undefined],
): Promise<BullEngine> {
  const server = await connect(url, onError);
  const engine = new BullEngine(redacted(url), server, name, holders, (error) => onError(server.safe(error)));
  try {
    await engine.ready();
    return engine;
  } catch (error) {
    await engine.close();
    throw refused(url, error);
  }
}
