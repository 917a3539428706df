/**
 * One thing changed in a graph, as a wrong tool or a hidden fault would: a number, an attribute, a wire, an operator, a type, a default,
 * the operator set. Whether the graph then computes something else is for the caller to find out.
 */
import type { Random } from "../../src/verify/random.ts";
import type { AttributeSpec, GraphSpec, ModelSpec, NodeSpec, TensorSpec } from "../helpers/build.ts";

export type Edit = (spec: ModelSpec, random: Random) => ModelSpec | undefined;

const isGraph = (value: AttributeSpec): value is GraphSpec =>
  typeof value === "object" && !Array.isArray(value) && "nodes" in value;

/** All graphs of a model, the ways to their bodies as they are written. */
function* graphsOf(graph: GraphSpec, put: (by: GraphSpec) => ModelSpec): Generator<{ graph: GraphSpec; put: typeof put }> {
  yield { graph, put };
  for (const [i, node] of graph.nodes.entries())
    for (const [name, value] of Object.entries(node.attributes ?? {}))
      if (isGraph(value))
        yield* graphsOf(value, (by) =>
          put({ ...graph, nodes: graph.nodes.with(i, { ...node, attributes: { ...node.attributes, [name]: by } }) }),
        );
}

const allGraphs = (spec: ModelSpec) => [...graphsOf(spec, (by) => ({ ...spec, ...by }))];

interface Place {
  readonly node: NodeSpec;
  readonly graph: GraphSpec;
  readonly put: (by: NodeSpec | readonly NodeSpec[]) => ModelSpec;
}

/** A node that fits, in the graph or in a body. */
function place(spec: ModelSpec, random: Random, fits: (node: NodeSpec) => boolean): Place | undefined {
  const list = allGraphs(spec).flatMap(({ graph, put }) =>
    graph.nodes.flatMap((node, i): Place[] =>
      fits(node) ? [{ node, graph, put: (by) => put({ ...graph, nodes: graph.nodes.toSpliced(i, 1, ...[by].flat()) }) }] : [],
    ),
  );
  return list.length === 0 ? undefined : list[random.below(list.length)];
}

const pick = <T>(list: readonly T[], random: Random): T | undefined =>
  list.length === 0 ? undefined : list[random.below(list.length)];

/** A tensor with one number of it changed. */
function touched(tensor: TensorSpec, random: Random, by: (v: number) => number): TensorSpec {
  const values = Array.from(tensor.values as ArrayLike<number>, Number);
  const at = random.below(values.length);
  values[at] = by(values[at]);
  return { ...tensor, values };
}

/** A constant of the graph or of a body, among initializers and Constant nodes. */
function constant(spec: ModelSpec, random: Random, dtypes: readonly string[], by: (v: number) => number): ModelSpec | undefined {
  const is = (t: TensorSpec) => dtypes.includes(t.dtype) && t.values.length > 0;
  const edits = allGraphs(spec).flatMap(({ graph, put }) => [
    ...Object.entries(graph.initializers ?? {})
      .filter(([, t]) => is(t))
      .map(
        ([name, t]) =>
          () =>
            put({ ...graph, initializers: { ...graph.initializers, [name]: touched(t, random, by) } }),
      ),
    ...graph.nodes.flatMap((node, i) => {
      const t = node.op === "Constant" ? (node.attributes?.value as TensorSpec | undefined) : undefined;
      if (t === undefined || !is(t)) return [];
      return [() => put({ ...graph, nodes: graph.nodes.with(i, { ...node, attributes: { value: touched(t, random, by) } }) })];
    }),
  ]);
  return pick(edits, random)?.();
}

/** What strings may say instead. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  auto_pad: ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"],
  mode: ["nearest", "linear", "cubic", "constant", "reflect", "edge", "DCR", "CRD", "bilinear", "bicubic"],
  coordinate_transformation_mode: ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"],
  nearest_mode: ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"],
  reduction: ["none", "add", "mul", "max", "min"],
  padding_mode: ["zeros", "border", "reflection"],
  direction: ["forward", "reverse", "bidirectional"],
  approximate: ["none", "tanh"],
};

/** Flags and numbers that are often left out, with what they may say: 0 or 1, or another float than the default. */
const LEFT_OUT: Readonly<Record<string, Readonly<Record<string, AttributeSpec>>>> = {
  AveragePool: { count_include_pad: 1, ceil_mode: 1 },
  MaxPool: { ceil_mode: 1 },
  CumSum: { exclusive: 1, reverse: 1 },
  Gemm: { transB: 1, alpha: { kind: "float", value: 0.5 }, beta: { kind: "float", value: 0.5 } },
  LeakyRelu: { alpha: { kind: "float", value: 0.02 } },
  Elu: { alpha: { kind: "float", value: 0.75 } },
  Selu: { alpha: { kind: "float", value: 1.5 } },
  HardSigmoid: { alpha: { kind: "float", value: 0.25 }, beta: { kind: "float", value: 0.25 } },
  Softmax: { axis: 0 },
  LogSoftmax: { axis: 0 },
  Flatten: { axis: 0 },
  ArgMax: { select_last_index: 1, keepdims: 0 },
  ArgMin: { select_last_index: 1, keepdims: 0 },
  ReduceMean: { keepdims: 0 },
  ReduceSum: { keepdims: 0 },
  TopK: { largest: 0 },
  BatchNormalization: { training_mode: 1, epsilon: { kind: "float", value: 2 ** -4 } },
  LayerNormalization: { epsilon: { kind: "float", value: 2 ** -4 } },
  InstanceNormalization: { epsilon: { kind: "float", value: 2 ** -4 } },
  DepthToSpace: { mode: "CRD" },
  Conv: { auto_pad: "SAME_LOWER" },
  LpPool: { p: 1 },
  LpNormalization: { p: 1 },
};

/** Other values an attribute may have. */
function others(name: string, value: AttributeSpec, random: Random): AttributeSpec | undefined {
  if (typeof value === "string")
    return pick(
      (WORDS[name] ?? []).filter((word) => word !== value),
      random,
    );
  if (typeof value === "number")
    return Number.isInteger(value) ? value + (random.below(2) === 0 ? 1 : -1) : value * (1 + 2 ** -8);
  if (Array.isArray(value) && value.every((v) => typeof v === "number") && value.length > 0) {
    const list = [...(value as number[])];
    const at = random.below(list.length);
    if (name === "perm" && list.length > 1) {
      const to = (at + 1) % list.length;
      [list[at], list[to]] = [list[to], list[at]];
    } else list[at] += list[at] > 1 && random.below(2) === 0 ? -1 : 1;
    return list;
  }
  if (typeof value === "object" && "kind" in value && value.kind === "float")
    return { kind: "float", value: (value.value as number) * (random.below(2) === 0 ? 1 + 2 ** -8 : 10) || 0.5 };
  return undefined;
}

/** Operators that look alike where a value has one sign, one size, or is rarely equal. */
const NEIGHBOURS: Readonly<Record<string, readonly string[]>> = {
  Relu: ["Identity", "Abs", "Sigmoid"],
  Abs: ["Identity", "Relu", "Neg"],
  ...{ Neg: ["Identity"], Sigmoid: ["Tanh", "HardSigmoid"], Tanh: ["Softsign", "Sigmoid"], Exp: ["Softplus"], Erf: ["Tanh"] },
  ...{ Floor: ["Ceil", "Round"], Ceil: ["Floor"], Round: ["Floor"], Sign: ["Identity", "Tanh"], Softplus: ["Relu"] },
  ...{
    Add: ["Sub", "Max", "Mul"],
    Sub: ["Add"],
    Mul: ["Div", "Add"],
    Div: ["Mul"],
    Max: ["Min", "Add"],
    Min: ["Max"],
    Mean: ["Sum"],
  },
  ...{
    GlobalAveragePool: ["GlobalMaxPool"],
    GlobalMaxPool: ["GlobalAveragePool"],
    AveragePool: ["MaxPool"],
    MaxPool: ["AveragePool"],
  },
  ...{ ReduceMean: ["ReduceSum", "ReduceMax"], ReduceSum: ["ReduceMean"], ReduceMax: ["ReduceMin"], ReduceMin: ["ReduceMax"] },
  ...{
    ReduceL1: ["ReduceL2", "ReduceSum"],
    ReduceL2: ["ReduceL1"],
    ReduceSumSquare: ["ReduceL2"],
    ReduceLogSumExp: ["ReduceMax"],
  },
  ...{
    Softmax: ["LogSoftmax", "Hardmax"],
    LogSoftmax: ["Softmax"],
    Hardmax: ["Softmax"],
    ArgMax: ["ArgMin"],
    ArgMin: ["ArgMax"],
  },
  ...{ Greater: ["GreaterOrEqual", "Less"], Less: ["Greater"], And: ["Or"], Or: ["And"], Sqrt: ["Abs"], Elu: ["Celu", "Relu"] },
};

const ORDERED = [
  "Sub",
  "Div",
  "MatMul",
  "Pow",
  "Less",
  "Greater",
  "PRelu",
  "Where",
  "Concat",
  "Gemm",
  "Mod",
  "GreaterOrEqual",
  "LessOrEqual",
];

/** Values of one type that a node may read in the place of another: those of the graph made before it. */
function before(graph: GraphSpec, node: NodeSpec): string[] {
  const made = graph.nodes.slice(0, graph.nodes.indexOf(node)).flatMap(({ outputs }) => outputs);
  return [...(graph.inputs ?? []).map(({ name }) => name), ...made];
}

export const EDITS: Readonly<Record<string, Edit>> = {
  number: (spec, random) =>
    constant(spec, random, ["float64", "float32"], (v) => v * (1 + 2 ** -(1 + random.below(10))) + (v === 0 ? 0.125 : 0)),
  sign: (spec, random) => constant(spec, random, ["float64", "float32"], (v) => (v === 0 ? 1 : -v)),
  count: (spec, random) => constant(spec, random, ["int64"], (v) => v + (random.below(2) === 0 ? 1 : -1)),
  attribute(spec, random) {
    const at = place(spec, random, ({ attributes, op }) => op !== "Constant" && Object.keys(attributes ?? {}).length > 0);
    const entry = at && pick(Object.entries(at.node.attributes ?? {}), random);
    const value = entry && others(entry[0], entry[1], random);
    if (at === undefined || entry === undefined || value === undefined) return undefined;
    return at.put({ ...at.node, attributes: { ...at.node.attributes, [entry[0]]: value } });
  },
  "attribute given": (spec, random) => {
    const at = place(spec, random, ({ op, attributes }) =>
      Object.keys(LEFT_OUT[op] ?? {}).some((name) => attributes?.[name] === undefined),
    );
    const open = at && Object.entries(LEFT_OUT[at.node.op]).filter(([name]) => at.node.attributes?.[name] === undefined);
    const entry = open && pick(open, random);
    return entry && at?.put({ ...at.node, attributes: { ...at.node.attributes, [entry[0]]: entry[1] } });
  },
  "attribute dropped": (spec, random) => {
    const at = place(
      spec,
      random,
      ({ attributes, op }) => op !== "Constant" && Object.values(attributes ?? {}).some((v) => !isGraph(v)),
    );
    const names = Object.keys(at?.node.attributes ?? {});
    const name = pick(names, random);
    if (at === undefined || name === undefined) return undefined;
    const { [name]: _, ...rest } = at.node.attributes ?? {};
    return at.put({ ...at.node, attributes: rest });
  },
  operands: (spec, random) => {
    const at = place(spec, random, ({ op, inputs }) => ORDERED.includes(op) && inputs.length > 1 && inputs[0] !== inputs[1]);
    if (at === undefined) return undefined;
    const from = at.node.op === "Where" ? 1 : 0;
    const inputs = [...at.node.inputs];
    [inputs[from], inputs[from + 1]] = [inputs[from + 1], inputs[from]];
    return at.put({ ...at.node, inputs });
  },
  operator: (spec, random) => {
    const at = place(spec, random, ({ op }) => NEIGHBOURS[op] !== undefined);
    const op = at && pick(NEIGHBOURS[at.node.op], random);
    return op === undefined ? undefined : at?.put({ ...at.node, op, attributes: op === "Identity" ? {} : at.node.attributes });
  },
  wire: (spec, random) => {
    const at = place(spec, random, ({ inputs, op }) => inputs.length > 0 && op !== "If" && op !== "Loop" && op !== "Scan");
    const other =
      at &&
      pick(
        before(at.graph, at.node).filter((name) => name !== at.node.inputs[0]),
        random,
      );
    return other === undefined ? undefined : at?.put({ ...at.node, inputs: [other, ...at.node.inputs.slice(1)] });
  },
  outputs: (spec, random) => {
    const at = place(spec, random, ({ outputs }) => outputs.filter((name) => name !== "").length > 1);
    const other = at ?? undefined;
    return other?.put({ ...other.node, outputs: [...other.node.outputs].reverse() });
  },
  digits: (spec, random) => {
    // Rounds one computed value to fewer digits on its way to one reader.
    const made = new Set(spec.nodes.flatMap(({ op, outputs }) => (["Conv", "MatMul", "Tanh"].includes(op) ? outputs : [])));
    const at = place(
      spec,
      random,
      ({ op, inputs }) => made.has(inputs[0]) && ["Relu", "Abs", "Add", "Conv", "MatMul", "Mul", "Tanh", "Softmax"].includes(op),
    );
    if (at === undefined) return undefined;
    const code = spec.inputs?.some(({ dtype }) => dtype === "float64") ? 11 : 1;
    const [x, y] = [`${at.node.inputs[0]}_low`, `${at.node.inputs[0]}_back`];
    return at.put([
      { op: "Cast", inputs: [at.node.inputs[0]], outputs: [x], attributes: { to: code === 11 ? 1 : 10 } },
      { op: "Cast", inputs: [x], outputs: [y], attributes: { to: code } },
      { ...at.node, inputs: [y, ...at.node.inputs.slice(1)] },
    ]);
  },
  "node left out": (spec, random) => {
    const at = place(
      spec,
      random,
      ({ outputs, inputs, op }) => outputs.length === 1 && inputs.length > 0 && op !== "Identity" && op !== "Cast",
    );
    return at?.put({ op: "Identity", inputs: [at.node.inputs[0]], outputs: at.node.outputs });
  },
  "operator set": (spec, random) => {
    const now = spec.opsets?.[""] ?? spec.opset ?? 21;
    const other = pick(
      [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23].filter((v) => v !== now),
      random,
    ) as number;
    return { ...spec, opsets: { ...spec.opsets, "": other } };
  },
};
