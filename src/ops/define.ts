/**
 * What an operator is to the executor: a type, the opset version its semantics begin with, and a function from inputs to
 * outputs. Arithmetic is in float64 whatever the declared type; the session rounds outputs to their declared type in
 * storage mode, so operators never round floats themselves (Cast to and quantisation into narrow types excepted, where
 * rounding is the operator's meaning).
 */
import type { BnfoldError } from "../diag/error.ts";
import type { AttributeRecord, NodeRecord, TensorRecord, TypeInfo } from "../onnx/records.ts";
import type { Tensor } from "../onnx/tensor.ts";

export interface SequenceValue {
  readonly kind: "sequence";
  readonly items: readonly Value[];
  /** Element type where known: an empty sequence still has one. */
  readonly of?: TypeInfo;
}

export interface OptionalValue {
  readonly kind: "optional";
  readonly item: Value | undefined;
  readonly of?: TypeInfo;
}

/** What an input, an output or an inner value of a model can be. */
export type Value = Tensor | SequenceValue | OptionalValue;

/** True of a tensor; false of a sequence, an optional and undefined. */
export const isTensor = (value: Value | undefined): value is Tensor => value !== undefined && !("kind" in value);

/** "float64": the truth, every float in double. "storage": each result rounded to its declared type. */
export type NumericMode = "float64" | "storage";

/** A subgraph ready to run: positional inputs, positional outputs; captured values come from the enclosing scope. */
export type Body = (inputs: readonly (Value | undefined)[]) => Value[];

/** What an operator sees of its node. Attribute getters return the fallback when the attribute is absent. */
export interface OpContext {
  readonly node: NodeRecord;
  /** Version of the node's domain in force. */
  readonly version: number;
  readonly mode: NumericMode;
  /** True when output `i` has a reader, i.e. is present with a non-empty name. */
  wants(i: number): boolean;
  attribute(name: string): AttributeRecord | undefined;
  int(name: string, fallback: number): number;
  ints(name: string): number[] | undefined;
  float(name: string, fallback: number): number;
  floats(name: string): number[] | undefined;
  string(name: string, fallback: string): string;
  strings(name: string): string[] | undefined;
  /** Decoded tensor attribute. */
  tensor(name: string): Tensor | undefined;
  decode(record: TensorRecord): Tensor;
  /**
   * Memory for a result of `n` doubles, holding anything: every element must be written. It may be that of one of `over`, inputs of
   * the same number of elements which the result may be written over element by element.
   */
  result(n: number, ...over: readonly Tensor[]): Float64Array;
  /** Whether the kernels may hold the results back (kernels/types.ts, `Backend`). */
  readonly holds: boolean;
  /** The graph attribute `name` as a function. */
  body(name: string): Body;
  /** Uniform doubles in [0, 1), deterministic per session seed, node and `seed` attribute. */
  random(): () => number;
  /** An error that names this node and the shapes it was given. */
  fail(message: string): BnfoldError;
}

export type RunOperator = (context: OpContext, inputs: readonly (Value | undefined)[]) => readonly (Value | undefined)[];

export interface OpDef {
  readonly type: string;
  /** Default: the ONNX domain "". */
  readonly domain?: string;
  /** First opset version these semantics hold for; the newest `since` not above the model's version is used. */
  readonly since: number;
  /** Outputs are arrays of their own (or an input itself, never a part of one), and no input is kept in any other way. */
  readonly owns?: boolean;
  /** Takes inputs the kernels hold back: it reads them through the kernels only, or settles them. Others get them settled. */
  readonly takesHeld?: boolean;
  readonly run: RunOperator;
}

/** The operator in ONNX Runtime's own domain. */
export const microsoft = (op: OpDef): OpDef => ({ ...op, domain: "com.microsoft" });

/** The operators marked `owns`. */
export const owning = (...ops: readonly OpDef[]): OpDef[] => ops.map((op) => ({ ...op, owns: true }));

/** Owning operators that take inputs the kernels hold back. */
export const holding = (...ops: readonly OpDef[]): OpDef[] => owning(...ops).map((op) => ({ ...op, takesHeld: true }));

/** An operator over tensors only. The first `required` inputs must be there; later ones may be undefined. */
export function tensorOp(
  type: string,
  since: number,
  required: number,
  run: (context: OpContext, ...inputs: Tensor[]) => readonly (Value | undefined)[],
): OpDef {
  return {
    type,
    since,
    run(context, inputs) {
      for (let i = 0; i < Math.max(required, inputs.length); i++) {
        const input = inputs[i];
        if (input === undefined ? i < required : !isTensor(input)) {
          throw context.fail(`input ${i} is ${input === undefined ? "missing" : "not a tensor"}`);
        }
      }
      return run(context, ...(inputs as Tensor[]));
    },
  };
}
