/**
 * Shapes of attention and of operators that carry a state. B: batch, S: sequence, H: heads, D: size of a head.
 * ONNX Attention 23 to 25, LinearAttention 27, CausalConvWithState 27, ai.onnx.preview FlexAttention 1.
 */
import { intAttr } from "./attributes.ts";
import { type Dim, derived, divide, multiply, type Shape } from "./dims.ts";
import type { At, Infer } from "./inference.ts";

const sum = (a: Dim, b: Dim): Dim => derived("sum", [a, b], (x, y) => x + y);

/** B × H × S × D of a tensor that has them as they are, or packed as B × S × (H·D). */
function heads({ node, unknown }: At, x: Shape | undefined, attribute: string): Shape | undefined {
  if (x?.length !== 3) return x?.length === 4 ? x : undefined;
  const n = intAttr(node.record, attribute, 0);
  return [x[0], n, x[1], (n > 0 ? divide(x[2], n) : undefined) ?? unknown()];
}

const typeAt = ({ facts, node }: At, i: number): number => facts.of(node.inputs[i]).dtype;

export const attention: Infer = (at) => {
  const [q, k, v] = [
    heads(at, at.shapes[0], "q_num_heads"),
    heads(at, at.shapes[1], "kv_num_heads"),
    heads(at, at.shapes[2], "kv_num_heads"),
  ];
  /** Past and new, one after the other. */
  const present = (now: Shape | undefined, past: number): Shape | undefined => {
    const before = at.shapes[past];
    if (at.node.inputs[past] === undefined) return now;
    return now && [now[0], now[1], before?.length === 4 ? sum(before[2], now[2]) : at.unknown(), now[3]];
  };
  const [keys, values] = [present(k, 4), present(v, 5)];
  const made = q && v && [q[0], q[1], q[2], v[3]];
  const packed = at.shapes[0]?.length === 3;
  return [
    { dtype: at.dtype, shape: made && packed ? [made[0], made[2], multiply(made[1], made[3])] : made },
    { dtype: typeAt(at, 1), shape: keys },
    { dtype: typeAt(at, 2), shape: values },
    { dtype: at.dtype, shape: q && keys && [q[0], q[1], q[2], keys[2]] },
  ];
};

export const flexAttention: Infer = (at) => {
  const [q, , v] = at.shapes;
  return [{ dtype: typeAt(at, 2), shape: q?.length === 4 && v?.length === 4 ? [q[0], q[1], q[2], v[3]] : undefined }];
};

export const linearAttention: Infer = (at) => {
  const [q, , v] = at.shapes;
  const [hq, hkv] = ["q_num_heads", "kv_num_heads"].map((name) => intAttr(at.node.record, name, 0));
  if (q?.length !== 3 || v?.length !== 3 || hq < 1 || hkv < 1) return undefined;
  const [dk, dv] = [divide(q[2], hq) ?? at.unknown(), divide(v[2], hkv) ?? at.unknown()];
  return [
    { dtype: at.dtype, shape: [q[0], q[1], multiply(dv, hq)] },
    { dtype: typeAt(at, 3) || at.dtype, shape: [q[0], hkv, dk, dv] },
  ];
};

export const causalConv: Infer = (at) => {
  const [x, w] = at.shapes;
  const taps = w?.[2];
  const kept = taps === undefined ? at.unknown() : derived("less1", [taps], (n) => n - 1);
  return [
    { dtype: at.dtype, shape: x },
    { dtype: typeAt(at, 3) || at.dtype, shape: x && [x[0], x[1], kept] },
  ];
};
