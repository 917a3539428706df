/**
 * A job: data that says what to do with which keys. What comes out of a queue was written by somebody; it is compared with this
 * schema, byte limit first, before anything is done, and it can name nothing but keys of the store and options of a command.
 */
import { createHash } from "node:crypto";
import { BnfoldError } from "../diag/error.ts";
import { VERSION } from "../report/version.ts";
import { requireKey } from "./keys.ts";

/** Largest job, as JSON. A queue keeps all of them in memory. */
export const MAX_JOB_BYTES = 16_384;

/** A file in the store, as it was when the job was made. */
export interface Ref {
  readonly key: string;
  readonly version: string;
}

export type Options = Readonly<Record<string, string | number | boolean | readonly string[]>>;

interface Base {
  readonly v: 1;
  readonly id: string;
  /** What it belongs to: one command on one set of models. */
  readonly run: string;
  /** Program that may do it: another one may write other bytes. */
  readonly tag: string;
  /** Tries when its process crashes, or goes beyond its limits. */
  readonly attempts: number;
  /** Tries when something passes: a full disk, a store that does not answer. */
  readonly retries: number;
}

export interface FoldJob extends Base {
  readonly kind: "fold";
  /** Its name in the report. */
  readonly file: string;
  readonly model: Ref;
  readonly options: Options;
}

export interface VerifyJob extends Base {
  readonly kind: "verify";
  readonly file: string;
  readonly a: Ref;
  readonly b: Ref;
  readonly options: Options;
}

/**
 * The number of samples a holder of data has, a part of the blocks of one level of layers, the merge of a level, and the model at
 * the end: what the run's plan says.
 */
export interface StepJob extends Base {
  readonly kind: "count" | "shard" | "merge" | "apply";
  /** Whose data it is about: nobody else can do it. */
  readonly holder?: string;
  readonly level: number;
  readonly index: number;
  readonly of: number;
}

export type Job = FoldJob | VerifyJob | StepJob;

const digest = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("hex");

/** A name made of what it stands for: no ":" in it, and never digits only, as queues want it. */
export const nameOf = (kind: string, ...of: readonly unknown[]): string => `${kind}-${digest(of).slice(0, 32)}`;

/** The name of a result: what was read, what was asked for, and which program did it. */
export const resultOf = (kind: string, content: string, options: Options, tag: string): string =>
  digest([kind, content, options, tag]);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Names of those who hold data: part of the name of a queue, and of files. */
export const isHolder = (value: unknown): value is string =>
  typeof value === "string" && /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/.test(value);

/** Whose queue a job belongs into; undefined where everybody may do it. */
export const holderOf = (job: Job): string | undefined => ("holder" in job ? job.holder : undefined);

const NAME = /^[a-z]+-[0-9a-z-]{1,96}$/;
const KINDS = ["fold", "verify", "count", "shard", "merge", "apply"] as const;
const STEP = ["level", "index", "of"] as const;
const FIELDS: Readonly<Record<(typeof KINDS)[number], readonly string[]>> = {
  fold: ["file", "model", "options"],
  verify: ["file", "a", "b", "options"],
  ...{ count: [...STEP, "holder"], shard: [...STEP, "holder"], merge: STEP, apply: STEP },
};
const COMMON = ["v", "kind", "id", "run", "tag", "attempts", "retries"];

const isCount = (value: unknown, most: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
const isRef = (value: unknown): boolean =>
  isObject(value) &&
  Object.keys(value).length === 2 &&
  requireKey(value.key) !== "" &&
  typeof value.version === "string" &&
  value.version.length <= 256;

const isOption = (value: unknown): boolean =>
  ["string", "number", "boolean"].includes(typeof value) ||
  (Array.isArray(value) && value.every((part) => typeof part === "string"));

/** What a field must be; the message when it is not. */
function wrong(job: Record<string, unknown>, allowed: ReadonlySet<string>): string | undefined {
  const kind = KINDS.find((name) => name === job.kind);
  if (kind === undefined) return `its kind is ${JSON.stringify(job.kind)}`;
  const extra = Object.keys(job).find((name) => !COMMON.includes(name) && !FIELDS[kind].includes(name));
  if (extra !== undefined) return `it has a field ${JSON.stringify(extra)}`;
  if (job.v !== 1) return `its version is ${JSON.stringify(job.v)}`;
  for (const name of ["id", "run"]) if (typeof job[name] !== "string" || !NAME.test(job[name])) return `its ${name} is no name`;
  if (typeof job.tag !== "string" || job.tag.length > 100) return "it does not say which program may do it";
  if (!isCount(job.attempts, 1000) || !isCount(job.retries, 100_000)) return "it does not say how often it may be tried";
  if (kind === "fold" || kind === "verify") {
    requireKey(job.file);
    const refs = kind === "fold" ? [job.model] : [job.a, job.b];
    if (!refs.every(isRef)) return "it does not name its files";
    const options = Object.entries(isObject(job.options) ? job.options : { "": null });
    const bad = options.find(([name, value]) => !allowed.has(name) || !isOption(value));
    return bad === undefined ? undefined : `its option ${JSON.stringify(bad[0])} is none`;
  }
  if (!STEP.every((name) => isCount(job[name], 1e6))) return "it is not placed";
  if (job.holder === undefined) return kind === "count" ? "it does not say whose data it is about" : undefined;
  return isHolder(job.holder) ? undefined : "its holder is no name";
}

/**
 * A job out of a queue. `allowed`: options a job may have.
 * @throws BnfoldError of kind "usage" when it is too large, or not what it should be.
 */
export function requireJob(data: unknown, allowed: ReadonlySet<string>): Job {
  const bad = (why: string): BnfoldError =>
    new BnfoldError("usage", `a job cannot be done: ${why}`, {}, "Jobs are made by bnfold jobs.");
  let written: string;
  try {
    written = JSON.stringify(data) ?? "";
  } catch {
    throw bad("it is no data");
  }
  const bytes = Buffer.byteLength(written);
  if (bytes > MAX_JOB_BYTES) throw bad(`it has ${bytes} bytes, at most ${MAX_JOB_BYTES} are taken`);
  if (!isObject(data)) throw bad("it is no object");
  const why = wrong(data, allowed);
  if (why !== undefined) throw bad(why);
  return data as unknown as Job;
}

/** @throws BnfoldError of kind "usage" when a job is too large for a queue. */
export function requireSmall(job: Job): void {
  const bytes = Buffer.byteLength(JSON.stringify(job));
  if (bytes > MAX_JOB_BYTES)
    throw new BnfoldError(
      "usage",
      `a job would have ${bytes} bytes, at most ${MAX_JOB_BYTES} are taken`,
      {},
      "Give fewer or shorter patterns.",
    );
}

/**
 * What must be the same for the same bytes: the program, and the engine whose elementary functions (exp, tanh, …) it calls.
 * `build` names the program's code.
 */
export const tagOf = (build: string, v8: string = process.versions.v8): string =>
  `${VERSION}-${build}-v8.${v8.split(".").slice(0, 2).join(".")}`;
