/** Maps behind an operator in the first file that its constants hold in the second; and second files that have only a part of them. */
import { describe, expect, it } from "vitest";
import { prove, verifyModels } from "../../src/verify/index.ts";
import { float32, model, type NodeSpec, node, type TensorSpec, uint8 } from "../helpers/build.ts";
import { judge, net, type Pair, series } from "./normal/pairs.ts";

const C = 4;
const vector = (values: readonly number[], dims = [values.length]): TensorSpec => float32(dims, values);
const g = [1, 2, -1, 0.5];
const h = [0, 1, 2, -1];
const s = [2, -0.5, 4, 1];
const t = [1, -2, 0.5, 3];
const product = (p: readonly number[], q: readonly number[]) => p.map((v, i) => v * q[i]);
const sum = (p: readonly number[], q: readonly number[]) => p.map((v, i) => v + q[i]);

const tokens = [{ name: "x", dims: ["N", 3, C] }];
const OPSET = { opset: 17 };
/** LayerNormalization with some gain and shift, then what is said. */
const normalized = (
  gain: readonly number[],
  shift: readonly number[] | undefined,
  behind: readonly ("gain" | "shift")[],
  by: { readonly s?: readonly number[]; readonly t?: readonly number[] } = {},
) => {
  const names = ["n", ...behind.map((_, i) => `m${i}`)];
  return net(
    tokens,
    [
      node("LayerNormalization", shift === undefined ? ["x", "g"] : ["x", "g", "h"], ["n"], { axis: -1 }),
      ...behind.map((kind, i) => node(kind === "gain" ? "Mul" : "Add", [names[i], kind === "gain" ? "s" : "t"], [names[i + 1]])),
      node("Tanh", [names[behind.length]], ["y"]),
    ],
    { g: vector(gain), ...(shift ? { h: vector(shift) } : {}), s: vector(by.s ?? s), t: vector(by.t ?? t) },
    OPSET,
  );
};

judge(
  "a map behind a normalization",
  {
    "as a whole": [normalized(g, h, ["gain", "shift"]), normalized(product(g, s), sum(product(h, s), t), [])],
    "its gain alone": [normalized(g, h, ["gain", "shift"]), normalized(product(g, s), product(h, s), ["shift"])],
    "a shift alone": [normalized(g, h, ["shift"]), normalized(g, sum(h, t), [])],
    "where there was no shift": [normalized(g, undefined, ["gain", "shift"]), normalized(product(g, s), t, [])],
  },
  {
    "without its shift": [normalized(g, h, ["gain", "shift"]), normalized(product(g, s), product(h, s), [])],
    "without its gain": [normalized(g, h, ["gain", "shift"]), normalized(g, sum(h, t), [])],
    "the shift before the gain": [normalized(g, h, ["gain", "shift"]), normalized(product(g, s), product(sum(h, t), s), [])],
    "the gain in one place only": [normalized(g, h, ["gain"]), normalized(product(g, s), h, [])],
    "a gain and a shift too many": [normalized(g, h, ["shift"]), normalized(g, sum(sum(h, t), t), [])],
    twice: [normalized(g, h, ["gain", "shift"]), normalized(product(g, s), sum(product(h, s), t), ["shift"])],
    "where there was no shift, without it": [
      normalized(g, undefined, ["gain", "shift"]),
      normalized(product(g, s), undefined, []),
    ],
  },
);

const ids = [{ name: "x", dtype: "int64", dims: ["N", 3] }];
const table = series(5 * C);
const columns = (values: readonly number[], by: readonly number[]) => values.map((v, i) => v * by[i % C]);
const moved = (values: readonly number[], by: readonly number[]) => values.map((v, i) => v + by[i % C]);
type Kind = "gain" | "shift" | "relu";
const STEPS: Readonly<Record<Kind, (from: string, to: string) => NodeSpec>> = {
  gain: (from, to) => node("Mul", [from, "s"], [to]),
  shift: (from, to) => node("Add", [from, "t"], [to]),
  relu: (from, to) => node("Relu", [from], [to]),
};
/** Rows of a table, with what is said behind them. */
const embedded = (rows: readonly number[], behind: readonly Kind[]) => {
  const names = ["n", ...behind.map((_, i) => `m${i}`)];
  return net(
    ids,
    [
      node("Gather", ["w", "x"], ["n"]),
      ...behind.map((kind, i) => STEPS[kind](names[i], names[i + 1])),
      node("Tanh", [names[behind.length]], ["y"]),
    ],
    { w: float32([5, C], rows), s: vector(s), t: vector(t) },
    OPSET,
  );
};

/** The first file has the map behind the table, the second in it, or a part of it. */
const held: Readonly<Record<string, Pair>> = {
  "as a whole": [embedded(table, ["gain", "shift"]), embedded(moved(columns(table, s), t), [])],
  "its gain alone": [embedded(table, ["gain", "shift"]), embedded(columns(table, s), ["shift"])],
  "a shift alone": [embedded(table, ["shift"]), embedded(moved(table, t), [])],
  "one after the other": [embedded(table, ["shift", "gain"]), embedded(columns(moved(table, t), s), [])],
};
const lost: Readonly<Record<string, Pair>> = {
  "without its shift": [embedded(table, ["gain", "shift"]), embedded(columns(table, s), [])],
  "without its gain": [embedded(table, ["gain", "shift"]), embedded(moved(table, t), [])],
  "the shift before the gain": [embedded(table, ["gain", "shift"]), embedded(columns(moved(table, t), s), [])],
  "behind a Relu": [embedded(table, ["relu", "gain", "shift"]), embedded(moved(columns(table, s), t), ["relu"])],
  "with its gain twice": [embedded(table, ["gain", "shift"]), embedded(columns(table, s), ["gain", "shift"])],
  "with its shift twice": [embedded(table, ["gain", "shift"]), embedded(moved(columns(table, s), t), ["shift"])],
  "in all rows but one": [embedded(table, ["gain", "shift"]), embedded(moved(columns(table, s), t).with(7, table[7]), [])],
};

describe("a map behind a table", () => {
  it.each(Object.entries(held))("%s", (_name, [a, b]) => {
    expect(prove(model(a), model(b))).toMatchObject({ outcome: "equal" });
  });
  it.each(Object.entries(lost))("%s is not the same", (_name, [a, b]) => {
    expect(verifyModels(model(a), model(b)).outcome).toBe("different");
  });
});

/** Codes made real numbers, which a factor can make larger and nothing can shift; bounds, which take a gain only with their input. */
const real = (step: number, behind: readonly Kind[]) => {
  const names = ["n", ...behind.map((_, i) => `m${i}`)];
  return net(
    [{ name: "x", dtype: "int8", dims: ["N", C] }],
    [
      node("DequantizeLinear", ["x", "step"], ["n"]),
      ...behind.map((kind, i) => STEPS[kind](names[i], names[i + 1])),
      node("Tanh", [names[behind.length]], ["y"]),
    ],
    { step: float32([], [step]), s: vector([4]), t: vector(t) },
    OPSET,
  );
};
const bounded = (low: number, high: number, behind: readonly Kind[], from = "x") => {
  const names = ["n", ...behind.map((_, i) => `m${i}`)];
  return net(
    tokens,
    [
      ...(from === "x" ? [] : [node("Mul", ["x", "s"], [from])]),
      node("Clip", [from, "low", "high"], ["n"]),
      ...behind.map((kind, i) => STEPS[kind](names[i], names[i + 1])),
      node("Tanh", [names[behind.length]], ["y"]),
    ],
    { low: float32([], [low]), high: float32([], [high]), s: vector([4]), t: vector(t) },
    OPSET,
  );
};

judge(
  "a map behind what takes a part of it",
  {
    "the gain of codes": [real(0.25, ["gain", "shift"]), real(1, ["shift"])],
    "the gain of bounds, and of what they bound": [bounded(-1, 2, ["gain", "shift"]), bounded(-4, 8, ["shift"], "k")],
  },
  {
    "codes without their shift": [real(0.25, ["gain", "shift"]), real(1, [])],
    "codes with another step": [real(0.25, ["shift"]), real(1, ["shift"])],
    "bounds without what they bound": [bounded(-1, 2, ["gain", "shift"]), bounded(-4, 8, ["shift"])],
    "bounds without the shift": [bounded(-1, 2, ["gain", "shift"]), bounded(-4, 8, [], "k")],
  },
);

const one = [{ name: "x", dims: ["N", 6] }];
const codes = uint8(
  [6, C],
  series(24).map((v) => Math.round(10 * v) + 20),
);
/** What a layer of whole numbers sums, made real by `k`; then what is said. */
const counted = (k: readonly number[], behind: readonly ("gain" | "shift")[], more: Record<string, TensorSpec> = {}) => {
  const names = ["r", ...behind.map((_, i) => `m${i}`)];
  return net(
    one,
    [
      node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
      node("MatMulInteger", ["q", "B", "zero"], ["i"]),
      node("Cast", ["i"], ["c"], { to: 1 }),
      node("Mul", ["c", "k"], ["r"]),
      ...behind.map((kind, i) => node(kind === "gain" ? "Mul" : "Add", [names[i], kind === "gain" ? "s" : "t"], [names[i + 1]])),
      node("Tanh", [names[behind.length]], ["y"]),
    ],
    { B: codes, k: vector(k), s: vector(s), t: vector(t), ...more },
    OPSET,
  );
};
const k = g.map((v) => v / 1024);

judge(
  "a map behind a layer of whole numbers",
  {
    "its gain, as the factor that makes them real": [counted(k, ["gain", "shift"]), counted(product(k, s), ["shift"])],
    "its gain alone": [counted(k, ["gain"]), counted(product(k, s), [])],
  },
  {
    "without its shift": [counted(k, ["gain", "shift"]), counted(product(k, s), [])],
    "without its shift, which a factor cannot hold": [counted(k, ["shift"]), counted(k, [])],
    "without its gain": [counted(k, ["gain", "shift"]), counted(k, ["shift"])],
    "with its gain twice": [counted(k, ["gain", "shift"]), counted(product(k, s), ["gain", "shift"])],
  },
);
