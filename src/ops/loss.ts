/**
 * NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
 *
 * Scores are N×C×d₁…×d_k, targets N×d₁…×d_k. Per position p: lₚ = −w[tₚ]·score[tₚ], 0 where tₚ is `ignore_index`.
 * "mean" divides Σ lₚ by Σ w[tₚ] over the positions that count (by their number without weights).
 */
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { show, splitAt } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { alongAxis, logSoftmaxLine } from "./softmax.ts";

function likelihoodLoss(context: OpContext, logp: Tensor, target: Tensor, weight: Tensor | undefined): Tensor {
  const { dims } = logp;
  if (dims.length < 2) throw context.fail("scores need at least the axes N and C");
  const [batch, classes] = dims;
  const places = sizeOf(dims.slice(2));
  const shape = [batch, ...dims.slice(2)];
  if (show(target.dims) !== show(shape)) throw context.fail(`targets of shape ${show(target.dims)}, expected ${show(shape)}`);
  const ignored = context.attribute("ignore_index")?.i;
  const scores = asFloat64(logp);
  const weights = weight && asFloat64(weight);
  const loss = new Float64Array(batch * places);
  let total = 0;
  let mass = 0;
  for (let n = 0; n < batch; n++) {
    for (let p = 0; p < places; p++) {
      const t = Number(target.data[n * places + p]);
      if (ignored !== undefined && t === Number(ignored)) continue;
      if (t < 0 || t >= classes) throw context.fail(`target ${t} is outside the ${classes} classes`);
      const w = weights === undefined ? 1 : weights[t];
      const l = -w * scores[(n * classes + t) * places + p];
      loss[n * places + p] = l;
      total += l;
      mass += w;
    }
  }
  const reduction = context.string("reduction", "mean");
  if (reduction === "none") return { dtype: logp.dtype, dims: shape, data: loss };
  if (reduction !== "mean" && reduction !== "sum") throw context.fail(`reduction is "${reduction}", not none, mean or sum`);
  return { dtype: logp.dtype, dims: [], data: Float64Array.of(reduction === "sum" ? total : total / mass) };
}

export const lossOps: readonly OpDef[] = [
  tensorOp("NegativeLogLikelihoodLoss", 12, 2, (context, logp, target, weight) => [
    likelihoodLoss(context, logp, target, weight),
  ]),
  tensorOp("SoftmaxCrossEntropyLoss", 12, 2, (context, scores, target, weight) => {
    if (scores.dims.length < 2) throw context.fail("scores need at least the axes N and C");
    const logp = alongAxis(scores, splitAt(scores.dims, 1), logSoftmaxLine);
    return [likelihoodLoss(context, logp, target, weight), logp];
  }),
];
