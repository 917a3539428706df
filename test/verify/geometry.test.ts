/** A folded operator whose geometry is another one is not proven equal, whatever its coefficients are: each attribute changed, with shapes known and not. */
import { describe, expect, it } from "vitest";
import type { AttributeRecord, Model, NodeRecord } from "../../src/onnx/records.ts";
import { prove } from "../../src/verify/proof.ts";
import { type AttributeSpec, float32, type ModelSpec, model, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

const series = (n: number, step: number) => Array.from({ length: n }, (_, i) => ((i * step) % 11) / 4 - 1);
const tensor = (dims: number[], step = 7): TensorSpec =>
  float32(
    dims,
    series(
      dims.reduce((p, d) => p * d, 1),
      step,
    ),
  );
const bn = (channels: number) => ({
  gamma: float32(
    [channels],
    Array.from({ length: channels }, (_, i) => 0.5 + i / 4),
  ),
  beta: tensor([channels], 5),
  mean: tensor([channels], 3),
  variance: float32(
    [channels],
    Array.from({ length: channels }, (_, i) => 1 + i / 8),
  ),
});
const norm = (from: string, to: string) => node("BatchNormalization", [from, "gamma", "beta", "mean", "variance"], [to]);

const SIZES = { known: [2, 4, 9, 9], open: ["N", 4, "H", "W"] } as const;
type Sizes = keyof typeof SIZES;

type Layer = { readonly opType: string; readonly attributes: Record<string, AttributeSpec>; readonly weight?: number[] };

/** conv → bn → layer → bn, so that the layer's place in a fold is both behind and before a normalization. */
function net({ opType, attributes, weight }: Layer, sizes: Sizes, channels: number): ModelSpec {
  const inputs = weight === undefined ? ["h"] : ["h", "w"];
  return {
    nodes: [node("Conv", ["x", "first"], ["c"]), norm("c", "h"), node(opType, inputs, ["l"], attributes), norm("l", "y")],
    initializers: { first: tensor([4, 4, 1, 1], 3), ...(weight === undefined ? {} : { w: tensor(weight) }), ...bn(channels) },
    inputs: [{ name: "x", dims: [...SIZES[sizes]] }],
    outputs: [{ name: "y" }],
  };
}

const ints = (frame: AttributeRecord["frame"], name: string, value: number | string | number[]): AttributeRecord => ({
  frame,
  name,
  type: typeof value === "number" ? 2 : typeof value === "string" ? 3 : 7,
  refAttrName: "",
  f: undefined,
  i: typeof value === "number" ? BigInt(value) : undefined,
  s: typeof value === "string" ? new TextEncoder().encode(value) : undefined,
  t: undefined,
  g: undefined,
  sparseTensor: undefined,
  typeProto: undefined,
  floats: [],
  ints: Array.isArray(value) ? value.map(BigInt) : [],
  strings: [],
  tensors: [],
  graphs: [],
});

function changed(before: Model, at: (node: NodeRecord) => boolean, name: string, value: number | string | number[]): Model {
  const nodes = before.graph.nodes.map((one) => {
    if (!at(one)) return one;
    const attributes = new Map(one.attributes).set(name, ints(one.frame, name, value));
    if (name === "auto_pad") attributes.delete("pads");
    return { ...one, attributes };
  });
  return { ...before, graph: { ...before.graph, nodes } };
}

const CONV: Layer = { opType: "Conv", attributes: { pads: [1, 1, 1, 1], strides: [2, 2], group: 2 }, weight: [4, 2, 3, 3] };
const TRANSPOSED: Layer = {
  opType: "ConvTranspose",
  attributes: { pads: [1, 1, 1, 1], strides: [2, 2], group: 2 },
  weight: [4, 2, 3, 3],
};
const MEAN: Layer = {
  opType: "AveragePool",
  attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
};
const MAX: Layer = { opType: "MaxPool", attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } };

const windows: Record<string, (number | string | number[])[]> = {
  pads: [
    [0, 0, 0, 0],
    [0, 1, 2, 1],
  ],
  strides: [
    [2, 1],
    [3, 2],
  ],
  dilations: [
    [2, 1],
    [1, 2],
  ],
  auto_pad: ["SAME_UPPER", "SAME_LOWER", "VALID"],
  kernel_shape: [
    [2, 3],
    [1, 1],
  ],
};
const MUTANTS: readonly (readonly [Layer, Record<string, (number | string | number[])[]>])[] = [
  [CONV, { ...windows, group: [1, 4] }],
  [
    TRANSPOSED,
    {
      ...windows,
      group: [1, 4],
      output_padding: [
        [1, 0],
        [1, 1],
      ],
      output_shape: [[18, 18]],
    },
  ],
  [MEAN, { ...windows, ceil_mode: [1], count_include_pad: [0] }],
  [MAX, { ...windows, ceil_mode: [1] }],
];

/** What comes out the same at the sizes of the network: SAME is these pads, or rounding up finds no further window. */
const SAME = new Set(["Conv SAME_UPPER", "Conv SAME_LOWER", "AveragePool SAME_UPPER", "AveragePool SAME_LOWER"]);
const isSame = (layer: Layer, value: unknown, sizes: Sizes, name: string) =>
  sizes === "known" && (name === "ceil_mode" || SAME.has(`${layer.opType} ${value}`) || String(value).startsWith("SAME"));

for (const sizes of ["known", "open"] as const) {
  describe(`a fold with another geometry, sizes ${sizes}`, () => {
    for (const [layer, mutants] of MUTANTS) {
      const channels = 4;
      const before = model(net(layer, sizes, channels));
      const after = folded(before).model;
      it(`${layer.opType}: the fold itself is equal`, () => {
        expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
      });
      for (const [name, values] of Object.entries(mutants)) {
        // What no runtime takes has no sizes at which it could be tried.
        if (sizes === "open" && (name === "group" || name === "kernel_shape")) continue;
        for (const value of values.filter((one) => !isSame(layer, one, sizes, name))) {
          it(`${layer.opType}: ${name} ${value}`, () => {
            const last = after.graph.nodes.findLastIndex(({ opType }) => opType === layer.opType);
            const wrong = changed(after, (one) => one === after.graph.nodes[last], name, value);
            expect(prove(before, wrong, { foreign: sizes === "known" }).outcome).not.toBe("equal");
            const other = changed(before, ({ outputs }) => outputs[0] === "l", name, value);
            expect(prove(other, after, { foreign: sizes === "open" }).outcome).not.toBe("equal");
          });
        }
      }
    }
  });
}

describe("a merged region with another geometry", () => {
  const branches: ModelSpec = {
    nodes: [
      node("Conv", ["x", "w"], ["p"], { pads: [1, 1, 1, 1], strides: [2, 2] }),
      norm("p", "q"),
      node("Conv", ["x", "u"], ["r"], { strides: [2, 2] }),
      node("Add", ["q", "r"], ["s"]),
      norm("s", "y"),
    ],
    initializers: { w: tensor([4, 4, 3, 3]), u: tensor([4, 4, 1, 1], 5), ...bn(4) },
    inputs: [{ name: "x", dims: ["N", 4, "H", "W"] }],
    outputs: [{ name: "y" }],
  };
  const before = model(branches);
  const after = folded(before).model;

  it("is one layer, and equal", () => {
    expect(after.graph.nodes).toHaveLength(1);
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
  });

  for (const [name, values] of Object.entries(windows)) {
    if (name === "kernel_shape") continue;
    for (const value of values) {
      it(`${name} ${value}`, () => {
        const wrong = changed(after, () => true, name, value);
        expect(prove(before, wrong).outcome).not.toBe("equal");
      });
    }
  }
});
