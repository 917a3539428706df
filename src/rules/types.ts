/**
 * What an operator knows about diagonal affine maps. A map travels as two moves, a scale and a shift, each in one direction:
 *
 *   back:    the new output shall be `by ⊙ out` (or `out + by`); which inputs must change how, or which constants absorb it?
 *   forward: the old input was `by ⊙ in` (or `in + by`) of the new one; what absorbs it, or how do the outputs change?
 *
 * A rule answers with steps in order of preference, or with a refusal. It never changes anything.
 */
import type { Spread } from "../affine/spread.ts";
import type { RefusalCode } from "../diag/codes.ts";
import type { Shape } from "../graph/dims.ts";
import type { Facts } from "../graph/facts.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { DType, StorageFloat } from "../onnx/dtype.ts";
import type { Numbers } from "./stream.ts";

export type Kind = "scale" | "shift";

/** A constant operand: where it comes from and, on demand, its numbers after every change so far, in float64. */
export interface Param {
  readonly dtype: StorageFloat;
  readonly dims: readonly number[];
  /** The constant of the file it derives from; undefined when the operator had none. */
  readonly source: GraphValue | undefined;
  /** What a new constant is called in the file; a name made from its operator's when absent. */
  readonly name?: string;
  /** product(dims) of them. */
  readonly values: Numbers;
  /** Magnitudes of the constant it derives from; absent where that is none of the file. */
  readonly span?: () => Span;
  /** Largest factor by which any element was multiplied so far; lets a range check skip safe constants. */
  readonly gain: number;
  readonly smallest: number;
  /** True when a shift or another tensor went into it, so that its range says nothing before it is computed. */
  readonly mixed: boolean;
  /** Σ|terms| of each number, of one that is added up: what float64 rounding is measured against. */
  readonly terms?: () => Float64Array;
}

/** The smallest and the largest magnitude of numbers that are not zero; NaN as the largest when one is. Infinity and 0 of zeros alone. */
export interface Span {
  readonly least: number;
  readonly most: number;
}

/** A constant operand of whole numbers (or of floats narrower than any storage type), which a fold changes exactly or not at all. */
export interface Codes {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly source: GraphValue | undefined;
  /** What new codes are called in the file. */
  readonly name?: string;
  /** The numbers; not to be overwritten. */
  values(): Float64Array;
}

/** An operator as the plan has it so far. */
export interface NodeState {
  readonly opType: string;
  /** True where the operator became its mirror image (mirror.ts): it keeps its attributes. */
  readonly mirrored?: boolean;
  /** Changed constant operands by input position. */
  readonly params: ReadonlyMap<number, Param>;
  /** Changed operands that hold codes, by input position. */
  readonly codes?: ReadonlyMap<number, Codes>;
  /** Changed attributes: a number is written with the type the attribute has in the specification. */
  readonly attributes: Readonly<Record<string, AttributeChange>>;
  /** A constant Add that follows the operator: the bias of a MatMul. */
  readonly bias: Param | undefined;
  /** A constant Min that follows the operator: what was the upper bound of a Clip. */
  readonly ceiling?: Param;
  /** True where the result has more elements than before, which its readers broadcast no longer. */
  readonly grown?: boolean;
  /** Optional operands the operator no longer has. */
  readonly dropped?: readonly number[];
  /** True of a layer that makes one more channel, of constant 1 (laws/ones.ts). */
  readonly ones?: boolean;
}

export type AttributeChange =
  | { readonly float: number }
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string };

export interface Refused {
  readonly refused: RefusalCode;
  /** A clause that completes "Conv conv1 …", e.g. "pads its input with zeros". */
  readonly because: string;
  readonly node?: GraphNode;
  readonly value?: GraphValue;
  /** What can be done about it, where that is not what the reason says of all its nodes. */
  readonly advice?: string;
  readonly facts?: Readonly<Record<string, string | number | boolean | readonly number[]>>;
  /** True where it is for the rounding to a half type alone, which the user may allow. */
  readonly rounds?: true;
}

export interface Step {
  /** Per input (back) or per output (forward): the map to hand on; undefined for none. */
  readonly pass: readonly (Spread | undefined)[];
  /** The operator after the step, when it changes. */
  readonly state?: NodeState;
  /** What the rounding of the operator's stored numbers leaves open of the gain of output 0, relative to it. */
  readonly open?: Spread;
}

export type Move = readonly Step[] | Refused;

export const isRefused = (move: object): move is Refused => "refused" in move;

/** A node as a rule sees it. */
export interface RuleNode {
  readonly node: GraphNode;
  readonly facts: Facts;
  readonly version: number;
  readonly state: NodeState;
  inShape(i: number): Shape | undefined;
  outShape(i: number): Shape | undefined;
  /** The constant at input `i`, as changed so far; a refusal when it is not constant or not of a float storage type. */
  param(i: number): Param | Refused;
  /** The constant at input `i` as the file has it, to be read only: also one that a DequantizeLinear makes. */
  stored(i: number): Param | Refused;
  /** The codes at input `i`, as changed so far; undefined when they are not constant. */
  codes(i: number): Codes | undefined;
  /** True when input `i` is present. */
  has(i: number): boolean;
  isConstant(i: number): boolean;
  int(name: string, fallback: number): number;
  ints(name: string): number[] | undefined;
  float(name: string, fallback: number): number;
  string(name: string, fallback: string): string;
}

export type MoveFn = (at: RuleNode, by: readonly (Spread | undefined)[]) => Move;

export interface Rule {
  readonly type: string;
  /** Default: the ONNX domain "". */
  readonly domain?: string;
  readonly backScale?: MoveFn;
  readonly backShift?: MoveFn;
  readonly forwardScale?: MoveFn;
  readonly forwardShift?: MoveFn;
  /** What passes only where the operator becomes another, which is done when the user asks for it. */
  readonly retyped?: { readonly forwardShift: MoveFn };
  /** What passes only where the values on the way have one more channel, of constant 1, which is done when the user asks for it. */
  readonly ones?: { readonly forwardShift: MoveFn };
  /** What passes where numbers may come to be rounded to a half type that were not, which is done when the user allows it. */
  readonly rounded?: Readonly<Record<"backScale" | "backShift" | "forwardScale" | "forwardShift", MoveFn>>;
  /** In this direction every map that comes to one of many inputs (or outputs) goes on to the one output (or input). */
  readonly handsOn?: "backward" | "forward";
  /** A map of this kind passes forward only when every computed operand carries it. */
  readonly together?: Kind;
  /** True when the outputs do not change although input `index` does: Shape of it, a Slice of other channels. */
  readonly ignores?: (at: RuleNode, index: number, kind: Kind, by: Spread) => boolean;
}

/** Adds a rule for several operators that behave alike. */
export const alike = (types: string, rule: Omit<Rule, "type">): Rule[] => types.split(" ").map((type) => ({ type, ...rule }));

export const refuse = (refused: RefusalCode, because: string, more: Omit<Refused, "refused" | "because"> = {}): Refused => ({
  refused,
  because,
  ...more,
});

/** One step that hands the map on through input or output 0 (or `index`). */
export const pass = (by: Spread, index = 0): Step[] => {
  const list = new Array<Spread | undefined>(index + 1).fill(undefined);
  list[index] = by;
  return [{ pass: list }];
};

/** One step that ends here. */
export const absorb = (state: NodeState): Step[] => [{ pass: [], state }];

/** The state with a constant operand, new or changed. */
export const withParam = (state: NodeState, index: number, param: Param): NodeState => ({
  ...state,
  params: new Map(state.params).set(index, param),
  ...(state.dropped?.includes(index) ? { dropped: state.dropped.filter((i) => i !== index) } : {}),
});

/** The state with a changed operand of codes. */
export const withCodes = (state: NodeState, index: number, codes: Codes): NodeState => ({
  ...state,
  codes: new Map(state.codes).set(index, codes),
});

/** The state without an optional operand. */
export function withoutParam(state: NodeState, index: number): NodeState {
  const [params, codes] = [new Map(state.params), new Map(state.codes)];
  params.delete(index);
  codes.delete(index);
  return { ...state, params, codes, dropped: [...(state.dropped ?? []).filter((i) => i !== index), index] };
}

export const withAttribute = (state: NodeState, name: string, change: AttributeChange): NodeState => ({
  ...state,
  attributes: { ...state.attributes, [name]: change },
});
