/**
 * What a computed constant may be off: never less than what evaluating it step by step in the file's types gives (by the executor's
 * storage mode, which rounds after every operator), and not much more. Files whose constants another tool evaluated so are equal;
 * the same files with a number really off are not.
 */
import { describe, expect, it } from "vitest";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { isTensor } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { Budgets } from "../../src/verify/proof/budgets.ts";
import { sideOf } from "../../src/verify/proof/classes.ts";
import { prove } from "../../src/verify/proof.ts";
import { randomOf } from "../../src/verify/random.ts";
import { float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";

type Storage = "float16" | "float32";

const drawn = (seed: number, name: string, n: number): number[] => {
  const random = randomOf(seed, name);
  return Array.from({ length: n }, () => random.normal());
};
const tensor = (dtype: Storage, dims: readonly number[], seed: number, name: string, change = (v: number) => v): TensorSpec => ({
  dtype,
  dims,
  values: drawn(
    seed,
    name,
    dims.reduce((n, d) => n * d, 1),
  ).map(change),
});

/** Constants of [4, 3], positive and any, a vector of 4, and what each chain makes of them: "r". */
const CHAINS: Record<string, readonly NodeSpec[]> = {
  "a sum that cancels": [node("Add", ["c", "d"], ["s"]), node("Sub", ["s", "c"], ["r"])],
  "a frozen normalization": [
    node("Add", ["p", "tiny"], ["q"]),
    node("Sqrt", ["q"], ["root"]),
    node("Reciprocal", ["root"], ["inverse"]),
    node("Mul", ["c", "inverse"], ["gain"]),
    node("Mul", ["d", "gain"], ["moved"]),
    node("Sub", ["e", "moved"], ["r"]),
  ],
  "quotients and powers": [node("Div", ["c", "p"], ["s"]), node("Pow", ["s", "two"], ["r"])],
  "a weight norm": [
    node("Mul", ["c", "c"], ["square"]),
    node("ReduceSum", ["square", "axes"], ["sum"], { keepdims: 1 }),
    node("Sqrt", ["sum"], ["norm"]),
    node("Div", ["c", "norm"], ["unit"]),
    node("Mul", ["unit", "g"], ["r"]),
  ],
  "a norm in one step": [node("ReduceL2", ["c"], ["norm"], { axes: [1], keepdims: 1 }), node("Div", ["c", "norm"], ["r"])],
  "a spectral norm": [
    node("MatMul", ["c", "v"], ["wv"]),
    node("Mul", ["u", "wv"], ["parts"]),
    node("ReduceSum", ["parts", "first"], ["sigma"], { keepdims: 1 }),
    node("Div", ["c", "sigma"], ["r"]),
  ],
  "a normalization of a constant": [node("BatchNormalization", ["c", "g3", "h3", "m3", "v3"], ["r"])],
  functions: [node("Exp", ["c"], ["s"]), node("Log", ["s"], ["t"]), node("Tanh", ["t"], ["h"]), node("Sigmoid", ["h"], ["r"])],
  "something without a rule": [node("Softmax", ["c"], ["s"], { axis: 1 }), node("Mul", ["s", "d"], ["r"])],
  "what is moved after a sum": [
    node("Add", ["c", "d"], ["s"]),
    node("Transpose", ["s"], ["t"], { perm: [1, 0] }),
    node("Reshape", ["t", "shape"], ["r"]),
  ],
  "a mean taken away": [node("ReduceMean", ["c"], ["mean"], { axes: [0, 1], keepdims: 1 }), node("Sub", ["c", "mean"], ["r"])],
};

const constants = (dtype: Storage, seed: number): Record<string, TensorSpec> => {
  const of = (name: string, dims: readonly number[], change?: (v: number) => number) => tensor(dtype, dims, seed, name, change);
  return {
    ...{ c: of("c", [4, 3]), d: of("d", [4, 3], (v) => 0.01 * v), e: of("e", [4, 3]), p: of("p", [4, 3], (v) => 0.2 + v * v) },
    ...{ g: of("g", [4, 1]), v: of("v", [3, 1]), u: of("u", [4, 1]), tiny: { dtype, dims: [], values: [1e-3] } },
    ...{ g3: of("g3", [3]), h3: of("h3", [3]), m3: of("m3", [3], (v) => 9 * v), v3: of("v3", [3], (v) => 0.1 + v * v) },
    ...{ two: { dtype, dims: [], values: [2] }, axes: int64([1], [1]), first: int64([2], [0, 1]), shape: int64([2], [4, 3]) },
  };
};

/** x · r + r, of which a tool evaluates r. */
const computing = (chain: readonly NodeSpec[], dtype: Storage, seed: number): ModelSpec => ({
  nodes: [...chain, node("Add", ["x", "r"], ["a"]), node("Relu", ["a"], ["l"]), node("Mul", ["l", "r"], ["y"])],
  initializers: constants(dtype, seed),
  inputs: [{ name: "x", dtype, dims: [4, 3] }],
  outputs: [{ name: "y", dtype }],
  opset: 13,
});

/** The chain's result as another tool stores it. */
function evaluated(spec: ModelSpec): number[] {
  const chain = spec.nodes.slice(0, -3);
  const inner = model({ ...spec, nodes: chain, inputs: [], outputs: [{ name: "r" }] });
  const made = createSession(inner, { mode: "storage", seed: 0 }).run(new Map()).get("r");
  if (made === undefined || !isTensor(made)) throw new Error("no result");
  return [...asFloat64(made)];
}

const stored = (spec: ModelSpec, dtype: Storage, values: readonly number[]): ModelSpec => ({
  ...spec,
  nodes: spec.nodes.slice(-3),
  initializers: { r: { dtype, dims: [4, 3], values } },
});

const U = { float16: 2 ** -11, float32: 2 ** -24 };

describe.each(Object.entries(CHAINS))("%s", (_name, chain) => {
  it.each(["float32", "float16"] as const)("has a budget that holds what its types make of it, in %s", (dtype) => {
    for (let seed = 1; seed <= 20; seed++) {
      const spec = computing(chain, dtype, seed);
      const { view, constants: known } = sideOf(model(spec));
      const value = view.main.values.get("r");
      const open = new Budgets(known).of(value);
      if (value === undefined || open === undefined) throw new Error("no budget");
      const exact = asFloat64(known.tensor(value));
      const largest = Math.max(...exact.map(Math.abs), 1);
      evaluated(spec).forEach((v, i) => {
        expect(Math.abs(v - exact[i])).toBeLessThanOrEqual(open[i]);
        expect(open[i]).toBeLessThanOrEqual(500 * U[dtype] * largest);
      });
    }
  });

  it("is equal to what another tool evaluated, either way round, and to nothing else", () => {
    for (const dtype of ["float32", "float16"] as const) {
      for (let seed = 1; seed <= 5; seed++) {
        const spec = computing(chain, dtype, seed);
        const values = evaluated(spec);
        const other = stored(spec, dtype, values);
        expect(prove(model(spec), model(other)).outcome).toBe("equal");
        expect(prove(model(other), model(spec)).outcome).toBe("equal");
        const most = values.reduce((best, v, i) => (Math.abs(v) > Math.abs(values[best]) ? i : best), 0);
        const wrong = stored(spec, dtype, values.with(most, values[most] * (1 + 2000 * U[dtype])));
        expect(prove(model(spec), model(wrong)).outcome).not.toBe("equal");
      }
    }
  });

  it("is open as a slope, too, which no layer takes", () => {
    for (const dtype of ["float32", "float16"] as const) {
      for (let seed = 1; seed <= 3; seed++) {
        const slope: ModelSpec = {
          ...computing(chain, dtype, seed),
          nodes: [
            ...chain,
            node("PRelu", ["x", "r"], ["bent"]),
            node("Tanh", ["bent"], ["flat"]),
            node("PRelu", ["flat", "r"], ["y"]),
          ],
        };
        const values = evaluated(slope);
        expect(prove(model(slope), model(stored(slope, dtype, values))).outcome, `${dtype} ${seed}`).toBe("equal");
        expect(prove(model(stored(slope, dtype, values)), model(slope)).outcome, `${dtype} ${seed}`).toBe("equal");
        const most = values.reduce((best, v, i) => (Math.abs(v) > Math.abs(values[best]) ? i : best), 0);
        const wrong = stored(slope, dtype, values.with(most, values[most] * (1 + 2000 * U[dtype])));
        expect(prove(model(slope), model(wrong)).outcome, `${dtype} ${seed}`).not.toBe("equal");
      }
    }
  });

  it("is no excuse for bnfold's own rounding, which is one", () => {
    const spec = computing(chain, "float32", 3);
    const values = evaluated(spec);
    const off = values.map((v) => v * (1 + 12 * U.float32));
    expect(prove(model(spec), model(stored(spec, "float32", off)), { foreign: false }).outcome).not.toBe("equal");
  });
});

describe("what rounds nothing", () => {
  const budget = (nodes: readonly NodeSpec[], c: readonly number[]) => {
    const spec: ModelSpec = {
      nodes,
      initializers: { c: float32([c.length], c), h: float32([], [0.5]) },
      outputs: [{ name: "r" }],
      opset: 13,
    };
    const { view, constants: known } = sideOf(model(spec));
    return new Budgets(known).of(view.main.values.get("r"));
  };
  const halved = [node("Mul", ["c", "h"], ["half"]), node("Floor", ["half"], ["floor"]), node("Add", ["floor", "floor"], ["r"])];

  it("has no budget: halves of whole numbers, rounded down, twice", () => {
    expect(budget(halved, [128, 127, 0, -3])).toBeUndefined();
    expect(budget([node("Sub", ["c", "c"], ["zero"]), node("Add", ["c", "zero"], ["r"])], [0.1, 0.3])).toBeUndefined();
  });

  it("and what does has one, by a step where it decides", () => {
    const third = [node("Div", ["c", "c"], ["one"]), node("Mul", ["c", "h"], ["half"]), node("Exp", ["half"], ["e"])];
    const open = budget([...third, node("Log", ["e"], ["back"]), node("Floor", ["back"], ["r"])], [2, 3]);
    expect(open?.[0]).toBeGreaterThanOrEqual(1);
    expect(open?.[1]).toBe(0);
  });
});

describe("constants that stand in the file", () => {
  it("have no budget, wherever they are moved", () => {
    const spec: ModelSpec = {
      nodes: [
        node("Transpose", ["w"], ["t"], { perm: [1, 0] }),
        node("Unsqueeze", ["t", "axes"], ["v"]),
        node("Gather", ["v", "at"], ["g"]),
        node("Mul", ["x", "g"], ["y"]),
      ],
      initializers: { w: tensor("float32", [3, 4], 1, "w"), axes: int64([1], [0]), at: int64([1], [0]) },
      inputs: [{ name: "x", dims: [1, 4, 3] }],
      outputs: [{ name: "y" }],
      opset: 13,
    };
    const { view, constants: known } = sideOf(model(spec));
    const budgets = new Budgets(known);
    for (const name of ["w", "t", "v", "g"]) expect(budgets.of(view.main.values.get(name))).toBeUndefined();
  });
});

describe("layers behind computed constants", () => {
  /** y = Relu(Conv(x)·s + t), with s and t computed from statistics; the other tool folds them into the layer, in float32. */
  const frozen = (seed: number, before: boolean): { spec: ModelSpec; other: (bad?: number) => ModelSpec } => {
    const r = Math.fround;
    const of = (name: string, n: number, change = (v: number) => v) => drawn(seed, name, n).map((v) => r(change(v)));
    const [outs, ins] = [5, 3];
    const channels = before ? ins : outs;
    const [w, b] = [of("w", outs * ins), of("b", outs)];
    const [gamma, beta, mean] = ["gamma", "beta", "mean"].map((name) => of(name, channels, (v) => 3 * v));
    const variance = of("variance", channels, (v) => 0.01 + v * v);
    const vector = (values: readonly number[]): TensorSpec => ({ dtype: "float32", dims: [1, values.length, 1, 1], values });
    const statistics = [
      node("Add", ["variance", "eps"], ["shifted"]),
      node("Sqrt", ["shifted"], ["deviation"]),
      node("Div", ["gamma", "deviation"], ["s"]),
      node("Mul", ["mean", "s"], ["ms"]),
      node("Sub", ["beta", "ms"], ["t"]),
    ];
    const map = (from: string, to: string) => [node("Mul", [from, "s"], [`${to}m`]), node("Add", [`${to}m`, "t"], [to])];
    const conv = (from: string, to: string) => node("Conv", [from, "w", "b"], [to], { kernel_shape: [1, 1] });
    const rest = {
      inputs: [{ name: "x", dims: [1, ins, 4, 4] }],
      outputs: [{ name: "y" }],
    };
    const weights = (values: readonly number[]): TensorSpec => ({ dtype: "float32", dims: [outs, ins, 1, 1], values });
    const spec: ModelSpec = {
      ...rest,
      nodes: [
        ...statistics,
        ...(before ? [...map("x", "n"), conv("n", "l")] : [conv("x", "c"), ...map("c", "l")]),
        node("Relu", ["l"], ["y"]),
      ],
      initializers: {
        ...{ w: weights(w), b: { dtype: "float32", dims: [outs], values: b } },
        ...{ gamma: vector(gamma), beta: vector(beta), mean: vector(mean), variance: vector(variance) },
        eps: { dtype: "float32", dims: [], values: [1e-5] },
      },
    };
    const s = gamma.map((g, c) => r(g / r(Math.sqrt(r(variance[c] + r(1e-5))))));
    const t = beta.map((v, c) => r(v - r(mean[c] * s[c])));
    const other = (bad = 0): ModelSpec => {
      const at = (i: number) => (before ? i % ins : Math.floor(i / ins));
      const folded = w.map((v, i) => r(v * s[at(i)] * (i === 7 ? 1 + bad : 1)));
      const bias = b.map((v, o) =>
        before ? w.slice(o * ins, o * ins + ins).reduce((sum, x, i) => r(sum + r(x * t[i])), v) : r(r(v * s[o]) + t[o]),
      );
      return {
        ...rest,
        nodes: [conv("x", "l"), node("Relu", ["l"], ["y"])],
        initializers: { w: weights(folded), b: { dtype: "float32", dims: [outs], values: bias } },
      };
    };
    return { spec, other };
  };

  it.each([false, true])("are equal when another tool folds them; statistics before the layer: %s", (before) => {
    for (let seed = 1; seed <= 40; seed++) {
      const { spec, other } = frozen(seed, before);
      expect(prove(model(spec), model(other())).outcome, `${seed}`).toBe("equal");
      expect(prove(model(spec), model(other(1e-4))).outcome, `${seed}`).not.toBe("equal");
    }
  });
});
