/**
 * What people get wrong when they fold a batch normalization, as arithmetic.
 *
 * A fold with a wrong formula is a right fold of other statistics: leaving the mean out is folding with μ = 0, an epsilon
 * outside the root is folding with v' = (√v + ε)² − ε. `STATISTICS` holds those; `CONSTANTS` spoils the numbers a right fold
 * has written. Each returns undefined where it would change nothing.
 */
import { fold16 } from "./round.ts";

export interface Statistics {
  gamma: Float64Array;
  beta: Float64Array;
  mean: Float64Array;
  variance: Float64Array;
  epsilon: number;
  /** Bias of the operator before, zeros without one; undefined when it is not known per channel. */
  bias: Float64Array | undefined;
}

/** The constants one fold wrote, beside what they were made from. */
export interface Written {
  weight: Float64Array;
  /** Rows (output channels) lie on this axis of the weight. */
  readonly axis: number;
  readonly dims: readonly number[];
  readonly groups: number;
  /** The weight before, when the fold left its shape alone. */
  readonly before: Float64Array | undefined;
  bias: Float64Array | undefined;
  readonly dtype: string;
}

type Spoil<T> = (from: T) => Partial<T> | undefined;

const gain = ({ gamma, variance, epsilon }: Statistics) => gamma.map((g, c) => g / Math.sqrt(variance[c] + epsilon));
/** Variances under which the gain becomes `s`. */
const under = ({ gamma, epsilon }: Statistics, s: Float64Array) => gamma.map((g, c) => (g / s[c]) ** 2 - epsilon);
const roll = (x: Float64Array) => x.map((_, c) => x[(c + 1) % x.length]);
const middle = (x: ArrayLike<number>) => x.length >> 1;
const at = (x: Float64Array, c: number, value: number) => x.with(c, value);

export const STATISTICS: Readonly<Record<string, Spoil<Statistics>>> = {
  "mean left out": ({ mean }) => ({ mean: mean.map(() => 0) }),
  "beta left out": ({ beta }) => ({ beta: beta.map(() => 0) }),
  "gamma left out": ({ gamma }) => ({ gamma: gamma.map(() => 1) }),
  "variance left out": ({ variance }) => ({ variance: variance.map(() => 1) }),
  "epsilon left out": ({ variance, epsilon }) => ({ variance: variance.map((v) => v - epsilon) }),
  "epsilon of another framework": ({ variance, epsilon }) => ({
    variance: variance.map((v) => v - epsilon + 1e-3 * (epsilon < 1e-4 ? 1 : 0.01)),
  }),
  "epsilon added twice": ({ variance, epsilon }) => ({ variance: variance.map((v) => v + epsilon) }),
  "epsilon outside the root": ({ variance, epsilon }) => ({
    variance: variance.map((v) => (Math.sqrt(v) + epsilon) ** 2 - epsilon),
  }),
  "variance taken as deviation": ({ variance, epsilon }) => ({ variance: variance.map((v) => (v + epsilon) ** 2 - epsilon) }),
  "variance of N − 1, N = 32": ({ variance }) => ({ variance: variance.map((v) => (v * 32) / 31) }),
  "variance of N − 1, N = 50176": ({ variance }) => ({ variance: variance.map((v) => (v * 50176) / 50175) }),
  "sign of the mean": ({ mean }) => ({ mean: mean.map((m) => -m) }),
  "sign of beta": ({ beta }) => ({ beta: beta.map((b) => -b) }),
  "sign of the gain": ({ gamma }) => (gamma.some((g) => g < 0) ? { gamma: gamma.map(Math.abs) } : undefined),
  "gamma and beta exchanged": ({ gamma, beta }) => ({ gamma: beta, beta: gamma }),
  "mean and variance exchanged": ({ mean, variance }) => ({ mean: variance, variance: mean.map(Math.abs) }),
  "mean not scaled": (s) => ({ mean: s.mean.map((m, c) => m / gain(s)[c]) }),
  "beta scaled": (s) => ({ beta: s.beta.map((b, c) => b * gain(s)[c]) }),
  "bias not scaled": (s) => {
    if (s.bias === undefined || s.bias.every((b) => b === 0)) return undefined;
    return { mean: s.mean.map((m, c) => m + (s.bias as Float64Array)[c] * (1 - 1 / gain(s)[c])) };
  },
  "bias left out": ({ mean, bias }) =>
    bias === undefined || bias.every((b) => b === 0) ? undefined : { mean: mean.map((m, c) => m + bias[c]) },
  "one channel not scaled": (s) => {
    const c = middle(s.gamma);
    return { gamma: at(s.gamma, c, Math.sqrt(s.variance[c] + s.epsilon)), mean: at(s.mean, c, s.mean[c] * gain(s)[c]) };
  },
  "one channel takes its neighbour's gain": (s) => {
    const c = middle(s.gamma);
    const root = Math.sqrt((s.variance[c] + s.epsilon) / (s.variance[c - 1] + s.epsilon));
    return c === 0 ? undefined : { gamma: at(s.gamma, c, s.gamma[c - 1] * root) };
  },
  "one channel takes its neighbour's mean": ({ mean }) =>
    mean.length < 2 ? undefined : { mean: at(mean, middle(mean), mean[middle(mean) - 1]) },
  "all channels shifted by one": (s) =>
    s.gamma.length < 2 ? undefined : { gamma: roll(s.gamma), beta: roll(s.beta), mean: roll(s.mean), variance: roll(s.variance) },
  "channels reversed": (s) => ({
    gamma: s.gamma.toReversed(),
    beta: s.beta.toReversed(),
    mean: s.mean.toReversed(),
    variance: s.variance.toReversed(),
  }),
  "mean of the weakest channel left out": (s) => {
    const size = gain(s).map(Math.abs);
    const c = size.indexOf(Math.min(...size));
    return { mean: at(s.mean, c, 0) };
  },
  "gain of the first channel for all": (s) => ({
    variance: under(s, gain(s).fill(gain(s)[0] || 1)).map((v, c) => (s.gamma[c] === 0 ? s.variance[c] : v)),
  }),
  "statistics rounded to float16": ({ mean, variance }) => ({ mean: mean.map(fold16), variance: variance.map(fold16) }),
};

/** Rows as [outer, rows, inner] around the axis. */
const blocksOf = ({ dims, axis }: Written): [number, number, number] => {
  const size = (list: readonly number[]) => list.reduce((n, d) => n * d, 1);
  return [size(dims.slice(0, axis)), dims[axis], size(dims.slice(axis + 1))];
};

const perRow = (w: Written, values: Float64Array, by: (row: number) => number): Float64Array => {
  const [, rows, inner] = blocksOf(w);
  return values.map((v, i) => v * by(Math.floor(i / inner) % rows));
};

/** Gains the fold applied, read off the two weights. */
function gainsOf(w: Written): Float64Array | undefined {
  const { before, weight } = w;
  if (before === undefined) return undefined;
  const [, rows, inner] = blocksOf(w);
  const [gains, size] = [new Float64Array(rows), new Float64Array(rows)];
  before.forEach((v, i) => {
    const row = Math.floor(i / inner) % rows;
    if (Math.abs(v) <= size[row]) return;
    size[row] = Math.abs(v);
    gains[row] = weight[i] / v;
  });
  return gains;
}

const bfloat16 = (x: number): number => {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, x);
  view.setUint32(0, ((view.getUint32(0) + 0x8000) >>> 16) << 16);
  return view.getFloat32(0);
};

const largest = (x: Float64Array) => x.reduce((best, v, i) => (Math.abs(v) > Math.abs(x[best]) ? i : best), 0);
const biasFault =
  (change: (bias: Float64Array) => Float64Array): Spoil<Written> =>
  ({ bias }) =>
    bias === undefined || bias.every((b) => b === 0) ? undefined : { bias: change(bias) };
const scaled =
  (factor: (gains: Float64Array, row: number) => number): Spoil<Written> =>
  (w) => {
    const gains = gainsOf(w);
    return gains === undefined || w.before === undefined
      ? undefined
      : { weight: perRow(w, w.before, (row) => factor(gains, row)) };
  };

export const CONSTANTS: Readonly<Record<string, Spoil<Written>>> = {
  "one weight off by 1e-3": ({ weight }) => ({ weight: at(weight, middle(weight), weight[middle(weight)] * 1.001) }),
  "one weight off by 1e-5": ({ weight }) => ({ weight: at(weight, middle(weight), weight[middle(weight)] * 1.00001) }),
  "sign of one weight": ({ weight }) => ({ weight: at(weight, largest(weight), -weight[largest(weight)]) }),
  "one weight zero": ({ weight }) => ({ weight: at(weight, largest(weight), 0) }),
  "two weights exchanged": ({ weight }) => {
    const i = Math.max(1, middle(weight));
    return weight.length < 2 ? undefined : { weight: at(at(weight, i, weight[i - 1]), i - 1, weight[i]) };
  },
  "one bias off by 1e-4": biasFault((bias) => at(bias, largest(bias), bias[largest(bias)] * 1.0001)),
  "bias zero": biasFault((bias) => bias.map(() => 0)),
  "sign of the bias": biasFault((bias) => bias.map((b) => -b)),
  "two biases exchanged": biasFault((bias) => (bias.length < 2 ? bias : at(at(bias, 0, bias[1]), 1, bias[0]))),
  "float16 rounding of the weight": ({ weight }) => ({ weight: weight.map(fold16) }),
  "bfloat16 rounding of the weight": ({ weight }) => ({ weight: weight.map(bfloat16) }),
  "float16 rounding of the bias": biasFault((bias) => bias.map(fold16)),
  "gain rounded to float16": scaled((gains, row) => fold16(gains[row])),
  "weight not scaled": ({ before }) => (before === undefined ? undefined : { weight: before }),
  "last channel not scaled": scaled((gains, row) => (row === gains.length - 1 ? 1 : gains[row])),
  "scaled twice": scaled((gains, row) => gains[row] ** 2),
  "divided by the gain": scaled((gains, row) => 1 / (gains[row] || 1)),
  "gain on the other axis of a square weight": (w) => {
    const gains = gainsOf(w);
    const other = w.axis === 0 ? 1 : 0;
    if (gains === undefined || w.before === undefined || w.dims[other] !== w.dims[w.axis]) return undefined;
    return { weight: perRow({ ...w, axis: other }, w.before, (row) => gains[row]) };
  },
  "gains repeated per group": (w) => {
    if (w.groups < 2) return undefined;
    return scaled((gains, row) => gains[row % Math.max(1, gains.length / w.groups)])(w);
  },
};
