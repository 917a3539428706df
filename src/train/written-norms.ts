/**
 * BatchNormalization written as arithmetic with constants, as Keras, tf2onnx and frozen layers have it:
 *
 *   y = x·g + s                         g = γ/√(v + ε), s = β − μ·g, already multiplied out
 *   y = (x − μ)/√(v + ε)·γ + β          and whatever part of it is computed from constants in the file
 *
 * Gain g and shift s per channel can always be read. Mean and variance only where the file still computes √(v + ε) from a stored v,
 * and subtracts a stored μ, from x or as μ·g: only then can new ones take their place. Momentum is in no such file.
 *
 * What follows a normalization by the values' own statistics (a LayerNormalization written out) is its gain and shift, and none here.
 */
import { axesOf, plus, type Spread, simplify, times, uniform } from "../affine/spread.ts";
import { refOf } from "../fold/describe.ts";
import type { NodeRef } from "../fold/types.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import { type Candidate, candidateOf } from "../laws/candidates.ts";
import { Constants } from "../laws/constants.ts";
import { decode } from "../onnx/codec.ts";
import type { Model } from "../onnx/records.ts";
import { asFloat64, sizeOf } from "../onnx/tensor.ts";
import { factsOf } from "../run/facts.ts";
import { type Stored, storedTensor } from "./layers.ts";

/** A stored parameter and the place that reads it. */
export interface Parted {
  readonly stored: Stored;
  readonly at: { readonly node: GraphNode; readonly index: number };
}

/** A batch normalization that a file has as arithmetic (Mul, Add, Sub, Div): gain·x + shift in each channel. */
export interface WrittenNorm {
  /** In the order of the data. */
  readonly nodes: readonly GraphNode[];
  /** The first of them, by which the layer is known. */
  readonly ref: NodeRef;
  /** What it normalizes. */
  readonly input: GraphValue;
  readonly axis: number;
  readonly gain: Float64Array;
  readonly shift: Float64Array;
  /** What mean and variance are, where they can be told from gain and shift. */
  readonly statistics?: { readonly mean: Parted; readonly variance: Parted; readonly epsilon: number };
}

const multiplies = ({ opType }: GraphNode): boolean => opType === "Mul" || opType === "Div";

const SELF_NORMALIZED = new Set([
  ...["LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization", "LpNormalization"],
  ...["MeanVarianceNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization", "BatchNormalization"],
]);
const MOVES = new Set(["Reshape", "Transpose", "Cast", "Squeeze", "Unsqueeze", "Flatten", "Identity"]);

/** Whether a value was divided by something that is computed of it: its gain and shift belong to that. */
function isSelfNormalized(value: GraphValue | undefined, constants: Constants): boolean {
  let node = value?.producer;
  for (let steps = 0; node !== undefined && MOVES.has(node.opType) && steps < 8; steps++) node = node.inputs[0]?.producer;
  if (node === undefined) return false;
  if (SELF_NORMALIZED.has(node.opType)) return true;
  if (node.opType === "Div") return node.inputs[1] !== undefined && !constants.has(node.inputs[1]);
  return node.opType === "Mul" && node.inputs.some((input) => input?.producer?.opType === "Reciprocal" && !constants.has(input));
}

/** Constant affine nodes behind one another, nobody else reading in between. */
function chainsOf(view: GraphView, find: (node: GraphNode) => Candidate | undefined): Candidate[][] {
  const taken = new Set<GraphNode>();
  const chains: Candidate[][] = [];
  for (const node of view.nodes) {
    const chain: Candidate[] = [];
    for (let next: Candidate | undefined = taken.has(node) ? undefined : find(node); next !== undefined; ) {
      chain.push(next);
      taken.add(next.node);
      const [output] = next.node.outputs;
      const use = output?.uses.length === 1 && !output.isOutput ? output.uses[0] : undefined;
      const after: Candidate | undefined = use === undefined || taken.has(use.node) ? undefined : find(use.node);
      next = after !== undefined && use?.index === after.input ? after : undefined;
    }
    chains.push(...parted(chain));
  }
  return chains;
}

/** One normalization ends with what is added behind its multiplication; a multiplication after that begins another. */
function parted(chain: readonly Candidate[]): Candidate[][] {
  const out: Candidate[][] = [];
  let open: Candidate[] = [];
  for (const [i, candidate] of chain.entries()) {
    open.push(candidate);
    const scaled = open.some(({ node }) => multiplies(node));
    if (!scaled || multiplies(candidate.node)) continue;
    const next = chain[i + 1];
    if (next !== undefined && !multiplies(next.node) && next.node.opType !== "Sub") continue;
    out.push(open);
    open = [];
  }
  return out;
}

/** The axis along which both the gain and the shift of a chain change, and nothing else does. */
function channelAxis(chain: readonly Candidate[]): number | undefined {
  const alongOne = (s: Spread) => (axesOf(s).length === 1 ? axesOf(s)[0] : undefined);
  const gains = chain.filter(({ node }) => multiplies(node)).map(({ scale }) => alongOne(scale));
  const shifts = chain.filter(({ node }) => !multiplies(node)).map(({ shift }) => alongOne(shift));
  const axis = gains.find((a) => a !== undefined);
  return axis !== undefined && shifts.includes(axis) && [...gains, ...shifts].every((a) => a === undefined || a === axis)
    ? axis
    : undefined;
}

/** Every normalization written as arithmetic, inner graphs and functions included. */
export function writtenNorms(model: Model, view: GraphView = viewOf(model)): WrittenNorm[] {
  const facts = factsOf(view);
  const constants = new Constants(view, facts);
  const find = (node: GraphNode): Candidate | undefined => {
    const found = candidateOf(node, facts, constants);
    return found !== undefined && "scale" in found && found.kind === "affine" ? found : undefined;
  };
  return chainsOf(view, find).flatMap((chain): WrittenNorm[] => {
    const axis = channelAxis(chain);
    const input = chain[0]?.node.inputs[chain[0].input];
    if (axis === undefined || input === undefined || isSelfNormalized(input, constants)) return [];
    const rank = chain[0].scale.dims.length;
    let [scale, shift] = [uniform(rank, 1), uniform(rank, 0)];
    for (const step of chain) [scale, shift] = [times(scale, step.scale), plus(times(shift, step.scale), step.shift)];
    const channels = Math.max(scale.dims[axis], shift.dims[axis]);
    if (channels < 2) return [];
    const spread = (s: Spread) => Float64Array.from({ length: channels }, (_, c) => s.data[s.data.length === 1 ? 0 : c]);
    const [gain, offset] = [spread(along(scale, axis)), spread(along(shift, axis))];
    const nodes = chain.map(({ node }) => node);
    const statistics = statisticsOf(chain, channels, constants);
    return [{ nodes, ref: refOf(nodes[0]), input, axis, gain, shift: offset, ...(statistics && { statistics }) }];
  });
}

/** Only the channel axis is left with more than one number. */
const along = (s: Spread, axis: number): Spread => (axesOf(s).every((a) => a === axis) ? s : simplify(s));

/** Nodes that a constant is computed by. */
function computedBy(value: GraphValue | undefined, seen = new Set<GraphNode>()): Set<GraphNode> {
  const node = value?.producer;
  if (node === undefined || seen.has(node)) return seen;
  seen.add(node);
  for (const input of node.inputs) computedBy(input, seen);
  return seen;
}

/** A stored tensor of one number a channel. */
function vectorAt(node: GraphNode, index: number, channels: number): Parted | undefined {
  const stored = storedTensor(node.inputs[index]);
  return stored !== undefined && sizeOf(stored.tensor.dims) === channels ? { stored, at: { node, index } } : undefined;
}

function numberOf(value: GraphValue | undefined): number | undefined {
  const stored = storedTensor(value);
  return stored !== undefined && sizeOf(stored.tensor.dims) === 1 ? asFloat64(decode(stored.tensor))[0] : undefined;
}

/** v and ε of the one √(v + ε) among the nodes that is divided by. */
function varianceOf(nodes: readonly GraphNode[], channels: number): { variance: Parted; epsilon: number } | undefined {
  const roots = nodes.filter(({ opType, domain }) => opType === "Sqrt" && domain === "");
  const [root] = roots;
  const sum = root?.inputs[0]?.producer;
  const divides = root?.outputs[0]?.uses.every(
    ({ node, index }) => node.opType === "Reciprocal" || (node.opType === "Div" && index === 1),
  );
  if (roots.length !== 1 || divides !== true || sum?.opType !== "Add") return undefined;
  for (const index of [0, 1]) {
    const [variance, epsilon] = [vectorAt(sum, index, channels), numberOf(sum.inputs[1 - index])];
    if (variance !== undefined && epsilon !== undefined && epsilon >= 0) return { variance, epsilon };
  }
  return undefined;
}

/** μ, subtracted from x in front of everything else, or as μ·g from the constant that is added, g being the gain itself. */
function meanOf(chain: readonly Candidate[], channels: number): Parted | undefined {
  const [first] = chain;
  if (first.node.opType === "Sub" && first.input === 0) return vectorAt(first.node, 1, channels);
  const factors = chain.filter(({ node }) => multiplies(node)).map(({ node, input }) => node.inputs[1 - input]);
  const last = chain[chain.length - 1];
  const added = last.node.inputs[1 - last.input]?.producer;
  const product = added?.opType === "Sub" ? added.inputs[1]?.producer : undefined;
  if (factors.length !== 1 || chain[0].node.opType !== "Mul" || last.node.opType !== "Add" || product?.opType !== "Mul")
    return undefined;
  const at = product.inputs.indexOf(factors[0]);
  return at < 0 ? undefined : vectorAt(product, 1 - at, channels);
}

function statisticsOf(chain: readonly Candidate[], channels: number, constants: Constants): WrittenNorm["statistics"] {
  const operands = chain.map(({ node, input }) => node.inputs[1 - input]);
  if (!operands.every((value) => value !== undefined && constants.has(value))) return undefined;
  const nodes = new Set<GraphNode>();
  for (const { node, input } of chain.filter((step) => multiplies(step.node))) computedBy(node.inputs[1 - input], nodes);
  const found = varianceOf([...nodes], channels);
  const mean = found && meanOf(chain, channels);
  return found && mean && { ...found, mean };
}

/** `Mul and Add`. */
export const writtenAs = ({ nodes }: WrittenNorm): string => {
  const types = [...new Set(nodes.map(({ opType }) => opType))];
  return types.length === 1 ? types[0] : `${types.slice(0, -1).join(", ")} and ${types[types.length - 1]}`;
};
