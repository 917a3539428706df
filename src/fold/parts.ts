/** A linear region as it will be rewritten: its summands, and what adds them up. */
import type { Kernel } from "../affine/kernel.ts";
import type { LinearMap } from "../affine/linear-map.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Axes } from "../laws/region.ts";

/** One summand of a rewritten region. */
export interface Part {
  readonly source: GraphValue;
  readonly map: LinearMap;
  /** The layer that stays, with its kernel; none where the summand is the tensor itself. */
  readonly host: GraphNode | undefined;
  readonly kernel: Kernel | undefined;
  readonly sign: 1 | -1;
}

export interface Found {
  readonly root: GraphNode;
  readonly axes: Axes;
  readonly nodes: ReadonlySet<GraphNode>;
  readonly parts: readonly Part[];
  /** The nodes that add the parts up, in file order; the root is the last. */
  readonly adds: readonly GraphNode[];
  readonly cost: readonly [before: number, after: number];
}
