/** What the proof allows a number: the rounding of what is stored, times what the operator multiplies it with. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import { randomOf } from "../../src/verify/random.ts";
import { f, type ModelSpec, model, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

type Storage = "float16" | "float32" | "float64";

const numbers = (seed: number, name: string, n: number): number[] => {
  const random = randomOf(seed, name);
  return Array.from({ length: n }, () => random.normal());
};
const tensor = (dtype: Storage, dims: readonly number[], seed: number, name: string): TensorSpec => ({
  dtype,
  dims,
  values: numbers(
    seed,
    name,
    dims.reduce((n, d) => n * d, 1),
  ),
});

interface Case {
  readonly dtype: Storage;
  readonly alpha: number;
  readonly beta: number;
  readonly transA: number;
  readonly transB: number;
  readonly place: "before" | "behind" | "both" | "none";
  /** Shape of the bias. */
  readonly bias: readonly number[];
}

const [M, K, N] = [5, 6, 7];

/** Normalization, Gemm, normalization; statistics far from 0 and 1. */
function network({ dtype, alpha, beta, transA, transB, place, bias }: Case, seed: number): ModelSpec {
  const norm = (name: string, n: number): Record<string, TensorSpec> => ({
    [`${name}g`]: tensor(dtype, [n], seed, `${name}g`),
    [`${name}b`]: tensor(dtype, [n], seed, `${name}b`),
    [`${name}m`]: tensor(dtype, [n], seed, `${name}m`),
    [`${name}v`]: { dtype, dims: [n], values: numbers(seed, `${name}v`, n).map((v) => 0.3 + v * v) },
  });
  const [first, second] = [place === "before" || place === "both", place === "behind" || place === "both"];
  const normal = (name: string, from: string, to: string) =>
    node("BatchNormalization", [from, `${name}g`, `${name}b`, `${name}m`, `${name}v`], [to]);
  const columns = transA ? M : K;
  return {
    nodes: [
      ...(first ? [normal("p", "x", "n")] : []),
      node("Gemm", [first ? "n" : "x", "w", "c"], [second ? "l" : "y"], { alpha: f(alpha), beta: f(beta), transA, transB }),
      ...(second ? [normal("q", "l", "y")] : []),
    ],
    initializers: {
      ...(first ? norm("p", columns) : {}),
      ...(second ? norm("q", N) : {}),
      w: tensor(dtype, transB ? [N, K] : [K, N], seed, "w"),
      c: tensor(dtype, bias, seed, "c"),
    },
    inputs: [{ name: "x", dtype, dims: transA ? [K, M] : [M, K] }],
    outputs: [{ name: "y", dtype }],
  };
}

const SCALES = [
  [0.6, 1],
  [1, 3],
  [0.35, -0.7],
  [-1.3, 0.11],
  [0.1, 1e-3],
  [-1, 1],
  [4, 0.25],
  [1e3, 0],
];

describe("Gemm", () => {
  const cases = SCALES.flatMap(([alpha, beta]) =>
    (["behind", "before", "both"] as const).flatMap((place) =>
      [0, 1].map((transB) => ({ alpha, beta, place, transB, transA: 0, bias: [N] as readonly number[] })),
    ),
  );
  it.each(cases)("alpha $alpha, beta $beta, transB $transB, normalization $place: own folds are equal", (one) => {
    for (const dtype of ["float32", "float16", "float64"] as const) {
      for (const bias of [[N], [1, N], [1]]) {
        for (let seed = 1; seed <= 1; seed++) {
          const before = model(network({ ...one, dtype, bias }, seed));
          const after = folded(before);
          expect(prove(before, after.model, { foreign: false }).outcome, `${dtype} [${bias}] ${seed}`).toBe("equal");
        }
      }
    }
  });

  it.each(SCALES)("alpha %d, beta %d, transA: own folds are equal", (alpha, beta) => {
    for (const place of ["behind", "before", "both"] as const) {
      const before = model(network({ dtype: "float32", alpha, beta, transA: 1, transB: 0, place, bias: [N] }, 1));
      expect(prove(before, folded(before).model, { foreign: false }).outcome, place).toBe("equal");
    }
  });

  /** The fold with one stored number moved. */
  const moved = (spec: ModelSpec, name: string, by: (v: number) => number): ModelSpec => {
    const found = spec.initializers?.[name] as TensorSpec;
    const values = Array.from(found.values as number[], (v, i) => (i === 1 ? by(Number(v)) : Number(v)));
    return { ...spec, initializers: { ...spec.initializers, [name]: { ...found, values } } };
  };

  it.each(SCALES.filter(([, beta]) => beta !== 0))("alpha %d, beta %d: a few half-ulps are found", (alpha, beta) => {
    const spec = network({ dtype: "float32", alpha, beta, transA: 0, transB: 0, place: "none", bias: [N] }, 2);
    const up = (v: number) => Math.fround(v) * (1 + 3 * 2 ** -23);
    for (const name of ["w", "c"]) {
      const wrong = prove(model(spec), model(moved(spec, name, up)), { foreign: false });
      expect(wrong.outcome, name).not.toBe("equal");
    }
  });
});
