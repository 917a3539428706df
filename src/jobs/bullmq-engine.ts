/**
 * Jobs on a server, through BullMQ: redis:// and rediss:// (Redis, Valkey), postgres:// and postgresql://. The package and the
 * driver of the server are optional peers.
 *
 * One queue for each store and program: a worker of another version, or of another store, cannot get a job that is not its own.
 * Jobs are removed when they are done; the store knows that they are.
 */
import { BnfoldError } from "../diag/error.ts";
import { type Counts, type Engine, type Hands, type Outcome, pauseMs, type Taker, type TakerOptions } from "./engine.ts";
import { type Job, requireSmall } from "./job.ts";
import { required } from "./peer.ts";
import { redacted, withoutSecrets } from "./redact.ts";

/** What is used of BullMQ. */
interface BullJob {
  readonly data: unknown;
  readonly attemptsMade: number;
  readonly attemptsStarted: number;
  readonly stalledCounter: number;
  moveToDelayed(timestamp: number, token?: string): Promise<void>;
  moveToWait(token?: string): Promise<unknown>;
}

interface Emitter {
  on(event: "error", listener: (error: Error) => void): unknown;
}

interface BullQueue extends Emitter {
  addBulk(jobs: readonly { name: string; data: unknown; opts: object }[]): Promise<unknown>;
  getJobCounts(...types: string[]): Promise<Record<string, number>>;
  getWorkers(): Promise<readonly Record<string, string>[]>;
  remove(id: string): Promise<number>;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

interface BullWorker extends Emitter {
  waitUntilReady(): Promise<unknown>;
  pause(): Promise<void>;
  close(force?: boolean): Promise<void>;
}

interface Bull {
  readonly Queue: new (name: string, options: object, backend?: unknown) => BullQueue;
  readonly Worker: new (
    name: string,
    processor: (job: BullJob, token?: string) => Promise<unknown>,
    options: object,
    backend?: unknown,
  ) => BullWorker;
  readonly DelayedError: new () => Error;
  readonly WaitingError: new () => Error;
  readonly UnrecoverableError: new (message: string) => Error;
  readonly createPostgresBackend: unknown;
}

interface Redis extends Emitter {
  ping(): Promise<string>;
  disconnect(): void;
}

interface Client extends Emitter {
  connect(): Promise<void>;
  end(): Promise<void>;
}

/** A way to the server, and what closes it. */
interface Server {
  readonly bull: Bull;
  readonly options: { readonly connection: unknown; readonly prefix?: string };
  readonly backend: unknown;
  close(): Promise<void>;
}

/** How long a server may take to answer for the first time. */
const PATIENCE_MS = 15_000;
/** Jobs added with one request. */
const BULK = 500;
/** A job may be tried as often as its own counters say, which are compared elsewhere. */
const ATTEMPTS = 1_000_000;
const RETRY_MS = 1_000;

const KINDS = ["redis:", "rediss:", "postgres:", "postgresql:"];

function protocolOf(url: string): string {
  let protocol = "";
  try {
    protocol = new URL(url).protocol;
  } catch {
    // Told below.
  }
  if (KINDS.includes(protocol)) return protocol;
  throw new BnfoldError(
    "usage",
    `--queue ${redacted(url)}: there is no queue of that kind`,
    {},
    "redis://host, rediss://host (TLS), postgres://host/database, or leave it away to work on this machine alone.",
  );
}

/** Loses to `work` unless that takes too long. */
async function within<T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const alarm = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work, alarm]);
  } finally {
    clearTimeout(timer);
  }
}

async function connect(url: string, onError: (error: Error) => void): Promise<Server> {
  const protocol = protocolOf(url);
  const isRedis = protocol.startsWith("redis");
  const driver = isRedis ? "ioredis" : "pg";
  const modules = await required(["bullmq", driver], `--queue ${protocol}//`);
  const bull = modules[0] as Bull;
  let last = "no answer";
  const noted = (error: Error): void => {
    last = withoutSecrets(error.message || ((error as NodeJS.ErrnoException).code ?? "no answer"), url);
    onError(new Error(last));
  };
  const late = () =>
    new BnfoldError(
      "temporary",
      `the queue ${redacted(url)} does not answer: ${last}`,
      {},
      "Look at the URL, or try again when the server is there.",
    );
  if (isRedis) {
    const { Redis } = modules[1] as { Redis: new (url: string, options: object) => Redis };
    const redis = new Redis(url, { maxRetriesPerRequest: null });
    redis.on("error", noted);
    try {
      await within(PATIENCE_MS, redis.ping(), late);
    } catch (error) {
      redis.disconnect();
      throw error instanceof BnfoldError ? error : refused(url, error);
    }
    return { bull, options: { connection: redis, prefix: "bnfold" }, backend: undefined, close: async () => redis.disconnect() };
  }
  const { Client } = modules[1] as { Client: new (options: object) => Client };
  const client = new Client({ connectionString: url, connectionTimeoutMillis: PATIENCE_MS });
  client.on("error", noted);
  try {
    await within(PATIENCE_MS, client.connect(), late);
  } catch (error) {
    throw error instanceof BnfoldError ? error : refused(url, error);
  } finally {
    client.end().catch(() => undefined);
  }
  // Its tables are made where they are not there yet.
  const connection = { connectionString: url, keepAlive: true, migrate: true };
  return { bull, options: { connection }, backend: bull.createPostgresBackend, close: async () => undefined };
}

function refused(url: string, error: unknown): BnfoldError {
  const message = withoutSecrets((error as Error).message, url);
  return new BnfoldError(
    "temporary",
    `the queue ${redacted(url)} cannot be used: ${message}`,
    {},
    "Look at the URL, the user and the password.",
  );
}

const settled = async (work: Promise<unknown>): Promise<void> => void (await work.catch(() => undefined));

/** Time a question about the state may take before it is answered with what is not known. */
const QUESTION_MS = 5_000;

class BullEngine implements Engine {
  private readonly queue: BullQueue;

  constructor(
    readonly label: string,
    private readonly server: Server,
    private readonly name: string,
    onError: (error: Error) => void,
  ) {
    this.queue = new server.bull.Queue(name, server.options, server.backend);
    this.queue.on("error", onError);
  }

  async ready(): Promise<void> {
    await within(PATIENCE_MS, this.queue.waitUntilReady(), () => new Error("it does not answer"));
  }

  async add(jobs: readonly Job[]): Promise<void> {
    for (let i = 0; i < jobs.length; i += BULK) {
      const bulk = jobs.slice(i, i + BULK);
      bulk.forEach(requireSmall);
      await this.queue.addBulk(
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
    const counts = await within(QUESTION_MS, this.queue.getJobCounts(...states), late);
    const waiting = ["waiting", "delayed", "paused", "prioritized"].reduce((sum, state) => sum + (counts[state] ?? 0), 0);
    return { waiting, active: counts.active ?? 0, workers: await this.workers() };
  }

  /** Servers that are run for others may not say who is connected. */
  private async workers(): Promise<string[] | undefined> {
    try {
      const late = () => new Error("late");
      const clients = await within(QUESTION_MS, this.queue.getWorkers(), late);
      return clients.map(({ name = "", rawname = "" }) => /:w:(.*)$/.exec(rawname)?.[1] ?? name);
    } catch {
      return undefined;
    }
  }

  async remove(jobs: readonly Job[]): Promise<void> {
    // One that is being done is locked, and stays.
    for (const { id } of jobs) await settled(this.queue.remove(id));
  }

  async close(): Promise<void> {
    await settled(within(QUESTION_MS, this.queue.close(), () => new Error("late")));
    await settled(within(QUESTION_MS, this.server.close(), () => new Error("late")));
  }

  /** Takes jobs for `hands`. */
  async take(hands: Hands, { name, jobs, lock, onError }: TakerOptions): Promise<Taker> {
    const { bull, options, backend } = this.server;
    let busy = 0;
    let endedAt = performance.now();
    const worker = new bull.Worker(
      this.name,
      async (job, token) => {
        busy++;
        try {
          return await this.settle(job, token, await this.try(hands, job));
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
      drain: () => worker.pause(),
      idleMs: () => (busy > 0 ? 0 : performance.now() - endedAt),
      close: () => settled(within(QUESTION_MS, worker.close(true), () => new Error("late"))),
    };
  }

  private async try(hands: Hands, job: BullJob): Promise<Outcome> {
    const lost = job.attemptsMade + job.stalledCounter;
    try {
      return await hands.perform(job.data, { lost, later: Math.max(0, job.attemptsStarted - 1 - lost) });
    } catch (error) {
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
 * The queue of a store and a program on a server.
 * @throws BnfoldError of kind "usage" when a package is missing, "temporary" when the server does not answer.
 */
export async function bullEngine(url: string, name: string, onError: (error: Error) => void): Promise<BullEngine> {
  const server = await connect(url, onError);
  const told = (error: Error): void => onError(new Error(withoutSecrets(error.message, url)));
  const engine = new BullEngine(redacted(url), server, name, told);
  try {
    await engine.ready();
    return engine;
  } catch (error) {
    await engine.close();
    throw refused(url, error);
  }
}
