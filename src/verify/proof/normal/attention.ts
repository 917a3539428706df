/**
 * Attention as one operator, as the products it is made of.
 *
 *   scores = s · Q·Kᵀ (+ mask), Y = Softmax(scores)·V, head by head; s is 1/√(size of a head of Q) where not told
 *
 *   Attention(Q, K, V, mask) 23       Q, K and V of [N, heads, length, size], or [N, length, heads · size]
 *   com.microsoft Attention(x, W, b)  Q, K and V are the columns of x·W + b, of one size each where not told
 *   com.microsoft MultiHeadAttention(Q, K, V, b)      b is added to Q, K and V side by side; K and V may be apart in heads already
 *
 * In float32, sizes and lengths known where they are used. As many heads of K and V as of Q, or each for a run of them (23). A mask
 * is added, or (23) a flag keeps what is true; causal: what comes later is left out. Not with a past, a cap or another output.
 */
import { floatAttr, intAttr, intsAttr } from "../../../graph/attributes.ts";
import { sameDim } from "../../../graph/dims.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { Body } from "./body.ts";
import type { Rewrite, Rewriting } from "./rewriting.ts";

const FLOAT = 1;
const BOOL = 9;

/** Heads apart: [N, heads, length, size]. */
interface Heads {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly size: number;
}

const apart = (body: Body, part: string, x: string, heads: number): string => {
  const rows = body.step(`${part}/heads`, "Reshape", [x, body.list(`${part}/sizes`, [0, 0, heads, -1])]);
  return body.step(`${part}/apart`, "Transpose", [rows], { perm: { ints: [0, 2, 1, 3] } });
};

/** What is added to the scores, in order. */
function attended(body: Body, { q, k, v, size }: Heads, scale: number, masks: readonly string[]): string {
  const turned = body.step("turned", "Transpose", [k], { perm: { ints: [0, 1, 3, 2] } });
  const product = body.step("product", "MatMul", [q, turned]);
  const factor = scale === 0 ? 1 / Math.sqrt(size) : scale;
  let scores = factor === 1 ? product : body.step("scores", "Mul", [product, body.number("scale", factor)]);
  for (const [i, mask] of masks.entries()) scores = body.step(`masked${i}`, "Add", [scores, mask]);
  return body.step("mixed", "MatMul", [body.step("weights", "Softmax", [scores], { axis: { i: -1 } }), v]);
}

const joined = (body: Body, mixed: string): ReturnType<Body["last"]> => {
  const turned = body.step("together", "Transpose", [mixed], { perm: { ints: [0, 2, 1, 3] } });
  return body.last("Reshape", [turned, body.list("rows", [0, 0, -1])]);
};

/** True where only the first output is read, and nothing is given but some inputs and attributes. */
function isPlain(node: GraphNode, side: Side, inputs: readonly number[], attributes: readonly string[]): boolean {
  const { record } = node;
  const bare =
    record.outputs.slice(1).every((name) => name === "") && record.inputs.every((name, i) => name === "" || inputs.includes(i));
  // A flag that is not set says nothing.
  const told = [...record.attributes].every(([name, { i }]) => attributes.includes(name) || i === 0n);
  return bare && told && side.facts.of(node.inputs[0]).dtype === FLOAT;
}

const isMicrosoft = (node: GraphNode, opType: string): boolean => node.domain === "com.microsoft" && node.opType === opType;

/** mask_filter_value counts only where a mask is given. */
const OWN = ["num_heads", "scale", "mask_filter_value"];

const packed: Rewrite = (node, side) => {
  if (!isMicrosoft(node, "Attention") || !isPlain(node, side, [0, 1, 2, 5], [...OWN, "qkv_hidden_sizes"])) return undefined;
  const { record, inputs } = node;
  const [width, heads] = [side.facts.size(inputs[1], 1), intAttr(record, "num_heads", 0)];
  if (width === undefined || heads < 1) return undefined;
  const sizes = intsAttr(record, "qkv_hidden_sizes") ?? new Array<number>(3).fill(width / 3);
  if (sizes.length !== 3 || sizes[0] + sizes[1] + sizes[2] !== width || sizes.some((n) => n % heads !== 0)) return undefined;
  const body = new Body(node);
  const [x, w, b, , , bias] = record.inputs;
  const product = body.step("columns", "MatMul", [x, w]);
  const whole = b ? body.step("biased", "Add", [product, b]) : product;
  const ends = [sizes[0], sizes[0] + sizes[1], width];
  const [q, k, v] = ["q", "k", "v"].map((part, i) => {
    const bounds = [i === 0 ? 0 : ends[i - 1], ends[i], 2].map((n, j) => body.list(`${part}/bound${j}`, [n]));
    return apart(body, part, body.step(part, "Slice", [whole, ...bounds]), heads);
  });
  return joined(body, attended(body, { q, k, v, size: sizes[0] / heads }, floatAttr(record, "scale", 0), bias ? [bias] : []));
};

const manyHeaded: Rewrite = (node, side) => {
  if (!isMicrosoft(node, "MultiHeadAttention") || !isPlain(node, side, [0, 1, 2, 3, 5], OWN)) return undefined;
  const { record, inputs } = node;
  const heads = intAttr(record, "num_heads", 0);
  const ranks = inputs.slice(0, 3).map((value) => side.facts.rank(value));
  const width = side.facts.size(inputs[0], 2);
  if (
    width === undefined ||
    heads < 1 ||
    ranks[0] !== 3 ||
    ranks[1] !== ranks[2] ||
    (ranks[1] !== 3 && (ranks[1] !== 4 || inputs[3]))
  )
    return undefined;
  const body = new Body(node);
  const widths = [width, width, side.facts.size(inputs[3], 0) ?? 0];
  const [q, k, v] = ["q", "k", "v"].map((part, i) => {
    const x = record.inputs[i];
    const start = i * width;
    const bounds = [start, i === 2 ? widths[2] : start + width].map((n, j) => [`${part}/bound${j}`, n] as const);
    const bias = record.inputs[3]
      ? body.step(`${part}/bias`, "Slice", [record.inputs[3], ...bounds.map(([name, n]) => body.list(name, [n]))])
      : undefined;
    const sum = bias === undefined ? x : body.step(`${part}/sum`, "Add", [x, bias]);
    return ranks[i] === 4 ? sum : apart(body, part, sum, heads);
  });
  const [, , , , , bias] = record.inputs;
  return joined(body, attended(body, { q, k, v, size: width / heads }, floatAttr(record, "scale", 0), bias ? [bias] : []));
};

/** Each head of K and V for a run of those of Q. */
function repeated(body: Body, part: string, x: string, own: number, times: number, length: number, size: number): string {
  if (times === 1) return x;
  const one = body.step(`${part}/one`, "Reshape", [x, body.list(`${part}/group`, [0, own, 1, length, size])]);
  const wide = body.step(`${part}/wide`, "Expand", [one, body.list(`${part}/times`, [1, 1, times, 1, 1])]);
  return body.step(`${part}/many`, "Reshape", [wide, body.list(`${part}/heads4`, [0, own * times, length, size])]);
}

/** 0 where a flag is set, and −∞ elsewhere. */
const barred = (body: Body, part: string, flag: string): string =>
  body.step(part, "Where", [flag, body.number(`${part}/in`, 0), body.number(`${part}/out`, Number.NEGATIVE_INFINITY)]);

const standard: Rewrite = (node, side) => {
  const attributes = [
    "scale",
    "is_causal",
    "q_num_heads",
    "kv_num_heads",
    "softcap",
    "softmax_precision",
    "qk_matmul_output_mode",
  ];
  const { record, inputs } = node;
  if (node.domain !== "" || node.opType !== "Attention" || !isPlain(node, side, [0, 1, 2, 3], attributes)) return undefined;
  if (floatAttr(record, "softcap", 0) !== 0 || record.attributes.get("scale")?.f === 0) return undefined;
  const { facts } = side;
  const flat = facts.rank(inputs[0]) === 3;
  const [p, q] = ["q_num_heads", "kv_num_heads"].map((name, i) =>
    flat ? intAttr(record, name, 0) : (facts.size(inputs[i], 1) ?? 0),
  );
  const last = inputs.slice(0, 3).map((value) => facts.size(value, flat ? 2 : 3));
  const lengths = inputs.slice(0, 2).map((value) => facts.size(value, flat ? 1 : 2));
  if (p < 1 || q < 1 || p % q !== 0 || last.some((d) => d === undefined)) return undefined;
  const [sizeQ, sizeK, sizeV] = (last as number[]).map((d, i) => (flat ? d / (i === 0 ? p : q) : d));
  const causal = intAttr(record, "is_causal", 0) === 1;
  if (causal ? lengths[0] === undefined || lengths[0] !== lengths[1] : p !== q && lengths[1] === undefined) return undefined;
  // A mask may be shorter than what it is for.
  const long = facts.shape(inputs[1])?.at(flat ? 1 : 2);
  if (inputs[3] !== undefined && !sameDim(facts.shape(inputs[3])?.at(-1), long)) return undefined;
  const body = new Body(node);
  const heads = (part: string, i: number, n: number) => (flat ? apart(body, part, record.inputs[i], n) : record.inputs[i]);
  const length = lengths[1] ?? 0;
  const [k, v] = [["k", 1, sizeK] as const, ["v", 2, sizeV] as const].map(([part, i, size]) =>
    repeated(body, part, heads(part, i, q), q, p / q, length, size),
  );
  const masks: string[] = [];
  if (causal) {
    const shape = body.list("square", lengths as number[]);
    const ones = body.step("ones", "Expand", [
      body.step("one", "Cast", [body.number("one/float", 1)], { to: { i: BOOL } }),
      shape,
    ]);
    masks.push(barred(body, "causal", body.step("earlier", "Trilu", [ones], { upper: { i: 0 } })));
  }
  const { dtype } = facts.of(inputs[3]);
  if (inputs[3] !== undefined) masks.push(dtype === BOOL ? barred(body, "mask", record.inputs[3]) : record.inputs[3]);
  const mixed = attended(body, { q: heads("q", 0, p), k, v, size: sizeQ }, floatAttr(record, "scale", 0), masks);
  return flat ? joined(body, mixed) : body.last("Identity", [mixed]);
};

export const ATTENTION: readonly Rewriting[] = [
  { equation: ["Attention, MultiHeadAttention of ONNX Runtime", "Softmax(s · Q·Kᵀ + mask) · V"], rewrite: packed },
  { equation: ["MultiHeadAttention(Q, K, V, b)", "the same"], rewrite: manyHeaded },
  { equation: ["Attention(Q, K, V, mask)", "the same"], rewrite: standard },
];
