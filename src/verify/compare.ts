/**
 * Two results of the same model function, element by element, in double:
 *   rms difference = √(mean (x − y)²) over elements finite on both sides.
 * NaN agrees with NaN and an infinity with itself; a value finite on one side only is a mismatch, as is any difference of
 * integers, booleans or text, and any difference of structure or shape.
 */
import { type DType, dtypeInfo } from "../onnx/dtype.ts";
import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";

export interface Difference {
  readonly dtype: string;
  readonly dims: readonly number[];
  /** Root mean square and largest difference over elements finite on both sides. */
  readonly rms: number;
  readonly max: number;
  /** Root mean square of the first value's finite elements. */
  readonly scale: number;
  readonly elements: number;
  /** Elements that are NaN or infinite on both sides alike. */
  readonly nonFinite: number;
  /** Elements that differ and are no finite floats; or all, when shapes differ. */
  readonly mismatches: number;
  /** What does not agree, in words; undefined when only finite floats differ. */
  readonly problem?: string;
}

/** The tensors in a value, in order: one for a tensor, those of all items for a sequence or optional. */
export function leavesOf(value: Value | undefined): Tensor[] {
  if (value === undefined) return [];
  if (isTensor(value)) return [value];
  return value.kind === "sequence" ? value.items.flatMap(leavesOf) : leavesOf(value.item);
}

const kindOf = (value: Value): string => (isTensor(value) ? "tensor" : value.kind);

function typeOf(value: Value): { dtype: string; dims: readonly number[] } {
  if (isTensor(value)) return value;
  const leaves = leavesOf(value);
  return { dtype: `${value.kind}(${leaves[0]?.dtype ?? "empty"})`, dims: [leaves.length] };
}

class Tally {
  squares = 0;
  max = 0;
  reference = 0;
  finite = 0;
  elements = 0;
  nonFinite = 0;
  mismatches = 0;
  problem: string | undefined;

  miss(count: number, problem: string): void {
    this.mismatches += count;
    this.problem ??= problem;
  }
}

export function compareValues(x: Value, y: Value): Difference {
  const tally = new Tally();
  const [left, right] = [leavesOf(x), leavesOf(y)];
  if (kindOf(x) !== kindOf(y)) tally.miss(1, `a ${kindOf(x)} became a ${kindOf(y)}`);
  else if (left.length !== right.length) tally.miss(1, `${left.length} tensors became ${right.length}`);
  else left.forEach((tensor, i) => compareTensors(tally, tensor, right[i]));
  const mean = (sum: number) => (tally.finite === 0 ? 0 : Math.sqrt(sum / tally.finite));
  return {
    ...pick(typeOf(x)),
    rms: mean(tally.squares),
    max: tally.max,
    scale: mean(tally.reference),
    elements: tally.elements,
    nonFinite: tally.nonFinite,
    mismatches: tally.mismatches,
    ...(tally.problem === undefined ? {} : { problem: tally.problem }),
  };
}

const pick = ({ dtype, dims }: { dtype: string; dims: readonly number[] }) => ({ dtype, dims });

/** Floats (complex numbers as pairs) are judged by distance, everything else by equality. */
export const isContinuous = (dtype: DType): boolean => ["float", "complex"].includes(dtypeInfo(dtype).holder);

function compareTensors(tally: Tally, x: Tensor, y: Tensor): void {
  const n = x.data.length;
  tally.elements += n;
  if (x.dtype !== y.dtype) {
    tally.miss(n, `element type ${x.dtype} became ${y.dtype}`);
    return;
  }
  if (x.dims.length !== y.dims.length || x.dims.some((d, i) => d !== y.dims[i])) {
    tally.miss(Math.max(1, n), `shape [${x.dims.join(", ")}] became [${y.dims.join(", ")}]`);
    return;
  }
  if (isContinuous(x.dtype)) compareFloats(tally, asFloat64(x), asFloat64(y));
  else compareExact(tally, x, y);
}

/** Elements compared by one call: a function is compiled after a few calls, and a long loop waits for its end. */
const BLOCK = 4096;

function compareFloats(tally: Tally, x: Float64Array, y: Float64Array): void {
  for (let at = 0; at < x.length; at += BLOCK) compareBlock(tally, x, y, at, Math.min(x.length, at + BLOCK));
}

function compareBlock(tally: Tally, x: Float64Array, y: Float64Array, from: number, to: number): void {
  // Sums in locals: a number kept in a field is an object of its own, one for each element.
  let [finite, squares, reference, max] = [0, 0, 0, 0];
  for (let i = from; i < to; i++) {
    const p = x[i];
    const q = y[i];
    const difference = p - q;
    if (Number.isFinite(difference) || (Number.isFinite(p) && Number.isFinite(q))) {
      finite++;
      squares += difference * difference;
      reference += p * p;
      const size = Math.abs(difference);
      if (size > max) max = size;
    } else if (Object.is(p, q)) tally.nonFinite++;
    else tally.miss(1, `element ${i} is ${p} before and ${q} after`);
  }
  tally.finite += finite;
  tally.squares += squares;
  tally.reference += reference;
  tally.max = Math.max(tally.max, max);
}

function compareExact(tally: Tally, x: Tensor, y: Tensor): void {
  for (let i = 0; i < x.data.length; i++) {
    const [p, q] = [x.data[i], y.data[i]];
    const distance = typeof p === "string" ? Number(p !== q) : Number(p) - Number(q);
    tally.finite++;
    tally.squares += distance * distance;
    tally.reference += typeof p === "string" ? 0 : Number(p) ** 2;
    tally.max = Math.max(tally.max, Math.abs(distance));
    if (p !== q) tally.miss(1, `element ${i} is ${p} before and ${q} after`);
  }
}

/** Root mean square distance of the finite floats of two results: the change one rounding draw makes. */
export const rmsDistance = (x: Value, y: Value): number => compareValues(x, y).rms;
