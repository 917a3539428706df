/**
 * How many bits of the files' own precision a fold can cost: one measure for every guard, one limit for all (`maxBitsLost`).
 *
 * Every number that is stored, a value between operators or a constant, is rounded by u relative to its own size (u the unit
 * roundoff of its type; a sum of products also by that of what it is added up in: float32 for the half types). In units of u, and
 * brought to where both files hold the same value again, the roundings of the one and of the other add up as squares:
 *
 *   bits = ½ · log2(Σ roundings² after / Σ roundings² before), at the worst channel or row, not below 0
 *
 * Sizes are those of magnitudes.ts, E[v²] = mean² + deviation². Moving y = s·x + t means:
 *
 *   shift forward    before: s·rounding(x), y                 after: s·rounding(x), s·x as its readers weigh it, the new bias, y
 *                    x near −t/s and exact (an input) loses log2(|mean| / deviation); x that was computed was rounded at that
 *                    size anyway and loses nothing. At a layer: Σ_i w_oi²·(…)_i and the bias of each row o.
 *   into a normalization  before: γ̂μ, β, γ̂σ                   after: the same of its new parameters (γ̂ = γ/√(v + ε))
 *   backward         before: s·x, y                           after: the sum without its bias, y − b', the bias b', y
 *                    in float32 and float64 the sum was rounded at that size before as well: nothing is lost. In the half types
 *                    it was not, and a bias that cancels against it loses log2(|b'| / (|s·x| + |y|)).
 *   rounded to a half type (u its roundoff) beyond a Cast, where y = s·x + t ran in float32
 *                    backward         before: s·x, which was of the half type, and y where it is cast to it behind
 *                                     after: the products with rounded weights, the bias b', y
 *                    forward          before: y, cast to the half type; after: s·x, its products with rounded weights, the new bias
 *   a stored row     lost to underflow: ‖round(w) − w‖ against u·‖w‖ or what hides it (range.ts)
 *   a value others read  shifted by b (gauges): before: v; after: v + b (`shiftBits`)
 */
import { combine, isOne, map, plus, type Spread, times, uniform } from "../affine/spread.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Candidate, Magnitude } from "../laws/candidates.ts";
import type { Draft } from "../laws/draft.ts";
import { type Magnitudes, mappedMagnitude, power, unmapped } from "../laws/magnitudes.ts";
import { dtypeOf } from "../onnx/dtype.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { vectorOn } from "../rules/params.ts";
import { isRefused, type Kind, type NodeState, type Param } from "../rules/types.ts";
import { type Direction, Push } from "./push.ts";
import { biasAt, weightAxis } from "./roles.ts";

/** Bits a fold may cost where nothing else is said. */
export const MAX_BITS_LOST = 4;

/** What a fold can cost, and where. */
export interface Loss {
  readonly bits: number;
  /** A clause that says why, e.g. "reads values near 1000, 500 times their deviation". */
  readonly because: string;
  readonly node?: GraphNode;
}

/** ½·log2(after/before) of two sums of squares, not below 0. */
export function bitsOf(after: number, before: number): number {
  if (!(after > before)) return 0;
  return before > 0 ? 0.5 * Math.log2(after / before) : Number.POSITIVE_INFINITY;
}

/** Bits that readers of a value lose when it is stored with `shift` added, which they take away again: the worst channel. */
export function shiftBits({ mean, deviation }: Magnitude, shift: Spread): number {
  const before = power({ mean, deviation });
  const after = power({ mean: plus(mean, shift), deviation });
  return worst(combine(after, before, (a, b) => bitsOf(a, b)));
}

const worst = ({ data }: Spread): number => data.reduce((most, v) => Math.max(most, v), 0);

/** Sums of squared roundings in units of u, on the channels of y. */
interface Noise {
  readonly before: Spread;
  readonly after: Spread;
}

const UNKNOWN = (rank: number): Magnitude => ({ mean: uniform(rank, 0), deviation: uniform(rank, 1) });

/** More numbers than this are not read for a figure. */
const MOST_READ = 2 ** 24;

export class Precision {
  constructor(
    private readonly draft: Draft,
    private readonly magnitudes: Magnitudes,
  ) {}

  /** What a move costs that the draft has made, by the worst of its places. `touched`: operators it changed, as they were before. */
  lossOf(
    members: readonly Candidate[],
    moves: readonly (readonly [Kind, Direction])[],
    touched: ReadonlyMap<GraphNode, NodeState | undefined>,
  ): Loss {
    const losses: Loss[] = [];
    const goes = (kind: Kind, to: Direction) => moves.some(([k, d]) => k === kind && d === to);
    for (const found of members) {
      if (goes("shift", "forward")) losses.push(this.forward(found, goes("scale", "forward")));
      if (goes("scale", "backward") && goes("shift", "backward")) losses.push(...this.backward(found, touched));
      losses.push(...this.halved(found, moves, touched));
    }
    const first = Math.min(...members.map(({ node }) => node.order));
    for (const [node, before] of touched) if (node.order > first) losses.push(...this.normalization(node, before));
    return losses.reduce((most, loss) => (loss.bits > most.bits ? loss : most), { bits: 0, because: "" });
  }

  /** What it costs at most to take the shift of a node away from the values it is added to. */
  costs(found: Candidate): number {
    return this.forward(found, true).bits;
  }

  /** Maps passed these values: what they hold is no longer what the file says. */
  moved(values: Iterable<GraphValue>): void {
    for (const value of values) this.magnitudes.move(value);
  }

  /** Mean and deviation of what a node makes and takes, as the draft has them: (0, 1) behind it where nothing is known. */
  private around({ node, input, scale, shift }: Candidate): { x: Magnitude; y: Magnitude } {
    const rank = scale.dims.length;
    const fits = (m: Magnitude | undefined) => (m?.mean.dims.length === rank ? m : undefined);
    const y = fits(this.magnitudes.of(node.outputs[0]));
    const x = fits(this.magnitudes.of(node.inputs[input]));
    if (y !== undefined) return { x: x ?? unmapped(y, scale, shift), y };
    if (x !== undefined) return { x, y: mappedMagnitude(x, scale, shift) };
    return { x: unmapped(UNKNOWN(rank), scale, shift), y: UNKNOWN(rank) };
  }

  private forward(found: Candidate, scaled: boolean): Loss {
    const { node, input, scale } = found;
    const none = { bits: 0, because: "" };
    if (found.shift.data.every((t) => t === 0)) return none;
    const { x, y } = this.around(found);
    const exact = this.magnitudes.isExact(node.inputs[input]);
    const own = this.magnitudes.isExact(node.outputs[0]) ? map(y.deviation, (d) => d * d) : power(y);
    const moved = combine(power(x), scale, (p, s) => p * s * s);
    const rounded = exact ? map(moved, () => 0) : moved;
    const noise = { before: plus(rounded, plus(own, own)), after: plus(rounded, plus(moved, own)) };
    // Where rows are not looked at: what takes the shift is rounded at that size, and so is the constant that takes it away.
    const channels = combine(exact ? plus(noise.after, moved) : noise.after, noise.before, bitsOf);
    const bound = worst(channels);
    // A value that was rounded at this size before loses no more than its weights are rounded again by.
    if (bound <= 0.5 || !exact) return { ...none, bits: bound };
    const by = scaled ? map(scale, (s) => (s === 0 ? 1 : 1 / Math.abs(s))) : map(scale, () => 1);
    const bits = this.atRows(node, node.outputs[0] as GraphValue, noise, by) ?? bound;
    return { bits, because: cancels(x, channels) };
  }

  /** The same at the rows of the layers that take the shift; undefined where it goes to something else. */
  private atRows(node: GraphNode, y: GraphValue, noise: Noise, by: Spread): number | undefined {
    const weighed = (squares: Spread) => this.carry(node, y, times(map(squares, Math.sqrt), by));
    const [before, after] = [weighed(noise.before), weighed(noise.after)];
    if (before === undefined || after === undefined) return undefined;
    let most = 0;
    for (const [layer, rows] of before) {
      const other = after.get(layer);
      const bias = biasAt(this.draft, layer);
      if (other === undefined || isRefused(bias)) return undefined;
      for (let o = 0; o < rows.length; o++) {
        // A row of zeros sees nothing of the values: it gives its bias, whatever they are.
        if (rows[o] === 0) continue;
        const b = bias[bias.length === rows.length ? o : 0] ?? 0;
        most = Math.max(most, bitsOf(other[o] + b * b, rows[o]));
      }
    }
    return most;
  }

  /** Σ_i (w_oi·n_i)² of the layers that read y, for amplitudes n on y: they are carried as a gain would be, and taken back. */
  private carry(node: GraphNode, y: GraphValue, amplitudes: Spread): Map<GraphNode, Float64Array> | undefined {
    const { draft } = this;
    const mark = draft.mark();
    const factor = isOne(amplitudes) ? 2 : 1;
    const by = map(amplitudes, (n) => factor * Math.max(n, Number.MIN_VALUE));
    const pushed = new Push(draft, "scale", "forward").all([{ value: y, by, node, index: 0 }]);
    const rows = new Map<GraphNode, Float64Array>();
    let open = isRefused(pushed);
    for (const layer of open ? [] : draft.since(mark).keys()) {
      const state = draft.state(layer);
      const found = [...state.params].find(([index]) => weightAxis(draft.at(layer), index) !== undefined);
      if (found === undefined || sizeOf(found[1].dims) > MOST_READ) open = true;
      else {
        const alpha = state.opType === "Gemm" ? draft.at(layer).float("alpha", 1) : 1;
        rows.set(layer, squares(found[1], weightAxis(draft.at(layer), found[0]) as number, alpha / factor));
      }
      if (open) break;
    }
    draft.undo(mark);
    return open || rows.size === 0 ? undefined : rows;
  }

  /** A bias that cancels against the sum of a layer in a half type. */
  private backward(found: Candidate, touched: ReadonlyMap<GraphNode, NodeState | undefined>): Loss[] {
    const { node, input, scale } = found;
    const value = node.inputs[input];
    const layer = value?.producer;
    const type = value && dtypeOf(this.draft.facts.of(value).dtype);
    if (layer === undefined || !touched.has(layer) || (type !== "float16" && type !== "bfloat16")) return [];
    const bias = biasAt(this.draft, layer);
    const axis = layer.opType === "MatMul" ? scale.dims.length - 1 : 1;
    if (isRefused(bias) || bias.length === 0) return [];
    const { x, y } = this.around(found);
    const [mean, spread, before] = [
      y.mean,
      y.deviation,
      plus(
        combine(power(x), scale, (p, s) => p * s * s),
        power(y),
      ),
    ].map((s) => vectorOn(s, axis, bias.length));
    if (mean === undefined || spread === undefined || before === undefined) return [];
    let [bits, at] = [0, 0];
    for (let o = 0; o < bias.length; o++) {
      const sum = (mean[o] - bias[o]) ** 2 + spread[o] ** 2;
      const lost = bitsOf(sum + bias[o] ** 2 + mean[o] ** 2 + spread[o] ** 2, 2 * before[o]);
      if (lost > bits) [bits, at] = [lost, o];
    }
    return [{ bits, because: `would have a bias of ${bias[at]?.toPrecision(3)} that cancels against its sum`, node: layer }];
  }

  /** A map of float32 values that constants of a half type took, beyond a Cast. */
  private halved(
    found: Candidate,
    moves: readonly (readonly [Kind, Direction])[],
    touched: ReadonlyMap<GraphNode, NodeState | undefined>,
  ): Loss[] {
    const { node, input, scale, shift } = found;
    if (dtypeOf(this.draft.facts.of(node.inputs[input]).dtype) !== "float32") return [];
    const takers = [...touched.keys()].flatMap((taker) => {
      const param = [...this.draft.state(taker).params.values()].find(({ dtype }) => dtype === "float16" || dtype === "bfloat16");
      return param === undefined ? [] : [{ taker, dtype: param.dtype }];
    });
    if (takers.length === 0) return [];
    const { taker, dtype } = takers[0];
    const { x, y } = this.around(found);
    const [moved, own] = [combine(power(x), scale, (p, s) => p * s * s), power(y)];
    const back = moves.some(([, to]) => to === "backward");
    const bias = map(shift, (t) => t * t);
    const rounded = back && !this.magnitudes.isCast(node.outputs[0], dtype) ? map(own, () => 0) : own;
    const before = back ? plus(moved, rounded) : own;
    const after = back ? plus(plus(moved, bias), own) : plus(plus(moved, moved), bias);
    const bits = worst(combine(after, before, bitsOf));
    return [{ bits, because: `has what ran in float32 rounded to ${dtype}`, node: taker }];
  }

  /** A batch normalization that took a map of what it reads into its parameters. */
  private normalization(node: GraphNode, state: NodeState | undefined): Loss[] {
    const now = this.draft.state(node);
    if (now.opType !== "BatchNormalization" || node.removed) return [];
    const [after, before] = [this.parts(node, now), this.parts(node, state)];
    if (after === undefined || before === undefined) return [];
    let [bits, at] = [0, 0];
    for (let c = 0; c < after.constants.length; c++) {
      // What comes out is the same, and so is its deviation.
      const lost = bitsOf(after.constants[c] + before.signal[c], before.constants[c] + before.signal[c]);
      if (lost > bits) [bits, at] = [lost, c];
    }
    return [{ bits, because: `would have parameters of channel ${at} that cancel each other`, node }];
  }

  /** (γ̂μ)² + β² and (γ̂σ)² for each channel. */
  private parts(node: GraphNode, state: NodeState | undefined): { constants: Float64Array; signal: Float64Array } | undefined {
    const param = (i: number) => state?.params.get(i) ?? this.draft.constants.param(node.inputs[i]);
    const list = [1, 2, 3, 4].map(param);
    if (list.some(isRefused)) return undefined;
    const [gamma, beta, mean, variance] = (list as Param[]).map((p) => p.values());
    const epsilon = this.draft.at(node).float("epsilon", Math.fround(1e-5));
    const gains = gamma.map((g, c) => (g * g) / (variance[c] + epsilon));
    return {
      constants: gains.map((gain, c) => gain * mean[c] ** 2 + beta[c] ** 2),
      signal: gains.map((gain, c) => gain * variance[c]),
    };
  }
}

/** Sums of squares along all axes but one, of the numbers times `factor`. */
function squares(param: Param, axis: number, factor: number): Float64Array {
  const inner = sizeOf(param.dims.slice(axis + 1));
  const n = param.dims[axis];
  const out = new Float64Array(n);
  const values = param.values();
  for (let e = 0; e < values.length; e++) out[Math.floor(e / inner) % n] += (values[e] * factor) ** 2;
  return out;
}

function cancels({ mean, deviation }: Magnitude, channels: Spread): string {
  const c = channels.data.indexOf(worst(channels));
  const at = (s: Spread) => s.data[s.data.length === 1 ? 0 : Math.min(c, s.data.length - 1)];
  const [m, d] = [Math.abs(at(mean)), Math.abs(at(deviation))];
  return `takes a shift away from values near ${at(mean).toPrecision(4)}, ${(m / d).toPrecision(3)} times their deviation`;
}
