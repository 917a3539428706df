/**
 * What two nodes say, whatever their operator sets write it as: attributes with the defaults of their own versions, operands
 * with what stands for absent ones, and whether a version between changed the operator (graph/op-versions.ts).
 */
import { intAttr, intsAttr, stringAttr } from "../../graph/attributes.ts";
import type { Facts } from "../../graph/facts.ts";
import { Functions } from "../../graph/functions.ts";
import { changesBetween, isMoved, isVoid, latestName, meantBy, type Unless } from "../../graph/op-versions.ts";
import { newestOpset, versionsOf } from "../../graph/schemas.ts";
import { type GraphNode, type GraphView, UNDETERMINED } from "../../graph/view.ts";
import { decode, decodeSparse } from "../../onnx/codec.ts";
import type { AttributeRecord } from "../../onnx/records.ts";
import type { Tensor } from "../../onnx/tensor.ts";
import type { Side } from "./classes.ts";
import { numberOf } from "./settings.ts";

/** Operators whose kernel_shape, or hidden_size, only repeats the shape of their weight. */
const IN_WEIGHT: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["Conv", "ConvTranspose", "DeformConv", "ConvInteger", "QLinearConv"].map((type) => [type, "kernel_shape"]),
  ),
  ...Object.fromEntries(["LSTM", "GRU", "RNN"].map((type) => [type, "hidden_size"])),
};

/** Lists that say nothing when all their numbers are this one. */
const NEUTRAL: Readonly<Record<string, number>> = {
  ...{ pads: 0, output_padding: 0, strides: 1, dilations: 1 },
  ...{ directions: 0, scan_input_directions: 0, scan_output_directions: 0, scan_input_axes: 0, scan_output_axes: 0 },
};

const ACTIVATIONS: Readonly<Record<string, string>> = { LSTM: "Sigmoid,Tanh,Tanh", GRU: "Sigmoid,Tanh", RNN: "Tanh" };

const utf8 = new TextDecoder();

const tensorText = (t: Tensor): string => `${t.dtype}[${t.dims}]${Array.from(t.data, String).join(",")}`;

/** The value of an attribute as text: the same for the same value. */
export function attributeText(a: AttributeRecord): string {
  if (a.refAttrName !== "") return `@${a.refAttrName}`;
  if (a.t !== undefined) return tensorText(decode(a.t));
  if (a.sparseTensor !== undefined) return tensorText(decodeSparse(a.sparseTensor));
  if (a.typeProto !== undefined) return JSON.stringify(a.typeProto);
  if (a.s !== undefined) return utf8.decode(a.s);
  if (a.f !== undefined) return String(a.f);
  if (a.i !== undefined) return String(a.i);
  if (a.tensors.length > 0) return a.tensors.map((t) => tensorText(decode(t))).join(";");
  return `[${a.ints.length > 0 ? a.ints : a.floats.length > 0 ? a.floats : a.strings.map((s) => utf8.decode(s))}]`;
}

const functionsOf = new WeakMap<GraphView, Functions>();

function called({ view }: Side, node: GraphNode) {
  let known = functionsOf.get(view);
  if (known === undefined) {
    known = new Functions(view.model.functions);
    functionsOf.set(view, known);
  }
  return known.called(node.record);
}

/** A list of numbers in the text of an attribute. */
const listed = (text: string): number[] | undefined =>
  text.startsWith("[") && text !== "[]" ? text.slice(1, -1).split(",").map(Number) : undefined;

/** An attribute as it is meant; undefined where nothing stands for it. */
function meant(side: Side, node: GraphNode, name: string): string | undefined {
  const { record, version, opType } = node;
  const given = record.attributes.get(name);
  const fn = called(side, node);
  if (fn !== undefined) {
    const standing = given ?? fn.attributeDefaults.get(name);
    return standing && attributeText(standing);
  }
  const standard = meantBy(record.domain, opType, version, name);
  const absent = Array.isArray(standard) ? `[${standard}]` : standard === undefined ? undefined : String(standard);
  const written = given === undefined ? absent : attributeText(given);
  const text = written && latestName(opType, name, version, written);
  return record.domain === "" && text?.startsWith("@") !== true ? plain(side, node, name, text) : text;
}

/** The type of the codes that a QuantizeLinear makes, or of the numbers that a DequantizeLinear does, as it is written or follows from its operands. */
function typeOfResult({ facts }: Side, { opType, record, inputs }: GraphNode): number {
  const given = intAttr(record, "output_dtype", 0);
  if (opType === "DequantizeLinear") return given || facts.of(inputs[1]).dtype;
  return facts.of(inputs[2]).dtype || given || UINT8;
}

const UINT8 = 2;
const FLOAT8 = new Set([17, 18, 19, 20]);
const isQuantizing = ({ opType }: GraphNode): boolean => opType === "QuantizeLinear" || opType === "DequantizeLinear";

/** What attributes of quantisation say, written out or not. */
function quantizing(side: Side, node: GraphNode, name: string, text: string | undefined): string | undefined {
  if (name === "output_dtype") return String(typeOfResult(side, node));
  if (name === "saturate") return FLOAT8.has(typeOfResult(side, node)) ? text : undefined;
  return String(Number(text ?? 0) || side.facts.of(node.inputs[1]).dtype);
}

/** One text for what can be written in several ways. */
function plain(side: Side, node: GraphNode, name: string, text: string | undefined): string | undefined {
  const { opType } = node;
  if (isQuantizing(node) && ["output_dtype", "saturate", "precision"].includes(name)) return quantizing(side, node, name, text);
  if (name === "activations" && opType in ACTIVATIONS) {
    const base = ACTIVATIONS[opType];
    return text === undefined || text.replace(/[[\],]/g, "").replaceAll(base.replaceAll(",", ""), "") === "" ? base : text;
  }
  if (name === "auto_pad" && (text === "" || (text === "VALID" && !hasPads(node)))) return "NOTSET";
  if (text === undefined) return opType === "ConstantOfShape" && name === "value" ? "float32[1]0" : undefined;
  const list = listed(text);
  if (name in NEUTRAL && (text === "[]" || list?.every((v) => v === NEUTRAL[name]))) return undefined;
  if (name === "perm" && list?.every((v, i) => v === list.length - 1 - i)) return undefined;
  const rank = side.facts.rank(node.inputs[0]);
  if (rank === undefined) return text;
  const front = (axis: number) => (axis < 0 ? axis + rank : axis);
  if (name === "axis" && opType !== "OneHot") return String(front(Number(text)));
  return name === "axes" && list !== undefined ? `[${list.map(front)}]` : text;
}

const hasPads = (node: GraphNode): boolean => (intsAttr(node.record, "pads") ?? []).some((p) => p !== 0);

/** True when an attribute of this node cannot matter: other things say the same, or it is about what is not there. */
function isIdle({ facts }: Side, node: GraphNode, name: string): boolean {
  const { domain } = node.record;
  if (domain !== "" && domain !== "com.microsoft") return false;
  if (IN_WEIGHT[node.opType] === name) return !contradictsWeight(facts, node, name);
  // As many parts as there are outputs.
  if (node.opType === "Split" && name === "num_outputs") return true;
  const perTensor = facts.shape(node.inputs[1])?.every((d) => d === 1) === true;
  return name === "axis" && perTensor && isQuantizing(node);
}

/** True of a kernel_shape or hidden_size that is not what the weight says: no runtime takes it. */
function contradictsWeight(facts: Facts, { record, opType, inputs }: GraphNode, name: string): boolean {
  const recurrent = name === "hidden_size";
  const shape = facts.shape(inputs[recurrent ? 2 : opType === "QLinearConv" ? 3 : 1]);
  const said = recurrent ? record.attributes.get(name) && [intAttr(record, name, 0)] : intsAttr(record, name);
  const dims = recurrent ? shape?.slice(-1) : shape?.slice(2);
  return said !== undefined && dims !== undefined && said.some((d, i) => typeof dims[i] === "number" && dims[i] !== d);
}

/** All attributes that may mean something in one of two nodes. */
function namesOf(a: Side, x: GraphNode, b: Side, y: GraphNode): Set<string> {
  const names = new Set([...x.record.attributes.keys(), ...y.record.attributes.keys()]);
  for (const [side, node] of [
    [a, x],
    [b, y],
  ] as const) {
    for (const name of called(side, node)?.attributeDefaults.keys() ?? []) names.add(name);
    if (x.version !== y.version)
      for (const { attributes } of versionsOf(node.record.domain, node.opType))
        for (const name of attributes.keys()) names.add(name);
  }
  return names;
}

/** The attributes in which two nodes differ. Subgraphs are compared by whoever walks them. */
export function attributeDifferences(
  a: Side,
  x: GraphNode,
  b: Side,
  y: GraphNode,
  changed: Readonly<Record<string, unknown>> = {},
): string[] {
  const same = x.version === y.version;
  const differ = (name: string): boolean => {
    if (isVoid(name, same) || name in changed || (isIdle(a, x, name) && isIdle(b, y, name))) return false;
    const [p, q] = [x.record.attributes.get(name), y.record.attributes.get(name)];
    const graphs = (one: AttributeRecord | undefined) => one?.g !== undefined || (one?.graphs.length ?? 0) > 0;
    if (graphs(p) || graphs(q)) return p === undefined || q === undefined;
    // What is an input in only one of the versions is compared as an operand.
    const moved = [x, y].map((node) => isMoved(node.record.domain, node.opType, node.version, name));
    if (!same && moved.includes(true)) return moved[0] === moved[1] && meant(a, x, name) !== meant(b, y, name);
    return meant(a, x, name) !== meant(b, y, name);
  };
  return [...namesOf(a, x, b, y)].filter(differ);
}

/** The first attribute in which two nodes differ; undefined when none does. */
export const attributeDifference = (...args: Parameters<typeof attributeDifferences>): string | undefined =>
  attributeDifferences(...args)[0];

/** True where the pads of a node follow from sizes. */
const isAuto = (node: GraphNode): boolean => !["", "NOTSET"].includes(stringAttr(node.record, "auto_pad", "NOTSET"));

/** True when attributes that differ mean something else for certain, and are not only written in a way nobody here understands. */
export function isTelling(a: Side, x: GraphNode, b: Side, y: GraphNode, names: readonly string[]): boolean {
  const ranked = a.facts.rank(x.inputs[0]) !== undefined && b.facts.rank(y.inputs[0]) !== undefined;
  // The same pads can be given by numbers and by a rule.
  const ruled = isAuto(x) !== isAuto(y);
  return names.some((name) => (name === "pads" || name === "auto_pad" ? !ruled : ranked || (name !== "axis" && name !== "axes")));
}

/** Why two nodes of one type do not mean the same before their attributes and operands are looked at; undefined when they do. */
export function meaningDifference(a: Side, x: GraphNode, b: Side, y: GraphNode): string | undefined {
  const { domain } = y.record;
  if (x.opType !== y.opType || x.record.domain !== domain || y.domain === UNDETERMINED.ambiguous) return undefined;
  if (domain === "" && x.opType === "Split" && x.outputs.length !== y.outputs.length) return "has another number of outputs";
  if (domain === "" && x.opType === "BatchNormalization" && trains(a, x) !== trains(b, y))
    return "trains in only one of the files";
  if (x.version === y.version) return undefined;
  if (called(a, x) !== undefined && called(b, y) !== undefined) return undefined;
  const newest = newestOpset(domain);
  const name = domain === "" ? "ai.onnx" : domain;
  if (newest === undefined || versionsOf(domain, x.opType).length === 0 || Math.max(x.version, y.version) > newest)
    return `is of version ${x.version} of ${name} in the first file and of version ${y.version} in the second`;
  const change = changesBetween(domain, x.opType, x.version, y.version).find(
    ({ unless }) => unless === undefined || !UNLESS[unless](a, x) || !UNLESS[unless](b, y),
  );
  return (
    change && `means something else in operator sets ${x.version} and ${y.version}: since ${change.since} it ${change.because}`
  );
}

const trains = (side: Side, node: GraphNode): boolean => !UNLESS.inference(side, node);

const UNLESS: Readonly<Record<Unless, (side: Side, node: GraphNode) => boolean>> = {
  "last-axis": (side, node) => {
    const rank = side.facts.rank(node.inputs[0]);
    return rank !== undefined && meant(side, node, "axis") === String(rank - 1);
  },
  "no-ceiling": (side, node) => intAttr(node.record, "ceil_mode", 0) === 0 || fitsInside(side, node),
  "one-slope": ({ facts }, node) => facts.shape(node.inputs[1])?.every((d) => d === 1) === true,
  inference: (side, { record, version, opType, inputs, outputs }) => {
    if (version < 7 && intAttr(record, "is_test", 0) === 0) return false;
    if (opType === "BatchNormalization")
      return version < 14 ? outputs.slice(1).every((value) => value === undefined) : intAttr(record, "training_mode", 0) === 0;
    return version < 12 || inputs[2] === undefined || numberOf(side, inputs[2]) === 0;
  },
};

/** True when no window of a pool begins in the padding at the end, whatever is done about it. */
function fitsInside({ facts }: Side, { record, inputs }: GraphNode): boolean {
  const [shape, kernel] = [facts.shape(inputs[0])?.slice(2), intsAttr(record, "kernel_shape")];
  if (shape === undefined || kernel === undefined) return false;
  if (!["", "NOTSET"].includes(stringAttr(record, "auto_pad", "NOTSET"))) return true;
  const of = (name: string, fallback: number) => intsAttr(record, name) ?? new Array<number>(2 * kernel.length).fill(fallback);
  const [strides, dilations, pads] = [of("strides", 1), of("dilations", 1), of("pads", 0)];
  return shape.every((size, i) => {
    if (typeof size !== "number") return false;
    const [before, after] = [pads[i], pads[i + kernel.length]];
    const windows = Math.ceil((size + before + after - (dilations[i] * (kernel[i] - 1) + 1)) / strides[i]) + 1;
    return (windows - 1) * strides[i] < size + before;
  });
}
