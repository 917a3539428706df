/** Models as what is drawn of them: nodes, who reads whom, and of two models which node is which. Bodies hang on the node that holds them. */
import { nodePairs } from "../../../src/diff/index.ts";
import { refOf } from "../../../src/fold/describe.ts";
import { type GraphNode, type GraphValue, viewOf } from "../../../src/graph/view.ts";
import type { Model } from "../../../src/onnx/records.ts";
import type { DrawnEdge, DrawnGraph, DrawnNode, GraphPair } from "../protocol.ts";

const isConstant = ({ producer, initializer, sparse }: GraphValue): boolean =>
  producer === undefined && (initializer ?? sparse) !== undefined;

function drawnNode(node: GraphNode): DrawnNode {
  const constants = node.inputs.filter((value) => value !== undefined && isConstant(value)) as GraphValue[];
  return {
    ...{ kind: "node", ...refOf(node) },
    constants: constants.map(({ name, initializer, sparse }) => ({ name, dims: (initializer ?? sparse)?.dims ?? [] })),
  };
}

const terminal = (kind: "input" | "output", name: string): DrawnNode => ({
  ...{ kind, scope: "", index: -1, opType: "", name, output: name, constants: [] },
});

export function drawn(model: Model): DrawnGraph {
  const view = viewOf(model);
  const list = view.scopes.flatMap((scope) => scope.nodes);
  const place = new Map(list.map((node, i) => [node, i]));
  const nodes = list.map(drawnNode);
  const inputs = new Map<GraphValue, number>();
  for (const value of view.main.values.values()) {
    if (!value.isInput || value.producer !== undefined || isConstant(value)) continue;
    inputs.set(value, nodes.push(terminal("input", value.name)) - 1);
  }
  const edges: DrawnEdge[] = [];
  const join = (value: GraphValue | undefined, to: number) => {
    if (value === undefined) return;
    const from = value.producer === undefined ? inputs.get(value) : place.get(value.producer);
    if (from !== undefined) edges.push({ from, to, value: value.name });
  };
  list.forEach((node, i) => {
    for (const value of node.inputs) join(value, i);
    for (const body of node.bodies)
      for (const output of body.record.outputs) join(body.resolve(typeof output === "string" ? output : output.name), i);
  });
  for (const { name } of model.graph.outputs) join(view.main.values.get(name), nodes.push(terminal("output", name)) - 1);
  return { nodes, edges };
}

const keyOf = ({ kind, scope, index, name }: Pick<DrawnNode, "kind" | "scope" | "index" | "name">): string =>
  kind === "node" ? `${scope}#${index}` : `${kind} ${name}`;

/** Places of the nodes that are the same; inputs and outputs of the models by name. */
function pairsOf(a: Model, b: Model, before: DrawnGraph, after: DrawnGraph): [number, number][] {
  const [mine, theirs] = [before, after].map(({ nodes }) => new Map(nodes.map((node, i) => [keyOf(node), i])));
  const ends = before.nodes.filter(({ kind }) => kind !== "node").map((node) => [keyOf(node), keyOf(node)] as const);
  const nodes = nodePairs(a, b).map(([p, q]) => [keyOf({ kind: "node", ...p }), keyOf({ kind: "node", ...q })] as const);
  return [...nodes, ...ends].flatMap(([p, q]): [number, number][] => {
    const [i, k] = [mine.get(p), theirs.get(q)];
    return i === undefined || k === undefined ? [] : [[i, k]];
  });
}

export function drawnPair(a: Model, b: Model | undefined): GraphPair {
  const before = drawn(a);
  if (b === undefined) return { before, pairs: [] };
  const after = drawn(b);
  return { before, after, pairs: pairsOf(a, b, before, after) };
}
