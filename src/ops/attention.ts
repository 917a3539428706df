/**
 * Attention 23 to 25 and FlexAttention (ai.onnx.preview 1), per batch b and query head h with its key head g = ⌊h·Hkv/Hq⌋:
 *
 *   S = scale·Q·Kᵀ,   S ← cap·tanh(S/cap),   P = softmax(S + bias),   Y = P·V
 *
 * bias is 0 or the mask's number where key j is allowed for query i, −∞ elsewhere. Key j is allowed when the boolean mask
 * says so, j ≤ i + offset (causal), i + offset − left ≤ j ≤ i + offset + right (window) and j < nonpad_kv_seqlen[b]; offset
 * is the length of the past, or nonpad_kv_seqlen[b] − Sq for a cache kept outside. A mask shorter than the keys is continued
 * with −∞. A query whose bias is −∞ everywhere has P = 0. FlexAttention maps S and P through its two graphs instead.
 */
import { type Matrix, multiply } from "../kernels/index.ts";
import { type DType, dtypeOf } from "../onnx/dtype.ts";
import { asFloat64, asNumbers, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { broadcastDims, broadcastStrides, show, transpose, withDims } from "./broadcast.ts";
import { isTensor, type OpContext, type OpDef, tensorOp } from "./define.ts";
import { softmaxLine } from "./softmax.ts";

/** B × heads × sequence × size. */
interface Heads {
  readonly data: Float64Array;
  readonly batch: number;
  readonly heads: number;
  readonly length: number;
  readonly size: number;
}

const headsOf = (t: Tensor): Heads => {
  const [batch, heads, length, size] = t.dims;
  return { data: asFloat64(t), batch, heads, length, size };
};

/** A packed B × S × (heads·size) tensor with its heads as axis 1; a 4-D one as it is. */
export function splitHeads(context: OpContext, t: Tensor, heads: number): Tensor {
  if (t.dims.length === 4) return t;
  const [batch, length, width] = t.dims;
  if (t.dims.length !== 3 || heads < 1 || width % heads !== 0) {
    throw context.fail(`a tensor of shape ${show(t.dims)} does not hold ${heads} heads`);
  }
  return transpose(withDims(t, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** The reverse: B × H × S × D to B × S × (H·D). */
export function mergeHeads(t: Tensor): Tensor {
  const [batch, heads, length, size] = t.dims;
  return withDims(transpose(t, [0, 2, 1, 3]), [batch, length, heads * size]);
}

/** Past and new sequence, one after the other. */
function append(past: Tensor | undefined, fresh: Tensor): Tensor {
  if (past === undefined) return fresh;
  const [p, n] = [headsOf(past), headsOf(fresh)];
  const length = p.length + n.length;
  const data = new Float64Array(n.batch * n.heads * length * n.size);
  for (let r = 0, at = 0; r < n.batch * n.heads; r++) {
    data.set(p.data.subarray(r * p.length * n.size, (r + 1) * p.length * n.size), at);
    data.set(n.data.subarray(r * n.length * n.size, (r + 1) * n.length * n.size), at + p.length * n.size);
    at += length * n.size;
  }
  return { dtype: fresh.dtype, dims: [n.batch, n.heads, length, n.size], data };
}

/** scale·Q·Kᵀ, B × Hq × Sq × Sk. */
function scoresOf(q: Heads, k: Heads, scale: number): Float64Array {
  const out = new Float64Array(q.batch * q.heads * q.length * k.length);
  for (let b = 0; b < q.batch; b++) {
    for (let h = 0; h < q.heads; h++) {
      const g = Math.floor((h * k.heads) / q.heads);
      const left: Matrix = { data: q.data, base: (b * q.heads + h) * q.length * q.size, row: q.size, column: 1 };
      const right: Matrix = { data: k.data, base: (b * k.heads + g) * k.length * k.size, row: 1, column: k.size };
      multiply(q.length, k.length, q.size, left, right, out, (b * q.heads + h) * q.length * k.length);
    }
  }
  for (let i = 0; i < out.length; i++) out[i] *= scale;
  return out;
}

/** P·V, B × Hq × Sq × Dv. */
function weighted(p: Float64Array, q: Heads, v: Heads): Float64Array {
  const out = new Float64Array(q.batch * q.heads * q.length * v.size);
  for (let b = 0; b < q.batch; b++) {
    for (let h = 0; h < q.heads; h++) {
      const g = Math.floor((h * v.heads) / q.heads);
      const left: Matrix = { data: p, base: (b * q.heads + h) * q.length * v.length, row: v.length, column: 1 };
      const right: Matrix = { data: v.data, base: (b * v.heads + g) * v.length * v.size, row: v.size, column: 1 };
      multiply(q.length, v.size, v.length, left, right, out, (b * q.heads + h) * q.length * v.size);
    }
  }
  return out;
}

function checkHeads(context: OpContext, q: Heads, k: Heads, v: Heads): void {
  const fits = k.size === q.size && k.heads === v.heads && k.length === v.length && k.batch === q.batch && v.batch === q.batch;
  if (!fits || k.heads === 0 || q.heads % k.heads !== 0) throw context.fail("Q, K and V do not fit together");
}

/** What decides which keys a query sees. */
interface Visibility {
  readonly mask: Tensor | undefined;
  readonly causal: boolean;
  /** −1: unbounded. */
  readonly left: number;
  readonly right: number;
  readonly past: number;
  /** Valid keys per batch, for a cache kept outside. */
  readonly valid: readonly number[] | undefined;
}

/** Writes the bias of batch b, head h to `bias` (Sq × Sk). */
type BiasWriter = (b: number, h: number, bias: Float64Array) => void;

function biasWriter(context: OpContext, q: Heads, keys: number, view: Visibility): BiasWriter {
  const { mask, valid } = view;
  const length = mask === undefined ? keys : Math.min(keys, mask.dims[mask.dims.length - 1] ?? 1);
  const target = [q.batch, q.heads, q.length, length];
  if (mask !== undefined && show(broadcastDims(target, mask.dims)) !== show(target)) {
    throw context.fail(`attn_mask of shape ${show(mask.dims)} does not broadcast to ${show(target)}`);
  }
  const strides = mask === undefined ? [] : broadcastStrides(mask.dims, target);
  const numbers = mask && asFloat64(mask);
  const logical = mask?.dtype === "bool";
  return (b, h, bias) => {
    const offset = valid === undefined ? view.past : valid[b] - q.length;
    for (let i = 0, at = 0; i < q.length; i++) {
      const p = i + offset;
      const first = view.left < 0 ? 0 : p - view.left;
      let last = view.right < 0 ? keys - 1 : p + view.right;
      if (view.causal) last = Math.min(last, p);
      if (valid !== undefined) last = Math.min(last, valid[b] - 1);
      for (let j = 0; j < keys; j++, at++) {
        let value = j >= first && j <= last && j < length ? 0 : Number.NEGATIVE_INFINITY;
        if (value === 0 && numbers !== undefined) {
          const m = numbers[b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3]];
          value = logical ? (m !== 0 ? 0 : Number.NEGATIVE_INFINITY) : m;
        }
        bias[at] = value;
      }
    }
  };
}

/** Adds the bias to the scores and returns which rows see no key at all. */
function addBias(scores: Float64Array, q: Heads, keys: number, write: BiasWriter): Uint8Array {
  const blind = new Uint8Array(q.batch * q.heads * q.length);
  const bias = new Float64Array(q.length * keys);
  for (let b = 0, row = 0, at = 0; b < q.batch; b++) {
    for (let h = 0; h < q.heads; h++) {
      write(b, h, bias);
      for (let i = 0, k = 0; i < q.length; i++, row++) {
        let seen = false;
        for (let j = 0; j < keys; j++, k++, at++) {
          seen ||= bias[k] !== Number.NEGATIVE_INFINITY;
          scores[at] += bias[k];
        }
        if (!seen) blind[row] = 1;
      }
    }
  }
  return blind;
}

/** Softmax of each row of `keys` numbers; rows that see nothing, or whose scores are all −∞, are 0. */
function probabilities(scores: Float64Array, keys: number, blind: Uint8Array): Float64Array {
  const out = new Float64Array(scores.length);
  for (let row = 0, at = 0; row < blind.length; row++, at += keys) {
    if (blind[row] === 1 || scores.subarray(at, at + keys).every((s) => s === Number.NEGATIVE_INFINITY)) continue;
    softmaxLine(scores, out, at, keys, 1);
  }
  return out;
}

function attention(context: OpContext, ...inputs: (Tensor | undefined)[]): readonly Tensor[] {
  const [q0, k0, v0, mask, pastKey, pastValue, nonpad] = inputs as [Tensor, Tensor, Tensor, ...(Tensor | undefined)[]];
  if ((pastKey === undefined) !== (pastValue === undefined)) throw context.fail("past_key and past_value go together");
  const packed = q0.dims.length === 3;
  const [qHeads, kvHeads] = [context.int("q_num_heads", 0), context.int("kv_num_heads", 0)];
  const q = headsOf(splitHeads(context, q0, qHeads));
  const presentKey = append(pastKey, splitHeads(context, k0, kvHeads));
  const presentValue = append(pastValue, splitHeads(context, v0, kvHeads));
  const [k, v] = [headsOf(presentKey), headsOf(presentValue)];
  checkHeads(context, q, k, v);
  const scores = scoresOf(q, k, context.float("scale", 1 / Math.sqrt(q.size)));
  const mode = context.int("qk_matmul_output_mode", 0);
  const dims = [q.batch, q.heads, q.length, k.length];
  const snapshot = (data: Float64Array): Tensor => ({ dtype: q0.dtype, dims, data: data.slice() });
  let shown = mode === 0 ? snapshot(scores) : undefined;
  const cap = context.float("softcap", 0);
  if (cap > 0) for (let i = 0; i < scores.length; i++) scores[i] = cap * Math.tanh(scores[i] / cap);
  if (mode === 1) shown = snapshot(scores);
  const blind = addBias(
    scores,
    q,
    k.length,
    biasWriter(context, q, k.length, {
      mask,
      causal: context.int("is_causal", 0) !== 0,
      left: context.int("left_window_size", -1),
      right: context.int("right_window_size", -1),
      past: pastKey?.dims[2] ?? 0,
      valid: nonpad && asNumbers(nonpad),
    }),
  );
  if (mode === 2) shown = snapshot(scores);
  const p = probabilities(scores, k.length, blind);
  const y: Tensor = { dtype: q0.dtype, dims: [q.batch, q.heads, q.length, v.size], data: weighted(p, q, v) };
  return [packed ? mergeHeads(y) : y, presentKey, presentValue, shown ?? snapshot(p)];
}

/** Maps a tensor through a graph attribute of one input and one output; itself when the attribute is absent. */
function mapped(context: OpContext, name: string, value: Tensor): Tensor {
  if (context.attribute(name) === undefined) return value;
  const [out] = context.body(name)([value]);
  if (!isTensor(out) || sizeOf(out.dims) !== sizeOf(value.dims))
    throw context.fail(`${name} does not return a tensor of the shape it was given`);
  return out;
}

function flexAttention(context: OpContext, q0: Tensor, k0: Tensor, v0: Tensor): readonly Tensor[] {
  if ([q0, k0, v0].some((t) => t.dims.length !== 4)) throw context.fail("Q, K and V need four axes");
  const [q, k, v] = [headsOf(q0), headsOf(k0), headsOf(v0)];
  checkHeads(context, q, k, v);
  const fallback: DType = q0.dtype === "float16" || q0.dtype === "bfloat16" ? "float32" : q0.dtype;
  const dtype = dtypeOf(context.int("softmax_precision", 0)) ?? fallback;
  const dims = [q.batch, q.heads, q.length, k.length];
  const raw: Tensor = { dtype, dims, data: scoresOf(q, k, context.float("scale", 1 / Math.sqrt(q.size))) };
  const scores = asFloat64(mapped(context, "score_mod", raw));
  const p = new Float64Array(scores.length);
  for (let at = 0; at < p.length; at += k.length) softmaxLine(scores, p, at, k.length, 1);
  const probs = mapped(context, "prob_mod", { dtype, dims, data: p });
  return [{ dtype: v0.dtype, dims: [q.batch, q.heads, q.length, v.size], data: weighted(asFloat64(probs), q, v) }];
}

export const attentionOps: readonly OpDef[] = [
  tensorOp("Attention", 23, 3, attention),
  { ...tensorOp("FlexAttention", 1, 3, flexAttention), domain: "ai.onnx.preview" },
];
