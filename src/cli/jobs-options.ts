/** Options that a job may carry: they say what to compute, and name no file of any machine. */
import { inputOptions } from "./inputs.ts";
import { planOptions } from "./plan-options.ts";

const inputs = Object.keys(inputOptions).filter((name) => name !== "input");

export const verifyNames: readonly string[] = ["full-run", ...inputs, "assume-constant", "bisect"];
export const foldNames: readonly string[] = [
  ...["dry-run", "no-check", "no-run", "strict", "fail-on", "external", "max-memory", "full-run"],
  ...[...inputs, ...Object.keys(planOptions)],
];
export const recalibrateNames: readonly string[] = ["only", "at-once", "unbiased", "block", "whole", "external", "memory"];

/** All of them, for a worker that takes jobs of every kind. */
export const ALLOWED: ReadonlySet<string> = new Set([...foldNames, ...verifyNames]);
