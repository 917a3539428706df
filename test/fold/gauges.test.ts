/**
 * Readers of one value that make up for each other: gauges of all values are solved for at once. Numbers are powers of two and
 * small whole numbers, so that folds round nothing; every folded file is run and proven by `check`.
 */
import { describe, expect, it } from "vitest";
import { finish } from "../../src/diag/steps.ts";
import { plan } from "../../src/fold/index.ts";
import { decode } from "../../src/onnx/codec.ts";
import { prove } from "../../src/verify/index.ts";
import { certify } from "../../src/verify/proof/certificate.ts";
import { sideOf } from "../../src/verify/proof/classes.ts";
import { Prover } from "../../src/verify/proof/prover.ts";
import { OWN } from "../../src/verify/proof/rows.ts";
import { randomOf } from "../../src/verify/random.ts";
import { float32, type ModelSpec, model, type NodeSpec, node } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { batchNorm, check, operators, whole } from "../rules/check.ts";

const C = 5;
const image = [1, C, 6, 6];

/** A network under construction: every name once. */
class Net {
  readonly nodes: NodeSpec[] = [];
  readonly initializers: Record<string, ReturnType<typeof float32>> = {};

  add(op: string, inputs: readonly string[], output: string, attributes: NodeSpec["attributes"] = {}): string {
    this.nodes.push(node(op, inputs, [output], attributes));
    return output;
  }

  conv(x: string, y: string, { kernel = 1, pads = 0, seed = 7 } = {}): string {
    this.initializers[`${y}_w`] = whole([C, C, kernel, kernel], seed);
    return this.add("Conv", [x, `${y}_w`], y, { pads: [pads, pads, pads, pads] });
  }

  norm(x: string, y: string, more: Parameters<typeof batchNorm>[3] = { positive: true }): string {
    const made = batchNorm(x, y, C, more);
    this.nodes.push(made.node);
    Object.assign(this.initializers, made.initializers);
    return y;
  }

  /** x + conv(relu(norm(x))). */
  block(x: string, i: number, more: Parameters<typeof batchNorm>[3] = { positive: true }): string {
    const r = this.add("Relu", [this.norm(x, `n${i}`, more)], `r${i}`);
    return this.add("Add", [x, this.conv(r, `c${i}`, { kernel: 3, pads: 1, seed: i })], `s${i}`);
  }

  spec(outputs: readonly string[], dims: readonly number[] = image): ModelSpec {
    const { nodes, initializers } = this;
    return { nodes, initializers, inputs: [{ name: "x", dims }], outputs: outputs.map((name) => ({ name })) };
  }
}

const norms = (done: ReturnType<typeof check>) => operators(done).filter((type) => type === "BatchNormalization").length;
const close = { tolerance: 1e-5 };

describe("readers of one value that make up for each other", () => {
  it("a layer takes the difference", () => {
    const net = new Net();
    net.conv("x", "c");
    net.add("Add", [net.add("Relu", [net.norm("c", "n")], "r"), net.conv("c", "d", { seed: 3 })], "y");
    expect(norms(check(net.spec(["y"]), { folds: 1, ...close }))).toBe(0);
  });

  it("a sum takes it to the layer of its other operand", () => {
    const net = new Net();
    const end = [1, 2, 3, 4].reduce((x, i) => net.block(x, i), net.conv("x", "c0"));
    net.conv(end, "y");
    expect(norms(check(net.spec(["y"]), { folds: 4, ...close }))).toBe(0);
    // Nothing becomes a Max for it.
    expect(operators(check(net.spec(["y"]), { folds: 4, options: { reluToMax: true }, ...close }))).not.toContain("Max");
  });

  it("a slope that is computed does not change with them", () => {
    const net = new Net();
    net.conv("x", "c");
    net.conv(net.add("PRelu", [net.norm("c", "n"), "c"], "r"), "y");
    expect(norms(check(net.spec(["y"]), { folds: 0, ...close }))).toBe(1);
  });

  it("of two normalizations one takes the other's map", () => {
    const net = new Net();
    net.conv("x", "c");
    const [a, b] = [
      net.add("Relu", [net.norm("c", "a")], "ra"),
      net.add("Relu", [net.norm("c", "b", { gain: [1, 4, 2, 1, 1] })], "rb"),
    ];
    net.add("Add", [a, b], "y");
    const done = check(net.spec(["y"]), { folds: 1, refused: "other-reader", ...close });
    expect(norms(done)).toBe(1);
    expect(done.data.kept[0].message).toMatch(
      /^BatchNormalization "b": it can go only instead of BatchNormalization "a": both read "c" and ask for different gains \(channel \d: [\d.]+ and [\d.]+\)\.$/,
    );
  });

  it("a constant sum or product that stays takes it too", () => {
    for (const [op, constant] of [
      ["Mul", [2, 4, 1, 0.5, 2]],
      ["Div", [2, 4, 1, 0.5, 2]],
      ["Add", [1, 2, 3, 4, 5]],
      ["Sub", [1, 2, 3, 4, 5]],
    ] as const) {
      const net = new Net();
      net.initializers.k = float32([C, 1, 1], [...constant]);
      net.conv("x", "c");
      // Behind it a sigmoid, which passes nothing.
      net.add("Sigmoid", [net.add(op, ["c", "k"], "m")], "g");
      net.add("Mul", [net.add("Relu", [net.norm("c", "n", { positive: true, shift: [0, 0, 0, 0, 0] })], "r"), "g"], "y");
      const { data } = check(net.spec(["y"]), { folds: 1, ...close });
      expect(data.after.nodes, op).toBe(data.before.nodes - 1);
    }
  });

  it("Concat, Split, Transpose and pools hand on what moves", () => {
    const net = new Net();
    net.add("Concat", [net.conv("x", "p", { seed: 2 }), net.conv("x", "q", { seed: 3 })], "j", { axis: 1 });
    net.add("MaxPool", ["j"], "m", { kernel_shape: [2, 2] });
    net.nodes.push(node("Split", ["m"], ["u", "v"], { axis: 1, num_outputs: 2 }));
    const r = net.add("Relu", [net.norm("u", "n")], "r");
    const other = net.conv("u", "d", { seed: 5 });
    net.add("Transpose", ["v"], "t", { perm: [0, 1, 3, 2] });
    net.add("Concat", [r, other, net.add("Transpose", [net.conv("t", "e", { seed: 6 })], "e2", { perm: [0, 1, 3, 2] })], "y", {
      axis: 1,
    });
    expect(norms(check(net.spec(["y"]), { folds: 1, ...close }))).toBe(0);
  });

  it("fully connected layers, matrices and transposed convolutions", () => {
    const net = new Net();
    for (const [name, seed] of [
      ["w", 2],
      ["v", 3],
      ["u", 4],
    ] as const)
      net.initializers[name] = whole([C, C], seed);
    net.add("MatMul", ["x", "w"], "c");
    net.add("Add", [net.add("Gemm", [net.add("Relu", [net.norm("c", "n")], "r"), "v"], "g"), "c"], "s");
    net.add("Add", [net.add("Relu", [net.norm("s", "m")], "o"), net.add("MatMul", ["s", "u"], "d")], "y");
    const done = check(net.spec(["y"], [3, C]), { folds: 2, ...close });
    expect(norms(done)).toBe(0);
    const turned = new Net();
    turned.initializers.w = whole([C, C, 2, 2], 3);
    turned.add("ConvTranspose", ["x", "w"], "c");
    turned.add("Add", [turned.add("Relu", [turned.norm("c", "n")], "r"), turned.conv("c", "d")], "y");
    expect(norms(check(turned.spec(["y"]), { folds: 1, ...close }))).toBe(0);
  });

  it("matrices on the left, and a Gemm of one", () => {
    for (const op of ["MatMul", "Gemm"]) {
      const net = new Net();
      for (const [name, seed] of [
        ["w", 2],
        ["v", 3],
      ] as const)
        net.initializers[name] = whole([C, C], seed);
      net.initializers.k = float32([C, 1], [2, 1, 0.5, 4, 1]);
      net.initializers.t = float32([C, 1], [1, -2, 0.5, 3, 0]);
      net.add(op, ["w", "x"], "c");
      const r = net.add("Relu", [net.add("Add", [net.add("Mul", ["c", "k"], "m"), "t"], "n")], "r");
      net.add("Add", [r, net.add(op, ["v", "c"], "d")], "y");
      expect(operators(check(net.spec(["y"], [C, 3]), { folds: 2, ...close })), op).toEqual(["Gemm", "Relu", "Gemm", "Add"]);
    }
    // A gain of more axes; a shift would need an Add.
    for (const shift of [0, 1]) {
      const net = new Net();
      for (const name of ["w", "v"]) net.initializers[name] = whole([C, C], name.charCodeAt(0));
      net.add("MatMul", ["w", "x"], "c");
      const norm = { positive: true, shift: new Array<number>(C).fill(shift) };
      net.add("Add", [net.add("Relu", [net.norm("c", "n", norm)], "r"), net.add("MatMul", ["v", "c"], "d")], "y");
      check(net.spec(["y"], [2, C, 3]), { folds: 1 - shift, ...close });
    }
  });

  it("Sub and Sum count their operands with their signs", () => {
    for (const op of ["Sub", "Sum"]) {
      const net = new Net();
      const s = net.add(op, [net.conv("x", "p", { seed: 2 }), net.conv("x", "q", { seed: 3 })], "s");
      net.add("Add", [net.add("Relu", [net.norm(s, "n")], "r"), net.conv(s, "d", { seed: 5 })], "y");
      const done = check(net.spec(["y"]), { folds: 1, ...close });
      expect(norms(done), op).toBe(0);
    }
  });
});

describe("what no reader can make up for", () => {
  const beside = (build: (net: Net) => void, outputs = ["y"]) => {
    const net = new Net();
    net.conv("x", "c");
    net.add("Relu", [net.norm("c", "n")], "r");
    build(net);
    return check(net.spec(outputs), { folds: 0 });
  };

  it("a padded layer, for a shift", () => {
    beside((net) => net.add("Add", ["r", net.conv("c", "d", { kernel: 3, pads: 1 })], "y"));
  });

  it("an operator that passes nothing, an output, a subgraph's reading", () => {
    beside((net) => net.add("Add", ["r", net.add("Sigmoid", ["c"], "g")], "y"));
    beside((net) => net.conv("r", "y"), ["c", "y"]);
  });

  it("a mean that counts padded zeros", () => {
    const pool = { kernel_shape: [2, 2], pads: [1, 1, 0, 0], count_include_pad: 1 };
    beside((net) => net.add("Add", ["r", net.conv(net.add("AveragePool", ["c"], "p", pool), "d")], "y"));
  });

  it("a product by one, for a shift", () => {
    const net = new Net();
    net.initializers.k = float32([1], [1]);
    net.initializers.t = float32([1], [0.5]);
    const shifted = net.add("Add", [net.add("Abs", ["x"], "a"), "t"], "s");
    net.add("Reciprocal", [net.add("Mul", [shifted, "k"], "m")], "y");
    const done = check(net.spec(["y"]), { folds: 1, ...close });
    expect(operators(done)).toEqual(["Abs", "Add", "Reciprocal"]);
  });

  it("a negative gain before a Relu of which others read the input", () => {
    const net = new Net();
    net.conv("x", "c");
    net.add("Relu", [net.norm("c", "n", { gain: [1, -2, 1, 1, 1] })], "r");
    net.add("Relu", ["c"], "q");
    net.add("Add", ["r", net.conv("q", "d")], "y");
    check(net.spec(["y"]), { folds: 0 });
  });

  it("a shift that costs the others too many digits", () => {
    const net = new Net();
    net.conv("x", "c");
    // β/γ is 2^20: what else reads c would see nothing but the shift.
    net.norm("c", "n", { gain: new Array(C).fill(2 ** -20), shift: new Array(C).fill(1) });
    net.add("Add", [net.add("Relu", ["n"], "r"), net.conv("c", "d", { seed: 3 })], "y");
    const { data } = check(net.spec(["y"]), { folds: 0 });
    expect(data.kept[0].code).toBe("storage-precision");
    expect(data.kept[0].message).toMatch(/would cost 2\d bits/);
  });
});

describe("defaults of what stays", () => {
  it("ε of a normalization whose value would be shifted", () => {
    const net = new Net();
    net.conv("x", "c");
    net.norm("c", "n", { gain: new Array(C).fill(2 ** -20), shift: new Array(C).fill(1) });
    net.nodes[1] = node("BatchNormalization", ["c", "n_scale", "n_B", "n_mean", "n_var"], ["n"]);
    net.add("Add", [net.add("Relu", ["n"], "r"), net.conv("c", "d", { seed: 3 })], "y");
    const { data } = check(net.spec(["y"]), { folds: 0 });
    // (μ − b)/√(σ² + ε) is β/γ, whatever ε: 2^20 + 2 where σ is 1.
    expect(data.kept[0].message).toMatch(/would cost 21 bits/);
  });

  it("one number as the bias of a Gemm takes what its features need", () => {
    const net = new Net();
    for (const [name, seed] of [
      ["w", 2],
      ["v", 3],
      ["u", 4],
    ] as const)
      net.initializers[name] = whole([C, C], seed);
    net.initializers.one = float32([1], [3]);
    net.add("Gemm", ["x", "w", "one"], "c");
    net.add("Add", [net.add("Relu", [net.norm("c", "n")], "r"), net.add("MatMul", ["c", "u"], "d")], "y");
    expect(norms(check(net.spec(["y"], [3, C]), { folds: 1, ...close }))).toBe(0);
  });
});

describe("layers that make more or fewer features than they read", () => {
  const M = 3;
  /** Gemm and bias, a normalization of its features beside another layer that reads them. */
  const beside = (bias: readonly number[], first = true) => {
    const net = new Net();
    const sized = (rows: number, columns: number, seed: number) => whole(first ? [rows, columns] : [columns, rows], seed);
    net.initializers.w = sized(C, M, 2);
    net.initializers.u = sized(M, M, 4);
    net.initializers.b = whole(bias, 3);
    const product = (x: string, weight: string) => (first ? [x, weight] : [weight, x]);
    net.add("Gemm", [...product("x", "w"), "b"], "c");
    const along = first ? [M] : [M, 1];
    net.initializers.k = float32(along, [2, 0.5, 4]);
    net.initializers.t = float32(along, [1, -2, 0.5]);
    const r = net.add("Relu", [net.add("Add", [net.add("Mul", ["c", "k"], "m"), "t"], "n")], "r");
    net.add("Add", [r, net.add("Gemm", product("c", "u"), "d")], "y");
    return operators(check(net.spec(["y"], first ? [4, C] : [C, 4]), { folds: 2, ...close }));
  };

  it("take a map with a bias of one number for each, or of one for all", () => {
    const left = ["Gemm", "Relu", "Gemm", "Add"];
    for (const bias of [[M], [1, M], [1], [1, 1]]) expect(beside(bias), `${bias}`).toEqual(left);
    for (const bias of [[M, 1], [1], [1, 1]]) expect(beside(bias, false), `${bias} on the left`).toEqual(left);
  });

  it("take none with a bias of one number for each row, or turned so that their features lie along the rows", () => {
    const rowwise = (bias: readonly number[], transA: number, opset: number, folds: number) => {
      const net = new Net();
      net.initializers.w = whole([C, M], 2);
      net.initializers.u = whole([M, M], 4);
      net.initializers.b = whole(bias, 3);
      net.add("Gemm", ["x", "w", "b"], "c", { transA });
      net.initializers.k = float32([M], [2, 0.5, 4]);
      const r = net.add("Relu", [net.add("Mul", ["c", "k"], "m")], "r");
      net.add("Add", [r, net.add("Gemm", ["c", "u", "none"], "d")], "y");
      net.initializers.none = float32([1], [0]);
      check({ ...net.spec(["y"], transA === 1 ? [C, 4] : [4, C]), opset }, { folds, ...close });
    };
    rowwise([M], 0, 7, 1);
    rowwise([M], 0, 13, 1);
    rowwise([4, 1], 0, 13, 0);
    rowwise([4, M], 0, 13, 0);
  });

  it("take it into a product of another size as well", () => {
    const net = new Net();
    net.initializers.w = whole([C, M], 2);
    net.initializers.u = whole([M, 4], 4);
    net.add("MatMul", ["x", "w"], "c");
    net.initializers.k = float32([M], [2, 0.5, 4]);
    net.initializers.v = whole([M, 4], 5);
    const r = net.add("Relu", [net.add("Mul", ["c", "k"], "m")], "r");
    net.add("Add", [net.add("MatMul", [r, "v"], "e"), net.add("MatMul", ["c", "u"], "d")], "y");
    expect(operators(check(net.spec(["y"], [4, C]), { folds: 1, ...close }))).toEqual([
      "MatMul",
      "Relu",
      "MatMul",
      "MatMul",
      "Add",
    ]);
  });
});

describe("a gain of channels and rows", () => {
  const [H] = image.slice(2);
  /** The gain stands in front of a layer, which takes gains of channels only, beside a normalization. */
  const rows = (values: (c: number, h: number) => number) => {
    const net = new Net();
    net.initializers.k = float32(
      [C, H, 1],
      Array.from({ length: C * H }, (_, i) => values(Math.floor(i / H), i % H)),
    );
    net.conv("x", "c");
    const m = net.add("Mul", ["c", "k"], "m");
    net.add(
      "Add",
      [net.add("Relu", [net.norm("c", "n", { positive: true, shift: new Array(C).fill(0) })], "r"), net.conv(m, "d")],
      "y",
    );
    return check(net.spec(["y"]), { folds: 1, ...close });
  };

  it("stays where it varies along the rows, and takes what the normalization leaves", () => {
    const done = rows((c, h) => 2 ** ((c + h) % 3));
    expect(operators(done)).toEqual(["Conv", "Mul", "Relu", "Conv", "Add"]);
  });
});

describe("gauges as a certificate", () => {
  const net = new Net();
  const end = [1, 2, 3].reduce((x, i) => net.block(x, i), net.conv("x", "c0"));
  net.conv(end, "y");
  const before = model(net.spec(["y"]));
  const { model: after } = folded(before);
  const { gauges } = plan(before);

  it("says what each value became, and proves the file", () => {
    expect([...(gauges.get("") ?? [])].map(([name]) => name)).toContain("r1");
    expect(prove(before, after, { foreign: false, gauges }).outcome).toBe("equal");
  });

  it("proves nothing when it is wrong", () => {
    const wrong = new Map([["", new Map([...(gauges.get("") ?? [])].map(([name, g]) => [name, { ...g, shift: g.scale }]))]]);
    expect(prove(before, after, { foreign: false, gauges: wrong }).outcome).toBe("equal");
    const spoiled = net.spec(["y"]);
    const { c1_w, ...others } = spoiled.initializers as Record<string, ReturnType<typeof float32>>;
    const other = { ...c1_w, values: Array.from(c1_w.values as number[], (v, i) => (i === 7 ? v + 1 : v)) };
    const third = model({ ...spoiled, initializers: { ...others, c1_w: other } });
    for (const given of [gauges, wrong]) expect(prove(third, after, { foreign: false, gauges: given }).outcome).not.toBe("equal");
  });
});

describe("gains far below one on branches of a stream", () => {
  it("leave shifts of the stream that later ones take back to within their own rounding, and the proof follows", () => {
    const net = new Net();
    const random = randomOf(5, "layer scale");
    const numbers = (scale: number) =>
      float32(
        [C],
        Array.from({ length: C }, () => Math.fround(scale * random.normal())),
      );
    const scaled = (x: string, y: string) => {
      net.initializers[`${y}_g`] = float32(
        [C, 1, 1],
        Array.from({ length: C }, () => Math.fround(1e-5)),
      );
      return net.add("Mul", [x, `${y}_g`], y);
    };
    const norm = (x: string, y: string) => {
      for (const part of "gbm") net.initializers[`${y}${part}`] = numbers(part === "g" ? 0.5 : 0.1);
      net.initializers[`${y}v`] = float32([C], [0.9, 1.1, 0.8, 1.2, 1]);
      return net.add("BatchNormalization", [x, ...[..."gbmv"].map((part) => y + part)], y);
    };
    for (const [name, v] of Object.entries({ root: Math.SQRT2, one: 1, half: 0.5 }))
      net.initializers[name] = float32([], [Math.fround(v)]);
    const gelu = (x: string, i: string) => {
      const e = net.add("Erf", [net.add("Div", [x, "root"], `d${i}`)], `e${i}`);
      return net.add("Mul", [net.add("Mul", [x, net.add("Add", [e, "one"], `f${i}`)], `g${i}`), "half"], `h${i}`);
    };
    let x = norm(net.conv("x", "stem"), "s");
    for (let i = 0; i < 4; i++) {
      const pooled = net.add("AveragePool", [x], `p${i}`, { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
      const mixed = scaled(net.add("Sub", [pooled, x], `m${i}`), `l${i}`);
      const stream = net.add("Add", [x, mixed], `a${i}`);
      const inner = gelu(norm(net.conv(stream, `u${i}`, { seed: i }), `n${i}`), `${i}`);
      const branch = scaled(norm(net.conv(inner, `v${i}`, { seed: i + 9 }), `o${i}`), `k${i}`);
      x = net.add("Add", [stream, branch], `b${i}`);
    }
    // Its border takes no shift: what the stream carries has to be taken back before.
    net.add("Relu", [net.conv(x, "last", { kernel: 3, pads: 1 })], "y");
    const before = model(net.spec(["y"]));
    const after = folded(before);
    expect(after.data.kept.filter(({ node: { opType } }) => opType === "BatchNormalization")).toEqual([]);
    // With the gauges alone, that is: what a closer look would find as well takes long in large networks, and may not.
    const sides = [before, after.model].map((one) => sideOf(one, false));
    const look = new Prover(sides[0], sides[1], OWN, false, (classes) => certify(classes, after.gauges));
    expect(finish(look.walk()).outcome).toBe("equal");
  });
});

describe("a channel with a gain of zero", () => {
  const zero = { gain: [2, 0, 1, 4, 0.5], shift: [1, 3, -2, 0.5, 0] };
  /** Relu and a layer behind a normalization whose input another layer reads. */
  const stem = (
    more: Parameters<typeof batchNorm>[3],
    layer: Parameters<Net["conv"]>[2] = {},
    between?: (net: Net) => string,
  ) => {
    const net = new Net();
    net.conv("x", "c");
    net.add("Relu", [net.norm("c", "n", more)], "r");
    const taken = net.conv(between?.(net) ?? "r", "p", layer);
    net.add("Add", [net.add("ReduceMax", [taken], "q"), net.add("ReduceMax", [net.conv("c", "d", { seed: 3 })], "e")], "y");
    return net;
  };

  it("goes into the bias of the layer behind, which then reads nothing of it", () => {
    const { after, data } = check(stem(zero).spec(["y"]), { folds: 1, ...close });
    expect(data.folds[0].direction).toBe("both");
    const { initializers, nodes } = after.graph;
    const layer = nodes.find(({ outputs }) => outputs[0] === "p");
    const record = initializers.find(({ name }) => name === layer?.inputs[1]);
    if (record === undefined) throw new Error("no weight");
    const weights = decode(record).data;
    for (let m = 0; m < C; m++) expect(weights[m * C + 1]).toBe(0);
  });

  it.each(["GlobalAveragePool", "GlobalMaxPool", "Identity"])("goes through what leaves it as it is: %s", (op) => {
    check(stem(zero, {}, (net) => net.add(op, ["r"], "b")).spec(["y"]), { folds: 1, ...close });
  });

  it("goes through a window that is padded", () => {
    const pool = (net: Net) => net.add("MaxPool", ["r"], "b", { kernel_shape: [2, 2], pads: [1, 1, 0, 0] });
    check(stem(zero, {}, pool).spec(["y"]), { folds: 1, ...close });
  });

  it.each(["LeakyRelu", "Abs"])("goes through what makes another constant of it: %s", (op) => {
    const ones = { gain: [1, 0, 1, 1, 0], shift: [0, 3, 0, 0, -2] };
    const net = new Net();
    net.conv("x", "c");
    const p = net.conv(net.add(op, [net.norm("c", "n", ones)], "r"), "p");
    net.add("Add", [net.add("ReduceMax", [p], "q"), net.add("ReduceMax", [net.conv("c", "d", { seed: 3 })], "e")], "y");
    check(net.spec(["y"]), { folds: 1, ...close });
  });

  it("goes into a padded layer where it is nothing", () => {
    const padded = { kernel: 3, pads: 1 };
    check(stem({ ...zero, shift: [1, -3, -2, 0.5, 0] }, padded).spec(["y"]), { folds: 1, ...close });
    check(stem(zero, padded).spec(["y"]), { folds: 0, ...close });
  });

  it("stays where something else reads it", () => {
    const beside = stem(zero);
    beside.add("Mul", [beside.add("ReduceMax", ["r"], "m"), "y"], "z");
    check(beside.spec(["z"]), { folds: 0, ...close });
    check(stem(zero).spec(["y", "r"]), { folds: 0, ...close });
    check(stem(zero, {}, (net) => net.add("Add", ["r", "c"], "b")).spec(["y"]), { folds: 0, ...close });
    check(stem(zero, {}, (net) => net.add("Softmax", ["r"], "b", { axis: 1 })).spec(["y"]), { folds: 0, ...close });
  });

  it("keeps no stream of blocks from folding", () => {
    const net = new Net();
    const gains = [
      [1, 0, 2, 1, 0.5],
      [0, 1, 1, 2, 4],
      [2, 0.5, 0, 0, 1],
    ];
    const end = gains.reduce(
      (x, gain, i) => {
        const r = net.add("Relu", [net.norm(x, `n${i}`, { gain, shift: [1, 2, -1, 3, 0] })], `r${i}`);
        return net.add("Add", [x, net.conv(r, `c${i}`, { seed: i })], `s${i}`);
      },
      net.conv("x", "c"),
    );
    net.conv(end, "y");
    const before = model(net.spec(["y"]));
    const { model: after, gauges } = folded(before);
    expect(after.graph.nodes.filter(({ opType }) => opType === "BatchNormalization")).toEqual([]);
    expect(prove(before, after, { foreign: false, gauges }).outcome).toBe("equal");
  });
});

describe("a product of a value with itself", () => {
  it.each(["Mul", "MatMul"])("squares a gain, which no law of ratios tells: %s", (op) => {
    const net = new Net();
    net.conv("x", "c");
    net.add(op, ["c", "c"], "p");
    net.initializers.k = float32([C, 1, 1], [2, 1, 0.5, 4, 2]);
    net.add("Mul", ["p", "k"], "y");
    check(net.spec(["y"]), { folds: 0, ...close });
  });
});

it("a shift of which nothing comes out of a layer leaves the bias behind it as it is", () => {
  const w = float32([2, 3], [1, -2, 4, 2, -4, 8]);
  const b = float32([3], [5, 6, 7]);
  const spec: ModelSpec = {
    nodes: [
      node("Relu", ["x"], ["r"]),
      node("Add", ["r", "t"], ["a"]),
      node("MatMul", ["a", "w"], ["m"]),
      node("Add", ["m", "b"], ["y"]),
    ],
    // Columns are twice the first row below: 2·1 − 1·2 = 0.
    initializers: { t: float32([2], [2, -1]), w, b },
    inputs: [{ name: "x", dims: ["N", 4, 2] }],
    outputs: [{ name: "y" }],
  };
  const done = check(spec, { folds: 1 });
  expect(operators(done)).toEqual(["Relu", "MatMul", "Add"]);
  const kept = done.after.graph.initializers.map((tensor) => Array.from(decode(tensor).data as ArrayLike<number>));
  expect(kept).toContainEqual([5, 6, 7]);
  expect(kept).toContainEqual([1, -2, 4, 2, -4, 8]);
});
