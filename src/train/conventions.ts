/**
 * Epsilon and running variance between frameworks.
 *
 *   epsilon    y = scale·(x − mean)/√(var + ε) + B everywhere: the number carries over unchanged, only the defaults differ
 *   variance   biased s² = Σ(x − mean)²/N, unbiased u² = Σ(x − mean)²/(N − 1), N = elements of one channel in a batch:
 *              u² = s²·N/(N − 1), s² = u²·(N − 1)/N
 *
 * Every framework normalizes a batch by s²; they differ in which of the two enters the running variance. The conversion is made
 * in float64: a variance that came from float32 returns to the same float32. Stored as float32 in between it may end one
 * unit in the last place off, since the two conversions map different numbers of float32 values onto each other.
 */
import { BnfoldError } from "../diag/error.ts";
import { CONVENTIONS, FRAMEWORKS, type Framework, shortestFloat32 } from "./momentum.ts";

/** A variance by N (biased) or by N − 1 (unbiased). */
export type VarianceKind = "biased" | "unbiased";

/** What a framework does in the points momentum says nothing of. */
export interface StatisticsConvention {
  /** Default epsilon. */
  readonly epsilon: number;
  /** Which variance of a batch enters the running variance. */
  readonly variance: VarianceKind;
}

/** Epsilon and variance of each framework. */
export const STATISTICS = {
  pytorch: { epsilon: 1e-5, variance: "unbiased" },
  keras: { epsilon: 1e-3, variance: "biased" },
  onnx: { epsilon: 1e-5, variance: "biased" },
  tensorflow: { epsilon: 1e-3, variance: "unbiased" },
  caffe: { epsilon: 1e-5, variance: "unbiased" },
  mxnet: { epsilon: 1e-3, variance: "biased" },
  flax: { epsilon: 1e-5, variance: "biased" },
  haiku: { epsilon: 1e-5, variance: "biased" },
  paddle: { epsilon: 1e-5, variance: "biased" },
  darknet: { epsilon: 1e-6, variance: "unbiased" },
} as const satisfies Record<Framework, StatisticsConvention>;

/**
 * Running variances of one kind as the other, for batches of `count` elements per channel.
 * @throws BnfoldError of kind "usage" when `count` is too small to tell the two apart.
 */
export function convertVariance(values: ArrayLike<number>, from: VarianceKind, to: VarianceKind, count: number): Float64Array {
  const out = Float64Array.from(values);
  if (from === to) return out;
  if (!Number.isSafeInteger(count) || count < 2) {
    throw new BnfoldError(
      "usage",
      `the element count of a channel in a batch is a whole number of at least 2, got ${count}`,
      {},
      "It is the batch size times the spatial size, for example 32 * 56 * 56.",
    );
  }
  const [by, over] = to === "unbiased" ? [count, count - 1] : [count - 1, count];
  for (let i = 0; i < out.length; i++) out[i] = (out[i] * by) / over;
  return out;
}

/** The variance formula of a conversion with its numbers filled in. */
export function varianceFormula(from: VarianceKind, to: VarianceKind, count: number): string {
  if (from === to) return `${to} variance = ${from} variance`;
  const [by, over] = to === "unbiased" ? [count, count - 1] : [count - 1, count];
  return `${to} variance = ${from} variance * ${by} / ${over}`;
}

/** The framework a model was made with, as far as its producer name tells. */
export function frameworkOf(producer: string): Framework | undefined {
  if (/torch/i.test(producer)) return "pytorch";
  if (/keras/i.test(producer)) return "keras";
  if (/tf2onnx|tensorflow/i.test(producer)) return "tensorflow";
  if (/caffe/i.test(producer)) return "caffe";
  if (/paddle/i.test(producer)) return "paddle";
  if (/jax|flax/i.test(producer)) return "flax";
  return /mxnet/i.test(producer) ? "mxnet" : undefined;
}

interface EpsilonOf {
  readonly name: string;
  readonly epsilon: number;
}

const same = (a: number, b: number): boolean => Math.fround(a) === Math.fround(b);

const names = (list: readonly string[]): string =>
  list.length < 4 ? list.join(", ") : `${list.slice(0, 3).join(", ")} and ${list.length - 3} more`;

/** Sentences about epsilons that look like a mistake. `framework`: where the model comes from, when that is known. */
export function suspectEpsilons(layers: readonly EpsilonOf[], framework?: Framework): string[] {
  const groups = new Map<string, string[]>();
  for (const { name, epsilon } of layers) {
    const key = shortestFloat32(epsilon);
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  const sorted = [...groups].sort(([, a], [, b]) => b.length - a.length);
  const out: string[] = [];
  if (sorted.length > 1) {
    const parts = sorted.map(([epsilon, list]) => `${epsilon} (${list.length}: ${names(list)})`);
    out.push(`The epsilons are mixed: ${parts.join("; ")}.`);
  }
  for (const [text, list] of sorted) {
    const epsilon = Number(text);
    if (epsilon === 0) out.push(`Epsilon 0 (${names(list)}) leaves a channel of variance 0 without a finite gain.`);
    else if (!(epsilon > 0 && epsilon < 0.1)) out.push(`Epsilon ${text} (${names(list)}) is far from every framework's default.`);
    if (framework === undefined || same(epsilon, STATISTICS[framework].epsilon)) continue;
    const others = FRAMEWORKS.filter((name) => same(epsilon, STATISTICS[name].epsilon));
    if (others.length === 0) continue;
    const whose = others.map((name) => CONVENTIONS[name].label).join(", ");
    const { label } = CONVENTIONS[framework];
    out.push(
      `Epsilon ${text} (${names(list)}) is the default of ${whose}, but the model comes from ${label}, whose default is ${STATISTICS[framework].epsilon}.`,
    );
  }
  return out;
}
