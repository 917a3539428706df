/**
 * LSTM, GRU, RNN as readers: every gate takes W·x + Wb, W [D, G·H, I], B = [Wb ‖ Rb] [D, 2·G·H], x the last axis of X.
 *   forward  scale on the features  W'[d, r, i] = W[d, r, i]·s[i]
 *            shift on the features  Wb'[d, r] = Wb[d, r] + Σ_i W[d, r, i]·t[i]     (B made when there is none)
 * Nothing is padded and nothing else sees X (`clip` bounds the whole argument, `linear_before_reset` only moves R·h), so
 * both are exact in either layout. The states are nonlinear in their inputs: nothing comes back through the outputs.
 * ONNX LSTM, GRU, RNN 1, 7, 14, 22 (GRU also 3).
 */
import { along, type Spread } from "../affine/spread.ts";
import { fresh, scaled, shifted, vectorOn } from "./params.ts";
import {
  absorb,
  alike,
  isRefused,
  type Move,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withParam,
} from "./types.ts";

const [X, W, B] = [0, 1, 3];

/** W and the map on the features of X. */
function features(at: RuleNode, by: readonly (Spread | undefined)[]): { w: Param; vector: Float64Array } | Refused {
  const map = by[X];
  if (map === undefined || by.some((s, i) => s !== undefined && i !== X))
    return refuse("operator-blocks", "takes the map on another input than its sequence");
  const w = at.param(W);
  if (isRefused(w)) return w;
  if (w.dims.length !== 3 || map.dims.length !== 3)
    return refuse("malformed-graph", "has a weight or input that has not three axes");
  const vector = vectorOn(map, 2, w.dims[2]);
  if (vector === undefined) {
    return refuse(
      "axis-blocks",
      `reads ${w.dims[2]} features on axis 2, but the map varies over shape [${map.dims.join(", ")}]`,
      { facts: { axis: 2, map: map.dims } },
    );
  }
  return { w, vector };
}

function forwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const found = features(at, by);
  return isRefused(found) ? found : absorb(withParam(at.state, W, scaled(found.w, along(3, 2, found.vector))));
}

function forwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const found = features(at, by);
  if (isRefused(found)) return found;
  const { w, vector } = found;
  const [directions, rows, inputs] = w.dims;
  const weights = w.values();
  // W·t fills the first half of each direction's B; the recurrent half stays.
  const data = new Float64Array(directions * 2 * rows);
  for (let d = 0, k = 0; d < directions; d++) {
    for (let r = 0; r < rows; r++) for (let i = 0; i < inputs; i++) data[d * 2 * rows + r] += weights[k++] * vector[i];
  }
  const added: Spread = { dims: [directions, 2 * rows], data };
  if (!at.has(B))
    return absorb(
      withParam(
        at.state,
        B,
        fresh(w.dtype, added.dims, () => data.slice()),
      ),
    );
  const b = at.param(B);
  if (isRefused(b)) return b;
  return absorb(withParam(at.state, B, shifted(b, added)));
}

export const recurrent: readonly Rule[] = alike("LSTM GRU RNN", { forwardScale, forwardShift });
