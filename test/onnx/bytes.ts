/** Protobuf bytes by hand: tag, length, payload. Shares nothing with src/. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export type Bytes = readonly number[];

/** A varint of the 64-bit pattern of `value`, padded to `width` bytes. */
export function vi(value: number | bigint, width = 1): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  do {
    out.push(Number(rest % 128n) + 128);
    rest /= 128n;
  } while (rest > 0n);
  while (out.length < width) out.push(128);
  out[out.length - 1] -= 128;
  return out;
}

export const num = (field: number, value: number | bigint): number[] => [...vi(field << 3), ...vi(value)];

/** A length-delimited field; `width` pads its length prefix. */
export function len(field: number, content: Bytes | Uint8Array | string, width = 1): number[] {
  const bytes = typeof content === "string" ? [...new TextEncoder().encode(content)] : [...content];
  return [...vi((field << 3) | 2), ...vi(bytes.length, width), ...bytes];
}

export const f32 = (field: number, x: number): number[] => [
  ...vi((field << 3) | 5),
  ...new Uint8Array(Float32Array.of(x).buffer),
];
export const f64 = (field: number, x: number): number[] => [
  ...vi((field << 3) | 1),
  ...new Uint8Array(Float64Array.of(x).buffer),
];
export const group = (field: number, ...content: Bytes[]): number[] => [
  ...vi((field << 3) | 3),
  ...content.flat(),
  ...vi((field << 3) | 4),
];
export const bytesOf = (array: ArrayBufferView): number[] => [
  ...new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
];

/** ModelProto around the content of a GraphProto. */
export const model = (...graph: Bytes[]): Uint8Array =>
  Uint8Array.from([...num(1, 8), ...len(7, graph.flat()), ...len(8, [...len(1, ""), ...num(2, 17)])]);

/** Every .onnx file below a folder of the repository or beside it; none when the folder is absent. */
export function onnxFiles(folder: string): string[] {
  const root = fileURLToPath(new URL(`../../${folder}`, import.meta.url));
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((name) => join(root, name))
    .filter((path) => path.endsWith(".onnx") && statSync(path).isFile())
    .sort();
}
