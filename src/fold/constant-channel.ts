/**
 * Shifts through zero padding (`constantChannel`). A layer P makes one more channel, of constant 1 (weights 0, bias 1); what lies between
 * keeps it (laws/ones.ts), and each Conv behind pads it with zeros as all others and weighs it with W·t:
 *
 *   Conv(f(P x) + t; W)  =  Conv([f(P x), 1]; [W, v]),   v[o,k] = Σ_i W[o,i,k]·t[i]
 *
 * No node is added, each of these Convs multiplies 1/C more. Until all is planned a state says so (`NodeState.ones`, operand ONES of the
 * Convs: rules/conv.ts), and folds go on around it; `widened` then makes it part of the constants.
 */
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Candidate } from "../laws/candidates.ts";
import type { Draft } from "../laws/draft.ts";
import { type Cone, coneOf, extended, makerOf, slopeAxis } from "../laws/ones.ts";
import { sideBySide } from "../onnx/tensor.ts";
import { ONES, readsOnes, withOnes } from "../rules/conv.ts";
import { fresh } from "../rules/params.ts";
import { isRefused, type NodeState, type Param, type Refused, refuse, withParam } from "../rules/types.ts";
import { nameOf } from "./describe.ts";

/** What carries a shift: the layers that make a channel of ones, and the Convs that read it. */
export interface Carried {
  readonly visited: readonly GraphNode[];
  /** What it costs. */
  readonly notes: readonly string[];
}

/**
 * Has a channel of ones made for the Convs of `touched` that are to read one; nothing where none is.
 * @param members the nodes whose maps are on their way out
 */
export function carryOnes(
  draft: Draft,
  members: readonly Candidate[],
  touched: ReadonlyMap<GraphNode, NodeState | undefined>,
): Carried | Refused {
  const leaves = new Map(members.map(({ node, input }) => [node, input]));
  const at = (node: GraphNode) => draft.at(node);
  const makers = new Map<GraphNode, Cone>();
  for (const [conv, before] of touched) {
    if (!readsOnes(at(conv)) || draft.state(conv).params.get(ONES) === before?.params.get(ONES)) continue;
    const maker = makerOf(conv.inputs[0], at, leaves);
    if (isRefused(maker)) return because(conv, maker);
    const cone = makers.get(maker) ?? coneOf(maker, at, new Set(leaves.keys()));
    if (isRefused(cone)) return because(conv, cone);
    makers.set(maker, cone);
  }
  for (const [maker, { layers }] of makers) {
    draft.set(maker, { ...draft.state(maker), ones: true });
    for (const layer of layers) draft.set(layer, withOnes(at(layer)) ?? draft.state(layer));
  }
  return {
    visited: [...makers].flatMap(([maker, { layers }]) => [maker, ...layers]),
    notes: [...makers].map(([maker, { layers }]) => noteOf(draft, maker, layers)),
  };
}

const because = (conv: GraphNode, { node, because: clause, value }: Refused): Refused => {
  const who = node === undefined ? "it" : nameOf(node);
  const text = `pads its input with zeros, which the shift must not touch, and no channel of constant 1 can carry it: ${who} ${clause}`;
  return refuse("padding-blocks", text, { node: conv, ...(value === undefined ? {} : { value }) });
};

function noteOf(draft: Draft, maker: GraphNode, layers: readonly GraphNode[]): string {
  const costs = layers.map((layer) => {
    const w = draft.at(layer).param(1);
    const channels = isRefused(w) ? 0 : w.dims[1];
    return `${nameOf(layer)} multiplies 1/${channels} more (${(100 / channels).toPrecision(2)} %)`;
  });
  return `a channel of constant 1 that ${nameOf(maker)} makes carries its shift through the padding: ${costs.join(", ")}`;
}

/** Makes the channels of ones part of the constants; the values that have one channel more than the file says. */
export function widened(draft: Draft): GraphValue[] {
  const states = [...draft.changed()].filter(([node]) => !node.removed);
  const wider: GraphValue[] = [];
  for (const [node, { ones }] of states) {
    const cone = ones === true ? coneOf(node, (other) => draft.at(other), new Set()) : undefined;
    if (cone === undefined || isRefused(cone)) continue;
    wider.push(...cone.values);
    for (const other of cone.between) {
      const at = draft.at(other);
      const axis = other.opType === "PRelu" ? slopeAxis(at) : undefined;
      const slope = axis === undefined ? undefined : at.param(1);
      if (axis !== undefined && slope !== undefined && !isRefused(slope))
        draft.set(other, withParam(at.state, 1, extended(slope, axis, 1)));
    }
  }
  // Input channels of what reads them come first: a layer may make such a channel of zeros for it, too.
  for (const [node] of states) if (readsOnes(draft.at(node))) draft.set(node, wideInputs(draft, node));
  for (const [node, { ones }] of states) if (ones === true) draft.set(node, wideOutputs(draft, node));
  return wider;
}

function wideInputs(draft: Draft, node: GraphNode): NodeState {
  const at = draft.at(node);
  const [w, ones] = [at.param(1), at.param(ONES)] as [Param, Param];
  const params = new Map(at.state.params);
  params.delete(ONES);
  const values = () => sideBySide(w.values(), ones.values(), w.dims[0]);
  return { ...at.state, params: params.set(1, { ...w, dims: w.dims.with(1, w.dims[1] + 1), mixed: true, values }) };
}

function wideOutputs(draft: Draft, node: GraphNode): NodeState {
  const at = draft.at(node);
  const w = at.param(1) as Param;
  const axis = node.opType === "ConvTranspose" ? 1 : 0;
  const count = w.dims[axis];
  const bias = at.has(2) ? (at.param(2) as Param) : fresh(w.dtype, [count], () => new Float64Array(count));
  return withParam(withParam(at.state, 1, extended(w, axis, 0)), 2, extended(bias, 0, 1));
}
