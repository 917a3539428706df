/**
 * What a fold costs in the files' own precision, measured: each region that took something is run on its own near the statistics that
 * the file's normalizations state, by the first file in float64 (the truth) and by both in their own types. With e and e' the root mean
 * square distances of the first and of the second file from the truth, over some samples, at the worst channel of the region's value:
 *
 *   bits = log2(e' / e), not below 0
 *
 * It checks the estimate of fold/precision.ts, which is made from constants alone, and decides nothing.
 */
import { applied } from "../affine/gauge.ts";
import { fitsInto, type Spread, uniform } from "../affine/spread.ts";
import type { Steps } from "../diag/steps.ts";
import { viewOf } from "../graph/view.ts";
import { candidateOf, type Magnitude } from "../laws/candidates.ts";
import { Constants } from "../laws/constants.ts";
import { Magnitudes } from "../laws/magnitudes.ts";
import { roundArray } from "../onnx/codec.ts";
import { dtypeOf, isFloat } from "../onnx/dtype.ts";
import type { Model } from "../onnx/records.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { factsOf } from "../run/facts.ts";
import type { Cut, Shared } from "./cuts.ts";
import { MAX_RATIO } from "./judge.ts";
import { randomOf } from "./random.ts";
import { type InStorage, RegionWitness } from "./regions.ts";

export interface MeasuredLoss {
  /** Bits lost at the value that loses most. */
  readonly bits: number;
  /** That value, by its name in the second file. */
  readonly value: string;
}

const SAMPLES = 4;
const SEED = 1;
/** Regions looked at, those first that come first. */
const MOST = 16;

/**
 * Measures the regions with operators that make `names`, values of the second file.
 * @returns the worst of them; undefined where none can be run on its own, or nothing was rounded in the first file.
 */
export function* measuredLoss(a: Model, b: Model, shared: Shared, names: ReadonlySet<string>): Steps<MeasuredLoss | undefined> {
  const near = nearStatistics(a);
  const regions = new RegionWitness(a, b, shared, { seed: SEED, limit: () => MAX_RATIO });
  let worst: MeasuredLoss | undefined;
  for (const region of regions.holding(names).slice(0, MOST)) {
    const sums = new Sums();
    for (let seed = SEED; seed < SEED + SAMPLES; seed++) {
      const found = yield* regions.inStorage(region, (cut, dims) => near(cut, dims, seed));
      if (found !== undefined) sums.add(found);
    }
    const bits = sums.bits();
    if (bits !== undefined && bits >= (worst?.bits ?? 0)) worst = { bits, value: region.target.b.name };
  }
  return worst;
}

/** Numbers for a cut of the first file: normal ones with the mean and deviation that its constants state, where they do. */
function nearStatistics(model: Model): (cut: Cut, dims: readonly number[], seed: number) => Tensor | undefined {
  const view = viewOf(model);
  const facts = factsOf(view);
  const constants = new Constants(view, facts);
  const magnitudes = new Magnitudes(view, facts, (node) => {
    const found = candidateOf(node, facts, constants);
    return found === undefined || "refusal" in found ? undefined : found;
  });
  return (cut, dims, seed) => {
    const a = view.main.values.get(cut.a.name);
    const dtype = dtypeOf(facts.of(a).dtype);
    if (a === undefined || dtype === undefined || !isFloat(dtype)) return undefined;
    const plain: Magnitude = { mean: uniform(dims.length, 0), deviation: uniform(dims.length, 1) };
    const { mean, deviation } = magnitudes.of(a) ?? plain;
    if (![mean, deviation].every((s) => fitsInto(s, dims))) return undefined;
    const random = randomOf(seed, "near", a.name);
    const noise: Spread = { dims, data: Float64Array.from({ length: sizeOf(dims) }, () => random.normal()) };
    const { data } = applied(noise, { scale: deviation, shift: mean });
    return { dtype, dims, data: roundArray(dtype, data) };
  };
}

/** Squared distances from the truth, for each channel: axis 1, where there is one. */
class Sums {
  private readonly before: number[] = [];
  private readonly after: number[] = [];

  add({ truth, before, after }: InStorage): void {
    if (![truth, before, after].every((value: Value) => isTensor(value))) return;
    const { dims } = truth as Tensor;
    const [t, p, q] = [truth, before, after].map((value) => asFloat64(value as Tensor));
    if (p.length !== t.length || q.length !== t.length) return;
    const inner = dims.slice(2).reduce((n, d) => n * d, 1);
    for (let i = 0; i < t.length; i++) {
      const channel = dims.length < 2 ? 0 : Math.floor(i / inner) % dims[1];
      this.before[channel] = (this.before[channel] ?? 0) + (p[i] - t[i]) ** 2;
      this.after[channel] = (this.after[channel] ?? 0) + (q[i] - t[i]) ** 2;
    }
  }

  bits(): number | undefined {
    const list = this.before.flatMap((e, c) => (e > 0 ? [0.5 * Math.log2(this.after[c] / e)] : []));
    return list.length === 0 ? undefined : Math.max(0, ...list);
  }
}
