/**
 * RotaryEmbedding: the first `rotary_embedding_dim` numbers of each head are pairs (u, v) turned by the angle of their place:
 *   u' = u·cos − v·sin,   v' = u·sin + v·cos
 * Pair i is (x[i], x[i + half]), or (x[2i], x[2i + 1]) when interleaved. Angles come from the caches at position_ids, or per
 * batch and place when there are none.
 */
import { asFloat64, asNumbers, type Tensor } from "../onnx/tensor.ts";
import { show } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

function rotaryEmbedding(context: OpContext, x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | undefined): Tensor {
  const packed = x.dims.length === 3;
  const heads = packed ? context.int("num_heads", 0) : x.dims[1];
  const [batch, length] = packed ? x.dims : [x.dims[0], x.dims[2]];
  const size = packed ? x.dims[2] / heads : x.dims[3];
  if ((!packed && x.dims.length !== 4) || !Number.isInteger(size)) throw context.fail(`the input does not hold ${heads} heads`);
  const turned = context.int("rotary_embedding_dim", 0) || size;
  const half = turned / 2;
  const [headStep, placeStep] = packed ? [size, heads * size] : [length * size, size];
  const rows = cos.dims.length === 3 ? cos.dims[0] * cos.dims[1] : cos.dims[0];
  if (!Number.isInteger(half) || cos.dims[cos.dims.length - 1] !== half || show(cos.dims) !== show(sin.dims)) {
    throw context.fail(`caches of shapes ${show(cos.dims)} and ${show(sin.dims)} do not hold ${half} angles a place`);
  }
  const data = asFloat64(x);
  const out = Float64Array.from(data);
  const [c, s] = [asFloat64(cos), asFloat64(sin)];
  const ids = positions && asNumbers(positions);
  const [pairStep, second] = context.int("interleaved", 0) !== 0 ? [2, 1] : [1, half];
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < length; t++) {
      const place = b * length + t;
      const row = ids === undefined ? place : ids[place];
      if (!(row >= 0 && row < rows)) throw context.fail(`position ${row} is outside the caches`);
      for (let h = 0; h < heads; h++) {
        const start = b * heads * length * size + h * headStep + t * placeStep;
        for (let i = 0; i < half; i++) {
          const u = start + i * pairStep;
          const v = u + second;
          const at = row * half + i;
          out[u] = data[u] * c[at] - data[v] * s[at];
          out[v] = data[u] * s[at] + data[v] * c[at];
        }
      }
    }
  }
  return { dtype: x.dtype, dims: x.dims, data: out };
}

export const rotaryOps: readonly OpDef[] = [
  tensorOp("RotaryEmbedding", 23, 3, (context, x, cos, sin, positions) => [rotaryEmbedding(context, x, cos, sin, positions)]),
];
