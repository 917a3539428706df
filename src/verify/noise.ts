/**
 * Which constants of the second model were folded, and the same model with each of them moved by what rounding may do:
 *   c' = c + δ,  δ uniform in ±½ ulp(c),  ½ ulp(c) = u · 2^max(⌊log₂|c|⌋, e_min)   (u: unit roundoff of the storage type)
 * A constant counts as folded when its content is nowhere in the first model, or when it is but a node that reads it stands
 * among other neighbours than any node of the first model that reads the same: a gain of 0.999995 leaves float16 weights bit
 * for bit as they were, yet they are rounded weights. Names do not matter.
 */
import { storedRecord } from "../graph/stored.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import { decode } from "../onnx/codec.ts";
import { dtypeOf, halfUlps, isStorageFloat, type StorageFloat } from "../onnx/dtype.ts";
import type { Model, TensorRecord } from "../onnx/records.ts";
import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { measuresOf } from "./measures.ts";
import { withOffsets } from "./offsets.ts";
import { type Random, randomOf } from "./random.ts";

/** A value that holds stored numbers. */
export interface Stored {
  readonly value: GraphValue;
  readonly record: TensorRecord;
}

/** Random numbers for a constant: by its name, not by where its bytes lie, so that a model in another storage gets the same verdict. */
export const streamOf = ({ value }: Stored, ...path: readonly (string | number)[]): Random =>
  randomOf(...path, value.scope.path, value.name);

function storedIn(view: GraphView): Stored[] {
  return view.scopes.flatMap((scope) =>
    [...scope.values.values()].flatMap((value) => {
      const record = storedRecord(value);
      return record === undefined ? [] : [{ value, record }];
    }),
  );
}

/** Numbers equal contents: tensors of one type and size with the same elements get the same number, in whatever model. */
class Contents {
  private readonly buckets = new Map<string, { id: number; record: TensorRecord }[]>();
  private readonly known = new Map<TensorRecord, number>();
  private next = 0;

  id(record: TensorRecord): number {
    const before = this.known.get(record);
    if (before !== undefined) return before;
    const { data } = decode(record, { keepStorage: true });
    const spread = Array.from({ length: 9 }, (_, i) => data[Math.floor((i * (data.length - 1)) / 8)]);
    const key = `${record.dataType}/${data.length}/${spread.join()}`;
    const bucket = this.buckets.get(key) ?? [];
    this.buckets.set(key, bucket);
    let found = bucket.find((entry) => same(decode(entry.record, { keepStorage: true }).data, data));
    if (found === undefined) {
      found = { id: this.next++, record };
      bucket.push(found);
    }
    this.known.set(record, found.id);
    return found.id;
  }
}

function same(x: Tensor["data"], y: Tensor["data"]): boolean {
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i] && !(Number.isNaN(x[i]) && Number.isNaN(y[i]))) return false;
  return x.length === y.length;
}

const utf8 = new TextDecoder();

/** What a node computes, without its neighbours: operator, attributes, contents of its constant inputs. */
function functionOf(node: GraphNode, contents: Contents): string {
  const attributes = [...node.record.attributes.values()]
    .map((a) => [a.name, a.f, a.i, a.s && utf8.decode(a.s), `${a.floats}`, `${a.ints}`, a.t && contents.id(a.t)].join("/"))
    .sort();
  const inputs = node.inputs.map((value) => {
    const record = storedRecord(value);
    return record === undefined ? "" : `#${contents.id(record)}`;
  });
  return `${node.domain}:${node.opType}(${inputs})${attributes}`;
}

function neighbours(node: GraphNode): string {
  const before = node.inputs.map((value) => (storedRecord(value) ? "" : (value?.producer?.opType ?? "input")));
  const after = node.outputs.map(
    (value) => value && [...value.uses.map((use) => use.node.opType).sort(), value.isOutput ? "output" : ""],
  );
  return `${before}>${after.join(";")}`;
}

export interface Changes {
  readonly view: GraphView;
  /** Float constants of the second model that rounding touched. */
  readonly folded: readonly Stored[];
  /** Nodes of the two models that compute the same function of their inputs: compare with `===`. */
  readonly functionOf: (node: GraphNode) => string;
}

export function changesBetween(a: GraphView, b: GraphView): Changes {
  const contents = new Contents();
  const present = new Set(storedIn(a).map(({ record }) => contents.id(record)));
  const places = new Map<string, number>();
  const placeOf = (node: GraphNode) => `${functionOf(node, contents)} ${neighbours(node)}`;
  const hasFloats = (node: GraphNode) => node.inputs.some((value) => isFloatRecord(storedRecord(value)));
  for (const node of a.nodes) {
    if (hasFloats(node)) places.set(placeOf(node), (places.get(placeOf(node)) ?? 0) + 1);
  }
  const moved = new Set<TensorRecord>();
  for (const node of b.nodes) {
    if (!hasFloats(node)) continue;
    const place = placeOf(node);
    const left = places.get(place) ?? 0;
    if (left > 0) places.set(place, left - 1);
    else for (const value of node.inputs) moved.add(storedRecord(value) as TensorRecord);
  }
  const folded = coefficientsIn(b).filter(({ record }) => moved.has(record) || !present.has(contents.id(record)));
  return { view: b, folded, functionOf: (node) => functionOf(node, contents) };
}

/** Stored floats that rounding may move. */
function coefficientsIn(view: GraphView): Stored[] {
  const measures = measuresOf(view);
  return storedIn(view).filter(({ value, record }) => isFloatRecord(record) && !measures.has(value));
}

function isFloatRecord(record: TensorRecord | undefined): boolean {
  const dtype = record === undefined ? undefined : dtypeOf(record.dataType);
  return dtype !== undefined && isStorageFloat(dtype);
}

/** A model to run, and initializers to replace in it. */
export interface Variant {
  readonly model: Model;
  readonly constants: ReadonlyMap<string, Tensor>;
}

/** Turns each number of a constant, in place, into a random part of what rounding may do to it. */
export function turnIntoRounding({ record }: Stored, values: Float64Array, random: Random): void {
  const table = halfUlps(dtypeOf(record.dataType) as StorageFloat);
  const high = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
  for (let i = 0; i < values.length; i++) values[i] = random.signed() * table[(high[2 * i + 1] >>> 20) & 0x7ff];
}

/** The second model after rounding draw number `draw`: the same for the same seed, whatever else is run. */
export function roundingDraw(model: Model, folded: readonly Stored[], seed: number, draw: number): Variant {
  return offset(model, folded, (stored, values) => turnIntoRounding(stored, values, streamOf(stored, seed, "draw", draw)));
}

/** The model with every stored float moved by a random part of `relative` of its size. */
export function relativeDraw(model: Model, relative: number, seed: number): Variant {
  return offset(model, coefficientsIn(viewOf(model)), (stored, values) => {
    const random = streamOf(stored, seed, "relative");
    for (let i = 0; i < values.length; i++) values[i] *= relative * random.signed();
  });
}

/** `turn` changes the values of a constant, in place, into what is to be added to them. */
function offset(model: Model, all: readonly Stored[], turn: (stored: Stored, values: Float64Array) => void): Variant {
  const constants = new Map<string, Tensor>();
  const inner = new Map<TensorRecord, Tensor>();
  for (const stored of all) {
    const { value, record } = stored;
    const { dtype, dims, data } = decode(record, { keepStorage: true });
    const before = asFloat64({ dtype, dims, data });
    const added = before.slice();
    turn(stored, added);
    if (value.scope.kind === "main" && value.initializer !== undefined) {
      for (let i = 0; i < added.length; i++) added[i] += before[i];
      constants.set(value.name, { dtype, dims, data: added });
    } else inner.set(record, { dtype, dims, data: added });
  }
  return { model: inner.size === 0 ? model : withOffsets(model, inner), constants };
}
