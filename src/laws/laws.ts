/**
 * One law an operator, without direction. With v_old = a ⊙ v_new + b on every value, an operator may stay as it is (or with other
 * constants) where
 *   layers                         linear.ts
 *   a normalization that stays     always: its parameters take both sides
 *   x · c that stays               b_y = c·b_x                       x + c that stays         a_y = a_x
 *   Relu, LeakyRelu, PRelu         a_y = a_x > 0, b = 0              maxima of windows        a_y = a_x > 0, b_y = b_x
 *   averages, Resize               equal                             Add, Sub, Sum            a equal, b_y = Σ ±b
 *   Concat, Split, Slice, Gather, Transpose, Reshape …: entries move
 *   everything else                a = 1, b = 0 on all sides: ground
 * and y = s ⊙ x + t goes where a_y = s·a_x and b_y − s·b_x = t.
 *
 * Only what candidates can reach is looked at: from their two sides across operators that tie one value to another, up to layers,
 * normalizations and ground. Asked for the whole graph, layers are where it begins, and these hold besides (gains only):
 *   x · c that stays, x · gate         a_y = a_x
 *   Clip, Max, Min with constants      a_y = a_x > 0, their bounds take it
 */
import { type Spread, uniform } from "../affine/spread.ts";
import { sameShape } from "../graph/dims.ts";
import type { Facts } from "../graph/facts.ts";
import { hasTrait, readsNumbers } from "../graph/operators.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { ruleOf } from "../rules/index.ts";
import { isOne } from "../rules/params.ts";
import { isRefused, type MoveFn, type RuleNode } from "../rules/types.ts";
import type { Candidate } from "./candidates.ts";
import type { Constants } from "./constants.ts";
import { layerOf, mayBeLayer, type Port } from "./linear.ts";
import { inOrder } from "./order.ts";
import { type Demand, each, filled, grounded, isGround, isTable, Network, over, type Wire } from "./wires.ts";

/** A candidate as the search sees it. */
export interface Mover {
  readonly found: Candidate;
  /** False for one that only takes from its neighbours: a bias, one with a gain of zero. */
  readonly may: boolean;
  readonly demand: Demand;
}

export interface Laws {
  readonly network: Network;
  readonly wires: ReadonlyMap<GraphValue, Wire>;
  readonly movers: readonly Mover[];
  /** Operators whose constants can take gauges, in the order of the graph. */
  readonly absorbers: readonly GraphNode[];
}

/** A model as laws read it. */
export interface Reading {
  readonly facts: Facts;
  readonly constants: Constants;
  at(node: GraphNode): RuleNode;
}

/** The laws around candidates. `may`: which of them may go. `from`: those whose surroundings matter, and all they can reach; default all. */
export function lawsOf(
  view: GraphView,
  read: Reading,
  found: readonly Candidate[],
  may: (c: Candidate) => boolean,
  from: (c: Candidate) => boolean = () => true,
): Laws {
  return new Builder(read, found, may, from).run(view);
}

/** The laws of gains of a whole graph in which no node goes. `fixed`: operators whose constants and values stay. */
export function lawsOfGains(
  view: GraphView,
  read: Reading,
  found: readonly Candidate[],
  fixed: (node: GraphNode) => boolean,
): Laws {
  return new Builder(
    read,
    found,
    () => false,
    () => true,
    fixed,
  ).run(view);
}

class Builder {
  private readonly network = new Network();
  private readonly wires = new Map<GraphValue, Wire>();
  private readonly movers: Mover[] = [];
  private readonly absorbers: GraphNode[] = [];
  private readonly candidates: ReadonlyMap<GraphNode, Candidate>;

  constructor(
    private readonly read: Reading,
    found: readonly Candidate[],
    private readonly may: (c: Candidate) => boolean,
    private readonly from: (c: Candidate) => boolean,
    /** Present where the laws are of the whole graph. */
    private readonly fixed?: (node: GraphNode) => boolean,
  ) {
    this.candidates = new Map(found.map((c) => [c.node, c]));
  }

  run(view: GraphView): Laws {
    const near = this.fixed === undefined ? this.flood() : new Set(view.nodes);
    for (const node of inOrder(view, near)) if (!node.removed) this.visit(node);
    const { network, wires, movers, absorbers } = this;
    return { network, wires, movers, absorbers };
  }

  /** Operators that candidates can reach. */
  private flood(): Set<GraphNode> {
    const near = new Set<GraphNode>();
    const seen = new Set<GraphValue>();
    const open: GraphValue[] = [];
    const reach = (value: GraphValue | undefined): void => {
      if (value === undefined || seen.has(value) || this.read.constants.has(value)) return;
      seen.add(value);
      open.push(value);
    };
    const around = (found: Candidate): void => {
      if (near.has(found.node)) return;
      near.add(found.node);
      for (const value of [found.node.inputs[found.input], found.node.outputs[0]]) reach(value);
    };
    for (const found of this.candidates.values()) if (this.from(found)) around(found);
    for (let value = open.pop(); value !== undefined; value = open.pop()) {
      const beside = value.producer === undefined ? [] : [value.producer];
      if (!this.isFixed(value)) for (const { node } of value.readers()) beside.push(node);
      for (const node of beside) {
        // Whether one goes ties its two sides.
        const found = this.candidates.get(node);
        if (found !== undefined) around(found);
        near.add(node);
        if (this.isFixed(value) || !ties(node) || found !== undefined) continue;
        for (const other of [...node.inputs, ...node.outputs]) reach(other);
      }
    }
    return near;
  }

  /** What nobody may change: outputs of graphs, what comes from outside, what inner graphs read, what is no tensor of known rank. */
  private isFixed(value: GraphValue): boolean {
    if (value.producer === undefined || value.isOutput || value.isAnnotated || value.isBound) return true;
    if (this.read.facts.rank(value) === undefined || this.read.constants.has(value)) return true;
    for (const { node } of value.readers()) if (node.scope !== value.scope) return true;
    return false;
  }

  private wire(value: GraphValue | undefined): Wire | undefined {
    return value === undefined || this.isFixed(value) ? undefined : this.wires.get(value);
  }

  private make(value: GraphValue | undefined, wire: Wire): void {
    if (value === undefined) return;
    // Where positions vary as well as channels, nearly every element would be an unknown: such values stay as they are.
    if (this.isFixed(value) || isTable(wire.scale) || isTable(wire.shift)) this.network.ground(wire);
    else this.wires.set(value, wire);
  }

  /** Everything an operator reads the numbers of stays as it is. */
  private stop(node: GraphNode, except?: GraphValue): void {
    for (const [i, value] of node.inputs.entries()) {
      const wire = value === except || !readsNumbers(node, i) ? undefined : this.wire(value);
      if (wire !== undefined) this.network.ground(wire);
    }
  }

  private visit(node: GraphNode): void {
    this.network.begin(node);
    // What a constant is made of was read for its type or shape.
    if (node.outputs.every((value) => value === undefined || this.read.constants.has(value))) return;
    const candidate = this.candidates.get(node);
    if (node.domain !== "" || node.bodies.length > 0 || this.stays(node)) this.stop(node);
    else if (this.fixed !== undefined && node.opType === "Mul" && candidate === undefined) this.gate(node);
    else if (this.fixed !== undefined && hasTrait(node, "bounds")) this.bounded(node);
    else if (candidate !== undefined) this.candidate(candidate);
    else if (mayBeLayer(node.domain, node.opType)) this.layer(node);
    else if (hasTrait(node, "adds")) this.sum(node);
    else if (hasTrait(node, "carries")) this.moves(node);
    else this.stop(node);
  }

  /** True, where gains of the whole graph are looked for, of what nobody may change or has become another operator. */
  private stays(node: GraphNode): boolean {
    if (this.fixed === undefined) return false;
    const { opType, bias, mirrored } = this.read.at(node).state;
    return this.fixed(node) || opType !== node.opType || bias !== undefined || mirrored === true;
  }

  /** A product with a computed value that no gain reaches, as that of an excitation. */
  private gate(node: GraphNode): void {
    const wires = node.inputs.map((value) => this.wire(value));
    const [i] = [0, 1].filter((k) => wires[k] !== undefined);
    const [wire, y] = [wires[i], node.outputs[0]];
    const { facts } = this.read;
    const fits = node.inputs.length === 2 && wires[1 - i] === undefined && sameShape(facts.shape(node.inputs[i]), facts.shape(y));
    if (wire === undefined || y === undefined || !fits) this.stop(node);
    else this.make(y, { scale: wire.scale, shift: ground(wire.scale.dims.length) });
  }

  /** Bounds that take a gain of their own on each channel. */
  private bounded(node: GraphNode): void {
    const open = node.inputs.filter((value) => value !== undefined && !this.read.constants.has(value));
    const [x, y] = [open[0], node.outputs[0]];
    const wire = this.wire(x);
    const { facts } = this.read;
    const fits = open.length === 1 && node.version >= 8 && sameShape(facts.shape(x), facts.shape(y));
    if (wire === undefined || y === undefined || !fits || (node.opType === "Clip" && x !== node.inputs[0])) {
      this.stop(node);
      return;
    }
    this.network.still(wire.shift);
    this.absorbers.push(node);
    this.make(y, { scale: wire.scale, shift: ground(wire.scale.dims.length) });
  }

  private layer(node: GraphNode): void {
    const layer = layerOf(this.read.at(node));
    const [x, y] = [node.inputs[layer?.index ?? 0], node.outputs[0]];
    this.stop(node, layer === undefined ? undefined : x);
    if (layer === undefined || x === undefined || y === undefined) return;
    this.absorbers.push(node);
    const wire = this.wire(x);
    if (wire !== undefined) this.into(wire, layer.input);
    const rank = this.read.facts.rank(y);
    const dims = rank === undefined ? undefined : place(rank, layer.output);
    if (dims === undefined) return;
    const { network } = this;
    this.make(y, { scale: network.scale(dims), shift: layer.output.shifts ? network.shift(dims) : ground(dims.length) });
  }

  /** An input that may vary along one axis only. */
  private into(wire: Wire, { axis, size, shifts }: Port): void {
    const fits = ({ dims }: Spread) => dims.every((d, a) => d === 1 || (a === axis && d === size));
    if (!fits(wire.scale) || !fits(wire.shift)) this.network.ground(wire);
    else if (!shifts) this.network.still(wire.shift);
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
    for (const [k, name] of whole.data.entries()) {
      const terms = parts.flatMap((part, i) => (part[k] === 0 ? [] : [[part[k], node.opType === "Sub" && i === 1 ? 1 : -1]]));
      if (terms.length === 0) whole.data[k] = 0;
      else network.rows.push({ at: [name, ...terms.map(([x]) => x)], by: [1, ...terms.map(([, by]) => by)], is: 0 });
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
    if (hasTrait(node, "positive")) for (const { scale } of known) for (const x of scale.data) this.network.positive.push(x);
    const shifts = this.moved(
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

  private moved(
    node: GraphNode,
    move: MoveFn | undefined,
    names: readonly Spread[],
  ): readonly (Spread | undefined)[] | undefined {
    if (names.every(isGround)) return node.outputs.map((value) => value && ground(this.read.facts.rank(value) ?? 0));
    const steps = move?.(this.read.at(node), names);
    if (steps === undefined || isRefused(steps) || steps.length !== 1 || steps[0].state !== undefined) return undefined;
    return steps[0].pass;
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
      this.stop(node);
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
    const { node, input, scale, shift } = found;
    const [x, y] = [node.inputs[input], node.outputs[0]];
    const { network } = this;
    const wire = this.wire(x) ?? grounded(scale.dims.length);
    // By what it is, not by its numbers: x · 1 takes no shift.
    const product = node.opType === "Mul" || node.opType === "Div";
    // −x and c − x are left alone, and so is what may stretch its input.
    if ((!product && !isOne(scale)) || !found.proven || wire.scale.dims.length !== scale.dims.length) {
      this.stop(node);
      return;
    }
    this.absorbers.push(node);
    const dims = over(wire.scale, wire.shift, scale, shift);
    let made: Wire;
    if (product && this.fixed !== undefined) made = wire;
    else if (product) {
      made = { scale: network.scale(dims), shift: network.shift(dims) };
      const by = filled(scale, dims).data;
      each(made.shift, wire.shift, (p, q, k) => network.rows.push({ at: [p, q], by: [1, -by[k]], is: 0 }));
    } else made = { scale: filled(wire.scale, dims), shift: network.shift(dims) };
    this.make(y, made);
    this.enter(found, wire, made);
  }

  /** Notes what has to hold for a candidate to go. */
  private enter(found: Candidate, from: Wire, to: Wire): void {
    const demand: Demand = { ratios: [], rows: [] };
    const may = this.may(found) && found.proven && found.scale.data.every((s) => s !== 0) && isLocal(found);
    if (may) {
      const dims = over(from.scale, from.shift, to.scale, to.shift, found.scale, found.shift);
      const [s, t] = [filled(found.scale, dims).data, filled(found.shift, dims).data];
      const full = (names: Spread) => filled(names, dims);
      each(full(to.scale), full(from.scale), (x, y, k) => demand.ratios.push({ x, y, by: s[k] }));
      each(full(to.shift), full(from.shift), (x, y, k) => demand.rows.push({ at: [x, y], by: [1, -s[k]], is: t[k] }));
    }
    this.movers.push({ found, may, demand });
  }
}

/** False for a node that reads the value of a graph around its own. */
const isLocal = ({ node, input }: Candidate): boolean => node.inputs[input]?.scope === node.scope;

const ground = (rank: number): Spread => uniform(rank, 0);

/** True for operators that tie their values to one another. */
const ties = (node: GraphNode): boolean => node.domain === "" && node.bodies.length === 0 && hasTrait(node, "adds", "carries");

/** Dimensions that vary along a port's axis; undefined when the value has no such axis. */
const place = (rank: number, { axis, size }: Port): number[] => Array.from({ length: rank }, (_, a) => (a === axis ? size : 1));
