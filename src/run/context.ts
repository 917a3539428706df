/** What an operator sees of its node while it runs: `OpContext` over a node record and the scope it runs in. */
import { BnfoldError } from "../diag/error.ts";
import type { AttributeRecord, NodeRecord, TensorRecord } from "../onnx/records.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { type Body, isTensor, type NumericMode, type OpContext, type Value } from "../ops/define.ts";
import { nodeName } from "./plan.ts";

/** The scope's side of a context. */
export interface Host {
  readonly mode: NumericMode;
  /** The node's attribute, references to a function's attributes resolved. */
  attribute(node: NodeRecord, name: string): AttributeRecord | undefined;
  body(node: NodeRecord, name: string): Body | undefined;
  random(node: NodeRecord, seed: number | undefined): () => number;
  decode(record: TensorRecord): Tensor;
}

const utf8 = new TextDecoder("utf-8");

export function describe(value: Value | undefined): string {
  if (value === undefined) return "none";
  if (isTensor(value)) return `${value.dtype} [${value.dims.join(", ")}]`;
  if (value.kind === "optional") return `optional(${describe(value.item)})`;
  return `sequence of ${value.items.length}${value.items.length > 0 ? ` (${describe(value.items[0])}, …)` : ""}`;
}

/** A scalar attribute that is there without a value is 0 or "": proto3 writers leave defaults out. */
export class NodeContext implements OpContext {
  readonly mode: NumericMode;

  constructor(
    private readonly host: Host,
    readonly node: NodeRecord,
    readonly version: number,
    private readonly inputs: readonly (Value | undefined)[],
    private readonly memory: (n: number, over: readonly Tensor[]) => Float64Array,
    readonly holds: boolean,
  ) {
    this.mode = host.mode;
  }

  wants(i: number): boolean {
    return (this.node.outputs[i] ?? "") !== "";
  }

  attribute(name: string): AttributeRecord | undefined {
    return this.host.attribute(this.node, name);
  }

  int(name: string, fallback: number): number {
    const attribute = this.attribute(name);
    return attribute === undefined ? fallback : Number(attribute.i ?? 0n);
  }

  ints(name: string): number[] | undefined {
    return this.attribute(name)?.ints.map(Number);
  }

  float(name: string, fallback: number): number {
    const attribute = this.attribute(name);
    return attribute === undefined ? fallback : (attribute.f ?? 0);
  }

  floats(name: string): number[] | undefined {
    const list = this.attribute(name)?.floats;
    return list === undefined ? undefined : [...list];
  }

  string(name: string, fallback: string): string {
    const attribute = this.attribute(name);
    if (attribute === undefined) return fallback;
    return attribute.s === undefined ? "" : utf8.decode(attribute.s);
  }

  strings(name: string): string[] | undefined {
    return this.attribute(name)?.strings.map((bytes) => utf8.decode(bytes));
  }

  tensor(name: string): Tensor | undefined {
    const record = this.attribute(name)?.t;
    return record === undefined ? undefined : this.decode(record);
  }

  decode(record: TensorRecord): Tensor {
    return this.host.decode(record);
  }

  result(n: number, ...over: readonly Tensor[]): Float64Array {
    return this.memory(n, over);
  }

  body(name: string): Body {
    const body = this.host.body(this.node, name);
    if (body === undefined) throw this.fail(`the graph attribute ${name} is missing`);
    return body;
  }

  random(): () => number {
    const seed = this.attribute("seed");
    return this.host.random(this.node, seed === undefined ? undefined : (seed.f ?? Number(seed.i ?? 0n)));
  }

  fail(message: string): BnfoldError {
    return new BnfoldError("model", message + this.given(), { node: nodeName(this.node) });
  }

  /** An error met while the node was computed, with what only the node knows. */
  explain(error: BnfoldError): BnfoldError {
    // One that names a node says its inputs already, or is of a node inside a body or function.
    if (error.place.node !== undefined) return error;
    const { kind, message, place, hint } = error;
    return new BnfoldError(kind, message + this.given(), { ...place, node: nodeName(this.node) }, hint);
  }

  private given(): string {
    return this.inputs.length === 0 ? "" : ` (inputs: ${this.inputs.map(describe).join("; ")})`;
  }
}
