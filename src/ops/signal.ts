/**
 * DFT 17, 20; STFT 17; HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix 17.
 *
 * A window of N points is a − b·cos(2πn/D) + c·cos(4πn/D), D = N when periodic, else N − 1. The mel scale is 2595·log10(1 +
 * f/700); each filter rises and falls linearly between neighbouring bins ⌊(dft_length + 1)·f / sample_rate⌋.
 */
import { type DType, dtypeInfo, dtypeOf } from "../onnx/dtype.ts";
import { allocate, asFloat64, asNumbers, type BigArray, type IntArray, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { normalizeAxis, splitAt } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { fourier } from "./fourier.ts";

/** Lines along `axis` of a signal whose last axis holds (re) or (re, im), cut or filled with zeros to the transform's length. */
function dft(context: OpContext, x: Tensor, lengthTensor: Tensor | undefined, axis: number): Tensor[] {
  const inverse = context.int("inverse", 0) !== 0;
  const onesided = context.int("onesided", 0) !== 0;
  const parts = x.dims[x.dims.length - 1];
  if (parts !== 1 && parts !== 2) throw context.fail("the last axis must hold 1 or 2 numbers");
  if (axis === x.dims.length - 1) throw context.fail("the transform cannot run along the last axis");
  const have = x.dims[axis];
  const back = inverse && onesided;
  const n = lengthTensor ? asNumbers(lengthTensor)[0] : back ? 2 * (have - 1) : have;
  const bins = onesided && !inverse ? Math.floor(n / 2) + 1 : n;
  const width = back ? 1 : 2;
  const dims = [...x.dims.slice(0, -1), width];
  dims[axis] = bins;
  const { outer, inner } = splitAt(x.dims.slice(0, -1), axis);
  const data = asFloat64(x);
  const out = new Float64Array(sizeOf(dims));
  const transform = fourier(n, inverse);
  const scale = inverse ? 1 / n : 1;
  for (let p = 0; p < outer; p++) {
    for (let i = 0; i < inner; i++) {
      const line = { re: new Float64Array(n), im: new Float64Array(n) };
      const used = back ? Math.floor(n / 2) + 1 : n;
      for (let t = 0; t < Math.min(have, used); t++) {
        const from = ((p * have + t) * inner + i) * parts;
        line.re[t] = data[from];
        line.im[t] = parts === 2 ? data[from + 1] : 0;
      }
      if (back) mirror(line.re, line.im, n);
      const result = transform(line);
      for (let k = 0; k < bins; k++) {
        const to = ((p * bins + k) * inner + i) * width;
        out[to] = result.re[k] * scale;
        if (width === 2) out[to + 1] = result.im[k] * scale;
      }
    }
  }
  return [{ dtype: x.dtype, dims, data: out }];
}

/** The second half of a spectrum whose signal is real: X[n − k] = conj X[k]. The zero and middle bins count as real. */
function mirror(re: Float64Array, im: Float64Array, n: number): void {
  im[0] = 0;
  if (n % 2 === 0) im[n / 2] = 0;
  for (let k = 1; k < n - k; k++) {
    re[n - k] = re[k];
    im[n - k] = -im[k];
  }
}

function dft17(context: OpContext, x: Tensor, length?: Tensor): Tensor[] {
  return dft(context, x, length, normalizeAxis(context.int("axis", 1), x.dims.length));
}

function dft20(context: OpContext, x: Tensor, length?: Tensor, axis?: Tensor): Tensor[] {
  return dft(context, x, length, normalizeAxis(axis ? asNumbers(axis)[0] : -2, x.dims.length));
}

/** Frames of `frame_length` every `frame_step` elements, windowed and transformed; frames that do not fit are left out. */
function stft(context: OpContext, x: Tensor, step: Tensor, window?: Tensor, length?: Tensor): Tensor[] {
  const onesided = context.int("onesided", 1) !== 0;
  const [batch, samples] = x.dims;
  const parts = x.dims.length === 3 ? x.dims[2] : 1;
  const hop = asNumbers(step)[0];
  const size = length ? asNumbers(length)[0] : (window?.dims[0] ?? samples);
  if (window && window.dims[0] > size) throw context.fail(`the window is longer than the frame of ${size}`);
  if (hop < 1 || size < 1 || size > samples) throw context.fail(`frames of ${size} every ${hop} do not fit ${samples} samples`);
  const frames = 1 + Math.floor((samples - size) / hop);
  const bins = onesided ? Math.floor(size / 2) + 1 : size;
  const data = asFloat64(x);
  // A shorter window stands in the middle of the frame.
  const before = window ? Math.floor((size - window.dims[0]) / 2) : 0;
  const weights = new Float64Array(size).fill(window ? 0 : 1);
  if (window) weights.set(asFloat64(window), before);
  const transform = fourier(size, false);
  const out = new Float64Array(batch * frames * bins * 2);
  let to = 0;
  for (let b = 0; b < batch; b++) {
    for (let f = 0; f < frames; f++) {
      const line = { re: new Float64Array(size), im: new Float64Array(size) };
      for (let t = 0; t < size; t++) {
        const from = (b * samples + f * hop + t) * parts;
        line.re[t] = data[from] * weights[t];
        if (parts === 2) line.im[t] = data[from + 1] * weights[t];
      }
      const { re, im } = transform(line);
      for (let k = 0; k < bins; k++) {
        out[to++] = re[k];
        out[to++] = im[k];
      }
    }
  }
  return [{ dtype: x.dtype, dims: [batch, frames, bins, 2], data: out }];
}

/** Numbers as a tensor of the type output_datatype names (float by default). */
function typed(context: OpContext, values: Float64Array, dims: readonly number[]): Tensor {
  const dtype: DType = dtypeOf(context.int("output_datatype", 1)) ?? "float32";
  const { holder } = dtypeInfo(dtype);
  if (holder === "float") return { dtype, dims, data: values };
  const data = allocate(dtype, values.length);
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (let i = 0; i < values.length; i++) {
    if (big) (data as BigArray)[i] = BigInt(Math.trunc(values[i]));
    else (data as IntArray)[i] = Math.trunc(values[i]);
  }
  return { dtype, dims, data };
}

function windowOp(type: string, a: number, b: number, c: number): OpDef {
  return tensorOp(type, 17, 1, (context, sizeTensor) => {
    const n = asNumbers(sizeTensor)[0];
    const period = context.int("periodic", 1) !== 0 ? n : n - 1;
    const values = Float64Array.from({ length: n }, (_, i) => {
      if (period === 0) return 1;
      const turn = (2 * Math.PI * i) / period;
      return a - b * Math.cos(turn) + c * Math.cos(2 * turn);
    });
    return [typed(context, values, [n])];
  });
}

function melWeights(context: OpContext, ...inputs: Tensor[]): Tensor[] {
  const [bins, length, rate, low, high] = inputs.map((t) => asFloat64(t)[0]);
  const rows = Math.floor(length / 2) + 1;
  const mel = (f: number): number => 2595 * Math.log10(1 + f / 700);
  const step = (mel(high) - mel(low)) / (bins + 2);
  const edges = Array.from({ length: bins + 2 }, (_, i) => {
    const hertz = 700 * (10 ** ((i * step + mel(low)) / 2595) - 1);
    return Math.floor(((length + 1) * hertz) / rate);
  });
  const out = new Float64Array(rows * bins);
  for (let i = 0; i < bins; i++) {
    const [left, centre, right] = edges.slice(i, i + 3);
    if (left === centre) out[centre * bins + i] = 1;
    else for (let j = left; j <= centre; j++) out[j * bins + i] = (j - left) / (centre - left);
    for (let j = centre; j < right; j++) out[j * bins + i] = (right - j) / (right - centre);
  }
  return [typed(context, out, [rows, bins])];
}

export const signalOps: readonly OpDef[] = [
  tensorOp("DFT", 17, 1, dft17),
  tensorOp("DFT", 20, 1, dft20),
  tensorOp("STFT", 17, 2, stft),
  windowOp("HannWindow", 0.5, 0.5, 0),
  windowOp("HammingWindow", 25 / 46, 21 / 46, 0),
  windowOp("BlackmanWindow", 0.42, 0.5, 0.08),
  tensorOp("MelWeightMatrix", 17, 5, melWeights),
];
