/**
 * Seeded inputs for a model, from its declarations and what its nodes say about them. One kind of values per sample, because
 * faults hide from any single one: a wrong sign before a Relu from positive values, a wrong border from constant images, a
 * wrong mean of a dead channel from small inputs.
 */
import { BnfoldError } from "../diag/error.ts";
import { type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import { roundArray } from "../onnx/codec.ts";
import { type DType, dtypeInfo, dtypeOf } from "../onnx/dtype.ts";
import type { Model, TypeInfo, ValueInfoRecord } from "../onnx/records.ts";
import { allocate, sizeOf, type Tensor, tensor } from "../onnx/tensor.ts";
import type { Value } from "../ops/define.ts";
import { hintOf } from "./hints.ts";
import { type Random, randomOf } from "./random.ts";
import { requiredInputs, resolveShapes, type UserShapes } from "./shapes.ts";

export const KINDS = ["normal", "large", "negative", "border", "image", "small", "sparse", "inside", "zero"] as const;
export type Kind = (typeof KINDS)[number];

/** Inputs for one run of a model. */
export interface Sample {
  /** One of `KINDS`, "given" when the user gave every input, or the name of a data set. */
  readonly kind: string;
  readonly seed: number;
  readonly feeds: ReadonlyMap<string, Value>;
}

/** Options of `generateInputs`. */
export interface InputOptions {
  /** Default 4. */
  readonly samples?: number;
  /** Where the number of samples is not given: up to 32 of a small model, whose runs cost next to nothing. */
  readonly thorough?: boolean;
  /** Default 1. */
  readonly seed?: number;
  /** Sizes per input; -1 leaves an axis open. */
  readonly shapes?: UserShapes;
  /** Inputs the user gives: the same in every sample. */
  readonly fixed?: ReadonlyMap<string, Value>;
  /** Which list of default sizes to use for open axes, from 0. */
  readonly attempt?: number;
}

/** The samples; undefined when `attempt` is past the last list of default sizes, or changes nothing. */
export function generateInputs(model: Model, options: InputOptions & { attempt: number }): Sample[] | undefined;
export function generateInputs(model: Model, options?: InputOptions): Sample[];
export function generateInputs(model: Model, options: InputOptions = {}): Sample[] | undefined {
  const { seed = 1, fixed = new Map<string, Value>(), attempt = 0 } = options;
  const view = viewOf(model);
  const inputs = requiredInputs(model);
  for (const name of fixed.keys()) {
    if (!model.graph.inputs.some((input) => input.name === name)) {
      const known = inputs.map((input) => input.name).join(", ") || "none";
      throw new BnfoldError(
        "usage",
        `a value is given for "${name}", which is no input of the model`,
        { tensor: name },
        `Inputs: ${known}.`,
      );
    }
  }
  const open = inputs.filter((input) => !fixed.has(input.name));
  const shapes = new Map(options.shapes);
  for (const [name, value] of fixed) if (!("kind" in value)) shapes.set(name, value.dims);
  const plan = resolveShapes(model, view, shapes, attempt);
  if (plan === undefined || (attempt > 0 && !plan.guessed)) return undefined;
  if (open.length === 0) return [{ kind: "given", seed, feeds: fixed }];
  const makers = open.map((input) => ({ input, make: makerOf(input, plan.shapes.get(input.name) as number[], view) }));
  const numbers = open.reduce((sum, { name }) => sum + sizeOf(plan.shapes.get(name) as number[]), 0);
  const { samples = options.thorough ? samplesOf(model, numbers) : LEAST } = options;
  return Array.from({ length: samples }, (_, i) => {
    // After one sample of each kind, more of the plainest ones.
    const kind = KINDS[i] ?? KINDS[i % 2];
    const feeds = new Map<string, Value>(fixed);
    for (const { input, make } of makers) feeds.set(input.name, make(randomOf(seed, i, input.name), kind));
    return { kind, seed, feeds };
  });
}

/** Samples where nothing is said of their number. */
export const LEAST = 4;
/** Few numbers, and outputs that are decisions, show little in each sample: so many where all of them cost next to nothing. */
const MOST = 32;
const CHEAP = 2 ** 24;

/** An upper bound on what a run costs: no number of the model meets more than all numbers of the inputs. */
function samplesOf({ graph }: Model, numbers: number): number {
  const stored = graph.initializers.reduce((sum, { dims }) => sum + sizeOf(dims), graph.nodes.length);
  return Math.max(LEAST, Math.min(MOST, Math.floor(CHEAP / (stored * Math.max(1, numbers)))));
}

/** Shapes of the tensors in a sample, for messages: `x [2, 3, 32, 32]`. */
export function shapesText(feeds: ReadonlyMap<string, Value>): string {
  return (
    [...feeds].map(([name, value]) => `${name} ${"kind" in value ? value.kind : `[${value.dims.join(", ")}]`}`).join(", ") ||
    "no inputs"
  );
}

/** The same as data, of tensors alone. */
export const shapesOf = (feeds: ReadonlyMap<string, Value>): Readonly<Record<string, readonly number[]>> =>
  Object.fromEntries([...feeds].flatMap(([name, value]) => ("kind" in value ? [] : [[name, value.dims]])));

type Maker = (random: Random, kind: Kind) => Value;

function makerOf(input: ValueInfoRecord, dims: readonly number[], view: GraphView): Maker {
  const { spatial, rows } = hintOf(view.main.values.get(input.name) as GraphValue, dims.length);
  const places = { dims, axes: spatialAxes(dims, spatial), rows, name: input.name };
  const make = (type: TypeInfo, random: Random, kind: Kind): Value => {
    switch (type.kind) {
      case "tensor":
      case "sparse":
        return tensorFor(type, places, random, kind);
      case "sequence": {
        const of = type.of ?? { kind: "tensor", elemType: 1 };
        return { kind: "sequence", items: [make(of, random, kind), make(of, random, kind)], of };
      }
      case "optional": {
        const of = type.of ?? { kind: "tensor", elemType: 1 };
        return { kind: "optional", item: make(of, random, kind), of };
      }
      default:
        throw new BnfoldError(
          "model",
          `no values can be made up for input "${input.name}": its type is ${type.kind === "unknown" ? "not declared" : type.kind}`,
          { tensor: input.name },
          `Give it: --input ${input.name}=file.`,
        );
    }
  };
  return (random, kind) => make(input.type, random, kind);
}

interface Places {
  readonly dims: readonly number[];
  /** Axes with a border. */
  readonly axes: readonly number[];
  /** Rows of the table the input indexes. */
  readonly rows: number | undefined;
  readonly name: string;
}

function spatialAxes(dims: readonly number[], spatial: { first: number; count: number } | undefined): number[] {
  const rank = dims.length;
  if (spatial !== undefined) return Array.from({ length: spatial.count }, (_, i) => spatial.first + i).filter((a) => a < rank);
  if (rank < 3) return rank === 0 ? [] : [rank - 1];
  return Array.from({ length: rank - 2 }, (_, i) => i + 2);
}

const FLAG = /mask|^is_|_flag$|valid/i;
const COUNT = /len|size|count|num|step|position|offset/i;
const WORDS = ["a", "b", "word", "Zeile", "", "0", "norm", "fold"];

function tensorFor(type: TypeInfo, places: Places, random: Random, kind: Kind): Tensor {
  const code = type.elemType ?? 0;
  const dtype = dtypeOf(code);
  const { dims, name } = places;
  if (dtype === undefined) {
    throw new BnfoldError("model", `input "${name}" has the element type ${code}, which ONNX 1.23 does not know`, {
      tensor: name,
    });
  }
  const n = sizeOf(dims);
  const { holder } = dtypeInfo(dtype);
  if (holder === "string")
    return tensor(
      dtype,
      dims,
      Array.from({ length: n }, () => WORDS[random.below(WORDS.length)]),
    );
  const data = allocate(dtype, n);
  if (holder === "bool" || FLAG.test(name)) {
    const one = data instanceof BigInt64Array || data instanceof BigUint64Array ? 1n : 1;
    const flags = flagValues(dims, random, kind, FLAG.test(name));
    for (let i = 0; i < n; i++) if (flags[i]) data[i] = one;
    return tensor(dtype, dims, data);
  }
  if (holder === "float" || holder === "complex") {
    const values = floatValues(holder === "complex" ? [...dims, 2] : dims, places.axes, random, kind);
    return tensor(dtype, dims, holder === "complex" ? values : roundArray(dtype, values));
  }
  const [low, high] = integerRange(dtype, places, kind);
  for (let i = 0; i < n; i++) {
    const value = low + random.below(high - low + 1);
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(value);
    else data[i] = value;
  }
  return tensor(dtype, dims, data);
}

/**
 * Along the last axis: ones up to a random length of at least 1, as padding masks are; all ones in every other kind. What is no row is
 * no mask: a single flag is set in every other kind, so that both branches of an If are run, and flags along other axes are drawn; so are
 * those of inputs that are not called masks, where a kind has all ones else: an operator may choose by any of them.
 */
function flagValues(dims: readonly number[], random: Random, kind: Kind, isMask: boolean): Uint8Array {
  const n = sizeOf(dims);
  const last = dims.length === 0 ? 1 : dims[dims.length - 1];
  const out = new Uint8Array(n);
  if (n === 1) return out.fill(KINDS.indexOf(kind) % 2 === 0 ? 1 : 0);
  const drawn = kind === "normal" || kind === "border" || kind === "sparse";
  if (last === 1 || (!isMask && !drawn && kind !== "zero")) return out.map(() => random.below(2));
  for (let row = 0; row < n; row += last) {
    const length = drawn ? 1 + random.below(last) : last;
    out.fill(1, row, row + length);
  }
  return out;
}

/** Inclusive. Small numbers unless the type itself is small (pixels, quantised values) or a table tells how many there are. */
function integerRange(dtype: DType, { rows, name, dims }: Places, kind: Kind): readonly [number, number] {
  if (rows !== undefined) return [0, rows - 1];
  if (COUNT.test(name)) return [1, kind === "large" ? 4 : 2];
  const { bits } = dtypeInfo(dtype);
  const signed = dtype.startsWith("int");
  if (bits <= 8 && dims.length > 0) {
    const [low, high] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
    if (kind === "negative" && signed) return [low, -1];
    if (kind === "small") return [signed ? -1 : 0, 1];
    return kind === "zero" ? [0, 0] : [low, high];
  }
  return kind === "zero" || dims.length === 0 ? [1, 1] : [0, kind === "large" ? 7 : 1];
}

function floatValues(dims: readonly number[], axes: readonly number[], random: Random, kind: Kind): Float64Array {
  const out = new Float64Array(sizeOf(dims));
  const n = out.length;
  const fill = (value: () => number) => {
    for (let i = 0; i < n; i++) out[i] = value();
  };
  switch (kind) {
    case "normal":
      fill(() => random.normal());
      break;
    case "large": {
      const scale = 10 * (1 + 9 * random.uniform());
      fill(() => scale * random.normal());
      break;
    }
    case "small":
      fill(() => 1e-3 * random.normal());
      break;
    case "negative":
      fill(() => -Math.abs(random.normal()) - 0.01);
      break;
    case "image":
      gradients(out, dims, random);
      break;
    case "sparse":
      fill(() => (random.uniform() < 0.1 ? random.normal() : 0));
      break;
    case "border":
    case "inside": {
      const border = borderOf(dims, axes);
      for (let i = 0; i < n; i++) {
        const value = 2 * random.normal();
        if ((border[i] === 1) === (kind === "border")) out[i] = value;
      }
      break;
    }
    case "zero":
      break;
  }
  return out;
}

/** 1 where an index is the first or last of a spatial axis. */
function borderOf(dims: readonly number[], axes: readonly number[]): Uint8Array {
  const out = new Uint8Array(sizeOf(dims));
  for (const axis of axes) {
    const inner = sizeOf(dims.slice(axis + 1));
    const block = inner * dims[axis];
    for (let start = 0; start < out.length; start += block) {
      out.fill(1, start, start + inner);
      out.fill(1, start + block - inner, start + block);
    }
  }
  return out;
}

/** Values in [0, 1): a slope along each of the last two axes and a little noise, as photographs have. */
function gradients(out: Float64Array, dims: readonly number[], random: Random): void {
  const width = dims[dims.length - 1] ?? 1;
  const height = dims[dims.length - 2] ?? 1;
  const plane = width * height;
  for (let start = 0; start < out.length; start += plane) {
    const [base, right, down] = [random.uniform(), random.uniform() - 0.5, random.uniform() - 0.5];
    for (let i = 0; i < plane; i++) {
      const x = (i % width) / width;
      const y = Math.floor(i / width) / height;
      const value = base + right * x + down * y + 0.05 * (random.uniform() - 0.5);
      out[start + i] = Math.min(Math.max(value, 0), 0.999);
    }
  }
}
