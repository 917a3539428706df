import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { gzipSync, zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { explainForeign } from "../../src/onnx/sniff.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { bytesOf, f64, len, model, num, onnxFiles } from "./bytes.ts";

const text = (s: string) => new TextEncoder().encode(s);
const zip = (...names: string[]) => zipSync(Object.fromEntries(names.map((name) => [name, text("x")])), { level: 0 });
const padded = (at: number, s: string, head = "") => {
  const out = new Uint8Array(512);
  out.set(text(head));
  out.set(text(s), at);
  return out;
};
const latin1 = (s: string) => Uint8Array.from(s, (c) => c.charCodeAt(0));
const safetensors = () => {
  const json = '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
  return Uint8Array.from([...bytesOf(BigUint64Array.of(BigInt(json.length))), ...text(json), 0, 0, 0, 0]);
};

const foreign: [string, Uint8Array, RegExp, RegExp][] = [
  ["nothing", new Uint8Array(0), /empty file/, /repeat/],
  ["TorchScript", zip("m/data.pkl", "m/constants.pkl", "m/code/a.py"), /TorchScript/, /torch\.onnx\.export/],
  ["PyTorch checkpoint", zip("archive/data.pkl", "archive/data/0"), /PyTorch checkpoint/, /torch\.onnx\.export/],
  ["Keras v3", zip("metadata.json", "config.json", "model.weights.h5"), /\.keras/, /model\.export/],
  ["npz", zip("a.npy"), /\.npz/, /inputs/],
  ["zip with onnx", zip("model.onnx"), /zip archive with an ONNX/, /Unpack/],
  ["zip", zip("readme.md"), /a zip archive$/, /Unpack/],
  ["pickle", latin1("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."), /pickle/, /torch\.onnx\.export/],
  ["pickle 4", latin1("\x80\x04\x95\x10\0\0\0\0\0\0\0}."), /pickle/, /export/],
  ["HDF5", latin1("\x89HDF\r\n\x1a\n\0\0"), /HDF5/, /Keras/],
  ["safetensors", safetensors(), /safetensors/, /torch\.onnx\.export/],
  ["TFLite", latin1("\x1c\0\0\0TFL3\0\0"), /TensorFlow Lite/, /tf2onnx/],
  ["ORT", latin1("\x1c\0\0\0ORTM\0\0"), /ORT-format/, /\.onnx/],
  ["gzip", gzipSync(text("x")), /gzip/, /Unpack/],
  ["tar", padded(257, "ustar", `model.onnx${"\0".repeat(90)}0000644\0`), /tar archive/, /Unpack/],
  ["ELF", latin1("\x7fELF\x02\x01"), /ELF/, /\.onnx/],
  ["PDF", latin1("%PDF-1.7\n"), /PDF/, /\.onnx/],
  ["PNG", latin1("\x89PNG\r\n\x1a\n"), /PNG/, /\.onnx/],
  ["GGUF", latin1("GGUF\x03\0\0\0"), /GGUF/, /ONNX/],
  ["npy", latin1("\x93NUMPY\x01\0"), /NumPy array/, /inputs/],
  [
    "Git LFS",
    text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
    /Git LFS pointer/,
    /git lfs pull/,
  ],
  ["HTML", text("\n<!DOCTYPE html>\n<html><body>404</body></html>"), /HTML/, /raw file/],
  ["OpenVINO", text('<?xml version="1.0"?>\n<net name="m" version="11">'), /OpenVINO/, /converted from/],
  ["XML", text('<?xml version="1.0"?><a/>'), /an XML/, /binary/],
  ["JSON", text('{"irVersion": 8}'), /JSON/, /onnx\.save/],
  [
    "ONNX text",
    text('<\n  ir_version: 8,\n  opset_import: ["" : 17]\n>\ng (float[N] x) => (float[N] y) { y = Relu(x) }'),
    /text form/,
    /parse_model/,
  ],
  ["protobuf text", text('ir_version: 8\ngraph {\n  name: "g"\n}\n'), /text form/, /binary/],
  ["text", text("hello\n"), /a text file/, /binary/],
  [
    "TensorProto raw",
    Uint8Array.from([...num(1, 2), ...num(2, 1), ...len(8, "x"), ...len(9, new Array(8).fill(0))]),
    /TensorProto/,
    /inputs/,
  ],
  ["TensorProto packed int64", Uint8Array.from([...num(1, 2), ...num(2, 7), ...len(7, [1, 2])]), /TensorProto/, /inputs/],
  ["TensorProto scalar", Uint8Array.from([...num(2, 11), ...f64(10, 1)]), /TensorProto/, /inputs/],
  [
    "GraphDef",
    Uint8Array.from([...len(1, [...len(1, "input"), ...len(2, "Placeholder")]), ...len(4, num(1, 1987))]),
    /GraphDef/,
    /tf2onnx/,
  ],
  ["SavedModel", Uint8Array.from([...num(1, 1), ...len(2, len(1, len(1, len(1, "NoOp"))))]), /SavedModel/, /tf2onnx/],
];

describe("explainForeign", () => {
  it.each(foreign)("%s is named, with advice", (_name, bytes, what, hint) => {
    let thrown: unknown;
    try {
      explainForeign(memorySource(bytes, "file"));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(BnfoldError);
    const { kind, message, hint: advice } = thrown as BnfoldError;
    expect(kind).toBe("format");
    expect(message).toMatch(what);
    expect(advice).toMatch(hint);
  });

  it("lets models pass, whatever their strings say", () => {
    for (const word of ["TFL3", "PK\x03\x04", "<!DOCTYPE html>", "tensorflow NoOp Const", "ustar", "GGUF"]) {
      const bytes = Uint8Array.from([
        ...num(1, 8),
        ...len(2, word),
        ...model(len(2, word), len(1, [...len(1, word), ...len(4, "Const")])).slice(2),
      ]);
      explainForeign(memorySource(bytes));
    }
  });

  it("lets pass what it does not know: the reader says more", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (tail) => {
        // ir_version first, as every writer has it; then anything.
        explainForeign(memorySource(Uint8Array.from([...num(1, 8), ...len(7, tail)])));
      }),
    );
  });

  const root = fileURLToPath(new URL("../../../shared/conformance", import.meta.url));
  const models = [...onnxFiles("fixtures"), ...onnxFiles("../shared")];
  it.skipIf(models.length === 0)(`never rejects one of ${models.length} models`, () => {
    for (const path of models) explainForeign(memorySource(readFileSync(path), path));
  });

  const tensors =
    onnxFiles("../shared/conformance/node").length === 0
      ? []
      : readdirSync(join(root, "node"), { recursive: true, encoding: "utf8" }).filter((p) => p.endsWith(".pb"));
  it.skipIf(tensors.length === 0)(`knows most of ${tensors.length} test tensors`, () => {
    let known = 0;
    for (const name of tensors) {
      try {
        explainForeign(memorySource(readFileSync(join(root, "node", name)), name));
      } catch (error) {
        if ((error as BnfoldError).message.includes("TensorProto")) known++;
        else if (!/empty file/.test((error as BnfoldError).message)) throw error;
      }
    }
    expect(known / tensors.length).toBeGreaterThan(0.9);
  });
});
