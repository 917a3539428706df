/** Gain and shift of normalizations by statistics of the data, into what reads them: `norms`. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { decode } from "../../src/onnx/codec.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { f, float16, float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { type Checked, check, floats, operators, whole } from "../rules/check.ts";

const NORMS = { options: { norms: true }, tolerance: 1e-12 };
const SEED = 20261121;

const net = (
  nodes: NodeSpec[],
  initializers: Record<string, TensorSpec>,
  dims: (number | string)[],
  opset = 23,
  more: Partial<ModelSpec> = {},
): ModelSpec => ({ opset, irVersion: 10, nodes, initializers, inputs: [floats("x", dims)], outputs: [floats("y")], ...more });

const EPSILON = { epsilon: f(0.25) };
const layer = (inputs = ["x", "g", "b"], output = "n", attributes = {}) =>
  node("LayerNormalization", inputs, [output], { ...EPSILON, ...attributes });
const matmul = (bias = true): NodeSpec[] => [
  node("MatMul", ["n", "w"], [bias ? "p" : "y"]),
  ...(bias ? [node("Add", ["p", "c"], ["y"])] : []),
];
const GAINS = [2, -0.5, 4, 1];
const SHIFTS = [1, -3, 0.5, 2];
const gb = { g: float32([4], GAINS), b: float32([4], SHIFTS) };
const wc = { w: whole([4, 3]), c: float32([3], [1, -2, 3]) };

const initializers = ({ after }: Pick<Checked, "after">) => Object.fromEntries(after.graph.initializers.map((t) => [t.name, t]));
const numbers = (checked: Pick<Checked, "after">, name: string) => [...asFloat64(decode(initializers(checked)[name]))];
const inputsOf = ({ after }: Pick<Checked, "after">, op: string) => after.graph.nodes.find((n) => n.opType === op)?.inputs;

/** One norm operator over data whose channels lie last or first. */
interface Norm {
  readonly op: string;
  readonly last: boolean;
  readonly opset: number;
  readonly gamma: readonly number[];
  readonly beta: readonly number[] | undefined;
  readonly attributes: Record<string, number>;
  readonly channels: number;
}

/** One reader of n with C channels; what it makes is an output. */
interface Reader {
  readonly takesShift: boolean;
  readonly make: (
    i: number,
    channels: number,
    seed: number,
  ) => { nodes: NodeSpec[]; initializers: Record<string, TensorSpec>; output: string };
}

const bias = (n: number) =>
  float32(
    [n],
    Array.from({ length: n }, (_, k) => k + 1),
  );
const product = (from: string, i: number, channels: number, seed: number) => ({
  nodes: [node("MatMul", [from, `w${i}`], [`p${i}`]), node("Add", [`p${i}`, `c${i}`], [`y${i}`])],
  initializers: { [`w${i}`]: whole([channels, 3], seed), [`c${i}`]: bias(3) },
  output: `y${i}`,
});
const conv = (from: string, i: number, channels: number, seed: number, pads: number) => ({
  nodes: [node("Conv", [from, `w${i}`, `c${i}`], [`y${i}`], { pads: [pads, pads] })],
  initializers: { [`w${i}`]: whole([2, channels, 1 + 2 * pads], seed), [`c${i}`]: bias(2) },
  output: `y${i}`,
});
const turned = (i: number) => node("Transpose", ["n"], [`t${i}`], { perm: [0, 2, 1] });

const READERS: Record<"last" | "first", readonly Reader[]> = {
  last: [
    { takesShift: true, make: (i, c, seed) => product("n", i, c, seed) },
    {
      takesShift: false,
      make: (i, c, seed) => ({
        nodes: [node("MatMul", ["n", `w${i}`], [`y${i}`])],
        initializers: { [`w${i}`]: whole([c, 5], seed) },
        output: `y${i}`,
      }),
    },
    {
      takesShift: true,
      make: (i, c, seed) => {
        const next = conv(`t${i}`, i, c, seed, 0);
        return { ...next, nodes: [turned(i), ...next.nodes] };
      },
    },
    {
      takesShift: true,
      make: (i, c, seed) => ({
        nodes: [
          node("Dropout", ["n"], [`d${i}`]),
          node("Reshape", [`d${i}`, `s${i}`], [`r${i}`]),
          node("Gemm", [`r${i}`, `w${i}`], [`y${i}`], { transB: 1, alpha: f(2) }),
        ],
        initializers: { [`s${i}`]: { dtype: "int64", dims: [2], values: [6n, BigInt(c)] }, [`w${i}`]: whole([3, c], seed) },
        output: `y${i}`,
      }),
    },
  ],
  first: [
    { takesShift: true, make: (i, c, seed) => conv("n", i, c, seed, 0) },
    { takesShift: false, make: (i, c, seed) => conv("n", i, c, seed, 1) },
    {
      takesShift: true,
      make: (i, c, seed) => {
        const next = product(`t${i}`, i, c, seed);
        return { ...next, nodes: [turned(i), ...next.nodes] };
      },
    },
    {
      takesShift: true,
      make: (i, c, seed) => ({
        nodes: [
          node("GlobalAveragePool", ["n"], [`a${i}`]),
          node("Flatten", [`a${i}`], [`f${i}`]),
          node("Gemm", [`f${i}`, `w${i}`], [`y${i}`]),
        ],
        initializers: { [`w${i}`]: whole([c, 2], seed) },
        output: `y${i}`,
      }),
    },
  ],
};

const gain = fc.constantFrom(1, 2, -0.5, 4, -1);
const shift = fc.constantFrom(-3, -0.5, 1, 2);
const norm: fc.Arbitrary<Norm> = fc
  .record({
    op: fc.constantFrom("LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization"),
    groups: fc.integer({ min: 1, max: 2 }),
    per: fc.integer({ min: 2, max: 3 }),
    perGroup: fc.boolean(),
    zero: fc.boolean(),
    hasBias: fc.boolean(),
  })
  .chain(({ op, groups, per, perGroup, zero, hasBias }) => {
    const grouped = op === "GroupNormalization";
    const size = grouped && perGroup ? groups : groups * per;
    const list = (one: fc.Arbitrary<number>) => fc.array(one, { minLength: size, maxLength: size });
    const noBias = op === "RMSNormalization" || (op === "LayerNormalization" && !hasBias);
    return fc.record({
      op: fc.constant(op),
      last: fc.constant(op === "LayerNormalization" || op === "RMSNormalization"),
      opset: fc.constant(grouped && perGroup ? 20 : 23),
      gamma: list(gain).map((g) => [zero ? 0 : 2, ...g.slice(1)]),
      beta: noBias ? fc.constant(undefined) : list(shift),
      attributes: fc.constant<Record<string, number>>(grouped ? { num_groups: groups } : {}),
      channels: fc.constant(groups * per),
    });
  });

describe("normalizations of every kind", () => {
  it(`hand on all they can, and stay equal (seed ${SEED})`, () => {
    fc.assert(
      fc.property(
        norm,
        fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 999 }),
        (at, which, seed) => {
          const channels = at.channels;
          const readers = which.map((i) => READERS[at.last ? "last" : "first"][i]);
          const made = readers.map((reader, i) => reader.make(i, channels, seed + i));
          const operands = at.beta === undefined ? ["g"] : ["g", "b"];
          const spec: ModelSpec = {
            opset: at.opset,
            irVersion: 10,
            nodes: [node(at.op, ["x", ...operands], ["n"], { ...EPSILON, ...at.attributes }), ...made.flatMap((m) => m.nodes)],
            initializers: {
              g: float32([at.gamma.length], [...at.gamma]),
              ...(at.beta ? { b: float32([at.beta.length], [...at.beta]) } : {}),
              ...Object.assign({}, ...made.map((m) => m.initializers)),
            },
            inputs: [floats("x", at.last ? [2, 3, channels] : [2, channels, 5])],
            outputs: made.map((m) => floats(m.output)),
          };
          const shifted = at.beta !== undefined;
          const whole = !shifted || readers.every((r) => r.takesShift);
          const gains = at.gamma.every((g) => g !== 0);
          const folds = gains ? 1 : 0;
          const done = check(spec, { options: { norms: true, merge: false }, folds, tolerance: 1e-11 });
          expect(operators(done).filter((op) => op !== "Gemm" && op !== "MatMul").length).toBeLessThanOrEqual(spec.nodes.length);
          expect(done.after.graph.nodes.length).toBe(spec.nodes.length);
          const [, scale, rest] = inputsOf(done, at.op) as string[];
          if (gains) expect(numbers(done, scale)).toEqual(at.gamma.map(() => 1));
          if (gains && whole && at.op === "LayerNormalization") expect(rest).toBeUndefined();
          if (gains && whole && shifted && at.op !== "LayerNormalization")
            expect(numbers(done, rest)).toEqual(at.gamma.map(() => 0));
          if (!gains) expect(numbers(done, scale)).toEqual([...at.gamma]);
          if (gains && !whole) expect(numbers(done, rest)).toEqual(at.beta?.map((b, i) => b / at.gamma[i]));
        },
      ),
      { numRuns: 150, seed: SEED },
    );
  });
});

describe("what takes gain and shift", () => {
  it("query, key and value at once", () => {
    const heads = ["q", "k", "v"].flatMap((h) => [
      node("MatMul", ["n", `w${h}`], [`p${h}`]),
      node("Add", [`p${h}`, `c${h}`], [`y${h}`]),
    ]);
    const constants = Object.fromEntries(
      ["q", "k", "v"].flatMap((h, i) => [
        [`w${h}`, whole([4, 3], i + 1)],
        [`c${h}`, float32([3], [1, 2, 3])],
      ]),
    );
    const spec = net([layer(), ...heads], { ...gb, ...constants }, [2, "T", 4]);
    const done = check({ ...spec, outputs: ["yq", "yk", "yv"].map((y) => floats(y)) }, { folds: 1, ...NORMS });
    expect(done.data.folds[0]).toMatchObject({ kind: "norm", direction: "forward", scaleRange: [-0.5, 4], shiftRange: [-3, 2] });
    expect(done.data.folds[0].into.map(({ node }) => node.opType).sort()).toEqual([
      "Add",
      "Add",
      "Add",
      "MatMul",
      "MatMul",
      "MatMul",
    ]);
    expect(done.data.before).toMatchObject({ norms: 1, weights: 0 });
  });

  it("a split, each part its own columns", () => {
    const nodes = [
      layer(),
      node("Split", ["n"], ["u", "v"], { axis: -1, num_outputs: 2 }),
      node("MatMul", ["u", "w"], ["p"]),
      node("Add", ["p", "c"], ["y"]),
      node("MatMul", ["v", "w"], ["q"]),
      node("Add", ["q", "c"], ["z"]),
    ];
    const spec = net(nodes, { ...gb, w: whole([2, 3]), c: wc.c }, [2, 3, 4]);
    check({ ...spec, outputs: [floats("y"), floats("z")] }, { folds: 1, ...NORMS });
  });

  it("ones for all operators of one size and type, and nothing is left of gain and shift", () => {
    const nodes = [
      layer(["x", "g", "b"], "n"),
      ...[node("MatMul", ["n", "w"], ["p"]), node("Add", ["p", "c"], ["a"])],
      layer(["a", "g2", "b2"], "m"),
      ...[node("MatMul", ["m", "w"], ["q"]), node("Add", ["q", "c"], ["d"])],
      node("RMSNormalization", ["d", "g3"], ["o"], EPSILON),
      node("MatMul", ["o", "w5"], ["y"]),
    ];
    const constants = { ...gb, w: whole([4, 4]), c: float32([4], [1, 2, 3, 4]), g2: whole([4], 5), b2: whole([4], 6) };
    const done = check(net(nodes, { ...constants, g3: float32([4], [3, 1, 1, 1]), w5: whole([4, 5]) }, [2, 3, 4]), {
      folds: 3,
      ...NORMS,
    });
    const names = Object.keys(initializers(done));
    expect(names.filter((name) => name.startsWith("ones"))).toEqual(["ones_4"]);
    expect(names.filter((name) => /^[gb]\d?$/.test(name))).toEqual([]);
    expect(done.after.graph.nodes.filter((n) => n.opType === "LayerNormalization").map((n) => n.inputs)).toEqual([
      ["x", "ones_4"],
      ["a", "ones_4"],
    ]);
  });

  it("once: what is empty is left alone, byte for byte", () => {
    const first = folded(model(net([layer(), ...matmul()], { ...gb, ...wc }, [2, 3, 4])), { norms: true });
    const second = folded(first.model, { norms: true });
    expect(second.data.folds).toEqual([]);
    expect(second.bytes).toEqual(first.bytes);
  });

  it("through a Pad by nothing, as window attention pads where the size fits", () => {
    const nodes = (pads: string) => [layer(["x", "g", "b"], "m"), node("Pad", ["m", pads], ["n"]), ...matmul()];
    const amounts = { none: int64([6], new Array(6).fill(0n)), crop: int64([6], [0n, -1n, 0n, 0n, 0n, 0n]) };
    for (const pads of ["none", "crop"]) {
      const done = check(net(nodes(pads), { ...gb, ...wc, ...amounts }, [2, 3, 4]), { folds: 1, ...NORMS });
      expect(done.data.folds[0].notes).toEqual([]);
    }
    const some = int64([6], [0n, 0n, 0n, 0n, 1n, 0n]);
    const done = check(net(nodes("some"), { ...gb, ...wc, some }, [2, 3, 4]), { folds: 1, ...NORMS });
    expect(done.data.folds[0].notes).toEqual(["its shift stays, divided by the gain"]);
  });

  it("LayerNormalization over two axes, into a Gemm after a Flatten", () => {
    const nodes = [
      layer(["x", "g", "b"], "n", { axis: 1 }),
      node("Flatten", ["n"], ["r"]),
      node("Gemm", ["r", "w", "c"], ["y"], { beta: f(2) }),
    ];
    const constants = { g: float32([3, 2], [1, 2, 4, -1, 0.5, 2]), b: whole([3, 2]), w: whole([6, 3]), c: wc.c };
    const done = check(net(nodes, constants, [2, 3, 2]), { folds: 1, ...NORMS });
    expect(inputsOf(done, "LayerNormalization")).toEqual(["x", "ones_3_2"]);
  });

  it("a gain of lower rank than what is normalized", () => {
    const nodes = [layer(["x", "g", "b"], "n", { axis: 1 }), ...matmul()];
    check(net(nodes, { ...gb, ...wc, g: float32([1, 4], GAINS) }, [2, 3, 4]), { folds: 1, ...NORMS });
  });

  it("LayerNormalization whose statistics are read: they do not depend on gain and shift", () => {
    const stats = node("LayerNormalization", ["x", "g", "b"], ["n", "mean", "inverse"], EPSILON);
    const spec = net([stats, ...matmul()], { ...gb, ...wc }, [2, 3, 4]);
    check({ ...spec, outputs: ["y", "mean", "inverse"].map((name) => floats(name)) }, { folds: 1, ...NORMS });
  });

  it("a constant operator behind it goes into the normalization first, then on", () => {
    const scale = node("Mul", ["n", "k"], ["m"]);
    const done = check(
      net(
        [layer(), scale, node("MatMul", ["m", "w"], ["p"]), node("Add", ["p", "c"], ["y"])],
        { ...gb, ...wc, k: float32([4], [2, 1, 3, -1]) },
        [2, 3, 4],
      ),
      { folds: 2, ...NORMS },
    );
    expect(operators(done)).toEqual(["LayerNormalization", "MatMul", "Add"]);
    expect(done.data.folds.map(({ kind }) => kind).sort()).toEqual(["affine", "norm"]);
  });

  it("a sign that comes to another one, which had nothing of its own, goes on from there", () => {
    const ones = { h: float32([3], [1, 1, 1]), z: float32([3], [0, 0, 0]) };
    const nodes = [
      node("InstanceNormalization", ["x", "g", "b"], ["n"], EPSILON),
      node("InstanceNormalization", ["n", "h", "z"], ["m"], EPSILON),
      node("Conv", ["m", "w"], ["y"]),
    ];
    const signs = { g: float32([3], [-1, -1, 1]), b: float32([3], [1, 2, 3]), w: whole([2, 3, 1]) };
    const done = check(net(nodes, { ...ones, ...signs }, [2, 3, 5]), { folds: 2, ...NORMS });
    for (const n of done.after.graph.nodes.slice(0, 2)) expect(numbers(done, n.inputs[1])).toEqual([1, 1, 1]);
    expect(folded(done.after, { norms: true }).data.folds).toEqual([]);
  });

  it("inside a branch, with constants of the graph around it", () => {
    const branch = (nodes: NodeSpec[]) => ({ nodes, outputs: [floats("y", [2, 3, 3])] });
    const spec: ModelSpec = {
      opset: 23,
      irVersion: 10,
      nodes: [
        node("If", ["cond"], ["y"], {
          then_branch: branch([layer(), ...matmul()]),
          else_branch: branch([node("MatMul", ["x", "w"], ["y"])]),
        }),
      ],
      initializers: { ...gb, ...wc },
      inputs: [floats("x", [2, 3, 4]), { name: "cond", dtype: "bool", dims: [] }],
      outputs: [floats("y", [2, 3, 3])],
    };
    const { data, model: after } = folded(model(spec), { norms: true });
    expect(data.folds.map(({ kind }) => kind)).toEqual(["norm"]);
    // The other branch still reads the weight as it was.
    expect(after.graph.initializers.map((t) => t.name)).toContain("w");
  });

  it("in files without room for new initializers: constants as nodes", () => {
    const nodes = [
      node("InstanceNormalization", ["x", "g", "b"], ["n"], EPSILON),
      node("Conv", ["n", "w"], ["m"]),
      node("InstanceNormalization", ["m", "g", "b"], ["o"], EPSILON),
      node("Conv", ["o", "w"], ["y"]),
    ];
    const constants = { g: gb.g, b: gb.b, w: whole([4, 4, 1]) };
    const inputs = [floats("x", [1, 4, 5]), floats("g", [4]), floats("b", [4]), floats("w", [4, 4, 1])];
    const spec = net(nodes, constants, [], 8, { irVersion: 3, inputs });
    const done = check(spec, { folds: 2, ...NORMS });
    expect(operators(done).filter((op) => op === "Constant").length).toBeGreaterThan(2);
  });

  it("in the body of a function", () => {
    const spec: ModelSpec = {
      opset: 23,
      opsets: { local: 1 },
      irVersion: 10,
      nodes: [node("Block", ["x"], ["y"], {}, { domain: "local" })],
      functions: [
        {
          name: "Block",
          domain: "local",
          inputs: ["x"],
          outputs: ["y"],
          opsets: { "": 23 },
          nodes: [
            node("Constant", [], ["g"], { value: gb.g }),
            node("Constant", [], ["b"], { value: gb.b }),
            node("Constant", [], ["w"], { value: whole([4, 4, 1]) }),
            node("InstanceNormalization", ["x", "g", "b"], ["n"], EPSILON),
            node("Conv", ["n", "w"], ["y"]),
          ],
        },
      ],
      inputs: [floats("x", [1, 4, 5])],
      outputs: [floats("y")],
    };
    // The body knows no shapes, its call does: written out, it folds.
    const { data, model: after } = folded(model(spec), { norms: true });
    expect(data.folds.length).toBe(1);
    expect(after.graph.nodes.map((n) => n.opType)).toContain("InstanceNormalization");
  });
});

describe("half of it", () => {
  const padded = [
    node("InstanceNormalization", ["x", "g", "b"], ["n"], EPSILON),
    node("Conv", ["n", "w"], ["y"], { pads: [1, 1] }),
  ];
  const w = whole([2, 4, 3]);

  it("the gain goes into a padded convolution, and leaves the shift divided by it", () => {
    const done = check(net(padded, { ...gb, w }, [2, 4, 5]), { folds: 1, ...NORMS });
    expect(numbers(done, "b")).toEqual(SHIFTS.map((b, i) => b / GAINS[i]));
    expect(done.data.folds[0].notes).toEqual(["its shift stays, divided by the gain"]);
  });

  it("not where a gain is zero, with or without a shift", () => {
    const zero = float32([4], [2, 0, 4, 1]);
    check(net(padded, { ...gb, g: zero, w }, [2, 4, 5]), { folds: 0, refused: "sign-blocks", ...NORMS });
    check(net(padded, { g: zero, b: float32([4], [0, 0, 0, 0]), w }, [2, 4, 5]), { folds: 0, refused: "sign-blocks", ...NORMS });
  });

  it("a matrix product without a bias takes the gain only: no node is added", () => {
    const done = check(net([layer(), ...matmul(false)], { ...gb, w: wc.w }, [2, 3, 4]), { folds: 1, ...NORMS });
    expect(operators(done)).toEqual(["LayerNormalization", "MatMul"]);
    expect(numbers(done, "b")).toEqual(SHIFTS.map((b, i) => b / GAINS[i]));
  });

  it("of rank 2 it becomes a Gemm and takes both", () => {
    const done = check(net([layer(), ...matmul(false)], { ...gb, w: wc.w }, [2, 4]), { folds: 1, ...NORMS });
    expect(operators(done)).toEqual(["LayerNormalization", "Gemm"]);
  });

  it("only the shift passes a residual addition", () => {
    const nodes = [layer(), node("Add", ["x", "n"], ["s"]), node("MatMul", ["s", "w"], ["p"]), node("Add", ["p", "c"], ["y"])];
    const done = check(net(nodes, { ...gb, ...wc }, [2, 3, 4]), { folds: 1, ...NORMS });
    expect(inputsOf(done, "LayerNormalization")).toEqual(["x", "g"]);
    expect(done.data.folds[0].notes).toEqual(["its gain stays"]);
  });
});

describe("what stays", () => {
  const both = { ...gb, ...wc };
  const stays = (spec: ModelSpec, refused: string, options = {}) => {
    const done = check(spec, { folds: 0, refused, options: { norms: true, ...options }, tolerance: 1e-12 });
    expect(done.data.kept[0].kind).toBe("norm");
    expect(done.data.before.norms).toBe(1);
    return done;
  };

  it("a graph output, and a second reader that is one", () => {
    stays(net([layer(["x", "g", "b"], "y")], gb, [2, 3, 4]), "is-graph-output");
    const spec = net([layer(), ...matmul()], both, [2, 3, 4]);
    stays({ ...spec, outputs: [floats("y"), floats("n")] }, "is-graph-output");
  });

  it("a reader that does not take it", () => {
    const spec = net([layer(), ...matmul(), node("Tanh", ["n"], ["z"])], both, [2, 3, 4]);
    stays({ ...spec, outputs: [floats("y"), floats("z")] }, "operator-blocks");
    const residual = net([layer(), ...matmul(), node("Mul", ["n", "n"], ["q"]), node("Add", ["q", "x"], ["z"])], both, [2, 3, 4]);
    stays({ ...residual, outputs: [floats("y"), floats("z")] }, "other-reader");
  });

  it("another axis of equal length", () => {
    stays(net([layer(), node("Conv", ["n", "w"], ["y"])], { ...gb, w: whole([2, 4, 1]) }, [2, 4, 4]), "axis-blocks");
    stays(
      net([layer(), node("MatMul", ["w", "n"], ["m"]), node("Tanh", ["m"], ["y"])], { ...gb, w: whole([4, 4]) }, [4, 4]),
      "operator-blocks",
    );
    const instance = node("InstanceNormalization", ["x", "g", "b"], ["n"], EPSILON);
    stays(
      net([instance, node("MatMul", ["n", "w"], ["p"]), node("Tanh", ["p"], ["y"])], { ...gb, w: whole([4, 4]) }, [2, 4, 4]),
      "operator-blocks",
    );
  });

  it("a value that a subgraph gives as it is", () => {
    const inner = { nodes: [node("Identity", ["n"], ["z"])], outputs: [floats("z")] };
    const other = { nodes: [node("Identity", ["x"], ["z"])], outputs: [floats("z")] };
    const spec = net(
      [layer(), node("If", ["cond"], ["r"], { then_branch: inner, else_branch: other }), ...matmul()],
      both,
      [2, 3, 4],
    );
    const inputs = [...(spec.inputs ?? []), { name: "cond", dtype: "bool", dims: [] }];
    const { data } = plan(model({ ...spec, inputs, outputs: [floats("y"), floats("r")] }), { norms: true });
    expect(data.kept.map(({ kind, code }) => [kind, code])).toEqual([["norm", "is-graph-output"]]);
  });

  it("a product beyond the largest float16", () => {
    const half = (dims: number[], values: number[]) => float16(dims, values);
    const spec = net(
      [layer(), ...matmul(false)],
      { g: half([4], [512, 1, 1, 1]), b: half([4], [1, 1, 1, 1]), w: half([4, 2], new Array(8).fill(256)) },
      [2, 3, 4],
    );
    const inputs = [{ name: "x", dtype: "float16", dims: [2, 3, 4] }];
    const { data } = plan(model({ ...spec, inputs, outputs: [{ name: "y", dtype: "float16" }] }), { norms: true });
    expect(data.kept.map(({ kind, code }) => [kind, code])).toEqual([["norm", "storage-overflow"]]);
  });

  it("a shift divided by a gain that leaves no room in float16 for what is added to it", () => {
    const half = (dims: number[], values: number[]) => float16(dims, values);
    const shifted = (beta: number) => {
      const constants = {
        g: half([4], [2 ** -10, 1, 1, 1]),
        b: half([4], [beta, 1, 1, 1]),
        w: half([4, 2], new Array(8).fill(256)),
      };
      const inputs = [{ name: "x", dtype: "float16", dims: [2, 3, 4] }];
      const spec = net([layer(), ...matmul(false)], constants, [2, 3, 4], 23, { inputs });
      return plan(model({ ...spec, outputs: [{ name: "y", dtype: "float16" }] }), { norms: true }).data;
    };
    expect(shifted(30).folds.map(({ kind }) => kind)).toEqual(["norm"]);
    expect(shifted(60).kept.map(({ kind, code }) => [kind, code])).toEqual([["norm", "storage-overflow"]]);
  });

  it("parameters that are no constants, or no numbers", () => {
    const inputs = [floats("x", [2, 3, 4]), floats("g", [4])];
    stays(net([layer(), ...matmul()], both, [], 23, { inputs }), "parameter-is-input");
    const spec = model(net([layer(), ...matmul()], both, [], 23, { inputs }));
    expect(plan(spec, { norms: true, assumeConstant: true }).data.folds.length).toBe(1);
    const { g: _, ...rest } = both;
    stays(net([layer(), ...matmul()], rest, [], 23, { inputs }), "parameter-not-constant");
    const { data } = plan(model(net([layer(), ...matmul()], { ...both, g: float32([4], [1, Number.NaN, 1, 1]) }, [2, 3, 4])), {
      norms: true,
    });
    expect(data.kept[0].code).toBe("parameter-not-finite");
  });

  it("what the user excludes, and what was not shown to be equivalent", () => {
    stays(net([layer(), ...matmul()], both, [2, 3, 4]), "excluded-by-user", { skip: (name: string) => name === "n" });
    stays(net([layer(), ...matmul()], both, [2, 3, 4]), "not-proven", { unproven: new Set(["#0"]) });
  });
});

describe("without the option", () => {
  it("nothing of it happens", () => {
    const weight = [node("ReduceL2", ["v"], ["l"], { keepdims: 1 }), node("Div", ["v", "l"], ["w"])];
    const spec = net([...weight, layer(), ...matmul()], { ...gb, c: wc.c, v: whole([4, 3]) }, [2, 3, 4], 13 + 4);
    for (const options of [{}, { norms: false }]) {
      const before = model(spec);
      const { data, bytes, edits } = folded(before, options);
      expect(data).toMatchObject({ folds: [], kept: [], merges: [] });
      expect("norms" in data.before).toBe(false);
      expect(Object.values(edits).flat()).toEqual([]);
      expect(bytes.length).toBe(before.files.main.size);
    }
  });

  it("DyT and Derf fold all the same: gain and shift forward, the factor before the function backward", () => {
    for (const op of ["Tanh", "Erf"]) {
      const nodes = [
        node("MatMul", ["x", "w0"], ["p0"]),
        node("Add", ["p0", "c0"], ["h"]),
        node("Mul", ["h", "alpha"], ["a"]),
        node(op, ["a"], ["t"]),
        node("Mul", ["t", "g"], ["s"]),
        node("Add", ["s", "b"], ["n"]),
        ...matmul(),
      ];
      const constants = { ...gb, ...wc, w0: whole([4, 4]), c0: float32([4], [1, 2, 3, 4]), alpha: float32([], [0.5]) };
      const done = check(net(nodes, constants, [2, 3, 4]), { folds: 3, tolerance: 1e-12 });
      expect(operators(done)).toEqual(["MatMul", "Add", op, "MatMul", "Add"]);
    }
  });

  it("the factor before the function stays where something else reads what it scales", () => {
    const nodes = [
      node("MatMul", ["x", "w0"], ["h"]),
      node("Mul", ["h", "alpha"], ["a"]),
      node("Tanh", ["a"], ["t"]),
      node("Mul", ["t", "g"], ["n"]),
      ...matmul(),
    ];
    const spec = net(nodes, { ...gb, ...wc, w0: whole([4, 4]), alpha: float32([], [0.5]) }, [2, 3, 4]);
    check({ ...spec, outputs: [floats("y"), floats("h")] }, { folds: 1, refused: "is-graph-output", tolerance: 1e-12 });
  });

  it("LayerNormalization and RMSNormalization spelled out give their gain and shift", () => {
    const rms = [
      node("Mul", ["x", "x"], ["q"]),
      node("ReduceMean", ["q"], ["m"], { axes: [-1] }),
      node("Add", ["m", "e"], ["v"]),
      node("Sqrt", ["v"], ["d"]),
      node("Div", ["x", "d"], ["u"]),
      node("Mul", ["u", "g"], ["s"]),
      node("Add", ["s", "b"], ["n"]),
    ];
    const done = check(net([...rms, ...matmul()], { ...gb, ...wc, e: float32([], [0.25]) }, [2, 3, 4], 13), {
      folds: 2,
      tolerance: 1e-12,
    });
    expect(done.after.graph.nodes.length).toBe(7);
  });
});
