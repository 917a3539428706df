/**
 * Random small graphs over every operator that has a rule. A graph grows one node at a time: an operator is drawn, a value
 * it can take is drawn among the latest, constants are made (or, at times, shared), and the result joins the values. Sizes
 * repeat on purpose (C = H = W, square weights), so that a rule that goes by length instead of by axis is caught.
 */
import { type Random, randomOf } from "../../src/verify/random.ts";
import type { AttributeSpec, ModelSpec, NodeSpec, TensorSpec, ValueSpec } from "../helpers/build.ts";
import { builders } from "./operators.ts";

export type Storage = "float64" | "float32" | "float16";

export interface Value {
  readonly name: string;
  readonly dims: readonly number[];
  /** False for what must not grow further (bool, integers). */
  readonly float: boolean;
}

const OPSETS = [7, 9, 10, 11, 13, 14, 15, 17, 18, 21, 22] as const;
const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);

/** Values beyond this many elements are not made: the graphs stay small. */
const LARGEST = 900;

export class Growing {
  readonly random: Random;
  readonly opset: number;
  readonly dtype: Storage;
  /** The first axis of the inputs is a symbol. */
  readonly symbolic: boolean;
  readonly nodes: NodeSpec[] = [];
  readonly initializers: Record<string, TensorSpec> = {};
  readonly inputs: ValueSpec[] = [];
  readonly values: Value[] = [];
  /** Integer results, which only outputs and their own builder read. */
  readonly pointers: Value[] = [];
  readonly read = new Set<string>();
  readonly outputs = new Set<string>();
  /** Initializers the caller may override. */
  readonly overridable: string[] = [];
  private count = 0;

  constructor(readonly seed: number) {
    this.random = randomOf(seed, "graph");
    this.opset = this.pick(OPSETS);
    this.dtype = this.chance(0.85) ? "float64" : this.pick(["float32", "float16"] as const);
    this.symbolic = this.chance(0.35);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)];
  }
  chance(p: number): boolean {
    return this.random.uniform() < p;
  }
  between(low: number, high: number): number {
    return low + this.random.below(high - low + 1);
  }
  name(prefix: string): string {
    return `${prefix}${++this.count}`;
  }

  /** A constant number: quarters, so that even float16 holds it. */
  number(): number {
    return (this.random.below(17) - 8) / 4;
  }

  private share(dims: readonly number[]): string | undefined {
    if (!this.chance(0.12)) return undefined;
    const same = Object.entries(this.initializers).filter(
      ([, t]) => t.dtype === this.dtype && t.dims.length === dims.length && t.dims.every((d, i) => d === dims[i]),
    );
    return same.length === 0 ? undefined : this.pick(same)[0];
  }

  /** A float constant as an initializer, at times one already there, at times a Constant node. */
  constant(dims: readonly number[], value: () => number = () => this.number(), shareable = true): string {
    const shared = shareable ? this.share(dims) : undefined;
    if (shared !== undefined) return shared;
    const tensor: TensorSpec = { dtype: this.dtype, dims, values: Array.from({ length: size(dims) }, value) };
    const name = this.name("c");
    if (this.chance(0.06)) this.nodes.push({ op: "Constant", inputs: [], outputs: [name], attributes: { value: tensor } });
    else {
      this.initializers[name] = tensor;
      if (this.chance(0.015)) {
        this.overridable.push(name);
        this.inputs.push({ name, dtype: this.dtype, dims });
      }
    }
    return name;
  }

  /** Gains of every sign; zeros, ones and uniform ones among them. */
  gains(dims: readonly number[]): string {
    const all = this.random.uniform();
    if (all < 0.15) {
      const only = this.number() || 0.5;
      return this.constant(dims, () => only, false);
    }
    const positive = all < 0.6;
    const zeros = all > 0.93;
    return this.constant(dims, () => {
      const v = zeros && this.chance(0.3) ? 0 : this.number() || 1.5;
      return positive ? Math.abs(v) : v;
    });
  }

  integers(values: readonly number[], dims: readonly number[] = [values.length]): string {
    const name = this.name("i");
    this.initializers[name] = { dtype: "int64", dims, values };
    return name;
  }

  input(dims: readonly number[], dtype: string = this.dtype): Value {
    const value = { name: this.name("x"), dims, float: dtype === this.dtype };
    this.inputs.push({ name: value.name, dtype, dims: this.symbolic ? ["N", ...dims.slice(1)] : dims });
    if (value.float) this.values.push(value);
    return value;
  }

  /** A recent value that fits, preferring the latest. */
  some(fits: (dims: readonly number[], value: Value) => boolean): Value | undefined {
    const list = this.values.filter((v) => fits(v.dims, v));
    if (list.length === 0) return undefined;
    if (this.chance(0.7)) return list[list.length - 1];
    return this.pick(list.slice(-5));
  }

  node(
    op: string,
    inputs: readonly string[],
    outputs: readonly (readonly number[])[],
    attributes: Readonly<Record<string, AttributeSpec | undefined>> = {},
  ): Value[] | undefined {
    if (outputs.some((dims) => size(dims) > LARGEST || dims.length > 5 || dims.some((d) => d < 1))) return undefined;
    const made = outputs.map((dims) => ({ name: this.name("v"), dims, float: true }));
    const given = Object.entries(attributes).filter((entry): entry is [string, AttributeSpec] => entry[1] !== undefined);
    this.nodes.push({
      op,
      inputs,
      outputs: made.map((v) => v.name),
      attributes: Object.fromEntries(given),
      ...(this.chance(0.8) ? { name: `${op}_${this.count}` } : {}),
    });
    for (const name of inputs) this.read.add(name);
    for (const value of made) {
      this.values.push(value);
      if (this.chance(0.04)) this.outputs.add(value.name);
    }
    return made;
  }

  /** A node whose last output counts or points: the others grow on, this one ends here or is read by its builder. */
  whole(
    op: string,
    inputs: readonly string[],
    [outputs, last]: readonly [readonly (readonly number[])[], readonly number[]],
    attributes: Readonly<Record<string, AttributeSpec | undefined>> = {},
  ): Value[] | undefined {
    const made = this.node(op, inputs, outputs, attributes);
    if (made === undefined) return undefined;
    const pointer = { name: this.name("v"), dims: last, float: false };
    const node = this.nodes[this.nodes.length - 1];
    this.nodes[this.nodes.length - 1] = { ...node, outputs: [...node.outputs, pointer.name] };
    this.pointers.push(pointer);
    return [...made, pointer];
  }

  /** The finished description; what nobody reads is an output. */
  spec(): ModelSpec {
    const made = new Set(this.nodes.flatMap((n) => n.outputs));
    const ends = this.values.filter((v) => made.has(v.name) && (this.outputs.has(v.name) || !this.read.has(v.name)));
    const outputs = ends.map((v): ValueSpec => ({ name: v.name, dtype: this.dtype, ...(this.symbolic ? {} : { dims: v.dims }) }));
    const pointers = this.pointers.filter((v) => !this.read.has(v.name) || this.chance(0.3));
    for (const { name, dims } of pointers) outputs.push({ name, dtype: "int64", ...(this.symbolic ? {} : { dims }) });
    return { irVersion: 9, opset: this.opset, nodes: this.nodes, initializers: this.initializers, inputs: this.inputs, outputs };
  }
}

/** A random graph. */
export function grow(seed: number): { readonly spec: ModelSpec; readonly dtype: Storage } {
  const g = new Growing(seed);
  const [n, c, s] = [g.pick([1, 2, 3]), g.between(1, 4), g.between(1, 4)];
  const rank = g.pick([2, 3, 3, 4, 4, 4, 5]);
  const dims = [n, c, ...Array.from({ length: rank - 2 }, () => (g.chance(0.7) ? c : s))];
  g.input(dims);
  if (g.chance(0.25)) g.input(dims);
  const steps = g.between(3, 12);
  for (let made = 0, tries = 0; made < steps && tries < 200; tries++) if (g.pick(builders)(g)) made++;
  return { spec: g.spec(), dtype: g.dtype };
}

const text = (t: TensorSpec): string => {
  const values = Array.from(t.values as ArrayLike<number>);
  return `${t.dtype === "float64" ? "" : t.dtype}[${t.dims}]${values.length > 12 ? `{${values.slice(0, 12)}…}` : `{${values}}`}`;
};

/** A graph in a few lines. */
export function show(spec: ModelSpec): string {
  const lines = [`opset ${spec.opset}`, ...(spec.inputs ?? []).map((v) => `in ${v.name}:${v.dtype}[${v.dims}]`)];
  for (const n of spec.nodes) {
    const attributes = Object.entries(n.attributes ?? {}).map(([k, v]) => {
      if (typeof v === "object" && "nodes" in v)
        return `${k}={${v.nodes.map((i) => `${i.outputs} = ${i.op}(${i.inputs})`).join("; ")}}`;
      return `${k}=${typeof v === "object" && "dims" in v ? text(v) : JSON.stringify(v)}`;
    });
    const inputs = n.inputs.map((name) =>
      spec.initializers?.[name] === undefined ? name : `${name}${text(spec.initializers[name])}`,
    );
    lines.push(`${n.outputs} = ${n.op}(${inputs.join(", ")}) ${attributes.join(" ")}`);
  }
  return [...lines, `out ${spec.outputs.map((v) => v.name)}`].join("\n");
}
