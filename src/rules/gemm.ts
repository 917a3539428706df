/**
 * Gemm: y = α·A'·B' + β·C, A' [M, K], B' [K, N], C broadcast to [M, N].
 *   back     scale on N  B'[:,n]·s[n], C·s        scale on M (constant A)  A'[m,:]·s[m], C·s
 *            uniform s without constants  α' = s·α, β' = s·β (float32 attributes, one rounding each)
 *            shift       C' = β·C + t, β' = 1
 *   forward  (on A)  scale on K  B'[k,:]·s[k]   shift on K  C' = β·C + α·Σ_k t[k]·B'[k,:], β' = 1
 *            (on B)  scale on K  A'[:,k]·s[k]   shift on K  C' = β·C + α·Σ_k t[k]·A'[:,k], β' = 1
 * ONNX Gemm 7, 9, 11, 13; older ones broadcast C only when told to, and are left alone.
 */
import { along, axesOf, numberOf, type Spread, uniform } from "../affine/spread.ts";
import { floatAttribute, fresh, leading, scaled, shifted, trimmed, vectorOn } from "./params.ts";
import {
  absorb,
  isRefused,
  type Move,
  type NodeState,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withAttribute,
  withParam,
} from "./types.ts";
import { addBias, scaleBias, scaleWeight, type Weight, weightOf } from "./weights.ts";

const noMatrix = (dims: readonly number[]) =>
  refuse("parameter-shape", `has a weight of shape [${dims.join(", ")}] that is no matrix`);

const old = refuse("operator-blocks", "is of an opset before 7, where the bias does not broadcast");

/** C as it is stored, when it can be broadcast to the product. */
function stored(at: RuleNode): Param | Refused {
  const c = at.param(2);
  if (isRefused(c)) return c;
  const features = at.inShape(1)?.[at.int("transB", 0) === 0 ? 1 : 0];
  const last = c.dims[c.dims.length - 1] ?? 1;
  if (c.dims.length <= 2 && (last === 1 || typeof features !== "number" || last === features)) return c;
  return refuse("parameter-shape", `has a bias of shape [${c.dims.join(", ")}] for ${features} features`);
}

/** C as a rank-2 param (or a fresh zero when absent), and its β. */
function bias(at: RuleNode, dtype: Param["dtype"]): { c: Param | undefined; beta: number; rank: number } | Refused {
  if (!at.has(2)) return { c: undefined, beta: 1, rank: 1 };
  const c = stored(at);
  if (isRefused(c)) return c;
  return { c: leading({ ...c, dtype }, 2), beta: at.float("beta", 1), rank: c.dims.length };
}

/** The state with C' = β·C + t and β' = 1. */
function withShift(at: RuleNode, dtype: Param["dtype"], t: Spread): NodeState | Refused {
  const found = bias(at, dtype);
  if (isRefused(found)) return found;
  const { c, beta, rank } = found;
  const next =
    c === undefined
      ? trimmed(
          fresh(dtype, t.dims, () => t.data.slice()),
          1,
        )
      : trimmed(shifted(beta === 1 ? c : scaled(c, uniform(2, beta)), t), Math.max(rank, 1));
  const state = withParam(at.state, 2, next);
  return at.float("beta", 1) === 1 ? state : withAttribute(state, "beta", { float: 1 });
}

/** The constant operand that carries output axis `axis`, with the position of that axis in it. */
function carrier(at: RuleNode, axis: number): { index: number; param: Weight; at: number } | Refused {
  const [index, name] = axis === 1 ? [1, "transB"] : [0, "transA"];
  const param = weightOf(at, index);
  if (isRefused(param)) return param;
  if (param.dims.length !== 2) return noMatrix(param.dims);
  const swapped = at.int(name, 0) !== 0;
  return { index, param, at: (axis === 1) !== swapped ? 1 : 0 };
}

function backScale(at: RuleNode, [s]: readonly (Spread | undefined)[]): Move {
  if (at.version < 7) return old;
  const by = s as Spread;
  const axes = axesOf(by);
  if (axes.length > 1) return refuse("axis-blocks", "cannot take a different gain at each element");
  const weight = carrier(at, axes[0] ?? (at.isConstant(1) ? 1 : 0));
  if (isRefused(weight)) return axes.length === 0 ? byAttributes(at, numberOf(by) as number) : weight;
  const axis = weight.index === 1 ? 1 : 0;
  const vector = vectorOn(by, axis, weight.param.dims[weight.at]);
  if (vector === undefined) {
    return refuse("axis-blocks", `has ${weight.param.dims[weight.at]} output features, but the map has ${by.data.length}`);
  }
  const step = scaleWeight(at.state, weight.param, along(2, weight.at, vector));
  if (!at.has(2)) return [step];
  const c = stored(at);
  if (!isRefused(c)) {
    const bias = trimmed(scaled(leading(c, 2), by), Math.max(c.dims.length, axis === 1 ? 1 : 2));
    return [{ ...step, state: withParam(step.state as NodeState, 2, bias) }];
  }
  const asked = axis === 1 ? scaleBias(step, at, 2, vector) : c;
  if (!isRefused(asked)) return [asked];
  return axes.length === 0 ? byAttributes(at, numberOf(by) as number) : asked;
}

/** A uniform gain goes into α and β when the operands are not constant. */
function byAttributes(at: RuleNode, s: number): Move {
  const alpha = floatAttribute(at, at.state, "alpha", at.float("alpha", 1) * s);
  if (isRefused(alpha) || !at.has(2)) return isRefused(alpha) ? alpha : absorb(alpha);
  const beta = floatAttribute(at, alpha, "beta", at.float("beta", 1) * s);
  return isRefused(beta) ? beta : absorb(beta);
}

function backShift(at: RuleNode, [t]: readonly (Spread | undefined)[]): Move {
  if (at.version < 7) return old;
  const weight = carrier(at, at.isConstant(1) ? 1 : 0);
  if (isRefused(weight)) return weight;
  const axis = weight.index === 1 ? 1 : 0;
  const by = t as Spread;
  const vector = vectorOn(by, axis, weight.param.dims[weight.at]);
  if (vector === undefined)
    return refuse(
      "axis-blocks",
      `has ${weight.param.dims[weight.at]} output features, but the map varies over shape [${by.dims.join(", ")}]`,
    );
  const state = withShift(at, weight.param.dtype, along(2, axis, vector));
  if (!isRefused(state)) return absorb(state);
  const beta = at.float("beta", 1);
  if (axis !== 1 || beta === 0) return state;
  return addBias(
    at,
    2,
    weight.param.dtype,
    vector.map((v) => v / beta),
  );
}

/** A constant operand as seen by a map on the other one: its K axis, and the axis of the product that it makes. */
interface Inner {
  readonly index: number;
  readonly matrix: Param;
  readonly k: number;
  readonly vector: Float64Array;
  readonly axis: number;
}

function inner(at: RuleNode, by: readonly (Spread | undefined)[]): Inner | Refused {
  if (at.version < 7) return old;
  const on = by[0] !== undefined ? 0 : 1;
  const map = by[on];
  if (map === undefined || by.some((s, i) => i !== on && s !== undefined))
    return refuse("weight-not-constant", "takes the map on an operand whose partner is not constant");
  const index = 1 - on;
  const matrix = at.param(index);
  if (isRefused(matrix)) return matrix;
  if (matrix.dims.length !== 2) return noMatrix(matrix.dims);
  const swapped = (name: string) => at.int(name, 0) !== 0;
  const k = (index === 1) === swapped(index === 1 ? "transB" : "transA") ? 1 : 0;
  const summed = (on === 0) === swapped(on === 0 ? "transA" : "transB") ? 0 : 1;
  const vector = vectorOn(map, summed, matrix.dims[k]);
  if (vector === undefined)
    return refuse("axis-blocks", `sums over ${matrix.dims[k]} features, but the map varies over shape [${map.dims.join(", ")}]`);
  return { index, matrix, k, vector, axis: index };
}

function forwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const found = inner(at, by);
  if (isRefused(found)) return found;
  return absorb(withParam(at.state, found.index, scaled(found.matrix, along(2, found.k, found.vector))));
}

/** Σ_k t[k]·B'[k, n] for a matrix stored [K, N] (k = 0) or [N, K] (k = 1). */
export function contract(values: Float64Array, dims: readonly number[], k: number, t: Float64Array): Float64Array {
  const [rows, cols] = dims;
  const out = new Float64Array(k === 0 ? cols : rows);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++, i++) out[k === 0 ? c : r] += values[i] * t[k === 0 ? r : c];
  }
  return out;
}

function forwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const found = inner(at, by);
  if (isRefused(found)) return found;
  const alpha = at.float("alpha", 1);
  const { matrix, k, vector, axis } = found;
  const sums = contract(matrix.values(), matrix.dims, k, vector).map((v) => v * alpha);
  const state = withShift(at, matrix.dtype, along(2, axis, sums));
  return isRefused(state) ? state : absorb(state);
}

export const gemm: Rule = { type: "Gemm", backScale, backShift, forwardScale, forwardShift };
