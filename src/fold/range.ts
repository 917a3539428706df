/**
 * Whether folded constants fit their storage type. A value that was finite must stay finite; a row (everything that belongs
 * to one output) must not lose more than `limit` bits to underflow. With u the unit roundoff of the type,
 *   bits = log2(‖round(w) − w‖₂ / (u · what hides it)), the largest of
 *     ‖w‖₂                    the row's own rounding
 *     |b|                     that of its bias, for inputs of size one
 *     2⁻²⁴ · max_o ‖w_o‖₂     other rows: what lies so far below them is below their rounding even when it is amplified 2²⁴ times
 *     the smallest normal     of its outputs, which are stored in this type too (2⁻⁸ of it where inputs come near the largest
 *                             number of the type, in float16)
 * Numbers whose magnitude lies between the smallest normal and the largest number of the type, and zeros, keep both by
 * themselves (|round(w) − w| ≤ u·|w|); only where others occur are the rows added up.
 */
import { createScaler, type Scaler } from "../kernels/index.ts";
import { roundArray } from "../onnx/codec.ts";
import { STORAGE_FLOATS } from "../onnx/dtype.ts";
import type { Values } from "../onnx/payload.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { eachRun, type Factor, fillFrom, PIECE, piecesOf, type Stream } from "../rules/stream.ts";
import { type Param, type Refused, refuse } from "../rules/types.ts";

/** Factors within these bounds cannot take an ordinary float32 or float64 weight out of range; it need not be read for that. */
const SAFE_GAIN = 2 ** 20;
/** Constants up to this size are always looked at. */
const SMALL = 4096;
/** Rows this far below the largest of their layer are not seen beside it. */
const FAR_BELOW = 2 ** -24;

/** How the numbers of a constant are judged. */
export interface Sight {
  /** Bits a row may lose. */
  readonly limit: number;
  /** The axis along which each position is a row. */
  readonly axis: number;
  /** Size of what is added to each row's output: one number for each, or for all. */
  readonly beside?: Float64Array;
}

/** What a fold may cost where nothing else is said. */
const PLAIN: Sight = { limit: 4, axis: 0 };

/** How constants are judged when they are written, where that was settled when they were planned. */
const sights = new WeakMap<Param["values"], Sight>();

/**
 * Checks a changed constant; undefined when it fits. A large float32 or float64 weight under ordinary gains is not read here:
 * `guarded` looks at the numbers when they are written.
 */
export function checkRange(param: Param, exact: boolean, sight: Sight = PLAIN): Refused | undefined {
  sights.set(param.values, sight);
  const wide = param.dtype === "float32" || param.dtype === "float64";
  const tame = param.gain <= SAFE_GAIN && param.smallest >= 1 / SAFE_GAIN && Number.isFinite(param.gain);
  if (!exact && wide && tame && !param.mixed && sizeOf(param.dims) > SMALL) return undefined;
  return fitsBySpan(param) ? undefined : check(param);
}

/** Room for the rounding of the factors and of their products. */
const ROUNDED = 1 + 2 ** -20;

/** True when the smallest and the largest number there can be keep all their digits: nothing needs to be computed to see that. */
function fitsBySpan({ dtype, span, gain, smallest, mixed }: Param): boolean {
  if (mixed || span === undefined) return false;
  const { max, minNormal } = STORAGE_FLOATS[dtype];
  const { least, most } = span();
  return most * gain * ROUNDED <= max && least * smallest >= minNormal * ROUNDED;
}

/** The same check on the numbers themselves. */
export function checkStored(
  dtype: Param["dtype"],
  dims: readonly number[],
  values: Float64Array,
  sight: Sight = PLAIN,
): Refused | undefined {
  if (!isOdd(values, dtype)) return undefined;
  const rows = new Rows(dtype, dims, sight);
  return rows.add(values) ?? rows.end();
}

/** Adds up rows as their numbers come. */
class Rows {
  /** Elements in a row of the constant that belong together, and how many rows there are. */
  private readonly inner: number;
  private readonly count: number;
  private readonly norms: Float64Array;
  private readonly losses: Float64Array;
  private row = 0;
  private left: number;

  constructor(
    private readonly dtype: Param["dtype"],
    dims: readonly number[],
    private readonly sight: Sight,
  ) {
    const { axis } = sight;
    this.inner = sizeOf(dims.slice(axis + 1));
    this.count = dims[axis] ?? 1;
    [this.norms, this.losses] = [new Float64Array(this.count), new Float64Array(this.count)];
    this.left = this.inner;
  }

  add(values: Float64Array): Refused | undefined {
    const { max } = STORAGE_FLOATS[this.dtype];
    const stored = roundArray(this.dtype, values);
    for (let i = 0; i < values.length; ) {
      const end = Math.min(values.length, i + this.left);
      this.left -= end - i;
      let [norm, lost] = [0, 0];
      for (; i < end; i++) {
        const [v, w] = [values[i], stored[i]];
        if (!Number.isFinite(w) && Number.isFinite(v)) {
          const because = `would hold ${v.toPrecision(4)}, beyond the largest ${this.dtype} (${max})`;
          return refuse("storage-overflow", because, { facts: { row: this.row, value: v, largest: max } });
        }
        if (!Number.isFinite(v)) return refuse("storage-overflow", `would hold ${v}`, { facts: { row: this.row } });
        norm += v * v;
        lost += (v - w) * (v - w);
      }
      this.norms[this.row] += norm;
      this.losses[this.row] += lost;
      if (this.left > 0) break;
      this.row = (this.row + 1) % this.count;
      this.left = this.inner;
    }
    return undefined;
  }

  /** When all numbers have come: the first row that loses more than it may. */
  end(): Refused | undefined {
    const { unitRoundoff, minNormal } = STORAGE_FLOATS[this.dtype];
    const { limit, beside } = this.sight;
    const others = FAR_BELOW * Math.sqrt(this.norms.reduce((most, norm) => Math.max(most, norm), 0));
    const floor = Math.max(others, this.dtype === "float16" ? minNormal * 2 ** -8 : minNormal);
    for (let row = 0; row < this.count; row++) {
      const [norm, lost] = [Math.sqrt(this.norms[row]), Math.sqrt(this.losses[row])];
      if (!(lost > 2 ** limit * unitRoundoff * norm)) continue;
      const hides = Math.max(norm, floor, Math.abs(beside?.[beside.length === this.count ? row : 0] ?? 0));
      const bits = Math.log2(lost / (unitRoundoff * hides));
      if (bits <= limit) continue;
      return refuse("storage-precision", `would lose the smallest numbers of row ${row} to ${this.dtype} underflow`, {
        facts: { row, norm, lost, bits: Math.round(bits * 10) / 10, limit },
      });
    }
    return undefined;
  }
}

function check(param: Param): Refused | undefined {
  const { stream } = param.values;
  const sight = sights.get(param.values) ?? PLAIN;
  if (stream === undefined) return checkStored(param.dtype, param.dims, param.values(), sight);
  // Rows are added up where a first look finds numbers that do not speak for themselves.
  if (!hasOdd(piecesOf(stream), param.dtype)) return undefined;
  const rows = new Rows(param.dtype, param.dims, sight);
  for (const part of piecesOf(stream)) {
    const refused = rows.add(part);
    if (refused !== undefined) return refused;
  }
  return rows.end();
}

/** A constant turned out not to fit its type while it was being written: plan again with `exactRanges`. */
export class LateRefusal extends Error {
  override readonly name = "LateRefusal";
}

function insist(refused: Refused | undefined): void {
  if (refused !== undefined) throw new LateRefusal(refused.because);
}

/** The numbers of a param, checked as they are computed; piece by piece where it has a stream. */
export function guarded(param: Param): Values {
  const whole = () => {
    const values = param.values();
    insist(checkStored(param.dtype, param.dims, values, sights.get(param.values)));
    return values;
  };
  const { stream } = param.values;
  if (stream === undefined || stream.length <= SMALL) return whole;
  return Object.assign(whole, { pieces: () => checked(param, stream) });
}

/** Shared by all streams: only one is under way at a time, and what it gives out is good until its next step. */
const scratch: { scaler?: Scaler; numbers?: Float64Array } = {};

/** A run of a few numbers costs more to hand to the scaler than to multiply. */
const inRuns = ({ inner }: Factor): boolean => inner >= 16;

function* checked(param: Param, stream: Stream): Generator<Float64Array | Float32Array> {
  const { max, minNormal } = STORAGE_FLOATS[param.dtype];
  let plain = true;
  for (let at = 0; at < stream.length; at += PIECE) {
    const n = Math.min(PIECE, stream.length - at);
    if (param.dtype === "float32" && stream.read32 !== undefined && stream.factors.length === 1 && inRuns(stream.factors[0])) {
      scratch.scaler ??= createScaler(PIECE);
      const { scaler } = scratch;
      stream.read32(at, scaler.from.subarray(0, n));
      let odd = false;
      eachRun(stream.factors[0], at, n, (i, end, by) => {
        odd = scaler.run(i, end, by, minNormal, max) || odd;
      });
      if (odd && plain) insist(check(param));
      plain &&= !odd;
      yield scaler.to.subarray(0, n);
    } else {
      scratch.numbers ??= new Float64Array(PIECE);
      const part = scratch.numbers.subarray(0, n);
      fillFrom(stream, at, part);
      if (plain && isOdd(part, param.dtype)) {
        insist(check(param));
        // The check used the same stream's buffers.
        plain = false;
        fillFrom(stream, at, part);
      }
      yield part;
    }
  }
}

function hasOdd(list: Iterable<Float64Array>, dtype: Param["dtype"]): boolean {
  for (const part of list) if (isOdd(part, dtype)) return true;
  return false;
}

/** True where a number is neither zero nor of a magnitude that the type holds with all its digits. */
function isOdd(values: Float64Array, dtype: Param["dtype"]): boolean {
  const { max, minNormal } = STORAGE_FLOATS[dtype];
  // Twice as fast as with an iterator, and every changed number passes here.
  for (let i = 0; i < values.length; i++) {
    const a = Math.abs(values[i]);
    if (!(a >= minNormal && a <= max) && a !== 0) return true;
  }
  return false;
}
