/** What a shape rule says of each node of a model, beside what the executor makes of it. */
import { type Dim, type Shape, symbol } from "../../src/graph/dims.ts";
import type { Fact, KnownFacts } from "../../src/graph/inference.ts";
import { traitsOf } from "../../src/graph/operators.ts";
import { type GraphNode, type GraphValue, viewOf } from "../../src/graph/view.ts";
import { decode } from "../../src/onnx/codec.ts";
import { type DType, dtypeInfo } from "../../src/onnx/dtype.ts";
import type { Model } from "../../src/onnx/records.ts";
import { asNumbers, type Tensor } from "../../src/onnx/tensor.ts";
import { isTensor, type Value } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { contradiction } from "./contradiction.ts";

const COUNTED: readonly DType[] = ["int64", "int32", "bool"];

/** Facts of values as they are; `open`: sizes are symbols, and nothing is known of elements. */
function factsOf(values: ReadonlyMap<string, Value>, open: boolean, sizes: Map<string, number>): KnownFacts {
  const tensor = (value: GraphValue | undefined): Tensor | undefined => {
    const found = value && values.get(value.name);
    return isTensor(found) ? found : undefined;
  };
  const dimOf = (value: GraphValue, axis: number, size: number): Dim => {
    if (!open || size === 1) return size;
    sizes.set(`${value.name}.${axis}`, size);
    return symbol(`${value.name}.${axis}`);
  };
  const of = (value: GraphValue | undefined): Fact => {
    const found = tensor(value);
    if (found === undefined) return { dtype: 0, shape: undefined };
    return { dtype: dtypeInfo(found.dtype).code, shape: found.dims.map((d, i) => dimOf(value as GraphValue, i, d)) };
  };
  const numbers = (value: GraphValue | undefined): number[] | undefined => {
    const found = tensor(value);
    return open || found === undefined || !COUNTED.includes(found.dtype) ? undefined : asNumbers(found);
  };
  const reals = (value: GraphValue | undefined): number[] | undefined => {
    const found = tensor(value);
    return open || found === undefined || !["float32", "float64"].includes(found.dtype) ? undefined : asNumbers(found);
  };
  const shape = (value: GraphValue | undefined): Shape | undefined => of(value).shape;
  return {
    ...{ of, shape, numbers, elements: numbers, reals },
    rank: (value) => shape(value)?.length,
    size: (value, axis) => tensor(value)?.dims[axis],
  };
}

export interface Checked {
  readonly name: string;
  /** What is wrong, in words; undefined where the rule and the executor agree. */
  readonly wrong: string | undefined;
  /** True where every size and type of every output follows from the inputs. */
  readonly whole: boolean;
}

function checkNode(node: GraphNode, values: ReadonlyMap<string, Value>, open: boolean): Checked {
  const name = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
  const sizes = new Map<string, number>();
  const facts = factsOf(values, open, sizes);
  let fresh = 0;
  const made = traitsOf(node)?.shape({
    ...{ node, facts },
    unknown: () => symbol(`?${++fresh}`),
    shapes: node.inputs.map((value) => facts.shape(value)),
    dtype: facts.of(node.inputs[0]).dtype,
  });
  const wrong: string[] = [];
  let whole = true;
  for (const [i, output] of node.outputs.entries()) {
    const is = output && values.get(output.name);
    if (!isTensor(is)) continue;
    const said = made?.[i];
    whole &&= said?.dtype !== undefined && said.dtype !== 0 && said.shape?.every((d) => typeof d === "number") === true;
    if (said?.dtype && said.dtype !== dtypeInfo(is.dtype).code)
      wrong.push(`output ${i} is said to be of type ${said.dtype}, and is ${is.dtype}`);
    const contradicts = said?.shape && contradiction(said.shape, is.dims, sizes);
    if (contradicts !== undefined) wrong.push(`output ${i}: ${contradicts}`);
  }
  return { name, wrong: wrong.length === 0 ? undefined : `${name} ${node.version}: ${wrong.join("; ")}`, whole };
}

/** Every node of the main graph whose inputs are known, with all that is known of them and with their ranks alone. */
export function checkShapes(model: Model, feeds: ReadonlyMap<string, Value>): Checked[] {
  const view = viewOf(model);
  const values = new Map<string, Value>(feeds);
  for (const record of model.graph.initializers) if (!values.has(record.name)) values.set(record.name, decode(record));
  createSession(model).run(feeds, { watch: (name, value) => values.set(name, value) });
  return view.nodes
    .filter((node) => node.scope === view.main && node.bodies.length === 0)
    .flatMap((node) => [checkNode(node, values, false), { ...checkNode(node, values, true), whole: true }]);
}
