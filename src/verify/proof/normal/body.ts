/** Function bodies, written down line by line. */
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { inner, integers, make, outputOf, type Setting } from "./rewriting.ts";

/** Writes a body down line by line, under names of its own. */
export class Body {
  readonly nodes: NodeRecord[] = [];

  constructor(private readonly node: GraphNode) {}

  of(part: string): string {
    return inner(this.node, part);
  }

  step(part: string, opType: string, inputs: readonly string[], settings: Readonly<Record<string, Setting>> = {}): string {
    this.nodes.push(make(this.node, opType, inputs, this.of(part), settings));
    return this.of(part);
  }

  list(part: string, ints: readonly number[]): string {
    this.nodes.push(integers(this.node, part, ints));
    return this.of(part);
  }

  number(part: string, f: number): string {
    return this.step(part, "Constant", [], { value_float: { f } });
  }

  last(opType: string, inputs: readonly string[], settings: Readonly<Record<string, Setting>> = {}): NodeRecord[] {
    return [...this.nodes, make(this.node, opType, inputs, outputOf(this.node), settings)];
  }
}
