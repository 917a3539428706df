/** Planes put into larger, zeroed planes, in plain TypeScript. */
import type { FloatArray } from "../onnx/tensor.ts";
import type { Frame } from "./types.ts";

/** The framed planes of one part, in float64. */
export function framed(x: FloatArray, frame: Frame, from: number, target: Float64Array): void {
  const { planes, rows, rowLength, plane, rowAt } = frame;
  let source = from;
  for (let p = 0; p < planes; p++) {
    for (let r = 0; r < rows; r++) {
      const at = p * plane + rowAt[r];
      for (let i = 0; i < rowLength; i++) target[at + i] = x[source + i];
      source += rowLength;
    }
  }
}
