/** One or more small nodes of every operator that the laws have no case of, with what to feed them. */
import type { DType } from "../../src/onnx/dtype.ts";
import { allocate, sizeOf, type Tensor } from "../../src/onnx/tensor.ts";
import type { Value } from "../../src/ops/define.ts";
import { float32, fs, int64, is, type ModelSpec, type NodeSpec } from "../helpers/build.ts";

export interface ShapeNode {
  readonly spec: ModelSpec;
  readonly feeds: ReadonlyMap<string, Value>;
}

/** Small whole numbers from 1 on, which every operator takes. */
function tensor(dtype: DType, ...dims: readonly number[]): Tensor {
  const n = sizeOf(dims);
  if (dtype === "string") return { dtype, dims, data: Array.from({ length: n }, (_, i) => `a b${i}`) };
  const data = allocate(dtype, n) as unknown as unknown[];
  for (let i = 0; i < n; i++) data[i] = dtype.endsWith("int64") ? BigInt((i % 3) + 1) : dtype === "bool" ? i % 2 : (i % 3) + 1;
  return { dtype, dims, data: data as unknown as Tensor["data"] };
}
const real = (...dims: number[]): Tensor => tensor("float32", ...dims);
const longs = (...values: number[]): Tensor => ({
  dtype: "int64",
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const scalar = (value: number): Tensor => ({ ...longs(value), dims: [] });
const bytes = (...dims: number[]): Tensor => tensor("uint8", ...dims);
const number = (value: number): Tensor => ({ dtype: "float32", dims: [], data: Float64Array.of(value) });

interface More {
  readonly outputs?: number;
  readonly domain?: string;
  /** Default 28. */
  readonly opset?: number;
}

function one(
  op: string,
  inputs: readonly (Tensor | undefined)[],
  attributes: NodeSpec["attributes"] = {},
  { outputs = 1, domain = "", opset = domain === "" ? 28 : 5 }: More = {},
): ShapeNode {
  const names = inputs.map((x, i) => (x === undefined ? "" : `x${i}`));
  const made = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const feeds = new Map(inputs.flatMap((x, i) => (x === undefined ? [] : [[names[i], x] as const])));
  const versions = domain === "" ? { opset } : { opset: 28, opsets: { [domain]: opset } };
  return {
    spec: {
      ...versions,
      nodes: [{ op, domain, inputs: names, outputs: made, attributes }],
      inputs: [...feeds].map(([name, { dtype }]) => ({ name, dtype })),
      outputs: made.map((name) => ({ name })),
    },
    feeds,
  };
}

const each = (
  ops: string,
  ...rest: readonly [inputs: readonly Tensor[], attributes?: NodeSpec["attributes"], more?: More]
): ShapeNode[] => ops.split(" ").map((op) => one(op, ...rest));

const ML = "ai.onnx.ml";
const ml = (op: string, inputs: readonly Tensor[], attributes: NodeSpec["attributes"], opset = 3, outputs = 1): ShapeNode =>
  one(op, inputs, attributes, { domain: ML, opset, outputs });
const TRAINING = "ai.onnx.preview.training";

const elementwise = (): ShapeNode[] => [
  ...each(
    "Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Elu Erf Exp Floor Gelu HardSwish Log Mish Round Selu Sigmoid Sign Sin Sinh Softplus " +
      "Softsign Swish Tan Tanh IsNaN IsInf",
    [real(2, 3)],
  ),
  ...each("Affine ParametricSoftplus ScaledTanh", [real(2, 3)], {}, { opset: 1 }),
  ...each("And Or Xor", [tensor("bool", 2, 3), tensor("bool", 3)]),
  ...each("BitwiseAnd BitwiseOr BitwiseXor", [tensor("int32", 2, 1), tensor("int32", 3)]),
  one("BitShift", [bytes(2, 3), bytes(3)], { direction: "LEFT" }),
  ...each("Equal Greater GreaterOrEqual Less LessOrEqual Mod", [tensor("int32", 4, 2, 1), tensor("int32", 3)]),
  ...each("Not", [tensor("bool", 2, 3)]),
  ...each("BitwiseNot", [tensor("int32", 2, 3)]),
  one("BitCast", [real(2, 3)], { to: 6 }),
  one("SwiGLU", [real(2, 3), real(2, 3)]),
  one("LRN", [real(1, 3, 4, 4)], { size: 3 }),
  one("CumProd", [real(2, 3), scalar(1)]),
  one("ReduceLogSum", [real(2, 3, 4), longs(1)], { keepdims: 0 }),
  one("QuantizeLinear", [real(2, 3), number(1), tensor("int8")]),
  one("QuantizeLinear", [real(2, 3), number(1)], { output_dtype: 4 }),
  one("DynamicQuantizeLinear", [real(2, 3)], {}, { outputs: 3 }),
];

const made = (): ShapeNode[] => [
  ...each("BlackmanWindow HammingWindow HannWindow", [scalar(5)], { output_datatype: 11 }),
  one("Constant", [], { value_ints: is([1, 2]) }),
  one("Constant", [], { value: float32([2, 3], [1, 2, 3, 4, 5, 6]) }),
  one("Constant", [], { value_strings: ["a", "b"] }),
  one("ConstantOfShape", [longs(2, 3)], { value: int64([1], [4]) }),
  one("EyeLike", [real(2, 3)], { dtype: 7 }),
  one("Range", [scalar(1), scalar(8), scalar(3)]),
  one("Multinomial", [real(2, 3)], { sample_size: 4 }),
  one("Bernoulli", [real(2, 3)], { dtype: 9 }),
  ...each("RandomNormal RandomUniform", [], { shape: is([2, 3]), dtype: 11 }),
  ...each("RandomNormalLike RandomUniformLike", [real(2, 3)]),
  one("NonZero", [real(2, 3)]),
  one("OneHot", [longs(1, 2), scalar(4), real(2)], { axis: 0 }),
  one("Unique", [real(2, 3)], {}, { outputs: 4 }),
  one("Unique", [real(2, 3)], { axis: 1 }, { outputs: 4 }),
  one("Det", [real(4, 2, 2)]),
  one("NonMaxSuppression", [real(1, 3, 4), real(1, 2, 3), scalar(2)]),
  one(
    "MelWeightMatrix",
    [4, 16, 8192, 0, 4096].map((v, i) => (i < 3 ? scalar(v) : number(v))),
  ),
  one("AffineGrid", [real(2, 2, 3), longs(2, 3, 4, 5)]),
  one("AffineGrid", [real(2, 3, 4), longs(2, 3, 4, 5, 6)]),
];

const signals = (): ShapeNode[] => [
  one("DFT", [real(1, 6, 3, 1)], { axis: 1, onesided: 1 }, { opset: 17 }),
  one("DFT", [real(1, 6, 3, 2), undefined, scalar(1)], { inverse: 1 }),
  one("DFT", [real(1, 6, 3, 2), scalar(4), scalar(-2)], { onesided: 1 }),
  one("DFT", [real(1, 4, 2)], { inverse: 1, onesided: 1 }),
  one("STFT", [real(2, 16, 1), scalar(3), real(5)]),
  one("STFT", [real(2, 16, 2), scalar(2), undefined, scalar(6)], { onesided: 0 }),
];

const attention = (): ShapeNode[] => [
  one("Attention", [real(2, 4, 3, 5), real(2, 2, 6, 5), real(2, 2, 6, 7)], {}, { outputs: 4 }),
  one(
    "Attention",
    [real(2, 3, 20), real(2, 6, 10), real(2, 6, 14), undefined, real(2, 2, 4, 5), real(2, 2, 4, 7)],
    { q_num_heads: 4, kv_num_heads: 2 },
    { outputs: 4 },
  ),
  one("FlexAttention", [real(2, 4, 3, 5), real(2, 2, 6, 5), real(2, 2, 6, 7)], {}, { domain: "ai.onnx.preview", opset: 1 }),
  one(
    "LinearAttention",
    [real(2, 3, 8), real(2, 3, 4), real(2, 3, 6)],
    { q_num_heads: 4, kv_num_heads: 2, update_rule: "linear" },
    { outputs: 2 },
  ),
  one("CausalConvWithState", [real(2, 3, 6), real(3, 1, 4)], {}, { outputs: 2 }),
  one("RotaryEmbedding", [real(2, 3, 4, 6), real(2, 4, 3), real(2, 4, 3)]),
  one("TensorScatter", [real(2, 5, 3), real(2, 2, 3)]),
];

const quantized = (): ShapeNode[] => {
  const [scale, zero] = [number(1), tensor("uint8")];
  return [
    one("ConvInteger", [bytes(1, 2, 5, 5), bytes(3, 2, 3, 3)], { pads: is([1, 0, 1, 0]) }),
    one("MatMulInteger", [bytes(4, 2, 3), bytes(3, 5)]),
    one("QLinearConv", [bytes(1, 2, 5, 5), scale, zero, bytes(3, 2, 3, 3), scale, zero, scale, zero], { strides: is([2, 2]) }),
    one("QLinearMatMul", [bytes(2, 3), scale, zero, bytes(3, 5), scale, zero, scale, zero]),
  ];
};

const losses = (): ShapeNode[] => {
  const targets: Tensor = { ...longs(0, 1, 2, 0, 1, 2), dims: [2, 3] };
  return ["none", "mean"].flatMap((reduction) => [
    one("NegativeLogLikelihoodLoss", [real(2, 4, 3), targets], { reduction }),
    one("SoftmaxCrossEntropyLoss", [real(2, 4, 3), targets], { reduction }, { outputs: 2 }),
  ]);
};

const texts = (): ShapeNode[] => [
  one("StringConcat", [tensor("string", 2, 1), tensor("string", 3)]),
  one("StringSplit", [tensor("string", 2, 3)], {}, { outputs: 2 }),
  one("StringNormalizer", [tensor("string", 1, 3)], { stopwords: ["a b1"] }),
  one("StringNormalizer", [tensor("string", 3)]),
  one("RegexFullMatch", [tensor("string", 2, 3)], { pattern: "a.*" }),
  ...[real(2, 4), real(4)].map((x) =>
    one("TfIdfVectorizer", [{ ...x, dtype: "int64", data: BigInt64Array.from(Array.from(x.data as Float64Array, BigInt)) }], {
      mode: "TF",
      ...{ min_gram_length: 1, max_gram_length: 1, max_skip_count: 0 },
      ...{ ngram_counts: is([0]), ngram_indexes: is([0, 2]), pool_int64s: is([1, 2]) },
    }),
  ),
];

/** What comes out of a sequence is a tensor again. */
function sequences(): ShapeNode[] {
  const spec: ModelSpec = {
    opset: 28,
    nodes: [
      { op: "SequenceConstruct", inputs: ["x", "x"], outputs: ["list"] },
      { op: "SequenceLength", inputs: ["list"], outputs: ["length"] },
      { op: "Optional", inputs: ["x"], outputs: ["maybe"] },
      { op: "OptionalHasElement", inputs: ["maybe"], outputs: ["has"] },
      { op: "OptionalGetElement", inputs: ["maybe"], outputs: ["got"] },
    ],
    inputs: [{ name: "x" }],
    outputs: ["length", "has", "got"].map((name) => ({ name })),
  };
  return [{ spec, feeds: new Map([["x", real(2, 3)]]) }];
}

const learned = (): ShapeNode[] => {
  const [x, rows] = [real(4, 3), { coefficients: fs([1, 2, 3, 4, 5, 6]), intercepts: fs([0, 1]) }];
  const vectors = {
    ...{ kernel_type: "LINEAR", rho: fs([0]) },
    support_vectors: fs([1, 2, 3, 4, 5, 6]),
    coefficients: fs([1, -1]),
  };
  const nodes = {
    ...{ nodes_treeids: is([0, 0, 0]), nodes_nodeids: is([0, 1, 2]), nodes_featureids: is([1, 0, 0]) },
    ...{ nodes_modes: ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values: fs([1.5, 0, 0]) },
    ...{ nodes_truenodeids: is([1, 0, 0]), nodes_falsenodeids: is([2, 0, 0]) },
  };
  const leaves = (of: string) => ({
    [`${of}_treeids`]: is([0, 0]),
    [`${of}_nodeids`]: is([1, 2]),
    [`${of}_weights`]: fs([1, 2]),
  });
  return [
    ml("ArrayFeatureExtractor", [x, longs(0, 2)], {}),
    ml("ArrayFeatureExtractor", [real(5), longs(0, 2, 1)], {}),
    ml("Binarizer", [x], { threshold: { kind: "float", value: 1 } }),
    ml("Imputer", [x], { imputed_value_floats: fs([1]), replaced_value_float: { kind: "float", value: 2 } }),
    ml("Normalizer", [x], { norm: "L2" }),
    ml("Scaler", [x], { offset: fs([1]), scale: fs([2]) }),
    ml("FeatureVectorizer", [x, real(4, 2)], {}),
    ml("CategoryMapper", [tensor("int64", 2, 3)], { cats_int64s: is([1, 2]), cats_strings: ["a", "b"] }),
    ml("LabelEncoder", [tensor("string", 2, 3)], { classes_strings: ["a", "b"] }, 1),
    ml("LabelEncoder", [tensor("int64", 2, 3)], { keys_int64s: is([1, 2]), values_floats: fs([1, 2]) }),
    ml("OneHotEncoder", [tensor("int64", 2, 3)], { cats_int64s: is([1, 2, 3, 4]) }),
    ml("LinearRegressor", [x], rows),
    ml("LinearClassifier", [x], { ...rows, classlabels_ints: is([4, 5]) }, 3, 2),
    ml("LinearClassifier", [x], { coefficients: fs([1, 2, 3]), intercepts: fs([0]), classlabels_strings: ["a", "b"] }, 3, 2),
    ml("SVMRegressor", [x], { ...vectors, n_supports: 2 }),
    ml("SVMClassifier", [x], { ...vectors, vectors_per_class: is([1, 1]), classlabels_ints: is([0, 1]) }, 3, 2),
    ml(
      "SVMClassifier",
      [x],
      { coefficients: fs([1, 2, 3, 4, 5, 6, 7, 8, 9]), rho: fs([0]), classlabels_ints: is([0, 1, 2]) },
      3,
      2,
    ),
    ml("TreeEnsembleRegressor", [x], { ...nodes, ...leaves("target"), target_ids: is([0, 1]), n_targets: 2 }),
    ml(
      "TreeEnsembleClassifier",
      [x],
      { ...nodes, ...leaves("class"), class_ids: is([0, 1]), classlabels_int64s: is([7, 8]) },
      3,
      2,
    ),
    ml(
      "TreeEnsembleClassifier",
      [x],
      { ...nodes, ...leaves("class"), class_ids: is([0, 0]), classlabels_strings: ["a", "b"] },
      3,
      2,
    ),
    ml(
      "TreeEnsemble",
      [tensor("float64", 4, 3)],
      {
        ...{ n_targets: 2, tree_roots: is([0]), nodes_featureids: is([1]), leaf_targetids: is([0, 1]) },
        ...{
          nodes_modes: { dtype: "uint8", dims: [1], values: [0] },
          nodes_splits: { dtype: "float64", dims: [1], values: [1.5] },
        },
        ...{ nodes_truenodeids: is([0]), nodes_trueleafs: is([1]), nodes_falsenodeids: is([1]), nodes_falseleafs: is([1]) },
        leaf_weights: { dtype: "float64", dims: [2], values: [1, 2] },
      },
      5,
    ),
  ];
};

const optimizers = (): ShapeNode[] => {
  const [rate, step] = [number(1), scalar(1)];
  const [a, b] = [real(2, 3), real(4)];
  const more = (outputs: number): More => ({ domain: TRAINING, opset: 1, outputs });
  return [
    one("Adagrad", [rate, step, a, b, a, b, a, b], {}, more(4)),
    one("Momentum", [rate, step, a, b, a, b, a, b], { mode: "standard" }, more(4)),
    one("Adam", [rate, step, a, b, a, b, a, b, a, b], {}, more(6)),
  ];
};

export const nodes = (): ShapeNode[] => [
  ...[elementwise, made, signals, attention, quantized, losses, texts, sequences, learned, optimizers].flatMap((list) => list()),
];
