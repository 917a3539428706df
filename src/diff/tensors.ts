/**
 * Two tensors compared, a part at a time where the payload lies in the file as it is: of a pair of gigabytes a few hundred
 * kilobytes are in memory. With n elements finite on both sides
 *
 *   largest = max |a − b|,  rms = √(Σ (a − b)² / n),  scale = √(Σ a² / n)
 */
import { decode, decodeSparse } from "../onnx/codec.ts";
import { dtypeOf } from "../onnx/dtype.ts";
import { type NumberReader, numberReader, samePayload } from "../onnx/pieces.ts";
import type { SparseTensorRecord, TensorRecord } from "../onnx/records.ts";
import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { dtypeName } from "./attributes.ts";
import type { TensorDifference, TensorNumbers, TensorRef } from "./types.ts";

/** A constant of a graph, dense or sparse. */
export interface Constant {
  readonly scope: string;
  readonly name: string;
  readonly dense?: TensorRecord;
  readonly sparse?: SparseTensorRecord;
}

/** Elements read at a time. */
const PART = 1 << 15;

const dimsOf = ({ dense, sparse }: Constant): readonly number[] => (sparse ?? (dense as TensorRecord)).dims;
const typeOf = ({ dense, sparse }: Constant): number => (sparse?.values ?? (dense as TensorRecord)).dataType;

export const tensorRef = (constant: Constant): TensorRef => ({
  ...{ scope: constant.scope, name: constant.name },
  ...{ dtype: dtypeName(typeOf(constant)), dims: dimsOf(constant) },
});

class Tally {
  private elements = 0;
  private differing = 0;
  private finite = 0;
  private squares = 0;
  private reference = 0;
  private largest = 0;

  add(x: ArrayLike<number>, y: ArrayLike<number>): void {
    this.elements += x.length;
    for (let i = 0; i < x.length; i++) {
      const [a, b] = [x[i], y[i]];
      if (!Object.is(a, b) && a !== b) this.differing++;
      const d = a - b;
      if (!Number.isFinite(d)) continue;
      this.finite++;
      this.squares += d * d;
      this.reference += a * a;
      if (Math.abs(d) > this.largest) this.largest = Math.abs(d);
    }
  }

  result(): TensorNumbers {
    const mean = (sum: number) => Math.sqrt(sum / Math.max(1, this.finite));
    const { elements, differing, largest } = this;
    return { elements, differing, largest, rms: mean(this.squares), scale: mean(this.reference) };
  }
}

function streamed(x: NumberReader, y: NumberReader): TensorNumbers {
  const tally = new Tally();
  const [p, q] = [new Float64Array(Math.min(PART, x.length)), new Float64Array(Math.min(PART, x.length))];
  for (let at = 0; at < x.length; at += PART) {
    const n = Math.min(PART, x.length - at);
    x.read(at, p.subarray(0, n));
    y.read(at, q.subarray(0, n));
    tally.add(p.subarray(0, n), q.subarray(0, n));
  }
  return tally.result();
}

function whole(x: Tensor, y: Tensor): TensorNumbers {
  if (x.dtype === "string" || y.dtype === "string") {
    const [p, q] = [x.data, y.data].map((data) => Array.from(data as ArrayLike<unknown>, String));
    const differing = p.filter((text, i) => text !== q[i]).length;
    return { elements: p.length, differing, largest: 0, rms: 0, scale: 0 };
  }
  const tally = new Tally();
  tally.add(asFloat64(x), asFloat64(y));
  const found = tally.result();
  // Beyond 2^53 numbers that differ may be one double.
  if (!(x.data instanceof BigInt64Array || x.data instanceof BigUint64Array) || found.differing > 0) return found;
  const y64 = y.data as BigInt64Array;
  let differing = 0;
  for (let i = 0; i < x.data.length; i++) if (x.data[i] !== y64[i]) differing++;
  return { ...found, differing };
}

const tensorOf = ({ dense, sparse }: Constant): Tensor =>
  sparse === undefined ? decode(dense as TensorRecord) : decodeSparse(sparse);

function numbersOf(a: Constant, b: Constant): TensorNumbers {
  if (a.dense !== undefined && b.dense !== undefined) {
    const [x, y] = [numberReader(a.dense), numberReader(b.dense)];
    if (x !== undefined && y !== undefined) return streamed(x, y);
  }
  return whole(tensorOf(a), tensorOf(b));
}

const same = (x: readonly number[], y: readonly number[]): boolean => x.length === y.length && x.every((d, i) => d === y[i]);

/**
 * How two tensors differ; undefined when type, shape and every element are the same, however they are written.
 * @throws BnfoldError when a payload cannot be read.
 */
export function tensorDifference(a: Constant, b: Constant): TensorDifference | undefined {
  const refs = { tensor: tensorRef(a), now: tensorRef(b) };
  const form = [a, b].map(({ sparse }) => (sparse === undefined ? "dense" : "sparse"));
  const forms = form[0] === form[1] ? {} : { form: [form[0], form[1]] as const };
  if (a.dense !== undefined && b.dense !== undefined && samePayload(a.dense, b.dense)) return undefined;
  const known = dtypeOf(typeOf(a)) !== undefined && dtypeOf(typeOf(b)) !== undefined;
  if (!known || !same(dimsOf(a), dimsOf(b)) || (refs.tensor.dtype === "string") !== (refs.now.dtype === "string"))
    return { ...refs, ...forms };
  const numbers = numbersOf(a, b);
  if (numbers.differing === 0 && refs.tensor.dtype === refs.now.dtype && form[0] === form[1]) return undefined;
  return { ...refs, numbers, ...forms };
}
