import { describe, expect, it } from "vitest";
import type { Gauge } from "../../src/affine/gauge.ts";
import { along, uniform } from "../../src/affine/spread.ts";
import { viewOf } from "../../src/graph/view.ts";
import type { Model } from "../../src/onnx/records.ts";
import { Cuts, type Shared } from "../../src/verify/cuts.ts";
import { prove, sharedOf } from "../../src/verify/proof.ts";
import { runOf } from "../../src/verify/run.ts";
import { NetworkSizes, sizesOf } from "../../src/verify/sizes.ts";
import type { Proof } from "../../src/verify/types.ts";
import { witness } from "../../src/verify/witness.ts";
import { f, type GraphSpec, model, type NodeSpec, node, type TensorSpec, type ValueSpec } from "../helpers/build.ts";
import { blindRegions } from "./faults/blind.ts";
import { faultsOf, foldOf } from "./faults/cases.ts";
import { Net, SHAPES } from "./faults/nets.ts";

const numbers = (n: number, from: number): number[] =>
  Array.from({ length: n }, (_, i) => Math.fround(Math.sin(1 + from + 1.7 * i)));
const tensor = (dims: readonly number[], values: readonly number[], dtype = "float32"): TensorSpec => ({ dtype, dims, values });
const weight = (dims: readonly number[], from = 0): TensorSpec =>
  tensor(
    dims,
    numbers(
      dims.reduce((n, d) => n * d, 1),
      from,
    ),
  );

/** What a proof says that is blind, and what it claims: every value of one name is the same. */
const BLIND: Proof = { outcome: "equal", regions: [], identicalNodes: 0 };
const claims = (b: Model): Shared => new Map(b.graph.nodes.flatMap(({ outputs }) => outputs.map((name) => [name, { name }])));
const blindRun = (a: Model, b: Model) => runOf(a, b, BLIND, claims(b), {});

const made = (nodes: readonly NodeSpec[], initializers: GraphSpec["initializers"], x: ValueSpec["dims"], y = "float32"): Model =>
  model({ nodes, initializers, inputs: [{ name: "x", dims: x }], outputs: [{ name: "y", dtype: y }] });

describe("a right fold", () => {
  it("is run region by region, nothing else, at small sizes", () => {
    const original = SHAPES["square convolutions"](new Net("float32", 1));
    const folded = foldOf(original).model;
    const proof = prove(original, folded, { foreign: false });
    const run = runOf(original, folded, proof, sharedOf(proof), {});
    expect(run).toMatchObject({ outcome: "equal", samples: [] });
    expect(run.regions?.map(({ value, operators }) => [value, ...operators])).toEqual([
      ["an", 2, 1],
      ["bn", 2, 1],
      ["y", 2, 1],
    ]);
    expect(run.regions?.map(({ sizes }) => sizes)).toEqual([["2×3×3×3"], ["2×6×3×3"], ["2×6×2×2"]]);
    for (const { ratio } of run.regions ?? []) expect(ratio).toBeGreaterThan(0);
  });

  it("is run whole where that is asked for, and where the proof is not whole", () => {
    const original = SHAPES["square convolutions"](new Net("float32", 1));
    const folded = foldOf(original).model;
    const proof = prove(original, folded, { foreign: false });
    const shared = sharedOf(proof);
    expect(runOf(original, folded, proof, shared, { samples: 1 }).samples).toHaveLength(1);
    expect(runOf(original, folded, proof, shared, { fullRun: true }).samples).toHaveLength(4);
    expect(runOf(original, folded, { ...proof, outcome: "not-decided" }, shared, {}).samples).toHaveLength(32);
  });

  it("has no region where nothing differs", () => {
    const original = SHAPES["residual blocks"](new Net("float32", 1));
    expect(blindRun(original, original)).toMatchObject({ outcome: "equal", samples: [], regions: [] });
  });

  it("may leave a normalization for another reader: both sides start from the same cut", () => {
    const initializers = {
      w: weight([4, 4, 1, 1]),
      v: weight([4, 4, 1, 1], 3),
      g: tensor([1, 4, 1, 1], [2, 4, 0.5, 1]),
      wg: tensor(
        [4, 4, 1, 1],
        numbers(16, 3).map((w, i) => w * [2, 4, 0.5, 1][i % 4]),
      ),
    };
    const first = [node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "g"], ["m"]), node("Abs", ["m"], ["z"])];
    const last = node("Add", ["p", "z"], ["y"]);
    const a = made([...first, node("Conv", ["m", "v"], ["p"]), last], initializers, [1, 4, 8, 8]);
    const b = made([...first, node("Conv", ["c", "wg"], ["p"]), last], initializers, [1, 4, 8, 8]);
    const run = blindRun(a, b);
    expect(run.outcome).toBe("equal");
    expect(run.regions?.map(({ value, operators }) => [value, ...operators])).toEqual([["p", 2, 1]]);
  });
});

describe("what one file computes from shapes and the other holds", () => {
  /** r, an early value; y is h laid out as what `shaped` makes of r. */
  const net = (shaped: readonly NodeSpec[], shape: string) =>
    made(
      [
        node("Relu", ["x"], ["r"]),
        node("MatMul", ["r", "w"], ["h"]),
        ...shaped,
        node("Reshape", ["h", shape], ["z"]),
        node("Neg", ["z"], ["y"]),
      ],
      {
        w: weight([6, 6]),
        twelve: tensor([2], [12, -1], "int64"),
        first: tensor([1], [0], "int64"),
        rest: tensor([1], [-1], "int64"),
      },
      [3, 4, 6],
    );
  const held = net([], "twelve");
  /** A shape of two: the product of the first two axes of what `of` is, whatever is left. */
  const shapeOf = (of: string) => [
    node("Shape", [of], ["s"]),
    node("Slice", ["s", "zero", "two"], ["t"]),
    node("ReduceProd", ["t"], ["u"], { keepdims: 1 }),
    node("Concat", ["u", "rest"], ["shape"], { axis: 0 }),
  ];
  const regionOf = (shaped: readonly NodeSpec[]) => {
    const bounds = [node("Identity", ["first"], ["zero"]), node("Constant", [], ["two"], { value: tensor([1], [2], "int64") })];
    const a = viewOf(net([...bounds, ...shaped], "shape"));
    const floats = (value: { name: string }) => (["zero", "two", "s", "t", "u", "shape"].includes(value.name) ? 7 : 1);
    const shared = new Map(["r", "h", "z", "y"].map((name) => [name, { name }]));
    const cuts = new Cuts(a, viewOf(held), shared, floats, floats);
    const target = cuts.targets().find(({ b }) => b.name === "z");
    return target && cuts.region(target);
  };

  it.each([
    ["at once", shapeOf("r")],
    [
      "through what is made of it",
      [node("Neg", ["r"], ["n"]), node("Transpose", ["n"], ["p"], { perm: [0, 1, 2] }), ...shapeOf("p")],
    ],
  ])("goes back no further than to the value whose shape it is: %s", (_how, shaped) => {
    const region = regionOf(shaped);
    expect(region?.inputs.map(({ a }) => a.name).sort()).toEqual(["h", "r"]);
    expect(region?.nodesA.some(({ opType }) => opType === "Relu")).toBe(false);
  });

  it("goes back where numbers decide about the shape", () => {
    const region = regionOf([
      node("NonZero", ["r"], ["n"]),
      node("Shape", ["n"], ["s"]),
      node("Slice", ["s", "first", "rest"], ["t"]),
      node("Concat", ["t", "rest"], ["shape"], { axis: 0 }),
    ]);
    expect(region?.nodesA.some(({ opType }) => opType === "Relu")).toBe(true);
  });

  it("is run, and another weight is seen", () => {
    const bounds = [node("Identity", ["first"], ["zero"]), node("Constant", [], ["two"], { value: tensor([1], [2], "int64") })];
    const a = net([...bounds, ...shapeOf("r")], "shape");
    expect(blindRun(a, held).outcome).toBe("equal");
    const wrong = made(
      [...held.graph.nodes.map(({ opType, inputs, outputs }) => node(opType, [...inputs], [...outputs]))],
      { w: weight([6, 6], 1), twelve: tensor([2], [12, -1], "int64") },
      [3, 4, 6],
    );
    expect(blindRun(a, wrong).outcome).toBe("different");
  });
});

describe("values that are maps of one another", () => {
  const scale = [2, 4, 0.5, 1];
  const shift = [0, 1, -1, 3];
  const initializers = {
    w: weight([4, 4, 1, 1]),
    v: weight([4, 4, 3, 3], 3),
    k: tensor([1, 4, 1, 1], scale),
    t: tensor([1, 4, 1, 1], shift),
    wk: tensor(
      [4, 4, 1, 1],
      numbers(16, 0).map((w, i) => w * scale[Math.floor(i / 4)]),
    ),
    vk: tensor(
      [4, 4, 3, 3],
      numbers(144, 3).map((w, i) => w / scale[Math.floor(i / 9) % 4]),
    ),
  };
  const conv = (input: string, w: string, output: string) => node("Conv", [input, w], [output], { pads: [0, 0, 0, 0] });
  const a = made([conv("x", "w", "c"), node("Relu", ["c"], ["r"]), conv("r", "v", "y")], initializers, [1, 4, 9, 9]);
  const by = (list: readonly number[]): Gauge => ({
    scale: along(4, 1, Float64Array.from(list)),
    shift: uniform(4, 0),
  });
  const run = (b: Model, claimed: Shared) => runOf(a, b, BLIND, claimed, {});
  const all = new Map([
    ["c", { name: "c", map: by(scale) }],
    ["r", { name: "r", map: by(scale) }],
    ["y", { name: "y" }],
  ]);

  it("are cuts: a network that is changed from end to end is run operator by operator", () => {
    const b = made([conv("x", "wk", "c"), node("Relu", ["c"], ["r"]), conv("r", "vk", "y")], initializers, [1, 4, 9, 9]);
    const found = run(b, all);
    expect(found).toMatchObject({ outcome: "equal", samples: [] });
    expect(found.regions?.map(({ value, operators }) => [value, ...operators])).toEqual([
      ["c", 1, 1],
      ["r", 1, 1],
      ["y", 1, 1],
    ]);
  });

  it("prove nothing by being claimed: a map that is wrong anywhere shows where it is", () => {
    const right = made([conv("x", "wk", "c"), node("Relu", ["c"], ["r"]), conv("r", "vk", "y")], initializers, [1, 4, 9, 9]);
    const wrong = new Map(all);
    wrong.set("r", { name: "r", map: by([2, 4, 0.5, 1.001]) });
    // The files are the same function, but not for the reason that was given.
    expect(run(right, wrong).outcome).toBe("different");
    const forgotten = made([conv("x", "wk", "c"), node("Relu", ["c"], ["r"]), conv("r", "v", "y")], initializers, [1, 4, 9, 9]);
    expect(run(forgotten, all).outcome).toBe("different");
    const negative: Shared = new Map([
      ["c", { name: "c", map: by([-2, 4, 0.5, 1]) }],
      ["r", { name: "r", map: by([-2, 4, 0.5, 1]) }],
      ["y", { name: "y" }],
    ]);
    const turned = {
      ...initializers,
      wk: tensor(
        [4, 4, 1, 1],
        numbers(16, 0).map((w, i) => w * [-2, 4, 0.5, 1][Math.floor(i / 4)]),
      ),
      vk: tensor(
        [4, 4, 3, 3],
        numbers(144, 3).map((w, i) => w / [-2, 4, 0.5, 1][Math.floor(i / 9) % 4]),
      ),
    };
    const b = made([conv("x", "wk", "c"), node("Relu", ["c"], ["r"]), conv("r", "vk", "y")], turned, [1, 4, 9, 9]);
    expect(run(b, negative).outcome).toBe("different");
  });

  it("with shifts pass what takes them along", () => {
    const first = [conv("x", "w", "c"), node("Transpose", ["c"], ["r"], { perm: [0, 1, 3, 2] })];
    const moved = [node("Mul", ["c", "k"], ["m"]), node("Add", ["m", "t"], ["y"])];
    const p = made([...first, node("Mul", ["r", "k"], ["m"]), node("Add", ["m", "t"], ["y"])], initializers, [1, 4, 9, 9]);
    const q = made(
      [
        conv("x", "w", "c"),
        ...moved.slice(0, 1),
        node("Add", ["m", "t"], ["s"]),
        node("Transpose", ["s"], ["y"], { perm: [0, 1, 3, 2] }),
      ],
      initializers,
      [1, 4, 9, 9],
    );
    const map = { scale: along(4, 1, Float64Array.from(scale)), shift: along(4, 1, Float64Array.from(shift)) };
    const found = runOf(
      p,
      q,
      BLIND,
      new Map([
        ["c", { name: "c" }],
        ["s", { name: "c", map }],
        ["y", { name: "y" }],
      ]),
      {},
    );
    expect(found.outcome).toBe("equal");
  });
});

describe("wrong folds that a proof with a wrong law takes for right", () => {
  const at = (names: readonly string[], values: readonly number[]) => ({ names, values });

  it("padding that is right for even sizes only shows where sizes are open", () => {
    const initializers = { w: weight([2, 3, 3, 3]) };
    const conv = (attributes: NodeSpec["attributes"]) => [node("Conv", ["x", "w"], ["y"], { strides: [2, 2], ...attributes })];
    const [same, pads] = [{ auto_pad: "SAME_UPPER" }, { pads: [0, 0, 1, 1] }];
    const open = ["n", 3, "h", "w"];
    const [a, b] = [same, pads].map((attributes) => made(conv(attributes), initializers, open));
    expect(witness(a, b).outcome).toBe("equal");
    expect(blindRegions(a, b).outcome).toBe("different");
    // At a size that is even it is right.
    const [p, q] = [same, pads].map((attributes) => made(conv(attributes), initializers, [1, 3, 64, 64]));
    expect(blindRun(p, q)).toMatchObject({ outcome: "equal", samples: [] });
    const [r, s] = [same, pads].map((attributes) => made(conv(attributes), initializers, [1, 3, 65, 65]));
    expect(blindRun(r, s).outcome).toBe("different");
  });

  it("a Cast that cuts off what is behind the point is no identity", () => {
    const initializers = { w: weight([4, 3, 1, 1]) };
    const a = made([node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])], initializers, [1, 3, 32, 32]);
    const cut = [node("Cast", ["c"], ["i"], { to: 6 }), node("Cast", ["i"], ["d"], { to: 1 })];
    const b = made([node("Conv", ["x", "w"], ["c"]), ...cut, node("Relu", ["d"], ["y"])], initializers, [1, 3, 32, 32]);
    expect(blindRun(a, b).outcome).toBe("different");
  });

  it("a shift does not pass zero padding, whatever the size of the image", () => {
    const { names, values } = at(["b", "t"], numbers(4, 9));
    const W = numbers(4 * 4 * 9, 1);
    const sums = values.map((_, o) =>
      values.reduce((s, t, i) => s + t * W.slice((o * 4 + i) * 9, (o * 4 + i + 1) * 9).reduce((p, q) => p + q), 0),
    );
    const initializers = { W: tensor([4, 4, 3, 3], W), [names[1]]: tensor([1, 4, 1, 1], values), [names[0]]: tensor([4], sums) };
    const same = { pads: [1, 1, 1, 1] };
    const a = made([node("Add", ["x", "t"], ["z"]), node("Conv", ["z", "W"], ["y"], same)], initializers, [1, 4, 112, 112]);
    const b = made([node("Conv", ["x", "W", "b"], ["y"], same)], initializers, [1, 4, 112, 112]);
    const found = blindRegions(a, b);
    expect(found.outcome).toBe("different");
  });

  it("a negative gain does not pass Relu, and a threshold of Clip scales along", () => {
    const initializers = {
      g: tensor([1], [-2]),
      low: tensor([], [0]),
      high: tensor([], [6]),
      twelve: tensor([], [12]),
      two: tensor([1], [2]),
    };
    const gain = (g: string, from: string, to: string) => node("Mul", [from, g], [to]);
    const relu = [
      [gain("g", "x", "m"), node("Relu", ["m"], ["y"])],
      [node("Relu", ["x"], ["r"]), gain("g", "r", "y")],
    ];
    const clip = (high: string) => [gain("two", "x", "m"), node("Clip", ["m", "low", high], ["y"])];
    const behind = [node("Clip", ["x", "low", "high"], ["r"]), gain("two", "r", "y")];
    const [a, b] = relu.map((nodes) => made(nodes, initializers, [1, 4]));
    expect(blindRun(a, b).outcome).toBe("different");
    expect(blindRun(made(clip("high"), initializers, [1, 4]), made(behind, initializers, [1, 4])).outcome).toBe("different");
    expect(blindRun(made(clip("twelve"), initializers, [1, 4]), made(behind, initializers, [1, 4])).outcome).toBe("equal");
  });

  it("is seen although it is lost on the way to the outputs", () => {
    const initializers = {
      w: weight([4, 3, 1, 1]),
      v: tensor(
        [4, 3, 1, 1],
        numbers(12, 0).map((w, i) => (i === 5 ? w * 1.001 : w)),
      ),
      g: tensor([1], [0]),
    };
    const nodes = (w: string) => [node("Conv", ["x", w], ["c"]), node("Mul", ["c", "g"], ["y"])];
    const [a, b] = ["w", "v"].map((w) => made(nodes(w), initializers, [1, 3, 8, 8]));
    expect(witness(a, b).outcome).toBe("equal");
    const run = blindRun(a, b);
    expect(run.outcome).toBe("different");
    expect(run.firstDifference).toMatchObject({ value: "c", between: ["c"], agreeing: [{ value: "x", maxDifference: 0 }] });
    expect(run.regions?.[0]).toMatchObject({ value: "c", inputs: ["given"], ok: false });
  });

  it.each(Object.keys(SHAPES))("%s: the regions find no less than the whole, kind by kind", (name) => {
    const original = SHAPES[name](new Net("float32", 1));
    const right = foldOf(original).model;
    const missed: string[] = [];
    for (const { kind, wrong } of faultsOf(original)) {
      if (blindRegions(original, wrong, right).outcome === "different") continue;
      if (witness(original, wrong, { samples: 2 }).outcome === "different") missed.push(kind);
    }
    expect(missed).toEqual([]);
  });
});

describe("no false alarm", () => {
  it("where cuts can only be what made-up numbers are not, wider regions or given numbers settle it", () => {
    const square = [node("Mul", ["x", "x"], ["s"])];
    const chain = (n: number) => Array.from({ length: n }, (_, i) => node("Neg", [i === 0 ? "s" : `n${i}`], [`n${i + 1}`]));
    const files = (n: number) => {
      const last = n === 0 ? "s" : `n${n}`;
      return ["Relu", "Identity"].map((op) => made([...square, ...chain(n), node(op, [last], ["y"])], {}, [1, 4]));
    };
    const near = blindRun(...(files(0) as [Model, Model]));
    expect(near).toMatchObject({ outcome: "equal", samples: [] });
    const far = blindRun(...(files(6) as [Model, Model]));
    expect(far.outcome).toBe("equal");
    expect(far.samples).toHaveLength(4);
    expect(far.reason).toContain("made-up values only");
  });

  it("what cannot be cut out is run whole, on one sample, and that is said", () => {
    const initializers = {
      w: weight([4, 3, 1, 1]),
      g: tensor([1], [2]),
      c: { dtype: "bool", dims: [], values: [1] } as TensorSpec,
    };
    const branch = (nodes: readonly NodeSpec[], out: string): GraphSpec => ({ nodes, outputs: [{ name: out }] });
    const nodes = (op: string) => [
      node("Conv", ["x", "w"], ["z"]),
      node("If", ["c"], ["y"], {
        then_branch: branch([node(op, ["z", op === "Add" ? "z" : "g"], ["t"])], "t"),
        else_branch: branch([node("Identity", ["z"], ["e"])], "e"),
      }),
    ];
    const run = blindRun(made(nodes("Add"), initializers, [1, 3, 8, 8]), made(nodes("Mul"), initializers, [1, 3, 8, 8]));
    expect(run.outcome).toBe("equal");
    expect(run.samples).toHaveLength(1);
    expect(run.reason).toContain("the whole networks were run");
  });
});

describe("sizes", () => {
  const sizesFor = (nodes: readonly NodeSpec[], initializers: GraphSpec["initializers"], dims: ValueSpec["dims"]) => {
    const a = made(nodes, initializers, dims);
    const view = viewOf(a);
    const cuts = new Cuts(
      view,
      viewOf(
        made(
          [...nodes.slice(0, -1), { ...nodes[nodes.length - 1], attributes: { ...nodes[nodes.length - 1].attributes, q: f(1) } }],
          initializers,
          dims,
        ),
      ),
      claims(a),
      () => 1,
      () => 1,
    );
    const region = cuts.region(cuts.targets()[0]);
    return region && sizesOf(region, new NetworkSizes(a, undefined), new Set()).map((tries) => [...tries[0].values()][0]);
  };

  it("keep their remainder modulo the stride, and hold a window within", () => {
    const w = { w: weight([2, 3, 7, 7]) };
    const conv = (strides: number) => [node("Conv", ["x", "w"], ["y"], { strides: [strides, strides], pads: [3, 3, 3, 3] })];
    expect(sizesFor(conv(1), w, [1, 3, 224, 224])).toEqual([[1, 3, 7, 7]]);
    expect(sizesFor(conv(2), w, [1, 3, 224, 224])).toEqual([[1, 3, 8, 8]]);
    expect(sizesFor(conv(2), w, [1, 3, 225, 225])).toEqual([[1, 3, 9, 9]]);
    expect(sizesFor(conv(3), w, [8, 3, 226, 226])).toEqual([[2, 3, 10, 10]]);
  });

  it("take every remainder where they are open", () => {
    const w = { w: weight([2, 3, 3, 3]) };
    const found = sizesFor([node("Conv", ["x", "w"], ["y"], { strides: [3, 3] })], w, ["n", 3, "h", "w"]);
    expect(found?.map((dims) => dims[2] % 3).sort()).toEqual([0, 1, 2]);
  });

  it("are those of the network where one file holds as a number what the other computes of them", () => {
    const index = { at: tensor([], [3], "int64"), half: tensor([], [0.5]) };
    const scaled = [
      node("Shape", ["s"], ["sizes"]),
      node("Gather", ["sizes", "at"], ["width"]),
      node("Cast", ["width"], ["float"], { to: 1 }),
      node("Div", ["half", "float"], ["by"]),
      node("Mul", ["s", "by"], ["m"]),
    ];
    const of = (nodes: readonly NodeSpec[], more: GraphSpec["initializers"]) =>
      made([node("Softsign", ["x"], ["s"]), ...nodes, node("Relu", ["m"], ["y"])], { ...index, ...more }, [1, 2, 6, 8]);
    const a = of(scaled, {});
    const run = blindRun(a, of([node("Mul", ["s", "by"], ["m"])], { by: tensor([], [0.0625]) }));
    expect(run.outcome).toBe("equal");
    expect(run.regions?.map(({ value, sizes }) => [value, ...sizes])).toEqual([["m", "1×2×6×8"]]);
    const other = of([...scaled.slice(0, -1), node("Mul", ["by", "s"], ["m"])], {});
    expect(blindRun(a, other).regions?.map(({ value, sizes }) => [value, ...sizes])).toEqual([["m", "1×2×2×4", ""]]);
  });

  it("are others where the network does not run at those it was given, and the file leaves them open", () => {
    const of = (nodes: readonly NodeSpec[], value: string) =>
      made(
        [node("Softsign", ["x"], ["s"]), ...nodes, node("Concat", [value, "k"], ["t"], { axis: 1 }), node("Relu", ["t"], ["y"])],
        { k: weight([1, 2, 64, 4]) },
        [1, 2, "height", 4],
      );
    const run = blindRun(of([], "s"), of([node("Identity", ["s"], ["i"])], "i"));
    expect(run).toMatchObject({ outcome: "equal", samples: [] });
    expect(run.regions?.map(({ value, sizes }) => [value, ...sizes])).toEqual([["t", "1×2×64×4"]]);
  });

  it("keep an axis whole along which a map varies", () => {
    const turned = [node("Transpose", ["s"], ["t"], { perm: [0, 2, 3, 1] }), node("Relu", ["t"], ["y"])];
    const a = made([node("Softsign", ["x"], ["s"]), ...turned], {}, [4, 5, 7, 9]);
    const by = { by: tensor([7, 1], [1, 2, 3, 4, 5, 6, 7]) };
    const b = made([node("Softsign", ["x"], ["r"]), node("Mul", ["r", "by"], ["s"]), ...turned], by, [4, 5, 7, 9]);
    const map = (axis: number) => ({ scale: along(4, axis, Float64Array.of(1, 2, 3, 4, 5, 6, 7)), shift: uniform(4, 0) });
    const maps: Shared = new Map([
      ["s", { name: "s", map: map(2) }],
      ["t", { name: "t", map: map(1) }],
    ]);
    const views = [viewOf(a), viewOf(b)] as const;
    const cuts = new Cuts(
      ...views,
      maps,
      () => 1,
      () => 1,
    );
    const region = cuts.targets().flatMap((cut) => (cut.b.name === "t" ? (cuts.region(cut) ?? []) : []))[0];
    const [tries] = sizesOf(region, new NetworkSizes(a, undefined), new Set());
    expect(tries.map((sizes) => sizes.get("s"))).toEqual([
      [2, 2, 7, 9],
      [2, 5, 7, 2],
      [4, 5, 7, 9],
    ]);
  });

  it("of values that differ by a stride shrink together", () => {
    const w = { w: weight([4, 4, 3, 3]), v: weight([4, 4, 1, 1], 2) };
    const nodes = [
      node("Relu", ["x"], ["r"]),
      node("Conv", ["r", "w"], ["c"], { strides: [2, 2], pads: [1, 1, 1, 1] }),
      node("Relu", ["c"], ["s"]),
      node("Conv", ["r", "v"], ["d"], { strides: [2, 2] }),
      node("Add", ["s", "d"], ["y"]),
    ];
    const a = made(nodes, w, [1, 4, 56, 56]);
    const b = made(
      nodes.map((n, i) => (i === 3 ? { ...n, outputs: ["e"] } : i === 4 ? { ...n, inputs: ["s", "e"] } : n)),
      w,
      [1, 4, 56, 56],
    );
    const cuts = new Cuts(
      viewOf(a),
      viewOf(b),
      claims(b),
      () => 1,
      () => 1,
    );
    const region = cuts.region(cuts.targets()[0]);
    const sizes = region && sizesOf(region, new NetworkSizes(a, undefined), new Set())[0][0];
    expect(sizes && Object.fromEntries(sizes)).toEqual({ r: [1, 4, 4, 4], s: [1, 4, 2, 2] });
  });
});
