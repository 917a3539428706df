/** Sequences: SequenceEmpty, Construct, At, Insert, Erase, Length, SplitToSequence, ConcatFromSequence. */
import { dtypeInfo } from "../onnx/dtype.ts";
import type { TypeInfo } from "../onnx/records.ts";
import { asNumbers, int64s, type Tensor } from "../onnx/tensor.ts";
import { normalizeAxis, withDims } from "./broadcast.ts";
import { dtypeAttribute } from "./constant.ts";
import { isTensor, type OpContext, type OpDef, type RunOperator, type SequenceValue, type Value } from "./define.ts";
import { checkedConcat, split } from "./shape.ts";

function sequenceOf(context: OpContext, value: Value | undefined): SequenceValue {
  if (value === undefined || isTensor(value) || value.kind !== "sequence") throw context.fail("input 0 is no sequence");
  return value;
}

const typeOf = (value: Value | undefined): TypeInfo | undefined =>
  value !== undefined && isTensor(value) ? { kind: "tensor", elemType: dtypeInfo(value.dtype).code } : undefined;

/** The position input, counted from the end when negative; `room` positions exist. */
function position(context: OpContext, value: Value | undefined, fallback: number, length: number, room: number): number {
  if (value === undefined) return fallback;
  const given = isTensor(value) ? asNumbers(value)[0] : Number.NaN;
  const at = given < 0 ? given + length : given;
  if (!(at >= 0 && at < room)) throw context.fail(`position ${given} is outside the sequence of ${length}`);
  return at;
}

const empty: RunOperator = (context) => {
  const dtype = dtypeAttribute(context, "dtype") ?? "float32";
  return [{ kind: "sequence", items: [], of: { kind: "tensor", elemType: dtypeInfo(dtype).code } }];
};

const construct: RunOperator = (_, inputs) => {
  return [{ kind: "sequence", items: inputs.filter((input) => input !== undefined), of: typeOf(inputs[0]) }];
};

const at: RunOperator = (context, [value, where]) => {
  const { items } = sequenceOf(context, value);
  return [items[position(context, where, 0, items.length, items.length)]];
};

const insert: RunOperator = (context, [value, item, where]) => {
  const sequence = sequenceOf(context, value);
  if (item === undefined) throw context.fail("there is nothing to insert");
  const n = sequence.items.length;
  return [{ ...sequence, items: sequence.items.toSpliced(position(context, where, n, n, n + 1), 0, item) }];
};

const erase: RunOperator = (context, [value, where]) => {
  const sequence = sequenceOf(context, value);
  const n = sequence.items.length;
  return [{ ...sequence, items: sequence.items.toSpliced(position(context, where, n - 1, n, n), 1) }];
};

const splitToSequence: RunOperator = (context, [input, given]) => {
  if (input === undefined || !isTensor(input)) throw context.fail("input 0 is no tensor");
  const axis = normalizeAxis(context.int("axis", 0), input.dims.length);
  const n = input.dims[axis];
  let sizes: number[];
  const list = given === undefined ? undefined : asNumbers(given as Tensor);
  if (list !== undefined && (given as Tensor).dims.length > 0) sizes = list;
  else {
    const size = list?.[0] ?? 1;
    if (!(size >= 1)) throw context.fail(`pieces of size ${size}`);
    sizes = Array.from({ length: Math.ceil(n / size) }, (_, i) => Math.min(size, n - i * size));
  }
  if (sizes.reduce((a, b) => a + b, 0) !== n) throw context.fail(`parts ${sizes.join(", ")} do not add up to ${n}`);
  const pieces = split(input, axis, sizes);
  const drop = given === undefined && context.int("keepdims", 1) === 0;
  const items = drop
    ? pieces.map((piece) =>
        withDims(
          piece,
          piece.dims.filter((_, i) => i !== axis),
        ),
      )
    : pieces;
  return [{ kind: "sequence", items, of: typeOf(input) }];
};

const concatFromSequence: RunOperator = (context, [value]) => {
  const items = sequenceOf(context, value).items.filter(isTensor);
  const given = context.int("axis", 0);
  if (context.int("new_axis", 0) === 0) return [checkedConcat(context, items, given)];
  if (items.length === 0) throw context.fail("there is nothing to concatenate");
  const axis = normalizeAxis(given, items[0].dims.length + 1);
  return [
    checkedConcat(
      context,
      items.map((item) => withDims(item, item.dims.toSpliced(axis, 0, 1))),
      axis,
    ),
  ];
};

export const sequenceOps: readonly OpDef[] = [
  { type: "SequenceEmpty", since: 11, run: empty },
  { type: "SequenceConstruct", since: 11, run: construct },
  { type: "SequenceAt", since: 11, run: at },
  { type: "SequenceInsert", since: 11, run: insert },
  { type: "SequenceErase", since: 11, run: erase },
  { type: "SequenceLength", since: 11, run: (context, [value]) => [int64s([sequenceOf(context, value).items.length], [])] },
  { type: "SplitToSequence", since: 11, run: splitToSequence },
  { type: "ConcatFromSequence", since: 11, run: concatFromSequence },
];
