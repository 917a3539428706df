/** A server that is away: how long is waited between two tries, when all of them are given up, and what is said of it. */
import { setTimeout as wait } from "node:timers/promises";
import { BnfoldError } from "../diag/error.ts";

const FIRST_MS = 250;
const LONGEST_MS = 5_000;

/**
 * Milliseconds between try `i` (from 0) and the next: twice as long each time, five seconds at most, and somewhere between half and
 * all of it (`share`, 0 to 1), so that many who lost the same server do not come back at once.
 */
export const backoffMs = (i: number, share = Math.random()): number =>
  Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(i, 10)) * (0.5 + share / 2);

/** Loses to `work` unless that takes too long. */
export async function within<T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> {
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

/** Waits for an end, whichever. */
export const settled = async (work: Promise<unknown>): Promise<void> => void (await work.catch(() => undefined));

/** What the same again, later, may not end with. */
export const isPassing = (error: unknown): boolean => error instanceof BnfoldError && error.kind === "temporary";

/** Tries until it goes, or until what hinders does not pass, or for `ms` milliseconds at the most; then the last error. */
export async function persist<T>(ms: number, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const end = performance.now() + ms;
  for (let i = 0; ; i++) {
    try {
      return await work();
    } catch (error) {
      const pause = backoffMs(i);
      if (!isPassing(error) || signal?.aborted === true || performance.now() + pause > end) throw error;
      await wait(pause);
    }
  }
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

/** How long a server has not answered: told when it goes and when it is back, and given up after `limit` milliseconds. */
export class Absence {
  private since: number | undefined;

  constructor(
    /** "the queue redis://host". */
    private readonly what: string,
    private readonly limit: number,
    private readonly tell: (message: string) => void,
  ) {}

  get isNow(): boolean {
    return this.since !== undefined;
  }

  seen(): void {
    if (this.since !== undefined) this.tell(`${this.what} answers again, after ${seconds(performance.now() - this.since)}`);
    this.since = undefined;
  }

  missed(message: string): void {
    if (this.since !== undefined) return;
    this.since = performance.now();
    this.tell(`${message}; waiting for it, ${seconds(this.limit)} at most`);
  }

  /** Why it is given up, when it has been away for too long: an error of kind "temporary". */
  failure(hint: string): BnfoldError | undefined {
    if (this.since === undefined || performance.now() - this.since <= this.limit) return undefined;
    return new BnfoldError("temporary", `${this.what} has not answered for ${seconds(this.limit)}: given up`, {}, hint);
  }
}
