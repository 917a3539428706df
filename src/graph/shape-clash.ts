/**
 * Operands whose sizes do not go together, as far as they are numbers: no runtime computes such a node, whatever it is given.
 * From the shape rules of the ONNX operator specification, all opsets.
 */
import type { KnownFacts } from "./inference.ts";
import { hasTrait } from "./operators.ts";
import type { GraphNode } from "./view.ts";

type Sizes = readonly unknown[] | undefined;

const differ = (x: unknown, y: unknown): boolean => typeof x === "number" && typeof y === "number" && x !== y;

/** What does not go together, in words; undefined when nothing is known to. */
export function shapeClash(node: GraphNode, facts: KnownFacts): string | undefined {
  if (node.domain !== "") return undefined;
  const shapes = node.inputs.map((value) => facts.shape(value));
  if (node.opType === "Conv" || node.opType === "ConvTranspose") return layerClash(node, shapes);
  if (node.opType === "MatMul") return productClash(shapes);
  // Before operator set 7 a PRelu had a slope for each channel, and an axis could be given.
  const aligned = !node.record.attributes.has("axis") && (node.opType !== "PRelu" || node.version >= 7);
  if (hasTrait(node, "broadcasts") && aligned) return broadcastClash(shapes);
  return undefined;
}

function layerClash({ opType, record }: GraphNode, [x, w, b]: readonly Sizes[]): string | undefined {
  const int = (name: string, value: number) => Number(record.attributes.get(name)?.i ?? value);
  const ints = (name: string) => record.attributes.get(name)?.ints.map(Number);
  if (w === undefined) return undefined;
  const n = w.length - 2;
  if (n < 1 || (x !== undefined && x.length !== w.length)) return `a weight of ${w.length} axes and an input of ${x?.length}`;
  for (const [name, length] of [
    ["strides", n],
    ["dilations", n],
    ["pads", 2 * n],
    ["kernel_shape", n],
  ] as const) {
    const list = ints(name);
    if (list === undefined || list.length === 0) continue;
    if (list.length !== length) return `${list.length} ${name} for ${n} axes`;
    if (name !== "pads" && list.some((v) => v < 1)) return `${name} of ${list.join(", ")}`;
    if (name === "kernel_shape" && list.some((v, i) => differ(v, w[i + 2])))
      return `a kernel_shape of ${list.join("×")} and a weight of ${w.slice(2).join("×")}`;
  }
  const group = int("group", 1);
  if (group < 1) return `${group} groups`;
  const transposed = opType === "ConvTranspose";
  const [read, made] = transposed ? [w[0], times(w[1], group)] : [times(w[1], group), w[0]];
  if (x !== undefined && differ(x[1], read)) return `a weight for ${read} channels and an input of ${x[1]}`;
  const parted = transposed ? read : made;
  if (typeof parted === "number" && parted % group !== 0) return `${parted} channels in ${group} groups`;
  if (b !== undefined && (b.length !== 1 || differ(b[0], made))) return `a bias of [${b.join(", ")}] for ${made} channels`;
  return undefined;
}

const times = (size: unknown, by: number): unknown => (typeof size === "number" ? size * by : undefined);

function productClash([x, y]: readonly Sizes[]): string | undefined {
  if (x === undefined || y === undefined || x.length === 0 || y.length === 0) return undefined;
  const [p, q] = [x[x.length - 1], y[Math.max(0, y.length - 2)]];
  return differ(p, q) ? `matrices that meet in ${p} and ${q}` : broadcastClash([x.slice(0, -2), y.slice(0, -2)]);
}

function broadcastClash(shapes: readonly Sizes[]): string | undefined {
  const known = shapes.filter((shape) => shape !== undefined);
  const rank = known.reduce((most, { length }) => Math.max(most, length), 0);
  for (let back = 1; back <= rank; back++) {
    const sizes = known.map((shape) => shape[shape.length - back]).filter((d) => typeof d === "number" && d !== 1);
    const other = sizes.find((d) => d !== sizes[0]);
    if (other !== undefined) return `sizes ${sizes[0]} and ${other} along one axis`;
  }
  return undefined;
}
