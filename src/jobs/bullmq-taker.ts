/**
 * A worker's side of a queue on a server: takes jobs, and sees a server through that goes away and comes back.
 *
 * BullMQ alone would ask a server that is starting up without a pause, and would tell a job's end to a server that is away and forget
 * it. So the server is asked now and then whether it is there. While it is not, no job is taken and no end of a job is told; when it
 * is back, locks are renewed first, for they ran on, and jobs that stand still are looked for when everybody had time to do so.
 */
import { setTimeout as wait } from "node:timers/promises";
import { Absence, backoffMs, isPassing, settled, within } from "./absence.ts";
import { type Hands, type Outcome, pauseMs, type Taker, type TakerOptions } from "./engine.ts";
import type { Job } from "./job.ts";
import { type BullJob, type BullWorker, isAway, type Server } from "./queue-server.ts";

/** Where jobs are taken from. */
export interface Place {
  readonly server: Server;
  /** The server, as it may be shown. */
  readonly label: string;
  /** Of the queue. */
  readonly name: string;
  /** Any answer. @throws BnfoldError of kind "temporary" when there is none. */
  readonly ask: () => Promise<unknown>;
  readonly add: (jobs: readonly Job[]) => Promise<void>;
}

/** A job may be tried as often as its own counters say, which are compared elsewhere. */
export const ATTEMPTS = 1_000_000;
/** How long a worker rests whose machine hinders it, its disk is full for instance: twice as long each time, until a job is done. */
const REST_MS = 5_000;
const LONGEST_REST_MS = 60_000;
/** How often is looked whether jobs have ended. */
const LOOK_MS = 100;
/** How often a server that complains about nothing is asked whether it is there. */
const PULSE_MS = 5_000;
/** Between two tries of what a server did not take. */
const RETRY_MS = 1_000;
const CLOSE_MS = 5_000;

const late = (): Error => new Error("late");

class BullTaker implements Taker {
  readonly absence: Absence;
  private readonly worker: BullWorker;
  /** Jobs under way, with what shows that they are ours. */
  private readonly jobs = new Map<BullJob, string | undefined>();
  /** Why no job is taken. */
  private readonly holds = new Set<"rest" | "away">();
  private readonly closing = new AbortController();
  /** Jobs in a row that this machine could not do. */
  private hindered = 0;
  private leaving = false;
  private endedAt = performance.now();
  private knock = (): void => undefined;

  constructor(
    private readonly place: Place,
    private readonly hands: Hands,
    private readonly options: TakerOptions,
  ) {
    const { server, name, label } = place;
    const { jobs, lock, patience, onError } = options;
    this.absence = new Absence(`the queue ${label}`, patience, (message) => onError(new Error(message)));
    this.worker = new server.bull.Worker(
      name,
      (job, token) => this.process(job, token),
      {
        ...server.options,
        ...{ name: options.name, concurrency: jobs, lockDuration: 1000 * lock, stalledInterval: 1000 * lock },
        // Jobs count their own tries: one that takes its worker with it is found out by `perform`.
        maxStalledCount: ATTEMPTS,
        runRetryDelay: RETRY_MS,
      },
      server.backend,
    );
    this.worker.on("error", this.onError);
  }

  async ready(): Promise<void> {
    await this.worker.waitUntilReady();
    void this.watch();
  }

  async drain(): Promise<void> {
    this.leaving = true;
    const paused = settled(this.worker.pause());
    while (this.jobs.size > 0) await wait(LOOK_MS);
    // Nothing is under way: a server that is away need not be told.
    await settled(within(this.goodbyeMs, paused, late));
  }

  idleMs(): number {
    return this.jobs.size > 0 || this.absence.isNow ? 0 : performance.now() - this.endedAt;
  }

  async close(): Promise<void> {
    this.closing.abort();
    await settled(within(this.goodbyeMs, this.worker.close(true), late));
  }

  /** Nobody waits for a server that is away. */
  private get goodbyeMs(): number {
    return this.absence.isNow ? 0 : CLOSE_MS;
  }

  private readonly onError = (error: Error): void => {
    if (isAway(error)) this.knock();
    else this.options.onError(this.place.server.safe(error));
  };

  private async hold(why: "rest" | "away"): Promise<void> {
    this.holds.add(why);
    await this.worker.pause(true);
  }

  private async free(why: "rest" | "away"): Promise<void> {
    this.holds.delete(why);
    if (this.holds.size === 0 && !this.leaving) await this.worker.resume();
  }

  /** What hinders here would hinder every job: others get a chance to take them. */
  private async rest(): Promise<void> {
    if (this.holds.has("rest")) return;
    await this.hold("rest");
    await wait(Math.min(LONGEST_REST_MS, REST_MS * 2 ** this.hindered++), undefined, { ref: false });
    await this.free("rest");
  }

  /** Asks the server whether it is there, until this is closed. */
  private async watch(): Promise<void> {
    for (let missed = 0; !this.closing.signal.aborted; ) {
      await this.pause(missed);
      try {
        await this.place.ask();
        if (missed > 0) await this.back(missed);
        missed = 0;
      } catch (error) {
        missed++;
        this.absence.missed((error as Error).message);
        await settled(this.hold("away"));
      }
    }
  }

  /** Between two looks: a complaint ends it, but not while the server is known to be away. */
  private async pause(missed: number): Promise<void> {
    const complaint = new AbortController();
    this.knock = () => {
      if (missed === 0) complaint.abort();
    };
    const signal = AbortSignal.any([complaint.signal, this.closing.signal]);
    await wait(missed === 0 ? PULSE_MS : backoffMs(missed - 1), undefined, { signal }).catch(() => undefined);
  }

  private async back(missed: number): Promise<void> {
    for (const [job, token] of this.jobs)
      if (token !== undefined) await settled(within(CLOSE_MS, job.extendLock(token, 1000 * this.options.lock), late));
    // Others come back within as long: their jobs do not stand still.
    await wait(backoffMs(missed - 1, 1));
    this.absence.seen();
    await settled(this.free("away"));
  }

  private async process(job: BullJob, token: string | undefined): Promise<null> {
    this.jobs.set(job, token);
    try {
      const outcome = await this.try(job);
      if (outcome.kind === "later" && outcome.here) this.rest().catch(this.onError);
      else if (outcome.kind === "done") this.hindered = 0;
      return await this.settle(job, token, outcome);
    } finally {
      this.jobs.delete(job);
      this.endedAt = performance.now();
    }
  }

  private async try(job: BullJob): Promise<Outcome> {
    const lost = job.attemptsMade + job.stalledCounter;
    try {
      return await this.hands.perform(job.data, { lost, later: Math.max(0, job.attemptsStarted - 1 - lost) });
    } catch (error) {
      // No job of ours: it leaves the queue, and nobody waits for it.
      this.options.onError(error as Error);
      throw new this.place.server.bull.UnrecoverableError((error as Error).message);
    }
  }

  private async settle(job: BullJob, token: string | undefined, outcome: Outcome): Promise<null> {
    const { DelayedError, WaitingError } = this.place.server.bull;
    if (outcome.kind === "later") {
      const tries = Math.max(0, job.attemptsStarted - 1 - job.attemptsMade - job.stalledCounter);
      // Where this machine is what hinders, another one need not wait.
      const pause = pauseMs(outcome.here ? 0 : tries);
      await this.reach(() => job.moveToDelayed(Date.now() + pause, token));
      throw new DelayedError();
    }
    if (outcome.kind === "back") {
      await this.reach(() => job.moveToWait(token));
      throw new WaitingError();
    }
    // Before this job is done: were it the last of its level, nobody else would add them.
    const next = outcome.kind === "done" ? outcome.next : [];
    await this.reach(() => this.place.add(next));
    if (outcome.kind === "lost") throw new Error(outcome.why);
    return null;
  }

  /** Tells the server something, when it is there; a worker that leaves does not wait for it. */
  private async reach<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      while (this.holds.has("away") && !this.leaving) await wait(LOOK_MS);
      try {
        return await work();
      } catch (error) {
        if (this.leaving || !(isPassing(error) || isAway(error as Error))) throw error;
        this.knock();
        await wait(backoffMs(0));
      }
    }
  }
}

/** Takes jobs of `place` for `hands`. */
export async function takeJobs(place: Place, hands: Hands, options: TakerOptions): Promise<Taker> {
  const taker = new BullTaker(place, hands, options);
  try {
    await within(CLOSE_MS * 3, taker.ready(), () => new Error("timeout: the queue does not answer"));
    return taker;
  } catch (error) {
    await taker.close();
    throw error;
  }
}
