/**
 * An engine brings jobs to processes that do them. It may lose everything at any time: what is done is in the store, and what is
 * not is added again. Two are there: `local`, in this process's children, and BullMQ on a server.
 */
import { BnfoldError } from "../diag/error.ts";
import type { Absence } from "./absence.ts";
import type { Job } from "./job.ts";
import { holdsSecret, redacted } from "./redact.ts";

/** What became of one try. */
export type Outcome =
  | { readonly kind: "done"; readonly next: readonly Job[] }
  /** Nothing is wrong with the job: it is tried again later, here or elsewhere. `here`: this machine is what hinders. */
  | { readonly kind: "later"; readonly why: string; readonly here: boolean }
  /** Its process did not survive it. */
  | { readonly kind: "lost"; readonly why: string }
  /** Handed back, because this process leaves: another one begins at once. */
  | { readonly kind: "back" };

/** How often a job was tried before. */
export interface Tries {
  /** Processes that it took with it, or that went beyond their limits. */
  readonly lost: number;
  /** Times it had to wait for something that passes. */
  readonly later: number;
}

export interface Hands {
  /** One try of a job. */
  perform(job: unknown, tries: Tries): Promise<Outcome>;
}

export interface Counts {
  readonly waiting: number;
  readonly active: number;
  /** Processes that take jobs, by name; undefined where that cannot be known. */
  readonly workers: readonly string[] | undefined;
}

export interface Engine {
  readonly label: string;
  /** Puts jobs in. One whose id is in already is left as it is. */
  add(jobs: readonly Job[]): Promise<void>;
  counts(): Promise<Counts>;
  /** Takes out jobs that nobody has begun. */
  remove(jobs: readonly Job[]): Promise<void>;
  /** Stops looking; where the engine is this process, it also stops working. */
  close(): Promise<void>;
}

/** Something that takes jobs out of an engine until it is told to stop. */
export interface Taker {
  /** Takes no more, and waits for what is under way. */
  drain(): Promise<void>;
  /** Milliseconds since the last job ended; 0 while one is under way, or while nobody can say whether there are any. */
  idleMs(): number;
  /** Of the server that jobs come from. */
  readonly absence: Absence;
  close(): Promise<void>;
}

export interface TakerOptions {
  readonly name: string;
  /** Jobs at the same time. */
  readonly jobs: number;
  /** Seconds after which a job of a process that is gone goes to another one. */
  readonly lock: number;
  /** Takes what this holder of data alone can do. */
  readonly holder?: string;
  /** Milliseconds after which a server that is away is given up. */
  readonly patience: number;
  readonly onError: (error: Error) => void;
}

/** Milliseconds until something that had to wait is tried again: one second, twice as long each time, a minute at most. */
export const pauseMs = (tries: number): number => Math.min(60_000, 1_000 * 2 ** Math.min(tries, 10));

/**
 * The URL of a queue: from the option, or from BNFOLD_QUEUE, which no list of processes shows. `argv`: what such a list shows; an
 * option may have come from the variable or a file.
 */
export function queueUrl(
  option: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  argv: readonly string[] = process.argv,
): string | undefined {
  if (option !== undefined && holdsSecret(option) && argv.some((word) => word.includes(option))) {
    throw new BnfoldError(
      "usage",
      `--queue ${redacted(option)} holds a password, which every list of processes would show`,
      {},
      "Put the URL into the environment variable BNFOLD_QUEUE, and leave --queue away.",
    );
  }
  return option ?? (env.BNFOLD_QUEUE || undefined);
}
