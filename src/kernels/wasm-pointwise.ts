/** Elementwise kernels of the WebAssembly backend, and pooling: for arrays that are held already, where they cost no copy. */
import type { FloatArray } from "../onnx/tensor.ts";
import { Scratch } from "./heap.ts";
import type { Lane } from "./lane.ts";
import { plain } from "./plain.ts";
import { type Pointwise, type Pooling, TAME_EXPONENT } from "./types.ts";

/** Kinds of jobs (assembly/kernels.ts). */
const AFFINE = 4;
const CLIP = 5;
const ADD = 6;
const TAME = 7;
const LARGEST = 10;
/** A limit and a flag, below the regions of the heap. */
const FLAGS = 512;
/** What an element costs, in multiply-adds. */
const COST = 8;

export function pointwise(lane: Lane, job: Pointwise): boolean {
  const y = job.kind === "add" ? job.y : undefined;
  const scratch = new Scratch(lane.heap);
  const held = lane.at(job.x) !== undefined || (y !== undefined && lane.at(y) !== undefined);
  const done = held && compute(lane, job, scratch);
  if (!done) for (const array of [job.x, job.out, ...(y === undefined ? [] : [y])]) lane.settle(array);
  scratch.end();
  return done;
}

/** Where the elements of an array are: in its region, or copied to one. */
function located(lane: Lane, scratch: Scratch, data: FloatArray): number {
  const held = lane.at(data);
  if (held !== undefined) return held;
  const at = scratch.take(8 * data.length);
  if (!scratch.failed) lane.putDoubles(at, data);
  return at;
}

function compute(lane: Lane, job: Pointwise, scratch: Scratch): boolean {
  const { out } = job;
  const x = located(lane, scratch, job.x);
  const y = job.kind === "add" ? located(lane, scratch, job.y) : 0;
  const numbers = scratch.take(job.kind === "affine" ? 24 * job.mean.length : 16);
  const target = scratch.failed ? undefined : lane.hold(out);
  if (target === undefined) return false;
  const n = out.length;
  const each = lane.share(n, COST * n, 2);
  const tasks = Math.ceil(n / each);
  if (job.kind === "add") lane.run([ADD, x, y, target, n, each], tasks);
  else if (job.kind === "clip") {
    lane.heap.doubles.set([job.low, job.high], numbers / 8);
    lane.run([CLIP, x, target, numbers, n, each], tasks);
  } else {
    const { mean, factor, shift, inner } = job;
    const channels = mean.length;
    [mean, factor, shift].forEach((list, i) => {
      lane.putDoubles(numbers + 8 * channels * i, list);
    });
    const planes = n / inner;
    const some = lane.share(planes, COST * n);
    lane.run([AFFINE, x, target, numbers, channels, inner, planes, some], Math.ceil(planes / some));
  }
  return true;
}

export function largest(lane: Lane, job: Pooling): boolean {
  const scratch = new Scratch(lane.heap);
  const done = lane.at(job.x) !== undefined && largestIn(lane, job, scratch);
  if (!done) for (const array of [job.x, job.out]) lane.settle(array);
  scratch.end();
  return done;
}

function largestIn(lane: Lane, job: Pooling, scratch: Scratch): boolean {
  const { planes, x, plane, out } = job;
  const tap = scratch.take(4 * job.tap.length);
  const row = scratch.take(4 * job.row.length);
  const input = lane.input(scratch, x, job.frame, x.length);
  const target = scratch.failed ? undefined : lane.hold(out);
  if (target === undefined) return false;
  input.load(0, x.length);
  lane.heap.ints.set(job.tap, tap / 4);
  lane.heap.ints.set(job.row, row / 4);
  const each = lane.share(planes, COST * out.length * job.tap.length);
  const fields = [LARGEST, input.at, plane, tap, job.tap.length, row, job.row.length, job.length, job.step, target, planes, each];
  lane.run(fields, Math.ceil(planes / each));
  return true;
}

export function tame(lane: Lane, x: FloatArray): boolean {
  const at = lane.at(x);
  return at === undefined ? plain.tame(x) : tameAt(lane, at, x.length, false);
}

/** Whether `n` numbers in the memory are tame. */
export function tameAt(lane: Lane, at: number, n: number, single: boolean): boolean {
  const numbers = FLAGS;
  lane.heap.doubles[numbers / 8] = 2 ** TAME_EXPONENT;
  lane.heap.ints[numbers / 4 + 2] = 0;
  const each = lane.share(n, n, 4);
  lane.run([TAME, at, numbers, numbers + 8, n, each, single ? 1 : 0], Math.ceil(n / each));
  return lane.heap.ints[numbers / 4 + 2] === 0;
}
