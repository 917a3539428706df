/**
 * What a file is when it is not an ONNX model. Each row needs a positive sign: bytes that no ModelProto begins with, or that
 * a ModelProto could only hold by an accident which the row excludes. A file that no row knows goes on to the reader.
 */
import { BnfoldError } from "../diag/error.ts";
import type { ByteSource } from "./source.ts";
import { Cursor } from "./wire.ts";

interface Foreign {
  readonly what: string;
  readonly hint: string;
}

const HEAD = 4096;
const EXPORT = "Export the model to ONNX with torch.onnx.export(model, example_input, path) and give that file.";
const TF2ONNX = "Convert it to ONNX with tf2onnx (python -m tf2onnx.convert) and give the result.";

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

const at = (offset: number, magic: string) => (head: Uint8Array) =>
  latin1(head.subarray(offset, offset + magic.length)) === magic;

/** FlatBuffers: the offset of the root table, below 64 KiB, then four letters. */
const flatbuffer = (magic: string) => (head: Uint8Array) => head[2] === 0 && head[3] === 0 && at(4, magic)(head);

/** Leading bytes. A ModelProto begins with the tag of one of its fields; none of these bytes is one in the right wire type. */
const magics: readonly (readonly [(head: Uint8Array) => boolean, string, string])[] = [
  [
    at(0, "\x89HDF\r\n\x1a\n"),
    "an HDF5 file (Keras .h5 weights or model)",
    'Load it in Keras and call model.export(path, format="onnx").',
  ],
  [
    flatbuffer("TFL3"),
    "a TensorFlow Lite model",
    "Convert the original TensorFlow model with tf2onnx, or this file with tf2onnx --tflite.",
  ],
  [at(0, "\x1f\x8b"), "a gzip archive", "Unpack it first (gunzip) and give the file inside."],
  [
    (head) => /^BZh[1-9]1AY&SY/.test(latin1(head.subarray(0, 10))),
    "a bzip2 archive",
    "Unpack it first and give the file inside.",
  ],
  [at(0, "\xfd7zXZ\0"), "an xz archive", "Unpack it first and give the file inside."],
  [at(0, "\x28\xb5\x2f\xfd"), "a Zstandard archive", "Unpack it first and give the file inside."],
  [
    (head) => at(257, "ustar")(head) && /^[0-7 ]{6,7}[\0 ]/.test(latin1(head.subarray(100, 108))),
    "a tar archive",
    "Unpack it first and give the .onnx file inside.",
  ],
  [at(0, "\x7fELF"), "a program or library (ELF)", "Give the .onnx file itself."],
  [at(0, "%PDF-"), "a PDF document", "Give the .onnx file itself."],
  [at(0, "\x89PNG\r\n"), "a PNG image", "Give the .onnx file itself."],
  [at(0, "\xff\xd8\xff"), "a JPEG image", "Give the .onnx file itself."],
  [at(0, "GGUF"), "a GGUF model (llama.cpp)", "GGUF holds weights without a graph; export the original model to ONNX."],
  [at(0, "\x93NUMPY"), "a NumPy array (.npy)", "Give the model; arrays are inputs for it."],
  [flatbuffer("ORTM"), "an ORT-format model", "Give the .onnx file it was made from: the ORT format cannot be turned back."],
  [
    (head) => head[0] === 0x80 && head[1] >= 2 && head[1] <= 5 && isPickle(head),
    "a Python pickle (an old PyTorch .pth checkpoint)",
    EXPORT,
  ],
];

/** Protocol byte, then an opcode that opens a pickle: a frame, a number, a container, a global, a memo. */
function isPickle(head: Uint8Array): boolean {
  return head.length > 2 && "\x95\x8a\x8c}](cXKJM)NC".includes(String.fromCharCode(head[2]));
}

function zip(source: ByteSource, head: Uint8Array): Foreign | undefined {
  if (!at(0, "PK\x03\x04")(head) && !at(0, "PK\x05\x06")(head)) return undefined;
  const names = latin1(head) + latin1(source.read(Math.max(0, source.size - HEAD), source.size));
  if (/constants\.pkl/.test(names)) {
    return { what: "a TorchScript archive (.pt)", hint: `Load it with torch.jit.load. ${EXPORT}` };
  }
  if (/data\.pkl|archive\/|\/data\/0/.test(names)) {
    return { what: "a PyTorch checkpoint (.pt, .pth)", hint: `It holds weights, perhaps without the network. ${EXPORT}` };
  }
  if (/model\.weights\.h5|config\.json/.test(names) && /metadata\.json/.test(names)) {
    return { what: "a Keras model (.keras)", hint: 'Load it in Keras and call model.export(path, format="onnx").' };
  }
  if (/\.npy/.test(names)) return { what: "a NumPy archive (.npz)", hint: "Give the model; arrays are inputs for it." };
  if (/\.onnx/.test(names))
    return { what: "a zip archive with an ONNX file in it", hint: "Unpack it first and give the .onnx file inside." };
  return { what: "a zip archive", hint: "Unpack it first and give the .onnx file inside." };
}

/** safetensors: a 64-bit length, then that many bytes of JSON. */
function safetensors(head: Uint8Array, size: number): Foreign | undefined {
  if (head.length < 10 || head[8] !== 0x7b || (head[9] !== 0x22 && head[9] !== 0x7d && head[9] !== 0x20)) return undefined;
  const length = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  if (length > size - 8) return undefined;
  return { what: "a safetensors file", hint: `It holds weights without a graph. ${EXPORT}` };
}

/** Text has no control characters but white space; a ModelProto has its tags. */
function text(head: Uint8Array): Foreign | undefined {
  for (const b of head) if ((b < 0x20 && b !== 9 && b !== 10 && b !== 13 && b !== 12) || b === 0x7f) return undefined;
  const start = latin1(head)
    .replace(/^\xef\xbb\xbf/, "")
    .trimStart();
  const give = "Give the binary .onnx file.";
  if (start.startsWith("version https://git-lfs")) {
    return { what: "a Git LFS pointer, not the file it stands for", hint: "Fetch the file itself with git lfs pull." };
  }
  if (/^<(!doctype html|html|head|body)/i.test(start)) {
    return { what: "a web page (HTML)", hint: "The download gave a page instead of the file; download the raw file." };
  }
  if (/^<(\?xml|net\s)/.test(start) && /<net\s/.test(start)) {
    return { what: "an OpenVINO model (XML)", hint: "Give the .onnx file it was converted from." };
  }
  if (/^<\?xml/.test(start)) return { what: "an XML file", hint: give };
  if (/^[[{]/.test(start) && /^[[{]\s*(["\d[{\]}-]|true|false|null)/.test(start)) {
    return { what: "a JSON text", hint: "If it is an ONNX model as JSON, write it in binary with onnx.save(model, path)." };
  }
  if (
    /^<[\s\w"':,[\]=.-]*\b(ir_version|opset_import)\b/.test(start) ||
    /^(ir_version|opset_import|producer_name)\s*[:{]/m.test(start)
  ) {
    return {
      what: "an ONNX model in text form",
      hint: "Parse it with onnx.parser.parse_model or onnx.load(path, format=...) and save it in binary.",
    };
  }
  return /[a-z0-9]/i.test(start) ? { what: "a text file", hint: give } : undefined;
}

/** Fields at the top, the first few: enough to tell one message type from another. Undefined: not protobuf. */
function topFields(source: ByteSource): { readonly number: number; readonly wire: number }[] | undefined {
  const cursor = new Cursor(source);
  const out: { number: number; wire: number }[] = [];
  try {
    while (out.length < 64 && cursor.field(source.size)) out.push({ number: cursor.number, wire: cursor.wire });
  } catch (error) {
    if (error instanceof BnfoldError) return undefined;
    throw error;
  }
  return out;
}

/** Protobuf files of other kinds: a ModelProto has a number in field 1, text in field 2 and its graph in field 7. */
function protobuf(source: ByteSource, head: Uint8Array): Foreign | undefined {
  const fields = topFields(source);
  if (fields === undefined) return undefined;
  const has = (number: number, wire: number) => fields.some((field) => field.number === number && field.wire === wire);
  if (has(2, 0) && !has(2, 2) && fields.every(({ number }) => number <= 16)) {
    return { what: "one tensor (TensorProto, as in ONNX test data)", hint: "Give the model; tensors are inputs for it." };
  }
  if (has(7, 2)) return undefined;
  const ascii = latin1(head);
  if (has(1, 2) && !has(1, 0) && /\b(Placeholder|Const|NoOp|VarHandleOp)\b/.test(ascii)) {
    return { what: "a TensorFlow graph (GraphDef)", hint: TF2ONNX };
  }
  // A model cut off after its producer's name has the same fields; the operators' names tell.
  if (has(1, 0) && has(2, 2) && fields.every(({ number }) => number <= 2) && /(NoOp|Placeholder|VarHandleOp|Const)/.test(ascii)) {
    return { what: "a TensorFlow SavedModel", hint: TF2ONNX };
  }
  return undefined;
}

/** Throws when the file is recognisably something else than an ONNX model. */
export function explainForeign(source: ByteSource): void {
  if (source.size === 0) throw foreign(source, { what: "an empty file", hint: "The download or export failed; repeat it." });
  const most = Math.min(source.size, HEAD);
  // What we are about to write ourselves needs no look at numbers that would have to be computed for it.
  const head = source.read(0, source.ready?.(0, most) ?? most);
  for (const [is, what, hint] of magics) if (is(head)) throw foreign(source, { what, hint });
  const found = zip(source, head) ?? safetensors(head, source.size) ?? text(head) ?? protobuf(source, head);
  if (found !== undefined) throw foreign(source, found);
}

function foreign(source: ByteSource, { what, hint }: Foreign): BnfoldError {
  return new BnfoldError("format", `this is not an ONNX model but ${what}`, { file: source.name, byte: 0 }, hint);
}
