/** Operators of one file that compute the very same thing: same operator, attributes and input values, whatever copies lie between. */
import type { Facts } from "../../graph/facts.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import type { Constants } from "../../laws/constants.ts";
import { sizeOf } from "../../onnx/tensor.ts";
import { draws } from "../runs.ts";

/** Constants up to this size are compared by their numbers, larger ones by name. */
const SMALL = 16;

export class Twins {
  private readonly seen = new Map<string, GraphNode>();
  /** Of a value that was made before, the first of its kind. */
  private readonly first = new Map<GraphValue, GraphValue>();
  private readonly names = new Map<GraphValue, string>();

  constructor(private readonly side: { readonly constants: Constants; readonly facts: Facts }) {}

  /** An earlier operator than `node` that is the same; operators are asked for in running order. */
  of(node: GraphNode): GraphNode | undefined {
    const [x] = node.inputs;
    const [y] = node.outputs;
    if (node.domain === "" && node.opType === "Identity" && x !== undefined && y !== undefined)
      this.first.set(y, this.firstOf(x));
    const key = this.keyOf(node);
    if (key === undefined) return undefined;
    const twin = this.seen.get(key);
    if (twin === undefined) this.seen.set(key, node);
    else
      for (const [i, value] of node.outputs.entries()) {
        const same = twin.outputs[i];
        if (value !== undefined && same !== undefined) this.first.set(value, this.firstOf(same));
      }
    return twin;
  }

  private firstOf(value: GraphValue): GraphValue {
    return this.first.get(value) ?? value;
  }

  private keyOf(node: GraphNode): string | undefined {
    if (node.bodies.length > 0 || node.record.attributes.size > 12 || node.outputs.length > 1) return undefined;
    if (draws(node.record)) return undefined;
    const attributes: string[] = [];
    for (const a of node.record.attributes.values()) {
      if (a.t !== undefined || a.tensors.length > 0 || a.sparseTensor !== undefined || a.refAttrName !== "") return undefined;
      attributes.push(`${a.name}=${a.f},${a.i},${a.s},${a.ints},${a.floats},${a.strings.join("\u0001")}`);
    }
    const inputs = node.inputs.map((value) => (value === undefined ? "" : this.nameOf(this.firstOf(value))));
    return `${node.scope.path}|${node.domain}:${node.opType}|${attributes.sort()}|${inputs.join("\u0000")}`;
  }

  private nameOf(value: GraphValue): string {
    const known = this.names.get(value);
    if (known !== undefined) return known;
    const name = this.numbers(value) ?? `#${this.names.size}`;
    this.names.set(value, name);
    return name;
  }

  /** A small constant as text. */
  private numbers(value: GraphValue): string | undefined {
    const { constants, facts } = this.side;
    const dims = facts.shape(value);
    if (!constants.has(value) || !dims?.every((d) => typeof d === "number") || sizeOf(dims as number[]) > SMALL) return undefined;
    const { dtype, data } = constants.tensor(value, true);
    return `${dtype}[${dims}]:${Array.from(data as ArrayLike<unknown>, (v) => (Object.is(v, -0) ? "-0" : String(v)))}`;
  }
}
