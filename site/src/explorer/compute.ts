/** Single operators of the library's executor, without a model around them. */
import { BnfoldError } from "../../../src/diag/error.ts";
import type { NodeRecord } from "../../../src/onnx/records.ts";
import type { Tensor } from "../../../src/onnx/tensor.ts";
import { activationOps } from "../../../src/ops/activation.ts";
import { batchnormOps } from "../../../src/ops/batchnorm.ts";
import { convOps } from "../../../src/ops/conv.ts";
import type { OpContext } from "../../../src/ops/define.ts";
import { normalizationOps } from "../../../src/ops/normalization.ts";
import { randomOps } from "../../../src/ops/random.ts";
import { uniform } from "../../../src/run/random.ts";

/** The operator set whose meaning is shown. */
export const OPSET = 23;

const OPERATORS = [...batchnormOps, ...normalizationOps, ...convOps, ...activationOps, ...randomOps];

type Attributes = Readonly<Record<string, number | readonly number[]>>;

function contextOf(type: string, attributes: Attributes): OpContext {
  const frame = { start: 0, end: 0, tagAt: 0, parent: undefined };
  const common = { frame, index: 0, name: type, domain: "", overload: "", inputs: [], attributes: new Map() };
  const node: NodeRecord = { ...common, opType: type, outputs: ["y"] };
  const number = (name: string, fallback: number): number => {
    const value = attributes[name];
    return typeof value === "number" ? value : fallback;
  };
  const list = (name: string): number[] | undefined => {
    const value = attributes[name];
    return typeof value === "object" ? [...value] : undefined;
  };
  const fail = (message: string) => new BnfoldError("model", message, { node: type });
  const none = () => undefined;
  const never = (): never => {
    throw fail("has no tensors and no graphs among its attributes here");
  };
  return {
    node,
    version: OPSET,
    mode: "float64",
    holds: false,
    wants: (i) => i === 0,
    attribute: none,
    int: number,
    ints: list,
    // An attribute of a file is a float32.
    float: (name, fallback) => Math.fround(number(name, fallback)),
    floats: list,
    string: (_, fallback) => fallback,
    strings: none,
    tensor: none,
    decode: never,
    result: (n) => new Float64Array(n),
    body: never,
    random: () => uniform(number("seed", 0)),
    fail,
  };
}

/** The outputs of one operator, in float64. @throws BnfoldError when the inputs do not fit. */
export function compute(type: string, attributes: Attributes, ...inputs: readonly Tensor[]): Tensor[] {
  const op = OPERATORS.filter((one) => one.type === type && one.since <= OPSET).sort((a, b) => b.since - a.since)[0];
  if (op === undefined) throw new Error(`internal: no operator ${type} here`);
  return op.run(contextOf(type, attributes), inputs) as Tensor[];
}

export const floats = (dims: readonly number[], data: Iterable<number>): Tensor => ({
  dtype: "float32",
  dims,
  data: Float64Array.from(data),
});
