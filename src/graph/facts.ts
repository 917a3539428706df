/**
 * What is known of each value without running the model: element type, shape (numbers and symbols), and the elements of
 * small integer tensors, so that a Reshape to a shape computed from Shape is understood. Inference goes first; what the file
 * declares fills the gaps, and is noted where it contradicts what was inferred.
 */
import { decode } from "../onnx/codec.ts";
import type { TensorRecord, TypeInfo } from "../onnx/records.ts";
import { asNumbers, sizeOf } from "../onnx/tensor.ts";
import { type Dim, type Shape, symbol } from "./dims.ts";
import { inferElements } from "./elements.ts";
import type { Fact, KnownFacts, Outputs } from "./inference.ts";
import { traitsOf } from "./operators.ts";
import { storedRecord } from "./stored.ts";
import type { GraphNode, GraphValue, GraphView } from "./view.ts";

/** Integer tensors up to this size are followed element by element. */
const MAX_ELEMENTS = 64;

/** TensorProto.DataType of the floats that exporters count in: float and double. */
const REALS: readonly number[] = [1, 11];

/** Elements that a node makes of inputs whose elements are all numbers, per output; undefined where it cannot tell. */
export type Compute = (node: GraphNode, facts: Facts) => readonly (readonly number[] | undefined)[] | undefined;

/** A shape that the file declares of a value and that the value cannot have. */
export interface Contradiction {
  readonly value: GraphValue;
  readonly declared: Shape;
  readonly inferred: Shape;
}

export class Facts implements KnownFacts {
  readonly contradictions: Contradiction[] = [];
  /** True where a shape is known only because the file declares it of a value inside. */
  told = false;
  private readonly known = new Map<GraphValue, Fact>();
  private readonly elementsOf = new Map<GraphValue, readonly (Dim | undefined)[]>();
  private readonly realsOf = new Map<GraphValue, readonly number[]>();
  private fresh = 0;

  constructor(
    readonly view: GraphView,
    private readonly compute?: Compute,
    /** False: shapes that the file declares of anything but the model's inputs are not believed. */
    private readonly trusting = true,
  ) {
    for (const scope of view.scopes) {
      for (const value of scope.values.values()) if (value.producer === undefined) this.declare(value);
    }
    for (const node of view.nodes) this.visit(node);
    for (const node of view.cyclic) for (const output of node.outputs) if (output !== undefined) this.declare(output);
  }

  of(value: GraphValue | undefined): Fact {
    return (value && this.known.get(value)) ?? { dtype: 0, shape: undefined };
  }

  shape(value: GraphValue | undefined): Shape | undefined {
    return this.of(value).shape;
  }

  rank(value: GraphValue | undefined): number | undefined {
    return this.shape(value)?.length;
  }

  size(value: GraphValue | undefined, axis: number): number | undefined {
    const dim = this.shape(value)?.[axis];
    return typeof dim === "number" ? dim : undefined;
  }

  elements(value: GraphValue | undefined): readonly (Dim | undefined)[] | undefined {
    return value && this.elementsOf.get(value);
  }

  numbers(value: GraphValue | undefined): number[] | undefined {
    const elements = this.elements(value);
    return elements?.every((e) => typeof e === "number") ? (elements as number[]) : undefined;
  }

  /** Elements of a small float constant that is stored, or computed of constants: sizes go through Div, Ceil and Clip in floats. */
  reals(value: GraphValue | undefined): readonly number[] | undefined {
    if (value === undefined || !REALS.includes(this.of(value).dtype)) return undefined;
    const known = this.realsOf.get(value);
    const stored = known === undefined ? storedRecord(value) : undefined;
    if (stored === undefined || value.isInput || sizeOf(stored.dims) > MAX_ELEMENTS) return known;
    const numbers = asNumbers(decode(stored));
    this.realsOf.set(value, numbers);
    return numbers;
  }

  /** Records facts of a value the planner made or moved. */
  set(value: GraphValue, fact: Fact): void {
    this.known.set(value, fact);
  }

  private unknownDim = (): Dim => symbol(`?${++this.fresh}`);

  private declare(value: GraphValue): void {
    const tensor = value.initializer;
    if (tensor !== undefined) {
      this.known.set(value, { dtype: tensor.dataType, shape: tensor.dims });
      this.setConstant(value, tensor);
      return;
    }
    if (value.sparse !== undefined) {
      this.known.set(value, { dtype: value.sparse.values.dataType, shape: value.sparse.dims });
      return;
    }
    const fact = this.declared(value);
    const promised = value.scope.kind === "main" && value.isInput;
    if (!promised && fact.shape !== undefined) this.told = true;
    this.known.set(value, promised || this.trusting ? fact : { ...fact, shape: undefined });
  }

  private setConstant(value: GraphValue, tensor: TensorRecord): void {
    const integer = [6, 7, 9].includes(tensor.dataType);
    if (integer && sizeOf(tensor.dims) <= MAX_ELEMENTS) this.elementsOf.set(value, asNumbers(decode(tensor)));
  }

  private declared(value: GraphValue): Fact {
    let fact: Fact = { dtype: 0, shape: undefined };
    for (const { type } of value.declared) {
      if (type.kind !== "tensor") continue;
      fact = { dtype: fact.dtype || (type.elemType ?? 0), shape: mergeShapes(fact.shape, this.shapeOf(type, value)) };
    }
    return fact;
  }

  /** A declared symbol means the same size wherever it stands in the graph; a nameless dimension gets a fresh one. */
  private shapeOf(type: TypeInfo, value: GraphValue): Shape | undefined {
    return type.shape?.map((d) => {
      if (d === undefined) return this.unknownDim();
      if (typeof d === "string") return symbol(value.scope.kind === "main" ? d : `${value.scope.path}:${d}`);
      return d > 0 ? d : this.unknownDim();
    });
  }

  private visit(node: GraphNode): void {
    const shapes = inferred(node, this, this.unknownDim);
    node.outputs.forEach((output, i) => {
      if (output === undefined) return;
      const declared = this.declared(output);
      const inferred = shapes?.[i];
      this.known.set(output, {
        dtype: inferred?.dtype || declared.dtype,
        shape: this.merged(output, inferred?.shape, declared.shape),
      });
    });
    const first = node.outputs[0];
    if (first === undefined) return;
    const tensor = storedRecord(first);
    if (tensor !== undefined) this.setConstant(first, tensor);
    const elements = tensor === undefined ? inferElements(node, this) : undefined;
    if (elements !== undefined && elements.length <= MAX_ELEMENTS) this.elementsOf.set(first, elements);
    if (tensor === undefined && (elements === undefined || elements.includes(undefined))) this.computeElements(node);
  }

  /** What is inferred of a value, with what is declared of it where that says more. */
  private merged(value: GraphValue, inferred: Shape | undefined, declared: Shape | undefined): Shape | undefined {
    if (declared === undefined) return inferred;
    if (inferred !== undefined && contradicts(inferred, declared)) this.contradictions.push({ value, declared, inferred });
    const shape = mergeShapes(inferred, declared);
    const told = shape?.some((d, i) => d !== inferred?.[i]) ?? false;
    this.told ||= told;
    return told && !this.trusting ? inferred : shape;
  }

  /** What no rule follows is computed, when it hangs on nothing but numbers. */
  private computeElements(node: GraphNode): void {
    const known = (v: GraphValue | undefined) => v === undefined || (this.numbers(v) ?? this.reals(v)) !== undefined;
    if (this.compute === undefined || node.inputs.length === 0 || !node.inputs.every(known)) return;
    const computed = this.compute(node, this);
    node.outputs.forEach((output, i) => {
      const elements = computed?.[i];
      if (output === undefined || elements === undefined || elements.length > MAX_ELEMENTS) return;
      if (REALS.includes(this.of(output).dtype)) this.realsOf.set(output, elements);
      else this.elementsOf.set(output, elements);
    });
  }
}

/** Facts of a node's outputs, as far as its inputs' facts give them. */
function inferred(node: GraphNode, facts: Facts, unknown: () => Dim): Outputs {
  const shapes = node.inputs.map((v) => facts.shape(v));
  const made = traitsOf(node)?.shape({ node, facts, unknown, shapes, dtype: facts.of(node.inputs[0]).dtype });
  // A shape computed from one that has too few axes has holes; sizes below zero come of operators that cannot run.
  const isNone = (d: Dim | undefined): boolean => d === undefined || (typeof d === "number" && d < 0);
  return made?.map((fact) => (fact?.shape?.some(isNone) ? { ...fact, shape: undefined } : fact));
}

const contradicts = (a: Shape, b: Shape): boolean =>
  a.length !== b.length || a.some((d, i) => typeof d === "number" && typeof b[i] === "number" && d !== b[i]);

/** The more precise of two shapes, dimension by dimension: a number beats a symbol, the first wins a tie. */
function mergeShapes(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (a === undefined || b === undefined || a.length !== b.length) return a ?? b;
  return a.map((d, i) => (typeof d !== "number" && typeof b[i] === "number" ? b[i] : d));
}
