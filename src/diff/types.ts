/** What changed between two models, as plain data. */
import type { NodeRef } from "../fold/types.ts";

/** A property of the model as a whole; absent on a side that does not have it. */
export interface FactChange {
  /** "irVersion", "producer", "opset ai.onnx", "metadata author" … */
  readonly what: string;
  readonly a?: string;
  readonly b?: string;
}

/** An input or output of the model; of a body or a function where another node makes an output, its path before the name. */
export interface InterfaceChange {
  readonly side: "input" | "output";
  /** "source": another node makes it. */
  readonly change: "added" | "removed" | "renamed" | "changed" | "moved" | "source";
  readonly name: string;
  /** Name in the second model, where it is another. */
  readonly now?: string;
  /** Type and shape, "float32[N, 3, 224, 224]"; of a move the positions; of another source what makes it. */
  readonly a?: string;
  readonly b?: string;
}

/** A node that both models have, and what differs about it. */
export interface NodeChange {
  readonly node: NodeRef;
  /** The same node in the second model. */
  readonly now: NodeRef;
  /** Attributes that differ, as text; absent on a side that does not have it. */
  readonly attributes: readonly { readonly name: string; readonly a?: string; readonly b?: string }[];
  /** Inputs that come from elsewhere; null where there is none. */
  readonly inputs: readonly {
    readonly index: number;
    readonly a: string | null;
    readonly b: string | null;
    /** What makes the two, where they have one name. */
    readonly made?: readonly [a: string, b: string];
  }[];
  /** Number of outputs, where it differs. */
  readonly outputs?: readonly [a: number, b: number];
}

/** A constant of a model: where it is and what it is. */
export interface TensorRef {
  readonly scope: string;
  readonly name: string;
  /** ONNX name of the element type. */
  readonly dtype: string;
  readonly dims: readonly number[];
}

/** Distance of numbers that differ: over elements that are finite on both sides. */
export interface TensorNumbers {
  readonly elements: number;
  /** Elements that are not the same, NaN being the same as NaN. */
  readonly differing: number;
  readonly largest: number;
  /** √(mean (a − b)²). */
  readonly rms: number;
  /** Root mean square of the first tensor's finite elements, for scale. */
  readonly scale: number;
}

/** A constant that both models have, and how its type, shape, numbers or form differ. */
export interface TensorDifference {
  readonly tensor: TensorRef;
  readonly now: TensorRef;
  /** Absent where the shapes differ, or where there are no numbers. */
  readonly numbers?: TensorNumbers;
  /** How it is written, where that differs: "dense", "sparse". */
  readonly form?: readonly [a: string, b: string];
}

/** What `diffModels` found: `a` is the first model, `b` the second. */
export interface ModelDiff {
  /** Everything that counts as a change, added up. Names of inner values and nodes, and their order, do not. */
  readonly changes: number;
  readonly facts: readonly FactChange[];
  readonly interface: readonly InterfaceChange[];
  readonly functions: { readonly added: readonly string[]; readonly removed: readonly string[] };
  readonly nodes: {
    readonly before: number;
    readonly after: number;
    /** Nodes that have a counterpart; those of `changed` are among them. */
    readonly matched: number;
    readonly added: readonly NodeRef[];
    readonly removed: readonly NodeRef[];
    readonly changed: readonly NodeChange[];
  };
  readonly tensors: {
    readonly before: number;
    readonly after: number;
    readonly added: readonly TensorRef[];
    readonly removed: readonly TensorRef[];
    readonly changed: readonly TensorDifference[];
  };
  /** Nodes per operator type, all graphs and functions together. */
  readonly operators: {
    readonly before: Readonly<Record<string, number>>;
    readonly after: Readonly<Record<string, number>>;
  };
  readonly sideFiles: { readonly added: readonly string[]; readonly removed: readonly string[] };
  /** What has another name only. */
  readonly renamed: { readonly nodes: number; readonly tensors: number; readonly values: number };
  /** True when nodes that have a counterpart stand in another order. */
  readonly reordered: boolean;
}
