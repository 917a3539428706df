/**
 * One way of writing for what tools write in several. Both files are rewritten, in memory, by equations that hold for all inputs over
 * the real numbers: the table below, a row for each, with its conditions in the file it comes from. No rewriting computes a number that
 * a file stores, so that what rounding may do is judged where constants are compared, as in any other file.
 *
 * Values keep their names, so that what is found of them is found of the file. Nodes nobody reads afterwards are left out.
 */
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { viewOf } from "../../graph/view.ts";
import type { AttributeRecord, GraphRecord, Model, NodeRecord } from "../../onnx/records.ts";
import { byCores } from "./axes/walk.ts";
import { sideOf } from "./classes.ts";
import { knownElements } from "./match.ts";
import { CURVES, GELU, HARDSIGMOID, HARDSWISH, MISH, QUICKGELU } from "./normal/activations.ts";
import { ATTENTION } from "./normal/attention.ts";
import { COUNTED } from "./normal/axes.ts";
import { CLIPPED, RECTIFIED, TURNED } from "./normal/bounds.ts";
import { CONVS } from "./normal/convs.ts";
import { BRANCHES } from "./normal/curves.ts";
import { FUNCTIONS } from "./normal/functions.ts";
import { CONTRIBUTED, FUSED } from "./normal/fused.ts";
import { IDLE_OPERATORS, PLAIN } from "./normal/identities.ts";
import { SINGLE } from "./normal/lone.ts";
import { BARED } from "./normal/norms.ts";
import { PADDED } from "./normal/pads.ts";
import { PIECES } from "./normal/pieces.ts";
import { MEANS, POOLED } from "./normal/pools.ts";
import { POWERS } from "./normal/powers.ts";
import { COMMON, FACTORED, SCALED } from "./normal/products.ts";
import { DEQUANTIZED, QUANTIZED, STANDARD, UNSIGNED } from "./normal/quantized.ts";
import { RECURRENT } from "./normal/recurrent.ts";
import { LAYERED, MEASURED, RESHAPED, ROWWISE, UNSHAPED } from "./normal/reshapes.ts";
import { RESIZED } from "./normal/resizes.ts";
import { READ } from "./normal/results.ts";
import type { Rewriting } from "./normal/rewriting.ts";
import { SEQUENCES } from "./normal/sequences.ts";
import { UNBENT } from "./normal/signs.ts";
import { SLOPES } from "./normal/slopes.ts";
import { SOFTMAXES } from "./normal/softmaxes.ts";
import { TRANSPOSES } from "./normal/transposes.ts";
import { VIEWS } from "./normal/views.ts";

/** In the order in which they are tried: the first that applies to a node is taken, and the next round looks at what it made. */
export const REWRITINGS: readonly Rewriting[] = [
  ...FUNCTIONS,
  ...POWERS,
  ...SLOPES,
  ...BRANCHES,
  ...COMMON,
  FACTORED,
  SCALED,
  BARED,
  PLAIN,
  IDLE_OPERATORS,
  READ,
  UNBENT,
  HARDSWISH,
  HARDSIGMOID,
  MISH,
  FUSED,
  ...CONTRIBUTED,
  ...ATTENTION,
  STANDARD,
  UNSIGNED,
  DEQUANTIZED,
  QUANTIZED,
  ...TRANSPOSES,
  ...SEQUENCES,
  ...PIECES,
  ...RECURRENT,
  VIEWS,
  ...CONVS,
  GELU,
  ...CURVES,
  ...SOFTMAXES,
  QUICKGELU,
  ...MEANS,
  POOLED,
  PADDED,
  RESIZED,
  SINGLE,
  TURNED,
  RECTIFIED,
  CLIPPED,
  LAYERED,
  ROWWISE,
  UNSHAPED,
  MEASURED,
  RESHAPED,
  COUNTED,
];

/** Two models, each in its normal form; a model itself when it is that already. `all`: by equations for what both write alike, too. */
export function normalForms(a: Model, b: Model, all = false): [Model, Model] {
  if (all) return [normalForm(a, REWRITINGS), normalForm(b, REWRITINGS)];
  const [p, q] = [a, b].map(operatorsOf);
  const differing = new Set([...p.keys(), ...q.keys()].filter((type) => p.get(type) !== q.get(type)));
  const rewritings = REWRITINGS.filter(({ where }) => where === undefined || where.some((type) => differing.has(type)));
  return [normalForm(a, rewritings), normalForm(b, rewritings)];
}

/** A model in its normal form, with what moves numbers as late as it goes (axes/walk.ts). */
export const movedForm = (form: Model): Model => pruned(byCores(undeclared(form)));

/** How many nodes of each operator compute something from the inputs. */
function operatorsOf(model: Model): Map<string, number> {
  const side = sideOf(model);
  const counts = new Map<string, number>();
  for (const { domain, opType, outputs } of side.view.nodes) {
    if (outputs.every((value) => value === undefined || side.constants.has(value) || knownElements(side, value) !== undefined))
      continue;
    const type = domain === "" ? opType : `${domain}:${opType}`;
    counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  return counts;
}

/** What one rewriting makes may be what another begins with: a fused Conv after a Pad, one Transpose behind another. */
const ROUNDS = 32;

/** A model in its normal form by some rewritings, those that hold for every model when none are given. */
export function normalForm(
  model: Model,
  rewritings: readonly Rewriting[] = REWRITINGS.filter(({ where }) => where === undefined),
): Model {
  // What a file declares of its values may be wrong, and decides nothing here.
  const plain = undeclared(model);
  let current = plain;
  for (let round = 0; round < ROUNDS; round++) {
    const next = rewritten(current, rewritings);
    if (next === current) break;
    current = next;
  }
  return pruned(current === plain ? model : current);
}

const undeclared = (model: Model): Model =>
  model.graph.valueInfos.length === 0 ? model : { ...model, graph: { ...model.graph, valueInfos: [] } };

function rewritten(model: Model, rewritings: readonly Rewriting[]): Model {
  const side = sideOf(model);
  const made = new Map<NodeRecord, NodeRecord[]>();
  const taken = new Set(side.view.scopes.flatMap(({ values }) => [...values.keys()]));
  for (const node of side.view.nodes) {
    if (node.scope.kind === "function" || (node.domain === "" && node.opType === "Identity")) continue;
    for (const { rewrite } of rewritings) {
      const list = rewrite(node, side);
      if (list === undefined) continue;
      made.set(node.record, named(list, node, taken));
      break;
    }
  }
  return made.size === 0 ? model : { ...model, graph: replacedIn(model.graph, (node) => made.get(node) ?? [node]) };
}

/** What stands in the place of a node, under names that nothing else has: it may have been rewritten before, under the same ones. */
function named(list: readonly NodeRecord[], node: GraphNode, taken: Set<string>): NodeRecord[] {
  const renamed = new Map<string, string>();
  return list.map((record) => {
    const inputs = record.inputs.map((name) => renamed.get(name) ?? name);
    const outputs = record.outputs.map((name) => {
      if (name === "" || node.record.outputs.includes(name)) return name;
      let free = name;
      while (taken.has(free)) free += "'";
      taken.add(free);
      renamed.set(name, free);
      return free;
    });
    return { ...record, inputs, outputs };
  });
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
