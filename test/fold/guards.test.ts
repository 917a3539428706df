/** Guards whose loss only these models show: what narrows, what is read beside, what must act together, what a merge adds up, what only measures. */
import { describe, expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { measuresOf } from "../../src/verify/measures.ts";
import { prove } from "../../src/verify/proof.ts";
import {
  f,
  float16,
  float32,
  float64,
  int64,
  type ModelSpec,
  model,
  node,
  type TensorSpec,
  type ValueSpec,
} from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { batchNorm, check, floats, operators, whole } from "../rules/check.ts";
import { verdict } from "../rules/helpers.ts";

const FLOAT = { float16: 10, float32: 1, float64: 11 } as const;
type Float = keyof typeof FLOAT;
const tensors = { float16, float32, float64 };

describe("a Cast", () => {
  const parameters = (dtype: Float): Record<string, TensorSpec> =>
    Object.fromEntries(
      ["s", "b", "m", "v"].map((name, i) => [
        name,
        tensors[dtype](
          [2],
          [
            [2, 0.5],
            [1, -1],
            [0.5, 1],
            [1, 4],
          ][i],
        ),
      ]),
    );
  const norm = (x: string, y: string) => node("BatchNormalization", [x, "s", "b", "m", "v"], [y], { epsilon: f(0) });
  const conv = (x: string, y: string) => node("Conv", [x, "w"], [y]);
  /** Conv and normalization of two types with a Cast between them, either way round. */
  const net = (normFirst: boolean, of: Float, convOf: Float): ModelSpec => {
    const [inner, outer] = normFirst ? [of, convOf] : [convOf, of];
    const [first, second] = normFirst ? [norm("x", "p"), conv("q", "y")] : [conv("x", "p"), norm("q", "y")];
    return {
      nodes: [first, node("Cast", ["p"], ["q"], { to: FLOAT[outer] }), second],
      initializers: { ...parameters(of), w: tensors[convOf]([2, 2, 1, 1], [1, 2, 3, 4]) },
      inputs: [{ name: "x", dtype: inner, dims: [1, 2, 3, 3] }],
      outputs: [{ name: "y", dtype: outer }],
    };
  };

  // Only a normalization that ran in a narrower type, or the same, may come to run in the convolution's.
  it.each([
    ["float32", "float16", 0],
    ["float64", "float32", 0],
    ["float64", "float16", 0],
    ["float16", "float32", 1],
    ["float32", "float64", 1],
    ["float32", "float32", 1],
  ] as const)("lets a normalization in %s into a Conv in %s: %i", (of, convOf, folds) => {
    for (const normFirst of [true, false]) {
      const found = verdict(net(normFirst, of, convOf));
      expect(found.folds, found.messages).toBe(folds);
      if (folds === 0) expect(found.messages).toMatch(/of 1e|would make the map run in/);
    }
  });
});

describe("a normalization of a constant", () => {
  const { initializers } = batchNorm("w", "n", 2);
  const net = (outputs: readonly string[], more: readonly string[], extra: ValueSpec[] = [], reader = ""): ModelSpec => ({
    opset: 15,
    irVersion: 10,
    nodes: [
      node("BatchNormalization", ["w", "n_scale", "n_B", "n_mean", "n_var"], [...outputs, ...more], {
        epsilon: f(0),
        training_mode: more.length > 0 ? 1 : 0,
      }),
      ...(reader === "" ? [] : [node("Identity", [reader], ["z"])]),
      node("Conv", ["x", "n"], ["y"]),
    ],
    initializers: { ...initializers, w: whole([2, 2, 1, 1]) },
    inputs: [floats("x", [1, 2, 3, 3])],
    outputs: [floats("y"), ...extra],
  });

  it("is computed once and for all where nothing else of it is read", () => {
    expect(verdict(net(["n"], [])).folds).toBe(1);
    expect(verdict(net(["n"], ["mean", "var"])).folds).toBe(1);
  });

  it("stays where its statistics are read, by a node or as an output of the graph", () => {
    expect(verdict(net(["n"], ["mean", "var"], [floats("mean")])).folds).toBe(0);
    expect(verdict(net(["n"], ["mean", "var"], [floats("z")], "var")).folds).toBe(0);
  });
});

describe("Where", () => {
  /** Two layers with a gain each behind them, of which a condition chooses; the gains differ by less than their rounding. */
  const net = (before: boolean, second: number): ModelSpec => ({
    nodes: before
      ? [
          node("Conv", ["x", "v"], ["p"]),
          node("Conv", ["x", "w"], ["q"]),
          node("Mul", ["p", "g"], ["m"]),
          node("Mul", ["q", "h"], ["n"]),
          node("Where", ["c", "m", "n"], ["y"]),
        ]
      : [
          node("Conv", ["x", "v"], ["p"]),
          node("Conv", ["x", "w"], ["q"]),
          node("Where", ["c", "p", "q"], ["o"]),
          node("Mul", ["o", "g"], ["y"]),
        ],
    initializers: {
      v: whole([2, 2, 1, 1], 3),
      w: whole([2, 2, 1, 1], 5),
      g: float32([2, 1, 1], [1.1, 0.7]),
      h: float32([2, 1, 1], [1.1, second]),
    },
    inputs: [floats("x", [1, 2, 3, 3]), { name: "c", dtype: "bool", dims: [3, 3] }],
    outputs: [floats("y")],
  });

  it("takes one gain that both branches carry, and no two", () => {
    expect(prove(model(net(true, 0.7)), model(net(false, 0))).outcome).toBe("equal");
    expect(prove(model(net(false, 0)), model(net(true, 0.7))).outcome).toBe("equal");
    expect(prove(model(net(true, 0.75)), model(net(false, 0))).outcome).not.toBe("equal");
  });

  it("gives the gains of folded branches to what reads it when they agree within rounding", () => {
    const thirds = (n: number) => float32([2, 1, 1], [1 / n, 1 / n]);
    const spec = (gain: TensorSpec, other: TensorSpec, reader: number): ModelSpec => ({
      nodes: [
        node("Mul", ["x", "g"], ["p"]),
        node("Mul", ["z", "h"], ["q"]),
        node("Where", ["c", "p", "q"], ["o"]),
        node("Conv", ["o", "w"], ["y"]),
      ],
      initializers: { g: gain, h: other, w: float32([2, 2, 1, 1], [reader, reader, reader, reader]) },
      inputs: [floats("x", [1, 2, 3, 3]), floats("z", [1, 2, 3, 3]), { name: "c", dtype: "bool", dims: [3, 3] }],
      outputs: [floats("y")],
    });
    const before = spec(thirds(3), thirds(3), 1);
    const { model: after, data } = folded(model(before));
    expect(data.folds.length).toBe(2);
    expect(prove(model(before), after, { foreign: false }).outcome).toBe("equal");
    // A branch whose gain is one unit in the last place off is not the same file.
    const off = Math.fround(1 / 3) + 2 ** -25;
    expect(prove(model(spec(thirds(3), float32([2, 1, 1], [1 / 3, off * 1.01]), 1)), after, { foreign: false }).outcome).not.toBe(
      "equal",
    );
  });
});

describe("a merge", () => {
  const conv = (x: string, y: string, w: string, more = {}) => node("Conv", [x, w], [y], more);
  const net = (nodes: ModelSpec["nodes"], inputs: readonly string[] = ["x"]): ModelSpec => ({
    nodes,
    initializers: { v: whole([2, 2, 1, 1], 3), w: whole([2, 2, 1, 1], 5), u: whole([2, 2, 3, 3], 6) },
    inputs: inputs.map((name) => floats(name, [1, 2, 6, 6])),
    outputs: [floats("y")],
  });
  const left = (spec: ModelSpec) => operators(check(spec, { folds: 0 })).sort();

  it("leaves one Add fewer than it leaves parts", () => {
    const three = [
      conv("x", "a", "v"),
      conv("x", "b", "w"),
      conv("z", "c", "v"),
      node("Add", ["a", "b"], ["s"]),
      node("Add", ["s", "c"], ["y"]),
    ];
    expect(left(net(three, ["x", "z"]))).toEqual(["Add", "Conv", "Conv"]);
    const two = [conv("x", "a", "v"), conv("x", "b", "w"), node("Add", ["a", "b"], ["y"])];
    expect(left(net(two))).toEqual(["Conv"]);
    const skip = [
      conv("x", "a", "v"),
      conv("x", "b", "u", { pads: [1, 1, 1, 1] }),
      node("Add", ["a", "b"], ["s"]),
      node("Add", ["s", "x"], ["y"]),
    ];
    expect(left(net(skip))).toEqual(["Conv"]);
    const four = [
      conv("x", "a", "v"),
      conv("z", "b", "w"),
      conv("x", "c", "w"),
      conv("z", "d", "v"),
      node("Add", ["a", "b"], ["s"]),
      node("Sub", ["s", "c"], ["t"]),
      node("Add", ["t", "d"], ["y"]),
    ];
    expect(left(net(four, ["x", "z"]))).toEqual(["Add", "Conv", "Conv"]);
  });
});

describe("what only measures", () => {
  const nodes: Record<string, ModelSpec["nodes"][number]> = {
    "Resize, its scales": node("Resize", ["x", "", "k"], ["y"]),
    "Resize, its region": node("Resize", ["x", "k", "", "sizes"], ["y"], {
      coordinate_transformation_mode: "tf_crop_and_resize",
    }),
    Upsample: node("Upsample", ["x", "k"], ["y"]),
    Tile: node("Tile", ["x", "k"], ["y"]),
    CastLike: node("CastLike", ["x", "k"], ["y"]),
    ConstantOfShape: node("ConstantOfShape", ["k"], ["y"]),
    Shape: node("Shape", ["k"], ["y"]),
    Size: node("Size", ["k"], ["y"]),
  };
  const spec = (reader: ModelSpec["nodes"][number], rest: ModelSpec["nodes"] = []): ModelSpec => ({
    nodes: [reader, ...rest],
    initializers: { k: float32([4], [1, 1, 2, 2]), sizes: int64([4], [1, 2, 4, 4]) },
    inputs: [floats("x", [1, 2, 3, 3])],
    outputs: [floats("y"), ...rest.map((_, i) => floats(`z${i}`))],
  });
  const measured = (m: ModelSpec) => [...measuresOf(viewOf(model(m)))].map(({ name }) => name).filter((name) => name === "k");

  it.each(Object.entries(nodes))("%s", (_name, reader) => {
    expect(measured(spec(reader))).toEqual(["k"]);
    // A factor as well: it is a coefficient then.
    expect(measured(spec(reader, [node("Mul", ["x", "k"], ["z0"])]))).toEqual([]);
  });

  it("does not so as the data of the operator", () => {
    expect(measured(spec(node("Resize", ["k", "", "", "sizes"], ["y"])))).toEqual([]);
    expect(measured(spec(node("Tile", ["k", "sizes"], ["y"])))).toEqual([]);
  });
});

describe("what makes a constant", () => {
  it("stays while another of its outputs is read", () => {
    const norm = batchNorm("c", "y", 2);
    const done = check(
      {
        nodes: [
          node("Split", ["both", "halves"], ["v", "w"], { axis: 0 }),
          node("Conv", ["x", "v"], ["c"]),
          norm.node,
          node("Conv", ["x", "w"], ["z"]),
        ],
        initializers: { both: whole([4, 3, 1, 1]), halves: int64([2], [2, 2]), ...norm.initializers },
        inputs: [floats("x", [1, 3, 2, 2])],
        outputs: [floats("y"), floats("z")],
      },
      { folds: 1 },
    );
    expect(operators(done)).toEqual(["Split", "Conv", "Conv"]);
  });

  it("stays while another of its outputs is an output of the graph", () => {
    const norm = batchNorm("c", "y", 2);
    const done = check(
      {
        nodes: [node("Split", ["both", "halves"], ["v", "w"], { axis: 0 }), node("Conv", ["x", "v"], ["c"]), norm.node],
        initializers: { both: whole([4, 3, 1, 1]), halves: int64([2], [2, 2]), ...norm.initializers },
        inputs: [floats("x", [1, 3, 2, 2])],
        outputs: [floats("y"), floats("w")],
      },
      { folds: 1 },
    );
    expect(operators(done)).toEqual(["Split", "Conv"]);
  });

  it("goes with what it read, where an operand of it is left out", () => {
    const norm = batchNorm("c", "y", 2);
    const shift = norm.initializers[norm.node.inputs[2]];
    const limited = { ...norm.node, inputs: norm.node.inputs.map((name, i) => (i === 2 ? "limited" : name)) };
    const done = check(
      {
        nodes: [node("Clip", ["given", "", "top"], ["limited"]), node("Conv", ["x", "v"], ["c"]), limited],
        initializers: { ...norm.initializers, given: shift, top: float32([], [1]), v: whole([2, 3, 1, 1]) },
        inputs: [floats("x", [1, 3, 2, 2])],
        outputs: [floats("y")],
      },
      { folds: 1 },
    );
    expect(operators(done)).toEqual(["Conv"]);
    const left = done.after.graph.initializers.map(({ name }) => name);
    expect(left).not.toContain("given");
    expect(left).not.toContain("top");
  });
});
