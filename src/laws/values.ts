/** What may change about the values of a graph, and what is said of them while laws are gone through. */
import { type Spread, uniform } from "../affine/spread.ts";
import { readsNumbers } from "../graph/operators.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import { ruleOf } from "../rules/index.ts";
import { isRefused, type MoveFn } from "../rules/types.ts";
import type { Port } from "./linear.ts";
import { isFixed, type Reading } from "./reach.ts";
import { anything, isGround, isTable, Network, type Wire } from "./wires.ts";

export class Values {
  protected readonly network = new Network();
  protected readonly wires = new Map<GraphValue, Wire>();
  /** Operators that are looked at (reach.ts). */
  protected near: ReadonlySet<GraphNode> = new Set();

  constructor(
    protected readonly read: Reading,
    /** True for a bound: it must not forget what rules/ can do and no law says. */
    protected readonly lax: boolean,
  ) {}

  protected wire(value: GraphValue | undefined): Wire | undefined {
    return value === undefined || isFixed(this.read, value) ? undefined : this.wires.get(value);
  }

  protected make(value: GraphValue | undefined, wire: Wire): void {
    if (value === undefined) return;
    // Where positions vary as well as channels, nearly every element would be an unknown: such values stay as they are.
    const table = isTable(wire.scale) || isTable(wire.shift);
    if (isFixed(this.read, value) || !this.isReached(value) || (table && !this.lax)) this.network.ground(wire);
    else this.wires.set(value, table ? this.loosened(wire.scale.dims.length) : wire);
  }

  /** False where what reads a value is out of reach: nothing would say what becomes of a gain that is handed on. */
  private isReached(value: GraphValue): boolean {
    for (const { node } of value.readers()) if (!this.near.has(node)) return false;
    return true;
  }

  protected readonly loosened = (rank: number): Wire => ({ scale: anything(rank), shift: anything(rank) });

  /** Nothing is said of what an operator makes, but for shifts where its rule knows none. */
  protected loosen(node: GraphNode): void {
    const rule = ruleOf(node.opType);
    const shifts = rule?.backShift !== undefined || rule?.forwardShift !== undefined;
    if (!shifts) for (const value of node.inputs) this.network.still(this.wire(value)?.shift ?? ground(0));
    for (const value of node.outputs) {
      const rank = this.read.facts.rank(value);
      if (value === undefined || rank === undefined) continue;
      this.make(value, { scale: anything(rank), shift: shifts ? anything(rank) : ground(rank) });
    }
  }

  /** What no law is about: it stays as it is; for a bound, nothing is said where a rule may know better. */
  protected unknown(node: GraphNode): void {
    if (this.lax && node.domain === "" && node.bodies.length === 0 && moves(node.opType)) this.loosen(node);
    else this.stop(node);
  }

  /** Everything an operator reads the numbers of stays as it is. */
  protected stop(node: GraphNode, except?: GraphValue): void {
    for (const [i, value] of node.inputs.entries()) {
      const wire = value === except || !readsNumbers(node, i) ? undefined : this.wire(value);
      if (wire !== undefined) this.network.ground(wire);
    }
  }

  /** A value whose gains and shifts are unknowns of their own along one axis. */
  protected free(y: GraphValue, port: Port): void {
    const rank = this.read.facts.rank(y);
    if (rank === undefined || !this.isReached(y)) return;
    const dims = place(rank, port);
    const { network } = this;
    this.make(y, { scale: network.scale(dims), shift: port.shifts ? network.shift(dims) : ground(rank) });
  }

  /** An input that may vary along one axis only. */
  protected into(wire: Wire, { axis, size, shifts }: Port): void {
    const { network } = this;
    const ratio = (x: number, y: number) => network.alike(x, y);
    if (!alike(wire.scale, axis, size, ratio)) network.equal(wire.scale, ground(wire.scale.dims.length));
    const row = (x: number, y: number) => network.add([x, y], [1, -1]);
    if (!shifts || !alike(wire.shift, axis, size, row)) network.still(wire.shift);
  }

  protected moved(
    node: GraphNode,
    move: MoveFn | undefined,
    names: readonly (Spread | undefined)[],
  ): readonly (Spread | undefined)[] | undefined {
    if (names.every((one) => one === undefined || isGround(one)))
      return node.outputs.map((value) => value && ground(this.read.facts.rank(value) ?? 0));
    const steps = move?.(this.read.at(node), names);
    if (steps === undefined || isRefused(steps) || steps.length !== 1 || steps[0].state !== undefined) return undefined;
    return steps[0].pass;
  }
}

/** True for operators whose rule lets a map through or takes it. */
function moves(opType: string): boolean {
  const rule = ruleOf(opType);
  return [rule?.backScale, rule?.backShift, rule?.forwardScale, rule?.forwardShift].some((move) => move !== undefined);
}

/** Ties names that share a place on an axis; false when they have another size there. */
function alike({ dims, data }: Spread, axis: number, size: number, tie: (x: number, y: number) => void): boolean {
  if (dims[axis] !== 1 && dims[axis] !== size) return false;
  if (dims.every((d, a) => d === 1 || a === axis)) return true;
  const inner = dims.slice(axis + 1).reduce((n, d) => n * d, 1);
  const first = new Map<number, number>();
  for (const [i, name] of data.entries()) {
    const at = Math.floor(i / inner) % dims[axis];
    const known = first.get(at);
    if (known === undefined) first.set(at, name);
    else if (known !== name) tie(known, name);
  }
  return true;
}

export const ground = (rank: number): Spread => uniform(rank, 0);

/** Dimensions that vary along a port's axis; undefined when the value has no such axis. */
export const place = (rank: number, { axis, size }: Port): number[] =>
  Array.from({ length: rank }, (_, a) => (a === axis ? size : 1));
