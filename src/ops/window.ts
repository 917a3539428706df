/**
 * The sliding window a Conv or pooling node describes. SAME_UPPER and SAME_LOWER give ⌈d / stride⌉ outputs; the padding that
 * needs, max(0, (out − 1)·stride + dilation·(kernel − 1) + 1 − d), is split evenly, an odd element going to the end or the
 * beginning.
 */
import { positions, type Window } from "../kernels/index.ts";
import type { OpContext } from "./define.ts";

/** A list attribute with one entry an axis, or `fallback` repeated. */
export function perAxis(context: OpContext, name: string, rank: number, fallback: number): number[] {
  const list = context.ints(name);
  if (list === undefined || list.length === 0) return new Array<number>(rank).fill(fallback);
  if (list.length !== rank) throw context.fail(`${name} has ${list.length} entries, expected ${rank}`);
  return list;
}

const spanOf = (kernel: number, dilation: number): number => dilation * (kernel - 1) + 1;

/** Begin and end of every axis from pads and auto_pad. */
export function windowOf(context: OpContext, spatial: readonly number[], kernel: readonly number[]): Window {
  const rank = spatial.length;
  const strides = perAxis(context, "strides", rank, 1);
  const dilations = perAxis(context, "dilations", rank, 1);
  if (kernel.length !== rank) throw context.fail(`the kernel has ${kernel.length} axes, the input ${rank} spatial ones`);
  if ([...kernel, ...strides, ...dilations].some((v) => v < 1))
    throw context.fail("kernel, strides and dilations must be positive");
  const auto = context.string("auto_pad", "NOTSET");
  const zeros = new Array<number>(rank).fill(0);
  if (auto === "VALID") return { kernel, strides, dilations, begin: zeros, end: zeros };
  if (auto === "SAME_UPPER" || auto === "SAME_LOWER") {
    const total = spatial.map((d, i) => {
      const out = Math.ceil(d / strides[i]);
      return Math.max(0, (out - 1) * strides[i] + spanOf(kernel[i], dilations[i]) - d);
    });
    const small = total.map((t) => Math.floor(t / 2));
    const large = total.map((t, i) => t - small[i]);
    const [begin, end] = auto === "SAME_UPPER" ? [small, large] : [large, small];
    return { kernel, strides, dilations, begin, end };
  }
  if (auto !== "NOTSET" && auto !== "") throw context.fail(`auto_pad ${auto} is not known`);
  const pads = perAxis(context, "pads", 2 * rank, 0);
  if (pads.some((p) => p < 0)) throw context.fail("pads must not be negative");
  return { kernel, strides, dilations, begin: pads.slice(0, rank), end: pads.slice(rank) };
}

/**
 * The window of a pooling node and its output extents, ceil_mode included: no window may start beyond the input and its begin.
 */
export function poolWindow(context: OpContext, spatial: readonly number[]): { window: Window; out: number[] } {
  const kernel = context.ints("kernel_shape");
  if (kernel === undefined) throw context.fail("kernel_shape is missing");
  const window = windowOf(context, spatial, kernel);
  if (context.int("ceil_mode", 0) === 0) return { window, out: positions(spatial, window) };
  const out = spatial.map((d, i) => {
    const room = d + window.begin[i] + window.end[i] - spanOf(kernel[i], window.dilations[i]);
    const n = Math.ceil(room / window.strides[i]) + 1;
    return Math.max(0, (n - 1) * window.strides[i] >= d + window.begin[i] ? n - 1 : n);
  });
  return { window, out };
}
