/**
 * Operands that say how, not what: bounds, axes, zero points. One that is absent stands for a number (ABSENT), earlier
 * versions have an attribute in its place, and lists of axes and positions can say one thing in several ways.
 */
import { intAttr } from "../../graph/attributes.ts";
import { inputName, meantBy, movedFrom } from "../../graph/op-versions.ts";
import { versionsOf } from "../../graph/schemas.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { type DType, dtypeInfo, dtypeOf, isStorageFloat, STORAGE_FLOATS } from "../../onnx/dtype.ts";
import { asNumbers } from "../../onnx/tensor.ts";
import type { Side } from "./classes.ts";
import { sameConstant } from "./match.ts";

/** What an operand is where it is absent: all its numbers are this one. "Operator.input". */
const ABSENT: Readonly<Record<string, number | "lowest" | "highest">> = {
  ...{ "Clip.min": "lowest", "Clip.max": "highest" },
  ...{ "Conv.B": 0, "ConvTranspose.B": 0, "DeformConv.B": 0, "QLinearConv.B": 0, "Gemm.C": 0 },
  ...{ "LSTM.B": 0, "LSTM.initial_h": 0, "LSTM.initial_c": 0, "LSTM.P": 0, "LayerNormalization.B": 0 },
  ...{ "GRU.B": 0, "GRU.initial_h": 0, "RNN.B": 0, "RNN.initial_h": 0 },
  ...{ "QuantizeLinear.y_zero_point": 0, "DequantizeLinear.x_zero_point": 0 },
  ...{ "ConvInteger.x_zero_point": 0, "ConvInteger.w_zero_point": 0 },
  ...{ "MatMulInteger.a_zero_point": 0, "MatMulInteger.b_zero_point": 0 },
  ...{ "DeformConv.mask": 1, "NegativeLogLikelihoodLoss.weight": 1, "SoftmaxCrossEntropyLoss.weights": 1 },
  ...{ "Dropout.ratio": 0.5, "Dropout.training_mode": 0, "Pad.constant_value": 0, "Trilu.k": 0, "DFT.axis": -2 },
  ...{ "NonMaxSuppression.max_output_boxes_per_class": 0, "NonMaxSuppression.iou_threshold": 0, "Loop.cond": 1 },
};

/** The operand that stands for zeros where it is absent, or for another number. */
export const absentNumber = (node: GraphNode, index: number): number | "lowest" | "highest" | undefined => {
  const { domain } = node.record;
  const name = domain === "" ? inputName(domain, node.opType, index) : undefined;
  return name === undefined ? undefined : ABSENT[`${node.opType}.${name}`];
};

/** An operand as it is meant: its numbers, or one number that all of them are; undefined where nobody can say. */
type Meant = { readonly numbers: readonly number[]; readonly dtype?: DType } | { readonly all: number | "lowest" | "highest" };

/** The one number of a small constant; undefined where it has others, or is computed. */
export function numberOf(side: Side, value: GraphValue): number | undefined {
  const numbers = numbersOf(side, value);
  return numbers?.length === 1 ? numbers[0] : undefined;
}

function numbersOf({ facts, constants }: Side, value: GraphValue): readonly number[] | undefined {
  const known = facts.numbers(value);
  if (known !== undefined || !constants.has(value)) return known;
  const tensor = constants.tensor(value);
  return dtypeInfo(tensor.dtype).holder === "string" || dtypeInfo(tensor.dtype).holder === "complex"
    ? undefined
    : asNumbers(tensor);
}

function meantAt(side: Side, node: GraphNode, index: number, name: string): Meant | undefined {
  const { record, version, opType } = node;
  const value = node.inputs[index];
  if (value !== undefined) {
    const numbers = numbersOf(side, value);
    const dtype =
      dtypeOf(side.facts.of(value).dtype) ?? (side.constants.has(value) ? side.constants.tensor(value).dtype : undefined);
    return numbers && { numbers, dtype };
  }
  const attribute = movedFrom(record.domain, opType, version, name);
  if (attribute !== undefined) {
    const given = record.attributes.get(attribute);
    if (given !== undefined && given.refAttrName === "") {
      const one = given.f ?? (given.i === undefined ? undefined : Number(given.i));
      return { numbers: one !== undefined ? [one] : given.ints.length > 0 ? given.ints.map(Number) : given.floats };
    }
    const standing = meantBy(record.domain, opType, version, attribute);
    if (given === undefined && typeof standing === "number") return { numbers: [standing] };
    if (given !== undefined) return undefined;
  }
  const all = absentNumber(node, index);
  if (all !== undefined) return { all };
  return opType === "Resize" ? { numbers: [] } : undefined;
}

/** The bounds of an element type. */
function limit(dtype: DType, end: "lowest" | "highest"): number {
  if (isStorageFloat(dtype)) return end === "highest" ? STORAGE_FLOATS[dtype].max : -STORAGE_FLOATS[dtype].max;
  const { bits, name } = dtypeInfo(dtype);
  if (name.startsWith("uint")) return end === "lowest" ? 0 : 2 ** bits - 1;
  return end === "lowest" ? -(2 ** (bits - 1)) : 2 ** (bits - 1) - 1;
}

function agree(x: Meant, y: Meant, dtype: DType): boolean {
  if ("all" in x && "all" in y) return x.all === y.all;
  if ("all" in y) return agree(y, x, dtype);
  if (!("all" in x))
    return "numbers" in y && x.numbers.length === y.numbers.length && x.numbers.every((v, i) => Object.is(v, y.numbers[i]));
  if (!("numbers" in y)) return false;
  const { all } = x;
  if (typeof all === "number") return y.numbers.every((v) => v === all);
  const type = y.dtype ?? dtype;
  const bound = limit(type, all);
  return y.numbers.every((v) => v === bound || (isStorageFloat(type) && v === (all === "lowest" ? -Infinity : Infinity)));
}

/** Axes, positions and parts of which several lists mean the same, as one text; undefined where they are computed. */
function listText(side: Side, node: GraphNode, name: string): string | undefined {
  const { opType } = node;
  const rank = side.facts.rank(node.inputs[0]);
  const list = (index: number, input: string) => {
    const meant = meantAt(side, node, index, input);
    return meant !== undefined && "numbers" in meant ? meant.numbers : undefined;
  };
  const isAbsent = (index: number, input: string) =>
    node.inputs[index] === undefined && !node.record.attributes.has(movedFrom("", opType, node.version, input) ?? "");
  const front = (axis: number) => (axis < 0 && rank !== undefined ? axis + rank : axis);
  if (opType.startsWith("Reduce") && name === "axes") {
    const axes = isAbsent(1, "axes") ? [] : list(1, "axes");
    if (axes === undefined) return undefined;
    if (axes.length === 0) return intAttr(node.record, "noop_with_empty_axes", 0) === 0 ? "all" : "none";
    const over = new Set(axes.map(front));
    return over.size === rank ? "all" : [...over].sort((p, q) => p - q).join();
  }
  if (opType === "Split" && name === "split") {
    const parts = isAbsent(1, "split") ? [] : list(1, "split");
    return parts && (parts.every((p) => p === parts[0]) ? "equal" : parts.join());
  }
  if (opType === "Slice") return sliceText(side, node, list, isAbsent);
  if (opType === "Pad" && (name === "pads" || name === "axes")) {
    const pads = list(1, "pads");
    const axes = isAbsent(3, "axes") ? pads && Array.from({ length: pads.length / 2 }, (_, i) => i) : list(3, "axes");
    if (pads === undefined || axes === undefined) return undefined;
    const text = axes
      .map((axis, i) => `${front(axis)}:${pads[i]},${pads[i + axes.length]}`)
      .filter((one) => !one.endsWith(":0,0"));
    return text.sort().join(" ");
  }
  if (name === "axis") {
    const axis = meantAt(side, node, node.opType === "DFT" ? 2 : 1, name);
    const one = axis === undefined ? undefined : "all" in axis ? axis.all : axis.numbers[0];
    return typeof one === "number" ? String(front(one)) : undefined;
  }
  return undefined;
}

/** Per axis where a Slice begins and ends, and its step; what reaches beyond the end of a known axis ends there. */
function sliceText(
  { facts }: Side,
  node: GraphNode,
  list: (index: number, input: string) => readonly number[] | undefined,
  isAbsent: (index: number, input: string) => boolean,
): string | undefined {
  const shape = facts.shape(node.inputs[0]);
  const [starts, ends] = [list(1, "starts"), list(2, "ends")];
  const axes = isAbsent(3, "axes") ? starts?.map((_, i) => i) : list(3, "axes");
  const steps = isAbsent(4, "steps") ? starts?.map(() => 1) : list(4, "steps");
  if (starts === undefined || ends === undefined || axes === undefined || steps === undefined) return undefined;
  const parts = axes.map((given, i) => {
    const axis = given < 0 && shape !== undefined ? given + shape.length : given;
    const size = shape?.[axis];
    const forward = steps[i] > 0;
    const at = (position: number, low: number, high: number) =>
      typeof size === "number" ? Math.min(Math.max(position < 0 ? position + size : position, low), high) : far(position);
    const n = typeof size === "number" ? size : 0;
    const start = at(starts[i], 0, forward ? n : n - 1);
    const end = at(ends[i], forward ? 0 : -1, forward ? n : n - 1);
    return forward && start === 0 && steps[i] === 1 && (end === n ? typeof size === "number" : end === Infinity)
      ? ""
      : `${axis}:${start},${end},${steps[i]}`;
  });
  return parts
    .filter((one) => one !== "")
    .sort()
    .join(" ");
}

/** No axis is as long as the largest 32-bit number, which exporters write for "to the end". */
const far = (position: number): number => (position >= 2 ** 31 - 1 ? Infinity : position <= -(2 ** 31) ? -Infinity : position);

/** How many operands two nodes can have, given as inputs or as attributes. */
export const settingsCount = (x: GraphNode, y: GraphNode): number =>
  Math.max(
    x.inputs.length,
    y.inputs.length,
    ...(x.version === y.version ? [] : versionsOf(y.record.domain, y.opType).map(({ inputs }) => inputs.length)),
  );

/** What a QuantizeLinear without a zero point makes. */
const QUANTIZED = new Set<DType | undefined>(["uint8"]);

/** True when two operands at corresponding positions mean the same constant; false also where one of them is computed. */
export function sameSetting(a: Side, x: GraphNode, i: number, b: Side, y: GraphNode, j: number): boolean {
  const [v, w] = [x.inputs[i], y.inputs[j]];
  if (v === undefined && w === undefined && x.version === y.version) return true;
  if (v !== undefined && w !== undefined && a.constants.has(v) && b.constants.has(w) && sameConstant(a, v, b, w)) return true;
  const { domain } = y.record;
  const name = inputName(domain, y.opType, j);
  if (domain !== "" || name === undefined || x.opType !== y.opType || i !== j) return v === undefined && w === undefined;
  const [p, q] = [listText(a, x, name), listText(b, y, name)];
  if (p !== undefined && q !== undefined) return p === q;
  // Numbers of two constants that are not the same are compared with their rounding elsewhere.
  if (v !== undefined && w !== undefined) return false;
  const [mine, theirs] = [meantAt(a, x, i, name), meantAt(b, y, j, name)];
  if (mine === undefined || theirs === undefined) return mine === theirs && v === undefined && w === undefined;
  const given = "numbers" in mine ? mine : "numbers" in theirs ? theirs : undefined;
  if (y.opType === "QuantizeLinear" && given !== undefined && !QUANTIZED.has(given.dtype)) {
    const asked = intAttr((v === undefined ? x : y).record, "output_dtype", 0);
    if (asked === 0 || dtypeOf(asked) !== given.dtype) return false;
  }
  return agree(mine, theirs, dtypeOf(b.facts.of(y.inputs[0]).dtype) ?? "float32");
}
