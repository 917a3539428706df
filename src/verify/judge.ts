/**
 * The law of the float64 witness, for one input and one output:
 *   √(mean (y_a − y_b)²)  ≤  3 · w · max(p, e)
 * w: 1; where the proof shows every place equal, the largest error it found in a coefficient, in half-ulps, when that is more than
 *    one rounding: a right file of a tool that rounds at every step differs by as much more (docs/verification.md).
 * p: root mean square change of y_b over the rounding draws (noise.ts).
 * e: what evaluating in double may differ by. A computed sum of n products is the exact sum for data moved by at most n·2⁻⁵³
 *    relatively (Higham, Accuracy and Stability of Numerical Algorithms, §3.1), so e is the change of the outputs of both
 *    models when all their stored floats and inputs are moved by random parts of n·2⁻⁵³. Only asked for when p does not
 *    suffice: models stored in float64, rewrites that round nothing but add in another order. That of the second model alone comes
 *    first, and is often enough. At least u times the outputs, which are rounded themselves.
 */
import type { Model, TensorRecord } from "../onnx/records.ts";
import type { Value } from "../ops/define.ts";
import { compareValues, type Difference, leavesOf, rmsDistance } from "./compare.ts";
import type { OutputComparison, Proof } from "./types.ts";

/** Largest ratio that passes (docs/verification.md: the worst correct fold of the study had 2.56). */
export const MAX_RATIO = 3;
/** Below this part of the limit after any draw, further draws are not needed: p would have to fall to half. */
const CLEAR = 1 / 2;
export const DRAWS = 4;
/**
 * A ratio beyond MAX_RATIO after the first draws may be a small p by chance: such a pair is drawn on to this many before it is
 * judged. Beyond HOPELESS no luck explains it (p² of four draws one ten-thousandth of what it should be has odds of 10⁻⁶).
 */
export const MOST_DRAWS = 32;
const HOPELESS = 100;
/**
 * A difference beyond this many limits after two draws is one, whatever further draws say: for a right file p of both would have to
 * come out at a thousandth (odds below 10⁻⁶ for an output of one number, none for more); and noise of evaluation is no reason
 * for what is this part of the values.
 */
const CERTAIN = 1000;
const CERTAIN_DRAWS = 2;
const ABOVE_EVALUATION = 2 ** -30;

/** The limit for two files of which `proof` has been found: proof and run are then measured by one rounding. */
export function limitOf(proof: Proof | undefined): number {
  if (proof?.outcome !== "equal") return MAX_RATIO;
  const worst = proof.regions.reduce((most, { worstHalfUlps }) => Math.max(most, worstHalfUlps), 0);
  return limitBy(worst);
}

/** The limit where the worst coefficient is off by so many half-ulps. */
export const limitBy = (halfUlps: number): number =>
  halfUlps <= 1.01 ? MAX_RATIO : Math.min(MAX_RATIO * halfUlps, Number.MAX_VALUE);

/** One pair of results under judgement. */
export class Judgement {
  readonly difference: Difference;
  private squares = 0;
  private draws = 0;
  private evaluation = 0;
  private doubtful = false;
  storage: readonly [before: number, after: number] | undefined;

  constructor(
    readonly name: string,
    readonly before: Value,
    readonly after: Value,
    /** The largest ratio that passes. */
    readonly limit = MAX_RATIO,
  ) {
    this.difference = compareValues(before, after);
  }

  /** The second model's result after a rounding draw, or a part of it and of what it is without. */
  addDraw(value: Value, without: Value = this.after): void {
    this.squares += rmsDistance(without, value) ** 2;
    this.draws++;
  }

  /** The part of e that needs no run: outputs are rounded themselves. Counts where it makes the difference a clear one. */
  addLastRounding(): void {
    const least = this.difference.scale * 2 ** -53;
    if (this.difference.rms <= CLEAR * this.limit * least) this.evaluation = least;
  }

  /** The result of one of the models after a move by n·2⁻⁵³, and without. Often that of the second alone is enough. */
  addEvaluation(moved: Value, without: Value): void {
    const least = this.evaluation === 0 ? this.difference.scale * 2 ** -53 : 0;
    this.evaluation = Math.hypot(this.evaluation, rmsDistance(without, moved), least);
  }

  get rounding(): number {
    return Math.max(this.draws === 0 ? 0 : Math.sqrt(this.squares / this.draws), this.evaluation);
  }

  get ratio(): number {
    const { rms } = this.difference;
    if (rms === 0) return 0;
    return this.rounding === 0 ? Number.MAX_VALUE : Math.min(rms / this.rounding, Number.MAX_VALUE);
  }

  get ok(): boolean {
    return this.difference.mismatches === 0 && this.ratio <= this.limit;
  }

  get clear(): boolean {
    return this.ratio <= CLEAR * this.limit;
  }

  /** True of a difference that neither further draws nor the noise of evaluation take back. */
  get certain(): boolean {
    const { rms, scale, mismatches } = this.difference;
    if (mismatches > 0) return true;
    return this.draws >= CERTAIN_DRAWS && this.ratio > CERTAIN * this.limit && rms > ABOVE_EVALUATION * scale;
  }

  /** True when further draws could change what is decided after `draws` of at least `least`. */
  open(draws: number, least: number): boolean {
    if (this.certain) return false;
    if (draws < least) return !this.clear;
    // The failures after `least` draws all go to the end: stopping at the first pass would favour passing.
    const { ratio, limit } = this;
    this.doubtful ||=
      draws === least && this.difference.mismatches === 0 && ratio > limit && ratio <= (HOPELESS / MAX_RATIO) * limit;
    return this.doubtful && draws < MOST_DRAWS;
  }

  summary(): OutputComparison {
    const { difference, storage } = this;
    return {
      name: this.name,
      dtype: difference.dtype,
      dims: difference.dims,
      maxDifference: difference.max,
      rmsDifference: difference.rms,
      rounding: this.rounding,
      ratio: this.ratio,
      rms: difference.scale,
      ...(storage === undefined ? {} : { storageErrorBefore: storage[0], storageErrorAfter: storage[1] }),
      nonFinite: difference.nonFinite,
      ok: this.ok,
    };
  }
}

/** An upper bound on the number of terms in any sum the model forms: over its weights, or over its inputs (pooling, norms). */
export function longestSum(model: Model, feeds: ReadonlyMap<string, Value>): number {
  let n = 1;
  const weight = ({ dims }: TensorRecord) => {
    if (dims.length > 1) n = Math.max(n, dims.reduce((size, d) => size * d, 1) / Math.max(1, Math.min(...dims)));
  };
  model.graph.initializers.forEach(weight);
  for (const node of model.graph.nodes) for (const { t } of node.attributes.values()) if (t !== undefined) weight(t);
  for (const value of feeds.values()) for (const leaf of leavesOf(value)) n = Math.max(n, leaf.data.length);
  return n;
}
