/**
 * How many elements an operator makes whose result hangs on the numbers it reads, not on their shapes: known before anything is
 * allocated, so that a few bytes of a file cannot ask for gigabytes.
 *
 *   Range              ⌈(limit − start) / delta⌉        ConstantOfShape     Π shape
 *   Expand             Π max(dims, shape)               Tile                n · Π repeats
 *   OneHot             n · depth                        …Window             size
 *   Pad                Π (d + pads)                     Resize, Upsample    Π sizes, n · Π scales
 *   Gather             n(indices) · n(data) / d(axis)   EyeLike             n
 */
import { intAttr, intsAttr } from "../graph/attributes.ts";
import type { NodeRecord } from "../onnx/records.ts";

export interface Operands {
  /** The numbers of an operand; undefined where they are not known. */
  numbers(index: number): readonly number[] | undefined;
  dims(index: number): readonly number[] | undefined;
}

const product = (list: readonly number[]): number => list.reduce((n, v) => n * Math.max(0, v), 1);

type Estimate = (given: Operands, node: NodeRecord) => number | undefined;

const count = (given: Operands, i: number): number | undefined => {
  const dims = given.dims(i);
  return dims && product(dims);
};

const windowSize: Estimate = (given) => given.numbers(0)?.[0];

function padded(given: Operands, node: NodeRecord): number | undefined {
  const dims = given.dims(0);
  const pads = given.numbers(1) ?? intsAttr(node, "pads");
  const axes = given.numbers(3) ?? dims?.map((_, i) => i);
  if (dims === undefined || pads === undefined || axes === undefined) return undefined;
  const out = [...dims];
  for (const [k, axis] of axes.entries()) out[axis < 0 ? axis + dims.length : axis] += pads[k] + pads[k + axes.length];
  return product(out);
}

function resized(given: Operands): number | undefined {
  const n = count(given, 0);
  const sizes = given.numbers(3);
  if (sizes !== undefined && sizes.length > 0) return product(sizes);
  const scales = [given.numbers(2), given.numbers(1)].find((list) => list !== undefined && list.length > 0);
  return n === undefined || scales === undefined ? undefined : n * product(scales);
}

const ESTIMATES: Readonly<Record<string, Estimate>> = {
  Range: (given) => {
    const [start, limit, delta] = [0, 1, 2].map((i) => given.numbers(i)?.[0]);
    return start === undefined || limit === undefined || delta === undefined
      ? undefined
      : Math.max(0, Math.ceil((limit - start) / delta));
  },
  ConstantOfShape: (given) => {
    const shape = given.numbers(0);
    return shape && product(shape);
  },
  Expand: (given) => {
    const [dims, shape] = [given.dims(0), given.numbers(1)];
    if (dims === undefined || shape === undefined) return undefined;
    const rank = Math.max(dims.length, shape.length);
    const at = (list: readonly number[], i: number) => list[list.length - rank + i] ?? 1;
    return product(Array.from({ length: rank }, (_, i) => Math.max(at(dims, i), at(shape, i))));
  },
  Tile: (given) => {
    const [n, repeats] = [count(given, 0), given.numbers(1)];
    return n === undefined || repeats === undefined ? undefined : n * product(repeats);
  },
  OneHot: (given) => {
    const [n, depth] = [count(given, 0), given.numbers(1)?.[0]];
    return n === undefined || depth === undefined ? undefined : n * depth;
  },
  Gather: (given, node) => {
    const [dims, n] = [given.dims(0), count(given, 1)];
    if (dims === undefined || n === undefined) return undefined;
    const axis = intAttr(node, "axis", 0);
    return (product(dims) / Math.max(1, dims[axis < 0 ? axis + dims.length : axis] ?? 1)) * n;
  },
  HannWindow: windowSize,
  HammingWindow: windowSize,
  BlackmanWindow: windowSize,
  Pad: padded,
  Resize: resized,
  Upsample: resized,
  EyeLike: (given) => count(given, 0),
};

/**
 * Elements of the result of an operator that can make much out of little; undefined where they are not known, and of any other
 * operator, whose shapes say it.
 */
export const elementsMade = (node: NodeRecord, given: Operands): number | undefined =>
  node.domain === "" ? ESTIMATES[node.opType]?.(given, node) : undefined;

/** True of an operator whose result can be much larger than what it reads. */
export const canGrow = ({ domain, opType }: NodeRecord): boolean => domain === "" && Object.hasOwn(ESTIMATES, opType);
