/**
 * --max-memory: what fits, told before it is tried.
 *
 *   fold    FIXED                                   weights pass in pieces
 *   proof   FIXED + PROOF + 7 · 8 · n               n elements of the largest constant: both files' numbers, and what is made of them
 *   run     FIXED + KEPT + 3 · 8 · n + 2 · 8 · a    a elements alive at once between nodes, in both models
 *
 * Open sizes count as 1, so a run on inputs of the user's own may take more.
 */
import type { Options } from "yargs";
import { type GraphValue, viewOf } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { byteSize } from "../report/words.ts";
import { factsOf } from "../run/facts.ts";
import { text, usage, type Values } from "./command.ts";

/** Node, this program and its buffers. */
const FIXED = 150e6;
/** What the proof takes besides, on a model of many layers. */
const PROOF = 50e6;
/** Constants a session keeps decoded. */
const KEPT = 256 * 2 ** 20;

export const memoryOption: Options = {
  requiresArg: true,
  type: "string",
  describe: "Most memory to use, e.g. 2G or 500M: what does not fit is left out of the check, and said",
};

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

function limitOf(values: Values): number | undefined {
  const written = text(values, "max-memory");
  if (written === undefined) return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)b?$/i.exec(written);
  if (match === null) throw usage(`--max-memory is a size such as 500M or 2G, got "${written}"`);
  return Number(match[1]) * UNITS[match[2].toLowerCase()];
}

export interface Needs {
  readonly fold: number;
  readonly proof: number;
  readonly run: number;
}

/** Estimates, in bytes. */
export function needsOf(model: Model): Needs {
  const largest = model.graph.initializers.reduce((most, { dims }) => Math.max(most, sizeOf(dims)), 0);
  return { fold: FIXED, proof: FIXED + PROOF + 56 * largest, run: FIXED + KEPT + 24 * largest + 16 * aliveAtOnce(model) };
}

/** Most elements of computed values held between nodes, each until its last reader. */
function aliveAtOnce(model: Model): number {
  const view = viewOf(model);
  const facts = factsOf(view);
  const size = (value: GraphValue | undefined): number =>
    value === undefined ? 0 : (facts.shape(value) ?? []).reduce<number>((n, d) => n * (typeof d === "number" ? d : 1), 1);
  const last = new Map<GraphValue, number>();
  view.nodes.forEach((node, i) => {
    for (const value of node.inputs) if (value?.producer !== undefined) last.set(value, i);
  });
  let [alive, most] = [0, 0];
  view.nodes.forEach((node, i) => {
    for (const value of node.outputs) alive += size(value);
    most = Math.max(most, alive);
    for (const value of new Set(node.inputs)) if (value !== undefined && last.get(value) === i) alive -= size(value);
  });
  return most;
}

export interface Affordable {
  readonly prove: boolean;
  readonly run: boolean;
  /** What is left out, and why. */
  readonly notes: readonly string[];
}

/** What the limit of the command line allows. @throws BnfoldError of kind "usage" when not even the fold itself fits. */
export function affordable(model: Model, values: Values): Affordable {
  const limit = limitOf(values);
  const run = values["no-run"] !== true;
  if (limit === undefined) return { prove: true, run, notes: [] };
  const needs = needsOf(model);
  if (limit < needs.fold) throw usage(`--max-memory: bnfold itself needs ${byteSize(needs.fold)}`);
  const tight = (what: string, need: number) =>
    `${what} is left out: it needs about ${byteSize(need)}, more than --max-memory ${byteSize(limit)}`;
  const notes = [
    ...(limit < needs.proof ? [tight("the proof", needs.proof)] : []),
    ...(run && limit < needs.run ? [tight("the run", needs.run)] : []),
  ];
  return { prove: limit >= needs.proof, run: run && limit >= needs.run, notes };
}
