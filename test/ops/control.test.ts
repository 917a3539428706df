import { describe, expect, it } from "vitest";
import { isTensor, type OptionalValue, type SequenceValue, type Value } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { type GraphSpec, model, type NodeSpec, node, type ValueSpec } from "../helpers/build.ts";
import { list, longs, real } from "./evaluate.ts";

function run(
  nodes: readonly NodeSpec[],
  feeds: Record<string, Value>,
  outputs: readonly string[],
  opset = 21,
): (Value | undefined)[] {
  const inputs = Object.entries(feeds).map(([name, value]): ValueSpec => {
    if (isTensor(value)) return { name, dtype: value.dtype };
    return { name, kind: value.kind === "sequence" ? "sequence" : "optional" };
  });
  const m = model({ nodes, inputs, outputs: outputs.map((name) => ({ name })), opset });
  const results = createSession(m).run(new Map(Object.entries(feeds)));
  return outputs.map((name) => results.get(name));
}

const values = (value: Value | undefined) => (isTensor(value) ? list(value) : undefined);
const items = (value: Value | undefined) => (value as SequenceValue).items.map(values);

/** total' = total + x; scan output: total'. */
const adder: GraphSpec = {
  nodes: [node("Add", ["total", "x"], ["sum"]), node("Identity", ["sum"], ["seen"])],
  inputs: [
    { name: "total", dims: [2] },
    { name: "x", dims: [2] },
  ],
  outputs: [
    { name: "sum", dims: [2] },
    { name: "seen", dims: [2] },
  ],
};

describe("Scan", () => {
  const x = real([3, 2], [1, 2, 3, 4, 5, 6]);
  const zero = real([2], [0, 0]);

  it("runs along axis 0, forward", () => {
    const [sum, seen] = run([node("Scan", ["z", "x"], ["s", "all"], { body: adder, num_scan_inputs: 1 })], { z: zero, x }, [
      "s",
      "all",
    ]);
    expect(values(sum)).toEqual([9, 12]);
    expect(values(seen)).toEqual([1, 2, 4, 6, 9, 12]);
  });

  it("runs backward, writes backward, along other axes", () => {
    const attributes = {
      body: adder,
      num_scan_inputs: 1,
      scan_input_axes: [1],
      scan_input_directions: [1],
      scan_output_axes: [-1],
      scan_output_directions: [1],
    };
    const turned = real([2, 3], [1, 3, 5, 2, 4, 6]);
    const [sum, seen] = run([node("Scan", ["z", "x"], ["s", "all"], attributes)], { z: zero, x: turned }, ["s", "all"]);
    expect(values(sum)).toEqual([9, 12]);
    // Totals from the end: [5, 6], [8, 10], [9, 12], the last one first, each a column.
    expect(values(seen)).toEqual([9, 8, 5, 12, 10, 6]);
  });

  it("of opset 8 has a batch and lengths", () => {
    const batch = { z: real([2, 2], [0, 0, 0, 0]), x: real([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]), n: longs([2], [1n, 2n]) };
    const [sum, seen] = run(
      [node("Scan", ["n", "z", "x"], ["s", "all"], { body: adder, num_scan_inputs: 1 })],
      batch,
      ["s", "all"],
      8,
    );
    expect(values(sum)).toEqual([1, 2, 12, 14]);
    expect(values(seen)).toEqual([1, 2, 0, 0, 5, 6, 12, 14]);
  });
});

describe("Loop", () => {
  it("stops at its condition before its count", () => {
    const body: GraphSpec = {
      nodes: [node("Add", ["v", "v"], ["w"]), node("Less", ["w", "limit"], ["go"])],
      inputs: [
        { name: "i", dtype: "int64", dims: [] },
        { name: "c", dtype: "bool", dims: [] },
        { name: "v", dims: [] },
      ],
      outputs: [
        { name: "go", dtype: "bool", dims: [] },
        { name: "w", dims: [] },
      ],
    };
    const feeds = { v0: real([], [1]), limit: real([], [10]), n: longs([], [100n]) };
    expect(values(run([node("Loop", ["n", "", "v0"], ["y"], { body })], feeds, ["y"])[0])).toEqual([16]);
  });
});

describe("sequences", () => {
  const [a, b, c] = [real([1], [1]), real([2], [2, 2]), real([1], [3])];
  const made = node("SequenceConstruct", ["a", "b"], ["s"]);
  const at = (i: bigint) => longs([], [i]);

  it("are inserted into, erased from, asked", () => {
    const nodes = [
      made,
      node("SequenceInsert", ["s", "c", "first"], ["front"]),
      node("SequenceInsert", ["s", "c"], ["back"]),
      node("SequenceErase", ["front"], ["shorter"]),
      node("SequenceAt", ["s", "last"], ["item"]),
      node("SequenceLength", ["front"], ["n"]),
    ];
    const names = ["front", "back", "shorter", "item", "n"];
    const [front, back, shorter, item, n] = run(nodes, { a, b, c, first: at(0n), last: at(-1n) }, names);
    expect(items(front)).toEqual([[3], [1], [2, 2]]);
    expect(items(back)).toEqual([[1], [2, 2], [3]]);
    expect(items(shorter)).toEqual([[3], [1]]);
    expect(values(item)).toEqual([2, 2]);
    expect(values(n)).toEqual([3n]);
    expect(() => run([made, node("SequenceAt", ["s", "i"], ["y"])], { a, b, i: at(2n) }, ["y"])).toThrow(/position 2/);
  });

  it("come from tensors and go back", () => {
    const x = real([5, 1], [1, 2, 3, 4, 5]);
    const nodes = [
      node("SplitToSequence", ["x", "two"], ["s"]),
      node("ConcatFromSequence", ["s"], ["y"], { axis: 0 }),
      node("SplitToSequence", ["x"], ["rows"], { keepdims: 0 }),
      node("ConcatFromSequence", ["rows"], ["z"], { axis: 1, new_axis: 1 }),
    ];
    const [s, y, z] = run(nodes, { x, two: at(2n) }, ["s", "y", "z"]);
    expect(items(s)).toEqual([[1, 2], [3, 4], [5]]);
    expect(values(y)).toEqual([1, 2, 3, 4, 5]);
    expect(z).toMatchObject({ dims: [1, 5] });
  });

  it("are mapped item by item", () => {
    const body: GraphSpec = {
      nodes: [node("Mul", ["p", "q"], ["r"])],
      inputs: [{ name: "p" }, { name: "q" }],
      outputs: [{ name: "r" }],
    };
    const [y] = run([made, node("SequenceMap", ["s", "c"], ["y"], { body })], { a, b, c }, ["y"]);
    expect(items(y)).toEqual([[3], [6, 6]]);
  });
});

describe("optionals", () => {
  it("are made, asked and opened", () => {
    const empty: OptionalValue = { kind: "optional", item: undefined };
    const nodes = [
      node("Optional", ["x"], ["o"]),
      node("OptionalHasElement", ["o"], ["full"]),
      node("OptionalHasElement", ["e"], ["none"]),
      node("OptionalGetElement", ["o"], ["y"]),
    ];
    const [full, none, y] = run(nodes, { x: real([1], [4]), e: empty }, ["full", "none", "y"]);
    expect([values(full), values(none), values(y)]).toEqual([[1], [0], [4]]);
    expect(() => run([node("OptionalGetElement", ["e"], ["y"])], { e: empty }, ["y"])).toThrow(/empty/);
  });
});
