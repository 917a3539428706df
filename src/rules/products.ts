/**
 * Products of whole numbers that ONNX Runtime writes as one operator, sa·sb·(Σ (a − za)(b − zb) + c) or with a float bias behind: the gain
 * of columns goes into sb, of any sign, whole numbers as they are.
 *   QGemm                        back  scale  sb' = sb·g, which c goes along with
 *                                      shift  c' = c + t/(α·sa·sb) where that is a whole number; a result that is codes takes nothing
 *   MatMulIntegerToFloat, DynamicQuantizeMatMul  back  scale  sb' = sb·g, bias' = bias·g      shift  bias' = bias + t
 * com.microsoft 1.
 */
import type { Spread } from "../affine/spread.ts";
import { axesOf, numberOf, uniform } from "../affine/spread.ts";
import { dtypeOf, isStorageFloat } from "../onnx/dtype.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { fresh, scaled, shifted, vectorOn } from "./params.ts";
import {
  absorb,
  type Codes,
  isRefused,
  type Move,
  type MoveFn,
  type NodeState,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withCodes,
  withParam,
} from "./types.ts";

/** Positions of the weight's scale and zero point, and of what is added. */
interface Layout {
  readonly weight: number;
  readonly scale: number;
  readonly zero: number;
  readonly bias: number;
}

/** A map of columns as a vector. */
function columns(at: RuleNode, by: Spread, { weight }: Layout): Float64Array | Refused {
  const rank = at.outShape(0)?.length;
  const dims = at.inShape(weight);
  const turned = at.node.opType === "QGemm" && at.int("transB", 0) !== 0;
  const size = dims?.[turned ? dims.length - 2 : dims.length - 1];
  if (rank !== by.dims.length || typeof size !== "number") return refuse("shape-unknown", "has operands of unknown shape");
  return (
    vectorOn(by, rank - 1, size) ??
    refuse("axis-blocks", `makes ${size} columns, but the map varies over shape [${by.dims.join(", ")}]`, {
      facts: { columns: size, map: by.dims },
    })
  );
}

/** The scale of the weight times g; one for all becomes one for each column where g varies. */
function scaledBy(at: RuleNode, by: Spread, g: Float64Array, { scale: index }: Layout): NodeState | Refused {
  const scale = at.param(index);
  if (isRefused(scale)) return scale;
  if (axesOf(by).length === 0)
    return withParam(at.state, index, scaled(scale, uniform(scale.dims.length, numberOf(by) as number)));
  const size = sizeOf(scale.dims);
  if (scale.dims.length > 1 || (size !== 1 && size !== g.length))
    return refuse("parameter-shape", `has scales of shape [${scale.dims.join(", ")}] for ${g.length} columns`);
  return withParam(
    at.state,
    index,
    scaled(scale.dims.length === 0 ? { ...scale, dims: [1] } : scale, { dims: [g.length], data: g }),
  );
}

const FLOAT_BIAS = (layout: Layout): Pick<Rule, "backScale" | "backShift"> => ({
  backScale: (at, [by]) => {
    const g = columns(at, by as Spread, layout);
    if (isRefused(g)) return g;
    const state = scaledBy(at, by as Spread, g, layout);
    if (isRefused(state) || !at.has(layout.bias)) return isRefused(state) ? state : absorb(state);
    const bias = at.param(layout.bias);
    if (isRefused(bias)) return bias;
    return absorb(withParam(state, layout.bias, scaled(bias, { dims: [g.length], data: g })));
  },
  backShift: (at, [by]) => {
    const t = columns(at, by as Spread, layout);
    if (isRefused(t)) return t;
    const along = { dims: [t.length], data: t };
    if (at.has(layout.bias)) {
      const bias = at.param(layout.bias);
      return isRefused(bias) ? bias : absorb(withParam(at.state, layout.bias, shifted(bias, along)));
    }
    const dtype = dtypeOf(at.facts.of(at.node.outputs[0]).dtype);
    if (dtype === undefined || !isStorageFloat(dtype)) return refuse("shape-unknown", "has a result of unknown type");
    return absorb(
      withParam(
        at.state,
        layout.bias,
        fresh(dtype, along.dims, () => t.slice()),
      ),
    );
  },
});

const GEMM: Layout = { weight: 3, scale: 4, zero: 5, bias: 6 };
const [A_SCALE, Y_SCALE] = [1, 7];
const CODED = refuse("quantized", "rounds its result to codes, which neither a gain nor a shift goes before");

const gemmScale: MoveFn = (at, [by]) => {
  if (at.has(Y_SCALE)) return CODED;
  const g = columns(at, by as Spread, GEMM);
  if (isRefused(g)) return g;
  const state = scaledBy(at, by as Spread, g, GEMM);
  if (isRefused(state)) return state;
  // The runtime wants as many zero points as scales.
  const zero = at.codes(GEMM.zero);
  if (zero === undefined) return refuse("quantized", "has a zero point that is not constant");
  const size = sizeOf(state.params.get(GEMM.scale)?.dims ?? []);
  if (sizeOf(zero.dims) === size) return absorb(state);
  const [z] = zero.values();
  return absorb(withCodes(state, GEMM.zero, { ...zero, dims: [size], values: () => new Float64Array(size).fill(z) }));
};

const gemmShift: MoveFn = (at, [by]) => {
  if (at.has(Y_SCALE)) return CODED;
  const t = columns(at, by as Spread, GEMM);
  if (isRefused(t)) return t;
  const [a, b] = [at.param(A_SCALE), at.param(GEMM.scale)];
  if (isRefused(a)) return a;
  if (isRefused(b)) return b;
  const unit = at.float("alpha", 1) * a.values()[0];
  const scales = b.values();
  const steps = t.map((v, n) => v / (unit * scales[scales.length === 1 ? 0 : n]));
  const bias = biasOf(at, t.length);
  return isRefused(bias) ? bias : counted(at, bias, steps, t);
};

/** The whole numbers that are added to the sums; zeros where there are none. */
function biasOf(at: RuleNode, size: number): Codes | Refused {
  if (!at.has(GEMM.bias)) {
    const name = `${at.node.outputs[0]?.name ?? at.node.opType}_bias`;
    return { dtype: "int32", dims: [size], source: undefined, name, values: () => new Float64Array(size) };
  }
  const codes = at.codes(GEMM.bias);
  if (codes === undefined) return refuse("weight-not-constant", "adds whole numbers that are computed as it runs");
  const n = codes.dims[codes.dims.length - 1] ?? 1;
  return n === size && sizeOf(codes.dims) === size
    ? codes
    : refuse("parameter-shape", `adds whole numbers of shape [${codes.dims.join(", ")}] to ${size} columns`);
}

function counted(at: RuleNode, bias: Codes, steps: Float64Array, t: Float64Array): Move {
  const old = bias.values();
  for (const [channel, n] of steps.entries()) {
    if (Number.isInteger(n) && Math.abs(old[channel] + n) < 2 ** 31) continue;
    const loss = Math.abs((n - Math.round(n)) * (t[channel] / n));
    const because = `counts its bias in whole steps, and ${Number(n.toPrecision(6))} steps on channel ${channel} are none: rounded, it would be off by ${loss.toPrecision(3)}`;
    return refuse("quantized", because, { facts: { channel, shift: t[channel], steps: n, loss } });
  }
  return absorb(withCodes(at.state, GEMM.bias, { ...bias, values: () => old.map((v, n) => v + steps[n]) }));
}

const domain = "com.microsoft";

export const integerProducts: readonly Rule[] = [
  { type: "QGemm", domain, backScale: gemmScale, backShift: gemmShift },
  { type: "MatMulIntegerToFloat", domain, ...FLOAT_BIAS({ weight: 1, scale: 3, zero: 5, bias: 6 }) },
  { type: "DynamicQuantizeMatMul", domain, ...FLOAT_BIAS({ weight: 1, scale: 2, zero: 3, bias: 4 }) },
];
