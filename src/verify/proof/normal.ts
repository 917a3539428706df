/**
 * One way of writing for what tools write in several. Both files are rewritten, in memory, by equations that hold for all inputs:
 *
 *   Cast to the type it has; Concat, Sum, Mean, Max, Min of one operand        x
 *   HardSwish(x)                                          x · HardSigmoid(x; 1/6, 1/2)      (its function body in ONNX)
 *   com.microsoft FusedConv, FusedGemm                    activation(Conv(…) + z), activation(Gemm(…))
 *   com.microsoft Gelu(x)                                 x · (1 + erf(x / √2)) · ½
 *   com.microsoft QuickGelu(x)                            x · Sigmoid(α·x)
 *   ReduceMean over all axes but the first two, kept      GlobalAveragePool
 *   Conv(Pad(x) with zeros)                               Conv(x) with larger pads
 *   y · (x · c); y · (x / c)                              (y · x) · c; (y · x) / c
 *   Max(x, c); Min(x, c)                                  c + Relu(x − c); c − Relu(c − x)
 *   Gemm(Reshape(x), W, b) of all axes but the last       Reshape(MatMul(x, W) + b)
 *   Reshape of a Reshape; to the shape that is there      one Reshape; x
 *   an axis counted from the end                          the same from the front
 *   LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization with γ, β      γ ⊙ n(x) + β, n with ones and zeros
 *
 * Values keep their names, so that what is found of them is found of the file. Nodes nobody reads afterwards are left out.
 */
import { intAttr, intsAttr, stringAttr } from "../../graph/attributes.ts";
import { sameShape } from "../../graph/dims.ts";
import { hasTrait } from "../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { viewOf } from "../../graph/view.ts";
import type { AttributeRecord, GraphRecord, Model, NodeRecord } from "../../onnx/records.ts";
import { asFloat64, asNumbers } from "../../onnx/tensor.ts";
import { type Side, sideOf } from "./classes.ts";

type Setting = { readonly f: number } | { readonly i: number } | { readonly ints: readonly number[] };

/** A rewriting of one node: what stands in its place, or undefined. */
type Rewrite = (node: GraphNode, side: Side) => NodeRecord[] | undefined;

function attribute(node: GraphNode, name: string, setting: Setting): AttributeRecord {
  const { frame } = node.record;
  return {
    frame,
    name,
    type: "f" in setting ? 1 : "i" in setting ? 2 : 7,
    refAttrName: "",
    f: "f" in setting ? setting.f : undefined,
    i: "i" in setting ? BigInt(setting.i) : undefined,
    s: undefined,
    t: undefined,
    g: undefined,
    sparseTensor: undefined,
    typeProto: undefined,
    floats: [],
    ints: "ints" in setting ? setting.ints.map(BigInt) : [],
    strings: [],
    tensors: [],
    graphs: [],
  };
}

/** A node of the standard domain in the place of another. */
function make(
  node: GraphNode,
  opType: string,
  inputs: readonly string[],
  output: string,
  settings: Readonly<Record<string, Setting>> = {},
): NodeRecord {
  const attributes = new Map(Object.entries(settings).map(([name, setting]) => [name, attribute(node, name, setting)]));
  return { ...node.record, opType, domain: "", overload: "", inputs, outputs: [output], attributes };
}

const outputOf = (node: GraphNode): string => node.record.outputs[0];
const inner = (node: GraphNode, part: string): string => `${outputOf(node)}/${part}`;

const alone = new Set(["Concat", "Sum", "Mean", "Max", "Min"]);

const plain: Rewrite = (node, { facts }) => {
  if (node.domain !== "") return undefined;
  const [input] = node.record.inputs;
  const [from, to] = [facts.of(node.inputs[0]).dtype, facts.of(node.outputs[0]).dtype];
  const same = node.opType === "Cast" && from !== 0 && from === to;
  return same || (alone.has(node.opType) && node.inputs.length === 1)
    ? [make(node, "Identity", [input], outputOf(node))]
    : undefined;
};

const hardSwish: Rewrite = (node) => {
  if (node.domain !== "" || node.opType !== "HardSwish") return undefined;
  const [[x], gate] = [node.record.inputs, inner(node, "gate")];
  const settings = { alpha: { f: Math.fround(1 / 6) }, beta: { f: 0.5 } };
  return [make(node, "HardSigmoid", [x], gate, settings), make(node, "Mul", [x, gate], outputOf(node))];
};

/** The activation a fused operator ends with; undefined for one that is not known. */
function activated(node: GraphNode, from: string, parameters: readonly number[]): NodeRecord[] | undefined {
  const name = stringAttr(node.record, "activation", "");
  const out = outputOf(node);
  const [first, second] = parameters;
  if (["Relu", "Sigmoid", "Tanh"].includes(name)) return [make(node, name, [from], out)];
  if (name === "LeakyRelu") return [make(node, name, [from], out, { alpha: { f: first ?? Math.fround(0.01) } })];
  if (name === "HardSigmoid")
    return [make(node, name, [from], out, { alpha: { f: first ?? Math.fround(0.2) }, beta: { f: second ?? 0.5 } })];
  if (name === "Clip" && first !== undefined && second !== undefined) {
    const [low, high] = ["low", "high"].map((part) => inner(node, part));
    return [
      make(node, "Constant", [], low, { value_float: { f: first } }),
      make(node, "Constant", [], high, { value_float: { f: second } }),
      make(node, "Clip", [from, low, high], out),
    ];
  }
  return undefined;
}

const fused: Rewrite = (node) => {
  const { record } = node;
  if (node.domain !== "com.microsoft" || (node.opType !== "FusedConv" && node.opType !== "FusedGemm")) return undefined;
  const conv = node.opType === "FusedConv";
  const parameters = conv
    ? (record.attributes.get("activation_params")?.floats ?? [])
    : ["activation_alpha", "activation_beta"].flatMap((name) => record.attributes.get(name)?.f ?? []);
  const [whole, sum] = [inner(node, "linear"), inner(node, "sum")];
  const added = conv ? record.inputs[3] : undefined;
  const after = activated(node, added ? sum : whole, parameters);
  if (after === undefined) return undefined;
  const attributes = new Map([...record.attributes].filter(([name]) => !name.startsWith("activation")));
  const linear = make(node, conv ? "Conv" : "Gemm", record.inputs.slice(0, 3), whole);
  return [{ ...linear, attributes }, ...(added ? [make(node, "Add", [whole, added], sum)] : []), ...after];
};

const gelu: Rewrite = (node) => {
  if (node.domain !== "com.microsoft" || node.opType !== "Gelu") return undefined;
  const [x] = node.record.inputs;
  const name = (part: string) => inner(node, part);
  const number = (part: string, f: number) => make(node, "Constant", [], name(part), { value_float: { f: Math.fround(f) } });
  return [
    number("root", Math.SQRT2),
    number("one", 1),
    number("half", 0.5),
    make(node, "Div", [x, name("root")], name("scaled")),
    make(node, "Erf", [name("scaled")], name("erf")),
    make(node, "Add", [name("erf"), name("one")], name("gate")),
    make(node, "Mul", [x, name("gate")], name("twice")),
    make(node, "Mul", [name("twice"), name("half")], outputOf(node)),
  ];
};

const quickGelu: Rewrite = (node) => {
  if (node.domain !== "com.microsoft" || node.opType !== "QuickGelu") return undefined;
  const [x] = node.record.inputs;
  const alpha = node.record.attributes.get("alpha")?.f ?? Math.fround(1.702);
  const [factor, scaled, gate] = ["factor", "scaled", "gate"].map((part) => inner(node, part));
  const before = [make(node, "Constant", [], factor, { value_float: { f: alpha } }), make(node, "Mul", [x, factor], scaled)];
  return [
    ...(alpha === 1 ? [] : before),
    make(node, "Sigmoid", [alpha === 1 ? x : scaled], gate),
    make(node, "Mul", [x, gate], outputOf(node)),
  ];
};

const pooled: Rewrite = (node, { facts }) => {
  if (node.domain !== "" || node.opType !== "ReduceMean" || intAttr(node.record, "keepdims", 1) !== 1) return undefined;
  const rank = facts.rank(node.inputs[0]);
  const axes = node.inputs[1] === undefined ? intsAttr(node.record, "axes") : facts.numbers(node.inputs[1]);
  if (rank === undefined || rank < 3 || axes === undefined) return undefined;
  const over = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  if (over.size !== rank - 2 || over.has(0) || over.has(1)) return undefined;
  return [make(node, "GlobalAveragePool", node.record.inputs.slice(0, 1), outputOf(node))];
};

/** The numbers of a small constant. */
function numbersOf(value: GraphValue | undefined, { constants, facts }: Side): readonly number[] | undefined {
  if (value === undefined) return undefined;
  return facts.numbers(value) ?? (constants.has(value) ? asNumbers(constants.tensor(value)) : undefined);
}

/** What a Pad adds on the spatial axes, begin of each and then end; undefined where it is not zeros on those axes. */
function zerosAround(pad: GraphNode, side: Side): number[] | undefined {
  const { record } = pad;
  if (pad.domain !== "" || pad.opType !== "Pad" || stringAttr(record, "mode", "constant") !== "constant") return undefined;
  const old = pad.version < 11;
  const pads = old ? intsAttr(record, record.attributes.has("paddings") ? "paddings" : "pads") : numbersOf(pad.inputs[1], side);
  const fill = old
    ? [record.attributes.get("value")?.f ?? 0]
    : pad.inputs[2] === undefined
      ? [0]
      : numbersOf(pad.inputs[2], side);
  if (pads === undefined || fill?.[0] !== 0 || pad.inputs[3] !== undefined) return undefined;
  const rank = pads.length / 2;
  const outer = [0, 1, rank, rank + 1].every((i) => pads[i] === 0);
  const spatial = [...pads.slice(2, rank), ...pads.slice(rank + 2)];
  return rank < 3 || !outer || spatial.some((p) => p < 0) ? undefined : spatial;
}

const padded: Rewrite = (node, side) => {
  const pad = node.inputs[0]?.producer;
  if (node.domain !== "" || node.opType !== "Conv" || pad === undefined || pad.scope !== node.scope) return undefined;
  const auto = stringAttr(node.record, "auto_pad", "NOTSET") || "NOTSET";
  const around = auto === "NOTSET" || auto === "VALID" ? zerosAround(pad, side) : undefined;
  if (around === undefined) return undefined;
  const own = (auto === "NOTSET" ? intsAttr(node.record, "pads") : undefined) ?? around.map(() => 0);
  const attributes = new Map(node.record.attributes).set(
    "pads",
    attribute(node, "pads", { ints: own.map((p, i) => p + around[i]) }),
  );
  attributes.delete("auto_pad");
  return [{ ...node.record, inputs: [pad.record.inputs[0], ...node.record.inputs.slice(1)], attributes }];
};

/** Max and Min with a constant as Relu between its shifts. */
const rectified: Rewrite = (node, { constants }) => {
  const max = node.opType === "Max";
  if (node.domain !== "" || (!max && node.opType !== "Min") || node.version < 8 || node.inputs.length !== 2) return undefined;
  const fixed = node.inputs.map((value) => value !== undefined && constants.has(value));
  if (fixed[0] === fixed[1]) return undefined;
  const c = node.inputs[fixed[0] ? 0 : 1] as GraphValue;
  if (!asNumbers(constants.tensor(c)).every(Number.isFinite)) return undefined;
  const [x, threshold] = fixed[0] ? node.record.inputs.toReversed() : node.record.inputs;
  const [beyond, kept] = [inner(node, "beyond"), inner(node, "kept")];
  return [
    make(node, "Sub", max ? [x, threshold] : [threshold, x], beyond),
    make(node, "Relu", [beyond], kept),
    make(node, max ? "Add" : "Sub", [threshold, kept], outputOf(node)),
  ];
};

const isReshape = (node: GraphNode | undefined): node is GraphNode => node !== undefined && hasTrait(node, "reshapes");

/** Gemm on rows that a Reshape made of all axes but the last: the matrix goes before the Reshape. */
const layered: Rewrite = (node, { facts, constants }) => {
  const before = node.inputs[0]?.producer;
  // Before opset 7 an Add does not broadcast the bias (before 5 no Reshape takes a shape).
  if (node.domain !== "" || node.opType !== "Gemm" || node.version < 7) return undefined;
  if (!isReshape(before) || before.scope !== node.scope) return undefined;
  const [x, flat] = [before.inputs[0], node.inputs[0]].map((value) => facts.shape(value));
  const [weight, bias] = [node.inputs[1], node.inputs[2]];
  const matrix = facts.shape(weight);
  const scaled = ["alpha", "beta"].some((name) => (node.record.attributes.get(name)?.f ?? 1) !== 1);
  if (scaled || intAttr(node.record, "transA", 0) !== 0 || matrix?.length !== 2 || weight === undefined || !constants.has(weight))
    return undefined;
  if (bias !== undefined && (!constants.has(bias) || facts.rank(bias) !== 1)) return undefined;
  const turned = intAttr(node.record, "transB", 0) !== 0;
  const [inputs, outputs] = turned ? [matrix[1], matrix[0]] : matrix;
  if (x === undefined || x.length < 3 || flat?.length !== 2 || x[x.length - 1] !== inputs || flat[1] !== inputs) return undefined;
  const [operand, product, sum, rows] = ["matrix", "product", "sum", "rows"].map((part) => inner(node, part));
  return [
    ...(turned ? [make(node, "Transpose", [node.record.inputs[1]], operand)] : []),
    make(node, "MatMul", [before.record.inputs[0], turned ? operand : node.record.inputs[1]], product),
    ...(bias === undefined ? [] : [make(node, "Add", [product, node.record.inputs[2]], sum)]),
    make(node, "Constant", [], rows, { value_ints: { ints: [-1, outputs as number] } }),
    make(node, "Reshape", [bias === undefined ? product : sum, rows], outputOf(node)),
  ];
};

/** A Reshape of a Reshape, or to the shape that is there already. */
const reshaped: Rewrite = (node, { facts }) => {
  if (!isReshape(node)) return undefined;
  const [input] = node.inputs;
  if (sameShape(facts.shape(input), facts.shape(node.outputs[0])))
    return [make(node, "Identity", [node.record.inputs[0]], outputOf(node))];
  const before = input?.producer;
  const target = node.opType === "Reshape" ? facts.elements(node.inputs[1]) : undefined;
  if (!isReshape(before) || before.scope !== node.scope || target === undefined || target.some((d) => d === undefined || d === 0))
    return undefined;
  return [{ ...node.record, inputs: [before.record.inputs[0], ...node.record.inputs.slice(1)] }];
};

/** Axes are counted from the front. */
const counted: Rewrite = (node, { facts }) => {
  const rank = facts.rank(node.inputs[0]);
  if (!hasTrait(node, "axis") || rank === undefined) return undefined;
  const soft = /Softmax$|^Hardmax$/.test(node.opType);
  const given = node.record.attributes.get("axis");
  const axis = intAttr(
    node.record,
    "axis",
    soft && node.version < 13 ? 1 : soft || node.opType === "LayerNormalization" ? -1 : 0,
  );
  if (given?.refAttrName !== undefined && given.refAttrName !== "") return undefined;
  if (axis >= 0 && (given !== undefined || !soft)) return undefined;
  const attributes = new Map(node.record.attributes).set("axis", attribute(node, "axis", { i: axis < 0 ? axis + rank : axis }));
  return [{ ...node.record, attributes }];
};

/** Statistics of the data alone; what is learned of gain and shift stands behind them, as it would in a file that spells it out. */
const bared: Rewrite = (node, { facts, constants }) => {
  const grouped = hasTrait(node, "grouped");
  if (node.domain !== "" || (!grouped && node.opType !== "LayerNormalization" && node.opType !== "RMSNormalization"))
    return undefined;
  // Before opset 7 a Mul does not broadcast a gain along its channels (before 5 no Reshape takes a shape).
  if (node.version < 7) return undefined;
  const [x, gamma, beta] = node.inputs;
  if (gamma === undefined || !constants.has(gamma) || (beta !== undefined && !constants.has(beta))) return undefined;
  const all = (value: GraphValue, number: number) => asFloat64(constants.tensor(value)).every((v) => v === number);
  if (all(gamma, 1) && (beta === undefined || (grouped && all(beta, 0)))) return undefined;
  const name = (part: string) => inner(node, part);
  const [xName, gammaName, betaName] = node.record.inputs;
  // Numbers that make ones and zeros of the parameter's own type and shape.
  const zeros = make(node, "Sub", [gammaName, gammaName], name("zeros"));
  const ones = make(node, "Exp", [name("zeros")], name("ones"));
  const [rank, channels, size] = [facts.rank(x), facts.size(x, 1), facts.size(gamma, 0)];
  const parts: NodeRecord[] = [zeros, ones];
  /** A parameter in the shape in which it multiplies or adds. */
  const along = (parameter: string, part: string): string | undefined => {
    if (!grouped) return parameter;
    if (rank === undefined || size === undefined) return undefined;
    const shape = (label: string, ints: readonly number[]) => {
      parts.push(make(node, "Constant", [], name(`${part}/${label}`), { value_ints: { ints } }));
      return name(`${part}/${label}`);
    };
    const step = (opType: string, from: string, label: string, ints: readonly number[]) => {
      parts.push(make(node, opType, [from, shape(`${label}/shape`, ints)], name(`${part}/${label}`)));
      return name(`${part}/${label}`);
    };
    const places = new Array<number>(rank - 2).fill(1);
    const perGroup = node.opType === "GroupNormalization" && node.version < 21;
    if (!perGroup) return step("Reshape", parameter, "channels", [size, ...places]);
    if (channels === undefined) return undefined;
    const column = step("Reshape", parameter, "column", [size, 1]);
    return step("Reshape", step("Expand", column, "groups", [size, channels / size]), "channels", [channels, ...places]);
  };
  const [gain, shift] = [along(gammaName, "gain"), beta && along(betaName, "shift")];
  if (gain === undefined || (beta !== undefined && shift === undefined)) return undefined;
  const [core, scaled] = [name("core"), shift === undefined ? outputOf(node) : name("scaled")];
  const { record } = node;
  const inputs = grouped ? [xName, name("ones"), name("zeros")] : [xName, name("ones")];
  parts.push({ ...record, inputs, outputs: [core, ...record.outputs.slice(1)] }, make(node, "Mul", [core, gain], scaled));
  if (shift !== undefined) parts.push(make(node, "Add", [scaled, shift], outputOf(node)));
  return parts;
};

/** A constant factor inside a product goes last, so that what it scales is the whole product, however small it was. */
const factored: Rewrite = (node, { constants }) => {
  if (node.domain !== "" || node.opType !== "Mul" || node.version < 7 || node.inputs.length !== 2) return undefined;
  if (node.inputs.some((value) => value === undefined || constants.has(value))) return undefined;
  for (const k of [0, 1]) {
    const within = node.inputs[k]?.producer;
    if (within?.domain !== "" || !["Mul", "Div"].includes(within.opType) || within.version < 7 || within.scope !== node.scope)
      continue;
    const at = within.inputs.findIndex((value) => value !== undefined && constants.has(value));
    if (at < 0 || (within.opType === "Div" && at === 0)) continue;
    const product = inner(node, "product");
    const [factor, other] = [within.record.inputs[at], within.record.inputs[1 - at]];
    return [
      make(node, "Mul", [node.record.inputs[1 - k], other], product),
      make(node, within.opType, [product, factor], outputOf(node)),
    ];
  }
  return undefined;
};

const REWRITES: readonly Rewrite[] = [
  factored,
  bared,
  plain,
  hardSwish,
  fused,
  gelu,
  quickGelu,
  pooled,
  padded,
  rectified,
  layered,
  reshaped,
  counted,
];

/** A model in its normal form; the model itself when it is that already. */
export function normalForm(model: Model): Model {
  let current = model;
  // What one rewriting makes may be what another begins with: a fused Conv after a Pad.
  for (let round = 0; round < 6; round++) {
    const next = rewritten(current);
    if (next === current) break;
    current = next;
  }
  return current === model ? model : pruned(current);
}

function rewritten(model: Model): Model {
  const side = sideOf(model);
  const made = new Map<NodeRecord, NodeRecord[]>();
  for (const node of side.view.nodes) {
    if (node.scope.kind === "function" || (node.domain === "" && node.opType === "Identity")) continue;
    for (const rewrite of REWRITES) {
      const list = rewrite(node, side);
      if (list === undefined) continue;
      made.set(node.record, list);
      break;
    }
  }
  return made.size === 0 ? model : { ...model, graph: replacedIn(model.graph, (node) => made.get(node) ?? [node]) };
}

/** A graph with its nodes, and those of its subgraphs, replaced. */
function replacedIn(graph: GraphRecord, by: (node: NodeRecord) => NodeRecord[]): GraphRecord {
  const inside = (node: NodeRecord): NodeRecord => {
    if (![...node.attributes.values()].some(({ g, graphs }) => g !== undefined || graphs.length > 0)) return node;
    const attributes = new Map<string, AttributeRecord>();
    for (const [name, one] of node.attributes)
      attributes.set(name, { ...one, g: one.g && replacedIn(one.g, by), graphs: one.graphs.map((g) => replacedIn(g, by)) });
    return { ...node, attributes };
  };
  return { ...graph, nodes: graph.nodes.flatMap((node) => by(node).map(inside)) };
}

/** Without nodes nobody reads. */
function pruned(model: Model): Model {
  const view = viewOf(model);
  const dead = new Set<NodeRecord>();
  for (const node of view.nodes.toReversed()) {
    if (node.scope.kind === "function") continue;
    const read = (value: GraphValue | undefined) =>
      value !== undefined && (value.isOutput || value.uses.some((use) => !dead.has(use.node.record)));
    if (!node.outputs.some(read)) dead.add(node.record);
  }
  return dead.size === 0 ? model : { ...model, graph: replacedIn(model.graph, (node) => (dead.has(node) ? [] : [node])) };
}
