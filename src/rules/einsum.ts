/**
 * Einsum of computed operands and one constant one, w: y[output labels] = Σ Π operands. A gain rides on the labels.
 *   back     scale over output labels that w carries  w' = w ⊙ s
 *            otherwise over labels that one computed operand carries: on to that operand
 *   forward  scale over labels of a computed operand: those that w carries go into w, those in the output come out
 *            shift of the only computed operand (two operands): Σ over the summed labels of t·w comes out
 * A label that stands twice in one operand (a diagonal) blocks. ONNX Einsum 12, 28.
 */
import { axesOf, blocks, permute, type Spread, simplify, stretch, take, times } from "../affine/spread.ts";
import { einsumLabels, type Labels } from "../graph/labels.ts";
import { scaled } from "./params.ts";
import {
  absorb,
  isRefused,
  type Move,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  type Step,
  withParam,
} from "./types.ts";

interface Terms extends Labels {
  /** Position of the constant operand. */
  readonly constant: number | undefined;
}

function terms(at: RuleNode): Terms | Refused {
  const found = einsumLabels(
    at.node,
    at.node.inputs.map((_, i) => at.inShape(i)?.length),
  );
  if (found === undefined) return refuse("shape-unknown", "has an operand whose rank is unknown or does not fit its equation");
  if ([...found.operands, found.output].some((list) => new Set(list).size !== list.length))
    return refuse("operator-blocks", "takes the diagonal of an operand");
  const constants = at.node.inputs.flatMap((_, i) => (at.isConstant(i) ? [i] : []));
  return { ...found, constant: constants.length === 1 ? constants[0] : undefined };
}

/** A spread over `have` labels read over `want` labels; undefined when it varies along a label not wanted. */
function relabel(by: Spread, have: readonly string[], want: readonly string[]): Spread | undefined {
  if (axesOf(by).some((axis) => !want.includes(have[axis]))) return undefined;
  const kept = have.flatMap((label, axis) => (want.includes(label) ? [axis] : []));
  const dims = kept.map((axis) => by.dims[axis]);
  const narrow: Spread = { dims, data: by.data };
  const names = kept.map((axis) => have[axis]);
  const present = want.filter((label) => names.includes(label));
  const turned = permute(
    narrow,
    present.map((label) => names.indexOf(label)),
  );
  return { dims: want.map((label) => (present.includes(label) ? turned.dims[present.indexOf(label)] : 1)), data: turned.data };
}

/** True when the operand has the full size on every axis a spread varies on: nothing is broadcast along it. */
const covers = (dims: readonly (number | object)[] | undefined, by: Spread): boolean =>
  dims !== undefined && by.dims.every((d, a) => d === 1 || dims[a] === d);

const misfit = (by: Spread): Refused =>
  refuse(
    "axis-blocks",
    `has no single operand that carries every axis of the map, which varies over shape [${by.dims.join(", ")}]`,
    { facts: { map: by.dims } },
  );

function backScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const s = by as Spread;
  const t = terms(at);
  if (isRefused(t)) return t;
  const steps: Step[] = [];
  for (const [i, labels] of t.operands.entries()) {
    const own = relabel(s, t.output, labels);
    if (own === undefined) continue;
    if (at.isConstant(i)) {
      const w = at.param(i);
      if (!isRefused(w) && covers(w.dims, own)) return absorb(withParam(at.state, i, scaled(w, own)));
    } else if (covers(at.inShape(i), own)) {
      const list = new Array<Spread | undefined>(i + 1).fill(undefined);
      list[i] = own;
      steps.push({ pass: list });
    }
  }
  return steps.length > 0 ? steps : misfit(s);
}

/** Splits a map on one operand into what the constant takes and what comes out. */
function forwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const t = terms(at);
  if (isRefused(t)) return t;
  const mapped = by.flatMap((s, i) => (s === undefined ? [] : [i]));
  if (mapped.length !== 1) return refuse("operator-blocks", "would take a map on several operands");
  const s = by[mapped[0]] as Spread;
  const labels = t.operands[mapped[0]];
  const out = relabel(s, labels, t.output);
  // The output has the operand's own size there unless the operand is broadcast, and then the map is constant along it.
  if (t.constant !== undefined) {
    const w = at.param(t.constant);
    const own = relabel(s, labels, t.operands[t.constant]);
    if (!isRefused(w) && own !== undefined && covers(w.dims, own)) return absorb(withParam(at.state, t.constant, scaled(w, own)));
    if (out === undefined) return isRefused(w) ? w : misfit(s);
  }
  return out === undefined ? misfit(s) : [{ pass: [out] }];
}

/** Σ over labels that are not in the output of t ⊙ w, over the output labels. */
function contracted(t: Terms, index: number, by: Spread, w: Param, sizes: readonly number[]): Spread {
  const [labels, own] = [t.operands[index], t.operands[t.constant as number]];
  const all = [...t.output, ...labels, ...own].filter((label, i, list) => list.indexOf(label) === i);
  const spreadOver = (s: Spread, have: readonly string[]): Spread => relabel(s, have, all) as Spread;
  let filled = spreadOver(by, labels);
  for (const [axis, label] of labels.entries()) {
    // A summed axis counts each of its positions, even where neither factor varies.
    if (!t.output.includes(label)) filled = stretch(filled, all.indexOf(label), sizes[axis]);
  }
  let product = times(filled, spreadOver({ dims: w.dims, data: w.values() }, own));
  for (let axis = all.length - 1; axis >= t.output.length; axis--) product = summed(product, axis);
  return simplify({ dims: product.dims.slice(0, t.output.length), data: product.data });
}

function summed(s: Spread, axis: number): Spread {
  const [outer, n, inner] = blocks(s.dims, axis);
  const out = take(s, axis, [0]);
  for (let o = 0; o < outer; o++)
    for (let k = 1; k < n; k++) for (let i = 0; i < inner; i++) out.data[o * inner + i] += s.data[(o * n + k) * inner + i];
  return out;
}

function forwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const t = terms(at);
  if (isRefused(t)) return t;
  if (t.constant === undefined || t.operands.length !== 2)
    return refuse("weight-not-constant", "multiplies several computed values, so a shift does not stay a constant");
  const index = 1 - t.constant;
  const w = at.param(t.constant);
  if (isRefused(w)) return w;
  const shape = at.inShape(index);
  if (!shape?.every((d, axis) => typeof d === "number" || t.output.includes(t.operands[index][axis])))
    return refuse("shape-unknown", "sums over an axis of unknown size");
  return [{ pass: [contracted(t, index, by[index] as Spread, w, shape.map(Number))] }];
}

export const einsum: Rule = { type: "Einsum", backScale, forwardScale, forwardShift };
