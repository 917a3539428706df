/** What shape inference works with: one function per operator, from the facts of its inputs to those of its outputs. */
import type { Dim, Shape } from "./dims.ts";
import { sameDim } from "./dims.ts";
import type { GraphNode, GraphValue } from "./view.ts";

export interface Fact {
  /** ONNX TensorProto.DataType; 0 when unknown. */
  readonly dtype: number;
  /** Undefined when even the rank is unknown. */
  readonly shape: Shape | undefined;
}

/** What is known of values without running the model. */
export interface KnownFacts {
  of(value: GraphValue | undefined): Fact;
  shape(value: GraphValue | undefined): Shape | undefined;
  rank(value: GraphValue | undefined): number | undefined;
  /** The size of an axis when it is a number. */
  size(value: GraphValue | undefined, axis: number): number | undefined;
  /** Elements of a small integer tensor, undefined where unknown; undefined when nothing is known. */
  elements(value: GraphValue | undefined): readonly (Dim | undefined)[] | undefined;
  /** Elements when all are plain numbers: axes, pads, repeats. */
  numbers(value: GraphValue | undefined): number[] | undefined;
  /** Elements of a small constant of floats: scales, and sizes on their way. */
  reals(value: GraphValue | undefined): readonly number[] | undefined;
}

export type Outputs = readonly (Partial<Fact> | undefined)[] | undefined;

export interface At {
  readonly node: GraphNode;
  readonly facts: KnownFacts;
  readonly unknown: () => Dim;
  readonly shapes: readonly (Shape | undefined)[];
  /** Element type of the first input. */
  readonly dtype: number;
}

export type Infer = (at: At) => Outputs;

export const norm = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);
export const withShape = ({ dtype }: At, shape: Shape | undefined): Outputs => [{ shape, dtype }];

/** NumPy broadcasting of symbolic shapes; a symbol against a symbol that is not the same is unknown. */
export function broadcastShapes(shapes: readonly (Shape | undefined)[], unknown: () => Dim): Shape | undefined {
  if (shapes.some((s) => s === undefined)) return undefined;
  const rank = shapes.reduce((most, s) => Math.max(most, (s as Shape).length), 0);
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((s) => (s as Shape)[i - rank + (s as Shape).length] ?? 1).filter((d) => d !== 1);
    const fixed = dims.find((d) => typeof d === "number");
    if (fixed !== undefined) return fixed;
    if (dims.length === 0) return 1;
    return dims.every((d) => sameDim(d, dims[0])) ? dims[0] : unknown();
  });
}
