/** For every reason to keep a node, the smallest model that has it. */
import type { RefusalCode } from "../../src/diag/codes.ts";
import { nodeKey, type PlanOptions } from "../../src/fold/index.ts";
import { f, float16, float32, type ModelSpec, type NodeSpec, node, type TensorSpec, type ValueSpec } from "../helpers/build.ts";

export interface Provoked {
  readonly code: RefusalCode;
  /** What the model is. */
  readonly model: string;
  readonly spec: ModelSpec;
  readonly options?: PlanOptions;
  /** Output of the node that is kept for this reason; "y" when not given. */
  readonly node?: string;
  /** First output of the node that is named as blocking, when it is another one. */
  readonly blocker?: string;
  /** Value at which the way ends. */
  readonly value?: string;
  readonly message: string;
}

type Initializers = Record<string, TensorSpec>;
const C = 2;
const PARAMETERS = ["scale", "B", "mean", "var"];
const floats = (values: readonly number[], dims: readonly number[] = [values.length]): TensorSpec => float32(dims, values);

/** Parameters of a batch normalization with gains 2 and 0.5 and shifts 1 and −1. */
const norm: Initializers = { scale: floats([2, 0.5]), B: floats([1, -1]), mean: floats([0, 0]), var: floats([1, 1]) };
const bn = (x: string, y: string, attributes: NodeSpec["attributes"] = {}): NodeSpec =>
  node("BatchNormalization", [x, ...PARAMETERS], [y], { epsilon: f(0), ...attributes });
const conv = (x: string, y: string, attributes: NodeSpec["attributes"] = {}): NodeSpec =>
  node("Conv", [x, "w"], [y], { kernel_shape: [1, 1], ...attributes });
const weight: Initializers = { w: floats([1, 2, 3, 4], [C, C, 1, 1]) };

const IMAGE = [1, C, 3, 3];
function net(nodes: readonly NodeSpec[], initializers: Initializers, more: Partial<ModelSpec> = {}): ModelSpec {
  const made = nodes.flatMap((n) => n.outputs);
  return {
    nodes,
    initializers,
    inputs: [{ name: "x", dims: IMAGE }],
    outputs: [{ name: made[made.length - 1] }],
    ...more,
  };
}
const image = (name: string, dims: ValueSpec["dims"] = IMAGE): ValueSpec => ({ name, dims });

export const provoked: readonly Provoked[] = [
  {
    code: "training-mode",
    model: "Conv, BN in training mode",
    spec: net([conv("x", "c"), bn("c", "y", { training_mode: 1 })], { ...weight, ...norm }),
    message: 'BatchNormalization "y": it has training_mode=1: it normalizes with batch statistics.',
  },
  {
    code: "extra-outputs-used",
    model: "Conv, BN whose running mean is an output",
    spec: net(
      [conv("x", "c"), node("BatchNormalization", ["c", ...PARAMETERS], ["y", "running"])],
      { ...weight, ...norm },
      { outputs: [image("y"), { name: "running", dims: [C] }] },
    ),
    value: "running",
    message: 'BatchNormalization "y": it has another output, "running", that is read.',
  },
  {
    code: "not-channelwise",
    model: "a Mul after a BN with a number for each activation",
    spec: net(
      [bn("x", "n", { spatial: 0 }), node("Mul", ["n", "k"], ["y"])],
      {
        ...Object.fromEntries(
          PARAMETERS.map((name) => [
            name,
            float32(
              IMAGE.slice(1),
              Array.from({ length: 18 }, (_, i) => 1 + (i % 3)),
            ),
          ]),
        ),
        k: floats([2, 3], [C, 1, 1]),
      },
      { opset: 7 },
    ),
    blocker: "n",
    message:
      'Mul "y": backward, BatchNormalization "n" has a parameter for each activation (spatial is 0), not for each channel; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "parameter-not-constant",
    model: "Conv, BN with a mean that is computed",
    spec: net([conv("x", "c"), node("ReduceMean", ["x", "axes"], ["mean"], { keepdims: 0 }), bn("c", "y")], {
      ...weight,
      scale: norm.scale,
      B: norm.B,
      var: norm.var,
      axes: { dtype: "int64", dims: [3], values: [0, 2, 3] },
    }),
    value: "mean",
    message: 'BatchNormalization "y": it reads "mean", which is computed at run time (its mean).',
  },
  {
    code: "parameter-is-input",
    model: "Conv, BN with a mean callers may feed",
    spec: net([conv("x", "c"), bn("c", "y")], { ...weight, ...norm }, { inputs: [image("x"), image("mean", [C])] }),
    value: "mean",
    message: 'BatchNormalization "y": it reads "mean", an initializer that callers may override (its mean).',
  },
  {
    code: "parameter-not-finite",
    model: "Conv, BN with a negative variance",
    spec: net([conv("x", "c"), bn("c", "y")], { ...weight, ...norm, var: floats([1, -1]) }),
    message:
      'BatchNormalization "y": it has scale 0.5, B -1, mean 0, variance -1 with epsilon 0 on channel 1, which makes no finite gain and shift.',
  },
  {
    code: "parameter-shape",
    model: "Conv, BN with three means for two channels",
    spec: net([conv("x", "c"), bn("c", "y")], { ...weight, ...norm, mean: floats([0, 0, 0]) }),
    value: "mean",
    message: 'BatchNormalization "y": it has a mean of shape [3] beside a scale of shape [2].',
  },
  {
    code: "shape-unknown",
    model: "BN of a value of unknown rank",
    spec: net([bn("x", "n"), node("Relu", ["n"], ["y"])], norm, { inputs: [{ name: "x" }] }),
    node: "n",
    value: "x",
    message: 'BatchNormalization "n": it has an input "x" of unknown rank.',
  },
  {
    code: "broadcast-grows",
    model: "Mul by a constant that is larger than the tensor",
    spec: net([conv("x", "c"), node("Mul", ["c", "k"], ["y"])], { ...weight, k: floats([1, 2], [2, 1, 1, 1]) }),
    message: 'Mul "y": it broadcasts axis 0 of its input from 1 to 2.',
  },
  {
    code: "is-graph-output",
    model: "Conv whose output is also an output of the graph, BN",
    spec: net([conv("x", "c"), bn("c", "y")], { ...weight, ...norm }, { outputs: [image("c"), image("y")] }),
    blocker: "c",
    value: "c",
    message:
      'BatchNormalization "y": backward, Conv "c" makes "c", which is an output of its graph; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "other-reader",
    model: "Conv read by a Sigmoid and a BN",
    spec: net(
      [conv("x", "c"), node("Sigmoid", ["c"], ["s"]), bn("c", "y")],
      { ...weight, ...norm },
      {
        outputs: [image("s"), image("y")],
      },
    ),
    blocker: "c",
    value: "c",
    message:
      'BatchNormalization "y": backward, Conv "c" makes "c", which s (Sigmoid) reads too; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "captured-by-subgraph",
    model: "Conv read by a BN and inside an If",
    spec: net(
      [
        conv("x", "c"),
        node("If", ["t"], ["i"], {
          then_branch: { nodes: [node("Relu", ["c"], ["r"])], outputs: [image("r")] },
          else_branch: { nodes: [node("Neg", ["x"], ["m"])], outputs: [image("m")] },
        }),
        bn("c", "y"),
      ],
      { ...weight, ...norm },
      { inputs: [image("x"), { name: "t", dtype: "bool", dims: [] }], outputs: [image("i"), image("y")] },
    ),
    blocker: "c",
    value: "c",
    message:
      'BatchNormalization "y": backward, Conv "c" makes "c", which r (Relu) reads inside a subgraph; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "is-graph-input",
    model: "BN of the input, Sigmoid",
    spec: net([bn("x", "n"), node("Sigmoid", ["n"], ["y"])], norm),
    node: "n",
    value: "x",
    message:
      'BatchNormalization "n": backward, it reads the graph input "x"; forward, Sigmoid "y" neither absorbs nor passes a shift.',
  },
  {
    code: "operator-blocks",
    model: "Conv, Sigmoid, BN",
    spec: net([conv("x", "c"), node("Sigmoid", ["c"], ["s"]), bn("s", "y")], { ...weight, ...norm }),
    blocker: "s",
    message:
      'BatchNormalization "y": backward, Sigmoid "s" neither absorbs nor passes a gain; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "sign-blocks",
    model: "Conv, Relu, Mul by a negative gain",
    spec: net([conv("x", "c"), node("Relu", ["c"], ["r"]), node("Mul", ["r", "k"], ["y"])], {
      ...weight,
      k: floats([1.5, -2], [C, 1, 1]),
    }),
    blocker: "r",
    message:
      'Mul "y": backward, Relu "r" lets only positive gains pass, and gain 1 is -2; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "shift-blocks",
    model: "Conv, Relu, BN",
    spec: net([conv("x", "c"), node("Relu", ["c"], ["r"]), bn("r", "y")], { ...weight, ...norm }),
    blocker: "r",
    message:
      'BatchNormalization "y": backward, Relu "r" passes a gain but no shift; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "axis-blocks",
    model: "Conv, Mul along the height",
    spec: net([conv("x", "c"), node("Mul", ["c", "k"], ["y"])], { ...weight, k: floats([1, 2, 3], [3, 1]) }),
    blocker: "c",
    message:
      'Mul "y": backward, Conv "c" has 2 output channels, but the map varies over shape [1, 1, 3, 1]; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "padding-blocks",
    model: "BN, Conv with padding",
    spec: net([bn("x", "n"), conv("n", "y", { pads: [1, 1, 1, 1] })], { ...weight, ...norm }),
    node: "n",
    blocker: "y",
    message:
      'BatchNormalization "n": backward, it reads the graph input "x"; forward, Conv "y" pads its input with zeros, which the shift must not touch.',
  },
  {
    code: "weight-not-constant",
    model: "Conv with a weight that is fed, BN",
    spec: net([conv("x", "c"), bn("c", "y")], norm, { inputs: [image("x"), image("w", [C, C, 1, 1])] }),
    blocker: "c",
    value: "w",
    message:
      'BatchNormalization "y": backward, Conv "c" reads "w", which callers feed; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "needs-new-node",
    model: "BN before three MatMuls without bias",
    spec: net(
      [
        bn("x", "n"),
        node("Transpose", ["n"], ["t"], { perm: [0, 2, 1] }),
        ...["q", "k", "v"].flatMap((name) => [
          node("MatMul", ["t", `w${name}`], [`m${name}`]),
          node("Sigmoid", [`m${name}`], [name]),
        ]),
        node("Sum", ["q", "k", "v"], ["y"]),
      ],
      { ...norm, ...Object.fromEntries(["q", "k", "v"].map((name) => [`w${name}`, floats([1, 2, 3, 4], [2, 2])])) },
      { inputs: [image("x", [1, C, C])] },
    ),
    node: "n",
    message:
      'BatchNormalization "n": backward, it reads the graph input "x"; forward, it would need 3 new Add nodes for its shift, and only one node goes.',
  },
  {
    code: "storage-overflow",
    model: "Conv in float16, Mul by a gain too large for its weight",
    spec: net(
      [conv("x", "c"), node("Mul", ["c", "k"], ["y"])],
      { w: float16([C, C, 1, 1], [1000, 2, 3, 4]), k: float16([], [1000]) },
      { inputs: [{ name: "x", dtype: "float16", dims: IMAGE }], outputs: [{ name: "y", dtype: "float16" }] },
    ),
    blocker: "c",
    message:
      'Mul "y": backward, Conv "c" would hold 1.000e+6, beyond the largest float16 (65504); forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "storage-precision",
    model: "Conv in float16, Mul by a gain that leaves little of its weight",
    spec: net(
      [conv("x", "c"), node("Mul", ["c", "k"], ["y"])],
      { w: float16([C, C, 1, 1], [0.0011, 0.0013, 0.0017, 0.0019]), k: float16([], [0.0001]) },
      { inputs: [{ name: "x", dtype: "float16", dims: IMAGE }], outputs: [{ name: "y", dtype: "float16" }] },
    ),
    blocker: "c",
    message:
      'Mul "y": backward, Conv "c" would lose the smallest numbers of row 0 to float16 underflow; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "precision-loss",
    model: "Inputs near 1000 with deviation 2, normalized by Sub and Mul before a Conv",
    spec: net(
      [node("Sub", ["x", "m"], ["d"]), node("Mul", ["d", "k"], ["e"]), node("Conv", ["e", "p"], ["y"])],
      { m: float32([1, 1, 1, 1], [1000]), k: float32([], [0.5]), p: float32([C, C, 1, 1], [1, 0.5, -1, 2]) },
      { inputs: [image("x")] },
    ),
    node: "d",
    message:
      'Sub "d": backward, it reads the graph input "x"; forward, it takes a shift away from values near 1000, 500 times their deviation, which costs 9.3 bits of precision (the limit is 4).',
  },
  {
    code: "would-grow",
    model: "Neg behind one of two Convs that share a weight",
    spec: net(
      [conv("x", "c"), node("Neg", ["c"], ["d"]), node("Relu", ["d"], ["y"]), conv("x", "e"), node("Sigmoid", ["e"], ["z"])],
      weight,
      { inputs: [image("x")], outputs: ["y", "z"].map((name) => ({ name, dtype: "float32" })) },
    ),
    node: "d",
    message: 'Neg "d": it could be folded, but new constants would make the file 28 bytes larger.',
  },
  {
    code: "quantized",
    model: "Conv with a dequantized weight that has a scale per input channel, a gain per output channel",
    spec: net([node("DequantizeLinear", ["q", "step"], ["w"]), conv("x", "c"), node("Mul", ["c", "k"], ["y"])], {
      q: { dtype: "int8", dims: [C, C, 1, 1], values: [1, 2, 3, 4] },
      step: floats([0.5, 0.25]),
      k: floats([2, 0.5], [C, 1, 1]),
    }),
    blocker: "w",
    message:
      'Mul "y": backward, DequantizeLinear "w" has a scale per index of axis 1, but the map lies on axis 0; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "quantized",
    model: "Conv whose output has a quantization annotation, BN",
    spec: net([conv("x", "c"), bn("c", "y")], { ...weight, ...norm }, { annotations: ["c"] }),
    blocker: "c",
    value: "c",
    message:
      'BatchNormalization "y": backward, Conv "c" makes "c", which a quantisation annotation describes; forward, it makes "y", which is an output of its graph.',
  },
  {
    code: "not-proven",
    model: "Conv, BN whose fold a check did not accept",
    spec: net([conv("x", "c"), bn("c", "y")], { ...weight, ...norm }),
    options: { unproven: new Set([nodeKey({ scope: "", index: 1 })]) },
    message: 'BatchNormalization "y": it could be folded, but the result was not shown to be equivalent.',
  },
  {
    code: "excluded-by-user",
    model: "Conv, BN that is skipped",
    spec: net([conv("x", "c"), bn("c", "y")], { ...weight, ...norm }),
    options: { skip: (name) => name === "y" },
    message: 'BatchNormalization "y": it is excluded by --only or --skip.',
  },
  {
    code: "malformed-graph",
    model: "Conv, BN with three inputs",
    spec: net([conv("x", "c"), node("BatchNormalization", ["c", "scale", "B"], ["y"])], { ...weight, ...norm }),
    message: 'BatchNormalization "y": it lacks its mean.',
  },
  {
    code: "call-stays",
    model: "a function of Conv, BN and a ReduceMean that opset 18 changed, called in a model of opset 18",
    spec: net(
      [node("F", ["x", "w", ...PARAMETERS], ["y"], {}, { domain: "local" })],
      { ...weight, ...norm },
      {
        opsets: { "": 18, local: 1 },
        functions: [
          {
            ...{ name: "F", domain: "local", inputs: ["x", "w", ...PARAMETERS], outputs: ["y"], opsets: { "": 17 } },
            nodes: [conv("x", "c"), bn("c", "n"), node("ReduceMean", ["n"], ["y"], { axes: [2, 3] })],
          },
        ],
      },
    ),
    node: "n",
    value: "scale",
    message:
      'BatchNormalization "n": it reads "scale", which callers feed (its scale). The call "y" of local:F cannot be written out: it holds ReduceMean of opset 17, which is another operator in opset 18 of the graph around the call.',
  },
];
