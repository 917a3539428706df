/**
 * What a model needs of memory, told before it is tried. Bytes:
 *
 *   fold    80 MB + 5 kB · nodes + 32 · v             v numbers of one-dimensional constants, which are held; weights pass in pieces
 *   proof   fold + ¾ loose(32 · w) + 24 · n           n elements of the largest constant: both files' numbers, and what is made of
 *                                                     them; w elements of all constants. Stored float32 is compared as it is read
 *   run     fold + 20 MB + 2 · kept(4 · w) + 8 · n    constants are kept decoded, in both models
 *           + loose(64 · s + 8 · w) + idle(8 · s)     s elements of all computed values
 *           + 8 · (2 · a + 6 · o + 2 · l)             a elements alive at once between nodes, o of the outputs, l of the largest value,
 *                                                     which a kernel frames and copies out; at least what the proof needs
 *   loose(x) = min(x, 128 MB)  dropped and not yet collected
 *   idle(x)  = min(x, 64 MiB)  arrays held for the next value          kept(x) = min(x, 256 MiB)
 *
 * A dry run reads back what it has not written: 32 · n more.
 *
 * The parts are known from how the program works, the numbers were fitted to measured peaks. Open sizes count as 1, so a run on
 * inputs of the user's own may take more.
 */
import { type GraphValue, viewOf } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { factsOf } from "../run/facts.ts";

/** Node, this program and its buffers. */
const FIXED = 80e6;
/** Threads and the executor. */
const EXECUTOR = 20e6;
/** Constants a session keeps decoded (run/session.ts), and arrays it keeps for the next value (run/memory.ts). */
const KEPT = 256 * 2 ** 20;
const IDLE = 64 * 2 ** 20;
/** Numbers that are dropped are collected when about this much has gathered. */
const LOOSE = 128e6;

/** Bytes of memory, estimated: to fold, to fold and prove, and to fold, prove and run. */
export interface MemoryNeeds {
  readonly fold: number;
  readonly proof: number;
  readonly run: number;
}

/** Estimates, in bytes. */
export function memoryNeeds(model: Model, dryRun = false): MemoryNeeds {
  const sizes = model.graph.initializers.map(({ dims }) => sizeOf(dims));
  const vectors = model.graph.initializers.reduce((n, { dims }) => (dims.length === 1 ? n + dims[0] : n), 0);
  const weights = sizes.reduce((n, size) => n + size, 0);
  const largest = sizes.reduce((most, size) => Math.max(most, size), 0);
  const fold = FIXED + 5e3 * model.graph.nodes.length + 32 * vectors;
  const { alive, outputs, most, all } = valuesOf(model);
  const arrays = 8 * (2 * alive + 6 * outputs + 2 * most) + Math.min(IDLE, 8 * all) + Math.min(LOOSE, 64 * all + 8 * weights);
  const unwritten = dryRun ? 32 * largest : 0;
  const proof = fold + 0.75 * Math.min(LOOSE, 32 * weights) + 24 * largest + unwritten;
  const run = fold + EXECUTOR + 2 * Math.min(KEPT, 4 * weights) + 8 * largest + arrays + unwritten;
  // One comes after the other in one process, which gives little back.
  return { fold, proof, run: Math.max(proof, run) };
}

interface ValueSizes {
  /** Most elements of computed values held between nodes, each until its last reader. */
  readonly alive: number;
  readonly outputs: number;
  /** Elements of the largest value, and of all of them. */
  readonly most: number;
  readonly all: number;
}

function valuesOf(model: Model): ValueSizes {
  const view = viewOf(model);
  const facts = factsOf(view);
  const size = (value: GraphValue | undefined): number =>
    value === undefined ? 0 : (facts.shape(value) ?? []).reduce<number>((n, d) => n * (typeof d === "number" ? d : 1), 1);
  const last = new Map<GraphValue, number>();
  view.nodes.forEach((node, i) => {
    for (const value of node.inputs) if (value?.producer !== undefined) last.set(value, i);
  });
  let [alive, now, most, all] = [0, 0, 0, 0];
  view.nodes.forEach((node, i) => {
    for (const value of node.outputs) {
      now += size(value);
      all += size(value);
      most = Math.max(most, size(value));
    }
    alive = Math.max(alive, now);
    for (const value of new Set(node.inputs)) if (value !== undefined && last.get(value) === i) now -= size(value);
  });
  const outputs = model.graph.outputs.reduce((n, { name }) => n + size(view.main.values.get(name)), 0);
  return { alive, outputs, most, all };
}
