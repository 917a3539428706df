/**
 * Inputs from files. What a user may name:
 *   name=file.npy | name=file.pb | name=file.npz   one input (an archive: its array of that name, or its only one)
 *   file.npz                                        the inputs its arrays are named after
 *   file.npy | file.pb                              the only input of a model that has one
 *   folder                                          input_0.pb … by position (ONNX test data), or one file per input name;
 *                                                   or folders test_data_set_0 … of them
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { roundArray } from "../onnx/codec.ts";
import { type DType, dtypeInfo, dtypeOf, isFloat } from "../onnx/dtype.ts";
import type { Model, ValueInfoRecord } from "../onnx/records.ts";
import { allocate, asFloat64, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { formatNpy, formatNpz, parseNpy, parseNpz } from "../run/npy.ts";
import { parseValueProto } from "../run/proto-values.ts";
import { requiredInputs } from "../verify/shapes.ts";
import { fileError } from "./files.ts";

/** Inputs for one run, by name. */
export interface DataSet {
  readonly name: string;
  readonly feeds: ReadonlyMap<string, Value>;
}

/** What `loadInputs` took from files. */
export interface GivenInputs {
  /** Inputs given one by one: the same in every sample. */
  readonly fixed: ReadonlyMap<string, Value>;
  /** Complete sets of inputs, from folders. */
  readonly given: readonly DataSet[];
  /** Conversions that were made. */
  readonly notes: readonly string[];
}

function usage(message: string, file: string, hint?: string): BnfoldError {
  return new BnfoldError("usage", message, { file }, hint);
}

function bytesOf(file: string): Uint8Array {
  try {
    const bytes = readFileSync(file);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new BnfoldError("file", `the file cannot be read: ${code === "ENOENT" ? "it does not exist" : message}`, { file });
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Reads what `specs` name, and fits each array to the model input it is for. */
export function loadInputs(model: Model, specs: readonly string[]): GivenInputs {
  const fixed = new Map<string, Value>();
  const given: DataSet[] = [];
  const notes: string[] = [];
  for (const spec of specs) {
    const [name, path] = split(model, spec);
    if (name === undefined && isFolder(path)) given.push(...dataSets(model, path, notes));
    else for (const [input, value] of fromFile(model, name, path, notes)) fixed.set(input, value);
  }
  return { fixed, given, notes };
}

/** `name=path`; a text without a known name before "=" is a path when such a file exists. */
function split(model: Model, spec: string): [name: string | undefined, path: string] {
  const at = spec.indexOf("=");
  if (at < 0) return [undefined, spec];
  const name = spec.slice(0, at);
  if (!model.graph.inputs.some((input) => input.name === name) && statSync(spec, { throwIfNoEntry: false }))
    return [undefined, spec];
  return [name, spec.slice(at + 1)];
}

function inputNamed(model: Model, name: string, file: string): ValueInfoRecord {
  const input = model.graph.inputs.find((candidate) => candidate.name === name);
  if (input !== undefined) return input;
  const known = requiredInputs(model).map((candidate) => candidate.name);
  throw usage(`"${name}" is no input of the model`, file, `Inputs: ${known.join(", ") || "none"}.`);
}

function onlyInput(model: Model, file: string): ValueInfoRecord {
  const inputs = requiredInputs(model);
  if (inputs.length === 1) return inputs[0];
  const names = inputs.map((input) => input.name).join(", ");
  throw usage(
    `the file is for one input, but the model has ${inputs.length}`,
    file,
    `Say which: name=${file}. Inputs: ${names || "none"}.`,
  );
}

function fromFile(model: Model, name: string | undefined, path: string, notes: string[]): [string, Value][] {
  const suffix = extname(path).toLowerCase();
  if (suffix === ".npz") {
    const arrays = parseNpz(bytesOf(path), path);
    if (name === undefined)
      return [...arrays].map(([key, tensor]) => [key, fitTo(inputNamed(model, key, path), tensor, path, notes)]);
    const tensor = arrays.get(name) ?? (arrays.size === 1 ? [...arrays.values()][0] : undefined);
    if (tensor === undefined)
      throw usage(`the archive has no array "${name}"`, path, `Arrays: ${[...arrays.keys()].join(", ")}.`);
    return [[name, fitTo(inputNamed(model, name, path), tensor, path, notes)]];
  }
  const input = name === undefined ? onlyInput(model, path) : inputNamed(model, name, path);
  if (suffix === ".npy") return [[input.name, fitTo(input, parseNpy(bytesOf(path), path), path, notes)]];
  if (suffix === ".pb") return [[input.name, fitTo(input, parseValueProto(bytesOf(path), input.type, path), path, notes)]];
  throw usage(`the suffix "${suffix}" is not known`, path, "Arrays come as .npy, .npz or .pb (TensorProto).");
}

/** The data sets in a folder, in numeric order. */
function dataSets(model: Model, folder: string, notes: string[]): DataSet[] {
  const entries = readdirSync(folder).sort((x, y) => x.localeCompare(y, "en", { numeric: true }));
  const inner = entries.filter((entry) => /^test_data_set_\d+$/.test(entry) && isFolder(join(folder, entry)));
  if (inner.length > 0) return inner.flatMap((entry) => dataSets(model, join(folder, entry), notes));
  const required = requiredInputs(model);
  const numbered = entries.filter((entry) => /^input_\d+\.pb$/.test(entry));
  const feeds = new Map<string, Value>();
  if (numbered.length > 0) {
    // Files count the required inputs; where there are more, every declared one.
    const inputs = numbered.length > required.length ? model.graph.inputs : required;
    for (const entry of numbered) {
      const path = join(folder, entry);
      const position = Number(/\d+/.exec(entry)?.[0]);
      const input = inputs[position];
      if (input === undefined) throw usage(`the model has ${inputs.length} inputs: there is none at position ${position}`, path);
      feeds.set(input.name, fitTo(input, parseValueProto(bytesOf(path), input.type, path), path, notes));
    }
  } else {
    for (const entry of entries) {
      const suffix = extname(entry).toLowerCase();
      const name = basename(entry, extname(entry));
      if ((suffix === ".npy" || suffix === ".pb") && model.graph.inputs.some((input) => input.name === name)) {
        for (const [key, value] of fromFile(model, name, join(folder, entry), notes)) feeds.set(key, value);
      }
    }
  }
  const missing = required.filter((input) => !feeds.has(input.name) && input.type.kind !== "optional").map((input) => input.name);
  if (missing.length > 0) {
    throw usage(
      `the folder gives no value for ${missing.map((n) => `"${n}"`).join(", ")}`,
      folder,
      "It needs input_0.pb …, or a file named after each input.",
    );
  }
  return [{ name: basename(folder), feeds }];
}

/** The value as the model's input takes it: equal type, or a float or integer type that is converted with a note. */
export function fitTo(input: ValueInfoRecord, value: Value, file: string, notes: string[]): Value {
  if (!isTensor(value) || input.type.kind !== "tensor") return value;
  const want = dtypeOf(input.type.elemType ?? 0);
  const { shape } = input.type;
  const wrong =
    shape !== undefined &&
    (shape.length !== value.dims.length || shape.some((d, i) => typeof d === "number" && d > 0 && d !== value.dims[i]));
  if (wrong) {
    const text = (shape ?? []).map((d) => d ?? "?").join(", ");
    throw new BnfoldError("usage", `the array has shape [${value.dims.join(", ")}], the input takes [${text}]`, {
      file,
      tensor: input.name,
    });
  }
  if (want === undefined || want === value.dtype) return value;
  const converted = convert(value, want);
  if (converted === undefined) {
    throw new BnfoldError(
      "usage",
      `the array holds ${value.dtype}, the input takes ${want}`,
      { file, tensor: input.name },
      `Convert it: array.astype(numpy.${want}).`,
    );
  }
  notes.push(`input "${input.name}": ${file} holds ${value.dtype}, converted to ${want}`);
  return converted;
}

/** Between float types with one rounding; between integer types where every value fits. Undefined when it cannot be done. */
function convert(tensor: Tensor, to: DType): Tensor | undefined {
  if (isFloat(tensor.dtype) && isFloat(to))
    return { dtype: to, dims: tensor.dims, data: roundArray(to, asFloat64(tensor).slice()) };
  const integer = (dtype: DType) => ["int", "big"].includes(dtypeInfo(dtype).holder);
  if (!integer(tensor.dtype) || !integer(to)) return undefined;
  const data = allocate(to, tensor.data.length);
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (let i = 0; i < data.length; i++) {
    const value = BigInt(tensor.data[i] as number | bigint);
    data[i] = big ? value : Number(value);
    if (BigInt(data[i]) !== value) return undefined;
  }
  return { dtype: to, dims: tensor.dims, data };
}

function writeBytes(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Writes a tensor as .npy. */
export function saveNpy(path: string, tensor: Tensor): void {
  writeBytes(path, formatNpy(tensor));
}

/** Writes named tensors as one .npz. */
export function saveNpz(path: string, arrays: ReadonlyMap<string, Tensor>): void {
  writeBytes(path, formatNpz(arrays));
}
