/** The proof of what `norms` does, from the bytes of two files: equal when it is right, different or undecided when it is not. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { f, float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { floats } from "../rules/check.ts";

const SEED = 20261123;
const C = 4;
const GAMMA = [2, -0.5, 0, 1.5];
const BETA = [1, -3, 0.5, 2];
const W = [1, 2, 3, -1, 0.5, 4, 2, 2, -3, 1, 1, 5];
const BIAS = [1, -2, 3];

interface Numbers {
  readonly gamma: readonly number[];
  readonly beta: readonly number[] | undefined;
  readonly w: readonly number[];
  readonly c: readonly number[];
  readonly epsilon?: number;
}

/** LayerNormalization or another, Transpose, MatMul with bias. */
function net(op: string, { gamma, beta, w, c, epsilon = 0.25 }: Numbers): ModelSpec {
  const last = op === "LayerNormalization" || op === "RMSNormalization";
  const t32 = (dims: number[], values: readonly number[]): TensorSpec => float32(dims, values.map(Math.fround));
  const nodes: NodeSpec[] = [
    node(op, ["x", "g", ...(beta === undefined ? [] : ["b"])], ["n"], {
      epsilon: f(epsilon),
      ...(op === "GroupNormalization" ? { num_groups: 2 } : {}),
    }),
    node("Transpose", ["n"], ["t"], { perm: last ? [1, 0, 2] : [0, 2, 1] }),
    node("MatMul", ["t", "w"], ["p"]),
    node("Add", ["p", "c"], ["y"]),
  ];
  return {
    opset: 23,
    irVersion: 10,
    nodes,
    initializers: { g: t32([C], gamma), ...(beta ? { b: t32([C], beta) } : {}), w: t32([C, 3], w), c: t32([3], c) },
    inputs: [floats("x", last ? [2, 3, C] : [2, C, 3])],
    outputs: [floats("y")],
  };
}

const right: Numbers = { gamma: GAMMA, beta: BETA, w: W, c: BIAS };
const emptied = (bias: boolean): Numbers => ({
  gamma: [1, 1, 1, 1],
  beta: bias ? [0, 0, 0, 0] : undefined,
  w: W.map((w, i) => w * GAMMA[Math.floor(i / 3)]),
  c: BIAS.map((c, o) => c + BETA.reduce((sum, b, i) => sum + b * W[3 * i + o], 0)),
});
const verdict = (op: string, a: Numbers, b: Numbers, foreign = false) =>
  prove(model(net(op, a)), model(net(op, b)), { foreign }).outcome;
const OPS = ["LayerNormalization", "InstanceNormalization", "GroupNormalization"];

describe("a normalization without gain and shift", () => {
  it.each(OPS)("%s equals the one that has them, a gain of zero included, own or foreign", (op) => {
    const bias = op !== "LayerNormalization";
    for (const foreign of [false, true]) expect(verdict(op, right, emptied(bias), foreign)).toBe("equal");
  });

  it("LayerNormalization with zeros for a shift is the one without", () => {
    expect(verdict("LayerNormalization", right, emptied(true))).toBe("equal");
    expect(verdict("LayerNormalization", emptied(false), emptied(true))).toBe("equal");
  });

  it("RMSNormalization hands on its gain", () => {
    const only = { ...right, beta: undefined };
    expect(verdict("RMSNormalization", only, { ...emptied(false), c: BIAS })).toBe("equal");
    expect(verdict("RMSNormalization", only, { ...emptied(false), w: W, c: BIAS })).not.toBe("equal");
  });

  it("one whose gain stays while its shift goes, before one with a gain of zero", () => {
    const chain = (beta: number[] | undefined, tail: Record<string, TensorSpec>): ModelSpec => ({
      opset: 23,
      irVersion: 10,
      nodes: [
        node("LayerNormalization", ["x", "g", ...(beta ? ["b"] : [])], ["n"], { epsilon: f(0.25) }),
        node("InstanceNormalization", ["n", "h", "z"], ["m"], { epsilon: f(0.25) }),
        node("Conv", ["m", "w", "c"], ["y"]),
      ],
      initializers: { g: float32([C], [3, 3.3, 1.1, 0.7].map(Math.fround)), ...(beta ? { b: float32([C], beta) } : {}), ...tail },
      inputs: [floats("x", [2, 2, C])],
      outputs: [floats("y")],
    });
    const shift = [1, 1, 1, 1];
    const tail = { h: float32([2], [0, 2]), z: float32([2], [3, 1]), w: float32([1, 2, 1], [5, 7]), c: float32([1], [1]) };
    const bare = {
      h: float32([2], [1, 1]),
      z: float32([2], [0, 0]),
      w: float32([1, 2, 1], [0, 14]),
      c: float32([1], [1 + 15 + 7]),
    };
    expect(prove(model(chain(shift, tail)), model(chain(undefined, bare)), { foreign: false }).outcome).toBe("equal");
    const wrong = { ...bare, w: float32([1, 2, 1], [5, 14]) };
    expect(prove(model(chain(shift, tail)), model(chain(undefined, wrong)), { foreign: false }).outcome).not.toBe("equal");
  });

  it("and the other way round: what an emptied one takes back", () => {
    const some = { ...right, gamma: [2, -0.5, 4, 1.5] };
    const w = W.map((v, i) => v * some.gamma[Math.floor(i / 3)]);
    expect(verdict("LayerNormalization", { ...emptied(false), w }, some)).toBe("equal");
  });
});

describe("what is not right is not equal", () => {
  it.each(OPS)("%s", (op) => {
    const good = emptied(op !== "LayerNormalization");
    const swap = <T>(list: readonly T[], i: number, k: number) => list.with(i, list[k]).with(k, list[i]);
    const wrong: Record<string, Numbers> = {
      "a weight that did not take its gain": { ...good, w: good.w.with(0, W[0]) },
      "no weight at all": { ...good, w: W },
      "the gain of another channel": { ...good, w: W.map((w, i) => w * swap(GAMMA, 0, 1)[Math.floor(i / 3)]) },
      "no shift": { ...good, c: BIAS },
      "half a shift": { ...good, c: good.c.map((c, i) => (c + BIAS[i]) / 2) },
      "a gain that is left over": { ...good, gamma: [1, 1, 1, 1.5] },
      "a shift that is left over": { ...good, beta: [0, -3, 0, 0] },
      "a weight where the gain is zero": { ...good, w: good.w.with(6, 1) },
      "another epsilon": { ...good, epsilon: 0.5 },
    };
    for (const [name, numbers] of Object.entries(wrong))
      for (const foreign of [false, true]) expect(verdict(op, right, numbers, foreign), name).not.toBe("equal");
    for (const name of ["no weight at all", "no shift", "a shift that is left over"])
      expect(verdict(op, right, wrong[name]), name).toBe("different");
  });

  it(`one number of the written file that is off (seed ${SEED})`, () => {
    const number = fc.constantFrom(...["w", "c"]);
    fc.assert(
      fc.property(fc.constantFrom(...OPS), number, fc.nat(11), fc.constantFrom(1.001, 0.5, -1), (op, which, at, factor) => {
        const before = net(op, { ...right, gamma: [2, -0.5, 4, 1.5] });
        const { model: after } = folded(model(before), { norms: true });
        expect(prove(model(before), after, { foreign: false }).outcome).toBe("equal");
        // The same numbers as the fold's, spoiled in one place.
        const zeros = op === "LayerNormalization" ? {} : { beta: [0, 0, 0, 0] };
        const good = emptied(false);
        const w = W.map((v, i) => v * [2, -0.5, 4, 1.5][Math.floor(i / 3)]);
        const list = which === "w" ? w : good.c;
        const spoiled = { ...good, w, [which]: list.with(at % list.length, list[at % list.length] * factor) };
        const shown = (numbers: Numbers) =>
          prove(model(before), model(net(op, { ...numbers, ...zeros })), { foreign: true }).outcome;
        expect(shown({ ...good, w })).toBe("equal");
        expect(shown(spoiled)).not.toBe("equal");
      }),
      { numRuns: 60, seed: SEED },
    );
  });

  it("a weight normalization that was written out wrongly", () => {
    const v = [3, 4, 0, 5, 12, 0];
    const spec = (nodes: NodeSpec[], initializers: Record<string, TensorSpec>): ModelSpec => ({
      opset: 17,
      irVersion: 10,
      nodes: [...nodes, node("Gemm", ["x", "w"], ["y"], { transB: 1 })],
      initializers,
      inputs: [floats("x", [2, 3])],
      outputs: [floats("y")],
    });
    const before = spec(
      [
        node("ReduceL2", ["v"], ["l"], { axes: [1], keepdims: 1 }),
        node("Div", ["v", "l"], ["u"]),
        node("Mul", ["u", "g"], ["w"]),
      ],
      { v: float32([2, 3], v), g: float32([2, 1], [2, -3]) },
    );
    const unit = v.map((e, i) => (i < 3 ? (2 * e) / 5 : (-3 * e) / 13));
    const written = (w: number[]) =>
      prove(model(before), model(spec([], { w: float32([2, 3], w.map(Math.fround)) })), { foreign: false });
    expect(written(unit).outcome).toBe("equal");
    expect(written(unit.with(1, unit[1] * (1 + 2 ** -20))).outcome).toBe("different");
    expect(written(v.map((e, i) => (i < 3 ? e / 5 : e / 13))).outcome).toBe("different");
  });
});
