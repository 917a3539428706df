/**
 * A model written anew with its Reshapes and Transposes as late as they go (walk.ts): each value is a core and a move of it
 * (move.ts) until somebody reads it who has to have it as it is.
 */
import type { Shape } from "../../../graph/dims.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { integers, make } from "../normal/rewriting.ts";
import { isStill, type Move, shapeOf, simplified, split, stepsOf, still, unsplit } from "./move.ts";

/** A value as a move of another. */
export interface Held {
  readonly core: string;
  readonly move: Move;
  /** When its core was made: graph inputs first. */
  readonly order: number;
}

export class Draft {
  readonly nodes: NodeRecord[] = [];
  /** What a core was made by, and the shapes of cores and of constants that were laid out. */
  readonly makers = new Map<string, NodeRecord>();
  /** Cores that repeat another along axes of their own, the first ones. */
  readonly copies = new Map<string, { readonly of: string; readonly count: number }>();
  private readonly origins = new Map<string, Held>();
  private readonly shapes = new Map<string, Shape>();
  private readonly held = new Map<GraphValue, Held>();
  private readonly fixed = new Set<string>();
  private readonly made = new Map<string, string>();

  constructor(readonly side: Side) {}

  /** What a value is a move of; undefined where its shape is not known. */
  of(value: GraphValue | undefined): Held | undefined {
    if (value === undefined) return undefined;
    const known = this.held.get(value);
    if (known !== undefined) return known;
    const shape = this.side.facts.shape(value);
    const move = shape && still(shape);
    return move && { core: value.name, move, order: value.producer?.order ?? -1 };
  }

  /** True of a constant, or what was made of one here. */
  isFixed(name: string): boolean {
    if (this.fixed.has(name)) return true;
    const value = this.side.view.main.values.get(name);
    return value !== undefined && this.side.constants.has(value);
  }

  fix(name: string): void {
    this.fixed.add(name);
  }

  /** What a value is that an Expand spreads out. */
  narrow(value: GraphValue | undefined): Held | undefined {
    const maker = value?.producer;
    return maker?.domain === "" && maker.opType === "Expand" && maker.scope === this.side.view.main && !this.isConstant(value)
      ? this.of(maker.inputs[0])
      : undefined;
  }

  isConstant(value: GraphValue | undefined): boolean {
    return value !== undefined && this.side.constants.has(value);
  }

  /** Says what a value is; false where nobody could make it of that again. */
  hold(value: GraphValue, core: string, move: Move, order: number): boolean {
    const simple = simplified(move);
    if (stepsOf(simple) === undefined || stepsOf(split(simple)) === undefined) return false;
    this.held.set(value, { core, move: simple, order });
    return true;
  }

  /** The name under which a value can be read. */
  operand(value: GraphValue | undefined, node: GraphNode): string {
    const held = value && this.held.get(value);
    return held === undefined ? (value?.name ?? "") : (this.name(node, held.core, held.move) as string);
  }

  /** The name of a move of a core, made once. */
  name(node: GraphNode, core: string, move: Move): string | undefined {
    if (isStill(move)) return core;
    const steps = stepsOf(move);
    if (steps === undefined) return undefined;
    const key = `${core}|${JSON.stringify(steps)}`;
    const known = this.made.get(key);
    if (known !== undefined) return known;
    const name = `${core}/moved${this.made.size}`;
    this.made.set(key, name);
    this.origins.set(name, { core, move, order: 0 });
    this.shapes.set(name, shapeOf(move));
    if (this.isFixed(core)) this.fix(name);
    this.lay(node, core, steps, name);
    return name;
  }

  /** Writes an operator down that makes a core. */
  core(record: NodeRecord, shape: Shape): void {
    this.nodes.push(record);
    this.makers.set(record.outputs[0], record);
    this.shapes.set(record.outputs[0], shape);
  }

  /** What a name stands for: a core, or the move of one. */
  named(name: string): Held | undefined {
    const [shape, known] = [this.shape(name), this.origins.get(name)];
    const move = shape && still(shape);
    return known ?? (move && { core: name, move, order: 0 });
  }

  /** The shape of a core, or of a constant. */
  shape(name: string): Shape | undefined {
    return this.shapes.get(name) ?? this.side.facts.shape(this.side.view.main.values.get(name));
  }

  /** Makes a value under its own name. */
  finish(value: GraphValue, node: GraphNode): void {
    const held = this.held.get(value);
    if (held === undefined || held.core === value.name) return;
    this.lay(node, held.core, stepsOf(held.move) ?? [], value.name);
  }

  private lay(
    node: GraphNode,
    core: string,
    steps: readonly NonNullable<ReturnType<typeof stepsOf>>[number][],
    name: string,
  ): void {
    if (steps.length === 0) this.nodes.push(make(node, "Identity", [core], name));
    let from = core;
    for (const [i, step] of steps.entries()) {
      const to = i === steps.length - 1 ? name : `${name}/step${i}`;
      if ("perm" in step) this.nodes.push(make(node, "Transpose", [from], to, { perm: { ints: step.perm } }));
      else {
        const list = this.list(node, step.sizes);
        this.nodes.push(make(node, "Reshape", [from, list], to));
      }
      from = to;
    }
  }

  /** An int64 vector, made once. */
  list(node: GraphNode, ints: readonly number[]): string {
    const key = `ints|${ints}`;
    const known = this.made.get(key);
    if (known !== undefined) return known;
    const [made] = [integers(node, `ints${this.made.size}`, ints)];
    this.nodes.push(made);
    this.made.set(key, made.outputs[0]);
    return made.outputs[0];
  }

  /** The same value as a move of its core's atoms: nothing is left to split. */
  atoms(node: GraphNode, { core, move, order }: Held): Held | undefined {
    const name = this.name(node, core, split(move));
    return name === undefined ? undefined : { core: name, move: unsplit(move), order };
  }
}

/** The name of what an operator makes of a core: its own where nothing is left to be moved. */
export const coreName = (node: GraphNode, move: Move): string =>
  isStill(simplified(move)) ? node.record.outputs[0] : `${node.record.outputs[0]}/axes/core`;

export const heldShape = ({ move }: Held): Shape => shapeOf(move);
