/**
 * Networks whose normalisations are folded here by the textbook formula, in double with one rounding, and spoiled on request:
 *   s = γ / √(v + ε),  W' = s·W,  b' = s·(b − μ) + β
 */
import { getFloat16, setFloat16 } from "@petamoriken/float16";
import type { Model } from "../../src/onnx/records.ts";
import { randomOf } from "../../src/verify/random.ts";
import { f, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";

export interface Block {
  readonly out: number;
  readonly in: number;
  readonly kernel: number;
  W: number[];
  b: number[];
  gamma: number[];
  beta: number[];
  mean: number[];
  variance: number[];
}

export type DType = "float32" | "float16" | "float64";
export type Fault = (block: Block, folded: { W: number[]; b: number[] }, index: number) => void;

const scratch = new DataView(new ArrayBuffer(8));
export function store(dtype: DType, x: number): number {
  if (dtype === "float32") return Math.fround(x);
  if (dtype === "float64") return x;
  setFloat16(scratch, 0, x);
  return getFloat16(scratch, 0);
}

/** A chain of Conv → BN → Relu blocks, every number already one of the storage type. */
export function blocks(dtype: DType, seed: number, channels = [3, 8, 8, 6], change: (block: Block) => void = () => {}): Block[] {
  const random = randomOf(seed, "net");
  const list = (n: number, value: () => number) => Array.from({ length: n }, value);
  return channels.slice(1).map((out, i) => {
    const into = channels[i];
    const block: Block = {
      out,
      in: into,
      kernel: 3,
      W: list(out * into * 9, () => random.normal() / Math.sqrt(9 * into)),
      b: list(out, () => 0.1 * random.normal()),
      gamma: list(out, () => 0.5 + random.uniform()),
      beta: list(out, () => 0.3 * random.normal()),
      mean: list(out, () => 0.3 * random.normal()),
      variance: list(out, () => 0.2 + random.uniform()),
    };
    change(block);
    for (const key of ["W", "b", "gamma", "beta", "mean", "variance"] as const)
      block[key] = block[key].map((x) => store(dtype, x));
    return block;
  });
}

const EPSILON = Math.fround(1e-5);

export function fold(block: Block, dtype: DType): { W: number[]; b: number[] } {
  const gain = block.gamma.map((g, c) => g / Math.sqrt(block.variance[c] + EPSILON));
  const per = block.in * block.kernel ** 2;
  return {
    W: block.W.map((w, i) => store(dtype, w * gain[Math.floor(i / per)])),
    b: block.b.map((b, c) => store(dtype, gain[c] * (b - block.mean[c]) + block.beta[c])),
  };
}

const OUTER = { float32: "float32", float16: "float16", float64: "float64" } as const;

/** The chain as a model; `folded` without its normalisations, spoiled by `fault`. `tail` goes from "features" to "y". */
export function chain(
  list: readonly Block[],
  dtype: DType,
  folded: boolean,
  options: {
    fault?: Fault;
    tail?: readonly NodeSpec[];
    outputs?: readonly { name: string; dtype: string }[];
    size?: number;
    batch?: string;
  } = {},
): Model {
  const nodes: NodeSpec[] = [];
  const initializers: Record<string, TensorSpec> = {};
  const put = (name: string, dims: number[], values: number[]) => {
    initializers[name] = { dtype, dims, values };
  };
  let x = "x";
  list.forEach((block, i) => {
    const { out, in: into, kernel } = block;
    const last = i === list.length - 1;
    const constants = folded ? fold(block, dtype) : { W: block.W.slice(), b: block.b.slice() };
    if (folded) options.fault?.(block, constants, i);
    put(`W${i}`, [out, into, kernel, kernel], constants.W);
    put(`b${i}`, [out], constants.b);
    const conv = folded ? `n${i}` : `c${i}`;
    nodes.push(node("Conv", [x, `W${i}`, `b${i}`], [conv], { pads: [1, 1, 1, 1] }, { name: `conv${i}` }));
    if (!folded) {
      put(`gamma${i}`, [out], block.gamma);
      put(`beta${i}`, [out], block.beta);
      put(`mean${i}`, [out], block.mean);
      put(`variance${i}`, [out], block.variance);
      nodes.push(
        node("BatchNormalization", [`c${i}`, `gamma${i}`, `beta${i}`, `mean${i}`, `variance${i}`], [`n${i}`], {
          epsilon: f(1e-5),
        }),
      );
    }
    x = last && options.tail !== undefined ? "features" : last ? "y" : `r${i}`;
    nodes.push(node("Relu", [`n${i}`], [x]));
  });
  nodes.push(...(options.tail ?? []));
  const size = options.size ?? 8;
  return model({
    nodes,
    initializers,
    inputs: [{ name: "x", dtype: OUTER[dtype], dims: [options.batch ?? 2, list[0].in, size, size] }],
    outputs: options.outputs ?? [{ name: "y", dtype }],
  });
}
