/**
 * Operators that do nothing.
 *
 *   CastLike(x, y)                                                            Cast(x) to the type of y
 *   Cast(x) to the type it has; Concat(x), Sum(x), Mean(x), Max(x), Min(x)      x
 *   Pad(x) by nothing; Tile(x) once; Expand(x) to a shape it fills              x
 *   Slice(x) of all there is, forward; Transpose(x) of no axes                  x
 *
 * Exact: no number is computed. A Slice takes all where its steps are 1 and its output is as large as its input; an Expand where the
 * shapes are the same; a Pad that adds on one side what it takes away on the other keeps the shape and is none of these.
 */
import { intsAttr } from "../../../graph/attributes.ts";
import { sameShape } from "../../../graph/dims.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { attribute, listAt, make, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const alone = new Set(["Concat", "Sum", "Mean", "Max", "Min"]);

const plain: Rewrite = (node, { facts }) => {
  if (node.domain !== "") return undefined;
  const [input] = node.record.inputs;
  const [from, to] = [facts.of(node.inputs[0]).dtype, facts.of(node.outputs[0]).dtype];
  const like = node.opType === "CastLike" ? facts.of(node.inputs[1]).dtype : 0;
  if (like !== 0) {
    const attributes = new Map(node.record.attributes).set("to", attribute(node, "to", { i: like }));
    return [{ ...make(node, "Cast", [input], outputOf(node)), attributes }];
  }
  const same = node.opType === "Cast" && from !== 0 && from === to;
  return same || (alone.has(node.opType) && node.inputs.length === 1)
    ? [make(node, "Identity", [input], outputOf(node))]
    : undefined;
};

const all = (list: readonly number[] | undefined, n: number): boolean => list?.every((v) => v === n) === true;

/** By operator, whether a node gives what it is given. */
const IDLE: Readonly<Record<string, (node: GraphNode, side: Side) => boolean>> = {
  Pad: (node, side) => all(listAt(node, 1, node.record.attributes.has("paddings") ? "paddings" : "pads", side), 0),
  Tile: (node, side) => node.version >= 6 && all(numbersOf(node.inputs[1], side), 1),
  Expand: fills,
  Slice: (node, side) =>
    isBounded(node, side) && keepsShape(node, side) && (node.inputs[4] === undefined || all(numbersOf(node.inputs[4], side), 1)),
  Transpose: ({ record }) => intsAttr(record, "perm")?.every((axis, i) => axis === i) === true,
};

/** True when each size an Expand asks for is that of the input, or 1. What a file declares of the output says nothing. */
function fills({ inputs }: GraphNode, { facts }: Side): boolean {
  const [shape, asked] = [facts.shape(inputs[0]), facts.elements(inputs[1])];
  if (shape === undefined || asked === undefined || asked.length > shape.length) return false;
  const own = shape.slice(shape.length - asked.length);
  return asked.every((d, i) => d !== undefined && (d === 1 || sameShape([d], [own[i]])));
}

/** True where a Slice's bounds are known: its output's shape then follows from them, whatever the file declares. */
const isBounded = (node: GraphNode, side: Side): boolean =>
  ["starts", "ends"].every(
    (name, i) => (node.version < 10 ? intsAttr(node.record, name) : numbersOf(node.inputs[i + 1], side)) !== undefined,
  );

const keepsShape = ({ inputs, outputs }: GraphNode, { facts }: Side): boolean =>
  sameShape(facts.shape(inputs[0]), facts.shape(outputs[0]));

const idle: Rewrite = (node, side) =>
  node.domain === "" && IDLE[node.opType]?.(node, side)
    ? [make(node, "Identity", [node.record.inputs[0]], outputOf(node))]
    : undefined;

export const IDLE_OPERATORS: Rewriting = {
  equation: ["Pad by 0, Tile by 1, Expand, Slice, Transpose of nothing", "x"],
  rewrite: idle,
};

export const PLAIN: Rewriting = { equation: ["an operator that changes nothing", "x"], rewrite: plain };
