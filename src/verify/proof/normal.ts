/**
 * One way of writing for what tools write in several. Both files are rewritten, in memory, by equations that hold for all inputs over
 * the real numbers: the table below, a row for each, with its conditions in the file it comes from. No rewriting computes a number that
 * a file stores, so that what rounding may do is judged where constants are compared, as in any other file.
 *
 * Values keep their names, so that what is found of them is found of the file. Nodes nobody reads afterwards are left out.
 */
import type { GraphValue } from "../../graph/view.ts";
import { viewOf } from "../../graph/view.ts";
import type { AttributeRecord, GraphRecord, Model, NodeRecord } from "../../onnx/records.ts";
import { sideOf } from "./classes.ts";
import { GELU, HARDSWISH, QUICKGELU } from "./normal/activations.ts";
import { COUNTED } from "./normal/axes.ts";
import { CLIPPED, RECTIFIED } from "./normal/bounds.ts";
import { FUSED } from "./normal/fused.ts";
import { PLAIN } from "./normal/identities.ts";
import { BARED } from "./normal/norms.ts";
import { PADDED } from "./normal/pads.ts";
import { POOLED } from "./normal/pools.ts";
import { FACTORED } from "./normal/products.ts";
import { LAYERED, RESHAPED } from "./normal/reshapes.ts";
import type { Rewriting } from "./normal/rewriting.ts";

/** In the order in which they are tried: the first that applies to a node is taken, and the next round looks at what it made. */
export const REWRITINGS: readonly Rewriting[] = [
  FACTORED,
  BARED,
  PLAIN,
  HARDSWISH,
  FUSED,
  GELU,
  QUICKGELU,
  POOLED,
  PADDED,
  RECTIFIED,
  CLIPPED,
  LAYERED,
  RESHAPED,
  COUNTED,
];

/** A model in its normal form; the model itself when it is that already. */
export function normalForm(model: Model): Model {
  let current = model;
  // What one rewriting makes may be what another begins with: a fused Conv after a Pad.
  for (let round = 0; round < 6; round++) {
    const next = rewritten(current);
    if (next === current) break;
    current = next;
  }
  return current === model ? model : pruned(current);
}

function rewritten(model: Model): Model {
  const side = sideOf(model);
  const made = new Map<NodeRecord, NodeRecord[]>();
  for (const node of side.view.nodes) {
    if (node.scope.kind === "function" || (node.domain === "" && node.opType === "Identity")) continue;
    for (const { rewrite } of REWRITINGS) {
      const list = rewrite(node, side);
      if (list === undefined) continue;
      made.set(node.record, list);
      break;
    }
  }
  return made.size === 0 ? model : { ...model, graph: replacedIn(model.graph, (node) => made.get(node) ?? [node]) };
}

/** A graph with its nodes, and those of its subgraphs, replaced. */
function replacedIn(graph: GraphRecord, by: (node: NodeRecord) => NodeRecord[]): GraphRecord {
  const inside = (node: NodeRecord): NodeRecord => {
    if (![...node.attributes.values()].some(({ g, graphs }) => g !== undefined || graphs.length > 0)) return node;
    const attributes = new Map<string, AttributeRecord>();
    for (const [name, one] of node.attributes)
      attributes.set(name, { ...one, g: one.g && replacedIn(one.g, by), graphs: one.graphs.map((g) => replacedIn(g, by)) });
    return { ...node, attributes };
  };
  return { ...graph, nodes: graph.nodes.flatMap((node) => by(node).map(inside)) };
}

/** Without nodes nobody reads. */
function pruned(model: Model): Model {
  const view = viewOf(model);
  const dead = new Set<NodeRecord>();
  for (const node of view.nodes.toReversed()) {
    if (node.scope.kind === "function") continue;
    const read = (value: GraphValue | undefined) =>
      value !== undefined && (value.isOutput || value.uses.some((use) => !dead.has(use.node.record)));
    if (!node.outputs.some(read)) dead.add(node.record);
  }
  return dead.size === 0 ? model : { ...model, graph: replacedIn(model.graph, (node) => (dead.has(node) ? [] : [node])) };
}
