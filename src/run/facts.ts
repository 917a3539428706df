/**
 * Facts of a graph, with small constants computed by the executor: the pads, axes and repeats that exporters write as Concat,
 * Transpose, Slice, Where and the like of constants, sizes that go through floats (Div, Ceil, Clip) among them. What hangs on a symbol
 * is left to the rules of graph/elements.ts.
 */
import { Facts } from "../graph/facts.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { type DType, dtypeOf } from "../onnx/dtype.ts";
import { allocate, asNumbers, type Tensor } from "../onnx/tensor.ts";
import { isTensor } from "../ops/define.ts";
import { operator } from "../ops/index.ts";
import { computed } from "./constant.ts";

const COUNTED: readonly DType[] = ["int64", "int32", "bool", "float32", "float64"];
const LARGEST = 2n ** 63n - 1n;

/** @param trusting False: nothing that the file declares of values inside is believed. */
export const factsOf = (view: GraphView, trusting = true): Facts => new Facts(view, elementsMade, trusting);

/** The elements a node makes of constants, for each output that is a small integer tensor. */
function elementsMade(node: GraphNode, facts: Facts): (readonly number[] | undefined)[] | undefined {
  if (node.bodies.length > 0 || operator(node.domain, node.opType, node.version) === undefined) return undefined;
  const inputs: (Tensor | undefined)[] = [];
  for (const value of node.inputs) {
    const tensor = value && constant(facts.of(value).dtype, facts.shape(value) as number[], numbersOf(facts, value));
    if (value !== undefined && tensor === undefined) return undefined;
    inputs.push(tensor);
  }
  try {
    // Rounded as runtimes do: a size that goes through floats is what they make of it.
    return computed(node.record, node.version, inputs, { mode: "storage" }).map((output) =>
      isTensor(output) && COUNTED.includes(output.dtype) ? asNumbers(output) : undefined,
    );
  } catch {
    // What cannot be computed is the business of the run, not of shape facts.
    return undefined;
  }
}

const numbersOf = (facts: Facts, value: GraphValue | undefined) => facts.numbers(value) ?? facts.reals(value);

function constant(code: number, dims: readonly number[] | undefined, numbers: readonly number[] | undefined): Tensor | undefined {
  const dtype = dtypeOf(code);
  if (dtype === undefined || !COUNTED.includes(dtype) || dims === undefined || numbers === undefined) return undefined;
  if (dims.reduce((n, d) => n * d, 1) !== numbers.length) return undefined;
  const data = allocate(dtype, numbers.length);
  if (data instanceof BigInt64Array) {
    // 2⁶³ − 1, the "to the end" of Slice, is 2⁶³ as a double.
    for (const [i, n] of numbers.entries()) data[i] = n >= 2 ** 63 ? LARGEST : BigInt(n);
  } else data.set(numbers as never);
  return { dtype, dims, data };
}
