/** Model-local functions: which one a node calls, and whether they end. */
import { BnfoldError } from "../diag/error.ts";
import type { AttributeRecord, FunctionRecord, Model, NodeRecord } from "../onnx/records.ts";
import { isStandard } from "./schemas.ts";

/** "domain:name" or "domain:name:overload". */
export const functionLabel = ({ domain, name, overload }: Pick<FunctionRecord, "domain" | "name" | "overload">): string =>
  `${domain}:${name}${overload && `:${overload}`}`;

/**
 * The functions of a model, by label. One that has the name of a standard operator is not among them: some runtimes take the
 * operator then and some the function, so that nothing can be said of its calls.
 */
export class Functions {
  private readonly known = new Map<string, FunctionRecord>();
  private readonly shadowing = new Set<string>();

  constructor(functions: readonly FunctionRecord[]) {
    for (const fn of functions) {
      if (fn.domain === "" && isStandard(fn.name)) this.shadowing.add(functionLabel(fn));
      else this.known.set(functionLabel(fn), fn);
    }
  }

  /** The function a node calls. */
  called(node: NodeRecord): FunctionRecord | undefined {
    return this.known.size === 0 ? undefined : this.known.get(labelOfCall(node));
  }

  /** True when the node may be a call, or the standard operator of that name. */
  isAmbiguous(node: NodeRecord): boolean {
    return this.shadowing.size > 0 && this.shadowing.has(labelOfCall(node));
  }
}

const labelOfCall = ({ domain, opType, overload }: NodeRecord) => functionLabel({ domain, name: opType, overload });

export const graphsOf = ({ g, graphs }: AttributeRecord) => (g === undefined ? graphs : [g, ...graphs]);

/** Every node, those of inner graphs included. */
export function* allNodes(nodes: readonly NodeRecord[]): Generator<NodeRecord> {
  for (const node of nodes) {
    yield node;
    for (const attribute of node.attributes.values()) for (const graph of graphsOf(attribute)) yield* allNodes(graph.nodes);
  }
}

/** Functions that can be reached from the graph. */
export function reachable(model: Model, functions: Functions): Set<FunctionRecord> {
  const found = new Set<FunctionRecord>();
  const open: (readonly NodeRecord[])[] = [model.graph.nodes];
  for (let nodes = open.pop(); nodes !== undefined; nodes = open.pop()) {
    for (const node of allNodes(nodes)) {
      const called = functions.called(node);
      if (called === undefined || found.has(called)) continue;
      found.add(called);
      open.push(called.nodes);
    }
  }
  return found;
}

/**
 * How many nodes a graph has once every call is written out, calls included.
 * @throws BnfoldError of kind "model" when a function calls itself, through others or not.
 */
export function expandedSize(model: Model, functions: Functions): (nodes: readonly NodeRecord[]) => number {
  const sizes = new Map<FunctionRecord, number>();
  const open: FunctionRecord[] = [];
  const sizeOf = (fn: FunctionRecord): number => {
    const known = sizes.get(fn);
    if (known !== undefined) return known;
    if (open.includes(fn)) {
      const circle = [...open.slice(open.indexOf(fn)), fn].map(functionLabel);
      throw new BnfoldError(
        "model",
        `the function ${circle[0]} calls itself (${circle.join(" → ")})`,
        { file: model.files.main.name },
        "ONNX functions may not be recursive. Run ONNX's checker on the file.",
      );
    }
    open.push(fn);
    const size = count(fn.nodes);
    open.pop();
    sizes.set(fn, size);
    return size;
  };
  const count = (nodes: readonly NodeRecord[]): number => {
    let size = 0;
    for (const node of allNodes(nodes)) {
      const called = functions.called(node);
      size += 1 + (called === undefined ? 0 : sizeOf(called));
    }
    return size;
  };
  return count;
}
