/** The package onnxruntime-node, where it is installed: beside this program, or in the folder it is called from. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Options } from "yargs";
import { BnfoldError } from "../diag/error.ts";
import { type DType, isFloat } from "../onnx/dtype.ts";
import { encodeRaw } from "../onnx/encode.ts";
import { decodeTable } from "../onnx/float.ts";
import { asFloat64, type Tensor } from "../onnx/tensor.ts";

export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

export interface OrtSession {
  readonly inputNames: readonly string[];
  run(feeds: Record<string, OrtTensor>, fetches: readonly string[]): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

export interface Ort {
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  readonly env: { readonly versions?: { readonly node?: string; readonly common?: string } };
}

export const runtimeOption: Options = {
  choices: ["onnxruntime"],
  requiresArg: true,
  describe: "Also run both models in this runtime, for information (onnxruntime-node when installed)",
};

const PACKAGE = "onnxruntime-node";

/** @throws BnfoldError of kind "usage", with `without` as the way out, when the package is missing or does not load. */
export async function loadOrt(without: string): Promise<Ort> {
  for (const from of [import.meta.url, pathToFileURL(join(process.cwd(), "package.json")).href]) {
    let path: string;
    try {
      path = createRequire(from).resolve(PACKAGE);
    } catch {
      continue;
    }
    try {
      const module = (await import(pathToFileURL(path).href)) as { default?: Ort } & Ort;
      return module.default ?? module;
    } catch (error) {
      throw new BnfoldError("usage", `${PACKAGE} is installed but does not load: ${(error as Error).message}`, {}, without);
    }
  }
  throw new BnfoldError("usage", `${PACKAGE} is not installed`, {}, `npm install ${PACKAGE}, or ${without}`);
}

export const ortVersion = ({ env }: Ort): string => env.versions?.node ?? env.versions?.common ?? "";

/** Types whose arrays are the same on both sides. */
const ALIKE = new Set<DType>([
  ...(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"] as const),
  ...(["bool", "string", "float64"] as const),
]);

/** A tensor as ONNX Runtime takes it; undefined for a type that its JavaScript side has not. */
export function toOrt(ort: Ort, tensor: Tensor): OrtTensor | undefined {
  const { dtype, dims, data } = tensor;
  if (dtype === "float32") return new ort.Tensor(dtype, Float32Array.from(asFloat64(tensor)), dims);
  if (dtype === "float64") return new ort.Tensor(dtype, asFloat64(tensor), dims);
  if (dtype === "float16") return new ort.Tensor(dtype, new Uint16Array(encodeRaw(dtype, data).slice().buffer), dims);
  return ALIKE.has(dtype) ? new ort.Tensor(dtype, data, dims) : undefined;
}

/** The other way; undefined for a type that is not among ours. */
export function fromOrt({ type, dims, data }: OrtTensor): Tensor | undefined {
  const dtype = type as DType;
  if (type === "float16") return { dtype, dims, data: halves(data) };
  if (type === "float32") return { dtype, dims, data: Float64Array.from(data) };
  return ALIKE.has(dtype)
    ? { dtype, dims, data: (isFloat(dtype) ? Float64Array.from(data) : data) as Tensor["data"] }
    : undefined;
}

/** Bits where the platform has no float16 array, numbers where it has. */
function halves(data: ArrayLike<number>): Float64Array {
  if (!(data instanceof Uint16Array)) return Float64Array.from(data);
  const table = decodeTable("float16");
  return Float64Array.from(data, (bits) => table[bits]);
}
