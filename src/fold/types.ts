/** Decisions as plain data: what is folded, what is kept and why. JSON-able. */
import type { RefusalCode } from "../diag/codes.ts";
import type { NodeRef } from "../graph/node-ref.ts";
import type { AffineKind } from "../laws/candidates.ts";
import type { EqualizedData } from "./equalize/data.ts";

export type { NodeRef } from "../graph/node-ref.ts";
export type { EqualizedData, EqualizedValue, EqualizedWeight } from "./equalize/data.ts";

export type { AffineKind };

/** A constant that is rewritten: `from` keeps its bytes when others still use it. */
export interface TensorChange {
  /** Old tensor; "" when the operator had none (a Conv without bias). */
  readonly from: string;
  readonly to: string;
  /** ONNX name of the element type, e.g. "float32". */
  readonly dtype: string;
  readonly dims: readonly number[];
  /** Bytes of the new constant where others still read the old one. */
  readonly copied?: number;
}

/** One node removed (a "norm": emptied), and the operators that took its scale and shift. */
export interface Fold {
  readonly id: number;
  readonly node: NodeRef;
  readonly kind: AffineKind;
  /** Where it went: into producers, into consumers, scale one way and shift the other, or into a merged convolution. */
  readonly direction: "backward" | "forward" | "both" | "merged" | "evaluated";
  /** Operators it crossed unchanged on the way. */
  readonly through: readonly NodeRef[];
  readonly into: readonly { readonly node: NodeRef; readonly tensors: readonly TensorChange[] }[];
  /** Smallest and largest gain (scale) over channels. */
  readonly scaleRange: readonly [number, number];
  readonly shiftRange: readonly [number, number];
  /** Bits of the files' own precision that it can cost, estimated from constants (precision.ts); 0 where it costs none. */
  readonly bitsLost: number;
  /** Things worth knowing: dead channels, large gains, changed bounds. */
  readonly notes: readonly string[];
}

/** One BatchNormalization or affine node that stays, with the reason. */
export interface Kept {
  readonly node: NodeRef;
  readonly kind: AffineKind;
  readonly code: RefusalCode;
  /** The node that blocks, when it is another one. */
  readonly blocker?: NodeRef;
  /** The value (tensor name) at which the way ends. */
  readonly value?: string;
  readonly facts: Readonly<Record<string, string | number | boolean | readonly number[]>>;
  /** One sentence a person can act on. */
  readonly message: string;
  /** What can be done about it, where that is not what the reason says of all its nodes. */
  readonly advice?: string;
}

/** A region linear in one tensor that became one convolution. */
export interface Merge {
  readonly id: number;
  /** Every operator of the region, the surviving convolution among them. */
  readonly nodes: readonly NodeRef[];
  readonly into: NodeRef;
  /** Multiply-adds per output position, before and after. */
  readonly multiplyAdds: readonly [before: number, after: number];
  /** Numbers in constant operands, before and after. */
  readonly parameters: readonly [before: number, after: number];
}

/** What a model has, counted over all of its graphs. */
export interface Counts {
  readonly nodes: number;
  readonly batchNormalizations: number;
  /** Other constant affine nodes. */
  readonly affines: number;
  /** With the option `norms`: normalizations with a gain or shift of their own, and weights that constants compute. */
  readonly norms?: number;
  readonly weights?: number;
  /** Nodes per operator type (domain prefixed when not the default), all scopes together. */
  readonly operators: Readonly<Record<string, number>>;
}

/** A model-local function whose calls were written out, because a fold needs what they give it. */
export interface InlinedFunction {
  /** "domain:name", with ":overload" where it has one. */
  readonly function: string;
  /** The calls, by path: graphs, functions and calls they lie in, and their own name. */
  readonly calls: readonly string[];
  /** True when nothing calls it any more, so that it is not in the output. */
  readonly dropped: boolean;
}

/** What a plan does with each node, as plain data. */
export interface PlanData {
  readonly folds: readonly Fold[];
  readonly kept: readonly Kept[];
  readonly merges: readonly Merge[];
  /** Linear regions left as they are, because one convolution would cost more. */
  readonly unmerged: readonly {
    readonly nodes: readonly NodeRef[];
    readonly reason: string;
    readonly multiplyAdds: readonly [before: number, after: number];
  }[];
  /** Calls written out before anything was folded; `before` counts the nodes of their copies. Absent when there are none. */
  readonly inlined?: readonly InlinedFunction[];
  /** What equalisation did, where it was asked for. */
  readonly equalized?: EqualizedData;
  readonly before: Counts;
  readonly after: Counts;
}
