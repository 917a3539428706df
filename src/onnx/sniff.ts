import type { ByteSource } from "./source.ts";

/** Throws when the file is recognisably something else than an ONNX model. */
export function explainForeign(_source: ByteSource): void {}
