/** Laws of gauges one by one: what hands a change on lets the reader beside it make up for one. Every folded file is run and proven. */
import { describe, expect, it } from "vitest";
import { checkCertificate } from "../../src/certify/index.ts";
import { minimality, plan } from "../../src/fold/index.ts";
import { float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, operators, whole } from "../rules/check.ts";

const C = 4;

class Net {
  readonly nodes: NodeSpec[] = [];
  readonly initializers: Record<string, TensorSpec> = {};

  add(op: string, inputs: readonly string[], output: string, attributes: NodeSpec["attributes"] = {}): string {
    this.nodes.push(node(op, inputs, [output], attributes));
    return output;
  }

  conv(x: string, y: string, seed = 7): string {
    this.initializers[`${y}_w`] = whole([C, C, 1, 1], seed);
    return this.add("Conv", [x, `${y}_w`], y);
  }

  /** x·W + b on the last axis. */
  linear(x: string, y: string, seed = 7): string {
    this.initializers[`${y}_w`] = whole([C, C], seed);
    this.initializers[`${y}_b`] = whole([C], seed + 1);
    return this.add("Add", [this.add("MatMul", [x, `${y}_w`], `${y}_p`), `${y}_b`], y);
  }

  norm(x: string, y: string, more: Parameters<typeof batchNorm>[3] = { positive: true }): string {
    const made = batchNorm(x, y, C, more);
    this.nodes.push(made.node);
    Object.assign(this.initializers, made.initializers);
    return y;
  }

  /** A normalization of the last of three axes. */
  normLast(x: string, y: string, more: Parameters<typeof batchNorm>[3] = { positive: true }): string {
    const turned = this.add("Transpose", [x], `${y}_i`, { perm: [0, 2, 1] });
    return this.add("Transpose", [this.norm(turned, `${y}_n`, more)], y, { perm: [0, 2, 1] });
  }

  spec(outputs: readonly string[], dims: readonly number[]): ModelSpec {
    const { nodes, initializers } = this;
    return { nodes, initializers, inputs: [{ name: "x", dims }], outputs: outputs.map((name) => ({ name })) };
  }
}

const IMAGE = [1, C, 5, 5];
const SERIES = [2, 6, C];
const close = { tolerance: 1e-5 };
const unshifted = { positive: true, shift: [0, 0, 0, 0] };
const norms = (done: ReturnType<typeof check>) => operators(done).filter((type) => type === "BatchNormalization").length;

describe("what hands a gauge on", () => {
  it("c − x and −x take the shift of the value they read", () => {
    for (const op of ["Sub", "Neg"]) {
      const net = new Net();
      net.initializers.k = float32([C, 1, 1], [1, 2, 3, 4]);
      const c = net.conv("x", "c");
      const m = net.add(op, op === "Sub" ? ["k", c] : [c], "m");
      const r = net.add("Relu", [net.norm(c, "n")], "r");
      net.add("Add", [r, net.conv(m, "d", 3)], "y");
      expect(norms(check(net.spec(["y"], IMAGE), { folds: 2, ...close }))).toBe(0);
    }
  });

  it("a product of more than two axes takes a shift with the Add behind it", () => {
    const net = new Net();
    const a = net.linear("x", "a");
    const r = net.add("Relu", [net.normLast(a, "n")], "r");
    net.add("Add", [r, net.linear(a, "d", 3)], "y");
    const done = check(net.spec(["y"], SERIES), { folds: 1, ...close });
    expect(norms(done)).toBe(0);
    expect(operators(done).filter((type) => type === "Add")).toHaveLength(3);
  });

  it("a matrix on the left hands gains of channels on, and no shift", () => {
    for (const [more, left] of [
      [unshifted, 0],
      [{ positive: true }, 1],
    ] as const) {
      const net = new Net();
      net.initializers.A = whole([6, 6], 5);
      net.initializers.B = whole([6, 6], 6);
      const a = net.linear("x", "a");
      const p = net.add("MatMul", ["A", a], "p");
      const r = net.add("Relu", [net.normLast(p, "n", more)], "r");
      net.add("Add", [r, net.linear(net.add("MatMul", ["B", p], "q"), "d", 3)], "y");
      expect(norms(check(net.spec(["y"], SERIES), { folds: 1 - left, ...close }))).toBe(left);
    }
  });

  it("a table of positions does not hold gains of channels", () => {
    const net = new Net();
    net.initializers.pos = whole([1, 6, C], 9);
    const a = net.add("Add", [net.linear("x", "a"), "pos"], "a2");
    const s = net.add("Add", [a, net.linear(net.add("Relu", [net.linear(a, "b", 2)], "r"), "d", 3)], "s");
    net.linear(net.normLast(s, "n"), "e", 4);
    net.add("Relu", ["n"], "y");
    // The table goes into the bias before it.
    const done = check(net.spec(["y", "e"], SERIES), { folds: 2, ...close });
    expect(norms(done)).toBe(0);
  });

  it("averages by a Softmax hand on gains and shifts, gates gains", () => {
    const net = new Net();
    const a = net.linear("x", "a");
    net.initializers.q = whole([C, 6], 4);
    const weights = net.add("Softmax", [net.add("MatMul", ["x", "q"], "k")], "p", { axis: -1 });
    const v = net.add("MatMul", [weights, a], "v");
    const r = net.add("Relu", [net.normLast(v, "n")], "r");
    net.add("Add", [r, net.linear(v, "d", 3)], "y");
    expect(norms(check(net.spec(["y"], SERIES), { folds: 1, ...close }))).toBe(0);
    const gated = new Net();
    const c = gated.conv("x", "c");
    const g = gated.add("Mul", [c, gated.add("Sigmoid", ["x"], "z")], "g");
    const end = gated.add("Relu", [gated.norm(g, "n", unshifted)], "r");
    gated.add("Add", [end, gated.conv(g, "d", 3)], "y");
    expect(norms(check(gated.spec(["y"], IMAGE), { folds: 1, ...close }))).toBe(0);
  });

  it("a recurrent layer whose bias is computed takes gains and no shift", () => {
    for (const [more, left] of [
      [{ positive: true }, 1],
      [unshifted, 0],
    ] as const) {
      const net = new Net();
      const a = net.linear("x", "a");
      net.initializers.W = whole([1, 3 * C, C], 3);
      net.initializers.R = whole([1, 3 * C, C], 4);
      net.nodes.push(node("GRU", [a, "W", "R", "b"], ["g"], { hidden_size: C }));
      net.add("Squeeze", ["g", "one"], "g2");
      net.initializers.one = int64([1], [1]);
      const r = net.add("Relu", [net.normLast(a, "n", more)], "r");
      net.add("Add", [r, net.linear("g2", "d", 5)], "y");
      const spec = net.spec(["y"], SERIES);
      const fed = { ...spec, inputs: [...(spec.inputs ?? []), { name: "b", dims: [1, 6 * C] }] };
      expect(norms(check(fed, { folds: 1 - left, ...close }))).toBe(left);
    }
  });

  it("a recurrent layer takes all of it", () => {
    const net = new Net();
    const a = net.linear("x", "a");
    net.initializers.W = whole([1, 3 * C, C], 3);
    net.initializers.R = whole([1, 3 * C, C], 4);
    net.nodes.push(node("GRU", [a, "W", "R"], ["g"], { hidden_size: C }));
    net.add("Squeeze", ["g", "one"], "g2");
    net.initializers.one = int64([1], [1]);
    const r = net.add("Relu", [net.normLast(a, "n")], "r");
    net.add("Add", [r, net.linear("g2", "d", 5)], "y");
    expect(norms(check(net.spec(["y"], SERIES), { folds: 1, ...close }))).toBe(0);
  });
});

describe("a bound", () => {
  it("is not above what rules without a law reach", () => {
    // One map on its way into a table, one out of a normalization by statistics, one through Tanh.
    const table = new Net();
    table.initializers.E = whole([7, C], 3);
    table.initializers.one = float32([C], [1, 2, 1, 2]);
    const e = table.add("Gather", ["E", table.add("Cast", ["x"], "i", { to: 7 })], "e");
    table.linear(table.normLast(e, "n"), "y");
    table.normLast(table.add("LayerNormalization", [e, "one", "one"], "l"), "z");
    const spec: ModelSpec = { ...table.spec(["y", "z"], [2, 6]), opset: 17 };
    const before = model(spec);
    const { data } = plan(before);
    const made = minimality(before, data);
    expect(data.kept).toEqual([]);
    expect(made.least).toBe(0);
    expect(checkCertificate(before, made).holds).toBe(true);
  });

  it("knows a gain of channels from one that varies beside them, which no layer takes", () => {
    const size = 6;
    const bound = (dims: readonly number[], at: (c: number, h: number) => number, op = "Mul") => {
      const net = new Net();
      net.initializers.k = float32(
        dims,
        Array.from({ length: dims.reduce((n, d) => n * d, 1) }, (_, i) => at(Math.floor(i / (dims[1] ?? 1)), i % (dims[1] ?? 1))),
      );
      const c = net.conv("x", "c", 3);
      const d = net.conv(net.add(op, [c, "k"], "m"), "d", 4);
      net.add("Mul", [d, net.add("Sigmoid", [c], "s")], "y");
      const before = model(net.spec(["y"], [1, C, size, size]));
      const { data } = plan(before, { maxGrowth: Number.POSITIVE_INFINITY });
      const made = minimality(before, data);
      expect(made.candidates).toBe(1);
      expect(checkCertificate(before, made).holds).toBe(true);
      return [data.kept.length, made.least];
    };
    for (const op of ["Mul", "Add"]) {
      // By channel and row, by row, by row and column, by all of them.
      expect(bound([C, size, 1], (c, h) => 2 ** ((c + h) % 3), op)).toEqual([1, 1]);
      expect(bound([size, 1], (h) => 2 ** (h % 3), op)).toEqual([1, 1]);
      expect(bound([size, size], (h, w) => 2 ** ((h + w) % 3), op)).toEqual([1, 1]);
      expect(bound([C, size, size], (c, h) => 2 ** ((c + h) % 3), op)).toEqual([1, 1]);
      expect(bound([C, 1, 1], (c) => 2 ** (c % 3), op)).toEqual([0, 0]);
      expect(bound([], () => 4, op)).toEqual([0, 0]);
    }
    // Stored for each row, and the same in all of them.
    expect(bound([C, size, 1], (c) => 2 ** (c % 3))[1]).toBe(0);
  });

  it("knows the same of features, which stand last", () => {
    const bound = (at: (row: number, feature: number) => number) => {
      const net = new Net();
      net.initializers.k = float32(
        [6, C],
        Array.from({ length: 6 * C }, (_, i) => at(Math.floor(i / C), i % C)),
      );
      for (const name of ["w", "v"]) net.initializers[name] = whole([C, C], name.charCodeAt(0));
      const c = net.add("MatMul", ["x", "w"], "c");
      const d = net.add("MatMul", [net.add("Mul", [c, "k"], "m"), "v"], "d");
      net.add("Mul", [d, net.add("Sigmoid", [c], "s")], "y");
      const before = model(net.spec(["y"], SERIES));
      const made = minimality(before, plan(before).data);
      expect(checkCertificate(before, made).holds).toBe(true);
      return made.least;
    };
    expect(bound((row, feature) => 2 ** ((row + feature) % 3))).toBe(1);
    expect(bound((_row, feature) => 2 ** (feature % 3))).toBe(0);
  });

  it("counts no arithmetic on shapes", () => {
    const net = new Net();
    net.add("Cast", [net.add("Gather", [net.add("Shape", ["x"], "s"), "three"], "d")], "f", { to: 1 });
    net.initializers.three = int64([], [3]);
    net.initializers.half = float32([], [0.5]);
    net.add("Ceil", [net.add("Mul", ["f", "half"], "h")], "c");
    net.add("Add", [net.norm(net.conv("x", "a"), "n"), "c"], "y");
    const spec: ModelSpec = { ...net.spec(["y"], IMAGE), inputs: [{ name: "x", dims: [1, C, "H", "W"] }] };
    const before = model(spec);
    const made = minimality(before, plan(before).data);
    expect(made.candidates).toBe(1);
    expect(made.least).toBe(0);
    expect(made.apart).toHaveLength(1);
  });
});
