/**
 * Layers that are written as others.
 *
 *   Conv(Unsqueeze(x; a), w, b)                      Unsqueeze(Conv(x, Squeeze(w; a), b); a)      one tap along the spatial axis a, no pads there
 *   Concat(Conv(x₁, w₁, b₁) … Conv(xₙ, wₙ, bₙ))      Conv(x, Concat(w), Concat(b)) of n groups    xᵢ the i-th part of x's channels
 *
 * Exact: numbers are moved. Of one file only where the other has more or fewer of what moves them.
 */
import { intAttr, intsAttr, stringAttr } from "../../../graph/attributes.ts";
import { sameShape } from "../../../graph/dims.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { axisOf } from "./parts.ts";
import { boundsOf } from "./pieces.ts";
import { isReshape } from "./reshapes.ts";
import { attribute, inner, integers, make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Squeeze and Unsqueeze have their axes as operands since then. */
const OPERANDS = 13;

const isConv = (node: GraphNode | undefined, { constants }: Side): node is GraphNode =>
  node?.domain === "" &&
  node.opType === "Conv" &&
  node.inputs.length <= 3 &&
  node.inputs.slice(1).every((value) => value === undefined || constants.has(value)) &&
  ["NOTSET", "VALID", ""].includes(stringAttr(node.record, "auto_pad", "NOTSET"));

const lowered: Rewrite = (node, side) => {
  const maker = isConv(node, side) ? makerOf(node.inputs[0], node) : undefined;
  const { facts } = side;
  if (!isReshape(maker) || node.version < OPERANDS) return undefined;
  const [from, to, kernel] = [maker.inputs[0], node.inputs[0], node.inputs[1]].map((value) => facts.shape(value));
  if (from === undefined || to === undefined || kernel === undefined || from.length < 3 || to.length !== from.length + 1)
    return undefined;
  const axis = to.findIndex((d, i) => i >= 2 && d === 1 && kernel[i] === 1 && sameShape(from, to.toSpliced(i, 1)));
  const n = to.length - 2;
  const pads = intsAttr(node.record, "pads") ?? new Array<number>(2 * n).fill(0);
  const said = intsAttr(node.record, "kernel_shape")?.[axis - 2] ?? 1;
  if (axis < 0 || said !== 1 || pads[axis - 2] !== 0 || pads[axis - 2 + n] !== 0) return undefined;
  const attributes = new Map(node.record.attributes);
  for (const name of ["kernel_shape", "strides", "dilations"]) {
    const ints = intsAttr(node.record, name);
    if (ints !== undefined) attributes.set(name, attribute(node, name, { ints: ints.toSpliced(axis - 2, 1) }));
  }
  const left = pads.filter((_, i) => i % n !== axis - 2);
  if (attributes.has("pads")) attributes.set("pads", attribute(node, "pads", { ints: left }));
  const [axes, weight, flat] = [integers(node, "axis", [axis]), inner(node, "weight"), inner(node, "flat")];
  const [along] = axes.outputs;
  const inputs = [maker.record.inputs[0], weight, ...node.record.inputs.slice(2)];
  return [
    axes,
    make(node, "Squeeze", [node.record.inputs[1], along], weight),
    { ...node.record, attributes, inputs, outputs: [flat] },
    make(node, "Unsqueeze", [flat, along], outputOf(node)),
  ];
};

/** What a layer says beside its numbers and how many channels it has. */
const saidBy = ({ record }: GraphNode): string =>
  ["kernel_shape", "strides", "dilations", "pads", "auto_pad", "group"]
    .map((name) => `${intsAttr(record, name) ?? record.attributes.get(name)?.i ?? stringAttr(record, name, "")}`)
    .join(";");

const grouped: Rewrite = (node, side) => {
  const { facts } = side;
  if (node.domain !== "" || node.opType !== "Concat" || node.inputs.length < 2 || axisOf(node, side) !== 1) return undefined;
  const layers = node.inputs.map((value) => makerOf(value, node)).filter((layer) => isConv(layer, side));
  const parts = layers.map((layer) => makerOf(layer.inputs[0], node));
  const [first] = layers;
  if (layers.length !== node.inputs.length || parts.some((part) => part?.inputs[0] !== parts[0]?.inputs[0])) return undefined;
  const [x, biased, kernel] = [parts[0]?.inputs[0], first.record.inputs[2] !== undefined, facts.shape(first.inputs[1])];
  const alike = layers.every(
    (layer) =>
      saidBy(layer) === saidBy(first) &&
      sameShape(facts.shape(layer.inputs[1]), kernel) &&
      (layer.record.inputs[2] !== undefined) === biased &&
      layer.record.inputs[2] !== "",
  );
  const bounds = parts.map((part) => part && boundsOf(part, side));
  const size = facts.size(x, 1);
  const all = bounds.every(
    (b, i) => b?.axis === 1 && b.start * layers.length === i * (size ?? 0) && b.end * layers.length === (i + 1) * (size ?? 0),
  );
  if (!alike || !all || kernel === undefined || size === undefined) return undefined;
  const joined = (k: number, part: string) =>
    make(
      node,
      "Concat",
      layers.map(({ record }) => record.inputs[k]),
      inner(node, part),
      { axis: { i: 0 } },
    );
  const constants = [joined(1, "weights"), ...(biased ? [joined(2, "biases")] : [])];
  const group = attribute(node, "group", { i: layers.length * intAttr(first.record, "group", 1) });
  const inputs = [parts[0]?.record.inputs[0] as string, ...constants.map(({ outputs }) => outputs[0])];
  return [
    ...constants,
    { ...first.record, inputs, outputs: [outputOf(node)], attributes: new Map(first.record.attributes).set("group", group) },
  ];
};

export const CONVS: readonly Rewriting[] = [
  {
    equation: ["Conv(Unsqueeze(x), w)", "Unsqueeze(Conv(x, Squeeze(w)))"],
    rewrite: lowered,
    where: ["Unsqueeze", "Squeeze", "Reshape"],
  },
  { equation: ["Concat of Convs of parts", "Conv of groups"], rewrite: grouped, where: ["Conv"] },
];
