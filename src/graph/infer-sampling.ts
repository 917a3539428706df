/** Shapes of operators that resample, pick or relabel: Resize, Upsample, GridSample, RoiAlign, MaxRoiPool, MaxUnpool, Col2Im, GatherElements, Compress, CenterCropPad, Einsum. */
import { intAttr, intsAttr, stringAttr } from "./attributes.ts";
import { type Dim, derived, divide, type Shape } from "./dims.ts";
import { type At, broadcastShapes, type Infer, type KnownFacts, norm, withShape } from "./inference.ts";
import { einsumLabels } from "./labels.ts";
import type { GraphNode } from "./view.ts";

/** Factors of a Resize or Upsample, one per axis it names; undefined when they are given otherwise or not known. */
export function resizeScales(node: GraphNode, facts: KnownFacts): readonly number[] | undefined {
  if (node.opType === "Upsample" && node.version < 9) {
    const { attributes } = node.record;
    const scales = attributes.get("scales")?.floats;
    if (scales !== undefined) return scales;
    const [h, w] = [attributes.get("height_scale")?.f, attributes.get("width_scale")?.f];
    return h === undefined || w === undefined ? undefined : [1, 1, h, w];
  }
  const found = facts.reals(node.inputs[node.opType === "Upsample" || node.version < 11 ? 1 : 2]);
  return found === undefined || found.length === 0 ? undefined : found;
}

export const resize: Infer = (at) => {
  const x = at.shapes[0];
  if (x === undefined) return undefined;
  const { node, facts } = at;
  const axes = intsAttr(node.record, "axes")?.map((a) => norm(a, x.length)) ?? x.map((_, i) => i);
  const scales = resizeScales(node, facts);
  if (scales !== undefined) {
    return withShape(
      at,
      x.map((d, i): Dim => {
        const by = axes.includes(i) ? (scales[axes.indexOf(i)] ?? 1) : 1;
        return by === 1 ? d : derived(`resize${by}`, [d], (n) => Math.floor(n * by));
      }),
    );
  }
  const sizes = node.opType === "Resize" && node.version >= 11 ? facts.elements(node.inputs[3]) : undefined;
  if (sizes === undefined || stringAttr(node.record, "keep_aspect_ratio_policy", "stretch") !== "stretch") {
    return withShape(
      at,
      x.map((d, i) => (axes.includes(i) ? at.unknown() : d)),
    );
  }
  return withShape(
    at,
    x.map((d, i) => (axes.includes(i) ? (sizes[axes.indexOf(i)] ?? at.unknown()) : d)),
  );
};

export const gridSample: Infer = (at) => {
  const [x, grid] = at.shapes;
  if (x === undefined) return undefined;
  return withShape(
    at,
    x.map((d, i) => (i < 2 ? d : (grid?.[i - 1] ?? at.unknown()))),
  );
};

export const roiAlign: Infer = (at) => {
  const [x, rois] = at.shapes;
  const { record } = at.node;
  return withShape(at, [
    rois?.[0] ?? at.unknown(),
    x?.[1] ?? at.unknown(),
    intAttr(record, "output_height", 1),
    intAttr(record, "output_width", 1),
  ]);
};

export const maxRoiPool: Infer = (at) => {
  const [x, rois] = at.shapes;
  const cells = intsAttr(at.node.record, "pooled_shape") ?? [at.unknown(), at.unknown()];
  return withShape(at, [rois?.[0] ?? at.unknown(), x?.[1] ?? at.unknown(), ...cells]);
};

/** The shape that the window of a MaxUnpool implies: the one its indices count in. */
export function unpooled(node: GraphNode, x: Shape | undefined): Shape | undefined {
  const kernel = intsAttr(node.record, "kernel_shape");
  if (x === undefined || kernel === undefined || kernel.length !== x.length - 2) return undefined;
  const [strides, pads] = [intsAttr(node.record, "strides"), intsAttr(node.record, "pads")];
  return x.map((d, i) => {
    if (i < 2) return d;
    const [stride, cut] = [strides?.[i - 2] ?? 1, (pads?.[i - 2] ?? 0) + (pads?.[i - 2 + kernel.length] ?? 0)];
    return derived(`unpool${stride}+${kernel[i - 2] - cut}`, [d], (n) => (n - 1) * stride + kernel[i - 2] - cut);
  });
}

export const maxUnpool: Infer = (at) => {
  const [x] = at.shapes;
  const given = at.node.inputs[2];
  if (given === undefined) return withShape(at, unpooled(at.node, x));
  const sizes = at.facts.elements(given);
  return withShape(
    at,
    x?.map((_, i) => sizes?.[i] ?? at.unknown()),
  );
};

export const col2Im: Infer = (at) => {
  const [x] = at.shapes;
  const [image, block] = [at.facts.elements(at.node.inputs[1]), at.facts.numbers(at.node.inputs[2])];
  const rank = image?.length ?? at.facts.size(at.node.inputs[1], 0);
  if (x?.length !== 3 || rank === undefined) return withShape(at, undefined);
  const channels =
    block === undefined
      ? undefined
      : divide(
          x[1],
          block.reduce((n, d) => n * d, 1),
        );
  const sizes = Array.from({ length: rank }, (_, i) => image?.[i] ?? at.unknown());
  return withShape(at, [x[0], channels ?? at.unknown(), ...sizes]);
};

export const compress: Infer = (at) => {
  const x = at.shapes[0];
  if (!at.node.record.attributes.has("axis")) return withShape(at, [at.unknown()]);
  const axis = x && norm(intAttr(at.node.record, "axis", 0), x.length);
  return withShape(
    at,
    x?.map((d, i) => (i === axis ? at.unknown() : d)),
  );
};

export const centerCropPad: Infer = (at) => {
  const x = at.shapes[0];
  if (x === undefined) return undefined;
  const target = at.facts.elements(at.node.inputs[1]);
  const axes = intsAttr(at.node.record, "axes")?.map((a) => norm(a, x.length)) ?? x.map((_, i) => i);
  return withShape(
    at,
    x.map((d, i) => (axes.includes(i) ? (target?.[axes.indexOf(i)] ?? at.unknown()) : d)),
  );
};

export const einsum: Infer = (at) => {
  const labels = einsumLabels(
    at.node,
    at.shapes.map((shape) => shape?.length),
  );
  if (labels === undefined) return undefined;
  const sizes = (label: string) =>
    labels.operands.flatMap((list, i) => list.flatMap((l, axis) => (l === label ? [at.shapes[i]?.[axis] ?? at.unknown()] : [])));
  return withShape(
    at,
    labels.output.map(
      (label) =>
        broadcastShapes(
          sizes(label).map((d) => [d]),
          at.unknown,
        )?.[0] ?? at.unknown(),
    ),
  );
};

export const gatherElements: Infer = (at: At) => withShape(at, at.shapes[1]);
