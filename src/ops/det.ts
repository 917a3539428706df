/**
 * Det 11, 22: the determinant of the matrices in the last two axes, as the signed product of the pivots of Gaussian elimination.
 */
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

/** Destroys `a` (n × n); the largest element of a column is the pivot. */
function determinant(a: Float64Array, n: number): number {
  let det = 1;
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(a[r * n + c]) > Math.abs(a[pivot * n + c])) pivot = r;
    const top = a[pivot * n + c];
    if (top === 0) return 0;
    if (pivot !== c) {
      det = -det;
      for (let j = c; j < n; j++) [a[c * n + j], a[pivot * n + j]] = [a[pivot * n + j], a[c * n + j]];
    }
    det *= top;
    for (let r = c + 1; r < n; r++) {
      const factor = a[r * n + c] / top;
      for (let j = c + 1; j < n; j++) a[r * n + j] -= factor * a[c * n + j];
    }
  }
  return det;
}

function det(context: OpContext, x: Tensor): Tensor[] {
  const n = x.dims[x.dims.length - 1];
  if (x.dims.length < 2 || x.dims[x.dims.length - 2] !== n) throw context.fail("the last two axes must be equal");
  const dims = x.dims.slice(0, -2);
  const data = asFloat64(x);
  const out = new Float64Array(sizeOf(dims));
  for (let i = 0; i < out.length; i++) out[i] = determinant(data.slice(i * n * n, (i + 1) * n * n), n);
  return [{ dtype: x.dtype, dims, data: out }];
}

export const detOps: readonly OpDef[] = [tensorOp("Det", 11, 1, det)];
