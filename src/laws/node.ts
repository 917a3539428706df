/** A node as rules and laws see it: its operands' shapes, its constants, its attributes, with what has been changed about it. */
import { floatAttr, intAttr, intsAttr, stringAttr } from "../graph/attributes.ts";
import type { Facts } from "../graph/facts.ts";
import type { GraphNode } from "../graph/view.ts";
import { dtypeInfo, dtypeOf } from "../onnx/dtype.ts";
import { asFloat64 } from "../onnx/tensor.ts";
import { type Codes, type NodeState, type Param, type Refused, type RuleNode, refuse } from "../rules/types.ts";
import type { Constants } from "./constants.ts";

/** The state of a node as the file has it. */
export const unchanged = ({ opType }: GraphNode): NodeState => ({ opType, params: new Map(), attributes: {}, bias: undefined });

export class ReadNode implements RuleNode {
  readonly facts: Facts;
  readonly version: number;
  private readonly constants: Constants;

  constructor(
    { facts, constants }: { readonly facts: Facts; readonly constants: Constants },
    readonly node: GraphNode,
    readonly state: NodeState,
  ) {
    this.facts = facts;
    this.constants = constants;
    this.version = node.version;
  }

  inShape(i: number) {
    return this.facts.shape(this.node.inputs[i]);
  }

  outShape(i: number) {
    return this.facts.shape(this.node.outputs[i]);
  }

  param(i: number): Param | Refused {
    const changed = this.state.params.get(i);
    if (changed !== undefined) return changed;
    const value = this.node.inputs[i];
    if (value === undefined) return refuse("malformed-graph", `lacks its operand ${i}`);
    return this.constants.param(value);
  }

  stored(i: number): Param | Refused {
    return this.constants.param(this.node.inputs[i], true);
  }

  codes(i: number): Codes | undefined {
    const changed = this.state.codes?.get(i);
    const value = this.node.inputs[i];
    if (changed !== undefined || value === undefined || !this.constants.has(value)) return changed;
    const { dtype: code, shape } = this.facts.of(value);
    const dtype = dtypeOf(code);
    const dims = shape?.every((d) => typeof d === "number") ? (shape as number[]) : undefined;
    if (dtype === undefined || dims === undefined || dtypeInfo(dtype).bits > 32) return undefined;
    return { dtype, dims, source: value, values: () => asFloat64(this.constants.tensor(value)) };
  }

  has(i: number): boolean {
    if (this.state.dropped?.includes(i)) return false;
    return this.node.inputs[i] !== undefined || this.state.params.has(i) || this.state.codes?.has(i) === true;
  }

  isConstant(i: number): boolean {
    const value = this.node.inputs[i];
    return this.state.params.has(i) || (value !== undefined && this.constants.has(value));
  }

  int(name: string, fallback: number): number {
    const changed = this.state.attributes[name];
    return changed !== undefined && "int" in changed ? changed.int : intAttr(this.node.record, name, fallback);
  }

  float(name: string, fallback: number): number {
    const changed = this.state.attributes[name];
    return changed !== undefined && "float" in changed ? changed.float : floatAttr(this.node.record, name, fallback);
  }

  ints(name: string): number[] | undefined {
    const changed = this.state.attributes[name];
    return changed !== undefined && "ints" in changed ? [...changed.ints] : intsAttr(this.node.record, name);
  }

  string(name: string, fallback: string): string {
    const changed = this.state.attributes[name];
    if (changed !== undefined && "string" in changed) return changed.string;
    return stringAttr(this.node.record, name, fallback);
  }
}
