/**
 * Memory that is written over must never be memory somebody still reads: whole runs against runs that keep every value (a watcher
 * switches the reuse off), on random graphs full of views, second readers, subgraphs and outputs in odd places.
 */
import { describe, expect, it } from "vitest";
import type { Model } from "../../src/onnx/records.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { isTensor, type NumericMode, type Value } from "../../src/ops/define.ts";
import { Memory } from "../../src/run/memory.ts";
import { createSession } from "../../src/run/session.ts";
import { randomOf } from "../../src/verify/random.ts";
import { f, float32, type GraphSpec, int64, model, type NodeSpec, node } from "../helpers/build.ts";

const CHANNELS = 4;
const DIMS = [1, CHANNELS, 3, 5];
/** Large enough for the kernels to hold results back. */
const LARGE = [1, CHANNELS, 24, 25];
const sizeOf = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);

/** A graph of values of one shape: each node reads one or two earlier values. */
function randomModel(seed: number, dims: readonly number[] = DIMS): Model {
  const random = randomOf(seed, "memory");
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const values = ["x"];
  const nodes: NodeSpec[] = [];
  const constant = (n: number) => Array.from({ length: n }, () => random.normal());
  const body = (of: string): GraphSpec => ({ nodes: [node("Neg", [of], ["inner"])], outputs: [{ name: pick([of, "inner"]) }] });
  const count = 5 + random.below(20);
  for (let i = 0; i < count; i++) {
    // Mostly the newest value, so that many die at once.
    const a = random.uniform() < 0.7 ? values[values.length - 1] : pick(values);
    const b = pick(values);
    const out = `v${i}`;
    const choices: (() => NodeSpec)[] = [
      () => node("Relu", [a], [out]),
      () => node("Clip", [a, "zero", "six"], [out]),
      () => node("Clip", [a, "low", "six"], [out]),
      () => node("LeakyRelu", [a], [out]),
      () => node("Sigmoid", [a], [out]),
      () => node("Add", [a, b], [out]),
      () => node("Mul", [b, a], [out]),
      () => node("Sub", [a, "scale"], [out]),
      () => node("Div", ["scale4", a], [out]),
      () => node("Identity", [a], [out]),
      () => node("Reshape", [a, "shape"], [out]),
      () => node("Dropout", [a], [out]),
      () => node("Concat", [a], [out], { axis: 1 }),
      () => node("Transpose", [a], [out], { perm: [0, 1, 2, 3] }),
      () => node("Conv", [a, "w"], [out], { pads: [1, 1, 1, 1] }),
      () => node("BatchNormalization", [a, "gamma", "scale1", "scale1", "gamma"], [out], { epsilon: f(1e-3) }),
      () => node("Max", [a, b], [out]),
      () => node("MaxPool", [a], [out], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
      () => node("If", ["yes"], [out], { then_branch: body(a), else_branch: body(b) }),
      () => node("Sum", [a], [out]),
    ];
    nodes.push(pick(choices)());
    values.push(out);
  }
  const outputs = [...new Set([values[values.length - 1], pick(values.slice(1)), pick(values.slice(1))])];
  return model({
    nodes,
    inputs: [{ name: "x", dims: [...dims] }],
    outputs: outputs.map((name) => ({ name, dims: [...dims] })),
    initializers: {
      zero: float32([], [0]),
      low: float32([], [-0.5]),
      six: float32([], [1.5]),
      yes: { dtype: "bool", dims: [], values: [random.below(2)] },
      shape: int64([4], [0, 0, dims[2], -1]),
      scale: float32([CHANNELS, 1, 1], constant(CHANNELS)),
      scale1: float32([CHANNELS], constant(CHANNELS)),
      scale4: float32([...dims], constant(sizeOf(dims))),
      gamma: float32(
        [CHANNELS],
        constant(CHANNELS).map((v) => Math.abs(v) + 0.1),
      ),
      w: float32([CHANNELS, CHANNELS, 3, 3], constant(CHANNELS * CHANNELS * 9)),
    },
  });
}

const bits = (value: Value | undefined): BigUint64Array => {
  if (!isTensor(value) || !(value.data instanceof Float64Array)) throw new Error("not doubles");
  return new BigUint64Array(value.data.slice().buffer);
};

describe("memory that is used again", () => {
  it.each<[NumericMode, readonly number[], number]>([
    ["float64", DIMS, 400],
    ["storage", DIMS, 400],
    ["float64", LARGE, 150],
  ])("changes no result of random graphs (%s, %j)", (mode, dims, count) => {
    for (let seed = 0; seed < count; seed++) {
      const m = randomModel(seed, dims);
      const random = randomOf(seed, "x");
      const x: Tensor = {
        dtype: "float32",
        dims,
        data: Float64Array.from({ length: sizeOf(dims) }, () => Math.fround(random.normal())),
      };
      const before = bits(x);
      const feeds = new Map([["x", x]]);
      const kept = new Map<string, Value>();
      const careful = createSession(m, { mode }).run(feeds, { watch: (name, value) => kept.set(name, value) });
      const session = createSession(m, { mode });
      const first = session.run(feeds);
      const firstBits = new Map([...first].map(([name, value]) => [name, bits(value)]));
      session.run(feeds);
      const second = session.run(feeds);
      for (const [name, value] of careful) {
        const want = bits(value);
        expect(firstBits.get(name), `graph ${seed}, ${name}`).toEqual(want);
        expect(bits(second.get(name)), `graph ${seed}, ${name}, third run`).toEqual(want);
        // Later runs must not have written into what the first gave away.
        expect(bits(first.get(name)), `graph ${seed}, ${name}, after two more runs`).toEqual(want);
      }
      expect(bits(x), `graph ${seed}, the input`).toEqual(before);
    }
  });

  it("pooling of what the kernels hold gives the same as pooling of arrays", () => {
    const windows: NonNullable<Parameters<typeof node>[3]>[] = [
      { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
      { kernel_shape: [2, 3], strides: [3, 2], ceil_mode: 1 },
      { kernel_shape: [3, 2], strides: [1, 3], dilations: [2, 4], pads: [2, 0, 1, 3] },
      { kernel_shape: [5, 5], auto_pad: "SAME_LOWER", strides: [2, 3] },
    ];
    for (const [seed, attributes] of windows.entries()) {
      const random = randomOf(seed, "pool");
      const dims = [2, 3, 31, 34];
      const x: Tensor = { dtype: "float32", dims, data: Float64Array.from({ length: sizeOf(dims) }, () => random.normal()) };
      (x.data as Float64Array).set([Number.NaN, Number.NEGATIVE_INFINITY, -0, Number.POSITIVE_INFINITY], 500);
      const m = model({
        nodes: [node("Conv", ["x", "w"], ["a"]), node("MaxPool", ["a"], ["y"], attributes)],
        inputs: [{ name: "x", dims }],
        outputs: [{ name: "y" }],
        initializers: { w: float32([3, 3, 1, 1], [1, 0, 0, 0, -1, 0, 0.5, 0, 2]) },
      });
      const feeds = new Map([["x", x]]);
      const held = createSession(m).run(feeds).get("y");
      const plain = createSession(m)
        .run(feeds, { watch: () => undefined })
        .get("y");
      expect(bits(held), JSON.stringify(attributes)).toEqual(bits(plain));
    }
  });

  it("is really used: a chain of elementwise nodes runs in one array", () => {
    const names = ["a", "b", "c", "y"];
    const m = model({
      nodes: [
        node("Add", ["x", "x"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Mul", ["b", "b"], ["c"]),
        node("Sigmoid", ["c"], ["y"]),
      ],
      inputs: [{ name: "x", dims: [8] }],
      outputs: [{ name: "y", dims: [8] }],
    });
    const arrays = new Set<unknown>();
    const x: Tensor = { dtype: "float32", dims: [8], data: new Float64Array(8).fill(2) };
    createSession(m, { onNode: ({ outputs }) => outputs.forEach((value) => arrays.add((value as Tensor).data)) }).run(
      new Map([["x", x]]),
    );
    expect(names.length).toBe(4);
    expect(arrays.size).toBe(1);
    expect(arrays.has(x.data)).toBe(false);
  });

  it("keeps idle arrays within a bound, and gives each to one taker", () => {
    const memory = new Memory();
    const tensors = Array.from({ length: 20 }, (): Tensor => ({ dtype: "float32", dims: [], data: new Float64Array(1 << 20) }));
    for (const tensor of tensors) {
      memory.own(tensor);
      memory.release(tensor);
      memory.release(tensor); // owned no more: kept once
    }
    const given = new Set(Array.from({ length: 20 }, () => memory.take(1 << 20)));
    expect(given.size).toBe(20);
    expect(tensors.filter(({ data }) => given.has(data as Float64Array)).length).toBe(8); // 64 MiB of arrays of 8
  });
});
