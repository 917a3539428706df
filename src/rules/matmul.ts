/**
 * MatMul: y = A·B. With one operand constant it is a linear layer, with both dynamic it only passes gains on.
 *   X·B, B [K, N]   back scale on N  B[:,n]·s[n];  back shift  a bias follows (Gemm when X is a matrix, else an Add)
 *                   forward scale on K  B[k,:]·s[k], on other axes of X  passes through;  forward shift on K  t·B comes out
 *   A·X, A [M, K]   the same, mirrored: axis −2
 *   X·Z             back scale on the last axis goes into Z, on other axes into X; a batch of constant matrices takes it
 *   P·Z             P a Softmax over its last axis, so that its rows sum to one: P·(Z + 1tᵀ) = P·Z + 1tᵀ, a shift passes to Z
 *                   and out of it, as long as it is the same for all rows of Z; mirrored for Z·P with columns that sum to one
 * ONNX MatMul 1, 9, 13.
 */
import { along, axesOf, every, numberOf, type Spread, simplify } from "../affine/spread.ts";
import { intAttr, intsAttr } from "../graph/attributes.ts";
import { contract } from "./gemm.ts";
import { fresh, scaled, shifted, trimmed, vectorOn } from "./params.ts";
import { absorb, isRefused, type Move, type Param, type Rule, type RuleNode, refuse, type Step, withParam } from "./types.ts";
import { scaleWeight, type Weight, weightOf } from "./weights.ts";

interface Layer {
  /** Input position of the constant matrix. */
  readonly index: number;
  readonly weight: Weight;
  /** Axis of the output that its own axis makes, and that axis of the weight. */
  readonly outAxis: number;
  readonly outAt: number;
  /** Axis of the dynamic operand that is summed over, and that axis of the weight. */
  readonly inAxis: number;
  readonly inAt: number;
  readonly rank: number;
}

function layer(at: RuleNode): Layer | undefined {
  const rank = at.outShape(0)?.length;
  if (rank === undefined || rank < 2) return undefined;
  for (const index of [1, 0]) {
    if (!at.isConstant(index) || at.inShape(1 - index)?.length !== rank) continue;
    const weight = weightOf(at, index);
    if (isRefused(weight) || weight.dims.length !== 2) continue;
    return index === 1
      ? { index, weight, outAxis: rank - 1, outAt: 1, inAxis: rank - 1, inAt: 0, rank }
      : { index, weight, outAxis: rank - 2, outAt: 0, inAxis: rank - 2, inAt: 1, rank };
  }
  return undefined;
}

/** The map without the gain of the other axis when it can go to the other operand. */
function backScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const s = by as Spread;
  const found = layer(at);
  if (found === undefined) return dynamicScale(at, s);
  const { weight, outAxis, outAt } = found;
  const vector = vectorOn(s, outAxis, weight.dims[outAt]);
  if (vector === undefined) {
    return refuse(
      "axis-blocks",
      `makes ${weight.dims[outAt]} features on axis ${outAxis}, but the map varies over shape [${s.dims.join(", ")}]`,
      {
        facts: { axis: outAxis, map: s.dims },
      },
    );
  }
  let { state } = at;
  if (at.state.bias !== undefined) {
    const { bias } = at.state;
    state = { ...state, bias: trimmed(scaled(withRank(bias, found.rank), along(found.rank, outAxis, vector)), bias.dims.length) };
  }
  return [scaleWeight(state, weight, along(2, outAt, vector))];
}

function withRank(param: Param, rank: number): Param {
  return { ...param, dims: [...new Array<number>(rank - param.dims.length).fill(1), ...param.dims] };
}

/** Both operands dynamic (or the constant is not a plain matrix): columns belong to B, rows to A. */
function dynamicScale(at: RuleNode, s: Spread): Move {
  const rank = at.outShape(0)?.length;
  const ranks = [at.inShape(0)?.length, at.inShape(1)?.length];
  if (rank === undefined || rank < 2 || s.dims.length !== rank) return refuse("shape-unknown", "has operands of unknown rank");
  const axes = axesOf(s);
  const steps: Step[] = [];
  for (const i of [0, 1]) {
    // A batch axis that only one operand has is the other's to broadcast.
    if (ranks[i] !== rank || axes.includes(i === 0 ? rank - 1 : rank - 2)) continue;
    if (!axes.every((axis) => at.inShape(i)?.[axis] === s.dims[axis])) continue;
    const own = at.isConstant(i) ? at.param(i) : undefined;
    if (own === undefined) steps.push({ pass: i === 0 ? [s] : [undefined, s] });
    else if (!isRefused(own)) return absorb(withParam(at.state, i, scaled(own, s)));
  }
  return steps.length > 0 ? steps : refuse("axis-blocks", "has no operand that carries the map's axes");
}

/** A bias after the product: into the one already there, by becoming a Gemm, or as a new Add. */
function addBias(at: RuleNode, found: Layer, t: Float64Array): Move {
  const { bias } = at.state;
  const { rank, outAxis } = found;
  const by = along(rank, outAxis, t);
  if (bias !== undefined) return absorb({ ...at.state, bias: trimmed(shifted(withRank(bias, rank), by), bias.dims.length) });
  const small = found.index === 1 ? 1 : 2;
  const made = trimmed(
    fresh(found.weight.dtype, by.dims, () => t.slice()),
    small,
  );
  if (rank === 2 && at.version >= 7) return absorb({ ...withParam(at.state, 2, made), opType: "Gemm" });
  return absorb({ ...at.state, bias: made });
}

/**
 * The operand whose weighted averages the product is: the other one is a Softmax (perhaps transposed or dropped out) over the
 * axis that is summed over. The Softmax's rows sum to one in real arithmetic; a row that is masked whole is NaN either way.
 */
function averaged(at: RuleNode): number | undefined {
  for (const weights of [0, 1]) {
    const rank = at.inShape(weights)?.length;
    if (rank === undefined || rank < 2 || rank !== at.outShape(0)?.length) continue;
    if (sumsToOne(at, weights, rank) === (weights === 0 ? rank - 1 : rank - 2)) return 1 - weights;
  }
  return undefined;
}

/** The axis over which an input sums to one. */
function sumsToOne(at: RuleNode, index: number, rank: number): number | undefined {
  let producer = at.node.inputs[index]?.producer;
  let moved = Array.from({ length: rank }, (_, i) => i);
  while (producer !== undefined && producer.domain === "") {
    const { opType, record, version } = producer;
    if (opType === "Transpose") {
      const perm = intsAttr(record, "perm") ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
      moved = moved.map((axis) => perm[axis]);
    } else if (opType === "Softmax") {
      const axis = intAttr(record, "axis", version < 13 ? 1 : -1);
      const positive = axis < 0 ? axis + rank : axis;
      // Before opset 13 everything from the axis on is one distribution.
      return version < 13 && positive !== rank - 1 ? undefined : moved.indexOf(positive);
    } else if (opType !== "Identity") return undefined;
    producer = producer.inputs[0]?.producer;
  }
  return undefined;
}

/** The step that hands a shift to or from the averaged operand; undefined when it varies over what is averaged. */
function throughAverage(at: RuleNode, t: Spread, back: boolean): Step | undefined {
  const operand = averaged(at);
  if (operand === undefined) return undefined;
  const rank = t.dims.length;
  const summed = operand === 1 ? rank - 2 : rank - 1;
  const shape = back ? at.inShape(operand) : at.outShape(0);
  if (rank !== at.outShape(0)?.length || t.dims[summed] !== 1 || !axesOf(t).every((axis) => shape?.[axis] === t.dims[axis]))
    return undefined;
  return { pass: back && operand === 1 ? [undefined, t] : [t] };
}

function backShift(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const found = layer(at);
  if (found === undefined) {
    const step = throughAverage(at, by as Spread, true);
    return step === undefined
      ? refuse("weight-not-constant", "multiplies two computed values, so a shift has nowhere to go")
      : [step];
  }
  const vector = vectorOn(by as Spread, found.outAxis, found.weight.dims[found.outAt]);
  if (vector === undefined)
    return refuse(
      "axis-blocks",
      `makes ${found.weight.dims[found.outAt]} features on axis ${found.outAxis}, but the map lies elsewhere`,
    );
  return addBias(at, found, vector);
}

function forwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const found = layer(at);
  if (found === undefined) return forwardDynamic(at, by);
  const s = by[1 - found.index] as Spread;
  const vector = vectorOn(s, found.inAxis, found.weight.dims[found.inAt]);
  const { own } = found.weight;
  if (vector !== undefined)
    return isRefused(own) ? own : absorb(withParam(at.state, found.index, scaled(own, along(2, found.inAt, vector))));
  if (axesOf(s).includes(found.inAxis))
    return refuse("axis-blocks", "sums over an axis on which the map varies with another one");
  if (at.state.bias !== undefined) return refuse("shift-blocks", "has a bias that the gain may not touch");
  return [{ pass: [s] }];
}

function forwardDynamic(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const rank = at.outShape(0)?.length;
  if (rank === undefined || rank < 2) return refuse("shape-unknown", "has operands of unknown rank");
  const factors: Spread[] = [];
  for (const [i, s] of by.entries()) {
    if (s === undefined) continue;
    if (at.inShape(i)?.length !== rank || axesOf(s).includes(i === 0 ? rank - 1 : rank - 2)) {
      return refuse("axis-blocks", "sums over the axis of the map, and its other operand is not constant");
    }
    factors.push(s);
  }
  if (factors.length !== 1) return refuse("operator-blocks", "would take a map on both operands");
  return [{ pass: [factors[0]] }];
}

function forwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const found = layer(at);
  if (found === undefined) {
    const operand = averaged(at);
    const only = operand !== undefined && by.every((t, i) => t === undefined || i === operand);
    const step = only ? throughAverage(at, by[operand] as Spread, false) : undefined;
    return step === undefined
      ? refuse("weight-not-constant", "multiplies two computed values, so a shift does not stay a constant")
      : [step];
  }
  const t = by[1 - found.index] as Spread;
  const vector = vectorOn(t, found.inAxis, found.weight.dims[found.inAt]);
  if (vector === undefined)
    return refuse(
      "axis-blocks",
      `sums over ${found.weight.dims[found.inAt]} features, but the map varies over shape [${t.dims.join(", ")}]`,
    );
  const { own } = found.weight;
  if (isRefused(own)) return own;
  const sums = contract(own.values(), own.dims, found.inAt, vector);
  const out = simplify(along(found.rank, found.outAxis, sums));
  if (every(out, (v) => v === 0) || numberOf(out) === 0) return absorb(at.state);
  const here = addBias(at, found, sums);
  const bias = at.state.bias !== undefined;
  const onward: Step = { pass: [along(found.rank, found.outAxis, sums)] };
  return isRefused(here) ? [onward] : bias ? here : [onward, ...here];
}

export const matmul: Rule = { type: "MatMul", backScale, backShift, forwardScale, forwardShift };
