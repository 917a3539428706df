/** What a random graph may be made of: each builder draws a value, the constants and the attributes, and adds the node. */
import { f } from "../helpers/build.ts";
import type { Growing, Value } from "./graphs.ts";
import { movers } from "./movers.ts";
import { pickers } from "./pickers.ts";

export type Build = (g: Growing) => boolean;

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);
const divisors = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0);
const done = (made: readonly Value[] | undefined): boolean => made !== undefined;
const weight = (g: Growing, dims: readonly number[]): string => g.constant(dims);

/** Padding in each of its spellings, with the output sizes it gives. */
function padding(
  g: Growing,
  spatial: readonly number[],
  kernel: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
) {
  const extent = kernel.map((k, i) => (k - 1) * dilation[i] + 1);
  const style = g.pick(["none", "none", "pads", "pads", "VALID", "SAME_UPPER", "SAME_LOWER"]);
  if (style.startsWith("SAME")) return { attributes: { auto_pad: style }, out: spatial.map((d, i) => Math.ceil(d / stride[i])) };
  const pads = style === "pads" ? Array.from({ length: 2 * kernel.length }, () => g.between(0, 1)) : kernel.flatMap(() => [0, 0]);
  const out = spatial.map((d, i) => Math.floor((d + pads[i] + pads[i + kernel.length] - extent[i]) / stride[i]) + 1);
  return { attributes: style === "VALID" ? { auto_pad: "VALID" } : style === "pads" ? { pads } : {}, out };
}

const conv: Build = (g) => {
  const x = g.some((d) => d.length >= 3);
  if (x === undefined) return false;
  const [n, c, ...spatial] = x.dims;
  const group = g.chance(0.4) ? g.pick(divisors(c)) : 1;
  const out = group * g.pick([1, 1, 2, c / group]);
  const kernel = spatial.map((d) => g.between(1, Math.min(d, g.chance(0.5) ? 1 : 3)));
  const stride = spatial.map(() => (g.chance(0.8) ? 1 : 2));
  const dilation = spatial.map(() => (g.chance(0.85) ? 1 : 2));
  const pad = padding(g, spatial, kernel, stride, dilation);
  if (pad.out.some((d) => d < 1)) return false;
  const inputs = [x.name, weight(g, [out, c / group, ...kernel])];
  if (g.chance(0.5)) inputs.push(g.constant([out]));
  else if (g.chance(0.2)) inputs.push("");
  const plain = g.chance(0.3);
  return done(
    g.node("Conv", inputs, [[n, out, ...pad.out]], {
      ...pad.attributes,
      ...(group > 1 ? { group } : {}),
      ...(stride.some((s) => s > 1) || plain ? { strides: stride } : {}),
      ...(dilation.some((s) => s > 1) ? { dilations: dilation } : {}),
      ...(plain ? { kernel_shape: kernel } : {}),
    }),
  );
};

const convTranspose: Build = (g) => {
  const x = g.some((d) => d.length >= 3);
  if (x === undefined) return false;
  const [n, c, ...spatial] = x.dims;
  const group = g.chance(0.4) ? g.pick(divisors(c)) : 1;
  const per = g.pick([1, 2, c / group]);
  const kernel = spatial.map(() => (g.chance(0.5) ? 1 : g.between(1, 3)));
  const stride = spatial.map(() => (g.chance(0.75) ? 1 : 2));
  const pads = g.chance(0.25) ? [...kernel, ...kernel].map((k) => (k > 1 ? g.between(0, 1) : 0)) : undefined;
  const extra = stride.map((s) => (s > 1 && g.chance(0.3) ? 1 : 0));
  const out = spatial.map(
    (d, i) => (d - 1) * stride[i] + extra[i] + kernel[i] - (pads?.[i] ?? 0) - (pads?.[i + kernel.length] ?? 0),
  );
  if (out.some((d) => d < 1)) return false;
  const inputs = [x.name, weight(g, [c, per, ...kernel]), ...(g.chance(0.4) ? [g.constant([per * group])] : [])];
  return done(
    g.node("ConvTranspose", inputs, [[n, per * group, ...out]], {
      ...(group > 1 ? { group } : {}),
      ...(stride.some((s) => s > 1) ? { strides: stride } : {}),
      ...(pads === undefined ? {} : { pads }),
      ...(extra.some((e) => e > 0) ? { output_padding: extra } : {}),
    }),
  );
};

const batchNorm: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined) return false;
  const c = x.dims[1];
  const inputs = [x.name, g.gains([c]), g.constant([c]), g.constant([c]), g.constant([c], () => g.between(1, 12) / 4, false)];
  const attributes = g.chance(0.3) ? {} : { epsilon: f(g.pick([1e-5, 1e-3, 0.25])) };
  if (g.opset < 9 && x.dims.length === 2 && g.chance(0.3))
    return done(g.node("BatchNormalization", inputs, [x.dims], { ...attributes, spatial: 0 }));
  return done(g.node("BatchNormalization", inputs, [x.dims], attributes));
};

const gemm: Build = (g) => {
  const x = g.some((d) => d.length === 2);
  if (x === undefined) return false;
  const transA = !g.symbolic && g.chance(0.15);
  const [m, k] = transA ? [x.dims[1], x.dims[0]] : x.dims;
  const n = g.pick([k, k, 1, 2, 3]);
  const transB = g.chance(0.5);
  const left = !transA && !g.symbolic && g.chance(0.15);
  const c = g.pick([
    [],
    [1],
    [n],
    [1, n],
    ...(g.symbolic
      ? []
      : [
          [m, 1],
          [m, n],
        ]),
  ]);
  if (left) {
    const rows = g.pick([2, m]);
    return done(
      g.node(
        "Gemm",
        [weight(g, [rows, m]), x.name, ...(g.chance(0.5) ? [g.constant(g.pick([[k], [rows, 1], []]))] : [])],
        [[rows, k]],
        {},
      ),
    );
  }
  const inputs = [x.name, weight(g, transB ? [n, k] : [k, n]), ...(g.chance(0.6) ? [g.constant(c)] : [])];
  return done(
    g.node("Gemm", inputs, [[m, n]], {
      ...(transA ? { transA: 1 } : {}),
      ...(transB ? { transB: 1 } : {}),
      ...(g.chance(0.25) ? { alpha: f(g.pick([0.5, -2, 1])) } : {}),
      ...(g.chance(0.25) ? { beta: f(g.pick([0.5, 0, 3])) } : {}),
    }),
  );
};

const matmul: Build = (g) => {
  const x = g.some((d) => d.length >= 2 && d.length <= 4);
  if (x === undefined) return false;
  const [rows, k] = x.dims.slice(-2);
  const batch = x.dims.slice(0, -2);
  const style = g.random.uniform();
  if (style < 0.55) {
    const n = g.pick([k, k, 2, 3]);
    return done(g.node("MatMul", [x.name, weight(g, [k, n])], [[...batch, rows, n]]));
  }
  if (x.dims.length === 2 && g.symbolic) return false;
  if (style < 0.85) {
    const m = g.pick([rows, rows, 2, 3]);
    return done(g.node("MatMul", [weight(g, [m, rows]), x.name], [[...batch, m, k]]));
  }
  const z = g.some(
    (d, v) => v !== x && d.length === x.dims.length && d[d.length - 2] === k && d.slice(0, -2).every((v, i) => v === batch[i]),
  );
  if (z !== undefined) return done(g.node("MatMul", [x.name, z.name], [[...batch, rows, z.dims[z.dims.length - 1]]]));
  return batch.length > 0 && done(g.node("MatMul", [x.name, weight(g, [...batch.map(() => 1), k, 2])], [[...batch, rows, 2]]));
};

/** Shapes a constant operand may have; most lie along channels, some along equal lengths elsewhere. */
function operandDims(g: Growing, dims: readonly number[]): number[] {
  const rank = dims.length;
  const on = (axis: number) => dims.slice(axis).map((d, i) => (i === 0 ? d : 1));
  const style = g.random.uniform();
  const static0 = (list: number[]) => (g.symbolic && list.length === rank ? list.with(0, 1) : list);
  if (style < 0.15) return [];
  if (style < 0.2) return new Array<number>(g.between(1, rank)).fill(1);
  if (style < 0.65 && rank > 1) return g.chance(0.5) ? on(1) : [1, ...on(1)];
  if (style < 0.8) return static0(on(rank - 1));
  if (style < 0.9) return static0(on(g.between(0, rank - 1)));
  return static0([...dims]);
}

const withConstant: Build = (g) => {
  const x = g.some((d) => d.length >= 1);
  if (x === undefined) return false;
  const op = g.pick(["Add", "Sub", "Mul", "Mul", "Div"]);
  let dims = operandDims(g, x.dims);
  let out = x.dims;
  // A constant that makes its operand larger, now and then.
  const one = x.dims.findIndex((d, i) => d === 1 && i > 0);
  if (one >= 0 && g.chance(0.08)) {
    dims = x.dims.slice(one).map((_, i) => (i === 0 ? 3 : 1));
    out = x.dims.with(one, 3);
  }
  const left = op !== "Div" && g.chance(0.3);
  const c = op === "Mul" ? g.gains(dims) : op === "Div" ? g.constant(dims, () => g.number() || 2, false) : g.constant(dims);
  return done(g.node(op, left ? [c, x.name] : [x.name, c], [out]));
};

const together: Build = (g) => {
  const x = g.some(() => true);
  if (x === undefined) return false;
  const z =
    g.some((d, v) => v !== x && d.length === x.dims.length && d.every((e, i) => e === x.dims[i])) ??
    (g.chance(0.2) ? x : undefined);
  if (z === undefined) return false;
  const op = g.pick(["Add", "Add", "Add", "Sub", "Mul", "Sum", "Sum", "Mean", "Max", "Min"]);
  if ((op === "Max" || op === "Min") && g.opset < 8) return false;
  return done(g.node(op, op === "Sum" && g.chance(0.3) ? [x.name, z.name, x.name] : [x.name, z.name], [x.dims]));
};

/** Two values of which one is broadcast. */
const uneven: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  const z =
    x &&
    g.some(
      (d, v) =>
        v !== x &&
        d.length <= x.dims.length &&
        d.every((e, i) => e === 1 || e === x.dims[i + x.dims.length - d.length]) &&
        !(g.symbolic && d.length === x.dims.length && d[0] !== x.dims[0]),
    );
  if (x === undefined || z === undefined || (g.symbolic && z.dims.length !== x.dims.length)) return false;
  const op = g.pick(["Add", "Sub", "Mul"]);
  return done(g.node(op, g.chance(0.5) ? [x.name, z.name] : [z.name, x.name], [x.dims]));
};

const gate: Build = (g) => {
  const x = g.some((d) => d.length >= 3);
  if (x === undefined) return false;
  const pooled = g.node("GlobalAveragePool", [x.name], [x.dims.map((d, i) => (i < 2 ? d : 1))]);
  const gated = pooled && g.node("Sigmoid", [pooled[0].name], [pooled[0].dims]);
  return gated !== undefined && done(g.node(g.chance(0.8) ? "Mul" : "Div", [x.name, gated[0].name], [x.dims]));
};

const unary: Build = (g) => {
  const x = g.some(() => true);
  if (x === undefined) return false;
  const op = g.pick([
    "Relu",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Abs",
    "Neg",
    "Identity",
    "Dropout",
    "Clip",
    "Clip",
    "Min",
    "Max",
    "Sigmoid",
    "Tanh",
    "ThresholdedRelu",
    "HardSigmoid",
    "Elu",
    "Softplus",
    "Cast",
  ]);
  const number = () => g.constant(g.pick([[], [], [1]]), () => g.pick([-1, 0.5, 2, 0]), false);
  const go = (inputs: string[], attributes = {}) => done(g.node(op, inputs, [x.dims], attributes));
  switch (op) {
    case "LeakyRelu":
      return go([x.name], g.chance(0.5) ? { alpha: f(g.pick([0.5, -0.25])) } : {});
    case "PRelu": {
      const c = x.dims.length > 1 ? [x.dims[1], ...x.dims.slice(2).map(() => 1)] : [1];
      return go([x.name, g.constant(g.chance(0.7) ? c : [1])]);
    }
    case "Clip": {
      if (g.opset < 11)
        return go([x.name], { ...(g.chance(0.7) ? { min: f(-1) } : {}), ...(g.chance(0.7) ? { max: f(1.5) } : {}) });
      const scalar = (v: number) => g.constant([], () => v, false);
      return go([x.name, g.chance(0.7) ? scalar(-1) : "", ...(g.chance(0.7) ? [scalar(1.5)] : [])]);
    }
    case "Min":
    case "Max":
      return g.opset >= 8 && go(g.chance(0.5) ? [x.name, number()] : [number(), x.name]);
    case "ThresholdedRelu":
      return g.opset >= 10 && go([x.name], g.chance(0.5) ? { alpha: f(0.5) } : {});
    case "Dropout":
      return go([x.name], g.opset < 12 && g.chance(0.5) ? { ratio: f(0.25) } : {});
    case "Cast":
      return go([x.name], { to: { float64: 11, float32: 1, float16: 10 }[g.dtype] });
    default:
      return go([x.name]);
  }
};

const where: Build = (g) => {
  const x = g.some(() => true);
  if (x === undefined || g.opset < 9) return false;
  const z = g.some(
    (d, v) => v !== x && size(d) === size(x.dims) && d.length === x.dims.length && d.every((e, i) => e === x.dims[i]),
  );
  const cond = g.input(g.chance(0.5) || x.dims.length === 0 ? x.dims : [x.dims[0], ...x.dims.slice(1).map(() => 1)], "bool");
  if (g.symbolic && x.dims[0] !== g.inputs[0].dims?.length && z === undefined) return false;
  const other = z?.name ?? g.constant(g.chance(0.5) ? [] : [1], undefined, false);
  return done(g.node("Where", g.chance(0.5) ? [cond.name, x.name, other] : [cond.name, other, x.name], [x.dims]));
};

/** A branch that reads a value from around it. */
const branch: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined || g.opset < 11) return false;
  const cond = g.name("b");
  g.inputs.push({ name: cond, dtype: "bool", dims: [] });
  const [p, q] = [g.name("t"), g.name("e")];
  const output = (name: string) => [{ name, dtype: g.dtype }];
  const c = g.constant([x.dims[1], ...x.dims.slice(2).map(() => 1)]);
  const [inner, gain] = [g.name("t"), g.constant([])];
  const then = {
    nodes: [
      { op: "Mul", inputs: [x.name, gain], outputs: [inner] },
      { op: g.pick(["Add", "Mul"]), inputs: [inner, c], outputs: [p] },
    ],
    outputs: output(p),
  };
  const otherwise = { nodes: [{ op: g.pick(["Relu", "Neg"]), inputs: [x.name], outputs: [q] }], outputs: output(q) };
  g.read.add(x.name);
  return done(g.node("If", [cond], [x.dims], { then_branch: then, else_branch: otherwise }));
};

const repeat = (n: number, build: Build): Build[] => new Array<Build>(n).fill(build);

export const builders: readonly Build[] = [
  ...repeat(9, batchNorm),
  ...repeat(9, withConstant),
  ...repeat(7, conv),
  ...repeat(3, convTranspose),
  ...repeat(6, gemm),
  ...repeat(6, matmul),
  ...repeat(5, together),
  ...repeat(1, uneven),
  ...repeat(1, gate),
  ...repeat(6, unary),
  ...repeat(1, where),
  ...repeat(1, branch),
  ...movers,
  ...pickers,
];
