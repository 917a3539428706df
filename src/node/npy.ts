/**
 * NumPy's .npy and .npz as tensors. npyjs parses; what it leaves open is done here: Fortran order becomes row-major, float16
 * keeps its bits, sizes are checked, and what numpy can write but a tensor cannot hold is said plainly.
 */
import { unzipSync, zipSync } from "fflate";
import { dump, type DType as NpyType, parse } from "npyjs";
import { BnfoldError } from "../diag/error.ts";
import { encodeRaw } from "../onnx/codec.ts";
import { type DType, dtypeInfo } from "../onnx/dtype.ts";
import { decodeTable } from "../onnx/float.ts";
import { sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";

const TYPES: Record<string, DType> = {
  f2: "float16",
  f4: "float32",
  f8: "float64",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  b1: "bool",
  c8: "complex64",
  c16: "complex128",
};

function bad(file: string, message: string, hint?: string): BnfoldError {
  return new BnfoldError("format", message, { file }, hint);
}

/** The header's descr, read before npyjs so that its refusals can be explained. */
function descrOf(bytes: Uint8Array, file: string): string {
  const magic = String.fromCharCode(...bytes.subarray(0, 6));
  if (magic !== "\x93NUMPY")
    throw bad(file, "the file is not a .npy file: it does not begin with \\x93NUMPY", "Save the array with numpy.save.");
  const header = new TextDecoder("latin1").decode(bytes.subarray(8, 8 + 4096));
  const descr = /'descr'\s*:\s*'([^']+)'/.exec(header)?.[1];
  if (descr === undefined) throw bad(file, "the .npy header has no simple element type; arrays of records are not supported");
  return descr;
}

/** One array. */
export function parseNpy(bytes: Uint8Array, file: string): Tensor {
  const descr = descrOf(bytes, file);
  if (descr.startsWith(">")) {
    throw bad(
      file,
      `the array is big-endian (${descr})`,
      'Save it as little-endian: array.astype(array.dtype.newbyteorder("<")).',
    );
  }
  const code = descr.slice(1);
  const dtype: DType | undefined = code.startsWith("U") ? "string" : TYPES[code];
  if (dtype === undefined)
    throw bad(file, `the element type ${descr} is not one a tensor can hold`, "Convert it: array.astype(numpy.float32).");
  let parsed: ReturnType<typeof parse>;
  try {
    // npyjs reads to the end of the buffer: it gets one of its own (slice() of a Node Buffer would share it).
    parsed = parse(new Uint8Array(bytes).buffer, { convertFloat16: false });
  } catch (error) {
    throw bad(file, `the .npy file cannot be read: ${(error as Error).message}`, "It may be cut off; save it again.");
  }
  const dims = parsed.shape;
  const raw = parsed.data as unknown as ArrayLike<number | bigint | boolean | string>;
  const lanes = dtypeInfo(dtype).holder === "complex" ? 2 : 1;
  if (raw.length !== sizeOf(dims) * lanes) {
    throw bad(
      file,
      `the array has ${raw.length / lanes} elements, expected ${sizeOf(dims)} for shape [${dims.join(", ")}]`,
      "It may be cut off; save it again.",
    );
  }
  const data = holderOf(dtype, raw);
  return { dtype, dims, data: parsed.fortranOrder && dims.length > 1 ? rowMajor(data, dims, lanes) : data };
}

function holderOf(dtype: DType, raw: ArrayLike<number | bigint | boolean | string>): Tensor["data"] {
  if (dtype === "string") return Array.from(raw as ArrayLike<string>, (text) => String(text));
  if (dtype === "float16") {
    const table = decodeTable("float16");
    return Float64Array.from(raw as ArrayLike<number>, (bits) => table[bits]);
  }
  if (dtype === "bool") return Uint8Array.from(raw as ArrayLike<boolean>, Number);
  if (dtypeInfo(dtype).holder === "float" || dtypeInfo(dtype).holder === "complex")
    return Float64Array.from(raw as ArrayLike<number>);
  return raw as unknown as Tensor["data"];
}

/** Elements stored with the first axis fastest, reordered so that the last is. */
function rowMajor(data: Tensor["data"], dims: readonly number[], lanes: number): Tensor["data"] {
  const strides = stridesOf(dims);
  const out = (Array.isArray(data) ? new Array<string>(data.length) : (data as Float64Array).slice()) as Float64Array;
  const from = data as Float64Array;
  const index = new Array<number>(dims.length).fill(0);
  let to = 0;
  for (let i = 0; i < from.length; i += lanes) {
    for (let k = 0; k < lanes; k++) out[to * lanes + k] = from[i + k];
    for (let axis = 0; axis < dims.length; axis++) {
      to += strides[axis];
      if (++index[axis] < dims[axis]) break;
      to -= strides[axis] * dims[axis];
      index[axis] = 0;
    }
  }
  return out;
}

/** The arrays of an archive, by name without the suffix. */
export function parseNpz(bytes: Uint8Array, file: string): Map<string, Tensor> {
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes);
  } catch (error) {
    throw bad(
      file,
      `the .npz archive cannot be read: ${(error as Error).message}`,
      "Save it with numpy.savez or numpy.savez_compressed.",
    );
  }
  const arrays = Object.entries(entries).filter(([name]) => name.endsWith(".npy"));
  if (arrays.length === 0) throw bad(file, "the archive holds no .npy file", "Save it with numpy.savez.");
  return new Map(arrays.map(([name, content]) => [name.slice(0, -4), parseNpy(content, `${file}:${name}`)]));
}

/** Bytes of a .npy file. Types numpy does not have are widened: bfloat16 and narrower floats to float32, 4-bit integers to 8. */
export function formatNpy(tensor: Tensor): Uint8Array {
  const { dims } = tensor;
  const shape = [...dims];
  if (tensor.dtype === "string") {
    const texts = tensor.data as readonly string[];
    const longest = texts.reduce((n, text) => Math.max(n, text.length), 1);
    return new Uint8Array(dump([...texts], shape, { dtype: `U${longest}` }));
  }
  const { bits, holder } = dtypeInfo(tensor.dtype);
  let { dtype } = tensor;
  if (holder === "float" && !["float16", "float32", "float64"].includes(dtype)) dtype = "float32";
  else if (bits < 8) dtype = dtype.startsWith("u") ? "uint8" : "int8";
  const code = Object.entries(TYPES).find(([, name]) => name === dtype)?.[0] as NpyType;
  return new Uint8Array(dump(encodeRaw(dtype, tensor.data) as never, shape, { dtype: code }));
}

/** Bytes of a .npz archive, as numpy.savez writes it: stored, not compressed. */
export function formatNpz(arrays: ReadonlyMap<string, Tensor>): Uint8Array {
  return zipSync(Object.fromEntries([...arrays].map(([name, tensor]) => [`${name}.npy`, formatNpy(tensor)])), { level: 0 });
}
