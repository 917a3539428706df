/**
 * More operators as rows of coefficients: those whose output is γ ⊙ n(x) + β (norm operators: one coefficient a row), and
 * Einsum with one constant operand (a row per place of the output labels it carries), MatMul with a batch of matrices, and
 * constants over a computed value.
 */
import { permute, type Spread, stretch } from "../../affine/spread.ts";
import { einsumLabels } from "../../graph/labels.ts";
import { hasTrait } from "../../graph/operators.ts";
import { isRefused, type Param, type RuleNode } from "../../rules/types.ts";
import type { Linear, Rows } from "./rows.ts";

const param = (at: RuleNode, i: number): Param | undefined => {
  const p = at.has(i) ? at.param(i) : undefined;
  return p === undefined || isRefused(p) ? undefined : p;
};

/** What a norm operator reads besides γ and β (the statistics of a BatchNormalization), as text. */
const statistics = (at: RuleNode): string =>
  at.node.inputs
    .slice(3)
    .map((_, i) => (at.isConstant(i + 3) ? `${param(at, i + 3)?.values()}` : "computed"))
    .join("|");

/** A norm operator with constant γ and β. */
export function diagonalOf(at: RuleNode): Linear | undefined {
  const { opType } = at.state;
  const rank = at.inShape(0)?.length;
  if (!hasTrait(at.node, "normalizes") || rank === undefined) return undefined;
  const [weight, bias] = [param(at, 1), param(at, 2)];
  if (weight === undefined || (bias === undefined && at.has(2))) return undefined;
  const layered = opType === "LayerNormalization" || opType === "RMSNormalization";
  const axis = layered ? at.int("axis", -1) : 1;
  const positive = axis < 0 ? axis + rank : axis;
  const groups = at.int("num_groups", 0);
  const perGroup = opType === "GroupNormalization" && at.version < 21;
  const channels = perGroup ? at.inShape(0)?.[1] : weight.dims[0];
  if (!layered && (typeof channels !== "number" || weight.dims.length !== 1)) return undefined;
  const dims = layered
    ? [...new Array<number>(rank - weight.dims.length).fill(1), ...weight.dims]
    : [1, channels as number, ...new Array<number>(rank - 2).fill(1)];
  const count = dims.reduce((n, d) => n * d, 1);
  const filled = (x: Float64Array, of: readonly number[]): Float64Array => {
    if (!layered)
      return x.length === count ? x : Float64Array.from({ length: count }, (_, c) => x[Math.floor(c / (count / x.length))]);
    let s: Spread = { dims: [...new Array<number>(rank - of.length).fill(1), ...of], data: x };
    for (const [i, d] of dims.entries()) s = stretch(s, i, d);
    return s.data;
  };
  return {
    key: `${opType}|${positive}|${groups}|${dims}|${at.int("stash_type", 1)}|${opType === "BatchNormalization" ? `${at.int("training_mode", 0)}|${at.int("is_test", 0)}|${at.int("spatial", 1)}|${at.float("momentum", Math.fround(0.9))}|${statistics(at)}` : ""}`,
    weightIndex: 1,
    weight,
    bias,
    numbers: { epsilon: at.float("epsilon", Math.fround(1e-5)) },
    rowsOf: (w, b): Rows => ({
      axis: -1,
      dims,
      count,
      width: 1,
      weights: filled(w, weight.dims),
      bias: b === undefined ? new Float64Array(count) : filled(b, (bias as Param).dims),
      weight: weight.source?.name ?? "",
      biasName: bias?.source?.name ?? "",
    }),
  };
}

/** Rows without a bias, one for each place of `dims`; `lay` puts the coefficients of a row side by side. */
const unbiased =
  (dims: readonly number[], weight: Param, lay: (w: Float64Array) => Float64Array) =>
  (w: Float64Array): Rows => {
    const [weights, count] = [lay(w), dims.reduce((n, d) => n * d, 1)];
    const width = count === 0 ? 0 : weights.length / count;
    const bias = new Float64Array(count);
    return { axis: -1, dims, count, width, weights, bias, weight: weight.source?.name ?? "", biasName: "" };
  };

/** Einsum with one constant operand: rows are its places on output labels, columns its summed labels. */
export function einsumOf(at: RuleNode): Linear | undefined {
  if (at.state.opType !== "Einsum") return undefined;
  const labels = einsumLabels(
    at.node,
    at.node.inputs.map((_, i) => at.inShape(i)?.length),
  );
  const constants = at.node.inputs.flatMap((_, i) => (at.isConstant(i) ? [i] : []));
  const weight = constants.length === 1 ? param(at, constants[0]) : undefined;
  if (labels === undefined || weight === undefined) return undefined;
  const own = labels.operands[constants[0]];
  if (new Set(own).size !== own.length) return undefined;
  const rows = labels.output.filter((label) => own.includes(label));
  const perm = [...rows, ...own.filter((label) => !rows.includes(label))].map((label) => own.indexOf(label));
  const dims = labels.output.map((label) => (own.includes(label) ? weight.dims[own.indexOf(label)] : 1));
  const terms = [...labels.operands, labels.output].map((list) => list.join(" "));
  return {
    key: `Einsum|${terms.join(",")}|${constants[0]}|${weight.dims}`,
    weightIndex: constants[0],
    weight,
    bias: undefined,
    rowsOf: unbiased(dims, weight, (w) => permute({ dims: weight.dims, data: w }, perm).data),
  };
}

/** MatMul with a batch of constant matrices: rows are its batch places and output features. */
export function batchedOf(at: RuleNode): Linear | undefined {
  const rank = at.outShape(0)?.length;
  if (at.state.opType !== "MatMul" || rank === undefined) return undefined;
  for (const index of [1, 0]) {
    const weight = at.isConstant(index) && !at.isConstant(1 - index) ? param(at, index) : undefined;
    if (weight === undefined || weight.dims.length !== rank || rank < 3) continue;
    // The summed axis last: [..., K, N] is turned, [..., M, K] stands as it is.
    const [axis, other] = index === 1 ? [rank - 1, rank - 2] : [rank - 2, rank - 1];
    const perm = [...Array.from({ length: rank - 2 }, (_, i) => i), axis, other];
    const dims = weight.dims.with(other, 1);
    return {
      key: `MatMul|${index}|${weight.dims}`,
      weightIndex: index,
      weight,
      bias: undefined,
      rowsOf: unbiased(dims, weight, (w) => permute({ dims: weight.dims, data: w }, perm).data),
    };
  }
  return undefined;
}

/** c / x: one coefficient for each place of c. */
export function quotientOf(at: RuleNode): Linear | undefined {
  const rank = at.outShape(0)?.length;
  const weight = at.isConstant(0) && !at.isConstant(1) ? param(at, 0) : undefined;
  if (weight === undefined || rank === undefined || weight.dims.length > rank) return undefined;
  const dims = [...new Array<number>(rank - weight.dims.length).fill(1), ...weight.dims];
  // Along these axes c gives the quotient its size; along others it may be spread out or not.
  const x = at.inShape(1) ?? [];
  const grown = dims.map((d, i) => (d === 1 || x[i - rank + x.length] === d ? 1 : d));
  return {
    key: `Div|${rank}|${grown}`,
    weightIndex: 0,
    weight,
    bias: undefined,
    rowsOf: unbiased(dims, weight, (w) => w),
  };
}

/** Constants up to this size may stand in a key. */
const MAX_KEY = 4096;

/** Gemm of computed operands: α·(A·B) + β·C is one row of two coefficients, the same for all elements. */
export function scaledGemmOf(at: RuleNode): Linear | undefined {
  const rank = at.outShape(0)?.length;
  if (at.state.opType !== "Gemm" || rank !== 2 || at.isConstant(0) || at.isConstant(1)) return undefined;
  const constant = at.has(2) && at.isConstant(2) ? param(at, 2) : undefined;
  if (constant === undefined ? at.has(2) && at.isConstant(2) : constant.dims.reduce((n, d) => n * d, 1) > MAX_KEY)
    return undefined;
  const coefficients = () => Float64Array.from(at.has(2) ? [at.float("alpha", 1), at.float("beta", 1)] : [at.float("alpha", 1)]);
  const weight: Param = {
    dtype: "float32",
    dims: [at.has(2) ? 2 : 1],
    source: undefined,
    values: coefficients,
    gain: 1,
    smallest: 1,
    mixed: false,
  };
  return {
    key: `Gemm|${at.int("transA", 0)}|${at.int("transB", 0)}|${at.has(2)}|${constant === undefined ? "" : `${constant.dims}:${constant.values()}`}`,
    weightIndex: -1,
    weight,
    bias: undefined,
    rowsOf: (w): Rows => ({
      axis: -1,
      dims: [1, 1],
      count: 1,
      width: w.length,
      weights: w,
      bias: new Float64Array(1),
      weight: "alpha and beta",
      biasName: "",
    }),
  };
}
