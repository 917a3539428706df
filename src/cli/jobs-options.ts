/** Options that a job may carry: they say what to compute, and name no file of any machine. */
import { madeOptions } from "./fold-options.ts";
import { statisticsOptions } from "./recalibrate-options.ts";
import { comparedOptions } from "./verify-options.ts";

export const verifyNames: readonly string[] = Object.keys(comparedOptions);
export const foldNames: readonly string[] = Object.keys(madeOptions);
export const recalibrateNames: readonly string[] = [...Object.keys(statisticsOptions), "external"];

/** All of them, for a worker that takes jobs of every kind. */
export const ALLOWED: ReadonlySet<string> = new Set([...foldNames, ...verifyNames]);
