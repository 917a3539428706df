/** What is inferred of shapes must be what the executor makes. */
import { describe, expect, it } from "vitest";
import { dimText } from "../../src/graph/dims.ts";
import { Facts } from "../../src/graph/facts.ts";
import { viewOf } from "../../src/graph/view.ts";
import { isTensor } from "../../src/ops/define.ts";
import { factsOf } from "../../src/run/facts.ts";
import { createSession } from "../../src/run/session.ts";
import { f, float32, int64, type ModelSpec, model, node } from "../helpers/build.ts";
import { feedsOf } from "../laws/feeds.ts";
import { grow, show } from "../laws/graphs.ts";
import { contradiction } from "./contradiction.ts";

describe("shapes of random graphs", () => {
  it("are inferred as they are", () => {
    let [full, all] = [0, 0];
    for (let seed = 1; seed <= 400; seed++) {
      const { spec } = grow(seed);
      if (spec.outputs.length === 0) continue;
      const m = model(spec);
      const facts = factsOf(viewOf(m));
      const known = new Map<string, number>([["N", 2]]);
      const values = facts.view.main.values;
      const problems: string[] = [];
      const feeds = feedsOf(spec, seed);
      createSession(m).run(feeds, {
        watch: (name, value) => {
          const shape = facts.shape(values.get(name));
          if (!isTensor(value)) return;
          all++;
          if (shape === undefined) return;
          full++;
          const wrong = contradiction(shape, value.dims, known);
          if (wrong !== undefined) problems.push(`seed ${seed}, ${name}: ${wrong}\n${show(spec)}`);
        },
      });
      expect(problems.join("\n")).toBe("");
    }
    // Only what comes out of a branch is of unknown shape.
    expect(full / all).toBeGreaterThan(0.9);
  });
});

const shapes = (spec: ModelSpec): Record<string, string> => {
  const facts = new Facts(viewOf(model(spec)));
  return Object.fromEntries(
    [...facts.view.main.values].map(([name, value]) => [name, facts.shape(value)?.map(dimText).join(",") ?? "?"]),
  );
};
const x = { name: "x", dims: ["N", 4, "H", "W"] };
const outputs = [{ name: "y" }];

describe("symbolic shapes", () => {
  it("follow a Reshape whose target is computed from Shape", () => {
    const found = shapes({
      nodes: [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "zeros"], ["n1"]),
        node("Concat", ["n1", "four", "rest"], ["t"], { axis: 0 }),
        node("Reshape", ["x", "t"], ["y"]),
      ],
      initializers: { zero: int64([], [0]), zeros: int64([1], [0]), four: int64([1], [4]), rest: int64([1], [-1]) },
      inputs: [x],
      outputs,
    });
    expect(found.y).toBe("N,4,H·W");
  });

  it("do not follow integer arithmetic that broadcasts over two axes", () => {
    const found = new Facts(
      viewOf(
        model({
          nodes: [node("Add", ["a", "b"], ["i"]), node("Gather", ["x", "i"], ["y"])],
          initializers: { a: int64([2, 1], [0, 1]), b: int64([1, 2], [0, 1]) },
          inputs: [{ name: "x", dims: [4] }],
          outputs,
        }),
      ),
    );
    expect(found.elements(found.view.main.values.get("i"))).toBeUndefined();
    expect(found.shape(found.view.main.values.get("y"))).toEqual([2, 2]);
  });

  it("do not take a division in floating point for one of integers", () => {
    const facts = new Facts(
      viewOf(
        model({
          nodes: [
            node("Cast", ["a"], ["p"], { to: 1 }),
            node("Cast", ["b"], ["q"], { to: 1 }),
            node("Div", ["p", "q"], ["r"]),
            node("Mul", ["r", "q"], ["s"]),
            node("Cast", ["s"], ["t"], { to: 7 }),
            node("Reshape", ["x", "t"], ["y"]),
          ],
          initializers: { a: int64([1], [5]), b: int64([1], [2]) },
          inputs: [{ name: "x", dims: [5] }],
          outputs,
        }),
      ),
    );
    expect(facts.elements(facts.view.main.values.get("t"))?.[0]).not.toBe(4);
  });

  it("compute small integers that hang on constants alone, as torch writes its pads", () => {
    const nodes = [
      node("ConstantOfShape", ["two"], ["none"], { value: int64([1], [0]) }),
      node("Concat", ["pads", "none"], ["all"], { axis: 0 }),
      node("Reshape", ["all", "pairs"], ["rows"]),
      node("Slice", ["rows", "last", "first", "axis", "last"], ["turned"]),
      node("Transpose", ["turned"], ["columns"], { perm: [1, 0] }),
      node("Reshape", ["columns", "last"], ["flat"]),
      node("Pad", ["z", "flat"], ["y"], { mode: "reflect" }),
    ];
    const initializers = {
      two: int64([1], [2]),
      pads: int64([4], [1, 2, 3, 4]),
      pairs: int64([2], [-1, 2]),
      last: int64([1], [-1]),
      first: int64([1], [-(2 ** 63)]),
      axis: int64([1], [0]),
    };
    const view = viewOf(model({ nodes, initializers, inputs: [{ name: "z", dims: ["N", 9, 9] }], outputs }));
    const flat = (facts: Facts) => facts.numbers(view.main.values.get("flat"));
    expect(flat(factsOf(view))).toEqual([0, 3, 1, 0, 4, 2]);
    expect(flat(new Facts(view))).toBeUndefined();
  });

  it("compute what goes through floats, rounded as the file's type rounds, as torch writes its own padding", () => {
    // 0.1 * 30 is 3 in float, and above it as the product of the stored 0.1 in double: Ceil tells the two apart.
    const nodes = [
      node("Mul", ["tenth", "thirty"], ["product"]),
      node("Ceil", ["product"], ["up"]),
      node("Clip", ["up", "", "four"], ["clipped"]),
      node("Cast", ["clipped"], ["count"], { to: 7 }),
      node("Concat", ["zero", "count"], ["pads"], { axis: 0 }),
      node("Pad", ["z", "pads"], ["y"]),
    ];
    const initializers = {
      tenth: float32([1], [0.1]),
      thirty: float32([1], [30]),
      four: float32([], [4]),
      zero: int64([1], [0]),
    };
    const given = (inputs: ModelSpec["inputs"]) => {
      const facts = factsOf(viewOf(model({ nodes, initializers, inputs, outputs, irVersion: 8 })));
      return facts.shape(facts.view.main.values.get("y"))?.map(dimText).join(",");
    };
    const z = { name: "z", dims: [5] };
    expect(given([z])).toBe("8");
    // Who runs the model may give another number.
    expect(given([z, { name: "tenth", dims: [1] }])).not.toBe("8");
  });

  it("take the scales of a Resize that are computed", () => {
    const spec: ModelSpec = {
      nodes: [node("Concat", ["ones", "twos"], ["scales"], { axis: 0 }), node("Resize", ["x", "", "scales"], ["y"])],
      initializers: { ones: float32([2], [1, 1]), twos: float32([2], [2, 0.5]) },
      inputs: [{ name: "x", dims: [1, 3, 5, 6] }],
      outputs,
    };
    const facts = factsOf(viewOf(model(spec)));
    expect(facts.shape(facts.view.main.values.get("y"))).toEqual([1, 3, 10, 3]);
  });

  it("keep a batch through Conv, pools and Flatten", () => {
    const found = shapes({
      nodes: [
        node("Conv", ["x", "w"], ["c"], { pads: [1, 1, 1, 1] }),
        node("MaxPool", ["c"], ["p"], { kernel_shape: [2, 2], strides: [2, 2] }),
        node("GlobalAveragePool", ["p"], ["g"]),
        node("Flatten", ["g"], ["y"]),
      ],
      initializers: { w: float32([8, 4, 3, 3], new Array(288).fill(1)) },
      inputs: [x],
      outputs,
    });
    expect([found.c, found.g, found.y]).toEqual(["N,8,H,W", "N,8,1,1", "N,8"]);
    expect(found.p.startsWith("N,8,")).toBe(true);
  });

  it("let a number win over a symbol when broadcast, and two symbols stay unknown", () => {
    const found = shapes({
      nodes: [node("Add", ["x", "c"], ["a"]), node("Add", ["x", "z"], ["y"]), node("LeakyRelu", ["y"], ["l"], { alpha: f(1) })],
      initializers: { c: float32([1, 1, 3, 1], [1, 2, 3]) },
      inputs: [x, { name: "z", dims: ["N", 1, "H", "V"] }],
      outputs,
    });
    expect(found.a).toBe("N,4,3,W");
    expect(found.y).toMatch(/^N,4,H,\?/);
    expect(found.l).toBe(found.y);
  });

  it("come out of branches and loops as far as every way agrees", () => {
    const branch = (op: string, width: number) => ({
      nodes: [node(op, ["x", "w"], [`b${width}`])],
      initializers: { w: float32([width, 4, 1, 1], new Array(4 * width).fill(1)) },
      outputs: [{ name: `b${width}` }],
    });
    const body = {
      nodes: [
        node("Identity", ["go"], ["again"]),
        node("Relu", ["state"], ["next"]),
        node("ReduceMean", ["state"], ["mean"], { axes: [1], keepdims: 0 }),
      ],
      inputs: [
        { name: "i", dtype: "int64", dims: [] },
        { name: "go", dtype: "bool", dims: [] },
        { name: "state", dims: ["B", 7] },
      ],
      outputs: [{ name: "again", dtype: "bool", dims: [] }, { name: "next" }, { name: "mean" }],
    };
    const found = shapes({
      nodes: [
        node("If", ["p"], ["chosen"], { then_branch: branch("Conv", 5), else_branch: branch("Conv", 6) }),
        node("Loop", ["n", "", "z"], ["last", "means"], { body }),
      ],
      inputs: [x, { name: "z", dims: ["N", 7] }, { name: "p", dtype: "bool", dims: [] }, { name: "n", dtype: "int64", dims: [] }],
      outputs: [{ name: "chosen" }, { name: "last" }, { name: "means" }],
    });
    expect(found.chosen).toMatch(/^N,\?\d+,H,W$/);
    expect(found.last).toMatch(/^\?\d+,7$/);
    expect(found.means).toMatch(/^\?\d+,\?\d+$/);
  });

  it("know rank and fixed axes of what is picked or listed by the data", () => {
    const found = shapes({
      nodes: [
        node("NonZero", ["x"], ["where"]),
        node("Transpose", ["where"], ["places"]),
        node("GatherND", ["x", "places"], ["values"]),
        node("TopK", ["x", "k"], ["best", "at"], { axis: 1 }),
        node("ArgMax", ["x"], ["class"], { axis: 1, keepdims: 0 }),
        node("Range", ["zero", "seven", "two"], ["steps"]),
        node("OneHot", ["class", "four", "pair"], ["hot"], { axis: 1 }),
        node("Shape", ["x"], ["s"]),
        node("Add", ["s", "s"], ["doubled"]),
        node("ConstantOfShape", ["doubled"], ["filled"]),
      ],
      initializers: {
        k: int64([1], [3]),
        ...{ zero: int64([], [0]), seven: int64([], [7]), two: int64([], [2]), four: int64([], [4]) },
        pair: float32([2], [0, 1]),
      },
      inputs: [x],
      outputs: ["where", "values", "best", "at", "class", "steps", "hot", "filled"].map((name) => ({ name })),
    });
    expect(found.where).toMatch(/^4,\?\d+$/);
    expect(found.values).toMatch(/^\?\d+$/);
    expect([found.best, found.at, found.class, found.steps, found.hot]).toEqual(["N,3,H,W", "N,3,H,W", "N,H,W", "4", "N,4,H,W"]);
    expect(found.filled.split(",").length).toBe(4);
  });

  it("of what is pooled from regions, put back, or laid into an image", () => {
    const window = { kernel_shape: [3, 2], strides: [2, 2] };
    const found = shapes({
      nodes: [
        node("MaxUnpool", ["small", "i"], ["implied"], { ...window, pads: [1, 0, 0, 0] }),
        node("MaxUnpool", ["small", "i", "size"], ["given"], window),
        node("MaxUnpool", ["x", "i"], ["open"], window),
        node("MaxRoiPool", ["x", "rois"], ["regions"], { pooled_shape: [2, 3] }),
        node("Col2Im", ["columns", "image", "block"], ["laid"]),
      ],
      initializers: { size: int64([4], [2, 3, 9, 9]), image: int64([2], [5, 6]), block: int64([2], [2, 3]) },
      inputs: [
        x,
        { name: "small", dims: [2, 3, 4, 5] },
        { name: "i", dtype: "int64", dims: [2, 3, 4, 5] },
        { name: "rois", dims: ["R", 5] },
        { name: "columns", dims: ["N", 12, 16] },
      ],
      outputs: ["implied", "given", "open", "regions", "laid"].map((name) => ({ name })),
    });
    expect([found.implied, found.given, found.regions, found.laid]).toEqual(["2,3,8,10", "2,3,9,9", "R,4,2,3", "N,2,5,6"]);
    expect(found.open.split(",").length).toBe(4);
  });
});
