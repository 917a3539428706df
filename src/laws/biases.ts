/** Adds that are the biases of layers which have no bias of their own: they are no maps to fold, but take what comes to them. */
import { isOne, isZero } from "../affine/spread.ts";
import { isLayer } from "../rules/arithmetic.ts";
import type { Candidate } from "./candidates.ts";
import type { Reading } from "./reach.ts";

/** True of the Add right behind a MatMul of more than two axes with a constant matrix, or a layer of codes. */
export function isLayerBias(read: Reading, found: Candidate): boolean {
  if (found.kind !== "affine" || !isOne(found.scale) || isZero(found.shift)) return false;
  const producer = found.node.inputs[found.input]?.producer;
  if (producer?.domain !== "" || read.at(producer).state.bias !== undefined) return false;
  // Products of whole numbers have no bias operand either.
  if (producer.opType !== "MatMul") return isLayer(producer);
  const weight = [0, 1].some((i) => producer.inputs[i] !== undefined && read.constants.has(producer.inputs[i]));
  return weight && read.facts.rank(producer.outputs[0]) !== 2;
}
