/**
 * Momentum of batch normalization's running statistics, between frameworks.
 *
 *   weight of the new batch (PyTorch):           running = (1 − m)·running + m·batch
 *   weight of the old value (ONNX, Keras, …):    running = m·running + (1 − m)·batch
 *   hence                                        m_new = 1 − m_old, and the conversion is its own inverse
 *
 * Frameworks keep the number as a float32, where 1 − 0.1 is 0.90000004 or 0.9 depending on who rounds when. So the
 * subtraction is made on the shortest decimal that names the float32, exactly, and rounded once. For every multiple of
 * 1e-7 in [0, 1] and for every float32 in [0.5, 1] converting twice gives back the same float32. (Between 0 and 0.5 there
 * are more float32 values than between 0.5 and 1, so for the others no conversion can; the nearest is given.)
 */
import { BnfoldError } from "../diag/error.ts";

/** Which of the two values the number weighs. */
export type MomentumSense = "new" | "old";

/** What a framework means by momentum. */
export interface MomentumConvention {
  readonly label: string;
  readonly sense: MomentumSense;
  /** What the framework uses when nothing is said. */
  readonly initial: number;
  /** Something the two formulas do not say. */
  readonly note?: string;
}

const variance = {
  n: "The batch variance that enters the running variance divides by N.",
  unbiased: "The batch variance that enters the running variance divides by N - 1.",
};

/** Momentum in each framework. */
export const CONVENTIONS = {
  pytorch: { label: "PyTorch", sense: "new", initial: 0.1, note: variance.unbiased },
  keras: { label: "Keras", sense: "old", initial: 0.99, note: variance.n },
  onnx: { label: "ONNX", sense: "old", initial: 0.9, note: variance.n },
  tensorflow: {
    label: "TensorFlow",
    sense: "old",
    initial: 0.99,
    note: "The fused kernel's batch variance divides by N - 1.",
  },
  caffe: {
    label: "Caffe",
    sense: "old",
    initial: 0.999,
    note:
      "moving_average_fraction: Caffe keeps a sum and its weight (sum = m * sum + batch, weight = m * weight + 1) and uses " +
      "sum / weight, which tends to this formula.",
  },
  mxnet: { label: "MXNet", sense: "old", initial: 0.9 },
  flax: { label: "Flax", sense: "old", initial: 0.99, note: variance.n },
  haiku: {
    label: "Haiku",
    sense: "old",
    initial: 0.999,
    note:
      "decay_rate, which the layer wants given (its networks use 0.999); the averages start at zero and are divided by " +
      "1 - decay_rate^n after n batches, which tends to this formula.",
  },
  paddle: { label: "PaddlePaddle", sense: "old", initial: 0.9, note: variance.n },
  darknet: {
    label: "Darknet",
    sense: "old",
    initial: 0.99,
    note: `The weights 0.99 and 0.01 are fixed, and epsilon is added to the root, not under it. ${variance.unbiased}`,
  },
} as const satisfies Record<string, MomentumConvention>;

/** A framework whose conventions are known: a key of `CONVENTIONS`. */
export type Framework = keyof typeof CONVENTIONS;

/** The frameworks, in the order of `CONVENTIONS`. */
export const FRAMEWORKS = Object.keys(CONVENTIONS) as Framework[];

/** Other names people know a framework by. */
export const FRAMEWORK_ALIASES = {
  torch: "pytorch",
  tf: "tensorflow",
  jax: "flax",
  paddlepaddle: "paddle",
  gluon: "mxnet",
} as const satisfies Record<string, Framework>;

/** The framework of a name or an alias; undefined for any other word. */
export function frameworkNamed(name: string): Framework | undefined {
  const lower = name.toLowerCase();
  if (Object.hasOwn(CONVENTIONS, lower)) return lower as Framework;
  return Object.hasOwn(FRAMEWORK_ALIASES, lower) ? FRAMEWORK_ALIASES[lower as keyof typeof FRAMEWORK_ALIASES] : undefined;
}

/** The shortest decimal text that names the float32 nearest to `value` and no other. */
export function shortestFloat32(value: number): string {
  const stored = Math.fround(value);
  if (!Number.isFinite(stored)) return String(stored);
  for (let digits = 1; digits < 9; digits++) {
    const text = stored.toPrecision(digits);
    if (Math.fround(Number(text)) === stored) return String(Number(text));
  }
  return String(Number(stored.toPrecision(9)));
}

/** 1 − x for a decimal text 0 ≤ x ≤ 1, exactly, to the nearest double. */
function oneMinusDecimal(text: string): number {
  const [mantissa, exponent = "0"] = text.toLowerCase().split("e");
  const [whole, fraction = ""] = mantissa.split(".");
  // A decimal this small leaves 1 in any precision used here; the padding below need not grow with it.
  const places = Math.max(0, fraction.length - Number(exponent));
  if (places > 60) return 1;
  const scale = 10n ** BigInt(places);
  const shift = Number(exponent) - fraction.length + places;
  const units = BigInt(whole + fraction) * 10n ** BigInt(shift);
  const left = (scale - units).toString().padStart(places + 1, "0");
  return Number(`${left.slice(0, left.length - places)}.${left.slice(left.length - places)}`);
}

const decimalComplement = (m: number): number => Math.fround(oneMinusDecimal(shortestFloat32(m)));

/** The same momentum seen from the other sense, as a float32. Its own inverse (see the conditions above). */
export function complementMomentum(momentum: number): number {
  const m = Math.fround(checked(momentum));
  const byDecimal = decimalComplement(m);
  return decimalComplement(byDecimal) === m ? byDecimal : Math.fround(1 - m);
}

function checked(momentum: number): number {
  if (momentum >= 0 && momentum <= 1) return momentum;
  throw new BnfoldError("usage", `a momentum is a number from 0 to 1, got ${momentum}`);
}

/**
 * Momentum `value` of framework `from` as the number framework `to` needs for the same update, as a float32.
 * `undefined` is PyTorch's `None`, a cumulative average: it has no number anywhere, so it stays `undefined`.
 */
export function convertMomentum(value: number | undefined, from: Framework, to: Framework): number | undefined {
  if (value === undefined) {
    if (from !== "pytorch") {
      throw new BnfoldError("usage", `${CONVENTIONS[from].label} has no momentum None; only PyTorch does`);
    }
    return undefined;
  }
  const m = Math.fround(checked(value));
  return CONVENTIONS[from].sense === CONVENTIONS[to].sense ? m : complementMomentum(m);
}

/** The update formula of a framework with its numbers filled in. */
export function updateFormula(framework: Framework, momentum: number | undefined): string {
  if (momentum === undefined) return "running = running + (batch - running) / n, n = batches seen so far, this one included";
  const m = shortestFloat32(momentum);
  const other = shortestFloat32(complementMomentum(momentum));
  return CONVENTIONS[framework].sense === "new"
    ? `running = (1 - ${m}) * running + ${m} * batch = ${other} * running + ${m} * batch`
    : `running = ${m} * running + (1 - ${m}) * batch = ${m} * running + ${other} * batch`;
}

/** A sentence when the value looks like it belongs to the other sense, or makes the running statistics useless. */
export function suspectMomentum(value: number | undefined, framework: Framework): string | undefined {
  if (value === undefined) return undefined;
  const { label, sense, initial } = CONVENTIONS[framework];
  const m = shortestFloat32(value);
  const newWeight = sense === "new" ? value : 1 - value;
  if (newWeight === 0) return `With ${m} in ${label} the running statistics never change.`;
  if (newWeight === 1) return `With ${m} in ${label} the running statistics are those of the last batch alone.`;
  if (newWeight <= 0.5) return undefined;
  const other = sense === "new" ? "Keras, TensorFlow or ONNX" : "PyTorch";
  return (
    `${m} is unusual for ${label} (default ${initial}): the last batch would weigh ${shortestFloat32(newWeight)}. ` +
    `It looks like a value from ${other}, where it would be ${shortestFloat32(complementMomentum(value))} in ${label}.`
  );
}
