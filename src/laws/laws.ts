/**
 * One law an operator, without direction. With v_old = a ⊙ v_new + b on every value, an operator may stay as it is (or with other
 * constants) where
 *   layers                         linear.ts; readers and makers that end everything: ends.ts
 *   a normalization that stays     always: its parameters take both sides
 *   x · c that stays               b_y = c·b_x                       x + c, c − x that stay   a_y = a_x
 *   −x that stays                  a_y = a_x, b_y = −b_x             x ⊙ z, x / z             a_y = a_x, b = 0 (z stays)
 *   Relu, LeakyRelu, PRelu, Abs    a_y = a_x > 0, b = 0              maxima                   a_y = a_x > 0, b_y = b_x
 *   averages, Resize               equal                             Add, Sub, Sum, Mean      a equal, b_y = Σ ±b, or their mean
 *   x · z of matrices              a_y = a_x where they are not summed over; b_y = b_x where the other one's rows sum to one
 *   Concat, Split, Slice, Gather, Transpose, Reshape …: entries move
 *   everything else                a = 1, b = 0 on all sides: ground
 * and y = s ⊙ x + t goes where a_y = s·a_x and b_y − s·b_x = t, but for channels with s = 0 that nobody needs (released.ts).
 *
 * Only what candidates can reach is looked at (reach.ts). Asked for the whole graph, layers are where it begins, and these hold
 * besides (gains only):
 *   x · c that stays, x · gate         a_y = a_x
 *   Clip, Max, Min with constants      a_y = a_x > 0, their bounds take it
 *
 * A bound on what can go must not forget what rules/ can do and no law says. So for a certificate an operator with a rule and
 * without a law leaves its results loose: no equation holds of them, whatever is asked; and bounds take gains and shifts.
 */
import { isOne, type Spread } from "../affine/spread.ts";
import type { Steps } from "../diag/steps.ts";
import { sameShape } from "../graph/dims.ts";
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { ruleOf } from "../rules/index.ts";
import { isRefused } from "../rules/types.ts";
import { isLayerBias } from "./biases.ts";
import type { Candidate } from "./candidates.ts";
import { makerOf, takerOf } from "./ends.ts";
import { type Layer, layerOf, mayBeLayer } from "./linear.ts";
import { isLookedThrough, type Mover, moverOf, turns } from "./movers.ts";
import { inOrder } from "./order.ts";
import { addsUp, isFixed, isProduct, type Reading, reached } from "./reach.ts";
import { ground, place, Values } from "./values.ts";
import { anything, each, filled, grounded, isGround, type Network, over, TABLE, type Wire } from "./wires.ts";

export type { Reading } from "./reach.ts";

export interface Laws {
  readonly network: Network;
  readonly wires: ReadonlyMap<GraphValue, Wire>;
  readonly movers: readonly Mover[];
  /** Operators whose constants can take gauges, in the order of the graph. */
  readonly absorbers: readonly GraphNode[];
  /** Results whose shift is what becomes of that of their layer's input: constant Adds behind take it. */
  readonly derived: ReadonlySet<GraphValue>;
}

/**
 * The laws around candidates, in steps. `may`: which of them may go. `from`: those whose surroundings matter, and all they can
 * reach; default all.
 */
export function lawsOf(
  view: GraphView,
  read: Reading,
  found: readonly Candidate[],
  may: (c: Candidate) => boolean,
  from: (c: Candidate) => boolean = () => true,
): Steps<Laws> {
  return new Builder(read, found, { may, from }).run(view);
}

/** The laws of gains of a whole graph in which no node goes. `fixed`: operators whose constants and values stay. */
export function lawsOfGains(
  view: GraphView,
  read: Reading,
  found: readonly Candidate[],
  fixed: (node: GraphNode) => boolean,
): Steps<Laws> {
  return new Builder(read, found, { may: () => false, from: () => true, fixed }).run(view);
}

/** The laws for a bound on what can go: they allow no less than rules/ do. */
export function laxLaws(view: GraphView, read: Reading, found: readonly Candidate[]): Steps<Laws> {
  return new Builder(read, found, { may: (c) => !isLayerBias(read, c), from: () => true, lax: true }).run(view);
}

interface Mode {
  readonly may: (c: Candidate) => boolean;
  readonly from: (c: Candidate) => boolean;
  /** Present where the laws are of the whole graph. */
  readonly fixed?: (node: GraphNode) => boolean;
  /** True for a bound. */
  readonly lax?: boolean;
}

class Builder extends Values {
  private readonly movers: Mover[] = [];
  private readonly absorbers: GraphNode[] = [];
  private readonly derived = new Set<GraphValue>();
  private readonly candidates: ReadonlyMap<GraphNode, Candidate>;

  constructor(
    read: Reading,
    found: readonly Candidate[],
    private readonly mode: Mode,
  ) {
    super(read, mode.lax === true);
    this.candidates = new Map(found.map((c) => [c.node, c]));
  }

  *run(view: GraphView): Steps<Laws> {
    const { read, candidates, mode } = this;
    this.near = mode.fixed === undefined ? reached(read, candidates, mode.from) : new Set(view.nodes);
    for (const node of inOrder(view, this.near)) {
      if (!node.removed) this.visit(node);
      yield;
    }
    const { network, wires, absorbers, derived } = this;
    const taken = new Set(absorbers);
    const looked = (mover: Mover) => isLookedThrough(mover, wires, taken);
    const movers = this.movers.map((mover) => (looked(mover) ? mover : { ...mover, may: false }));
    return { network, wires, movers, absorbers, derived };
  }

  private visit(node: GraphNode): void {
    this.network.begin(node);
    // What a constant is made of was read for its type or shape.
    if (node.outputs.every((value) => value === undefined || this.read.constants.has(value))) return;
    const { fixed } = this.mode;
    const candidate = this.candidates.get(node);
    if (node.domain !== "" || node.bodies.length > 0 || this.stays(node)) this.unknown(node);
    else if (fixed !== undefined && node.opType === "Mul" && candidate === undefined) this.gate(node);
    else if (hasTrait(node, "bounds") && (fixed !== undefined || this.lax)) this.bounded(node);
    else if (candidate !== undefined) this.candidate(candidate);
    else if (mayBeLayer(node.domain, node.opType)) this.layer(node);
    else if (fixed === undefined && this.ends(node)) return;
    else if (addsUp(node)) this.sum(node);
    else if (hasTrait(node, "carries")) this.moves(node);
    else if (fixed === undefined && isProduct(node)) this.gate(node);
    else this.unknown(node);
  }

  /** True, where gains of the whole graph are looked for, of what nobody may change or has become another operator. */
  private stays(node: GraphNode): boolean {
    const { fixed } = this.mode;
    if (fixed === undefined) return false;
    const { opType, bias, mirrored } = this.read.at(node).state;
    return fixed(node) || opType !== node.opType || bias !== undefined || mirrored === true;
  }

  /** A product with a computed value that stays, as that of an excitation. */
  private gate(node: GraphNode): void {
    const [y] = node.outputs;
    const wires = node.inputs.map((value) => this.wire(value));
    const { facts } = this.read;
    const open = [0, 1].filter((k) => wires[k] !== undefined && !(k === 1 && node.opType === "Div"));
    // Of a square, a gain is a square: no law of lines and ratios.
    const square = node.inputs[0] === node.inputs[1];
    const whole = square ? [] : open.filter((k) => sameShape(facts.shape(node.inputs[k]), facts.shape(y)));
    const [i] = whole;
    const [other] = wires.filter((wire, k) => k !== i && wire !== undefined);
    if (wires.every((wire) => wire === undefined)) return;
    const fits = node.inputs.length === 2 && i !== undefined && !(this.mode.fixed !== undefined && other !== undefined);
    if (!fits || y === undefined) {
      this.unknown(node);
      return;
    }
    const { scale, shift } = wires[i] as Wire;
    this.network.still(shift);
    if (!this.lax) this.stop(node, node.inputs[i]);
    else if (other !== undefined) {
      // Their gains multiply; none of that is noted.
      this.network.still(other.shift);
      this.make(y, { scale: anything(scale.dims.length), shift: ground(scale.dims.length) });
      return;
    }
    this.make(y, { scale, shift: ground(scale.dims.length) });
  }

  /** Bounds that take a gain of their own on each channel. */
  private bounded(node: GraphNode): void {
    const open = node.inputs.filter((value) => value !== undefined && !this.read.constants.has(value));
    const [x, y] = [open[0], node.outputs[0]];
    const wire = this.wire(x);
    const { facts } = this.read;
    const fits = open.length === 1 && node.version >= 8 && sameShape(facts.shape(x), facts.shape(y));
    if (wire === undefined || y === undefined || !fits || (node.opType === "Clip" && x !== node.inputs[0])) {
      this.unknown(node);
      return;
    }
    if (this.lax) {
      this.make(y, wire);
      return;
    }
    this.network.still(wire.shift);
    this.absorbers.push(node);
    this.make(y, { scale: wire.scale, shift: ground(wire.scale.dims.length) });
  }

  private layer(node: GraphNode): void {
    const layer = layerOf(this.read.at(node));
    if (layer === undefined) {
      if (node.opType === "MatMul" && this.mode.fixed === undefined) this.product(node);
      else this.unknown(node);
      return;
    }
    const [x, y] = [node.inputs[layer.index], node.outputs[0]];
    if (x === undefined || y === undefined) return;
    this.stop(node, x);
    const wire = this.wire(x);
    if (wire !== undefined && this.across(layer, wire, y)) return;
    const behind = layer.biasBehind === true && this.mode.fixed === undefined && this.isBiasedBehind(y);
    if (behind) this.derived.add(y);
    this.absorbers.push(node);
    if (wire !== undefined) this.into(wire, behind ? { ...layer.input, shifts: true } : layer.input);
    this.free(y, behind ? { ...layer.output, shifts: true } : layer.output);
  }

  /** Gains that vary along an axis on which a layer works place by place come out as they are. */
  private across({ across, input: { axis } }: Layer, { scale, shift }: Wire, y: GraphValue): boolean {
    const other = scale.dims.some((d, a) => d !== 1 && a !== axis);
    if (across !== true || this.mode.fixed !== undefined || !other || scale.dims[axis] !== 1) return false;
    this.network.still(shift);
    this.make(y, { scale, shift: ground(scale.dims.length) });
    return true;
  }

  /** True when all that reads a value are constant Adds that stay: biases. */
  private isBiasedBehind(y: GraphValue): boolean {
    if (isFixed(this.read, y)) return false;
    let count = 0;
    for (const { node } of y.readers()) {
      const found = this.candidates.get(node);
      const adds = found?.kind === "affine" && found.proven && isOne(found.scale) && !isProduct(node);
      if (!adds || node.inputs[found.input] !== y || (!this.lax && this.mode.may(found))) return false;
      count++;
    }
    return count > 0;
  }

  /** What only takes, or only makes. */
  private ends(node: GraphNode): boolean {
    const at = this.read.at(node);
    const [taker, maker] = [takerOf(at), makerOf(at)];
    const [x, y] = [node.inputs[0], node.outputs[0]];
    if (taker !== undefined && x !== undefined) {
      for (const value of node.inputs) {
        const wire = value === x ? undefined : this.wire(value);
        if (wire !== undefined) this.network.ground(wire);
      }
      const wire = this.wire(x);
      if (wire !== undefined) this.into(wire, taker);
    } else if (maker !== undefined && y !== undefined) {
      const wire = this.wire(x);
      // Not all of a gain or a shift of what is normalized need change it.
      if (wire !== undefined && !this.lax) this.network.ground(wire);
      this.free(y, maker);
    } else return false;
    this.absorbers.push(node);
    return true;
  }

  /** A product of two computed matrices. */
  private product(node: GraphNode): void {
    const [y] = node.outputs;
    const wires = node.inputs.map((value) => this.wire(value));
    const open = [1, 0].filter((k) => wires[k] !== undefined);
    if (open.length === 0) return;
    if (y === undefined || (this.lax && open.length > 1) || node.inputs[0] === node.inputs[1]) {
      this.unknown(node);
      return;
    }
    for (const k of open) {
      const { scale, shift } = wires[k] as Wire;
      const only = (names: Spread) => node.inputs.map((_, i) => (i === k ? names : undefined));
      const [gains] = this.moved(node, ruleOf(node.opType)?.forwardScale, only(scale)) ?? [];
      if (gains === undefined) continue;
      this.stop(node, node.inputs[k]);
      const [shifts] = this.moved(node, ruleOf(node.opType)?.forwardShift, only(shift)) ?? [];
      if (shifts === undefined) this.network.still(shift);
      this.make(y, { scale: gains, shift: shifts ?? ground(gains.dims.length) });
      return;
    }
    this.unknown(node);
  }

  private sum(node: GraphNode): void {
    const { facts } = this.read;
    const y = node.outputs[0];
    const rank = facts.rank(y);
    const wires = node.inputs.map((value) => this.wire(value));
    if (wires.every((wire) => wire === undefined)) return;
    const legacy = node.version < 7 && this.read.at(node).int("broadcast", 0) !== 0;
    if (y === undefined || rank === undefined || legacy || this.spreadsOut(node, wires, rank)) {
      this.stop(node);
      return;
    }
    const list = wires.map((wire) => wire ?? grounded(rank));
    const { network } = this;
    const [first, ...rest] = list;
    const gains = over(...list.map(({ scale }) => scale));
    for (const { scale } of rest) network.equal(first.scale, scale);
    const dims = over(...list.map(({ shift }) => shift));
    const parts = list.map(({ shift }) => filled(shift, dims).data);
    const whole = network.shift(dims);
    const share = node.opType === "Mean" ? 1 / node.inputs.length : 1;
    for (const [k, name] of whole.data.entries()) {
      const terms = parts.flatMap((part, i) =>
        part[k] === 0 ? [] : [[part[k], node.opType === "Sub" && i === 1 ? share : -share]],
      );
      if (terms.length === 0) whole.data[k] = 0;
      else network.add([name, ...terms.map(([x]) => x)], [1, ...terms.map(([, by]) => by)]);
    }
    this.make(y, { scale: filled(first.scale, gains), shift: whole });
  }

  /** True when an operand is smaller than the result on an axis on which gauges vary, or may be. */
  private spreadsOut(node: GraphNode, wires: readonly (Wire | undefined)[], rank: number): boolean {
    const dims = over(...wires.flatMap((wire) => (wire === undefined ? [] : [wire.scale, wire.shift])));
    return node.inputs.some((value) => {
      const shape = this.read.facts.shape(value);
      if (value === undefined || this.read.constants.has(value) || shape?.length !== rank) return true;
      return dims.length !== rank || dims.some((d, axis) => d !== 1 && shape[axis] !== d);
    });
  }

  /** The names go through the operator as the numbers of a map would. */
  private moves(node: GraphNode): void {
    const data = node.opType === "Concat" ? node.inputs : node.inputs.slice(0, 1);
    const beside = node.inputs.slice(data.length);
    if (beside.includes(data[0])) this.stop(node);
    else if (beside.length > 0) this.stop(node, data[0]);
    const wires = data.map((value) => this.wire(value));
    if (wires.every((wire) => wire === undefined)) return;
    const rank = wires.find((wire) => wire !== undefined)?.scale.dims.length as number;
    if (data.some((value) => value === undefined || this.read.facts.rank(value) !== rank)) {
      this.stop(node);
      return;
    }
    const { forwardScale, forwardShift } = ruleOf(node.opType) ?? {};
    const known = wires.map((wire) => wire ?? grounded(rank));
    const scales = this.moved(
      node,
      forwardScale,
      known.map(({ scale }) => scale),
    );
    if (scales === undefined) {
      this.stop(node);
      return;
    }
    if (hasTrait(node, "positive")) for (const { scale } of known) this.network.above(scale);
    const shifts = hasTrait(node, "unshifted")
      ? undefined
      : this.moved(
          node,
          forwardShift,
          known.map(({ shift }) => shift),
        );
    if (shifts === undefined) for (const { shift } of known) this.network.still(shift);
    for (const [i, value] of node.outputs.entries()) {
      const scale = scales[i];
      if (scale !== undefined) this.make(value, { scale, shift: shifts?.[i] ?? ground(scale.dims.length) });
    }
  }

  private candidate(found: Candidate): void {
    if (found.kind === "batch-normalization") this.normalization(found);
    else this.affine(found);
  }

  private normalization(found: Candidate): void {
    const { node, input } = found;
    const at = this.read.at(node);
    const gamma = at.param(1);
    const [x, y] = [node.inputs[input], node.outputs[0]];
    const rank = this.read.facts.rank(x);
    if (isRefused(gamma) || gamma.dims.length !== 1 || rank === undefined || rank < 2 || isRefused(at.param(2))) {
      this.unknown(node);
      return;
    }
    const port = { axis: 1, size: gamma.dims[0], shifts: true };
    const wire = this.wire(x);
    if (wire !== undefined) this.into(wire, port);
    this.absorbers.push(node);
    const dims = place(rank, port);
    const made = { scale: this.network.scale(dims), shift: this.network.shift(dims) };
    this.make(y, made);
    this.enter(found, wire ?? grounded(rank), made);
  }

  private affine(found: Candidate): void {
    const { node, input, scale } = found;
    const [x, y] = [node.inputs[input], node.outputs[0]];
    const wire = this.wire(x) ?? grounded(scale.dims.length);
    // By what it is, not by its numbers: x · 1 takes no shift.
    const product = isProduct(node);
    const turned = turns(node, input);
    const old = this.mode.fixed !== undefined && turned;
    // What may stretch its input is left alone.
    if ((!product && !turned && !isOne(scale)) || old || !found.proven || wire.scale.dims.length !== scale.dims.length) {
      this.unknown(node);
      return;
    }
    if (node.opType !== "Neg") this.absorbers.push(node);
    this.make(y, this.stayed(found, wire, product));
    const made = this.wire(y) ?? grounded(scale.dims.length);
    this.enter(found, wire, made);
  }

  /** What an arithmetic node that stays makes of a gauge. */
  private stayed({ node, scale, shift, input }: Candidate, from: Wire, product: boolean): Wire {
    const { network } = this;
    const turned = turns(node, input);
    if (product && this.mode.fixed !== undefined) return from;
    if (product) {
      const gains = network.scale(over(from.scale, scale));
      if (isGround(from.shift)) return { scale: gains, shift: ground(gains.dims.length) };
      const made = network.shift(over(from.shift, scale));
      const by = filled(scale, made.dims).data;
      each(made, from.shift, (p, q, k) => network.add([p, q], [1, -by[k]]));
      return { scale: gains, shift: made };
    }
    const gains = turned ? network.scale(from.scale.dims) : from.scale;
    if (node.opType !== "Neg")
      return { scale: gains, shift: network.shift(this.sizes(node, over(from.scale, from.shift, shift))) };
    if (isGround(from.shift)) return { scale: gains, shift: from.shift };
    const made = network.shift(from.shift.dims);
    each(made, from.shift, (p, q) => network.add([p, q], [1, 1]));
    return { scale: gains, shift: made };
  }

  /** Where the constant of a sum that stays may vary: for a bound, wherever it has room for. */
  private sizes({ outputs }: GraphNode, least: readonly number[]): readonly number[] {
    if (!this.lax) return least;
    const all = least.map((d, axis) => this.read.facts.size(outputs[0], axis) ?? d);
    const own = all.map((d, axis) => (axis === 0 || typeof d !== "number" ? least[axis] : d));
    return own.reduce((n, d) => n * d, 1) > TABLE ? least : own;
  }

  /** Notes what has to hold for a candidate to go. */
  private enter(found: Candidate, from: Wire, to: Wire): void {
    this.movers.push(moverOf(this.read, found, [from, to], { open: this.mode.may(found), lax: this.lax }));
  }
}
