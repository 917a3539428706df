/**
 * Weights that the file computes from constants: W = g·v/‖v‖ (weight normalization), W = V/σ with σ = uᵀVw (spectral
 * normalization), standardised or re-parametrised weights. Such a weight is one constant, computed in float64 and rounded once;
 * written as such, the operators that made it go. Only what is computed counts: a weight that is merely transposed, reshaped or
 * cast keeps its form, and so does one that comes out of a DequantizeLinear.
 */
import { hasTrait, traitsOf } from "../graph/operators.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import type { Rejected } from "../laws/candidates.ts";
import type { Constants } from "../laws/constants.ts";
import type { Draft } from "../laws/draft.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { isRefused, type Param, type Refused, refuse } from "../rules/types.ts";
import { checkRange } from "./range.ts";

/** Operators that only move, copy or cast numbers, or have some of their own. */
const isPlain = (node: GraphNode): boolean =>
  hasTrait(node, "moves", "casts") || node.opType === "Constant" || node.opType === "Shape";

/** A weight that constants compute, with the operators that read it as such. */
export interface ComputedWeight {
  readonly node: GraphNode;
  readonly value: GraphValue;
  readonly readers: readonly GraphNode[];
  /** How many operators compute it. */
  readonly operators: number;
}

/** Those that a plan has not replaced already, in topological order. */
export function computedWeights(view: GraphView, draft: Draft): ComputedWeight[] {
  const found = new Map<GraphValue, GraphNode[]>();
  for (const node of view.nodes) {
    if (node.removed || node.domain !== "" || node.outputs.every((v) => v === undefined || draft.constants.has(v))) continue;
    for (const index of traitsOf(node)?.weights ?? []) {
      const value = node.inputs[index];
      if (value === undefined || draft.state(node).params.has(index) || !isComputed(value, draft)) continue;
      const readers = found.get(value) ?? [];
      if (!readers.includes(node)) readers.push(node);
      found.set(value, readers);
    }
  }
  return [...found].flatMap(([value, readers]) => {
    const behind = operatorsBehind(value);
    if (behind.every(isPlain)) return [];
    const operators = behind.filter(({ opType }) => opType !== "Constant").length;
    return [{ node: value.producer as GraphNode, value, readers, operators }];
  });
}

function isComputed(value: GraphValue, draft: Draft): boolean {
  if (value.producer === undefined || value.producer.opType === "Constant" || !draft.constants.has(value)) return false;
  // A quantised weight is refused as a parameter.
  return !isRefused(draft.constants.param(value));
}

/** Every operator a constant is computed by. */
function operatorsBehind(value: GraphValue): GraphNode[] {
  const seen = new Set<GraphNode>();
  const open = [value];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { producer } = at;
    if (producer === undefined || seen.has(producer)) continue;
    seen.add(producer);
    for (const input of producer.inputs) if (input !== undefined) open.push(input);
  }
  return [...seen];
}

/**
 * What a constant is where somebody reads it who computes: moved only, one way, by operators that leave it as large. A standardized weight
 * is laid out again by the shape of what it was made of, which would have to stay in the file for that alone.
 */
export function laidOut(value: GraphValue, constants: Constants): GraphValue {
  const elements = (one: GraphValue) => {
    const param = constants.param(one);
    return isRefused(param) ? undefined : sizeOf(param.dims);
  };
  const size = elements(value);
  for (let at = value; ; ) {
    const [use] = at.uses;
    const next: GraphValue | undefined = use?.node.outputs[0];
    const isOnlyMoved =
      at.uses.length === 1 && !at.isOutput && use.index === 0 && next !== undefined && hasTrait(use.node, "moves");
    if (!isOnlyMoved || !constants.has(next) || elements(next) !== size) return at;
    at = next;
  }
}

/** The numbers of a computed weight, or why it stays as it is. */
export function settled({ node, value }: ComputedWeight, draft: Draft, exact: boolean): Param | Rejected {
  const kept = (refusal: Refused): Rejected => ({ node, kind: "weight", refusal });
  if (value.isOutput) return kept(refuse("is-graph-output", `makes "${value.name}", which is an output of its graph`, { value }));
  if (value.isAnnotated)
    return kept(refuse("quantized", `makes "${value.name}", which a quantisation annotation describes`, { value }));
  if (node.outputs.some((v) => v !== undefined && v !== value && (v.uses.length > 0 || v.isOutput)))
    return kept(refuse("extra-outputs-used", "has another output that is read"));
  const param = draft.constants.param(value);
  const refused = isRefused(param) ? param : checkRange(param, exact);
  return refused === undefined ? (param as Param) : kept(refused);
}
