/**
 * A gain of zero makes a channel a constant: y = 0 ⊙ x + t. Where nothing reads it but layers, behind operators that make another
 * constant of it, those can do without: W·t goes into their bias and their weights for it become zero. Nobody then reads what stands in
 * the channel, so that the node may go whatever would have to hold of its gain and shift there.
 */
import { axesOf, isZero, map, type Spread, simplify } from "../affine/spread.ts";
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import { ruleOf } from "../rules/index.ts";
import { isRefused, type MoveFn } from "../rules/types.ts";
import type { Candidate } from "./candidates.ts";
import { type ConstantChannels, constantChannels, constantsOf, liveOf } from "./constant-channels.ts";
import { layerOf, mayBeLayer } from "./linear.ts";
import { isFixed, type Reading } from "./reach.ts";

export interface Released {
  /** The values in which such channels stand, from the node's result on. */
  readonly values: ReadonlyMap<GraphValue, ConstantChannels>;
  /** The layers that take them. */
  readonly layers: ReadonlySet<GraphNode>;
}

/** Undefined where something reads the constant channels that cannot do without them. */
export function released(read: Reading, { node, scale, shift }: Candidate): Released | undefined {
  const [y] = node.outputs;
  if (y === undefined) return undefined;
  const live = liveOf(scale);
  const values = new Map<GraphValue, ConstantChannels>([[y, { live, made: constantsOf(live, shift) }]]);
  const layers = new Set<GraphNode>();
  // A map goes on to what is added to it.
  for (const [value, channels] of values) {
    if (isFixed(read, value)) return undefined;
    for (const { node: reader, index } of value.readers()) {
      if (takes(read, reader, index, channels)) {
        layers.add(reader);
        continue;
      }
      const next = onward(read, reader, index, channels);
      const [out, ...others] = reader.outputs;
      if (next === undefined || out === undefined || others.some((other) => other !== undefined)) return undefined;
      values.set(out, next);
    }
  }
  return { values, layers };
}

/** True of a layer that takes a constant channel of its input into its bias. */
function takes(read: Reading, node: GraphNode, index: number, { live, made }: ConstantChannels): boolean {
  const layer = mayBeLayer(node.domain, node.opType) ? layerOf(read.at(node)) : undefined;
  if (layer === undefined || layer.index !== index || node.inputs[1 - index] === node.inputs[index]) return false;
  const { axis, size, shifts } = layer.input;
  return live.dims[axis] === size && axesOf(live).every((a) => a === axis) && (shifts || isZero(made));
}

/** What becomes of the constant channels behind an operator that reads them; undefined where more becomes of them. */
function onward(read: Reading, node: GraphNode, index: number, channels: ConstantChannels): ConstantChannels | undefined {
  const { live, made } = channels;
  const others = node.inputs.filter((value, i) => i !== index && value !== undefined);
  if (index !== 0 || node.domain !== "" || others.some((value) => !read.constants.has(value as GraphValue))) return undefined;
  if (hasTrait(node, "nonlinear")) return constantChannels(node, { scale: live, shift: made }, read.constants);
  if (!hasTrait(node, "carries") || hasTrait(node, "affine")) return undefined;
  const rule = ruleOf(node.opType);
  const moved = (move: MoveFn | undefined, by: Spread): Spread | undefined => {
    const steps = move?.(read.at(node), [by]);
    return steps === undefined || isRefused(steps) || steps.length !== 1 || steps[0].state !== undefined
      ? undefined
      : steps[0].pass[0];
  };
  const scale = moved(rule?.forwardScale, live);
  const shift = isZero(made) ? scale && map(scale, () => 0) : moved(rule?.forwardShift, simplify(made));
  return scale === undefined || shift === undefined ? undefined : { live: scale, made: constantsOf(scale, shift) };
}
