/**
 * SVMClassifier. With support vectors: one decision for each pair of classes i < j,
 *   s = ρ + Σ coef[j − 1]·K over the vectors of class i + Σ coef[i]·K over those of class j,
 * a vote for i where s > 0, else for j; with prob_a and prob_b each s becomes 1 / (1 + e^(A·s + B)) and the pairs are coupled
 * into class probabilities (Wu, Lin and Weng, "Probability estimates for multi-class classification", 2004, second method).
 * Without support vectors: one linear score per class.
 */
import type { Tensor } from "../onnx/tensor.ts";
import type { OpContext, OpDef } from "./define.ts";
import { dot, kernel, labels, labelTensor, largest, matrix, rowsOf, supportVectors } from "./mllinear.ts";
import { mlOp } from "./mltables.ts";
import { postTransform } from "./mltransform.ts";

/** Class probabilities p from pairwise ones r[i][j] ≈ p_i / (p_i + p_j): the fixed point of the coupling's iteration. */
function couple(r: readonly Float64Array[]): Float64Array {
  const k = r.length;
  const q = r.map((_, t) =>
    Float64Array.from({ length: k }, (_, j) =>
      t === j ? r.reduce((sum, row, i) => sum + (i === t ? 0 : row[t] ** 2), 0) : -r[j][t] * r[t][j],
    ),
  );
  const p = new Float64Array(k).fill(1 / k);
  for (let round = 0; round < Math.max(100, k); round++) {
    const qp = q.map((row) => dot(row, p));
    let total = dot(p, qp);
    if (Math.max(...qp.map((v) => Math.abs(v - total))) < 0.005 / k) break;
    for (let t = 0; t < k; t++) {
      const step = (total - qp[t]) / q[t][t];
      p[t] += step;
      total = (total + step * (step * q[t][t] + 2 * qp[t])) / (1 + step) ** 2;
      for (let j = 0; j < k; j++) {
        qp[j] = (qp[j] + step * q[t][j]) / (1 + step);
        p[j] /= 1 + step;
      }
    }
  }
  return p;
}

function pairProbabilities(context: OpContext, scores: Float64Array, k: number): Float64Array {
  const [a, b] = [context.floats("prob_a") ?? [], context.floats("prob_b") ?? []];
  const r = Array.from({ length: k }, () => new Float64Array(k));
  let pair = 0;
  for (let i = 0; i < k; i++) {
    for (let j = i + 1; j < k; j++, pair++) {
      const p = 1 / (1 + Math.exp(scores[pair] * a[pair] + b[pair]));
      r[i][j] = Math.min(Math.max(p, 1e-7), 1 - 1e-7);
      r[j][i] = 1 - r[i][j];
    }
  }
  return couple(r);
}

interface Decision {
  readonly scores: Float64Array;
  readonly best: number;
}

/** The decision function over support vectors. */
function byVectors(context: OpContext, counts: readonly number[]): (row: Float64Array) => Decision {
  const k = counts.length;
  const n = counts.reduce((a, b) => a + b, 0);
  const starts = counts.map((_, i) => counts.slice(0, i).reduce((a, b) => a + b, 0));
  const vectors = supportVectors(context, n);
  const coefficients = Float64Array.from(context.floats("coefficients") ?? []);
  const rho = context.floats("rho") ?? [];
  const similar = kernel(context);
  const probable = (context.floats("prob_a") ?? []).length > 0;
  return (row) => {
    const values = Float64Array.from(vectors, (v) => similar(row, v));
    const part = (line: number, of: number) =>
      dot(values.subarray(starts[of], starts[of] + counts[of]), coefficients, line * n + starts[of]);
    const votes = new Float64Array(k);
    const scores: number[] = [];
    for (let i = 0; i < k; i++) {
      for (let j = i + 1; j < k; j++) {
        const s = (rho[scores.length] ?? 0) + part(j - 1, i) + part(i, j);
        votes[s > 0 ? i : j]++;
        scores.push(s);
      }
    }
    const pairs = Float64Array.from(scores);
    return { scores: probable ? pairProbabilities(context, pairs, k) : pairs, best: largest(votes) };
  };
}

function byClasses(context: OpContext, classes: number): (row: Float64Array) => Decision {
  const coefficients = context.floats("coefficients") ?? [];
  const rho = context.floats("rho")?.[0] ?? 0;
  return (row) => {
    const scores = Float64Array.from({ length: classes }, (_, c) => rho + dot(row, coefficients, c * row.length));
    return { scores, best: largest(scores) };
  };
}

function svmClassifier(context: OpContext, input: Tensor): Tensor[] {
  const classes = labels(context);
  const counts = context.ints("vectors_per_class") ?? [];
  const transform = context.string("post_transform", "NONE");
  const decide = counts.some((n) => n > 0) ? byVectors(context, counts) : byClasses(context, Math.max(1, classes.length));
  const decisions = rowsOf(input).map(decide);
  const scores = decisions.map(({ scores: row }) =>
    postTransform(context, row.length === 1 ? Float64Array.of(-row[0], row[0]) : row, transform),
  );
  return [labelTensor(decisions.map(({ best }) => classes[best] ?? best)), matrix(scores)];
}

export const mlSvmOps: readonly OpDef[] = [mlOp("SVMClassifier", 1, 1, (context, input) => svmClassifier(context, input))];
