/** Values quantised as the graph runs: what their scales and zero points take, what they do not, and what the proof says of near misses. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { float32, int8, type ModelSpec, model, type NodeSpec, node, type TensorSpec, uint8 } from "../helpers/build.ts";
import { batchNorm, type Checked, check, floats, operators, whole } from "./check.ts";

const net = (nodes: NodeSpec[], initializers: Record<string, TensorSpec>, dims: number[], opset = 21): ModelSpec => ({
  opset,
  irVersion: 10,
  nodes,
  initializers,
  inputs: [floats("x", dims)],
  outputs: [floats("y", dims)],
});
const q = (x: string, y: string, s = "s", z = "z", attributes = {}) => node("QuantizeLinear", [x, s, z], [y], attributes);
const dq = (x: string, y: string, s = "s", z = "z", attributes = {}) => node("DequantizeLinear", [x, s, z], [y], attributes);
const mul = (x: string, y: string) => node("Mul", [x, "k"], [y]);
/** Channels lie on axis 1. */
const channels = (...values: number[]) => float32([values.length, 1, 1], values);
const scalars = { s: float32([], [0.5]), z: int8([], [3]) };
const dims = [1, 4, 3, 3];

const numbersOf = ({ after }: Checked, index: number, input: number): string => after.graph.nodes[index].inputs[input];
const outcome = (a: ModelSpec, b: ModelSpec) => prove(model(a), model(b), { foreign: false }).outcome;

describe("a gain behind codes that are computed goes into the scales of their DequantizeLinear", () => {
  const chain = [q("x", "c"), dq("c", "d"), mul("d", "y")];

  it("one number for all, and one per channel with the zero point repeated", () => {
    const one = check(net(chain, { ...scalars, k: float32([], [4]) }, dims), { folds: 1 });
    expect(operators(one)).toEqual(["QuantizeLinear", "DequantizeLinear"]);
    const per = check(net(chain, { ...scalars, k: channels(4, 2, 0.5, 1) }, dims), { folds: 1 });
    expect(per.after.graph.nodes[0].inputs).toEqual(["x", "s", "z"]);
    expect(numbersOf(per, 1, 1)).not.toBe("s");
  });

  it("in front of the next QuantizeLinear, with a Relu between, and of an operator of ONNX Runtime", () => {
    const next = [
      ...chain.slice(0, 2),
      node("Relu", ["d"], ["r"]),
      mul("r", "m"),
      q("m", "e", "s2", "z"),
      dq("e", "y", "s2", "z"),
    ];
    const done = check(net(next, { ...scalars, s2: float32([], [2]), k: channels(4, 2, 0.5, 1) }, dims), { folds: 1 });
    expect(operators(done)).not.toContain("Mul");
  });

  it("keeps gains that are not positive, and says which channel", () => {
    for (const [k, value] of [
      [channels(4, 2, -0.5, 1), -0.5],
      [channels(4, 2, 0, 1), 0],
    ] as const)
      check(net(chain, { ...scalars, k }, dims), {
        folds: 0,
        refused: "sign-blocks",
        because: new RegExp(`gain 2 is ${value}: scales have to be positive`),
      });
  });

  it("keeps what varies along another axis than scales do, or what the operator set cannot hold", () => {
    const own = { s: float32([4], [0.5, 1, 2, 1]), z: int8([4], [0, 1, 2, 3]), k: float32([3, 1], [1, 2, 4]) };
    check(net(chain, own, dims), { folds: 0, refused: "quantized" });
    check(net(chain, { ...scalars, k: channels(4, 2, 0.5, 1) }, dims, 12), { folds: 0, refused: "quantized" });
  });

  it("a wrong scale, axis or zero point is different", () => {
    const before = net(chain, { ...scalars, k: channels(4, 2, 0.5, 1) }, dims);
    const folded = (s: number[], z: number[], axis: number) =>
      net(
        [q("x", "c"), dq("c", "y", "s2", "z2", { axis })],
        { ...scalars, s2: float32([s.length], s), z2: int8([z.length], z) },
        dims,
      );
    expect(outcome(before, folded([2, 1, 0.25, 0.5], [3, 3, 3, 3], 1))).toBe("equal");
    expect(outcome(before, folded([2, 1, 0.25, 1], [3, 3, 3, 3], 1))).toBe("different");
    expect(outcome(before, folded([2, 1, 0.25, 0.5], [3, 3, 2, 3], 1))).not.toBe("equal");
    expect(outcome(before, folded([2, 1, 0.25], [3, 3, 3], 2))).not.toBe("equal");
  });
});

describe("a shift moves a zero point where it is a whole number of steps", () => {
  const norm = (shift: number[]) => batchNorm("d", "y", 4, { gain: [2, 1, 0.5, 4], shift });

  it("behind a DequantizeLinear, with the gain", () => {
    const { node: bn, initializers } = norm([3, -2, 0.5, 8]);
    const done = check(net([q("x", "c"), dq("c", "d"), bn], { ...scalars, ...initializers }, dims), { folds: 1 });
    expect(operators(done)).toEqual(["QuantizeLinear", "DequantizeLinear"]);
  });

  it("says by how many steps it would have to move where that is none", () => {
    const { node: bn, initializers } = norm([3, -2.125, 0.5, 8]);
    const spec = net([q("x", "c"), dq("c", "d"), bn], { ...scalars, ...initializers }, dims);
    check(spec, {
      folds: 0,
      refused: "quantized",
      because: /zero point moved by 4\.25 steps on channel 1, which is no whole number/,
    });
    const far = norm([3, -200, 0.5, 8]);
    check(net([q("x", "c"), dq("c", "d"), far.node], { ...scalars, ...far.initializers }, dims), {
      folds: 0,
      because: /zero point 403 on channel 1, which is no int8/,
    });
  });
});

describe("a map in front of a QuantizeLinear goes into its scale and zero point", () => {
  const chain = [mul("x", "m"), q("m", "c"), dq("c", "y")];

  it("a positive gain divides the scale; the type of the codes stays, whatever the zero point is", () => {
    const zero = { s: float32([], [0.5]), z: int8([], [0]), k: channels(4, 2, 0.5, 1) };
    const done = check(net(chain, zero, dims), { folds: 1 });
    expect(operators(done)).toEqual(["QuantizeLinear", "DequantizeLinear"]);
    expect(numbersOf(done, 0, 2)).toBeDefined();
    check(net(chain, { ...scalars, k: float32([], [8]) }, dims), { folds: 1 });
    check(net(chain, { ...scalars, k: channels(4, -2, 0.5, 1) }, dims), {
      folds: 0,
      refused: "sign-blocks",
      because: /gain 1 is -2/,
    });
  });

  it("a shift by an even number of steps; an odd one would move ties", () => {
    const add = [node("Add", ["x", "k"], ["m"]), q("m", "c"), dq("c", "y")];
    check(net(add, { ...scalars, k: channels(1, -2, 0, 3) }, dims), { folds: 1 });
    check(net(add, { ...scalars, k: channels(1, -2, 0.5, 3) }, dims), {
      folds: 0,
      refused: "quantized",
      because: /moved by 1 steps on channel 2, which is no even number/,
    });
    check(net(add, { ...scalars, k: float32([], [2]) }, dims), { folds: 1 });
  });

  it("one gain for all passes a DynamicQuantizeLinear into the scale it gives", () => {
    const nodes = [
      mul("x", "m"),
      node("DynamicQuantizeLinear", ["m"], ["c", "t", "n"]),
      node("ConvInteger", ["c", "w", "n"], ["i"]),
      node("Cast", ["i"], ["f"], { to: 1 }),
      node("Mul", ["t", "ws"], ["st"]),
      node("Mul", ["f", "st"], ["y"]),
    ];
    const spec = net(
      nodes,
      {
        k: float32([], [4]),
        w: int8(
          [4, 4, 1, 1],
          Array.from({ length: 16 }, (_, i) => i - 8),
        ),
        ws: float32([], [0.5]),
      },
      dims,
    );
    const done = check(spec, { folds: 1, tolerance: 1e-13 });
    expect(operators(done).filter((op) => op === "Mul")).toHaveLength(2);
  });

  it("wrong neighbours are different", () => {
    const before = net(chain, { ...scalars, k: float32([], [4]) }, dims);
    const folded = (s: number, z: number) =>
      net([q("x", "c", "s2", "z2"), dq("c", "y")], { ...scalars, s2: float32([], [s]), z2: int8([], [z]) }, dims);
    expect(outcome(before, folded(0.125, 3))).toBe("equal");
    expect(outcome(before, folded(2, 3))).toBe("different");
    expect(outcome(before, folded(0.125, 2))).not.toBe("equal");
    const added = net([node("Add", ["x", "k"], ["m"]), q("m", "c"), dq("c", "y")], { ...scalars, k: float32([], [0.5]) }, dims);
    expect(outcome(added, folded(0.5, 4))).not.toBe("equal");
  });
});

describe("a layer quantised as it runs gets a bias where it has none", () => {
  const layer = (
    op: string,
    w: TensorSpec,
    rest: NodeSpec[],
    more: Record<string, TensorSpec>,
    x: number[],
    y: number[],
  ): ModelSpec => ({
    ...net(
      [
        node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        node(op, ["xq", "w", "xz"], ["i"]),
        node("Cast", ["i"], ["f"], { to: 1 }),
        node("Mul", ["xs", "ws"], ["st"]),
        node("Mul", ["f", "st"], ["c"]),
        ...rest,
      ],
      { w, ws: float32([], [0.5]), ...more },
      x,
    ),
    outputs: [floats("y", y)],
  });
  const rounding = { folds: 1, tolerance: 1e-13 };

  it("behind a convolution and a product, signs of all kinds", () => {
    const bn = batchNorm("c", "y", 4, { gain: [2, -1, 0.5, -4] });
    const w = int8([4, 2, 1, 1], [1, 2, 3, -4, -128, 6, 7, 8]);
    const conv = check(layer("ConvInteger", w, [bn.node], bn.initializers, [1, 2, 3, 3], [1, 4, 3, 3]), rounding);
    expect(operators(conv).slice(-2)).toEqual(["Mul", "Add"]);
    const product = check(layer("MatMulInteger", { ...w, dims: [2, 4] }, [bn.node], bn.initializers, [3, 2], [3, 4]), rounding);
    expect(operators(product).slice(-2)).toEqual(["Mul", "Add"]);
  });

  it("one Add is not exchanged for another, and an Add behind such a layer is its bias", () => {
    const add = node("Add", ["c", "b"], ["y"]);
    const spec = layer("MatMulInteger", int8([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]), [add], { b: whole([4]) }, [3, 2], [3, 4]);
    const { data } = check(spec, { folds: 0 });
    expect(data.kept.filter(({ node: { opType } }) => opType === "Add")).toEqual([]);
  });

  it("an Add behind a Div of such sums is none", () => {
    const spec = layer("MatMulInteger", int8([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]), [], {}, [3, 2], [3, 4]);
    const nodes = spec.nodes.map((one) => (one.inputs.join() === "f,st" ? { ...one, op: "Div" } : one));
    const { data } = check(
      { ...spec, nodes: [...nodes, node("Add", ["c", "b"], ["y"])], initializers: { ...spec.initializers, b: whole([4]) } },
      { folds: 0 },
    );
    expect(data.kept.map(({ node: { opType } }) => opType)).toContain("Add");
  });

  it("two Muls by statistics are none of it", () => {
    const nodes = [node("Relu", ["x"], ["f"]), node("ReduceMax", ["x"], ["t"], { keepdims: 0 }), node("Mul", ["f", "t"], ["c"])];
    const bn = batchNorm("c", "y", 4, { gain: [2, 1, 0.5, 4] });
    check(net([...nodes, bn.node], bn.initializers, dims), { folds: 0 });
  });

  it("a wrong scale or bias is different", () => {
    const bn = batchNorm("c", "y", 4, { gain: [2, 1, 0.5, 4] });
    const w = int8([2, 4], [1, 2, 3, -4, -128, 6, 7, 8]);
    const before = layer("MatMulInteger", w, [bn.node], bn.initializers, [3, 2], [3, 4]);
    const add = node("Add", ["c", "b"], ["y"]);
    const folded = (ws: number[], b: number[]) =>
      layer("MatMulInteger", w, [add], { ws: float32([4], ws), b: float32([4], b) }, [3, 2], [3, 4]);
    expect(outcome(before, folded([1, 0.5, 0.25, 2], [1, -2, 0.5, 3]))).toBe("equal");
    expect(outcome(before, folded([1, 0.5, 0.25, 1], [1, -2, 0.5, 3]))).not.toBe("equal");
    expect(outcome(before, folded([1, 0.5, 0.25, 2], [1, -2, 0.5, 2]))).not.toBe("equal");
  });
});

describe("codes of other types", () => {
  it("uint8 without a zero point gets one of its type", () => {
    const nodes = [
      node("QuantizeLinear", ["x", "s"], ["c"]),
      node("DequantizeLinear", ["c", "s"], ["d"]),
      node("Sub", ["d", "k"], ["y"]),
    ];
    const done = check(net(nodes, { s: float32([], [0.5]), k: float32([], [2]) }, dims), { folds: 1 });
    const name = numbersOf(done, 1, 2);
    expect(done.after.graph.initializers.find((t) => t.name === name)?.dataType).toBe(2);
    check(
      net(
        [q("x", "c"), dq("c", "d"), mul("d", "y")],
        { s: float32([], [0.5]), z: uint8([], [128]), k: channels(1, 2, 4, 8) },
        dims,
      ),
      { folds: 1 },
    );
  });
});

describe("a zero point that is computed", () => {
  it("takes no shift, and is not written over", () => {
    const made = [node("Add", ["x", "k"], ["m"]), q("m", "c"), dq("c", "y", "s", "zero")];
    const spec = net(made, { s: float32([], [0.5]), zero: int8([], [0]), k: float32([], [2]) }, dims);
    const fed = { ...spec, inputs: [...(spec.inputs ?? []), { name: "z", dtype: "int8", dims: [] }] };
    const z = { dtype: "int8" as const, dims: [], data: Int8Array.of(3) };
    check(fed, { folds: 0, refused: "quantized", because: /zero point that is not constant/, feeds: { z } });
  });
});
