/**
 * Graphs of any size, by family: what the plan may have to walk. Plan time has to grow with the number of nodes, whatever the
 * family (bench/plan.ts for large graphs, test/fold/scaling.test.ts for small ones).
 */
import { float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "./build.ts";

type Initializers = Record<string, TensorSpec>;

const C = 4;
const all = (dims: readonly number[], value: number): TensorSpec =>
  float32(dims, new Array(dims.reduce((n, d) => n * d, 1)).fill(value));
const NORM = { s: 0.5, b: 0.25, m: 0.125, v: 1 };
/** Gains of a chain, by turns: their product stays in range. */
const GAINS = [0.5, 2];
const repeat = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: Math.floor(n) }, (_, i) => make(i));

/** A graph that grows node by node; every value is [N, 4, 8, 8] unless a family says otherwise. */
class Growing {
  readonly nodes: NodeSpec[] = [];
  readonly initializers: Initializers = {};
  private count = 0;

  constructor(
    private readonly prefix = "",
    private readonly dims: ModelSpec["outputs"][number]["dims"] = ["N", C, 8, 8],
  ) {}

  /** Adds a node; the name of its output. */
  add(op: string, inputs: readonly string[], attributes: NodeSpec["attributes"] = {}): string {
    const output = `${this.prefix}${op}${this.nodes.length}`;
    this.nodes.push(node(op, inputs, [output], attributes));
    return output;
  }

  /** A constant of its own, or the one all nodes share. */
  constant(name: string, dims: readonly number[], value: number): string {
    this.initializers[name] ??= all(dims, value);
    return name;
  }

  norm(x: string, channels = C, own = true): string {
    const id = own ? this.nodes.length : "";
    const parameters = { ...NORM, s: own ? GAINS[this.count++ % 2] : NORM.s };
    return this.add("BatchNormalization", [
      x,
      ...Object.entries(parameters).map(([name, value]) => this.constant(`${this.prefix}${name}${id}`, [channels], value)),
    ]);
  }

  /** A 1x1 convolution with a weight of its own. */
  conv(x: string): string {
    return this.add("Conv", [x, this.constant(`${this.prefix}w${this.nodes.length}`, [C, C, 1, 1], 0.5)]);
  }

  relu(x: string): string {
    return this.add("Relu", [x]);
  }

  mul(x: string, value = GAINS[this.count++ % 2]): string {
    return this.add("Mul", [x, this.constant(`k${value}`, [C, 1, 1], value)]);
  }

  plus(x: string, value = 0.5): string {
    return this.add("Add", [x, this.constant(`k${value}`, [C, 1, 1], value)]);
  }

  spec(...outputs: readonly string[]): ModelSpec {
    return {
      nodes: this.nodes,
      initializers: this.initializers,
      inputs: [{ name: "x", dims: this.dims }],
      outputs: outputs.map((name) => ({ name, dims: undefined })),
    };
  }
}

/** `n` nodes in steps of `size`, each step from the value before. */
function chain(n: number, size: number, step: (g: Growing, x: string, i: number) => string, g = new Growing(), x = "x"): string {
  let value = x;
  for (let i = 0; i < n / size; i++) value = step(g, value, i);
  return value;
}

const chained = (size: number, step: (g: Growing, x: string, i: number) => string) => (n: number) => {
  const g = new Growing();
  return g.spec(chain(n, size, step, g));
};

const block = (g: Growing, x: string): string => g.relu(g.norm(g.conv(x)));

/** The nodes backwards: the file is not sorted. */
const backwards = (spec: ModelSpec): ModelSpec => ({ ...spec, nodes: spec.nodes.toReversed() });

export const families: Readonly<Record<string, (n: number) => ModelSpec>> = {
  "Conv-BN-Relu chain": chained(3, block),
  "Conv-BN-Relu chain, backwards in the file": (n) => backwards(families["Conv-BN-Relu chain"](n)),
  "BN-Relu chain, nothing to fold into": chained(2, (g, x) => g.relu(g.norm(x))),
  "Mul-Relu chain, nothing to fold into": chained(2, (g, x) => g.relu(g.mul(x))),
  "residual chain": chained(4, (g, x) => g.relu(g.add("Add", [g.norm(g.conv(x)), x]))),
  "residual stream without activation": chained(3, (g, x) => g.add("Add", [g.conv(g.norm(x)), x])),
  "residual stream with norms on the branches": chained(3, (g, x) => g.add("Add", [g.norm(g.conv(x)), x])),
  "wide Concat of Conv, one BN"(n) {
    const g = new Growing();
    g.constant("w", [C, C, 1, 1], 0.5);
    const parts = repeat(n, () => g.add("Conv", ["x", "w"]));
    return g.spec(g.norm(g.add("Concat", parts, { axis: 1 }), C * parts.length));
  },
  "many BN on one value, shared constants"(n) {
    const g = new Growing();
    return g.spec(
      g.add(
        "Sum",
        repeat(n / 2, () => g.relu(g.norm("x", C, false))),
      ),
    );
  },
  "identity maps on one value"(n) {
    const g = new Growing();
    const x = g.relu("x");
    g.constant("one", [], 1);
    return g.spec(
      g.add(
        "Sum",
        repeat(n / 2, () => g.add("Sigmoid", [g.add("Mul", [x, "one"])])),
      ),
    );
  },
  "identity maps in a row"(n) {
    const g = new Growing();
    g.constant("one", [], 1);
    const x = chain(n, 1, (h, y) => h.add("Mul", [y, "one"]), g, g.relu("x"));
    return g.spec(g.add("Sigmoid", [x]));
  },
  "one value with many readers, a BN each"(n) {
    const g = new Growing();
    const x = g.conv("x");
    return g.spec(
      ...repeat(n / 2, () => g.relu(g.norm(x))).slice(-1),
      g.add(
        "Sum",
        g.nodes.filter((m) => m.op === "Relu").map((m) => m.outputs[0]),
      ),
    );
  },
  "one value with many readers, the same Mul on each"(n) {
    const g = new Growing();
    const x = g.conv("x");
    return g.spec(
      g.add(
        "Sum",
        repeat(n, () => g.mul(x, 0.5)),
      ),
    );
  },
  "one BN with many readers"(n) {
    const g = new Growing();
    const x = g.norm("x");
    g.constant("w", [C, C, 1, 1], 0.5);
    return g.spec(
      g.add(
        "Sum",
        repeat(n / 2, () => g.relu(g.add("Conv", [x, "w"]))),
      ),
    );
  },
  "BN on every part of one Split"(n) {
    const count = Math.floor(n / 2);
    const g = new Growing("", ["N", C * count, 8, 8]);
    const parts = repeat(count, (i) => `part${i}`);
    g.nodes.push(node("Split", ["x"], parts, { axis: 1, num_outputs: count }));
    return g.spec(
      g.add(
        "Sum",
        parts.map((part) => g.relu(g.norm(part))),
      ),
    );
  },
  "Conv, Split, BN on every part"(n) {
    const count = Math.floor(n / 2);
    const g = new Growing();
    const x = g.add("Conv", ["x", g.constant("w", [C * count, C, 1, 1], 0.5)]);
    const parts = repeat(count, (i) => `part${i}`);
    g.nodes.push(node("Split", [x], parts, { axis: 1, num_outputs: count }));
    return g.spec(
      g.add(
        "Sum",
        parts.map((part) => g.relu(g.norm(part))),
      ),
    );
  },
  "BN of every input of one Concat"(n) {
    const g = new Growing();
    return g.spec(
      g.relu(
        g.add(
          "Concat",
          repeat(n, () => g.norm("x")),
          { axis: 1 },
        ),
      ),
    );
  },
  "Mul-Add chain, nothing to fold into": chained(2, (g, x) => g.plus(g.mul(x))),
  "Mul-Add chain between Relus"(n) {
    const g = new Growing();
    return g.spec(g.relu(chain(n, 2, (h, x) => h.plus(h.mul(x)), g, g.relu("x"))));
  },
  "Mul-Add chain, channels last"(n) {
    const g = new Growing("", ["N", 8, 8, C]);
    const [k, u, b] = [g.constant("k", [C], GAINS[0]), g.constant("u", [C], GAINS[1]), g.constant("b", [C], 0.25)];
    return g.spec(g.relu(chain(n, 2, (h, x, i) => h.add("Add", [h.add("Mul", [x, i % 2 === 0 ? k : u]), b]), g, g.relu("x"))));
  },
  "Mul-Add chain after a Conv"(n) {
    const g = new Growing();
    return g.spec(g.relu(chain(n, 2, (h, x) => h.plus(h.mul(x)), g, g.conv("x"))));
  },
  "Mul-Add chain after a large Conv"(n) {
    const g = new Growing("", ["N", 96, 8, 8]);
    const x = g.add("Conv", ["x", g.constant("w", [96, 96, 1, 1], 0.5)]);
    const gains = GAINS.map((gain, i) => g.constant(`k${i}`, [96, 1, 1], gain));
    return g.spec(g.relu(chain(n, 2, (h, y, i) => h.add("Add", [h.add("Mul", [y, gains[i % 2]]), gains[0]]), g, x)));
  },
  "BN of every input of one Concat, a Conv after it"(n) {
    const g = new Growing();
    const parts = repeat(n, () => g.norm("x"));
    const joined = g.add("Concat", parts, { axis: 1 });
    return g.spec(g.relu(g.add("Conv", [joined, g.constant("w", [1, C * parts.length, 1, 1], 0.5)])));
  },
  "BN chain after a Conv"(n) {
    const g = new Growing();
    return g.spec(g.relu(chain(n, 1, (h, x) => h.norm(x), g, g.conv("x"))));
  },
  "BN chain before a Conv"(n) {
    const g = new Growing();
    return g.spec(g.relu(g.conv(chain(n, 1, (h, x) => h.norm(x), g, g.relu("x")))));
  },
  "BN chain, nothing to fold into": chained(1, (g, x) => g.norm(x)),
  "Mul chain with Identity between, nothing to fold into"(n) {
    const g = new Growing();
    return g.spec(g.relu(chain(n, 2, (h, x) => h.add("Identity", [h.mul(x)]), g, g.relu("x"))));
  },
  "Identity, Transpose, Reshape between a Conv and a BN"(n) {
    const g = new Growing();
    g.initializers.shape = { dtype: "int64", dims: [4], values: [0, C, 8, 8] };
    const x = chain(
      n,
      4,
      (h, y) => {
        const turned = h.add("Transpose", [h.add("Identity", [y])], { perm: [0, 2, 3, 1] });
        return h.add("Reshape", [h.add("Transpose", [turned], { perm: [0, 3, 1, 2] }), "shape"]);
      },
      g,
      g.conv("x"),
    );
    return g.spec(g.relu(g.norm(x)));
  },
  "Identity and BN by turns after a Conv"(n) {
    const g = new Growing();
    return g.spec(g.relu(chain(n, 2, (h, x) => h.norm(h.add("Identity", [x])), g, g.conv("x"))));
  },
  "Identity and BN by turns before a Conv"(n) {
    const g = new Growing();
    return g.spec(g.relu(g.conv(chain(n, 2, (h, x) => h.add("Identity", [h.norm(x)]), g, g.relu("x")))));
  },
  "Mul and Relu by turns after a Conv"(n) {
    const g = new Growing();
    return g.spec(g.add("Sigmoid", [chain(n, 2, (h, x) => h.relu(h.mul(x)), g, g.conv("x"))]));
  },
  "Mul and Relu by turns before a Conv"(n) {
    const g = new Growing();
    return g.spec(g.relu(g.conv(chain(n, 2, (h, x) => h.relu(h.mul(x)), g, g.add("Sigmoid", ["x"])))));
  },
  "Mul and Relu by turns, nothing to fold into": chained(2, (g, x) => g.relu(g.mul(x))),
  "Mul and MaxPool, Softmax now and then": chained(10, (g, x) => {
    let y = x;
    for (let i = 0; i < 9; i++) y = i % 2 === 0 ? g.mul(y, 1.5) : g.relu(y);
    return g.add("Softmax", [y], { axis: 1 });
  }),
  "a BN before many Relus"(n) {
    const g = new Growing();
    return g.spec(chain(n, 1, (h, x) => h.relu(x), g, g.norm("x")));
  },
  "BN on every Relu of a chain"(n) {
    const g = new Growing();
    const x = chain(n / 2, 1, (h, y) => h.relu(y), g, g.conv("x"));
    const ends = g.nodes.map((m) => m.outputs[0]);
    return g.spec(
      x,
      g.add(
        "Sum",
        ends.map((end) => g.norm(end)),
      ),
    );
  },
  "Add chain of branches": chained(3, (g, x) => g.add("Add", [g.mul(g.relu("x"), 1.5), x])),
  "Mul of every partial sum": (n) => {
    const g = new Growing();
    const x = chain(n, 3, (h, y) => h.add("Add", [h.add("Sigmoid", [h.mul(y, 1.5)]), y]), g, g.conv("x"));
    return g.spec(x);
  },
  "gated chain": chained(4, (g, x) => g.add("Mul", [g.mul(x, 1.5), g.add("Sigmoid", [g.plus(x)])])),
  "binary tree of sums, a BN at the root"(n) {
    const g = new Growing();
    let level = repeat(n / 2, () => g.conv("x"));
    while (level.length > 1) {
      level = repeat(Math.ceil(level.length / 2), (i) =>
        level[2 * i + 1] === undefined ? level[2 * i] : g.add("Add", [level[2 * i], level[2 * i + 1]]),
      );
    }
    return g.spec(g.relu(g.norm(level[0])));
  },
  "binary tree of sums, a Mul at every node"(n) {
    const g = new Growing();
    let level = repeat(n / 4, () => g.relu("x"));
    while (level.length > 1) {
      level = repeat(Math.ceil(level.length / 2), (i) =>
        level[2 * i + 1] === undefined ? level[2 * i] : g.mul(g.add("Add", [level[2 * i], level[2 * i + 1]]), 1.5),
      );
    }
    return g.spec(g.relu(level[0]));
  },
  "dynamic size through unpadded convolutions"(n) {
    const g = new Growing("", ["N", C, "H", "W"]);
    g.constant("w3", [C, C, 3, 3], 0.5);
    return g.spec(chain(n, 3, (h, x) => h.relu(h.norm(h.add("Conv", [x, "w3"]))), g));
  },
  "MatMul chain, batched"(n) {
    const g = new Growing("", ["N", 8, C]);
    const step = (h: Growing, x: string): string => {
      const w = h.constant(`w${h.nodes.length}`, [C, C], 0.5);
      return h.relu(
        h.add("Mul", [h.add("Add", [h.add("MatMul", [x, w]), h.constant("b", [C], 0.5)]), h.constant("k", [C], 1.5)]),
      );
    };
    return g.spec(chain(n, 4, step, g));
  },
  "all in the body of one If"(n) {
    const inner = new Growing("i_");
    const end = chain(n, 3, block, inner, "x");
    const body = { nodes: inner.nodes, initializers: inner.initializers, outputs: [{ name: end, dims: undefined }] };
    const other = { nodes: [node("Identity", ["x"], ["other"])], outputs: [{ name: "other", dims: undefined }] };
    return {
      nodes: [node("If", ["c"], ["y"], { then_branch: body, else_branch: other })],
      inputs: [
        { name: "x", dims: ["N", C, 8, 8] },
        { name: "c", dtype: "bool", dims: [] },
      ],
      outputs: [{ name: "y", dims: undefined }],
    };
  },
  "an If for every node"(n) {
    const g = new Growing();
    const step = (h: Growing, x: string, i: number): string => {
      const y = h.norm(h.conv(x));
      const branch = (name: string) => ({
        nodes: [node("Relu", [y], [`${name}${i}`])],
        outputs: [{ name: `${name}${i}`, dims: undefined }],
      });
      return h.add("If", ["c"], { then_branch: branch("a"), else_branch: branch("b") });
    };
    const spec = g.spec(chain(n, 5, step, g));
    return { ...spec, inputs: [...(spec.inputs ?? []), { name: "c", dtype: "bool", dims: [] }] };
  },
  "many functions"(n) {
    const g = new Growing();
    const functions = repeat(n / 4, (i) => ({
      name: `f${i}`,
      domain: "own",
      inputs: ["a", "w", "s", "b", "m", "v"],
      outputs: ["r"],
      nodes: [
        node("Conv", ["a", "w"], ["c"]),
        node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"]),
        node("Relu", ["n"], ["r"]),
      ],
      opsets: { "": 21 },
    }));
    const constants = Object.entries({ s: 0.5, b: 0.25, m: 0.125, v: 1 }).map(([name, value]) => g.constant(name, [C], value));
    g.constant("w", [C, C, 1, 1], 0.5);
    let x = "x";
    for (const [i, { name }] of functions.entries()) {
      g.nodes.push(node(name, [x, "w", ...constants], [`y${i}`], {}, { domain: "own" }));
      x = `y${i}`;
    }
    return { ...g.spec(x), functions, opsets: { "": 21, own: 1 } };
  },
  "constants computed from constants"(n) {
    const g = new Growing();
    const step = (h: Growing, x: string): string => {
      const w = h.add("Neg", [h.constant(`w${h.nodes.length}`, [C, C, 1, 1], 0.5)]);
      return h.relu(h.norm(h.add("Conv", [x, w])));
    };
    return g.spec(chain(n, 4, step, g));
  },
  "one long chain of constants"(n) {
    const g = new Growing();
    const w = chain(n, 1, (h, y) => h.add("Neg", [y]), g, g.constant("w", [C, C, 1, 1], 0.5));
    return g.spec(g.relu(g.norm(g.add("Conv", ["x", w]))));
  },
  "many Gemm on one weight"(n) {
    const g = new Growing("", ["N", C]);
    g.constant("w", [C, C], 0.5);
    return g.spec(chain(n, 3, (h, x) => h.relu(h.norm(h.add("Gemm", [x, "w"]))), g));
  },
};
