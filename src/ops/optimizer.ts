/**
 * The optimizers of ai.onnx.preview.training: Adagrad, Adam, Momentum. Inputs are the rate r, the step count t, then the
 * tensors, their gradients and each kind of state, n of each; outputs the new tensors and states. With g ← g + norm·x:
 *
 *   Adagrad   h ← h + g²,  x ← x − r/(1 + t·decay) · g/(√h + ε)
 *   Adam      v ← αv + (1 − α)g,  h ← βh + (1 − β)g²,  x ← (1 − post)·(x − r'·v/(√h + ε)),
 *             r' = r·√(1 − βᵗ)/(1 − αᵗ) once t > 0
 *   Momentum  v ← αv + β'g,  β' = β once t > 0, else 1,  x ← x − r·v, or x − r·(g + αv) in mode "nesterov"
 */
import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

/** New x and states of one element. */
type Update = (x: number, g: number, states: readonly number[]) => readonly number[];

function adagrad(context: OpContext, r: number, t: number): Update {
  const norm = context.float("norm_coefficient", 0);
  const epsilon = context.float("epsilon", Math.fround(1e-6));
  const rate = r / (1 + t * context.float("decay_factor", 0));
  return (x, g0, [h0]) => {
    const g = norm * x + g0;
    const h = h0 + g * g;
    return [x - (rate * g) / (Math.sqrt(h) + epsilon), h];
  };
}

function adam(context: OpContext, r: number, t: number): Update {
  const alpha = context.float("alpha", Math.fround(0.9));
  const beta = context.float("beta", Math.fround(0.999));
  const epsilon = context.float("epsilon", Math.fround(1e-6));
  const norm = context.float("norm_coefficient", 0);
  const post = context.float("norm_coefficient_post", 0);
  const rate = t > 0 ? (r * Math.sqrt(1 - beta ** t)) / (1 - alpha ** t) : r;
  return (x, g0, [v0, h0]) => {
    const g = norm * x + g0;
    const v = alpha * v0 + (1 - alpha) * g;
    const h = beta * h0 + (1 - beta) * g * g;
    return [(1 - post) * (x - (rate * v) / (Math.sqrt(h) + epsilon)), v, h];
  };
}

function momentum(context: OpContext, r: number, t: number): Update {
  const mode = context.string("mode", "standard");
  if (mode !== "standard" && mode !== "nesterov") throw context.fail(`mode is "${mode}", not standard or nesterov`);
  const alpha = context.float("alpha", 0);
  const beta = t > 0 ? context.float("beta", 0) : 1;
  const norm = context.float("norm_coefficient", 0);
  return (x, g0, [v0]) => {
    const g = norm * x + g0;
    const v = alpha * v0 + beta * g;
    return [x - r * (mode === "standard" ? v : g + alpha * v), v];
  };
}

function optimizer(type: string, states: number, make: (context: OpContext, r: number, t: number) => Update): OpDef {
  const run = (context: OpContext, ...inputs: Tensor[]): Tensor[] => {
    const [r, t, ...rest] = inputs;
    const count = rest.length / (2 + states);
    if (!Number.isInteger(count))
      throw context.fail(`${rest.length} tensors do not divide into x, gradient and ${states} state(s)`);
    const update = make(context, asFloat64(r)[0], Number(t.data[0]));
    const out: Tensor[] = new Array(count * (1 + states));
    for (let i = 0; i < count; i++) {
      const [x, g, ...old] = Array.from({ length: 2 + states }, (_, k) => asFloat64(rest[k * count + i]));
      const fresh = Array.from({ length: 1 + states }, () => new Float64Array(x.length));
      for (let e = 0; e < x.length; e++) {
        const values = update(
          x[e],
          g[e],
          old.map((s) => s[e]),
        );
        values.forEach((v, k) => {
          fresh[k][e] = v;
        });
      }
      fresh.forEach((data, k) => {
        const like = rest[(k === 0 ? 0 : k + 1) * count + i];
        out[k * count + i] = { dtype: like.dtype, dims: like.dims, data };
      });
    }
    return out;
  };
  return { ...tensorOp(type, 1, 5, run), domain: "ai.onnx.preview.training" };
}

export const optimizerOps: readonly OpDef[] = [
  optimizer("Adagrad", 1, adagrad),
  optimizer("Adam", 2, adam),
  optimizer("Momentum", 1, momentum),
];
