/**
 * Jobs on a server, through BullMQ: redis:// and rediss:// (Redis, Valkey), postgres:// and postgresql://. The package and the
 * driver of the server are optional peers.
 *
 * One queue for each store and program: a worker of another version, or of another store, cannot get a job that is not its own.
 * Jobs are removed when they are done; the store knows that they are.
 */
import { BnfoldError } from "../diag/error.ts";
import { Absence, isPassing, persist, settled, within } from "./absence.ts";
import { ATTEMPTS, type Place, takeJobs } from "./bullmq-taker.ts";
import type { Counts, Engine, Hands, Taker, TakerOptions } from "./engine.ts";
import { holderOf, type Job, requireSmall } from "./job.ts";
import { type BullQueue, connect, isAway, refused, type Server } from "./queue-server.ts";
import { redacted } from "./redact.ts";

/** Jobs added with one request. */
const BULK = 500;
const RETRY_MS = 1_000;

/** Time a question about the state may take before it is answered with what is not known. */
const QUESTION_MS = 5_000;
/** Time to say goodbye to a server that does not answer. */
const GOODBYE_MS = 250;
/** Time for many jobs to be put in, or for tables to be made. */
const WORK_MS = 60_000;

export interface EngineOptions {
  /** Name of the queue of what a holder of data alone can do, and of what everybody can (undefined). */
  readonly name: (holder: string | undefined) => string;
  readonly onError: (error: Error) => void;
  /** Whose queues are looked into. */
  readonly holders?: readonly (string | undefined)[];
  /** Milliseconds in which the server must answer for the first time. */
  readonly patience: number;
}

class BullEngine implements Engine {
  /** By whose data they are about; undefined for what everybody can do. */
  private readonly queues = new Map<string | undefined, BullQueue>();

  readonly label: string;
  private readonly name: EngineOptions["name"];
  private readonly patience: number;
  private readonly onError: (error: Error) => void;
  /** It answered the last question. */
  private isThere = true;

  constructor(
    private readonly url: string,
    private readonly server: Server,
    { name, onError, holders = [undefined], patience }: EngineOptions,
  ) {
    this.label = redacted(url);
    this.name = name;
    this.patience = patience;
    // Who asks and gets no answer says so, once.
    this.onError = (error) => {
      if (!isAway(error)) onError(server.safe(error));
    };
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
    for (const queue of this.queues.values()) await this.ask(queue.waitUntilReady(), WORK_MS);
  }

  /** An answer of the server. @throws BnfoldError of kind "temporary" when there is none. */
  private async ask<T>(work: Promise<T>, ms = Math.min(QUESTION_MS, this.patience)): Promise<T> {
    const late = () => new BnfoldError("temporary", `the queue ${this.label} does not answer`);
    try {
      const answer = await within(ms, work, late);
      this.isThere = true;
      return answer;
    } catch (error) {
      const told = this.told(error);
      this.isThere = !isPassing(told);
      throw told;
    }
  }

  /** An error of a driver as one of ours, when it passes. */
  private told(error: unknown): unknown {
    return !(error instanceof BnfoldError) && isAway(error as Error) ? refused(this.url, error) : error;
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
      const rows = bulk.map((job) => ({
        name: job.kind,
        data: job,
        opts: {
          jobId: job.id,
          attempts: ATTEMPTS,
          backoff: { type: "fixed", delay: RETRY_MS },
          removeOnComplete: true,
          removeOnFail: true,
        },
      }));
      await this.ask(queue.addBulk(rows), WORK_MS);
    }
  }

  async counts(): Promise<Counts> {
    const states = ["waiting", "active", "delayed", "paused", "prioritized"];
    let [waiting, active] = [0, 0];
    for (const queue of this.queues.values()) {
      const counts = await this.ask(queue.getJobCounts(...states));
      waiting += ["waiting", "delayed", "paused", "prioritized"].reduce((sum, state) => sum + (counts[state] ?? 0), 0);
      active += counts.active ?? 0;
    }
    return { waiting, active, workers: await this.workers() };
  }

  /** Servers that are run for others may not say who is connected. */
  private async workers(): Promise<string[] | undefined> {
    try {
      const clients = [];
      for (const queue of this.queues.values()) clients.push(...(await this.ask(queue.getWorkers())));
      return clients.map(({ name = "", rawname = "" }) => /:w:(.*)$/.exec(rawname)?.[1] ?? name);
    } catch {
      return undefined;
    }
  }

  async remove(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) {
      try {
        await this.ask(this.queue(holderOf(job)).remove(job.id));
      } catch (error) {
        // One that is being done is locked, and stays.
        if (isPassing(error)) throw error;
      }
    }
  }

  async close(): Promise<void> {
    const ms = this.isThere ? QUESTION_MS : GOODBYE_MS;
    const late = () => new Error("late");
    for (const queue of this.queues.values()) await settled(within(ms, queue.close(), late));
    await settled(within(ms, this.server.close(), late));
  }

  /** Takes jobs for `hands`. */
  async take(hands: Hands, options: TakerOptions): Promise<Taker> {
    const { holder } = options;
    const place: Place = {
      ...{ server: this.server, label: this.label, name: this.name(holder) },
      ask: () => this.ask(this.queue(holder).isPaused()),
      add: (jobs) => this.add(jobs),
    };
    return persist(this.patience, async () => {
      try {
        return await takeJobs(place, hands, options);
      } catch (error) {
        throw this.told(error);
      }
    });
  }
}

export type { BullEngine };

/**
 * Queues of a store and a program on a server.
 * @throws BnfoldError of kind "usage" when a package is missing or the server says no, "temporary" when it does not answer in time.
 */
export async function bullEngine(url: string, options: EngineOptions): Promise<BullEngine> {
  const { patience, onError } = options;
  const absence = new Absence(`the queue ${redacted(url)}`, patience, (message) => onError(new Error(message)));
  // What it lost before it was ready a driver does not ask for again: all is made anew.
  const opened = async (): Promise<BullEngine> => {
    const server = await connect(url, patience, onError);
    const engine = new BullEngine(url, server, options);
    try {
      await engine.ready();
      return engine;
    } catch (error) {
      await engine.close();
      throw error instanceof BnfoldError ? error : refused(url, error);
    }
  };
  const engine = await persist(patience, async () => {
    try {
      return await opened();
    } catch (error) {
      if (isPassing(error)) absence.missed((error as Error).message);
      throw error;
    }
  });
  absence.seen();
  return engine;
}
