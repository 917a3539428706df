/**
 * Operators of opset 27 that carry a state from call to call.
 *
 * LinearAttention, per batch and key head, state S of d_k × d_v, over places t:
 *   S ← diag(e^g)·S                     ("gated": decay g per head or per key dimension)
 *   v ← β·(v − Sᵀk)                     ("delta")
 *   S ← S + k·vᵀ,   o = scale·Sᵀq       for each query head of the group
 * CausalConvWithState: depthwise convolution of the past k − 1 places and the new ones, then SiLU if asked for.
 */
import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { show } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { sigmoid } from "./math.ts";

const RULES: Readonly<Record<string, { readonly gated: boolean; readonly delta: boolean }>> = {
  linear: { gated: false, delta: false },
  gated: { gated: true, delta: false },
  delta: { gated: false, delta: true },
  gated_delta: { gated: true, delta: true },
};

/** A number, or several, per place and head; a width of 1 with several heads serves all of them. */
interface Gate {
  readonly data: Float64Array;
  readonly width: number;
  readonly perHead: number;
}

/** The numbers of one place and head. */
const gateAt = ({ data, width, perHead }: Gate, place: number, head: number, heads: number): Float64Array => {
  const at = place * width + (width < heads ? 0 : head * perHead);
  return data.subarray(at, at + perHead);
};

function gateOf(context: OpContext, name: string, t: Tensor, heads: number, widths: readonly number[]): Gate {
  const width = t.dims[2];
  if (t.dims.length !== 3 || !widths.includes(width)) {
    throw context.fail(`${name} of shape ${show(t.dims)}: its last axis should be ${widths.join(" or ")}`);
  }
  return { data: asFloat64(t), width, perHead: Math.max(1, width / heads) };
}

/** One place of one head: S is updated, v is overwritten by what is written to it. */
function update(
  state: Float64Array,
  at: number,
  k: Float64Array,
  v: Float64Array,
  decay: Float64Array | undefined,
  beta: number | undefined,
): void {
  const [dk, dv] = [k.length, v.length];
  if (decay !== undefined) {
    for (let d = 0; d < dk; d++) {
      const factor = Math.exp(decay[decay.length === 1 ? 0 : d]);
      for (let m = 0; m < dv; m++) state[at + d * dv + m] *= factor;
    }
  }
  if (beta !== undefined) {
    for (let m = 0; m < dv; m++) {
      let recalled = 0;
      for (let d = 0; d < dk; d++) recalled += state[at + d * dv + m] * k[d];
      v[m] = beta * (v[m] - recalled);
    }
  }
  for (let d = 0; d < dk; d++) for (let m = 0; m < dv; m++) state[at + d * dv + m] += k[d] * v[m];
}

function linearAttention(context: OpContext, ...inputs: (Tensor | undefined)[]): readonly Tensor[] {
  const [query, key, value, past, decay0, beta0] = inputs as [Tensor, Tensor, Tensor, ...(Tensor | undefined)[]];
  const ruleName = context.string("update_rule", "gated_delta");
  const rule = RULES[ruleName];
  const [hq, hkv] = [context.int("q_num_heads", 0), context.int("kv_num_heads", 0)];
  if (rule === undefined || (decay0 !== undefined) !== rule.gated || (beta0 !== undefined) !== rule.delta) {
    throw context.fail(`update_rule "${ruleName}" does not fit the inputs decay and beta given`);
  }
  if (hq < 1 || hkv < 1 || hq % hkv !== 0) throw context.fail(`${hq} query heads are no multiple of ${hkv} key heads`);
  const [batch, length] = query.dims;
  const [dk, dv] = [query.dims[2] / hq, value.dims[2] / hkv];
  if (!Number.isInteger(dk) || !Number.isInteger(dv) || key.dims[2] !== hkv * dk)
    throw context.fail("the inputs do not hold whole heads");
  const stateDims = [batch, hkv, dk, dv];
  if (past !== undefined && show(past.dims) !== show(stateDims)) throw context.fail(`past_state should be ${show(stateDims)}`);
  const decay = decay0 && gateOf(context, "decay", decay0, hkv, [hkv, hkv * dk]);
  const beta = beta0 && gateOf(context, "beta", beta0, hkv, [hkv, 1]);
  const scale = context.float("scale", 0) || 1 / Math.sqrt(dk);
  const state = past === undefined ? new Float64Array(batch * hkv * dk * dv) : Float64Array.from(asFloat64(past));
  const [q, k, v] = [asFloat64(query), asFloat64(key), asFloat64(value)];
  const out = new Float64Array(batch * length * hq * dv);
  for (let place = 0; place < batch * length; place++) {
    const b = Math.floor(place / length);
    for (let h = 0; h < hkv; h++) {
      const at = (b * hkv + h) * dk * dv;
      const from = (width: number, per: number) => place * width + h * per;
      const kt = k.subarray(from(hkv * dk, dk), from(hkv * dk, dk) + dk);
      const vt = v.slice(from(hkv * dv, dv), from(hkv * dv, dv) + dv);
      const gt = decay && gateAt(decay, place, h, hkv);
      const bt = beta && gateAt(beta, place, h, hkv)[0];
      update(state, at, kt, vt, gt, bt);
      for (let r = 0; r < hq / hkv; r++) {
        const head = place * hq + h * (hq / hkv) + r;
        for (let m = 0; m < dv; m++) {
          let sum = 0;
          for (let d = 0; d < dk; d++) sum += q[head * dk + d] * state[at + d * dv + m];
          out[head * dv + m] = scale * sum;
        }
      }
    }
  }
  return [
    { dtype: query.dtype, dims: [batch, length, hq * dv], data: out },
    { dtype: past?.dtype ?? query.dtype, dims: stateDims, data: state },
  ];
}

function causalConvWithState(context: OpContext, ...inputs: (Tensor | undefined)[]): readonly Tensor[] {
  const [x, weight, bias, past] = inputs as [Tensor, Tensor, ...(Tensor | undefined)[]];
  const activation = context.string("activation", "none");
  if (!["none", "silu", "swish"].includes(activation))
    throw context.fail(`activation is "${activation}", not none, silu or swish`);
  const [batch, channels, length] = x.dims;
  const taps = weight.dims[2];
  if (x.dims.length !== 3 || weight.dims.length !== 3 || weight.dims[0] !== channels)
    throw context.fail("input and weight do not fit");
  const kept = taps - 1;
  const [data, w] = [asFloat64(x), asFloat64(weight)];
  const before = past && asFloat64(past);
  const offsets = bias && asFloat64(bias);
  const line = new Float64Array(kept + length);
  const out = new Float64Array(data.length);
  const state = new Float64Array(batch * channels * kept);
  for (let row = 0; row < batch * channels; row++) {
    const c = row % channels;
    line.fill(0);
    if (before !== undefined) line.set(before.subarray(row * kept, (row + 1) * kept));
    line.set(data.subarray(row * length, (row + 1) * length), kept);
    for (let t = 0; t < length; t++) {
      let sum = offsets === undefined ? 0 : offsets[c];
      for (let i = 0; i < taps; i++) sum += w[c * taps + i] * line[t + i];
      out[row * length + t] = activation === "none" ? sum : sum * sigmoid(sum);
    }
    state.set(line.subarray(length), row * kept);
  }
  return [
    { dtype: x.dtype, dims: x.dims, data: out },
    { dtype: past?.dtype ?? x.dtype, dims: [batch, channels, kept], data: state },
  ];
}

export const statefulOps: readonly OpDef[] = [
  tensorOp("LinearAttention", 27, 3, linearAttention),
  tensorOp("CausalConvWithState", 27, 2, causalConvWithState),
];
