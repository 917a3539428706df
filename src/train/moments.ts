/**
 * Exact pooled mean and variance of each channel over any amount of data, one block at a time.
 *
 *   a block of n elements       mean = c + Σ(x − c)/n,  M = Σ(x − mean)² − (Σ(x − mean))²/n,   c a first mean; sums compensated
 *   two parts a and b           n = nₐ + n_b, δ = mean_b − meanₐ
 *                               mean = meanₐ + δ·n_b/n,  M = Mₐ + M_b + δ²·nₐ·n_b/n
 *   at the end                  variance = M/N, or M/(N − 1)
 *
 * Parts weigh by their number of elements. Merging floating-point parts is not associative, so the order is fixed: blocks are
 * leaves of one binary tree over their position in the data. A node of level l covers the blocks k·2ˡ … (k + 1)·2ˡ − 1 and is
 * made from its two halves; what is left at the end, when the number of blocks is no power of two, is merged from the right.
 * So the result has the same bits in whatever order, and on how many machines, the blocks were computed.
 */
import { BnfoldError } from "../diag/error.ts";

/** Count, mean and squared distances of each channel; those of two parts make those of both. */
export interface Moments {
  /** Elements per channel. */
  readonly count: number;
  readonly mean: Float64Array;
  /** Sum of squared distances from the mean. */
  readonly m2: Float64Array;
}

/** x as [batch, channels, inner]: element (n, c, i) stands at (n·channels + c)·inner + i. */
export interface ChannelLayout {
  readonly batch: number;
  readonly channels: number;
  readonly inner: number;
}

/** Σ f(x) over one channel with Neumaier's compensation. */
function channelSum(x: Float64Array, { batch, channels, inner }: ChannelLayout, c: number, f: (v: number) => number): number {
  let [sum, lost] = [0, 0];
  for (let n = 0; n < batch; n++) {
    const start = (n * channels + c) * inner;
    for (let at = start; at < start + inner; at++) {
      const v = f(x[at]);
      const next = sum + v;
      lost += Math.abs(sum) >= Math.abs(v) ? sum - next + v : v - next + sum;
      sum = next;
    }
  }
  return sum + lost;
}

/** Moments of each channel of one block. */
export function blockMoments(x: Float64Array, layout: ChannelLayout): Moments {
  const { batch, channels, inner } = layout;
  const count = batch * inner;
  const mean = new Float64Array(channels);
  const m2 = new Float64Array(channels);
  if (count === 0) return { count, mean, m2 };
  for (let c = 0; c < channels; c++) {
    const first = channelSum(x, layout, c, (v) => v) / count;
    const center = first + channelSum(x, layout, c, (v) => v - first) / count;
    const rest = channelSum(x, layout, c, (v) => v - center);
    // No negative zero: its sign would be lost in a file.
    mean[c] = center + 0;
    m2[c] = Math.max(0, channelSum(x, layout, c, (v) => (v - center) ** 2) - (rest * rest) / count);
  }
  return { count, mean, m2 };
}

/** Two parts as one; `a` is the earlier. */
export function mergeMoments(a: Moments, b: Moments): Moments {
  if (a.mean.length !== b.mean.length) throw new RangeError(`moments of ${a.mean.length} and of ${b.mean.length} channels`);
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const share = b.count / count;
  const cross = a.count * share;
  const mean = new Float64Array(a.mean.length);
  const m2 = new Float64Array(a.mean.length);
  for (let c = 0; c < mean.length; c++) {
    const delta = b.mean[c] - a.mean[c];
    mean[c] = a.mean[c] + delta * share;
    m2[c] = a.m2[c] + b.m2[c] + delta * delta * cross;
  }
  return { count, mean, m2 };
}

/** Variance of each channel: by N, or by N − 1 when `unbiased` (0 for a single element). */
export function varianceOf({ count, m2 }: Moments, unbiased = false): Float64Array {
  const by = unbiased ? Math.max(1, count - 1) : count;
  return m2.map((m) => m / by);
}

/** A complete subtree: the blocks index·2^level … (index + 1)·2^level − 1. */
export interface Subtree extends Moments {
  readonly level: number;
  readonly index: number;
}

const firstBlock = ({ level, index }: Subtree): number => index * 2 ** level;
const size = ({ level }: Subtree): number => 2 ** level;

const join = (a: Subtree, b: Subtree): Subtree => ({ level: a.level + 1, index: a.index / 2, ...mergeMoments(a, b) });

const areHalves = (a: Subtree, b: Subtree): boolean => a.level === b.level && a.index % 2 === 0 && b.index === a.index + 1;

/** Subtrees in order of position, halves joined as far as they are there. @throws BnfoldError when a block comes twice. */
export function joinSubtrees(parts: readonly Subtree[]): Subtree[] {
  const sorted = [...parts].sort((a, b) => firstBlock(a) - firstBlock(b));
  const out: Subtree[] = [];
  let next = 0;
  for (const part of sorted) {
    if (firstBlock(part) < next) {
      throw new BnfoldError(
        "usage",
        `block ${firstBlock(part)} of the data is in more than one of the parts`,
        {},
        "Give the moments of each shard once.",
      );
    }
    next = firstBlock(part) + size(part);
    let last = part;
    for (let before = out.at(-1); before !== undefined && areHalves(before, last); before = out.at(-1)) {
      out.pop();
      last = join(before, last);
    }
    out.push(last);
  }
  return out;
}

/** Blocks, of `blocks`, that no part covers: first and last of each gap. */
export function gaps(parts: readonly Subtree[], blocks: number): [first: number, last: number][] {
  const out: [number, number][] = [];
  let next = 0;
  for (const part of parts) {
    if (firstBlock(part) > next) out.push([next, firstBlock(part) - 1]);
    next = firstBlock(part) + size(part);
  }
  if (next < blocks) out.push([next, blocks - 1]);
  return out;
}

/** The moments of all blocks, once every one is there. */
export function totalMoments(parts: readonly Subtree[], blocks: number): Moments {
  const joined = joinSubtrees(parts);
  const [gap] = gaps(joined, blocks);
  if (gap !== undefined || joined.length === 0) {
    const which = gap === undefined ? "all" : `${gap[0]} to ${gap[1]}`;
    throw new BnfoldError("usage", `blocks ${which} of ${blocks} are missing`, {}, "Merge the moments of every shard.");
  }
  return joined.slice(0, -1).reduceRight<Moments>((right, left) => mergeMoments(left, right), joined[joined.length - 1]);
}

/** Collects blocks as they come, holding no more than a few subtrees while they come in order. */
export class MomentsTree {
  private parts: Subtree[] = [];

  add(index: number, moments: Moments): void {
    let last: Subtree = { level: 0, index, ...moments };
    for (let before = this.parts.at(-1); before !== undefined && areHalves(before, last); before = this.parts.at(-1)) {
      this.parts.pop();
      last = join(before, last);
    }
    this.parts.push(last);
  }

  get subtrees(): readonly Subtree[] {
    return this.parts;
  }
}
