/**
 * BatchNormalization in inference mode: y = (x − μ)·γ/√(v + ε) + β per channel (axis 1).
 *   back     scale  γ' = s·γ, β' = s·β         shift  β' = β + t
 *   forward  scale  γ' = γ·s, μ' = μ/s (s = 0: β' = β − γ/√(v+ε)·μ)   shift  β' = β + t·γ/√(v+ε)
 * The mean takes the scale, for γ·s·μ taken back by β would cancel to the last digit under a large s.
 * A batch normalization that has to stay can thus still absorb its neighbours. ONNX 1, 6, 7, 9, 14, 15.
 */
import { along, type Spread } from "../affine/spread.ts";
import { isInference } from "./mode.ts";
import { scaled, shifted, vectorOn } from "./params.ts";
import { absorb, isRefused, type Move, type Param, type Refused, type Rule, type RuleNode, refuse, withParam } from "./types.ts";

interface Parts {
  readonly gamma: Param;
  readonly beta: Param;
  readonly vector: Float64Array;
}

function parts(at: RuleNode, by: Spread | undefined): Parts | Refused {
  if (!isInference(at.node)) return refuse("training-mode", "normalizes with batch statistics");
  const [gamma, beta] = [at.param(1), at.param(2)];
  if (isRefused(gamma)) return gamma;
  if (isRefused(beta)) return beta;
  if (gamma.dims.length !== 1)
    return refuse("not-channelwise", "has a parameter for each activation (spatial is 0), not for each channel");
  for (const i of [2, 3, 4]) {
    const dims = at.inShape(i);
    if (dims !== undefined && String(dims) !== String(gamma.dims))
      return refuse("parameter-shape", `has a parameter of shape [${dims.join(", ")}] for ${gamma.dims[0]} channels`);
  }
  const vector = by && vectorOn(by, 1, gamma.dims[0]);
  if (vector === undefined) return refuse("axis-blocks", "normalizes channels, but the map lies on another axis");
  return { gamma, beta, vector };
}

/** γ/√(v + ε), in float64. */
function gains(at: RuleNode): Float64Array | Refused {
  const [gamma, variance] = [at.param(1), at.param(4)];
  if (isRefused(gamma)) return gamma;
  if (isRefused(variance)) return variance;
  const epsilon = at.float("epsilon", Math.fround(1e-5));
  const v = variance.values();
  const out = gamma.values().map((g, c) => g / Math.sqrt(v[c] + epsilon));
  return out.every(Number.isFinite) ? out : refuse("parameter-not-finite", "has a variance that is not positive");
}

function backScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const p = parts(at, by);
  if (isRefused(p)) return p;
  const s = along(1, 0, p.vector);
  return absorb(withParam(withParam(at.state, 1, scaled(p.gamma, s)), 2, scaled(p.beta, s)));
}

function backShift(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const p = parts(at, by);
  return isRefused(p) ? p : absorb(withParam(at.state, 2, shifted(p.beta, along(1, 0, p.vector))));
}

function forwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const p = parts(at, by[0]);
  if (isRefused(p)) return p;
  const mean = at.param(3);
  if (isRefused(mean)) return mean;
  const { vector } = p;
  const inverse = along(
    1,
    0,
    vector.map((s) => (s === 0 ? 1 : 1 / s)),
  );
  const state = withParam(withParam(at.state, 1, scaled(p.gamma, along(1, 0, vector))), 3, scaled(mean, inverse));
  if (vector.every((s) => s !== 0)) return absorb(state);
  const g = gains(at);
  if (isRefused(g)) return g;
  const mu = mean.values();
  const moved = g.map((v, c) => (vector[c] === 0 ? -v * mu[c] : 0));
  return absorb(withParam(state, 2, shifted(p.beta, along(1, 0, moved))));
}

function forwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const p = parts(at, by[0]);
  if (isRefused(p)) return p;
  const g = gains(at);
  if (isRefused(g)) return g;
  return absorb(
    withParam(
      at.state,
      2,
      shifted(
        p.beta,
        along(
          1,
          0,
          g.map((v, c) => v * p.vector[c]),
        ),
      ),
    ),
  );
}

export const batchNormalization: Rule = { type: "BatchNormalization", backScale, backShift, forwardScale, forwardShift };
