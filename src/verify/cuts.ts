/**
 * The parts of two graphs that differ, cut out between values both files share. A cut is a value α of the first file and one, β, of
 * the second that are claimed to be equal, or to be β = scale ⊙ α + shift. The region of a cut is what computes it, in each file,
 * from earlier cuts: the same ones in both (of which one side sees more than the shape), or else it goes further back. A node that does in both files the same to the same cuts is
 * in no region.
 *
 * If in every region both files give what is claimed for whatever the earlier cuts are, then by induction from the inputs all claims
 * hold, that of equal outputs among them: whoever made them proves nothing here.
 */
import type { Gauge } from "../affine/gauge.ts";
import { hasTrait, traitsOf } from "../graph/operators.ts";
import type { GraphNode, GraphValue, GraphView, Use } from "../graph/view.ts";
import { dtypeOf, isFloat } from "../onnx/dtype.ts";
import { samePayload } from "../onnx/pieces.ts";
import type { AttributeRecord, NodeRecord } from "../onnx/records.ts";
import { captures } from "../run/plan.ts";

/** The value of the first file that one of the second is claimed to be, or to be a map of. */
export interface SharedValue {
  readonly name: string;
  /** β = scale ⊙ α + shift, exactly; absent where the two are equal. */
  readonly map?: Gauge;
  /** True where β has one more channel, of ones. */
  readonly ones?: boolean;
}

/** By the second file's names, in the main graphs. */
export type Shared = ReadonlyMap<string, SharedValue>;

export interface Cut {
  readonly a: GraphValue;
  readonly b: GraphValue;
  /** β = scale ⊙ α + shift; absent where the two are equal. */
  readonly map?: Gauge;
  /** True where β has one more channel, of ones. */
  readonly ones?: boolean;
}

export interface Region {
  readonly target: Cut;
  /** In running order. */
  readonly nodesA: readonly GraphNode[];
  readonly nodesB: readonly GraphNode[];
  /** What either of the two reads and does not compute. */
  readonly inputs: readonly Cut[];
  /** Those of the second file's nodes that are not the same in the first. */
  readonly changed: ReadonlySet<GraphNode>;
}

/** A region of more nodes is the network. */
const LIMIT = 1500;
/** Constants computed in more steps are looked at by running them. */
const DEEP = 64;

/** Every value of its graph a node reads, what its inner graphs take from there included. */
export function readsOf(node: GraphNode): GraphValue[] {
  const inner = captures(node.record).map((name) => node.scope.resolve(name));
  return [...node.inputs, ...inner].filter((value) => value !== undefined);
}

const isStored = (value: GraphValue): boolean => value.initializer !== undefined || value.sparse !== undefined;

/** The side of a region in one file, and where it stops. */
class Cone {
  readonly nodes = new Set<GraphNode>();
  readonly frontier = new Set<GraphValue>();

  constructor(
    private readonly target: GraphValue,
    private readonly stops: (value: GraphValue) => boolean,
    private readonly isFloat: (value: GraphValue) => boolean,
  ) {
    this.take(target);
  }

  /**
   * True where the side takes no more of a value of floats than its shape or its type, directly or of what is made of it: where floats
   * are made of floats, and none of them is a measure or decides, shapes follow from shapes.
   */
  measures(value: GraphValue, known = new Map<GraphValue, boolean>()): boolean {
    const found = known.get(value);
    if (found !== undefined) return found;
    const passes = ({ node, index }: Use): boolean =>
      node.bodies.length === 0 &&
      !hasTrait(node, "decides") &&
      index < (traitsOf(node)?.measures ?? Number.POSITIVE_INFINITY) &&
      node.outputs.every((output) => output === undefined || (this.isFloat(output) && this.measures(output, known)));
    const only = (use: Use): boolean =>
      use.node.scope === value.scope &&
      (!this.nodes.has(use.node) || traitsOf(use.node)?.sees?.[use.index] !== undefined || passes(use));
    const made = value !== this.target && value.uses.every(only);
    known.set(value, made);
    return made;
  }

  /** Adds what computes a value, back to the next cuts. */
  take(value: GraphValue): void {
    this.frontier.delete(value);
    const open = [value];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { producer } = next;
      if (producer === undefined) this.frontier.add(next);
      if (producer === undefined || this.nodes.has(producer)) continue;
      this.nodes.add(producer);
      // What a node of the region makes is computed, whoever reads it.
      for (const output of producer.outputs) if (output !== undefined) this.frontier.delete(output);
      for (const read of readsOf(producer)) {
        if (isStored(read) || (read.producer !== undefined && this.nodes.has(read.producer))) continue;
        if (read.producer === undefined || this.stops(read)) this.frontier.add(read);
        else open.push(read);
      }
    }
  }
}

export class Cuts {
  private readonly toA = new Map<GraphValue, GraphValue>();
  private readonly toB = new Map<GraphValue, GraphValue>();
  /** By the second file's value. */
  private readonly maps = new Map<GraphValue, Gauge>();
  private readonly ones = new Set<GraphValue>();
  private readonly same = new Set<GraphNode>();
  /** What no input reaches, and is not stored. */
  private readonly computed = new Set<GraphValue>();
  private readonly functionsAgree: boolean;

  constructor(
    private readonly a: GraphView,
    private readonly b: GraphView,
    shared: Shared,
    private readonly dtype: (value: GraphValue) => number,
    private readonly otherDtype: (value: GraphValue) => number,
  ) {
    for (const view of [a, b]) this.findConstants(view);
    this.pair(shared);
    const [p, q] = [a.model.functions, b.model.functions];
    this.functionsAgree = p.length === q.length && p.every((fn, i) => sameBytes(a, fn, b, q[i]));
    for (const node of b.nodes) if (node.scope === b.main && this.isSame(node)) this.same.add(node);
  }

  /** Graph inputs by name; then each value at most once, equal ones before maps, those of one name first. */
  private pair(shared: Shared): void {
    const pair = (a: GraphValue | undefined, b: GraphValue | undefined, { map, ones }: Omit<SharedValue, "name"> = {}) => {
      if (a === undefined || b === undefined || this.toA.has(b) || this.toB.has(a) || isStored(a) || isStored(b)) return;
      this.toA.set(b, a);
      this.toB.set(a, b);
      if (map !== undefined) this.maps.set(b, map);
      if (ones === true) this.ones.add(b);
    };
    const [p, q] = [this.a.main.values, this.b.main.values];
    for (const [name, value] of q) if (value.producer === undefined) pair(p.get(name), value);
    const ranks = [...shared].map(
      ([mine, { name, map, ones }]) => (map === undefined && ones !== true ? 0 : 2) + (mine === name ? 0 : 1),
    );
    for (let rank = 0; rank < 4; rank++) {
      let i = 0;
      for (const [mine, known] of shared) {
        if (ranks[i++] !== rank) continue;
        const [x, y] = [p.get(known.name), q.get(mine)];
        const computed = x?.producer !== undefined && y?.producer !== undefined;
        if (computed && !this.isConstant(x) && !this.isConstant(y)) pair(x, y, known);
      }
    }
  }

  /** True of values that are cut at, and claimed to be equal. */
  private areEqual(a: GraphValue, b: GraphValue): boolean {
    return this.toA.get(b) === a && !this.maps.has(b) && !this.ones.has(b);
  }

  private cut(a: GraphValue, b: GraphValue): Cut {
    const map = this.maps.get(b);
    return { a, b, ...(map === undefined ? {} : { map }), ...(this.ones.has(b) ? { ones: true } : {}) };
  }

  private findConstants(view: GraphView): void {
    for (const node of view.nodes) {
      if (node.scope !== view.main || hasTrait(node.record, "random") || node.bodies.length > 0) continue;
      if (!node.inputs.every((input) => input === undefined || this.isConstant(input))) continue;
      for (const output of node.outputs) if (output !== undefined) this.computed.add(output);
    }
  }

  private isConstant(value: GraphValue): boolean {
    return isStored(value) || this.computed.has(value);
  }

  /** The same operator with the same attributes and constants on the same cuts, whose outputs are the same cuts. */
  private isSame(node: GraphNode): boolean {
    const first = node.outputs.find((value) => value !== undefined);
    const other = first && this.toA.get(first)?.producer;
    if (other === undefined || hasTrait(node.record, "random")) return false;
    const [x, y] = [other.record, node.record];
    if (x.opType !== y.opType || x.domain !== y.domain || x.overload !== y.overload || other.version !== node.version)
      return false;
    const called = this.b.model.functions.some((fn) => fn.name === y.opType && fn.domain === y.domain);
    if (called && !this.functionsAgree) return false;
    if (node.bodies.length > 0 && !this.sameBodies(other, node)) return false;
    if (node.bodies.length === 0 && !sameAttributes(x, y)) return false;
    const paired = (p: GraphValue | undefined, q: GraphValue | undefined) =>
      p === undefined || q === undefined ? p === q : this.areEqual(p, q);
    const width = Math.max(other.inputs.length, node.inputs.length);
    const operands = Array.from({ length: width }, (_, i) => [other.inputs[i], node.inputs[i]] as const);
    return (
      node.outputs.every((value, i) => value?.readerCount === 0 || paired(other.outputs[i], value)) &&
      operands.every(([p, q]) => paired(p, q) || (p !== undefined && q !== undefined && this.sameConstants(p, q)))
    );
  }

  private sameBodies(other: GraphNode, node: GraphNode): boolean {
    if (!this.functionsAgree || !sameBytes(this.a, other.record, this.b, node.record)) return false;
    return captures(node.record).every((name) => {
      const [p, q] = [other.scope.resolve(name), node.scope.resolve(name)];
      return p !== undefined && q !== undefined && (this.areEqual(p, q) || this.sameConstants(p, q));
    });
  }

  /** Two constants, stored or computed, that are the same numbers because they are made in the same way. */
  private sameConstants(p: GraphValue, q: GraphValue, depth = 0): boolean {
    if (p.initializer !== undefined && q.initializer !== undefined) return samePayload(p.initializer, q.initializer);
    const [x, y] = [p.producer, q.producer];
    if (x === undefined || y === undefined || !this.isConstant(p) || !this.isConstant(q) || depth > DEEP) return false;
    if (x.opType !== y.opType || x.record.domain !== y.record.domain || x.version !== y.version) return false;
    if (x.inputs.length !== y.inputs.length || p.outputIndex !== q.outputIndex || !sameAttributes(x.record, y.record))
      return false;
    return x.inputs.every((value, i) => {
      const other = y.inputs[i];
      return value === undefined || other === undefined ? value === other : this.sameConstants(value, other, depth + 1);
    });
  }

  /** Every cut whose two values are not computed by one and the same node: what there is to compare. */
  targets(): Cut[] {
    const found: Cut[] = [];
    for (const [b, a] of this.toA) {
      if (b.producer !== undefined && !this.same.has(b.producer)) found.push(this.cut(a, b));
    }
    for (const { name } of this.a.model.graph.outputs) {
      const [a, b] = [this.a.main.values.get(name), this.b.main.values.get(name)];
      if (a?.producer === undefined || b?.producer === undefined || this.areEqual(a, b)) continue;
      found.push({ a, b });
    }
    return found.sort((p, q) => (p.b.producer?.order ?? 0) - (q.b.producer?.order ?? 0));
  }

  /**
   * What computes a cut from earlier ones; undefined when that is most of the network, or starts from something that is no
   * cut. `less`: cuts to go back beyond.
   */
  region(target: Cut, less: ReadonlySet<GraphValue> = new Set()): Region | undefined {
    const isCut = (b: GraphValue | undefined): boolean => b !== undefined && b !== target.b && !less.has(b);
    const isFloat = (value: GraphValue) => isFloatCode(this.dtype(value));
    const a = new Cone(target.a, (value) => value !== target.a && isCut(this.toB.get(value)) && isFloat(value), isFloat);
    const stops = (value: GraphValue) => {
      const twin = this.toA.get(value);
      return twin !== undefined && twin !== target.a && isCut(value) && isFloat(twin);
    };
    const b = new Cone(target.b, stops, (value) => isFloatCode(this.otherDtype(value)));
    for (;;) {
      if (a.nodes.size + b.nodes.size > LIMIT) return undefined;
      const next = this.unequal(a, b);
      if (next === undefined) break;
      next.cone.take(next.value);
    }
    const inputs: Cut[] = [];
    for (const value of a.frontier) {
      const twin = this.toB.get(value);
      if (twin === undefined) return undefined;
      inputs.push(this.cut(value, twin));
    }
    for (const value of b.frontier) {
      const twin = this.toA.get(value);
      if (twin === undefined) return undefined;
      if (!a.frontier.has(twin)) inputs.push(this.cut(twin, value));
    }
    const sorted = (nodes: Set<GraphNode>) => [...nodes].sort((p, q) => p.order - q.order);
    const nodesB = sorted(b.nodes);
    return { target, nodesA: sorted(a.nodes), nodesB, inputs, changed: new Set(nodesB.filter((node) => !this.same.has(node))) };
  }

  /** The latest computed value at which only one of the two sides stops, and of which it sees more than the shape. */
  private unequal(a: Cone, b: Cone): { cone: Cone; value: GraphValue } | undefined {
    let [found, latest]: [{ cone: Cone; value: GraphValue } | undefined, number] = [undefined, -1];
    const consider = (cone: Cone, value: GraphValue, twin: GraphValue | undefined, order: number) => {
      if (value.producer === undefined || twin?.producer === undefined || order <= latest) return;
      // One file may hold as a constant what the other computes from the shape of something long past.
      if (!(cone === a ? b : a).nodes.has(twin.producer) && cone.measures(value)) return;
      [found, latest] = [{ cone, value }, order];
    };
    for (const value of a.frontier) {
      const twin = this.toB.get(value);
      if (twin !== undefined && !b.frontier.has(twin)) consider(a, value, twin, twin.producer?.order ?? -1);
    }
    for (const value of b.frontier) {
      const twin = this.toA.get(value);
      if (twin !== undefined && !a.frontier.has(twin)) consider(b, value, twin, value.producer?.order ?? -1);
    }
    return found;
  }
}

function isFloatCode(code: number): boolean {
  const dtype = dtypeOf(code);
  return dtype !== undefined && isFloat(dtype);
}

const text = new TextDecoder();

/** Attributes as they are written: what is only another way of writing is run like any other change. */
function sameAttributes(a: NodeRecord, b: NodeRecord): boolean {
  if (a.attributes.size !== b.attributes.size) return false;
  for (const [name, x] of a.attributes) {
    const y = b.attributes.get(name);
    if (y === undefined || !sameAttribute(x, y)) return false;
  }
  return true;
}

function sameAttribute(x: AttributeRecord, y: AttributeRecord): boolean {
  if (x.g ?? y.g ?? x.sparseTensor ?? y.sparseTensor ?? x.typeProto ?? y.typeProto) return false;
  if (x.graphs.length + y.graphs.length + x.tensors.length + y.tensors.length > 0) return false;
  const written = ({ refAttrName, f, i, s, floats, ints, strings }: AttributeRecord) =>
    [refAttrName, f, i, s && text.decode(s), floats.join(), ints.join(), strings.map((v) => text.decode(v)).join()].join(
      "\u0000",
    );
  if (written(x) !== written(y)) return false;
  return x.t === undefined || y.t === undefined ? x.t === y.t : samePayload(x.t, y.t);
}

interface Framed {
  readonly frame: { readonly start: number; readonly end: number };
}

function sameBytes(a: GraphView, x: Framed, b: GraphView, y: Framed): boolean {
  const [p, q] = [a.model.files.main.read(x.frame.start, x.frame.end), b.model.files.main.read(y.frame.start, y.frame.end)];
  return p.length === q.length && p.every((byte, i) => byte === q[i]);
}
