/** Where things are in a store, all below `.bnfold/`. */
import { joinKeys, OWN } from "./keys.ts";

export const STORE = joinKeys(OWN, "store.json");
export const TAGS = `${OWN}/tags/`;
export const RUNS = `${OWN}/runs/`;
/** Programs that have used the store. */
export const tagKey = (tag: string): string => joinKeys(OWN, "tags", `${tag}.json`);
/** What a command asked for. */
export const runKey = (run: string): string => joinKeys(OWN, "runs", run, "run.json");
export const cancelKey = (run: string): string => joinKeys(OWN, "runs", run, "cancelled.json");
/** The lines of what is done, one file each: the last thing a job writes. */
export const doneFolder = (run: string): string => `${joinKeys(OWN, "runs", run, "done")}/`;
export const doneKey = (run: string, id: string): string => joinKeys(OWN, "runs", run, "done", `${id}.json`);
/** Moments of a shard, and of a whole level with all before it. */
export const shardKey = (run: string, level: number, index: number, of: number): string =>
  joinKeys(OWN, "runs", run, "moments", `level-${level}`, `${index}-of-${of}.json`);
export const levelKey = (run: string, level: number): string => joinKeys(OWN, "runs", run, "moments", `level-${level}.json`);
/** What a holder of data says of it: how many samples there are. */
export const holderKey = (run: string, holder: string): string => joinKeys(OWN, "runs", run, "holders", `${holder}.json`);
/** Results by their content-addressed name. */
export const resultFolder = (result: string): string => joinKeys(OWN, "results", result.slice(0, 2), result);
/** Committed after everything else of a result. */
export const RESULT = "result.json";
