/**
 * Whether folded constants fit their storage type. A value that was finite must stay finite; a row (everything that belongs
 * to one position of the first axis) must not lose more to underflow than rounding costs anyway:
 *   ‖round(w) − w‖₂ ≤ 4·u·‖w‖₂ per row, u the unit roundoff of the type.
 * Numbers whose magnitude lies between the smallest normal and the largest number of the type, and zeros, keep both by
 * themselves (|round(w) − w| ≤ u·|w|); only where others occur are the rows added up.
 */
import { createScaler, type Scaler } from "../kernels/index.ts";
import { roundArray } from "../onnx/codec.ts";
import { STORAGE_FLOATS } from "../onnx/dtype.ts";
import type { Values } from "../onnx/payload.ts";
import { eachRun, fillFrom, type Stream, streamOf } from "../rules/stream.ts";
import { type Param, type Refused, refuse } from "../rules/types.ts";

/** Factors within these bounds cannot take an ordinary float32 or float64 weight out of range; it need not be read for that. */
const SAFE_GAIN = 2 ** 20;
/** Constants up to this size are always looked at. */
const SMALL = 4096;
/** Elements computed at a time: what they take stays in a processor's own cache. */
const STEP = 1 << 16;

const count = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);

/**
 * Checks a changed constant; undefined when it fits. A large float32 or float64 weight under ordinary gains is not read here:
 * `guarded` looks at the numbers when they are written.
 */
export function checkRange(param: Param, exact: boolean): Refused | undefined {
  const wide = param.dtype === "float32" || param.dtype === "float64";
  const tame = param.gain <= SAFE_GAIN && param.smallest >= 1 / SAFE_GAIN && Number.isFinite(param.gain);
  if (!exact && wide && tame && !param.mixed && count(param.dims) > SMALL) return undefined;
  return check(param);
}

/** The same check on the numbers themselves. */
export function checkStored(dtype: Param["dtype"], dims: readonly number[], values: Float64Array): Refused | undefined {
  const rows = new Rows(dtype, dims);
  return rows.add(values) ?? rows.end();
}

/** Adds up rows as their numbers come. */
class Rows {
  private readonly width: number;
  private row = 0;
  private left: number;
  private norm = 0;
  private lost = 0;

  constructor(
    private readonly dtype: Param["dtype"],
    dims: readonly number[],
  ) {
    this.width = dims.length === 0 ? 1 : count(dims.slice(1));
    this.left = this.width;
  }

  add(values: Float64Array): Refused | undefined {
    const { max } = STORAGE_FLOATS[this.dtype];
    const stored = roundArray(this.dtype, values);
    for (let i = 0; i < values.length; ) {
      const end = Math.min(values.length, i + this.left);
      this.left -= end - i;
      for (; i < end; i++) {
        const [v, w] = [values[i], stored[i]];
        if (!Number.isFinite(w) && Number.isFinite(v)) {
          const because = `would hold ${v.toPrecision(4)}, beyond the largest ${this.dtype} (${max})`;
          return refuse("storage-overflow", because, { facts: { row: this.row, value: v, largest: max } });
        }
        if (!Number.isFinite(v)) return refuse("storage-overflow", `would hold ${v}`, { facts: { row: this.row } });
        this.norm += v * v;
        this.lost += (v - w) * (v - w);
      }
      if (this.left > 0) break;
      const refused = this.end();
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  /** Closes a row. */
  end(): Refused | undefined {
    const { row, norm, lost } = this;
    [this.row, this.left, this.norm, this.lost] = [row + 1, this.width, 0, 0];
    if (!(lost > (4 * STORAGE_FLOATS[this.dtype].unitRoundoff) ** 2 * norm)) return undefined;
    return refuse("storage-precision", `would lose the smallest numbers of row ${row} to ${this.dtype} underflow`, {
      facts: { row, norm: Math.sqrt(norm), lost: Math.sqrt(lost) },
    });
  }
}

function check(param: Param): Refused | undefined {
  const stream = streamOf(param.values);
  if (stream === undefined) return checkStored(param.dtype, param.dims, param.values());
  const rows = new Rows(param.dtype, param.dims);
  const piece = new Float64Array(Math.min(STEP, stream.length));
  for (let at = 0; at < stream.length; at += STEP) {
    const part = piece.subarray(0, Math.min(STEP, stream.length - at));
    fillFrom(stream, at, part);
    const refused = rows.add(part);
    if (refused !== undefined) return refused;
  }
  return undefined;
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
    insist(checkStored(param.dtype, param.dims, values));
    return values;
  };
  const stream = streamOf(param.values);
  if (stream === undefined || stream.length <= SMALL) return whole;
  return Object.assign(whole, { pieces: () => pieces(param, stream) });
}

/** Shared by all streams: only one is under way at a time, and what it gives out is good until its next step. */
const scratch: { scaler?: Scaler; numbers?: Float64Array } = {};

function* pieces(param: Param, stream: Stream): Generator<Float64Array | Float32Array> {
  const { max, minNormal } = STORAGE_FLOATS[param.dtype];
  let plain = true;
  for (let at = 0; at < stream.length; at += STEP) {
    const n = Math.min(STEP, stream.length - at);
    if (param.dtype === "float32" && stream.read32 !== undefined && stream.factors.length === 1) {
      scratch.scaler ??= createScaler(STEP);
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
      scratch.numbers ??= new Float64Array(STEP);
      const part = scratch.numbers.subarray(0, n);
      fillFrom(stream, at, part);
      if (plain && isOdd(part, minNormal, max)) {
        insist(check(param));
        // The check used the same stream's buffers.
        plain = false;
        fillFrom(stream, at, part);
      }
      yield part;
    }
  }
}

function isOdd(values: Float64Array, low: number, high: number): boolean {
  for (const v of values) {
    const a = Math.abs(v);
    if (!(a >= low && a <= high) && v !== 0) return true;
  }
  return false;
}
