/** The way to a queue's server: which driver, whether it answers, and whether what it says passes. */
import { BnfoldError } from "../diag/error.ts";
import { within } from "./absence.ts";
import { required } from "./peer.ts";
import { redacted, withoutSecrets } from "./redact.ts";

/** What is used of BullMQ. */
export interface BullJob {
  readonly data: unknown;
  readonly attemptsMade: number;
  readonly attemptsStarted: number;
  readonly stalledCounter: number;
  extendLock(token: string, duration: number): Promise<number>;
  moveToDelayed(timestamp: number, token?: string): Promise<void>;
  moveToWait(token?: string): Promise<unknown>;
}

interface Emitter {
  on(event: "error", listener: (error: Error) => void): unknown;
}

export interface BullQueue extends Emitter {
  addBulk(jobs: readonly { name: string; data: unknown; opts: object }[]): Promise<unknown>;
  getJobCounts(...types: string[]): Promise<Record<string, number>>;
  isPaused(): Promise<boolean>;
  getWorkers(): Promise<readonly Record<string, string>[]>;
  remove(id: string): Promise<number>;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

export interface BullWorker extends Emitter {
  waitUntilReady(): Promise<unknown>;
  pause(doNotWaitActive?: boolean): Promise<void>;
  resume(): Promise<void>;
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
  readonly createPostgresBackend: (...args: readonly unknown[]) => object;
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
export interface Server {
  readonly bull: Bull;
  readonly options: { readonly connection: unknown; readonly prefix?: string };
  readonly backend: unknown;
  /** What a driver said, without the secrets of the URL. */
  safe(error: Error): Error;
  close(): Promise<void>;
}

/** How long a server may take to answer for the first time, in one try. */
const PATIENCE_MS = 15_000;
/** Of PostgreSQL, one query: a connection whose other end is gone without a word would be waited for much longer. */
const QUERY_MS = 60_000;
/** Seconds a worker with nothing to do sleeps on PostgreSQL at the most, for Redis' driver the same. */
const SLEEP_SECONDS = 10;

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

/** What no waiting changes: a password, a right, a database that is not there, a certificate. */
const DENIED = /^(NOAUTH|WRONGPASS|NOPERM)\b|authentication failed/;
const DENIED_CODES = ["28000", "28P01", "3D000"];
const isCertificate = ({ code = "", message }: NodeJS.ErrnoException): boolean =>
  /CERT|UNABLE_TO_VERIFY|SELF_SIGNED/.test(code) || /certificate/i.test(message);

const AWAY_CODES = /^(E(CONN|PIPE|TIMEDOUT|HOST|NET|NOTFOUND|AI_)|57P0|08|53300)/;
const AWAY = /connection (is )?(terminated|clos)|isn't writeable|not writable|timeout|\bE(CONN|PIPE)|^LOADING\b/i;

/** True for what a driver says when its server is not there, or just goes or comes. */
export const isAway = ({ code, message }: NodeJS.ErrnoException): boolean => AWAY_CODES.test(code ?? "") || AWAY.test(message);

/** What a server's no means: of kind "usage" when the same again would end the same, else "temporary". */
export function refused(url: string, thrown: unknown): BnfoldError {
  const error = thrown as NodeJS.ErrnoException;
  const stays = DENIED.test(error.message) || DENIED_CODES.includes(error.code ?? "") || isCertificate(error);
  const hint = isCertificate(error)
    ? "Certificates of one's own: NODE_EXTRA_CA_CERTS=<file>, or for PostgreSQL sslrootcert=<file> in the URL."
    : "Look at the URL, the user and the password.";
  const message = withoutSecrets(error.message || (error.code ?? "no answer"), url);
  return new BnfoldError(stays ? "usage" : "temporary", `the queue ${redacted(url)} cannot be used: ${message}`, {}, hint);
}

/** What a driver says on the way, told on without secrets; the first answer, or why there is none. */
class Door {
  private last = "no answer";
  private isOpen = false;
  private readonly closed: Promise<never>;
  private close: (error: BnfoldError) => void = () => undefined;

  constructor(
    private readonly url: string,
    private readonly patience: number,
    private readonly onError: (error: Error) => void,
  ) {
    this.closed = new Promise((_, reject) => {
      this.close = reject;
    });
    this.closed.catch(() => undefined);
  }

  readonly safe = (error: Error): Error =>
    new Error(withoutSecrets(error.message || ((error as NodeJS.ErrnoException).code ?? "no answer"), this.url));

  readonly noted = (error: Error): void => {
    const known = this.safe(error);
    this.last = known.message;
    const refusal = refused(this.url, error);
    // Drivers try for ever where another try cannot help.
    if (refusal.kind === "usage" && !this.isOpen) this.close(refusal);
    // Whoever waits for a server that is away says so, once.
    else if (!this.isOpen || !isAway(error)) this.onError(known);
  };

  /** @throws BnfoldError of kind "usage" or "temporary". */
  async first(answer: Promise<unknown>): Promise<void> {
    const late = () =>
      new BnfoldError(
        "temporary",
        `the queue ${redacted(this.url)} does not answer: ${this.last}`,
        {},
        "Look at the URL, or try again when the server is there.",
      );
    try {
      await within(this.patience, Promise.race([answer, this.closed]), late);
      this.isOpen = true;
    } catch (error) {
      throw error instanceof BnfoldError ? error : refused(this.url, error);
    }
  }
}

type Way = Omit<Server, "bull" | "safe">;

async function redisWay(driver: unknown, url: string, door: Door): Promise<Way> {
  const { Redis } = driver as { Redis: new (url: string, options: object) => Redis };
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on("error", door.noted);
  try {
    await door.first(redis.ping());
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  const options = { connection: redis, prefix: "bnfold" };
  return { options, backend: undefined, close: async () => redis.disconnect() };
}

async function postgresWay(driver: unknown, url: string, door: Door, bull: Bull): Promise<Way> {
  const { Client } = driver as { Client: new (options: object) => Client };
  const connection = {
    ...{ connectionString: url, keepAlive: true, connectionTimeoutMillis: PATIENCE_MS, query_timeout: QUERY_MS },
    // Its tables are made where they are not there yet.
    migrate: true,
    // Between two queries of one task nobody else listens, and an error that nobody hears ends the process.
    Client: class extends Client {
      constructor(options: object) {
        super(options);
        this.on("error", () => undefined);
      }
    },
  };
  const client = new Client(connection);
  client.on("error", door.noted);
  try {
    await door.first(client.connect());
  } finally {
    client.end().catch(() => undefined);
  }
  // After an error it would sleep for an hour unless it is woken, and what wakes it may be lost with a connection.
  const backend = (...args: readonly unknown[]) =>
    Object.defineProperty(bull.createPostgresBackend(...args), "maximumBlockTimeout", { value: SLEEP_SECONDS });
  return { options: { connection }, backend, close: async () => undefined };
}

/**
 * One try, of `patience` milliseconds at the most.
 * @throws BnfoldError of kind "usage" when a package is missing or the server says no, "temporary" when it does not answer.
 */
export async function connect(url: string, patience: number, onError: (error: Error) => void): Promise<Server> {
  const protocol = protocolOf(url);
  const isRedis = protocol.startsWith("redis");
  const modules = await required(["bullmq", isRedis ? "ioredis" : "pg"], `--queue ${protocol}//`);
  const bull = modules[0] as Bull;
  const door = new Door(url, Math.min(patience, PATIENCE_MS), onError);
  const way = isRedis ? await redisWay(modules[1], url, door) : await postgresWay(modules[1], url, door, bull);
  return { bull, safe: door.safe, ...way };
}
