/**
 * What is constant in a model, and its numbers. A value is constant when nothing a caller can feed reaches it: an
 * initializer (IR ≥ 4: unless it is also a graph input, which a caller may override), or the output of a deterministic
 * operator whose inputs are all constant. The reference executor computes the latter.
 */
import { BnfoldError } from "../diag/error.ts";
import { intAttr, intsAttr } from "../graph/attributes.ts";
import type { Facts } from "../graph/facts.ts";
import { hasTrait, traitsOf } from "../graph/operators.ts";
import { storedRecord } from "../graph/stored.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { decode, decodeSparse } from "../onnx/codec.ts";
import { type DType, dtypeOf, isStorageFloat } from "../onnx/dtype.ts";
import { numberReader } from "../onnx/pieces.ts";
import type { TensorRecord } from "../onnx/records.ts";
import { allocate, asFloat64, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { operator } from "../ops/index.ts";
import { type Numbers, piecesOf } from "../rules/stream.ts";
import { isRefused, type Param, type Refused, refuse, type Span } from "../rules/types.ts";
import { computed, isBounded, maySaySizes, sizesIn } from "../run/constant.ts";
import { canGrow, elementsMade, type Operands } from "../run/growth.ts";

/** Dropout that is told to train, or may be. */
const mayDrop = (node: GraphNode): boolean =>
  node.opType === "Dropout" &&
  (node.version < 7 ? intAttr(node.record, "is_test", 0) === 0 : node.version >= 12 && node.inputs[2] !== undefined);

/** Bytes of computed constants too large to keep for good: those read last stay, since what reads one often reads it again. */
const KEPT_BYTES = 2 ** 25;

/** Magnitudes of numbers, in one pass. */
function spanOf(parts: Iterable<Float64Array>): Span {
  let [least, most] = [Number.POSITIVE_INFINITY, 0];
  for (const part of parts) {
    for (const v of part) {
      const size = Math.abs(v);
      if (size < least && size !== 0) least = size;
      // NaN, once there, is larger than nothing and stays.
      if (size > most || Number.isNaN(size)) most = size;
    }
  }
  return { least, most };
}

const bytesOf = (value: Value | undefined): number =>
  value === undefined || !isTensor(value) || Array.isArray(value.data) ? 0 : (value.data as Float64Array).byteLength;

/** How the numbers of a constant lie in the tensor it is made of: as they are, as those of the matrix turned, or otherwise. */
type Order = "same" | "turned" | "other";

export class Constants {
  private readonly computed = new Set<GraphValue>();
  /** Computed constants that are no tensors: only what is taken out of them counts. */
  private readonly wrapped = new Set<GraphValue>();
  /** Computed constants that come out of a DequantizeLinear: rewriting them would undo the quantisation. */
  private readonly dequantized = new Set<GraphValue>();
  private readonly cache = new Map<GraphValue, Tensor>();

  constructor(
    view: GraphView,
    private readonly facts: Facts,
    private readonly assumeConstant = false,
  ) {
    this.irVersion = view.model.irVersion;
    for (const node of view.nodes) {
      if (!this.isPure(node)) continue;
      const readable = node.inputs.every((value, i) => value === undefined || this.isFixed(value) || this.standsFor(node, i));
      if (!readable && node.outputs.some((output) => this.sized(output) === undefined)) continue;
      const quantized =
        node.opType === "DequantizeLinear" || node.inputs.some((value) => value !== undefined && this.dequantized.has(value));
      const wraps =
        hasTrait(node, "wraps") ||
        (!hasTrait(node, "unwraps") && node.inputs.some((value) => value !== undefined && this.wrapped.has(value)));
      for (const output of node.outputs) {
        if (output === undefined) continue;
        this.computed.add(output);
        if (wraps) this.wrapped.add(output);
        if (quantized) this.dequantized.add(output);
      }
    }
  }

  private readonly irVersion: number;
  /** In the order of their last reading. */
  private readonly recent = new Map<GraphValue, Value | undefined>();

  private isPure(node: GraphNode): boolean {
    if (
      hasTrait(node, "random") ||
      mayDrop(node) ||
      node.bodies.length > 0 ||
      operator(node.domain, node.opType, node.version) === undefined
    )
      return false;
    if (node.inputs.some((value, i) => value === undefined && node.record.inputs[i] !== "")) return false;
    for (const attribute of node.record.attributes.values()) if (attribute.refAttrName !== "") return false;
    return node.outputs.every((output) => this.isBounded(node, output));
  }

  /** A result that is no larger than what it is made of, or not large. */
  private isBounded(node: GraphNode, output: GraphValue | undefined): boolean {
    const sizeOf = (value: GraphValue | undefined) =>
      this.facts.shape(value)?.reduce<number>((n, d) => (typeof d === "number" ? n * d : n), 1);
    const grows = canGrow(node.record);
    const made = grows ? elementsMade(node.record, this.operandsOf(node)) : undefined;
    const open = this.facts.shape(output)?.some((d) => typeof d !== "number") === true;
    const size = made ?? (grows && open ? undefined : (sizeOf(output) ?? (grows ? undefined : 1)));
    // What nobody can tell the size of is not asked to be made.
    if (size === undefined) return !grows || !node.inputs.every((value) => value === undefined || this.isFixed(value));
    const from = node.inputs.reduce((n, value) => n + (sizeOf(value) ?? 0), 0);
    return isBounded(size, from);
  }

  private operandsOf(node: GraphNode): Operands {
    const dims = (i: number) => {
      const shape = this.facts.shape(node.inputs[i]);
      return shape?.every((d) => typeof d === "number") ? (shape as number[]) : undefined;
    };
    return {
      dims,
      numbers: (i) => {
        const value = node.inputs[i];
        const known = this.facts.numbers(value);
        if (known !== undefined || value === undefined || !this.isFixed(value)) return known;
        return maySaySizes(dims(i)) ? sizesIn(this.tensor(value)) : undefined;
      },
    };
  }

  /** An input of which only the type or the static shape counts, and is known. */
  private standsFor(node: GraphNode, index: number): boolean {
    const { dtype, shape } = this.facts.of(node.inputs[index]);
    const seen = traitsOf(node)?.sees?.[index];
    if (seen === "type") return dtypeOf(dtype) !== undefined;
    return seen === "shape" && shape !== undefined && shape.every((d) => typeof d === "number");
  }

  /** A tensor with the type or shape that counts, for an input that is not constant itself. */
  private standIn(node: GraphNode, index: number): Tensor {
    const { dtype, shape } = this.facts.of(node.inputs[index]);
    const name = dtypeOf(dtype) ?? "float32";
    const dims = traitsOf(node)?.sees?.[index] === "type" ? [0] : (shape as number[]);
    return { dtype: name, dims, data: allocate(name, 0) };
  }

  /** Integers that sizes alone say, where those are known that count: of the channels, whatever the batch. */
  private sized(value: GraphValue | undefined): Tensor | undefined {
    const [numbers, shape, name] = [this.facts.numbers(value), this.facts.shape(value), dtypeOf(this.facts.of(value).dtype)];
    if (numbers === undefined || (name !== "int64" && name !== "int32")) return undefined;
    if (shape?.every((d) => typeof d === "number") !== true) return undefined;
    const data = name === "int64" ? BigInt64Array.from(numbers, BigInt) : Int32Array.from(numbers);
    return { dtype: name, dims: shape as number[], data };
  }

  /** A tensor that is constant for every caller. */
  has(value: GraphValue): boolean {
    return this.isFixed(value) && !this.wrapped.has(value);
  }

  private isFixed(value: GraphValue): boolean {
    if (value.initializer === undefined && value.sparse === undefined) return this.computed.has(value);
    return !this.isOverridable(value);
  }

  /** An initializer the caller may replace by feeding the input of the same name. */
  isOverridable(value: GraphValue): boolean {
    return value.isInput && value.scope.kind !== "function" && this.irVersion >= 4 && !this.assumeConstant;
  }

  /**
   * The numbers of a constant.
   * @throws BnfoldError when its payload is broken or an operator of its subgraph fails.
   */
  tensor(value: GraphValue, keepStorage = false): Tensor {
    const found = this.stored(value, keepStorage) ?? this.large(value);
    if (!isTensor(found)) throw new BnfoldError("model", `"${value.name}" is not a tensor`, { tensor: value.name });
    return found;
  }

  /** A computed constant that is too large to keep for good; the last one stays however large it is. */
  private large(value: GraphValue): Value | undefined {
    const made = this.recent.has(value) ? this.recent.get(value) : this.made(value);
    this.recent.delete(value);
    this.recent.set(value, made);
    let bytes = 0;
    for (const [older, kept] of [...this.recent].reverse()) {
      bytes += bytesOf(kept);
      if (older !== value && bytes > KEPT_BYTES) this.recent.delete(older);
    }
    return made;
  }

  private isStored(value: GraphValue): boolean {
    return value.initializer !== undefined || value.sparse !== undefined || this.cache.has(value);
  }

  /** True where each reading decodes the numbers anew; float64 may be the very bytes of a file in memory. */
  private isFresh(value: GraphValue, { dtype }: Tensor): boolean {
    return value.initializer !== undefined && dtype !== "float64" && !this.cache.has(value);
  }

  private stored(value: GraphValue, keepStorage = false): Tensor | undefined {
    const cached = this.cache.get(value);
    if (cached !== undefined) return cached;
    if (value.initializer !== undefined) return decode(value.initializer, { keepStorage });
    return value.sparse && decodeSparse(value.sparse);
  }

  /** Constants computed from constants, however long the chain: what one needs is computed first. */
  private made(value: GraphValue): Value | undefined {
    const made = new Map<GraphValue, Value | undefined>();
    const open = [value];
    while (open.length > 0) {
      const next = open[open.length - 1];
      if (this.recent.has(next)) made.set(next, this.recent.get(next));
      const inputs = made.has(next) ? [] : (next.producer?.inputs ?? []);
      const known = open.length;
      for (const v of inputs) if (v !== undefined && this.isFixed(v) && !made.has(v) && !this.isStored(v)) open.push(v);
      if (open.length > known) continue;
      open.pop();
      if (!made.has(next)) made.set(next, this.compute(next, made));
    }
    return made.get(value);
  }

  private compute(value: GraphValue, made: ReadonlyMap<GraphValue, Value | undefined>): Value | undefined {
    const { producer } = value;
    if (producer === undefined) throw new BnfoldError("model", `"${value.name}" is not a constant`, { tensor: value.name });
    if (!producer.inputs.every((input, i) => input === undefined || this.isFixed(input) || this.standsFor(producer, i))) {
      const sized = this.sized(value);
      if (sized !== undefined) this.cache.set(value, sized);
      return sized;
    }
    const read = (input: GraphValue, i: number) =>
      this.isFixed(input) ? (made.get(input) ?? this.stored(input)) : this.standIn(producer, i);
    const outputs = computed(
      producer.record,
      producer.version,
      producer.inputs.map((input, i) => input && read(input, i)),
    );
    const output = outputs[value.outputIndex];
    if (isTensor(output) && output.data.length <= 2 ** 16) this.cache.set(value, output);
    return output;
  }

  /** Why `value` cannot be rewritten (or, with `readOnly`, read), or the constant as a parameter. */
  param(value: GraphValue | undefined, readOnly = false): Param | Refused {
    if (value === undefined) return refuse("malformed-graph", "lacks an operand");
    const because = this.blocked(value);
    if (because !== undefined) return because;
    if (!readOnly && this.dequantized.has(value))
      return refuse("quantized", `has a quantised constant "${value.name}"`, { value });
    // One constant is one param: what is changed alike is known to be equal.
    const known = this.params.get(value);
    if (known !== undefined) return known;
    const param = this.paramOf(value);
    if (!isRefused(param)) this.params.set(value, param);
    return param;
  }

  private readonly params = new Map<GraphValue, Param>();

  private paramOf(value: GraphValue): Param | Refused {
    const { dtype, shape } = this.facts.of(value);
    const name: DType | undefined = dtypeOf(dtype) ?? (this.computed.has(value) ? this.tensor(value).dtype : undefined);
    let dims = shape?.every((d) => typeof d === "number") ? (shape as number[]) : undefined;
    if (name === undefined || !isStorageFloat(name))
      return refuse("weight-not-constant", `has a constant "${value.name}" of type ${name ?? dtype}`, {
        value,
        advice: "Nothing to do: numbers of that type hold no gain.",
      });
    dims ??= [...this.tensor(value).dims];
    const numbers = () => {
      const tensor = this.tensor(value);
      const decoded = asFloat64(tensor);
      // What was just decoded belongs to who asked for it; what is kept here is copied.
      return decoded === tensor.data && !this.isFresh(value, tensor) ? decoded.slice() : decoded;
    };
    const origin = this.originOf(value);
    const reader = origin && numberReader(origin.record);
    const stream = reader && { ...reader, factors: [] };
    const laidOut = { same: { stream }, turned: { turned: stream }, other: {} }[origin?.order ?? "other"];
    const values: Numbers = Object.assign(numbers, laidOut);
    let known: Span | undefined;
    const span = () => {
      known ??= spanOf(stream === undefined ? [values()] : piecesOf(stream));
      return known;
    };
    return { dtype: name, dims, source: value, span, gain: 1, smallest: 1, mixed: false, values };
  }

  /** The stored tensor of whose numbers a constant has each once, and how they lie in it. */
  private originOf(value: GraphValue): { record: TensorRecord; order: Order } | undefined {
    const record = storedRecord(value);
    if (record !== undefined) return { record, order: "same" };
    const { producer } = value;
    if (producer === undefined || producer.domain !== "") return undefined;
    const [input] = producer.inputs;
    if (input === undefined || !this.isFixed(input)) return undefined;
    const origin = this.originOf(input);
    if (origin === undefined || producer.opType === "Identity") return origin;
    if (hasTrait(producer, "reshapes")) return origin.order === "turned" ? { ...origin, order: "other" } : origin;
    if (producer.opType !== "Transpose") return undefined;
    const perm = intsAttr(producer.record, "perm");
    const isTurn = this.facts.rank(input) === 2 && (perm === undefined || perm[0] === 1);
    const order = isTurn && origin.order === "same" ? "turned" : isTurn && origin.order === "turned" ? "same" : "other";
    return { ...origin, order };
  }

  /** The same constants with other numbers for one that is computed. */
  replaced(value: GraphValue, tensor: Tensor): Constants {
    return Object.assign(Object.create(Constants.prototype) as Constants, this, {
      cache: new Map([[value, tensor]]),
      recent: new Map(),
    });
  }

  /** Why a value is not constant; undefined when it is. */
  blocked(value: GraphValue): Refused | undefined {
    if (this.has(value)) return undefined;
    if (this.isOverridable(value) && (value.initializer ?? value.sparse) !== undefined) {
      return refuse("parameter-is-input", `reads "${value.name}", an initializer that callers may override`, { value });
    }
    const how = value.producer === undefined ? "which callers feed" : "which is computed at run time";
    return refuse("weight-not-constant", `reads "${value.name}", ${how}`, { value });
  }
}
