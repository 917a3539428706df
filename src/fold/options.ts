/** Options of a plan. */
import type { Refused } from "../rules/types.ts";
import type { AttemptOptions } from "./attempt.ts";
import type { Equalization } from "./equalize/told.ts";
import type { MaxGrowth } from "./growth.ts";

/** Where the work of a plan begins: along the flow of the graph, against it, or with all candidates at once. */
export type Start = "along" | "against" | "gauges";

/** Options of `plan`: what is folded, and how far. */
export interface PlanOptions extends AttemptOptions {
  /** Node names (or first outputs) to fold; everything when absent. */
  readonly only?: (name: string) => boolean;
  readonly skip?: (name: string) => boolean;
  /** Nodes (by `nodeKey`) whose folds a check did not accept: they and the merges they host are left alone. */
  readonly unproven?: ReadonlySet<string>;
  /** Nodes (by `nodeKey`) that are left alone although they could be folded, each with the reason. */
  readonly held?: ReadonlyMap<string, Refused>;
  /** Bytes (or a part of the file: "10%") by which folding affine nodes other than normalizations may make the file larger (default 0). */
  readonly maxGrowth?: MaxGrowth;
  /** Nodes (by `nodeKey`) that cost too many bits in an earlier plan: they are not solved for. */
  readonly costly?: ReadonlySet<string>;
  /** Nodes (by `nodeKey`) that stay in an earlier plan: solving for all at once looks at what they can reach. Default: all. */
  readonly open?: ReadonlySet<string>;
  /** Treats initializers that are also graph inputs as constants (IR ≥ 4). */
  readonly assumeConstant?: boolean;
  /** Lets what nothing else absorbs pass a Relu, which becomes a Max with one threshold per channel (default false). */
  readonly reluToMax?: boolean;
  /** Writes a normalization that nothing absorbs as a depthwise 1×1 Conv, on tensors of rank 3 to 5 (default false). */
  readonly bnToConv?: boolean;
  /** Merges parallel linear branches into one convolution (default true). */
  readonly merge?: boolean;
  /** Also empties the normalizations by statistics of the data and writes out weights that constants compute (default false). */
  readonly norms?: boolean;
  /** False: nothing is folded or merged (for what comes after a fold). Default true. */
  readonly fold?: boolean;
  /** After folding, scales channels between layers by powers of two where that lowers the noise of quantised weights: `equalization()`. */
  readonly equalize?: Equalization;
  /** Where the work begins: against the flow of the graph, along it, or with all candidates at once. By default all are tried where something stays. */
  readonly from?: Start;
  readonly onProgress?: (done: number, total: number) => void;
}
