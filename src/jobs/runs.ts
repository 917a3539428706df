/** Runs: what a command asked for, and what of it is done, as the store has it. */
import { randomBytes } from "node:crypto";
import { BnfoldError } from "../diag/error.ts";
import type { Job, Options, Ref } from "./job.ts";
import { cancelKey, doneFolder, doneKey, RUNS, runKey, STORE, TAGS, tagKey } from "./layout.ts";
import { bytesOf, getJson, type Store } from "./store.ts";

/** A recalibration: what its jobs read. */
export interface Plan {
  readonly model: Ref;
  /** In the order of their samples; `input` for one of several inputs. `samples`: of arrays whose rows are read by ranges. */
  readonly data: readonly (Ref & { readonly input?: string; readonly samples?: number; readonly bytes: number })[];
  /** 0 where others hold the data: what they say of it is in the store. */
  readonly samples: number;
  readonly block: number;
  /** Passes over the data. */
  readonly levels: number;
  /** Those who hold data that nobody else sees, in the order of their samples. */
  readonly holders?: readonly string[];
}

export interface Run {
  readonly version: 1;
  readonly run: string;
  readonly kind: "fold" | "verify" | "recalibrate";
  /** The command, for people. */
  readonly title: string;
  readonly tag: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly options: Options;
  readonly jobs: readonly Job[];
  readonly plan?: Plan;
}

const isRun = (value: unknown): value is Run =>
  typeof value === "object" &&
  value !== null &&
  "run" in value &&
  "jobs" in value &&
  Array.isArray(value.jobs) &&
  "kind" in value;

/** @throws BnfoldError of kind "usage" when there is no such run. */
export async function readRun(store: Store, run: string): Promise<Run> {
  const value = await getJson(store, runKey(run));
  if (isRun(value)) return value;
  throw new BnfoldError("usage", `the store has no run ${JSON.stringify(run)}`, {}, "bnfold jobs status lists them.");
}

export const writeRun = (store: Store, run: Run): Promise<void> => store.put(runKey(run.run), bytesOf(run));

/** Runs of a store, the newest last. */
export async function listRuns(store: Store): Promise<Run[]> {
  const keys = (await store.list(RUNS)).map(({ key }) => key).filter((key) => key.endsWith("/run.json"));
  const runs = await Promise.all(keys.map((key) => getJson(store, key)));
  return runs.filter(isRun).sort((a, b) => a.created - b.created);
}

/** Ids of what is done. */
export async function doneIds(store: Store, run: string): Promise<Set<string>> {
  const folder = doneFolder(run);
  return new Set((await store.list(folder)).map(({ key }) => key.slice(folder.length, -".json".length)));
}

/** A line of what is done; undefined when it is not, or when the machine went down while it was written. */
export async function doneLine(store: Store, run: string, id: string): Promise<unknown> {
  try {
    return await getJson(store, doneKey(run, id));
  } catch (error) {
    if (error instanceof BnfoldError && error.kind === "format") return undefined;
    throw error;
  }
}

export const isCancelled = async (store: Store, run: string): Promise<boolean> =>
  (await store.stat(cancelKey(run))) !== undefined;

/** The name a store has; undefined when it has none yet. */
export async function knownId(store: Store): Promise<string | undefined> {
  const value = await getJson(store, STORE);
  if (value === undefined) return undefined;
  if (
    typeof value === "object" &&
    value !== null &&
    "id" in value &&
    typeof value.id === "string" &&
    /^[0-9a-f]{12}$/.test(value.id)
  )
    return value.id;
  throw new BnfoldError("format", "the store's name cannot be read", { file: STORE }, "Remove the file.");
}

/** The name a store gave itself, by whichever path it is reached. */
export async function storeId(store: Store): Promise<string> {
  for (;;) {
    const known = await knownId(store);
    if (known !== undefined) return known;
    await store.putNew(STORE, bytesOf({ id: randomBytes(6).toString("hex") }));
  }
}

/** Programs that have used the store. */
export const tagsOf = async (store: Store): Promise<string[]> =>
  (await store.list(TAGS)).map(({ key }) => key.slice(TAGS.length, -".json".length));

/** Says that a program uses the store: others look into its queue before they put in or take out of their own. */
export const noteTag = async (store: Store, tag: string): Promise<void> =>
  void (await store.putNew(tagKey(tag), bytesOf({ tag })));

/** A queue's name: of a store and a program; of what only one holder of data can do, another one. */
export const queueName = (id: string, tag: string, holder?: string): string =>
  `bnfold-${id}-${tag}${holder === undefined ? "" : `-for-${holder}`}`;
