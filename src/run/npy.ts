/**
 * NumPy's .npy and .npz as tensors. Fortran order becomes row-major, sizes are checked, and what NumPy can write but a tensor
 * cannot hold is said plainly. The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { unzipSync, zipSync } from "fflate";
import { BnfoldError } from "../diag/error.ts";
import { decodeRaw, encodeRaw } from "../onnx/codec.ts";
import { type DType, dtypeInfo } from "../onnx/dtype.ts";
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

interface Header {
  readonly descr: string;
  readonly fortran: boolean;
  readonly shape: readonly number[];
  /** The elements, as they are stored. */
  readonly content: Uint8Array;
}

/** Layout: "\x93NUMPY", major, minor, length of the header (2 bytes in version 1, 4 later), the header as a Python dictionary. */
function headerOf(bytes: Uint8Array, file: string): Header {
  const magic = String.fromCharCode(...bytes.subarray(0, 6));
  if (magic !== "\x93NUMPY")
    throw bad(file, "the file is not a .npy file: it does not begin with \\x93NUMPY", "Save the array with numpy.save.");
  const cut = bad(file, "the .npy file ends inside its header", "It may be cut off; save it again.");
  const start = bytes[6] === 1 ? 10 : 12;
  if (bytes.length < start) throw cut;
  const view = new DataView(bytes.buffer, bytes.byteOffset, start);
  const end = start + (start === 10 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (bytes.length < end) throw cut;
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, end));
  const descr = /'descr'\s*:\s*'([^']+)'/.exec(header)?.[1];
  if (descr === undefined) throw bad(file, "the .npy header has no simple element type; arrays of records are not supported");
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const shape = /'shape'\s*:\s*\(([\dL,\s]*)\)/.exec(header)?.[1];
  if (fortran === undefined || shape === undefined) throw bad(file, `the .npy header is not one NumPy writes: ${header.trim()}`);
  const dims = shape.split(",").flatMap((dim) => (dim.trim() === "" ? [] : [Number.parseInt(dim, 10)]));
  return { descr, fortran: fortran === "True", shape: dims, content: bytes.subarray(end) };
}

/** One array. */
export function parseNpy(bytes: Uint8Array, file: string): Tensor {
  const { descr, fortran, shape: dims, content } = headerOf(bytes, file);
  if (descr.startsWith(">")) {
    throw bad(
      file,
      `the array is big-endian (${descr})`,
      'Save it as little-endian: array.astype(array.dtype.newbyteorder("<")).',
    );
  }
  const code = descr.slice(1);
  // Text is stored in the four bytes of each code point, padded with zeros.
  const letters = /^U(\d+)$/.exec(code)?.[1];
  const dtype: DType | undefined = letters === undefined ? TYPES[code] : "string";
  if (dtype === undefined)
    throw bad(file, `the element type ${descr} is not one a tensor can hold`, "Convert it: array.astype(numpy.float32).");
  const n = sizeOf(dims);
  const width = letters === undefined ? dtypeInfo(dtype).bits / 8 : 4 * Number(letters);
  // Text of no letters takes no room: as many as the shape says.
  if (width > 0 && content.length !== n * width) {
    throw bad(
      file,
      `the array has ${Number((content.length / width).toFixed(2))} elements, expected ${n} for shape [${dims.join(", ")}]`,
      "It may be cut off; save it again.",
    );
  }
  const data = letters === undefined ? decodeRaw(dtype, n, content) : texts(content, n, width);
  const lanes = dtypeInfo(dtype).holder === "complex" ? 2 : 1;
  return { dtype, dims, data: fortran && dims.length > 1 ? rowMajor(data, dims, lanes) : data };
}

function texts(content: Uint8Array, n: number, width: number): string[] {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  return Array.from({ length: n }, (_, i) => {
    let text = "";
    for (let at = i * width; at < (i + 1) * width; at += 4) text += String.fromCodePoint(view.getUint32(at, true));
    return text.replace(/\0+$/, "");
  });
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

/** A .npy file of version 1: its elements begin at a multiple of 64 bytes. */
function npyFile(descr: string, dims: readonly number[], content: Uint8Array): Uint8Array {
  const shape = dims.length === 1 ? `(${dims[0]},)` : `(${dims.join(", ")})`;
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`;
  const end = Math.ceil((10 + text.length + 1) / 64) * 64;
  const out = new Uint8Array(end + content.length);
  const header = `\x93NUMPY\x01\0${String.fromCharCode((end - 10) & 255, (end - 10) >> 8)}${text.padEnd(end - 11)}\n`;
  for (let i = 0; i < end; i++) out[i] = header.charCodeAt(i);
  out.set(content, end);
  return out;
}

/** Bytes of a .npy file. Types numpy does not have are widened: bfloat16 and narrower floats to float32, 4-bit integers to 8. */
export function formatNpy(tensor: Tensor): Uint8Array {
  const { dims } = tensor;
  if (tensor.dtype === "string") {
    const points = (tensor.data as readonly string[]).map((text) =>
      Array.from(text, (letter) => letter.codePointAt(0) as number),
    );
    const longest = points.reduce((most, { length }) => Math.max(most, length), 1);
    const content = new DataView(new ArrayBuffer(4 * longest * points.length));
    for (const [i, text] of points.entries())
      for (const [k, point] of text.entries()) content.setUint32(4 * (i * longest + k), point, true);
    return npyFile(`<U${longest}`, dims, new Uint8Array(content.buffer));
  }
  const { bits, holder } = dtypeInfo(tensor.dtype);
  let { dtype } = tensor;
  if (holder === "float" && !["float16", "float32", "float64"].includes(dtype)) dtype = "float32";
  else if (bits < 8) dtype = dtype.startsWith("u") ? "uint8" : "int8";
  const code = Object.entries(TYPES).find(([, name]) => name === dtype)?.[0] as string;
  return npyFile(`${code.endsWith("1") ? "|" : "<"}${code}`, dims, encodeRaw(dtype, tensor.data));
}

/** Bytes of a .npz archive, as numpy.savez writes it: stored, not compressed. */
export function formatNpz(arrays: ReadonlyMap<string, Tensor>): Uint8Array {
  return zipSync(Object.fromEntries([...arrays].map(([name, tensor]) => [`${name}.npy`, formatNpy(tensor)])), { level: 0 });
}
