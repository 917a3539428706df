/**
 * What a node costs, from the shapes it was given. Multiply-adds of the operators that are sums of products:
 *   Conv           outputs · (channels / group) · ∏ kernel
 *   ConvTranspose  inputs · (outputs / group) · ∏ kernel
 *   Gemm, MatMul   outputs · inner size
 *   RNN, GRU, LSTM steps · batch · Σ elements of W and R
 * and of the quantised forms of the first three. Everything else counts 0.
 */
import type { NodeRecord } from "../onnx/records.ts";
import { sizeOf, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";

type Values = readonly (Value | undefined)[];

const dimsOf = (value: Value | undefined): readonly number[] | undefined => (isTensor(value) ? value.dims : undefined);

/** Where the weight stands among the inputs. */
const WEIGHT: Readonly<Record<string, number>> = { QLinearConv: 3, QLinearMatMul: 3 };

export function multiplyAdds(node: NodeRecord, inputs: Values, outputs: Values): number {
  if (node.domain !== "") return 0;
  const x = dimsOf(inputs[0]);
  const w = dimsOf(inputs[WEIGHT[node.opType] ?? 1]);
  const y = dimsOf(outputs.find((value) => value !== undefined));
  if (x === undefined || w === undefined || y === undefined) return 0;
  switch (node.opType) {
    case "Conv":
    case "ConvInteger":
    case "QLinearConv":
      return sizeOf(y) * sizeOf(w.slice(1));
    case "ConvTranspose":
      return sizeOf(x) * sizeOf(w.slice(1));
    case "Gemm":
      return y[1] === 0 ? 0 : sizeOf(y) * (sizeOf(w) / y[1]);
    case "MatMul":
    case "MatMulInteger":
    case "QLinearMatMul":
      return sizeOf(y) * (x[x.length - 1] ?? 0);
    case "RNN":
    case "GRU":
    case "LSTM":
      return x[0] * x[1] * (sizeOf(w) + sizeOf(dimsOf(inputs[2]) ?? []));
    default:
      return 0;
  }
}

/** Bytes of the distinct buffers behind some values. */
export function bytesOf(values: Iterable<Value | undefined>): number {
  const seen = new Set<object>();
  let bytes = 0;
  const add = (value: Value | undefined): void => {
    if (value === undefined) return;
    if (!isTensor(value)) {
      if (value.kind === "sequence") value.items.forEach(add);
      else add(value.item);
      return;
    }
    const { data } = value;
    const memory = (data as Exclude<Tensor["data"], readonly string[]>).buffer ?? data;
    if (seen.has(memory)) return;
    seen.add(memory);
    bytes += "byteLength" in memory ? memory.byteLength : data.length * 8;
  };
  for (const value of values) add(value);
  return bytes;
}
