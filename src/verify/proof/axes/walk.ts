/**
 * A model in the form of its cores (held.ts): one walk over its graph, in which each operator is written down before what moves its
 * operands, or reads them as they are. What it cannot be told is left as it stands: graphs inside, functions, shapes nobody knows.
 */

import type { GraphNode } from "../../../graph/view.ts";
import type { Model, NodeRecord } from "../../../onnx/records.ts";
import { sideOf } from "../classes.ts";
import { joined, reduced, sliced, soft } from "./along.ts";
import { multiplied } from "./contract.ts";
import { elementwise, normalized } from "./elementwise.ts";
import { Draft } from "./held.ts";
import { copied, moving } from "./moving.ts";

const WAYS: readonly ((draft: Draft, node: GraphNode) => boolean)[] = [
  moving,
  copied,
  elementwise,
  normalized,
  multiplied,
  reduced,
  soft,
  sliced,
  joined,
];

/** What a way that leads nowhere has written down nobody reads. */
export function byCores(model: Model): Model {
  const draft = new Draft(sideOf(model));
  const { view, constants } = draft.side;
  if (view.cyclic.size > 0) return model;
  for (const node of view.nodes) {
    if (node.scope !== view.main) continue;
    const fixed = node.outputs.every((value) => value === undefined || constants.has(value));
    if (fixed || !WAYS.some((way) => way(draft, node))) draft.nodes.push(asItIs(draft, node));
    for (const value of node.outputs) if (value !== undefined && (value.isOutput || value.captured)) draft.finish(value, node);
  }
  return { ...model, graph: { ...model.graph, nodes: draft.nodes } };
}

const asItIs = (draft: Draft, node: GraphNode): NodeRecord => ({
  ...node.record,
  inputs: node.inputs.map((value) => draft.operand(value, node)),
});
