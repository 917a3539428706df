/**
 * A channel of constant 1: one more output channel of a layer, of weights 0 and bias 1, behind the C that it has. It stays 1 through
 *
 *   Relu, LeakyRelu, PRelu, Elu, Celu, Abs, Identity, Dropout (inference)     f(1) = 1
 *   Clip                                                                      low ≤ 1 ≤ high
 *   MaxPool                       where each window holds an element (padding is −∞), and nobody reads its indices
 *   AveragePool                   where no padded zero is counted
 *
 * and is padded with zeros by the Conv that reads it, as all other channels are: a shift t of those is W·t of this one, border and
 * all, which no bias is. Each law holds channel by channel: nothing of the other C changes.
 */
import { blocks } from "../affine/spread.ts";
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import { sideBySide } from "../onnx/tensor.ts";
import { inferring } from "../rules/activation.ts";
import { isRefused, type Param, type Refused, type RuleNode, refuse } from "../rules/types.ts";
import { biasOf, ownFilterOf } from "../rules/weights.ts";
import { padsForConvs } from "../rules/window.ts";

/** The axis of a layer's weight that one more output channel lengthens; undefined of what is no layer that can make it. */
export function outputAxis(at: RuleNode): number | undefined {
  const { domain, opType, outputs, scope } = at.node;
  if (domain !== "" || opType !== at.state.opType || scope.kind !== "main" || at.isConstant(0) || outputs.length !== 1)
    return undefined;
  const axis = opType === "Conv" ? 0 : opType === "ConvTranspose" ? 1 : undefined;
  const w = axis === undefined || at.int("group", 1) !== 1 ? undefined : ownFilterOf(at);
  if (axis === undefined || w === undefined || isRefused(w)) return undefined;
  return at.has(2) && isRefused(biasOf(at, 2, w.dims[axis])) ? undefined : axis;
}

/** True where the pads of a window are numbers. */
const isPlain = (at: RuleNode): boolean => ["NOTSET", "VALID", ""].includes(at.string("auto_pad", "NOTSET"));

/** True where every window of a MaxPool holds an element of its input, whatever its size. */
function holdsElements(at: RuleNode): boolean {
  const [kernel = [], pads = [], plain, ceil] = [at.ints("kernel_shape"), at.ints("pads"), isPlain(at), at.int("ceil_mode", 0)];
  if (plain && ceil === 0 && pads.every((p) => p === 0)) return true;
  const dense = (at.ints("dilations") ?? []).every((d) => d === 1);
  const inside = kernel.every((k, i) => {
    const [before, after, stride] = [pads[i] ?? 0, pads[i + kernel.length] ?? 0, at.ints("strides")?.[i] ?? 1];
    return before >= 0 && after >= 0 && before < k && (ceil === 0 ? after < k : stride + after <= k);
  });
  return dense && (!plain || inside);
}

/** True of a Clip whose lower and upper bound, operands or attributes, have 1 between them. */
function admitsOne(at: RuleNode): boolean {
  const [low, high] = [1, 2].map((i) => {
    const given = at.has(i) ? at.param(i) : undefined;
    const none = i === 1 ? -Infinity : Infinity;
    if (given === undefined) return at.version < 11 ? at.float(i === 1 ? "min" : "max", none) : none;
    return isRefused(given) ? Number.NaN : given.values()[0];
  });
  return low <= 1 && high >= 1;
}

/** The axis of a PRelu's slope that lies on the channels; undefined where it is one number for all of them. */
export function slopeAxis(at: RuleNode): number | undefined {
  const [slope, rank] = [at.param(1), at.inShape(0)?.length];
  if (isRefused(slope) || rank === undefined) return undefined;
  const axis = at.version < 7 ? 0 : slope.dims.length - rank + 1;
  return (slope.dims[axis] ?? 1) > 1 ? axis : undefined;
}

const CONDITIONS: Readonly<Record<string, (at: RuleNode) => boolean>> = {
  Clip: admitsOne,
  MaxPool: holdsElements,
  AveragePool: (at) =>
    at.int("ceil_mode", 0) === 0 &&
    (at.int("count_include_pad", 0) === 0 || (isPlain(at) && (at.ints("pads") ?? []).every((p) => p === 0))),
  Dropout: (at) => inferring(at) === undefined,
  PRelu: (at) => at.inShape(0) !== undefined && !isRefused(at.param(1)),
};

/** True of an operator whose output is 1 on the channels on which its data are, and of which no other output is read. */
export function keepsOne(at: RuleNode): boolean {
  const { node, state } = at;
  if (node.domain !== "" || state.opType !== node.opType || !hasTrait(node, "keepsOne")) return false;
  if (node.outputs.slice(1).some((value) => value !== undefined && (value.uses.length > 0 || value.isOutput))) return false;
  return CONDITIONS[node.opType]?.(at) ?? true;
}

/** What reads a layer's channels: all of it has to be known where there is to be one more. */
export interface Cone {
  /** Values that have one more channel, the layer's own first. */
  readonly values: readonly GraphValue[];
  /** Operators that keep it. */
  readonly between: readonly GraphNode[];
  /** Convs that read it. */
  readonly layers: readonly GraphNode[];
}

/** A clause that says what reads a layer's channels and cannot take one more, of the node it names. */
const stopped = (node: GraphNode | undefined, because: string, value?: GraphValue): Refused =>
  refuse("padding-blocks", because, { ...(node === undefined ? {} : { node }), ...(value === undefined ? {} : { value }) });

/**
 * What reads the channels of a layer, or what of it cannot take one more.
 * @param at a node as it is now
 * @param leaves the nodes that are to go: what they read is what they make
 */
export function coneOf(layer: GraphNode, at: (node: GraphNode) => RuleNode, leaves: ReadonlySet<GraphNode>): Cone | Refused {
  const [values, between, layers] = [new Set<GraphValue>(), new Set<GraphNode>(), new Set<GraphNode>()];
  const open = [layer.outputs[0]];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (values.has(value)) continue;
    if (value.isOutput || value.isAnnotated || value.isBound)
      return stopped(value.producer, `makes "${value.name}", which is read outside`, value);
    values.add(value);
    const padded = value.producer !== undefined && value.producer.opType === "Pad";
    for (const { node, index } of value.uses) {
      if (node.scope !== layer.scope) return stopped(node, "reads it inside a subgraph");
      if (leaves.has(node)) open.push(node.outputs[0]);
      else if (isReader(at(node), index, padded)) layers.add(node);
      else if (!padded && index === 0 && (keepsOne(at(node)) || padsForConvs(at(node)))) {
        between.add(node);
        open.push(node.outputs[0]);
      } else return stopped(node, "reads the channels as well, and cannot be given one more");
    }
  }
  return layers.size === 0
    ? stopped(layer, "is read by no Conv")
    : { values: [...values], between: [...between], layers: [...layers] };
}

/** A Conv of one group whose weight can be given one more channel; behind a Pad its own pads are numbers. */
function isReader(at: RuleNode, index: number, padded: boolean): boolean {
  const { node, state } = at;
  if (node.domain !== "" || node.opType !== "Conv" || state.opType !== "Conv" || index !== 0) return false;
  return at.int("group", 1) === 1 && !isRefused(ownFilterOf(at)) && (!padded || isPlain(at));
}

/** The layer whose channels a value has, behind operators that keep a channel of ones and nodes that are to go. */
export function makerOf(
  value: GraphValue | undefined,
  at: (node: GraphNode) => RuleNode,
  leaves: ReadonlyMap<GraphNode, number>,
): GraphNode | Refused {
  for (let current = value; ; ) {
    const node = current?.producer;
    if (current === undefined || node === undefined)
      return stopped(undefined, current === undefined ? "has no input" : `reads the graph input "${current.name}"`, current);
    if (outputAxis(at(node)) !== undefined) return node;
    const index = leaves.get(node) ?? (keepsOne(at(node)) || padsForConvs(at(node)) ? 0 : undefined);
    if (index === undefined) return stopped(node, "neither makes a channel of constant 1 nor keeps it");
    current = node.inputs[index];
  }
}

/** A constant with one more place along an axis, of one number. */
export function extended(param: Param, axis: number, value: number): Param {
  const { dims } = param;
  const [rows, , added] = blocks(dims, axis);
  const values = () => sideBySide(param.values(), new Float64Array(rows * added).fill(value), rows);
  return { ...param, dims: dims.with(axis, dims[axis] + 1), mixed: true, values };
}
