/** The words in which operators.ts says what operators are: one row of traits for each. */
import type { Infer } from "./inference.ts";

export type Trait =
  /** Numbers of the data it is given, at other places; nothing is computed. */
  | "moves"
  /** The same, with other numbers between them. */
  | "fills"
  /** The same numbers as another type. */
  | "casts"
  /** The numbers that come out are, but for their sign and for bounds, among those that go in. */
  | "chooses"
  /** Element by element, an operation that is rounded once. */
  | "basic"
  /** Element by element, a function that no library rounds correctly. */
  | "function"
  /** Element by element, and neither of the two before. */
  | "pointwise"
  /** Each number comes from its own place or from around it: the axes are those of its first input. */
  | "inPlace"
  /** Each number a sum of products of what is read, or what is as large as one: of |x| it is no smaller than of x. */
  | "sums"
  /** A matrix or a convolution, with what is added to each of its outputs. */
  | "layer"
  /** Linear in what is computed, where all else is constant. */
  | "linear"
  /** A function of one number, or of rows, that carries no gain or shift to its output unless a rule says how. */
  | "nonlinear"
  /** Made of products of two operands. */
  | "products"
  /** A sum of its operands as they are, with signs. */
  | "adds"
  /** An affine map of one operand, element by element, where the others are constant. */
  | "affine"
  /** A gain or a shift on its data is one on what comes out, its numbers at other places: no constant has to take it. */
  | "carries"
  /** What is 1 everywhere stays so (laws/ones.ts says when). */
  | "keepsOne"
  /** Of gains only positive ones pass as they are. */
  | "positive"
  /** What it gives is never below 0. */
  | "nonNegative"
  /** Its data stay so at other places, or chosen, averaged or added up: not below 0 where the first input is not. */
  | "keepsNonNegative"
  /** Not below 0 where none of its operands is. */
  | "joinsNonNegative"
  /** What carries gains, but no shifts. */
  | "unshifted"
  /** Keeps one operand between the others. */
  | "bounds"
  /** Its inputs must all carry one gain. */
  | "unison"
  /** Its operands may change places. */
  | "commutes"
  /** Its operands broadcast: a constant spread out further has the same effect. */
  | "broadcasts"
  /** Its output jumps when its input moves by nothing. */
  | "decides"
  /** No two runs need have its result in common. */
  | "random"
  /** Its attribute `axis` counts the axes of its first input. */
  | "axis"
  /** The numbers stay in their order, in another shape. */
  | "reshapes"
  /** γ ⊙ n(x) + β, with n(x) of mean 0 or deviation 1. */
  | "normalizes"
  /** A normalization with statistics of each sample, of channels or groups of them. */
  | "grouped"
  /** Its tensors are [N, C, D1…Dn]. */
  | "channels"
  /** A window that strides. */
  | "strides"
  /** What comes out is what one of its graphs gives. */
  | "branches"
  /** Makes a sequence, an optional or a map. */
  | "wraps"
  /** Makes a tensor of a sequence or an optional. */
  | "unwraps";

/** Positions of inputs that share an element type, for a node of `inputs` inputs under `version`. */
export type TypeGroups = (inputs: number, version: number) => readonly (readonly number[])[];

/**
 * How a layer sums products. "convolution": a filter [O, C/g, k…] on [N, C, D…]; "transposed": one turned round, [C, O/g, k…];
 * "gemm": matrices that attributes may turn over; "matmul": matrices as they are; "recurrent": weights [D, G·H, I] and [D, G·H, H].
 */
export type Product = "convolution" | "transposed" | "gemm" | "matmul" | "recurrent";

export interface Traits {
  /** From the shapes, types and known elements of its inputs to shapes and types of its outputs. */
  readonly shape: Infer;
  readonly has: ReadonlySet<Trait>;
  readonly product?: Product;
  /** Positions of inputs that may be weights. */
  readonly weights?: readonly number[];
  /** Position of the bias of a layer. */
  readonly bias?: number;
  /**
   * The first input that only says how large something is, which part of it is taken, or which function it is; all after it do,
   * too. It is no coefficient.
   */
  readonly measures?: number;
  /** By input, what alone is seen of it. */
  readonly sees?: readonly ("shape" | "type" | undefined)[];
  /** It decides where this output is read. */
  readonly decidesAt?: number;
  readonly oneType?: TypeGroups;
}

export type Row = Omit<Traits, "shape" | "has">;

/** A row of the table: the shape rule, traits by name, and what has a number. */
export const row = (shape: Infer, traits: readonly Trait[] = [], more: Row = {}): Traits => ({
  shape,
  has: new Set(traits),
  ...more,
});
