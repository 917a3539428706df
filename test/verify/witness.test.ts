import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { KINDS } from "../../src/verify/inputs.ts";
import { witness } from "../../src/verify/witness.ts";
import { f, float32, float64, int64, model, node } from "../helpers/build.ts";
import { blocks, chain, type DType, type Fault } from "./nets.ts";

const ratios = (run: ReturnType<typeof witness>) => run.samples.flatMap((sample) => sample.outputs.map((output) => output.ratio));
const worst = (run: ReturnType<typeof witness>) => Math.max(...ratios(run));

describe("correct folds", () => {
  it.each(["float32", "float16", "float64"] as DType[])("pass in %s on every kind of input", (dtype) => {
    for (let seed = 1; seed <= 4; seed++) {
      const list = blocks(dtype, seed);
      const run = witness(chain(list, dtype, false), chain(list, dtype, true), { samples: 9, seed });
      expect(run, `seed ${seed}: ${worst(run)}`).toMatchObject({ outcome: "equal" });
      expect(run.samples).toHaveLength(9);
    }
  });

  it("pass under cancellation: bias and mean 100, variance 1e-10", () => {
    for (const dtype of ["float32", "float16"] as DType[]) {
      const list = blocks(dtype, 5, [3, 8, 4], (block) => {
        block.b.fill(100);
        block.mean.fill(100);
        block.variance.fill(dtype === "float16" ? 0 : 1e-10);
      });
      const run = witness(chain(list, dtype, false), chain(list, dtype, true));
      expect(run.outcome, `${dtype}: ${worst(run)}`).toBe("equal");
    }
  });

  it("pass with activations of 1e4", () => {
    const list = blocks("float32", 6, [3, 8, 8], (block) => {
      block.gamma = block.gamma.map((g) => 1e4 * g);
      block.variance.fill(1e-6);
    });
    const run = witness(chain(list, "float32", false), chain(list, "float32", true));
    expect(run.outcome, String(worst(run))).toBe("equal");
  });

  it("pass when a gain near one leaves float16 weights bit for bit unchanged", () => {
    const list = blocks("float16", 7, [3, 6, 6], (block) => {
      block.b.fill(0);
      block.mean.fill(0);
      block.beta.fill(0);
      block.gamma.fill(1);
      block.variance.fill(1);
    });
    const run = witness(chain(list, "float16", false), chain(list, "float16", true));
    expect(run.outcome, String(worst(run))).toBe("equal");
    expect(run.samples[0].outputs[0].rmsDifference).toBeGreaterThan(0);
    expect(run.samples[0].outputs[0].rounding).toBeGreaterThan(0);
  });

  it("pass when constants are renamed and live in Constant nodes", () => {
    const W = [0.1, -0.2, 0.3, 0.7, -0.6, 0.5].map(Math.fround);
    const gain = [1.7, -0.3, 0.9];
    const make = (weights: number[], inside: boolean) =>
      model({
        nodes: [
          ...(inside ? [node("Constant", [], ["renamed"], { value: float32([2, 3], weights) })] : []),
          node("MatMul", ["x", inside ? "renamed" : "W"], inside ? ["y"] : ["h"]),
          ...(inside ? [] : [node("Mul", ["h", "g"], ["y"])]),
        ],
        initializers: inside ? {} : { W: float32([2, 3], weights), g: float32([3], gain) },
        inputs: [{ name: "x", dims: [4, 2] }],
        outputs: [{ name: "y" }],
      });
    const folded = W.map((w, i) => Math.fround(w * Math.fround(gain[i % 3])));
    expect(witness(make(W, false), make(folded, true)).outcome).toBe("equal");
    folded[4] *= 1.001;
    expect(witness(make(W, false), make(folded, true)).outcome).toBe("different");
  });

  it("allow summation noise, and only that, where nothing is rounded", () => {
    const make = (order: number[]) =>
      model({
        nodes: [
          node("Mul", ["a", "w"], ["p1"]),
          ...order
            .slice(1)
            .map((_, i) =>
              node("Add", [`p${i + 1}`, ["a", "b", "c"][order[i + 1]]], [i === order.length - 2 ? "y" : `p${i + 2}`]),
            ),
        ],
        initializers: { w: float64([1], [1]) },
        inputs: ["a", "b", "c"].map((name) => ({ name, dtype: "float64", dims: [50] })),
        outputs: [{ name: "y", dtype: "float64" }],
      });
    const run = witness(make([0, 1, 2]), make([0, 2, 1]));
    expect(run.outcome).toBe("equal");
    expect(worst(run)).toBeGreaterThan(0);
    const identity = witness(make([0, 1, 2]), make([0, 1, 2]));
    expect(ratios(identity).every((ratio) => ratio === 0)).toBe(true);
    expect(identity.samples[0].outputs[0].rounding).toBe(0);
  });
});

describe("faults", () => {
  const faults: Record<string, Fault> = {
    "one weight off by 1 %, in a small network": (_, folded, i) => {
      if (i === 0) folded.W[5] *= 1.01;
    },
    "all weights of a channel off by 1e-3": (block, folded, i) => {
      const per = block.in * 9;
      if (i === 1) for (let k = 0; k < per; k++) folded.W[k] *= 1.001;
    },
    "mean missing": (block, folded) => {
      const gain = block.gamma.map((g, c) => g / Math.sqrt(block.variance[c] + 1e-5));
      folded.b.forEach((b, c) => (folded.b[c] = Math.fround(b + gain[c] * block.mean[c])));
    },
    "bias not scaled": (block, folded) => {
      const gain = block.gamma.map((g, c) => g / Math.sqrt(block.variance[c] + 1e-5));
      folded.b.forEach((b, c) => (folded.b[c] = Math.fround(b - gain[c] * block.b[c] + block.b[c])));
    },
    "epsilon outside the root": (block, folded) => {
      block.gamma.forEach((g, c) => {
        const [right, wrong] = [g / Math.sqrt(block.variance[c] + 1e-5), g / (Math.sqrt(block.variance[c]) + 1e-5)];
        folded.W = folded.W.map((w, i) => (Math.floor(i / (block.in * 9)) === c ? Math.fround((w / right) * wrong) : w));
      });
    },
    "epsilon of Keras": (block, folded) => {
      const per = block.in * 9;
      folded.W.forEach((w, i) => {
        const v = block.variance[Math.floor(i / per)];
        folded.W[i] = Math.fround((w * Math.sqrt(v + 1e-5)) / Math.sqrt(v + 1e-3));
      });
    },
    "channels swapped": (block, folded) => {
      const per = block.in * 9;
      const first = folded.W.slice(0, per);
      folded.W.splice(0, per, ...folded.W.slice(per, 2 * per));
      folded.W.splice(per, per, ...first);
    },
    "beta of one channel lost": (block, folded, i) => {
      if (i === 2) folded.b[3] = Math.fround(folded.b[3] - block.beta[3]);
    },
  };

  it.each(Object.entries(faults))("%s is found", (_, fault) => {
    const list = blocks("float32", 3);
    const run = witness(chain(list, "float32", false), chain(list, "float32", true, { fault }), { samples: 3 });
    expect(run.outcome).toBe("different");
    expect(run.firstDifference).toBeDefined();
  });

  it("is located: value, node and channel", () => {
    const list = blocks("float32", 3);
    const fault: Fault = (block, folded, i) => {
      const per = block.in * 9;
      if (i === 1) for (let k = 0; k < per; k++) folded.W[4 * per + k] *= 1.01;
    };
    const run = witness(chain(list, "float32", false), chain(list, "float32", true, { fault }));
    expect(run.firstDifference).toMatchObject({ value: "n1", node: "conv1 (Conv)", channel: 4 });
  });

  it("a fault hidden from one kind of input is judged on each alone", () => {
    // Only negative pre-activations differ: large positive inputs never show it.
    const make = (slope: number) =>
      model({
        nodes: [node("LeakyRelu", ["x"], ["y"], { alpha: f(slope) })],
        inputs: [{ name: "x", dims: [2, 5] }],
        outputs: [{ name: "y" }],
      });
    const run = witness(make(0.1), make(0.1001), { samples: 5 });
    expect(run.outcome).toBe("different");
    expect(run.samples.find((sample) => sample.kind === "negative")?.ok).toBe(false);
    expect(run.samples.find((sample) => sample.kind === "image")?.ok).toBe(true);
  });

  it("other shapes, types, NaN places and lengths are mismatches", () => {
    const make = (op: string, attributes = {}) =>
      model({ nodes: [node(op, ["x"], ["y"], attributes)], inputs: [{ name: "x", dims: [2, 5] }], outputs: [{ name: "y" }] });
    expect(witness(make("Transpose"), make("Identity"))).toMatchObject({
      outcome: "different",
      reason: expect.stringContaining("shape"),
    });
    expect(witness(make("Sqrt"), make("Abs"))).toMatchObject({ outcome: "different", reason: expect.stringContaining("NaN") });
    const alike = witness(make("Sqrt"), make("Sqrt"));
    expect(alike).toMatchObject({ outcome: "equal", reason: expect.stringContaining("alike in both") });
    expect(alike.samples[0].outputs[0].nonFinite).toBeGreaterThan(0);
  });
});

describe("decisions", () => {
  const tail = [node("GlobalAveragePool", ["features"], ["pooled"]), node("ArgMax", ["pooled"], ["y"], { axis: 1, keepdims: 0 })];
  const outputs = [{ name: "y", dtype: "int64" }];

  it("equal integer outputs pass; a fault that changes them is found", () => {
    const list = blocks("float32", 8);
    const before = chain(list, "float32", false, { tail, outputs });
    expect(witness(before, chain(list, "float32", true, { tail, outputs })).outcome).toBe("equal");
    const fault: Fault = (_, folded, i) => {
      if (i === 2) folded.b[2] += 5;
    };
    expect(witness(before, chain(list, "float32", true, { tail, outputs, fault })).outcome).toBe("different");
  });

  it("a tie within rounding is explained, a difference before it is not", () => {
    // On equal inputs both columns give a + b; the folded weights, each rounded rightly, do not.
    const gain = Math.fround(1.3);
    const step = 2 ** -10;
    const folded = (w: number) => Math.fround(w * gain);
    const weights = Array.from({ length: 100 }, (_, i) => [Math.fround(0.6 + i / 128), Math.fround(1.1 - i / 256)])
      .map(([p, q]) => [p, p + step, q, q - step])
      .find(([p, r, q, s]) => folded(r) + folded(s) > folded(p) + folded(q)) as number[];
    const make = (W: readonly number[], isFolded: boolean) =>
      model({
        nodes: [
          node("MatMul", ["x", "W"], [isFolded ? "n" : "h"]),
          ...(isFolded ? [] : [node("Mul", ["h", "g"], ["n"])]),
          node("ArgMax", ["n"], ["i"], { axis: 1, keepdims: 0 }),
          node("Gather", ["table", "i"], ["y"]),
        ],
        initializers: {
          W: float32([2, 2], W),
          table: float32([2], [5, -5]),
          ...(isFolded ? {} : { g: float32([2], [gain, gain]) }),
        },
        inputs: [{ name: "x", dims: [16, 2] }],
        outputs: [{ name: "i", dtype: "int64" }, { name: "y" }],
      });
    const fixed = new Map([["x", { dtype: "float32" as const, dims: [16, 2], data: new Float64Array(32).fill(0.75) }]]);
    const before = make(weights, false);
    const tie = witness(before, make(weights.map(folded), true), { fixed });
    expect(tie).toMatchObject({ outcome: "equal", reason: expect.stringContaining("16 ties within rounding") });
    const wrong = weights.map((w, i) => folded(w) * (i % 2 === 1 ? 1.001 : 1));
    expect(witness(before, make(wrong, true), { fixed }).outcome).toBe("different");
  });
});

describe("what is run", () => {
  it("random operators draw the same numbers although a node before them is gone", () => {
    const make = (W: number[], folded: boolean) =>
      model({
        nodes: [
          node("MatMul", ["x", "W"], [folded ? "n" : "h"]),
          ...(folded ? [] : [node("Mul", ["h", "g"], ["n"])]),
          node("RandomNormalLike", ["n"], ["r"]),
          node("Add", ["n", "r"], ["y"]),
        ],
        initializers: { W: float32([2, 2], W), ...(folded ? {} : { g: float32([2], [2, 4]) }) },
        inputs: [{ name: "x", dims: [3, 2] }],
        outputs: [{ name: "y" }],
      });
    expect(witness(make([1, 2, 3, 4], false), make([2, 8, 6, 16], true)).outcome).toBe("equal");
  });

  it("unknown operators and impossible shapes are told, not judged", () => {
    const custom = model({
      nodes: [node("Magic", ["x"], ["y"], {}, { domain: "my.domain" })],
      inputs: [{ name: "x", dims: [2] }],
      outputs: [{ name: "y" }],
      opsets: { "": 21, "my.domain": 1 },
    });
    expect(witness(custom, custom)).toMatchObject({ outcome: "not-run", samples: [], reason: expect.stringContaining("Magic") });
    const picky = model({
      nodes: [node("Reshape", ["x", "shape"], ["y"])],
      initializers: { shape: int64([2], [7, 1013]) },
      inputs: [{ name: "x", dims: ["n", "m"] }],
      outputs: [{ name: "y" }],
    });
    const run = witness(picky, picky);
    expect(run).toMatchObject({ outcome: "not-run", reason: expect.stringContaining("tried x [2, 8]") });
    expect(witness(picky, picky, { shapes: new Map([["x", [7, 1013]]]) }).outcome).toBe("equal");
  });

  it("other default sizes are tried when the first do not run", () => {
    const needs224 = model({
      nodes: [
        node("MaxPool", ["x"], ["p"], { kernel_shape: [7, 7], strides: [7, 7] }),
        node("Flatten", ["p"], ["f"]),
        node("MatMul", ["f", "W"], ["y"]),
      ],
      initializers: { W: float32([3 * 32 * 32, 1], new Array(3 * 32 * 32).fill(0.1)) },
      inputs: [{ name: "x", dims: ["batch", 3, "height", "width"] }],
      outputs: [{ name: "y" }],
    });
    const run = witness(needs224, needs224, { samples: 1 });
    expect(run.outcome).toBe("equal");
    expect(run.samples[0].outputs[0].dims).toEqual([1, 1]);
  });

  it("storage-precision distances are printed when asked for, and progress is told", () => {
    const list = blocks("float32", 9);
    const stages: string[] = [];
    const run = witness(chain(list, "float32", false), chain(list, "float32", true), {
      storage: true,
      onProgress: (stage, done, total) => {
        expect(done).toBeLessThanOrEqual(total);
        stages.push(stage);
      },
    });
    expect(run.samples[0].outputs[0].storageErrorBefore).toBeGreaterThan(0);
    expect(run.samples[0].outputs[0].storageErrorAfter).toBeLessThan(1e-5);
    expect(new Set(stages)).toEqual(
      new Set(["float64", "rounding draw 1", ...stages.filter((s) => s.startsWith("rounding")), "storage precision"]),
    );
  });

  it("stopping early gives the verdict all draws give, with fewer passes", () => {
    const count = (list: ReturnType<typeof blocks>, fault?: Fault) => {
      const stages: string[] = [];
      const options = { seed: 2, onProgress: (stage: string) => stages.push(stage) };
      const run = witness(chain(list, "float32", false), chain(list, "float32", true, { fault }), options);
      return { run, draws: stages.filter((stage) => stage.startsWith("rounding")).length };
    };
    const good = count(blocks("float32", 21));
    expect(good.run.outcome).toBe("equal");
    expect(good.draws).toBeLessThan(4 * 4);
    const bad = count(blocks("float32", 21), (_, folded) => {
      folded.W[3] *= 1.01;
    });
    expect(bad.run.outcome).toBe("different");
    // Beyond any doubt after two draws of each input.
    expect(bad.draws).toBe(2 * 4);
    expect(bad.run.samples.every(({ outputs: [y] }) => y.ratio > 3000)).toBe(true);
  });

  it("one input is enough to show a difference that is known of", () => {
    const list = blocks("float32", 21);
    const fault: Fault = (_, folded) => {
      folded.W[3] *= 1.01;
    };
    const [a, b] = [chain(list, "float32", false), chain(list, "float32", true, { fault })];
    expect(witness(a, b, { different: true }).samples).toHaveLength(1);
    expect(witness(a, b, { different: true, samples: 3 }).samples).toHaveLength(3);
    // One that the first does not show is looked for on.
    expect(witness(a, a, { different: true }).samples.length).toBeGreaterThan(3);
  });

  it("the verdict is plain data, the same for the same seed", () => {
    const list = blocks("float32", 10);
    const twice = [1, 2].map(() => witness(chain(list, "float32", false), chain(list, "float32", true), { seed: 11 }));
    expect(JSON.parse(JSON.stringify(twice[0]))).toEqual(twice[1]);
  });
});

describe("what cannot be run", () => {
  const relu = { nodes: [node("Relu", ["x"], ["y"])], inputs: [{ name: "x", dims: [4] }], outputs: [{ name: "y" }] };
  const tensor = (dims: number[], value: number): Tensor => ({
    dtype: "float32",
    dims,
    data: new Float32Array(dims.reduce((n, d) => n * d, 1)).fill(value),
  });
  const given = (name: string, feeds: Record<string, Tensor>) => ({ name, feeds: new Map(Object.entries(feeds)) });

  it("is told where the second file lacks an output, or has an operator nobody knows", () => {
    const other = model({ ...relu, nodes: [node("Relu", ["x"], ["z"])], outputs: [{ name: "z" }] });
    expect(witness(model(relu), other)).toMatchObject({ outcome: "not-run", reason: expect.stringContaining('no output "y"') });
    const magic = model({
      ...relu,
      nodes: [node("Magic", ["x"], ["y"], {}, { domain: "my.domain" })],
      opsets: { "": 21, "my.domain": 1 },
    });
    const reason = expect.stringMatching(/^the second model cannot be run: .*Magic/);
    expect(witness(model(relu), magic)).toMatchObject({ outcome: "not-run", reason });
  });

  it("is a difference where only the second file fails", () => {
    const reshape = model({ ...relu, nodes: [node("Reshape", ["x", "s"], ["y"])], initializers: { s: int64([1], [5]) } });
    const run = witness(model(relu), reshape, { samples: 1 });
    expect(run).toMatchObject({ outcome: "different", samples: [{ ok: false, outputs: [] }] });
    expect(run.reason).toMatch(/^the first model runs on sample "normal", the second does not: /);
    expect(run.firstDifference).toBeUndefined();
  });

  it("is left out where the first file fails on some inputs, and all is told where it fails on every one", () => {
    // Row 7 of 4 is asked for in large inputs alone.
    const rows = model({
      nodes: [node("Neg", ["x"], ["n"]), node("Gather", ["n", "i"], ["y"])],
      inputs: [
        { name: "x", dims: [4] },
        { name: "i", dtype: "int64", dims: [60] },
      ],
      outputs: [{ name: "y" }],
    });
    const run = witness(rows, rows, { samples: KINDS.length });
    expect(run.outcome).toBe("equal");
    expect(run.samples).toHaveLength(KINDS.length - 1);
    expect(run.reason).toMatch(/^sample \d+ \(large\) was left out: the first model cannot be run on it: /);

    const picky = model({
      ...relu,
      nodes: [node("Reshape", ["x", "s"], ["y"])],
      initializers: { s: int64([2], [7, 1013]) },
      inputs: [{ name: "x", dims: ["n"] }],
    });
    expect(witness(picky, picky).outcome).toBe("not-run");
    const right = given("right", { x: tensor([7091], 1) });
    expect(witness(picky, picky, { given: [right] })).toMatchObject({ outcome: "equal", samples: [{ kind: "right" }] });
  });

  it("is an error of the caller's where what was given does not fit", () => {
    const wrong = given("wrong", { x: tensor([2, 2], 1) });
    const add = model({
      ...relu,
      nodes: [node("Add", ["x", "c"], ["y"])],
      initializers: { c: float32([4], [1, 2, 3, 4]) },
      inputs: [{ name: "x" }],
    });
    expect(() => witness(model(relu), model(relu), { given: [wrong], samples: 0 })).toThrow(
      expect.objectContaining({ kind: "usage" }),
    );
    expect(() => witness(model(relu), model(relu), { shapes: new Map([["x", [5]]]) })).toThrow(
      expect.objectContaining({ kind: "usage" }),
    );
    expect(() => witness(model(relu), model(relu), { given: [given("ok", { x: tensor([4], 1) }), wrong], samples: 0 })).toThrow(
      expect.objectContaining({ kind: "usage" }),
    );
    expect(witness(add, add, { given: [given("ok", { x: tensor([4], 1) }), wrong], samples: 0 })).toMatchObject({
      outcome: "equal",
      samples: [{ kind: "ok" }],
      reason: expect.stringContaining("sample 2 (wrong) was left out"),
    });
    expect(witness(model(relu), model(relu), { samples: 0 })).toMatchObject({
      outcome: "not-run",
      reason: "no samples were asked for",
    });
  });

  it("is told of values that are no numbers, and of another limit", () => {
    const log = model({ ...relu, nodes: [node("Log", ["x"], ["y"])] });
    const zero = given("zero", { x: tensor([4], -1) });
    expect(witness(log, log, { given: [zero], samples: 0 })).toMatchObject({
      outcome: "equal",
      reason: 'output "y", sample "zero": 4 elements are NaN or infinite, alike in both',
    });
    expect(witness(model(relu), model(relu), { samples: 1, limit: 7 }).limit).toBe(7);
    expect(witness(model(relu), model(relu), { samples: 1 }).limit).toBeUndefined();
    const other = model({ ...relu, nodes: [node("Reshape", ["x", "s"], ["y"])], initializers: { s: int64([2], [2, 2]) } });
    const run = witness(model(relu), other, { samples: 1 });
    expect(run).toMatchObject({ outcome: "different", reason: expect.stringMatching(/^output "y", sample "normal": /) });
  });
});
