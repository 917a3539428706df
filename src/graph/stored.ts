/** Where a file stores the numbers of a value. */
import type { TensorRecord } from "../onnx/records.ts";
import type { GraphValue } from "./view.ts";

/** The tensor a value stands for: an initializer, or a Constant node's `value`. */
export function storedRecord(value: GraphValue | undefined): TensorRecord | undefined {
  if (value?.initializer !== undefined) return value.initializer;
  const node = value?.producer;
  return node?.opType === "Constant" && node.domain === "" ? node.record.attributes.get("value")?.t : undefined;
}
