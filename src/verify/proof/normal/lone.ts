/**
 *   Conv(x; w, b) of one tap a channel      x · w + b, over the channels
 *
 * group = C, kernels of size 1, strides of 1, no padding; w [C, 1, 1 …] and b constant.
 */
import { intAttr, intsAttr, stringAttr } from "../../../graph/attributes.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { inner, make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const single: Rewrite = (node, { facts, constants }) => {
  const [x, weight, bias, ones] = node.inputs;
  // Before opset 7 a Mul does not broadcast along channels.
  if (node.domain !== "" || node.opType !== "Conv" || node.version < 7 || weight === undefined || ones) return undefined;
  const shape = facts.shape(weight);
  if (shape === undefined || shape.length < 3 || facts.rank(x) !== shape.length || shape.slice(1).some((d) => d !== 1))
    return undefined;
  const [channels] = shape;
  const { record } = node;
  if (typeof channels !== "number" || facts.size(x, 1) !== channels || intAttr(record, "group", 1) !== channels) return undefined;
  if (!constants.has(weight) || (bias !== undefined && !constants.has(bias))) return undefined;
  const spread = (name: string, none: number) => (intsAttr(record, name) ?? []).some((v) => v !== none);
  const auto = ["NOTSET", "VALID", ""].includes(stringAttr(record, "auto_pad", "NOTSET"));
  if (!auto || spread("pads", 0) || spread("strides", 1)) return undefined;
  const name = (part: string) => inner(node, part);
  const ints = [channels, ...shape.slice(2).map(() => 1)];
  const along = (from: string, part: string): NodeRecord => make(node, "Reshape", [from, name("channels")], name(part));
  const [input, w, b] = record.inputs;
  return [
    make(node, "Constant", [], name("channels"), { value_ints: { ints } }),
    along(w, "gain"),
    make(node, "Mul", [input, name("gain")], bias === undefined ? outputOf(node) : name("scaled")),
    ...(bias === undefined ? [] : [along(b, "shift"), make(node, "Add", [name("scaled"), name("shift")], outputOf(node))]),
  ];
};

export const SINGLE: Rewriting = {
  equation: ["Conv(x; w, b) of one tap a channel", "x · w + b"],
  rewrite: single,
};
