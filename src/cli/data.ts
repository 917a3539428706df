/**
 * --data: any amount of samples, as one long row of blocks. What may be named, again and again:
 *   file.npy, file.npz, file.pb       samples along axis 0 (several inputs: an archive with an array for each)
 *   name=file                         the same for one input; all that are named so belong together
 *   folder                            ONNX test data (test_data_set_0 …), a file for each input, or files of samples in order
 *   file.txt                          one of the above per line
 * Samples are numbered over all of it, and block k holds the samples k·size …, wherever files begin and end.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, extname, isAbsolute, join } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { fitTo, loadInputs } from "../node/arrays.ts";
import type { Model, ValueInfoRecord } from "../onnx/records.ts";
import { sizeOf, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { parseNpy } from "../run/npy.ts";
import type { BlockSource, Feeds } from "../train/index.ts";
import { requiredInputs } from "../verify/shapes.ts";
import { usage } from "./command.ts";
import { npyHead, npyRows } from "./npy-rows.ts";

export interface DataOptions {
  /** Inputs that are the same for every sample. */
  readonly fixed: Feeds;
  /** Samples per block; default 8, or the batch size a model fixes. */
  readonly block?: number;
  /** Every file is one sample, fed as it is. */
  readonly whole: boolean;
}

export interface Data extends BlockSource {
  readonly samples: number;
  readonly block: number;
}

/** Some samples in one file or set of files. */
interface Chunk {
  readonly name: string;
  readonly samples: number;
  /** Samples from `start` to before `end`. */
  rows(start: number, end: number): Map<string, Tensor>;
}

const ARRAYS = [".npy", ".npz", ".pb"];
const DEFAULT_BLOCK = 8;

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

export function openData(model: Model, specs: readonly string[], options: DataOptions): Data {
  const inputs = requiredInputs(model).filter(({ name }) => !options.fixed.has(name));
  const taken = { ...model, graph: { ...model.graph, inputs } };
  const open = options.whole ? taken : openFirstAxis(taken);
  const chunks = specsOf(specs).flatMap((spec) => chunksOf(open, spec, options.whole));
  const samples = options.whole ? chunks.length : chunks.reduce((n, chunk) => n + chunk.samples, 0);
  if (samples === 0) throw usage("--data names no samples");
  if (options.whole) {
    return {
      ...{ samples, block: 1, blocks: samples },
      load: (k) => new Map<string, Value>([...options.fixed, ...chunks[k].rows(0, chunks[k].samples)]),
    };
  }
  const block = blockSize(inputs, options.block, samples);
  const blocks = Math.ceil(samples / block);
  const starts: number[] = [];
  let next = 0;
  for (const chunk of chunks) {
    starts.push(next);
    next += chunk.samples;
  }
  const load = (k: number): Feeds => {
    const [from, to] = [k * block, Math.min(samples, (k + 1) * block)];
    const pieces: Map<string, Tensor>[] = [];
    chunks.forEach((chunk, i) => {
      const [start, end] = [Math.max(from, starts[i]) - starts[i], Math.min(to, starts[i] + chunk.samples) - starts[i]];
      if (start < end) pieces.push(chunk.rows(start, end));
    });
    const feeds = new Map<string, Value>(options.fixed);
    for (const { name } of inputs)
      feeds.set(
        name,
        concatenate(
          name,
          pieces.map((piece) => piece.get(name) as Tensor),
        ),
      );
    return feeds;
  };
  return { samples, block, blocks, load };
}

/** Samples of a block of a model, whatever data comes. */
export function blockOf(model: Model, asked: number | undefined, whole: boolean): number {
  return whole ? 1 : blockSize(requiredInputs(model), asked, 0);
}

/** Samples a model takes at a time: any number, or the size its inputs fix. */
function blockSize(inputs: readonly ValueInfoRecord[], asked: number | undefined, samples: number): number {
  const fixed = new Set(
    inputs.flatMap(({ type }) => (typeof type.shape?.[0] === "number" && type.shape[0] > 0 ? [type.shape[0]] : [])),
  );
  if (fixed.size === 0) return asked ?? DEFAULT_BLOCK;
  if (fixed.size > 1)
    throw usage(
      `the inputs have first axes of ${[...fixed].join(" and ")}: they cannot be cut into samples`,
      "Pass --whole: each file is one sample then.",
    );
  const [size] = fixed;
  if (asked !== undefined && asked !== size)
    throw usage(`--block is ${asked}, but the model takes exactly ${size} samples at a time`);
  if (samples % size !== 0)
    throw usage(`the model takes exactly ${size} samples at a time, and ${samples} is no multiple of that`);
  return size;
}

const openFirstAxis = (model: Model): Model => {
  const inputs = model.graph.inputs.map((input) => {
    const { shape } = input.type;
    return shape === undefined || shape.length === 0
      ? input
      : { ...input, type: { ...input.type, shape: [undefined, ...shape.slice(1)] } };
  });
  return { ...model, graph: { ...model.graph, inputs } };
};

/** Lists opened, inputs that are given one by one brought together. */
function specsOf(specs: readonly string[]): string[][] {
  const named = specs.filter((spec) => spec.includes("=") && statSync(spec, { throwIfNoEntry: false }) === undefined);
  const rest = specs
    .filter((spec) => !named.includes(spec))
    .flatMap((spec) => (extname(spec) === ".txt" ? listed(spec) : [spec]));
  return [...(named.length === 0 ? [] : [named]), ...rest.map((spec) => [spec])];
}

function listed(file: string): string[] {
  const lines = readFileSync(file, "utf8")
    .split(/\r?\n/)
    .map((line) => line.trim());
  return lines
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => (isAbsolute(line) ? line : join(dirname(file), line)));
}

/** `open`: the model with the inputs that data is for, and no others. */
function chunksOf(open: Model, spec: readonly string[], whole: boolean): Chunk[] {
  const [path] = spec;
  const { inputs } = open.graph;
  if (spec.length === 1 && isFolder(path)) {
    const files = readdirSync(path).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const arrays = files.filter((file) => ARRAYS.includes(extname(file).toLowerCase()));
    const byName = inputs.every(({ name }) => arrays.some((file) => file.slice(0, -extname(file).length) === name));
    const isSet = byName || files.some((file) => /^(test_data_set_\d+|input_\d+\.pb)$/.test(file));
    if (!isSet) return arrays.flatMap((file) => chunksOf(open, [join(path, file)], whole));
    return loadInputs(open, [path]).given.map(({ name, feeds }) => loaded(inputs, join(path, name), () => feeds, whole));
  }
  if (spec.length === 1 && extname(path).toLowerCase() === ".npy" && inputs.length === 1 && !whole)
    return [npyChunk(inputs[0], path)];
  return [loaded(inputs, path, () => loadInputs(open, spec).fixed, whole)];
}

/** Read once to count, and again when it is needed: files are not all held at once. */
function loaded(inputs: readonly ValueInfoRecord[], name: string, read: () => Feeds, whole: boolean): Chunk {
  let last: WeakRef<Map<string, Tensor>> | undefined;
  const tensors = (): Map<string, Tensor> => {
    const known = last?.deref();
    if (known !== undefined) return known;
    const feeds = read();
    const out = new Map<string, Tensor>();
    for (const input of inputs) {
      const value = feeds.get(input.name);
      if (value === undefined)
        throw new BnfoldError("usage", `there is no value for input "${input.name}"`, { file: name, tensor: input.name });
      if (!isTensor(value))
        throw new BnfoldError("usage", `input "${input.name}" is not a tensor: it cannot be cut into samples`, { file: name });
      out.set(input.name, value);
    }
    last = new WeakRef(out);
    return out;
  };
  const sizes = new Set([...tensors().values()].map(({ dims }) => dims[0] ?? -1));
  const [samples] = sizes;
  if (!whole && (sizes.size !== 1 || samples < 0)) {
    const shapes = [...tensors()].map(([input, { dims }]) => `${input} [${dims.join(", ")}]`).join(", ");
    throw new BnfoldError(
      "usage",
      `the arrays cannot be cut into samples along axis 0: ${shapes}`,
      { file: name },
      "Pass --whole: each file is one sample then.",
    );
  }
  return {
    name,
    samples: whole ? 1 : samples,
    rows: (start, end) =>
      whole ? tensors() : new Map([...tensors()].map(([input, tensor]) => [input, rowsOf(tensor, start, end)])),
  };
}

/** A .npy file for the only input: its rows are read where they are. */
function npyChunk(input: ValueInfoRecord, path: string): Chunk {
  const head = npyHead(path);
  if (head === undefined) {
    const whole = fitTo(input, parseNpy(new Uint8Array(readFileSync(path)), path), path, []);
    if (!isTensor(whole) || whole.dims.length === 0) throw usage(`${path} has no axis of samples`);
    return { name: path, samples: whole.dims[0], rows: (start, end) => new Map([[input.name, rowsOf(whole, start, end)]]) };
  }
  // The shape and type are checked now, before hours of work.
  fitTo(input, parseNpy(npyRows(path, head, 0, Math.min(1, head.shape[0])), path), path, []);
  return {
    name: path,
    samples: head.shape[0],
    rows: (start, end) =>
      new Map([[input.name, fitTo(input, parseNpy(npyRows(path, head, start, end), path), path, []) as Tensor]]),
  };
}

function rowsOf({ dtype, dims, data }: Tensor, start: number, end: number): Tensor {
  const inner = sizeOf(dims.slice(1));
  return { dtype, dims: [end - start, ...dims.slice(1)], data: (data as Float64Array).slice(start * inner, end * inner) };
}

function concatenate(name: string, parts: readonly Tensor[]): Tensor {
  const [first] = parts;
  if (parts.length === 1) return first;
  const inner = first.dims.slice(1);
  for (const { dims } of parts) {
    if (dims.length - 1 !== inner.length || inner.some((d, i) => d !== dims[i + 1])) {
      throw usage(
        `samples of input "${name}" have the shapes [${inner.join(", ")}] and [${dims.slice(1).join(", ")}]; they cannot share a block`,
        "Pass --whole: each file is one sample then.",
      );
    }
  }
  const total = parts.reduce((n, part) => n + part.data.length, 0);
  if (first.dtype === "string")
    return {
      dtype: "string",
      dims: [parts.reduce((n, p) => n + p.dims[0], 0), ...inner],
      data: parts.flatMap((p) => [...(p.data as readonly string[])]),
    };
  const data = new (first.data.constructor as new (n: number) => Float64Array)(total);
  let at = 0;
  for (const part of parts) {
    data.set(part.data as Float64Array, at);
    at += part.data.length;
  }
  return { dtype: first.dtype, dims: [parts.reduce((n, part) => n + part.dims[0], 0), ...inner], data };
}
