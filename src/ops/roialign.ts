/**
 * RoiAlign 10, 16, 22 and Col2Im 18.
 *
 * RoiAlign: each of the pooled cells of a region averages (or takes the largest of) sampling points, read bilinearly; with
 * half_pixel the region is shifted by −0.5 after scaling, otherwise (and before version 16) regions are at least 1 × 1. In mode
 * "max" the largest of the four weighted corners counts, as the operator's definition has it.
 * Col2Im: image[i] = Σ of the columns' elements whose block covers i, blocks and taps in ascending order.
 */

import { lattice } from "../kernels/index.ts";
import { asFloat64, asNumbers, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { perAxis } from "./window.ts";

/** The four corners around a point of a plane and their weights; none when it is more than one element outside. */
function corners(y: number, x: number, height: number, width: number): { at: number[]; weight: number[] } {
  if (y < -1 || y > height || x < -1 || x > width) return { at: [0], weight: [0] };
  const axis = (v: number, n: number): [number, number, number] => {
    const inside = Math.max(v, 0);
    const low = Math.trunc(inside);
    return low >= n - 1 ? [n - 1, n - 1, 0] : [low, low + 1, inside - low];
  };
  const [y0, y1, fy] = axis(y, height);
  const [x0, x1, fx] = axis(x, width);
  return {
    at: [y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1],
    weight: [(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx],
  };
}

function roiAlign(context: OpContext, x: Tensor, rois: Tensor, batchIndices: Tensor): Tensor[] {
  const halfPixel = context.version >= 16 && context.string("coordinate_transformation_mode", "half_pixel") === "half_pixel";
  const average = context.string("mode", "avg").toLowerCase() === "avg";
  const [rows, columns] = [context.int("output_height", 1), context.int("output_width", 1)];
  const ratio = context.int("sampling_ratio", 0);
  const scale = context.float("spatial_scale", 1);
  const [, channels, height, width] = x.dims;
  const [data, regions, batches] = [asFloat64(x), asFloat64(rois), asNumbers(batchIndices)];
  const count = batches.length;
  const out = new Float64Array(count * channels * rows * columns);
  for (let r = 0; r < count; r++) {
    const shift = halfPixel ? 0.5 : 0;
    const [x0, y0, x1, y1] = [0, 1, 2, 3].map((i) => regions[r * rois.dims[1] + i] * scale - shift);
    const least = halfPixel ? Number.NEGATIVE_INFINITY : 1;
    const binH = Math.max(y1 - y0, least) / rows;
    const binW = Math.max(x1 - x0, least) / columns;
    const [gridH, gridW] = ratio > 0 ? [ratio, ratio] : [Math.ceil(binH), Math.ceil(binW)];
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const points: { at: number[]; weight: number[] }[] = [];
        for (let a = 0; a < gridH; a++) {
          const y = y0 + i * binH + ((a + 0.5) * binH) / gridH;
          for (let b = 0; b < gridW; b++) points.push(corners(y, x0 + j * binW + ((b + 0.5) * binW) / gridW, height, width));
        }
        for (let c = 0; c < channels; c++) {
          const plane = (batches[r] * channels + c) * height * width;
          const products = points.map(({ at, weight }) => at.map((p, t) => weight[t] * data[plane + p]));
          let value = 0;
          if (average) {
            for (const point of products) value += point.reduce((sum, v) => sum + v, 0);
            value /= Math.max(1, gridH * gridW);
          } else if (products.length > 0) value = Math.max(...products.map((point) => Math.max(...point)));
          out[((r * channels + c) * rows + i) * columns + j] = value;
        }
      }
    }
  }
  return [{ dtype: x.dtype, dims: [count, channels, rows, columns], data: out }];
}

function col2im(context: OpContext, columns: Tensor, imageShape: Tensor, blockShape: Tensor): Tensor[] {
  const [image, block] = [asNumbers(imageShape), asNumbers(blockShape)];
  const rank = image.length;
  const dilations = perAxis(context, "dilations", rank, 1);
  const strides = perAxis(context, "strides", rank, 1);
  const pads = perAxis(context, "pads", 2 * rank, 0);
  const blocks = image.map(
    (d, i) => Math.floor((d + pads[i] + pads[rank + i] - dilations[i] * (block[i] - 1) - 1) / strides[i]) + 1,
  );
  const [batch, planes, length] = columns.dims;
  const taps = sizeOf(block);
  if (planes % taps !== 0 || length !== sizeOf(blocks))
    throw context.fail(`the columns are not ${blocks.join(" × ")} blocks of ${block.join(" × ")}`);
  const channels = planes / taps;
  const outer = image.map((d, i) => d + pads[i] + pads[rank + i]);
  const steps = stridesOf(outer);
  const tapAt = lattice(
    block,
    steps.map((s, i) => s * dilations[i]),
  );
  const blockAt = lattice(
    blocks,
    steps.map((s, i) => s * strides[i]),
  );
  const origin = pads.slice(0, rank).reduce((sum, p, i) => sum + p * steps[i], 0);
  const inner = lattice(image, steps, origin);
  const data = asFloat64(columns);
  const out = new Float64Array(batch * channels * inner.length);
  for (let p = 0; p < batch * channels; p++) {
    const padded = new Float64Array(sizeOf(outer));
    for (let t = 0; t < taps; t++) {
      const from = (p * taps + t) * length;
      for (let n = 0; n < length; n++) padded[tapAt[t] + blockAt[n]] += data[from + n];
    }
    for (let i = 0; i < inner.length; i++) out[p * inner.length + i] = padded[inner[i]];
  }
  return [{ dtype: columns.dtype, dims: [batch, channels, ...image], data: out }];
}

export const roiOps: readonly OpDef[] = [tensorOp("RoiAlign", 10, 3, roiAlign), tensorOp("Col2Im", 18, 3, col2im)];
