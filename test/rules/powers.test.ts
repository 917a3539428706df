/** Powers of a gain. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { check, floats, operators, whole } from "./check.ts";
import { refuses } from "./helpers.ts";

const C = 4;
const per = (values: readonly number[]) => float32([values.length, 1, 1], values);
const squares = per([1, 4, 0.25, 16]);
const mixed = per([1, -2, 0.5, 4]);
const negative = per([-1, -2, -0.5, -4]);
const zero = per([1, 0, 2, 4]);

interface More {
  readonly constants?: Record<string, TensorSpec>;
  readonly opset?: number;
  readonly weight?: TensorSpec;
}
/** Mul of eˣ by k → node from "a" to "m" → Conv. */
const forward = (
  step: NodeSpec,
  k: TensorSpec,
  { constants = {}, opset = 21, weight = whole([2, C, 1, 1]) }: More = {},
): ModelSpec => ({
  opset,
  irVersion: 10,
  nodes: [node("Exp", ["x"], ["e"]), node("Mul", ["e", "k"], ["a"]), step, node("Conv", ["m", "w"], ["y"])],
  initializers: { k, w: weight, ...constants },
  inputs: [floats("x", ["N", C, 4, 4])],
  outputs: [floats("y")],
});
/** Conv → node from "c" to "m" → Mul by k. */
const backward = (step: NodeSpec, k: TensorSpec, { constants = {}, opset = 21 }: More = {}): ModelSpec => ({
  opset,
  irVersion: 10,
  nodes: [node("Conv", ["x", "w"], ["c"]), step, node("Mul", ["m", "k"], ["y"])],
  initializers: { k, w: whole([C, C, 1, 1]), ...constants },
  inputs: [floats("x", ["N", C, 4, 4])],
  outputs: [floats("y")],
});
const ROUNDING = { tolerance: 1e-6 };
const shifted = (spec: ModelSpec): ModelSpec => ({
  ...spec,
  nodes: spec.nodes.map((n) => (n.op === "Mul" ? { ...n, op: "Add" } : n)),
});
const to = (dtype: string, spec: ModelSpec): ModelSpec => ({
  ...spec,
  initializers: Object.fromEntries(
    Object.entries(spec.initializers ?? {}).map(([name, t]) => [name, t.dtype === "float32" ? { ...t, dtype } : t]),
  ),
  inputs: spec.inputs?.map((v) => ({ ...v, dtype })),
  outputs: spec.outputs.map((v) => ({ ...v, dtype })),
});
const stays = (spec: ModelSpec) => expect(plan(model(spec)).data.folds).toEqual([]);
const codes = (spec: ModelSpec) => plan(model(spec)).data.kept.map((k) => k.code);

describe("Sqrt and Reciprocal", () => {
  const sqrt = (from: string) => node("Sqrt", [from], ["m"]);
  const over = (from: string) => node("Reciprocal", [from], ["m"]);

  it("Sqrt hands on the root of a gain above zero, forward", () => {
    expect(operators(check(forward(sqrt("a"), squares), { folds: 1, ...ROUNDING }))).toEqual(["Exp", "Sqrt", "Conv"]);
    check(forward(sqrt("a"), per([0.3, 1.7, 2.1, 5]), {}), { folds: 1, ...ROUNDING });
    for (const k of [zero, mixed, per([-4, 1, 4, 1])]) stays(forward(sqrt("a"), k));
    stays(shifted(forward(sqrt("a"), squares)));
    refuses(backward(sqrt("c"), squares), "operator-blocks");
    expect(codes(to("float16", forward(sqrt("a"), squares)))).toEqual([]);
  });

  it("Reciprocal: the inverse of any gain forward, of one above zero back", () => {
    check(forward(over("a"), mixed), { folds: 1, ...ROUNDING });
    check(forward(over("a"), per([0.3, -1.7, 2.1, 5])), { folds: 1, ...ROUNDING });
    stays(forward(over("a"), zero));
    const apart = (k: TensorSpec) => backward(over("c"), k, { constants: { w: whole([C, C, 1, 1], 5) } });
    const feeds = {
      x: { dtype: "float32" as const, dims: [1, C, 4, 4], data: Float32Array.from({ length: 64 }, (_, i) => 1 + i * i) },
    };
    check(apart(squares), { folds: 1, ...ROUNDING, feeds });
    refuses(apart(mixed), "sign-blocks");
    refuses(apart(zero), "sign-blocks");
    refuses(shifted(apart(squares)), "shift-blocks");
  });

  it("not where range is short", () => {
    expect(codes(to("float16", forward(over("a"), squares))).length).toBe(1);
    expect(codes(to("float16", backward(over("c"), squares)))).toEqual(["storage-overflow"]);
    expect(codes(forward(over("a"), per([1, 1e-30, 1, 1]))).length).toBe(0);
    expect(codes(forward(over("a"), per([1, 1e-39, 1, 1]))).length).toBe(1);
  });
});

describe("Pow", () => {
  const pow = (from: string) => node("Pow", [from, "p"], ["m"]);

  it("any gain but zero under a whole exponent, above zero under another", () => {
    for (const p of [2, 3, -1, -2, 1]) {
      check(forward(pow("a"), mixed, { constants: { p: float32([], [p]) } }), { folds: 1, ...ROUNDING });
      stays(forward(pow("a"), zero, { constants: { p: float32([], [p]) } }));
    }
    for (const p of [0.5, -0.5, 1.7]) {
      check(forward(pow("a"), squares, { constants: { p: float32([1], [p]) } }), { folds: 1, ...ROUNDING });
      stays(forward(pow("a"), mixed, { constants: { p: float32([1], [p]) } }));
    }
    check(forward(pow("a"), mixed, { constants: { p: int64([], [3]) } }), { folds: 1, ...ROUNDING });
    // Anything to the power of 0 is 1.
    check(forward(pow("a"), mixed, { constants: { p: float32([], [0]) } }), { folds: 1, ...ROUNDING });
  });

  it("not with an exponent per channel or one that is computed, no shift, nothing back, not as an exponent", () => {
    const two = { p: float32([], [2]) };
    stays(forward(pow("a"), mixed, { constants: { p: per([2, 2, 3, 2]) } }));
    const fed = forward(pow("a"), mixed);
    stays({ ...fed, inputs: [...(fed.inputs ?? []), floats("p", [])] });
    stays(shifted(forward(pow("a"), mixed, { constants: two })));
    refuses(backward(pow("c"), squares, { constants: two }), "operator-blocks");
    stays(forward(node("Pow", ["q", "a"], ["m"]), squares, { constants: { q: float32([], [2]) } }));
  });

  it("a gain that may keep the square in range stays", () => {
    const two = { p: float32([], [2]) };
    expect(codes(to("float16", forward(pow("a"), mixed, { constants: two }))).length).toBe(1);
    expect(codes(forward(pow("a"), per([1, 1e-18, 1, 1]), { constants: two })).length).toBe(0);
    expect(codes(forward(pow("a"), per([1, 1e-20, 1, 1]), { constants: two })).length).toBe(1);
    expect(codes(forward(pow("a"), per([1, 1e20, 1, 1]), { constants: two })).length).toBe(1);
  });
});

describe("ReduceSumSquare and ReduceProd", () => {
  const axes = { ax: int64([1], [2]) };
  const reduce = (op: string, from: string, more = {}) => node(op, [from, "ax"], ["m"], more);

  it("ReduceSumSquare: the square forward, the root back", () => {
    for (const k of [mixed, zero, negative])
      check(forward(reduce("ReduceSumSquare", "a"), k, { constants: axes }), { folds: 1, ...ROUNDING });
    for (const k of [squares, zero, per([0.3, 1.7, 2.1, 5])])
      check(backward(reduce("ReduceSumSquare", "c"), k, { constants: axes }), { folds: 1, ...ROUNDING });
    refuses(backward(reduce("ReduceSumSquare", "c"), mixed, { constants: axes }), "sign-blocks");
    const flat = backward(reduce("ReduceSumSquare", "c", { keepdims: 0 }), float32([C, 1], [1, 4, 9, 16]), { constants: axes });
    check(flat, { folds: 1, ...ROUNDING });
    refuses(
      backward(reduce("ReduceSumSquare", "c", { keepdims: 0 }), float32([C], [1, 4, 9, 16]), { constants: axes }),
      "axis-blocks",
    );
    const old = backward(node("ReduceSumSquare", ["c"], ["m"], { axes: [2, 3] }), squares, { opset: 13 });
    check(old, { folds: 1, ...ROUNDING });
    stays(shifted(backward(reduce("ReduceSumSquare", "c"), squares, { constants: axes })));
  });

  it("ReduceSumSquare over the channels takes one gain, over no axes none", () => {
    const channels = { constants: { ax: int64([1], [1]) }, weight: whole([2, 1, 1, 1]) };
    stays(forward(reduce("ReduceSumSquare", "a"), mixed, channels));
    check(forward(reduce("ReduceSumSquare", "a"), float32([], [-3]), channels), { folds: 1, ...ROUNDING });
    const none = { constants: { ax: int64([0], []) } };
    refuses(backward(reduce("ReduceSumSquare", "c", { noop_with_empty_axes: 1 }), squares, none), "operator-blocks");
  });

  it("ReduceProd: the power of as many terms, where their number is known", () => {
    for (const k of [mixed, zero, negative])
      check(forward(reduce("ReduceProd", "a"), k, { constants: axes }), { folds: 1, ...ROUNDING });
    const two = forward(node("ReduceProd", ["a", "ax"], ["m"]), mixed, { constants: { ax: int64([2], [2, 3]) } });
    check(two, { folds: 1, ...ROUNDING });
    const rows = forward(node("ReduceProd", ["a", "ax"], ["m"]), float32([], [2]), { constants: { ax: int64([1], [0]) } });
    stays(rows);
    refuses(backward(reduce("ReduceProd", "c"), squares, { constants: axes }), "operator-blocks");
    expect(codes(forward(reduce("ReduceProd", "a"), per([1, 1e-9, 1, 1]), { constants: axes })).length).toBe(0);
    expect(codes(forward(reduce("ReduceProd", "a"), per([1, 1e-10, 1, 1]), { constants: axes })).length).toBe(1);
  });

  it("float16 has no room for either", () => {
    for (const op of ["ReduceSumSquare", "ReduceProd"])
      expect(codes(to("float16", forward(reduce(op, "a"), mixed, { constants: axes }))).length).toBe(1);
  });
});

describe("a constant over a computed value", () => {
  it("takes a gain, from either side", () => {
    for (const q of [float32([], [3]), per([1, -2, 4, 0.5])]) {
      check(forward(node("Div", ["q", "a"], ["m"]), mixed, { constants: { q } }), { folds: 1, ...ROUNDING });
      stays(forward(node("Div", ["q", "a"], ["m"]), zero, { constants: { q } }));
      stays(shifted(forward(node("Div", ["q", "a"], ["m"]), mixed, { constants: { q } })));
      check(backward(node("Div", ["q", "c"], ["m"]), mixed, { constants: { q } }), { folds: 1, ...ROUNDING });
    }
  });
});

it("an exponent that is no finite number takes no gain", () => {
  for (const p of [Number.POSITIVE_INFINITY, Number.NaN]) {
    const spec = forward(node("Pow", ["a", "p"], ["m"]), squares, { constants: { p: float32([], [p]) } });
    stays(spec);
  }
});
