/**
 * Products of matrices and of tensors as one Einsum, whatever the order of their axes:
 *
 *   MatMul(M(x), M'(z)), Mul, Gemm, Einsum of two; Conv(M(x), W), ConvTranspose of patches       M''(Einsum(x, z)) (+ b)
 *
 * Labels are the atoms of x and z: an axis that either has in parts is taken apart in both. The axes of the result lie as those of x, with
 * what z adds in the place of the first that is summed; a constant z is laid out as [summed and shared labels as in x, all it adds in one]. Neither
 * operand is summed on its own, or has one label twice. Of a Gemm α = β = 1, of a Conv one group, no padding, strides as long as its kernel.
 */
import { intAttr, intsAttr, stringAttr } from "../../../graph/attributes.ts";
import { type Dim, divide, product, type Shape, sameDim } from "../../../graph/dims.ts";
import { einsumLabels } from "../../../graph/labels.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { make } from "../normal/rewriting.ts";
import { added } from "./elementwise.ts";
import { type Draft, type Held, heldShape } from "./held.ts";
import { cut, idsOf, type Move, refined, reshaped, simplified } from "./move.ts";

/** A product: labels of the axes of its operands and of its result. */
interface Terms {
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
  /** The axes the labels are of, where the operands have others. */
  readonly shapes?: readonly Shape[];
  /** The axes the labels of the result are of, where it has others. */
  readonly made?: Shape;
  /** What is added, and its shape beside the result. */
  readonly bias?: { readonly value: GraphValue; readonly shape: Shape };
}

const count = (n: number, name: (i: number) => string): string[] => Array.from({ length: n }, (_, i) => name(i));

function ofMatMul(p: number, q: number): Terms | undefined {
  if (p < 2 || q < 2) return undefined;
  const batch = (rank: number) => count(rank - 2, (i) => `b${rank - 3 - i}`);
  return {
    operands: [
      [...batch(p), "m", "k"],
      [...batch(q), "k", "n"],
    ],
    output: [...batch(Math.max(p, q)), "m", "n"],
  };
}

/** Each spread out to the other. */
function ofMul(p: number, q: number): Terms {
  const axes = (rank: number) => count(rank, (i) => `a${rank - 1 - i}`);
  return { operands: [axes(p), axes(q)], output: axes(Math.max(p, q)) };
}

function ofGemm(node: GraphNode, draft: Draft): Terms | undefined {
  const { record, inputs } = node;
  if (["alpha", "beta"].some((name) => (record.attributes.get(name)?.f ?? 1) !== 1) || node.version < 7) return undefined;
  const laid = (labels: string[], flag: string) => (intAttr(record, flag, 0) === 0 ? labels : labels.toReversed());
  const shape = draft.side.facts.shape(inputs[2]);
  if (inputs[2] !== undefined && (shape === undefined || shape.length > 2)) return undefined;
  return {
    operands: [laid(["m", "k"], "transA"), laid(["k", "n"], "transB")],
    output: ["m", "n"],
    ...(inputs[2] === undefined
      ? {}
      : {
          bias: { value: inputs[2], shape: [...count(2 - (shape as Shape).length, () => "").map(() => 1), ...(shape as Shape)] },
        }),
  };
}

/** True of windows that lie side by side: as long as their strides, none of them padded. */
function laysPatches({ record }: GraphNode, taps: Shape): boolean {
  const all = (name: string, v: number) => (intsAttr(record, name) ?? []).every((d) => d === v);
  const strides = intsAttr(record, "strides") ?? taps.map(() => 1);
  return (
    intAttr(record, "group", 1) === 1 &&
    ["NOTSET", "VALID", ""].includes(stringAttr(record, "auto_pad", "NOTSET")) &&
    all("pads", 0) &&
    all("dilations", 1) &&
    all("output_padding", 0) &&
    !record.attributes.has("output_shape") &&
    taps.every((d, i) => d === strides[i])
  );
}

function ofConv(node: GraphNode, draft: Draft): Terms | undefined {
  const { inputs } = node;
  const [x, weight] = inputs.map((value) => draft.side.facts.shape(value));
  if (x === undefined || weight === undefined || weight.length < 3 || x.length !== weight.length || inputs[3]) return undefined;
  const taps = weight.slice(2);
  if (!laysPatches(node, taps)) return undefined;
  const [outer, inner] = ["p", "q"].map((name) => count(taps.length, (i) => `${name}${i}`));
  const both = <T>(p: readonly T[], q: readonly T[]): T[] => p.flatMap((one, i) => [one, q[i]]);
  if (node.opType === "ConvTranspose") {
    const made = [x[0], weight[1], ...both(x.slice(2), taps)];
    return {
      operands: [
        ["n", "c", ...outer],
        ["c", "o", ...inner],
      ],
      made,
      output: ["n", "o", ...both(outer, inner)],
      ...(inputs[2] === undefined ? {} : { bias: { value: inputs[2], shape: made.map((d, axis) => (axis === 1 ? d : 1)) } }),
    };
  }
  const places = x.slice(2).map((d, i) => divide(d, taps[i]));
  if (places.some((d) => d === undefined)) return undefined;
  return {
    operands: [
      ["n", "c", ...both(outer, inner)],
      ["o", "c", ...inner],
    ],
    shapes: [[x[0], x[1], ...both(places as Dim[], taps)], weight],
    output: ["n", "o", ...outer],
    ...(inputs[2] === undefined ? {} : { bias: { value: inputs[2], shape: [1, weight[0], ...taps.map(() => 1)] } }),
  };
}

function termsOf(node: GraphNode, draft: Draft): Terms | undefined {
  const ranks = node.inputs.slice(0, 2).map((value) => draft.side.facts.rank(value));
  const [p, q] = ranks;
  if (node.domain !== "" || p === undefined || q === undefined) return undefined;
  if (node.opType === "MatMul") return ofMatMul(p, q);
  if (node.opType === "Gemm") return ofGemm(node, draft);
  if (node.opType === "Conv" || node.opType === "ConvTranspose") return ofConv(node, draft);
  if (node.opType === "Mul") return ofMul(p, q);
  return node.opType === "Einsum" && node.inputs.length === 2 ? einsumLabels(node, ranks) : undefined;
}

/** An operand as atoms with labels of their own: "k" of two atoms as "k.0" and "k.1". */
interface Factor {
  readonly core: string;
  readonly move: Move;
  readonly fixed: boolean;
  /** Labels of its atoms, in the order of the core. */
  readonly labels: readonly string[];
}

/** Operands whose axes of one label have the same atoms. */
export function factorsOf(held: readonly Held[], operands: Terms["operands"], draft: Draft): Factor[] | undefined {
  let moves = held.map(({ move }) => move);
  const sizes = (move: Move, axis: number): Shape => move.joins[axis].map((i) => move.splits.flat()[i]);
  for (const label of new Set(operands.flat())) {
    const axes = operands.map((labels) => labels.indexOf(label));
    const [p, q] = axes.map((axis, i) => (axis < 0 ? [] : sizes(moves[i], axis)));
    // One of them may be spread out.
    if (label === "" || p.length === 0 || q.length === 0) continue;
    const pieces = refined(p, q);
    if (pieces === undefined) return undefined;
    moves = moves.map((move, i) => {
      const join = move.joins[axes[i]];
      const own = (at: number) => pieces.filter((piece) => (i === 0 ? piece.p : piece.q) === at).map(({ size }) => size);
      return cut(
        move,
        move.splits.flat().map((d, id) => (join.includes(id) ? own(join.indexOf(id)) : [d])),
      );
    });
  }
  return moves.map((move, i) => {
    const labels: string[] = new Array(move.splits.flat().length);
    for (const [axis, join] of move.joins.entries())
      for (const [k, id] of join.entries()) labels[id] = `${operands[i][axis]}.${k}`;
    return { core: held[i].core, move, fixed: draft.isFixed(held[i].core), labels };
  });
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** An operand with one axis for each group of labels, in this order. */
function laid(
  draft: Draft,
  node: GraphNode,
  { core, move, labels }: Factor,
  groups: readonly (readonly string[])[],
): string | undefined {
  const joins = groups.map((group) => group.map((label) => labels.indexOf(label)));
  return draft.name(node, core, simplified({ ...move, joins }));
}

/** Atoms of one axis of the core that are on their own stay one axis. */
function groupsOf({ move, labels }: Factor, isFree: (label: string) => boolean): string[][] {
  return idsOf(move).flatMap((ids) => {
    const own = ids.map((i) => labels[i]);
    return own.length > 1 && own.every(isFree) ? [own] : own.map((label) => [label]);
  });
}

/** An operand with an axis of one for each group it has not. */
function spreadOut(draft: Draft, node: GraphNode, one: Factor, groups: readonly (readonly string[])[]): string | undefined {
  return laid(
    draft,
    node,
    one,
    groups.map((group) => (one.labels.includes(group[0]) ? group : [])),
  );
}

/** The product as an Einsum, its labels named in the order in which they come; undefined where there are more than letters. */
function summed(
  node: GraphNode,
  names: readonly string[],
  terms: readonly (readonly (readonly string[])[])[],
  core: string,
): NodeRecord | undefined {
  const letters = new Map<string, string>();
  const [p, q, y] = terms.map((groups) => {
    for (const [label] of groups) if (!letters.has(label)) letters.set(label, LETTERS[letters.size]);
    return groups.map(([label]) => letters.get(label)).join("");
  });
  return letters.size > LETTERS.length ? undefined : make(node, "Einsum", names, core, { equation: { s: `${p},${q}->${y}` } });
}

export function contracted(
  draft: Draft,
  node: GraphNode,
  [x, z]: readonly Factor[],
  output: readonly string[],
): Held | undefined {
  const mine = new Set(x.labels);
  const theirs = new Set(z.labels);
  const outside = new Map<string, number>();
  for (const [axis, label] of output.entries()) outside.set(label, axis);
  const axisOf = (label: string) => outside.get(label.slice(0, label.lastIndexOf(".")));
  const isOut = (label: string) => axisOf(label) !== undefined;
  if ([...x.labels, ...z.labels].some((label) => !isOut(label) && !(mine.has(label) && theirs.has(label)))) return undefined;
  const left = groupsOf(x, (label) => isOut(label) && !theirs.has(label));
  const adds = z.labels.filter((label) => !mine.has(label));
  const shared = left.filter(([label]) => theirs.has(label));
  const more = z.fixed
    ? adds.length > 0
      ? [adds]
      : []
    : groupsOf(z, (label) => isOut(label) && !mine.has(label)).filter(([label]) => !mine.has(label));
  const right = z.fixed ? [...shared, ...more] : groupsOf(z, (label) => isOut(label) && !mine.has(label));
  const at = left.findIndex(([label]) => !isOut(label));
  const kept = left.map((group) => (isOut(group[0]) ? [group] : []));
  const made = at < 0 ? [...kept.flat(), ...more] : [...kept.slice(0, at).flat(), ...more, ...kept.slice(at).flat()];
  const core = `${node.record.outputs[0]}/axes/product`;
  const size = (label: string): Dim => {
    const from = mine.has(label) ? x : z;
    return from.move.splits.flat()[from.labels.indexOf(label)];
  };
  const splits = made.map((group) => group.map(size));
  const shape = splits.map(product);
  const names =
    at < 0 ? [x, z].map((one) => spreadOut(draft, node, one, made)) : [laid(draft, node, x, left), laid(draft, node, z, right)];
  if (names.some((name) => name === undefined)) return undefined;
  const record = at < 0 ? make(node, "Mul", names as string[], core) : summed(node, names as string[], [left, right, made], core);
  if (record === undefined) return undefined;
  const ids = new Map(made.flat().map((label, i) => [label, i]));
  const part = (label: string) => Number(label.slice(label.lastIndexOf(".") + 1));
  const joins = output.map((_, axis) =>
    [...ids.keys()]
      .filter((label) => axisOf(label) === axis)
      .toSorted((a, b) => part(a) - part(b))
      .map((label) => ids.get(label) as number),
  );
  draft.core(record, shape);
  return { core, move: { from: shape, splits, joins }, order: node.order };
}

/** True where shapes say that labels mean one size in all operands, but for axes of 1. */
function fits(held: readonly Held[], { operands, output }: Terms, shape: Shape): boolean {
  const sizes = new Map<string, Dim>();
  for (const [i, labels] of operands.entries()) {
    if (new Set(labels.filter((l) => l !== "")).size !== labels.filter((l) => l !== "").length) return false;
    for (const [axis, label] of labels.entries()) {
      const d = heldShape(held[i])[axis];
      if (d === 1) continue;
      if (label === "" || (sizes.has(label) && !sameDim(sizes.get(label), d))) return false;
      sizes.set(label, d);
    }
  }
  return output.length === shape.length && output.every((label, axis) => sameDim(sizes.get(label) ?? 1, shape[axis]));
}

/** A factor of one number, of what is multiplied by what is computed: it goes behind the product. */
function unscaled(draft: Draft, held: Held, scales: NodeRecord[]): Held {
  const maker = draft.makers.get(held.core);
  if (maker === undefined || (maker.opType !== "Mul" && maker.opType !== "Div")) return held;
  const at = maker.inputs.findIndex((name) => draft.isFixed(name) && draft.shape(name)?.every((d) => d === 1));
  if (at < 0 || (maker.opType === "Div" && at === 0)) return held;
  scales.push(maker);
  return unscaled(draft, { ...held, core: maker.inputs[1 - at] }, scales);
}

function scaled(draft: Draft, node: GraphNode, product: Held, scales: readonly NodeRecord[]): Held {
  let { core } = product;
  for (const [i, maker] of scales.entries()) {
    const to = `${core}/scaled${i}`;
    const at = maker.inputs.findIndex((name) => draft.isFixed(name));
    const one = draft.name(node, maker.inputs[at], {
      from: draft.shape(maker.inputs[at]) as Shape,
      splits: (draft.shape(maker.inputs[at]) as Shape).map(() => []),
      joins: [],
    });
    draft.core({ ...maker, inputs: maker.inputs.with(at, one as string).with(1 - at, core), outputs: [to] }, product.move.from);
    core = to;
  }
  return { ...product, core };
}

export function multiplied(draft: Draft, node: GraphNode): boolean {
  const [out, terms] = [node.outputs[0], termsOf(node, draft)];
  const to = draft.side.facts.shape(out);
  const shape = terms?.made ?? to;
  if (terms === undefined || to === undefined || out === undefined || shape === undefined || node.version < 7) return false;
  const given = node.inputs.slice(0, 2).map((value, i): Held | undefined => {
    const own = draft.of(value);
    const move = own && (terms.shapes === undefined ? own.move : reshaped(own.move, terms.shapes[i]));
    return own && move && { ...own, move };
  });
  if (given.some((one) => one === undefined) || !fits(given as Held[], terms, shape)) return false;
  let held = given as Held[];
  let { operands } = terms;
  // A constant comes second.
  if (draft.isFixed(held[0].core)) [held, operands] = [held.toReversed(), operands.toReversed()];
  const scales: NodeRecord[] = [];
  const bare = held.map((one) => unscaled(draft, one, scales));
  const factors = factorsOf(bare, operands, draft);
  const product = factors && contracted(draft, node, factors, terms.output);
  const made = product && scaled(draft, node, product, scales);
  const whole = made && terms.bias ? added(draft, node, made, terms.bias.value, terms.bias.shape, shape) : made;
  const move = whole && (terms.made === undefined ? whole.move : reshaped(whole.move, to));
  return whole !== undefined && move !== undefined && draft.hold(out, whole.core, move, node.order);
}
