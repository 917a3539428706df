/**
 * What a quantiser makes of a weight: symmetric int8 with one scale for the tensor, Δ = max|w| / 127, q = round(w / Δ) half to even.
 *   signal-to-noise ratio in dB = −10·log10 of Σ (w − q·Δ)² / Σ w²          (also with a scale for each output channel)
 * How much of its noise is felt: with E[x²] the mean square of each input channel, all in the units of the file as it was,
 *   Σ (w − q·Δ)²[o, i] · E[x²][i] · stake[o]          stake[o] = Σ over the layers p that read o: Σ w_p²[·, o] / Σ w_p²·E[x_p²]
 * is what it adds to the outputs of the layers that read it, relative to what they are. A value quantised to uint8 over its measured
 * range is felt by ((high − low) / 255)² / 12 · stake on each channel.
 *
 * A search that tries thousands of powers of two goes by what rounding is on average, Δ² / 12 a number.
 */
import { STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";
import type { Param } from "../../rules/types.ts";
import type { Group, LayerWeight } from "./layers.ts";

/** Codes of int8 on either side, and steps of uint8. */
const CODES = 127;
const STEPS = 255;

export interface Noise {
  /** Σ noise² / Σ w², with one scale and with one for each output channel. */
  readonly tensor: number;
  readonly channel: number;
  /** What of the noise with one scale is felt. */
  readonly felt: number;
  /** Largest |w| of each output channel. */
  readonly ranges: Float64Array;
}

/** What the numbers around a layer count for: mean squares of its input channels, stakes of its output channels. */
export interface Stakes {
  readonly inputs: Float64Array;
  readonly outputs: Float64Array;
}

/** The exponent of each block of a weight. */
const exponentOf = ({ inputs, outputs }: LayerWeight, exponents: Int32Array, from: number, to: number): number =>
  (inputs[from] < 0 ? 0 : exponents[inputs[from]]) - (outputs[to] < 0 ? 0 : exponents[outputs[to]]);

/** Adding and taking away this rounds to whole numbers, half to even. */
const WHOLE = 1.5 * 2 ** 52;

/** Quantises a weight as it would be with these exponents. */
export function noiseOf(layer: LayerWeight, exponents: Int32Array, stakes: Stakes): Noise {
  const { rows, columns, taps, from, to, outputs } = layer;
  const values = layer.param.values();
  const ranges = new Float64Array(outputs.length);
  let signal = 0;
  for (let r = 0, k = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const o = to(r, c);
      const factor = 2 ** exponentOf(layer, exponents, from(r, c), o);
      let most = ranges[o];
      for (let t = 0; t < taps; t++, k++) {
        const w = values[k] * factor;
        values[k] = w;
        signal += w * w;
        most = Math.max(most, Math.abs(w));
      }
      ranges[o] = most;
    }
  }
  const whole = ranges.reduce((most, range) => Math.max(most, range), 0);
  if (whole === 0) return { tensor: 0, channel: 0, felt: 0, ranges };
  let [tensor, channel, felt] = [0, 0, 0];
  const one = whole / CODES;
  for (let r = 0, k = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const [i, o] = [from(r, c), to(r, c)];
      const own = (ranges[o] || whole) / CODES;
      let noise = 0;
      for (let t = 0; t < taps; t++, k++) {
        const w = values[k];
        noise += (w - (w / one + WHOLE - WHOLE) * one) ** 2;
        channel += (w - (w / own + WHOLE - WHOLE) * own) ** 2;
      }
      tensor += noise;
      felt += noise * stakes.inputs[i] * stakes.outputs[o] * 4 ** -exponentOf(layer, exponents, i, o);
    }
  }
  return { tensor: tensor / signal, channel: channel / signal, felt, ranges };
}

/** Σ w² of each input channel, and Σ w²·E[x²] of each output channel. */
export function energies(layer: LayerWeight, squares: Float64Array): { inputs: Float64Array; outputs: Float64Array } {
  const { rows, columns, taps, from, to } = layer;
  const values = layer.param.values();
  const [inputs, outputs] = [new Float64Array(layer.inputs.length), new Float64Array(layer.outputs.length)];
  for (let r = 0, k = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const [i, o] = [from(r, c), to(r, c)];
      let energy = 0;
      for (let t = 0; t < taps; t++, k++) energy += values[k] * values[k];
      inputs[i] += energy;
      outputs[o] += energy * squares[i];
    }
  }
  return { inputs, outputs };
}

/** Measured numbers of a value, one for each channel. */
export interface ChannelRanges {
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly mean: Float64Array;
  readonly meanSquare: Float64Array;
}

/** What quantising one tensor says of the classes of a group: numbers of those it holds, by position in the group. */
export interface Term {
  /** Class, and +1 where the tensor grows with its exponent, −1 where it shrinks. */
  readonly at: Int32Array;
  readonly sign: Int8Array;
  readonly high: Float64Array;
  readonly low: Float64Array;
  /** What noise on it counts for; it falls by 4 where the numbers double. */
  readonly stake: Float64Array;
  /** What no class of the group changes: the largest number on either side, and what its noise counts for. */
  readonly rest: { readonly high: number; readonly low: number; readonly stake: number };
  /** What is felt = factor · (high + low)² · Σ stake. */
  readonly factor: number;
}

/** Exponents a class may take besides those it has: numbers stay normal and finite. */
export interface Bounds {
  readonly least: Int32Array;
  readonly most: Int32Array;
}

export interface Surveyed {
  readonly terms: readonly Term[];
  readonly bounds: Bounds;
}

/** An exponent beyond this is never needed to even out ranges, and moves values near the ends of float32. */
const FARTHEST = 20;

/** What the two sides of a tensor's classes hold: side 0 shrinks with the exponent, side 1 grows. */
class Sides {
  readonly high: readonly Float64Array[];
  readonly low: readonly Float64Array[];
  readonly stake: readonly Float64Array[];
  readonly smallest: readonly Float64Array[];
  private readonly seen: readonly Uint8Array[];
  readonly rest = { high: 0, low: 0, stake: 0 };

  constructor(count: number) {
    const pair = (fill: number) => [0, 1].map(() => new Float64Array(count).fill(fill));
    [this.high, this.low, this.stake, this.smallest] = [pair(0), pair(0), pair(0), pair(Number.POSITIVE_INFINITY)];
    this.seen = [new Uint8Array(count), new Uint8Array(count)];
  }

  add(i: number, side: number, high: number, low: number, stake: number): void {
    if (i < 0) {
      this.rest.high = Math.max(this.rest.high, high);
      this.rest.low = Math.max(this.rest.low, low);
      this.rest.stake += stake;
      return;
    }
    this.seen[side][i] = 1;
    if (high > this.high[side][i]) this.high[side][i] = high;
    if (low > this.low[side][i]) this.low[side][i] = low;
    this.stake[side][i] += stake;
  }

  term(factor: number): Term {
    const keys = [0, 1].flatMap((side) =>
      [...this.seen[side].keys()].flatMap((i) => (this.seen[side][i] === 1 ? [[side, i]] : [])),
    );
    const of = (values: readonly Float64Array[]) => Float64Array.from(keys, ([side, i]) => values[side][i]);
    return {
      at: Int32Array.from(keys, ([, i]) => i),
      sign: Int8Array.from(keys, ([side]) => (side === 1 ? 1 : -1)),
      high: of(this.high),
      low: of(this.low),
      stake: of(this.stake),
      rest: this.rest,
      factor,
    };
  }
}

/** Exponents that keep all numbers of a group's classes normal. */
class Limits {
  readonly least: Int32Array;
  readonly most: Int32Array;

  constructor({ classes }: Group, exponents: Int32Array) {
    this.least = Int32Array.from(classes, (c) => -FARTHEST - exponents[c]);
    this.most = Int32Array.from(classes, (c) => FARTHEST - exponents[c]);
  }

  /** Numbers from `smallest` to `largest` that grow (side 1) or shrink (0) with exponent i. */
  keep(i: number, side: number, smallest: number, largest: number, dtype: StorageFloat): void {
    if (largest === 0) return;
    const { minNormal, max } = STORAGE_FLOATS[dtype];
    // A number that is not normal may grow, and nothing else.
    const down = Math.max(0, Math.floor(Math.log2(smallest / minNormal)) - 1);
    const up = Math.max(0, Math.floor(Math.log2(max / largest)) - 1);
    const [below, above] = side === 1 ? [down, up] : [up, down];
    this.least[i] = Math.max(this.least[i], -below);
    this.most[i] = Math.min(this.most[i], above);
  }
}

/** Measured values around a group, with class and stake of each channel. */
export interface MeasuredValue {
  readonly classes: Int32Array;
  readonly ranges: ChannelRanges;
  readonly stakes: Float64Array;
}

/** The tensors around a group as they are with these exponents. */
export function survey(
  group: Group,
  exponents: Int32Array,
  values: readonly MeasuredValue[],
  stakes: (layer: LayerWeight) => Stakes,
): Surveyed {
  const place = new Int32Array(exponents.length).fill(-1);
  for (const [i, c] of group.classes.entries()) place[c] = i;
  const at = (c: number) => (c < 0 ? -1 : place[c]);
  const bounds = new Limits(group, exponents);
  const terms = [
    ...group.layers.map((layer) => weightTerm(layer, stakes(layer), exponents, at, group.classes.length, bounds)),
    ...values.map((value) => valueTerm(value, exponents, at, group.classes.length)),
  ];
  return { terms, bounds };
}

function weightTerm(
  layer: LayerWeight,
  stakes: Stakes,
  exponents: Int32Array,
  at: (c: number) => number,
  count: number,
  bounds: Limits,
): Term {
  const { rows, columns, taps, inputs, outputs, param, bias } = layer;
  const sides = new Sides(count);
  const [into, out] = [inputs, outputs].map((classes) => classes.map(at));
  const weights = param.values();
  for (let r = 0, k = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const [from, to] = [layer.from(r, c), layer.to(r, c)];
      const factor = 2 ** exponentOf(layer, exponents, from, to);
      let [high, smallest] = [0, Number.POSITIVE_INFINITY];
      for (let t = 0; t < taps; t++, k++) {
        const w = Math.abs(weights[k]) * factor;
        if (w > high) high = w;
        if (w > 0 && w < smallest) smallest = w;
      }
      const [i, o] = [into[from], out[to]];
      const stake = (taps * stakes.inputs[from] * stakes.outputs[to]) / factor ** 2;
      // Of one class on both sides, it stays as it is.
      if (i === o) sides.add(-1, 0, high, 0, stake);
      else {
        if (i >= 0) sides.add(i, 1, high, 0, stake);
        if (o >= 0) sides.add(o, 0, high, 0, stake);
        if (i >= 0 && smallest < sides.smallest[1][i]) sides.smallest[1][i] = smallest;
        if (o >= 0 && smallest < sides.smallest[0][o]) sides.smallest[0][o] = smallest;
      }
    }
  }
  for (const side of [0, 1])
    for (let i = 0; i < count; i++) bounds.keep(i, side, sides.smallest[side][i], sides.high[side][i], param.dtype);
  for (const [o, b] of (bias?.values() ?? []).entries()) {
    const size = Math.abs(b) * (outputs[o] < 0 ? 1 : 2 ** -exponents[outputs[o]]);
    if (out[o] >= 0) bounds.keep(out[o], 0, size, size, (bias as Param).dtype);
  }
  return sides.term(1 / (12 * CODES ** 2));
}

function valueTerm(value: MeasuredValue, exponents: Int32Array, at: (c: number) => number, count: number): Term {
  const sides = new Sides(count);
  const { low, high } = value.ranges;
  for (const [channel, c] of value.classes.entries()) {
    const factor = c < 0 ? 1 : 2 ** -exponents[c];
    const [above, below] = [Math.max(0, high[channel]) * factor, Math.max(0, -low[channel]) * factor];
    sides.add(at(c), 0, above, below, value.stakes[channel] / factor ** 2);
  }
  return sides.term(1 / (12 * STEPS ** 2));
}

/** What is felt of a value's noise, as the search reckons it: exact ranges, the noise that rounding makes on average. */
export function valueNoise({ classes, ranges, stakes }: MeasuredValue, exponents: Int32Array): number {
  let [high, low, stake] = [0, 0, 0];
  for (const [channel, c] of classes.entries()) {
    const factor = c < 0 ? 1 : 2 ** -exponents[c];
    high = Math.max(high, ranges.high[channel] * factor);
    low = Math.max(low, -ranges.low[channel] * factor);
    stake += stakes[channel] / factor ** 2;
  }
  return ((high + low) ** 2 * stake) / (12 * STEPS ** 2);
}
