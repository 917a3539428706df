/**
 * Values that are quantised as the graph runs. The codes that come out stay the same; scales and zero points take what is exact.
 *   QuantizeLinear ⌊x/s⌉ + z           forward  scale g > 0   s' = s/g: ⌊(g·x)/s⌉ = ⌊x/(s/g)⌉
 *                                               shift t       z' = z + t/s where t/s is even and z' a code: ⌊v + 2n⌉ = ⌊v⌉ + 2n, but an odd
 *                                                             number moves ties, which go to the even neighbour
 *   DynamicQuantizeLinear              forward  scale g > 0, one for all   the same codes and zero point, the scale that comes out times g
 * ONNX QuantizeLinear 10, 13, 19, 21, 23, 24, 25, and com.microsoft's 1; DynamicQuantizeLinear 11.
 */
import { every, invert, numberOf, type Spread, uniform } from "../affine/spread.ts";
import { positiveOnly } from "./quantized.ts";
import { SCALE, stepped, withScales } from "./scales.ts";
import { absorb, isRefused, type MoveFn, type Rule, refuse } from "./types.ts";

const CARRIED = "takes the map on another input than its data";

const forwardScale: MoveFn = (at, by) => {
  const [g, ...others] = by;
  if (g === undefined || others.some((s) => s !== undefined)) return refuse("parameter-not-constant", CARRIED);
  if (!every(g, (v) => v > 0)) return positiveOnly(g);
  const scale = at.param(SCALE);
  if (isRefused(scale)) return scale;
  const state = withScales(at, at.state, scale, invert(g));
  return isRefused(state) ? state : absorb(state);
};

const forwardShift: MoveFn = (at, by) => {
  const [t, ...others] = by;
  if (t === undefined || others.some((s) => s !== undefined)) return refuse("parameter-not-constant", CARRIED);
  return stepped(at, t, 2);
};

const quantize = { type: "QuantizeLinear", forwardScale, forwardShift };

const dynamic: Rule = {
  type: "DynamicQuantizeLinear",
  forwardScale: (_at, [by]) => {
    const g = numberOf(by as Spread);
    if (g === undefined)
      return refuse("axis-blocks", "has one scale for the whole tensor, so only a gain that is the same everywhere passes");
    return g > 0 ? [{ pass: [undefined, uniform(0, g)] }] : positiveOnly(by as Spread);
  },
};

export const quantizing: readonly Rule[] = [quantize, { ...quantize, domain: "com.microsoft" }, dynamic];
