/**
 * One small model, planned, written, run and proven: what a test of a rule says is what it expects of the plan; that the
 * folded file computes the same is checked here, by a run in double and by the proof.
 */
import { expect } from "vitest";
import { type PlanData, type PlanOptions, plan } from "../../src/fold/index.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { write } from "../../src/onnx/write.ts";
import { createSession } from "../../src/run/session.ts";
import { prove } from "../../src/verify/index.ts";
import { f, float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec, type ValueSpec } from "../helpers/build.ts";

export interface Expected {
  /** Nodes folded. */
  readonly folds: number;
  /** Refusal code of the first node kept; checked when given. */
  readonly refused?: string;
  /** What the reasons of the kept nodes must say. */
  readonly because?: RegExp;
  /** Largest difference allowed, as a part of the largest output. Default 0: the numbers are chosen so that nothing rounds. */
  readonly tolerance?: number;
  /** Sizes for symbolic dimensions. Default 2. */
  readonly sizes?: Readonly<Record<string, number>>;
  readonly feeds?: Readonly<Record<string, Tensor>>;
  readonly options?: PlanOptions;
}

export interface Checked {
  readonly before: Model;
  readonly after: Model;
  readonly data: PlanData;
}

/** Small whole numbers, the same for the same seed. */
export function integers(n: number, seed = 1, low = -4, high = 4): number[] {
  let state = (seed * 2654435761) >>> 0 || 1;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + Math.floor((state / 2 ** 32) * (high - low + 1));
  });
}

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);

function feedOf(
  { name, dtype = "float32", dims = [] }: ValueSpec,
  sizes: Readonly<Record<string, number>>,
  seed: number,
): Tensor {
  const shape = dims.map((d) => (typeof d === "number" ? d : (sizes[d ?? name] ?? 2)));
  const values = integers(size(shape), seed);
  if (dtype === "int64") return { dtype, dims: shape, data: BigInt64Array.from(values, (v) => BigInt(Math.abs(v) % 2)) };
  if (dtype === "int32") return { dtype, dims: shape, data: Int32Array.from(values, (v) => Math.abs(v) % 2) };
  if (dtype === "bool") return { dtype, dims: shape, data: Uint8Array.from(values, (v) => Math.abs(v) % 2) };
  return {
    dtype: dtype as "float32",
    dims: shape,
    data: dtype === "float64" ? Float64Array.from(values) : Float32Array.from(values),
  };
}

/** Plans `spec`, then checks the decisions, the run and the proof. */
export function check(spec: ModelSpec, expected: Expected): Checked {
  const before = model(spec);
  const { data, edits } = plan(before, { maxGrowth: Number.POSITIVE_INFINITY, ...expected.options });
  const said = data.kept.map((k) => k.message).join("\n");
  expect(data.folds.length, said).toBe(expected.folds);
  if (expected.refused !== undefined) expect(data.kept[0]?.code, said).toBe(expected.refused);
  if (expected.because !== undefined) expect(said).toMatch(expected.because);
  const after = read(memorySource(collect(write(before, edits).main), "after.onnx"));
  const proof = prove(before, after, { foreign: false });
  expect(proof.outcome, JSON.stringify(proof.regions.filter((r) => r.outcome !== "equal"))).toBe("equal");
  for (const seed of [1, 2]) {
    const inputs = (spec.inputs ?? []).filter(({ name }) => spec.initializers?.[name] === undefined);
    const feeds = new Map(
      inputs.map((v, i) => [v.name, expected.feeds?.[v.name] ?? feedOf(v, expected.sizes ?? {}, seed * 100 + i)]),
    );
    const [x, y] = [before, after].map((m) => createSession(m, { mode: "float64" }).run(feeds));
    for (const { name } of spec.outputs) {
      const [p, q] = [x.get(name), y.get(name)] as Tensor[];
      expect(q.dims).toEqual(p.dims);
      const [v, w] = [asFloat64(p), asFloat64(q)];
      const largest = v.reduce((m, e) => Math.max(m, Math.abs(e)), 0);
      const worst = v.reduce((m, e, i) => Math.max(m, Object.is(e, w[i]) ? 0 : Math.abs(e - w[i]) || 0), 0);
      expect(v.every((e, i) => Number.isNaN(e) === Number.isNaN(w[i]))).toBe(true);
      expect(worst, name).toBeLessThanOrEqual((expected.tolerance ?? 0) * largest);
    }
  }
  return { before, after, data };
}

/** A batch normalization whose gains and shifts are exact in float32: ε = 0, variances 1, 4, 16. */
export function batchNorm(
  x: string,
  y: string,
  channels: number,
  more: { positive?: boolean; gain?: number[]; shift?: number[] } = {},
) {
  const gains =
    more.gain ??
    Array.from({ length: channels }, (_, c) => [2, 1, 0.5, -1, 4][c % 5]).map((g) => (more.positive ? Math.abs(g) : g));
  const shifts = more.shift ?? Array.from({ length: channels }, (_, c) => [1, -2, 0.5, 3, 0][c % 5]);
  const deviation = Array.from({ length: channels }, (_, c) => [1, 2, 4][c % 3]);
  const mean = Array.from({ length: channels }, (_, c) => (c % 4) - 1);
  const initializers: Record<string, TensorSpec> = {
    [`${y}_scale`]: float32(
      [channels],
      gains.map((g, c) => g * deviation[c]),
    ),
    [`${y}_B`]: float32(
      [channels],
      shifts.map((t, c) => t + mean[c] * gains[c]),
    ),
    [`${y}_mean`]: float32([channels], mean),
    [`${y}_var`]: float32(
      [channels],
      deviation.map((d) => d * d),
    ),
  };
  const made: NodeSpec = node("BatchNormalization", [x, `${y}_scale`, `${y}_B`, `${y}_mean`, `${y}_var`], [y], { epsilon: f(0) });
  return { node: made, initializers };
}

/** A float32 constant of small whole numbers. */
export const whole = (dims: readonly number[], seed = 7): TensorSpec => float32(dims, integers(size(dims), seed, -3, 3));

export const floats = (name: string, dims?: ValueSpec["dims"]): ValueSpec => ({ name, dims });

/** Operator types of the folded model, in order. */
export const operators = ({ after }: Checked): string[] => after.graph.nodes.map((n) => n.opType);
