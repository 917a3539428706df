/** Cases of the operators with weights. */
import { f, type NodeSpec, node } from "../../helpers/build.ts";
import { alike, type Case, c, positive, powers, type Subject, subject, wholes, x } from "./subject.ts";

type Attributes = NonNullable<NodeSpec["attributes"]>;

const product = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);

const PADDINGS: readonly Attributes[] = [
  {},
  { auto_pad: "" },
  { auto_pad: "VALID" },
  { auto_pad: "SAME_UPPER" },
  { auto_pad: "SAME_LOWER" },
  { pads: [1, 0] },
  { pads: [0, 1] },
];

/** Every phase of a stride: sizes, strides, kernels, dilations and ways of padding, over one axis. */
function phases(make: (size: number, kernel: number, attributes: Attributes) => Case | undefined): Case[] {
  const list: Case[] = [];
  for (const size of [5, 6, 7])
    for (const stride of [1, 2, 3])
      for (const kernel of [1, 2, 3])
        for (const dilation of kernel === 2 ? [1, 2] : [1])
          for (const padding of PADDINGS) {
            if ((kernel - 1) * dilation + 1 > size) continue;
            const made = make(size, kernel, {
              ...padding,
              ...(stride > 1 || kernel === 3 ? { strides: [stride] } : {}),
              ...(dilation > 1 ? { dilations: [dilation] } : {}),
            });
            if (made !== undefined) list.push({ ...made, few: true });
          }
  return list;
}

const dequantized = (
  axis: number | undefined,
  scales: readonly number[],
  dims: readonly number[],
): Pick<Case, "before" | "constants"> => ({
  before: [node("DequantizeLinear", ["q", "s"], ["w"], axis === undefined ? {} : { axis })],
  constants: {
    q: { dtype: "int8", dims, values: wholes(product(dims), 3, -9, 9) },
    s: { dtype: "float32", dims: scales.length === 1 ? [] : [scales.length], values: scales },
  },
});

const conv = subject(
  "Conv",
  [1, 11, 22],
  { inputs: [x(2, 4, 4), c([4, 4, 3]), c([4])] },
  { inputs: [x(2, 4, 4), c([4, 4, 2]), ""], attributes: { pads: [1, 0], strides: [2] } },
  { inputs: [x(1, 4, 4, 4), c([4, 2, 2, 1]), c([4])], attributes: { group: 2 } },
  { inputs: [x(1, 4, 3), c([8, 1, 2])], attributes: { group: 4, kernel_shape: [2] } },
  { inputs: [x(1, 2, 4, 3, 2), c([3, 2, 1, 2, 1])], attributes: { strides: [1, 2, 1] } },
  { inputs: [x(2, 4, 3), "w"], ...dequantized(0, [0.5, 2, 1, 4], [4, 4, 1]), from: 22 },
  ...phases((size, kernel, attributes) => ({ inputs: [x(1, 2, size), c([2, 2, kernel])], attributes, from: 22 })),
);

const deform = subject(
  "DeformConv",
  [19, 22],
  { inputs: [x(1, 4, 4, 4), c([4, 4, 2, 2]), { open: [1, 8, 3, 3], values: "any" }, c([4])] },
  { inputs: [x(1, 4, 4, 4), c([4, 2, 2, 2]), c([1, 8, 3, 3], wholes(72, 3, -1, 1)), ""], attributes: { group: 2 } },
  { inputs: [x(1, 4, 3, 3), c([2, 4, 1, 1]), c([1, 2, 3, 3], wholes(18, 3, -1, 1)), c([2]), x(1, 1, 3, 3)] },
);

const convTranspose = subject(
  "ConvTranspose",
  [1, 11, 22],
  { inputs: [x(2, 4, 4), c([4, 3, 2]), c([3])] },
  { inputs: [x(2, 4, 4), c([4, 3, 1])], attributes: { strides: [1] } },
  { inputs: [x(1, 4, 3, 3), c([4, 2, 1, 1]), c([4])], attributes: { group: 2, pads: [0, 0, 0, 0], output_padding: [0, 0] } },
  { inputs: [x(1, 4, 3), c([4, 2, 3]), ""], attributes: { group: 2, strides: [2], output_padding: [1], pads: [1, 1] } },
  { inputs: [x(1, 4, 3), c([4, 4, 1])], attributes: { output_padding: [1], strides: [2] } },
  { inputs: [x(1, 4, 3), c([4, 4, 1])], attributes: { output_shape: [5], strides: [2] } },
  { inputs: [x(1, 4, 4), c([4, 4, 1])], attributes: { pads: [1, 0] } },
  { inputs: [x(1, 4, 4), c([4, 4, 1])], attributes: { auto_pad: "SAME_UPPER" } },
  { inputs: [x(1, 4, 4), c([4, 4, 1])], attributes: { auto_pad: "VALID", dilations: [2] } },
  { inputs: [x(2, 4, 3), "w"], ...dequantized(1, [0.5, 2, 1], [4, 3, 1]), from: 22 },
  ...phases((size, kernel, attributes) =>
    String(attributes.auto_pad ?? "").startsWith("SAME") || kernel < ((attributes.pads as number[] | undefined) ?? [0]).length
      ? undefined
      : { inputs: [x(1, 2, size), c([2, 2, kernel])], attributes, from: 22 },
  ),
);

const gemm = subject(
  "Gemm",
  [1, 6, 7, 9, 11, 13],
  { inputs: [x(3, 4), c([4, 4]), c([3, 4])], until: 6 },
  { inputs: [x(3, 4), c([4, 4]), c([4])], from: 7 },
  { inputs: [x(3, 4), c([4, 4]), c([4])], attributes: { beta: f(0.5) }, from: 7 },
  { inputs: [x(3, 4), c([4, 4]), c([4])], attributes: { alpha: f(-2), beta: f(0) }, from: 7 },
  { inputs: [x(3, 4), c([4, 4]), c([3, 4])], attributes: { transB: 1, alpha: f(0.5), beta: f(4) }, from: 7 },
  { inputs: [x(4, 4), c([4, 2]), c([])], attributes: { transA: 1, beta: f(-0.5) }, from: 7 },
  { inputs: [x(4, 4), c([2, 4]), c([4, 1])], attributes: { transA: 1, transB: 1 }, from: 7 },
  { inputs: [c([4, 4]), x(4, 4), c([4, 1])], attributes: { alpha: f(2), beta: f(0.5) }, from: 7 },
  { inputs: [c([4, 4]), x(4, 4), c([1])], attributes: { transA: 1, transB: 1 }, from: 7 },
  { inputs: [x(3, 4), c([4, 4])], from: 11 },
  { inputs: [x(3, 4), c([4, 4]), ""], attributes: { alpha: f(4) }, from: 11 },
  { inputs: [x(3, 4), x(4, 4)], attributes: { alpha: f(0.5) }, from: 11 },
  { inputs: [x(3, 4), x(4, 4), x(4)], attributes: { alpha: f(0.5), beta: f(2) }, from: 11 },
  { inputs: [x(3, 4), x(4, 4), c([4])], from: 11 },
  { inputs: [x(3, 4), c([4, 4]), x(4)], from: 11 },
  { inputs: [x(3, 4), "w", c([4])], ...dequantized(1, [0.5, 2, 1, 4], [4, 4]), from: 13 },
);

const softmax = (dims: number[], axis: number, name = "p"): Pick<Case, "before" | "computed"> => ({
  before: [node("Softmax", ["l"], [name], { axis })],
  computed: { l: dims },
});
const matmul = subject(
  "MatMul",
  [1, 9, 13],
  { inputs: [x(3, 4), c([4, 4])] },
  { inputs: [x(2, 4, 4), c([4, 4])] },
  { inputs: [x(2, 2, 4, 4), c([4, 3])] },
  { inputs: [c([4, 4]), x(4, 4)] },
  { inputs: [c([3, 4]), x(2, 4, 4)] },
  { inputs: [x(2, 4, 4), c([2, 4, 4])] },
  { inputs: [x(2, 4, 4), c([1, 4, 4])] },
  { inputs: [c([2, 4, 4]), x(2, 4, 4)] },
  { inputs: [x(2, 4, 4), x(2, 4, 4)] },
  { inputs: [x(4, 4), x(4, 4)] },
  { inputs: [x(1, 4, 4), x(2, 4, 4)] },
  { inputs: [x(4, 4), x(2, 4, 4)] },
  { inputs: [x(4), c([4, 4])] },
  { inputs: [x(4, 4), c([4])] },
  { inputs: ["p", x(2, 4, 4)], ...softmax([2, 4, 4], -1), from: 13, roundings: 64 },
  { inputs: ["p", x(2, 4, 4)], ...softmax([2, 4, 4], 1), from: 13, roundings: 64 },
  { inputs: [x(2, 4, 4), "p"], ...softmax([2, 4, 4], 1), from: 13, roundings: 64 },
  { inputs: [x(2, 4, 4), "p"], ...softmax([2, 4, 4], -1), from: 13, roundings: 64 },
  { inputs: ["p", x(2, 4, 4)], ...softmax([2, 4, 4], 2), from: 9, until: 9, roundings: 64 },
  { inputs: ["p", x(2, 4, 4)], ...softmax([2, 4, 4], 1), from: 9, until: 9, roundings: 64 },
  {
    inputs: [x(2, 4, 4), "t"],
    before: [node("Softmax", ["l"], ["p"], { axis: -1 }), node("Transpose", ["p"], ["t"], { perm: [0, 2, 1] })],
    computed: { l: [2, 4, 4] },
    from: 13,
    roundings: 64,
  },
  { inputs: [x(3, 4), "w"], ...dequantized(1, [0.5, 2, 1, 4], [4, 4]), from: 13 },
);

const einsums: readonly (readonly [string, Case["inputs"]])[] = [
  ["ij,jk->ik", [x(4, 4), c([4, 4])]],
  ["ij,kj->ik", [x(4, 4), c([4, 4])]],
  ["bij,bjk->bik", [x(2, 4, 4), c([2, 4, 4])]],
  ["bij,bjk->bik", [x(2, 4, 4), x(2, 4, 4)]],
  ["bij,ijk->bk", [x(2, 4, 4), c([4, 4, 4])]],
  ["bij,j->ibj", [x(2, 4, 4), c([4])]],
  ["bij,ij,i->bj", [x(2, 4, 4), x(4, 4), c([4])]],
  ["...ij,jk->...ki", [x(2, 4, 4), c([4, 4])]],
  ["bij,jk->bi", [x(2, 4, 4), c([4, 4])]],
  ["ij,jk", [c([4, 4]), x(4, 4)]],
  ["ii,ij->j", [x(4, 4), c([4, 4])]],
  ["bij->bji", [x(2, 4, 4)]],
  ["bij->bi", [x(2, 4, 4)]],
];
const einsum = subject("Einsum", [12, 28], ...einsums.map(([equation, inputs]): Case => ({ inputs, attributes: { equation } })));

const gates: Record<string, number> = { LSTM: 4, GRU: 3, RNN: 1 };
const recurrent = Object.entries(gates).flatMap(([op, n]) => {
  const [W, R, B] = [c([1, 2 * n, 3]), c([1, 2 * n, 2]), c([1, 4 * n])];
  return subject(
    op,
    op === "GRU" ? [1, 3, 7, 14, 22] : [1, 7, 14, 22],
    { inputs: [x(3, 2, 3), W, R, B], attributes: { hidden_size: 2 }, roundings: 64 },
    { inputs: [x(3, 2, 3), W, R], attributes: { hidden_size: 2, clip: f(1) }, roundings: 64 },
    {
      inputs: [x(3, 2, 3), c([2, 2 * n, 3]), c([2, 2 * n, 2]), c([2, 4 * n])],
      attributes: { hidden_size: 2, direction: "bidirectional" },
      roundings: 64,
      outputs: 2,
    },
    { inputs: [x(2, 3, 3), W, R, B], attributes: { hidden_size: 2, layout: 1 }, from: 14, roundings: 64 },
    ...(op === "GRU"
      ? [{ inputs: [x(3, 2, 3), W, R, B], attributes: { hidden_size: 2, linear_before_reset: 1 }, from: 3, roundings: 64 }]
      : []),
  );
});

const int8 = (dims: readonly number[]) => ({ dtype: "int8", dims, values: wholes(product(dims), 3, -9, 9) });
const f32 = (dims: readonly number[], values: readonly number[]) => ({ dtype: "float32", dims, values });
const zero = (dims: readonly number[], values: readonly number[]) => ({ dtype: "int8", dims, values });
/** Codes that are made as the graph runs. */
const running = {
  before: [node("QuantizeLinear", ["v", "t", "n"], ["q"])],
  computed: { v: [4, 4] },
  constants: { t: f32([], [0.5]), n: zero([], [0]) },
};
const quantized = subject(
  "DequantizeLinear",
  [10, 13, 19, 21, 23, 24, 25, 28],
  { inputs: [int8([4, 4]), f32([], [0.5])] },
  { inputs: [int8([4, 4]), f32([], [0.5]), zero([], [0])] },
  { inputs: [int8([4, 4]), f32([], [0.5]), zero([], [3])] },
  { inputs: [int8([4, 4]), f32([], [0.5])], attributes: { axis: 0 }, from: 13 },
  { inputs: [int8([4, 4]), f32([4], [0.5, 2, 1, 4])], from: 13 },
  { inputs: [int8([4, 4]), f32([4], [0.5, 2, 1, 4]), zero([4], [1, -2, 0, 3])], attributes: { axis: 0 }, from: 13 },
  { inputs: [int8([4, 4, 2]), f32([4], [0.5, 2, 1, 4])], attributes: { axis: -2 }, from: 13 },
  { inputs: [int8([4, 4]), f32([4, 2], [0.5, 2, 1, 4, 8, 1, 2, 0.25])], attributes: { axis: 1, block_size: 2 }, from: 21 },
  ...[[f32([], [0.5])], [f32([], [0.25]), zero([], [3])], [f32([4], [0.5, 1, 0.25, 0.5]), zero([4], [1, -2, 0, 3])]].map(
    (rest): Case => ({ inputs: ["q", ...rest], ...running, from: rest[0].dims.length === 1 ? 13 : 10 }),
  ),
);
const quantizing = [
  subject(
    "QuantizeLinear",
    [10, 13, 19, 21, 23, 24, 25, 28],
    { inputs: [x(4, 4), f32([], [0.5]), zero([], [3])] },
    { inputs: [x(4, 4), f32([], [0.5])] },
    { inputs: [x(4, 4), f32([4], [0.5, 2, 1, 0.25]), zero([4], [1, -2, 0, 3])], attributes: { axis: 0 }, from: 13 },
    { inputs: [x(4, 4, 2), f32([4], [0.5, 2, 1, 0.25])], attributes: { axis: -2 }, from: 13 },
  ),
  subject("DynamicQuantizeLinear", [11], { inputs: [x(4, 4)], outputs: 3 }),
];

const norm = (n: number) => [c([n], wholes(n, 4, 1, 3)), c([n]), c([n]), c([n], [1, 4, 16, 0.25].slice(0, n))];
const batchNorm = subject(
  "BatchNormalization",
  [1, 6, 7, 9, 14, 15],
  { inputs: [x(2, 4, 4), ...norm(4)], attributes: { is_test: 1, epsilon: f(0) }, until: 6, roundings: 8 },
  { inputs: [x(2, 4, 4), ...norm(4)], attributes: { epsilon: f(0) }, from: 7, roundings: 8 },
  { inputs: [x(4, 4), ...norm(4)], from: 7, roundings: 8 },
  { inputs: [x(2, 4, 2, 2), ...norm(4)], attributes: { epsilon: f(0.25) }, from: 7, roundings: 8 },
);

const pools: Subject[] = [
  subject(
    "AveragePool",
    [1, 7, 10, 11, 19, 22],
    { inputs: [x(2, 4, 4)], attributes: { kernel_shape: [2] }, roundings: 8 },
    { inputs: [x(2, 4, 4, 4)], attributes: { kernel_shape: [2, 2], pads: [1, 1, 1, 1] }, roundings: 8 },
    {
      inputs: [x(2, 4, 4, 4)],
      attributes: { kernel_shape: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
      from: 7,
      roundings: 8,
    },
    { inputs: [x(2, 4, 5)], attributes: { kernel_shape: [2], strides: [2], ceil_mode: 1 }, from: 10, roundings: 8 },
    {
      inputs: [x(2, 4, 5)],
      attributes: { kernel_shape: [2], strides: [2], ceil_mode: 1, count_include_pad: 1 },
      from: 10,
      roundings: 8,
    },
    ...phases((size, kernel, attributes) =>
      Math.max(...((attributes.pads as number[] | undefined) ?? [0])) < kernel
        ? { inputs: [x(1, 2, size)], attributes: { kernel_shape: [kernel], ...attributes }, from: 22, roundings: 8 }
        : undefined,
    ),
    ...phases((size, kernel, attributes) =>
      Math.max(...((attributes.pads as number[] | undefined) ?? [0])) < kernel
        ? {
            inputs: [x(1, 2, size)],
            attributes: { kernel_shape: [kernel], count_include_pad: 1, ...attributes },
            from: 22,
            roundings: 8,
          }
        : undefined,
    ),
  ),
  subject(
    "MaxPool",
    [1, 8, 10, 11, 12, 22],
    { inputs: [x(2, 4, 4)], attributes: { kernel_shape: [2] } },
    { inputs: [x(2, 4, 4, 4)], attributes: { kernel_shape: [2, 2], pads: [1, 0, 1, 0], strides: [2, 1] } },
    { inputs: [x(2, 4, 4)], attributes: { kernel_shape: [2] }, outputs: 2, from: 8 },
    { inputs: [x(2, 4, 4)], attributes: { kernel_shape: [2], storage_order: 1 }, outputs: 2, read: 1, from: 8 },
    { inputs: [x(2, 4, 5)], attributes: { kernel_shape: [2], strides: [2], ceil_mode: 1, dilations: [2] }, from: 10 },
    ...phases((size, kernel, attributes) =>
      Math.max(...((attributes.pads as number[] | undefined) ?? [0])) < kernel
        ? { inputs: [x(1, 2, size)], attributes: { kernel_shape: [kernel], ...attributes }, from: 22 }
        : undefined,
    ),
  ),
  subject(
    "LpPool",
    [1, 2, 11, 18, 22],
    { inputs: [x(2, 4, 4)], attributes: { kernel_shape: [2], p: f(2) }, until: 1, roundings: 32 },
    { inputs: [x(2, 4, 4)], attributes: { kernel_shape: [2] }, from: 2, roundings: 32 },
    { inputs: [x(2, 4, 4, 4)], attributes: { kernel_shape: [2, 2], pads: [1, 1, 1, 1], p: 1 }, from: 2, roundings: 32 },
    { inputs: [x(2, 4, 4)], attributes: { kernel_shape: [2], strides: [2], p: 3 }, from: 2, roundings: 32 },
  ),
  ...alike("GlobalAveragePool", [1, 22], { inputs: [x(2, 4, 4)], roundings: 8 }, { inputs: [x(2, 4, 2, 3)], roundings: 8 }),
  ...alike("GlobalMaxPool", [1, 22], { inputs: [x(2, 4, 4)] }, { inputs: [x(2, 4, 2, 3)] }),
  subject(
    "GlobalLpPool",
    [1, 2, 22],
    { inputs: [x(2, 4, 4)], roundings: 32 },
    { inputs: [x(2, 4, 2, 3)], attributes: { p: 1 }, from: 2, roundings: 32 },
  ),
];

const affine = (n: number): Case["inputs"] => [powers(n), c([n])];
const norms: Subject[] = [
  subject(
    "InstanceNormalization",
    [1, 6, 22],
    { inputs: [x(2, 4, 4), ...affine(4)], roundings: 256 },
    { inputs: [x(2, 4, 4, 4), ...affine(4)], attributes: { epsilon: f(0) }, roundings: 256 },
  ),
  subject(
    "GroupNormalization",
    [18, 21],
    { inputs: [x(2, 4, 4), ...affine(2)], attributes: { num_groups: 2 }, until: 18, roundings: 256 },
    { inputs: [x(2, 4, 4), ...affine(4)], attributes: { num_groups: 4 }, roundings: 256 },
    { inputs: [x(2, 4, 4), ...affine(4)], attributes: { num_groups: 2 }, from: 21, roundings: 256 },
    { inputs: [x(2, 4, 4), ...affine(4)], attributes: { num_groups: 2, epsilon: f(0) }, from: 21, roundings: 256 },
  ),
  subject(
    "LayerNormalization",
    [17],
    { inputs: [x(2, 4, 4), ...affine(4)], roundings: 256 },
    { inputs: [x(2, 4, 4), powers(4)], roundings: 256 },
    { inputs: [x(2, 4, 4), powers(4, 4), c([4, 1])], attributes: { axis: 1, epsilon: f(0) }, roundings: 256 },
    { inputs: [x(2, 4, 4), powers(4), c([1])], attributes: { axis: -1, epsilon: f(0.5) }, roundings: 256 },
    { inputs: [x(2, 4, 4), ...affine(4)], outputs: 3, roundings: 256 },
    { inputs: [x(2, 4, 4), ...affine(4)], outputs: 3, read: 1, roundings: 256 },
  ),
  subject(
    "RMSNormalization",
    [23],
    { inputs: [x(2, 4, 4), powers(4)], roundings: 256 },
    { inputs: [x(2, 4, 4), powers(4, 4)], attributes: { axis: 1 }, roundings: 256 },
    { inputs: [x(2, 4, 4), powers(1)], attributes: { epsilon: f(0) }, roundings: 256 },
  ),
  subject(
    "LpNormalization",
    [1, 22],
    { inputs: [positive(2, 4, 4)], roundings: 64 },
    { inputs: [positive(2, 4, 4)], attributes: { axis: 1, p: 1 }, roundings: 64 },
  ),
  subject(
    "MeanVarianceNormalization",
    [1, 9, 13],
    { inputs: [x(2, 4, 2, 4)], until: 1, roundings: 2 ** 12 },
    { inputs: [x(2, 4, 2, 4)], attributes: { across_channels: 1 }, until: 1, roundings: 2 ** 12 },
    { inputs: [x(2, 4, 2, 4)], from: 9, roundings: 2 ** 12 },
    { inputs: [x(2, 4, 4)], attributes: { axes: [2] }, from: 9, roundings: 2 ** 12 },
    { inputs: [x(2, 4, 4)], attributes: { axes: [-2, -1] }, from: 13, roundings: 2 ** 12 },
  ),
  ...alike(
    "Softmax LogSoftmax",
    [1, 11, 13],
    { inputs: [x(2, 4, 4)], roundings: 64 },
    { inputs: [x(2, 4, 4)], attributes: { axis: 2 }, roundings: 64 },
    { inputs: [x(2, 4, 4)], attributes: { axis: 1 }, roundings: 64 },
    { inputs: [x(2, 4, 4)], attributes: { axis: -2 }, from: 11, roundings: 64 },
  ),
];

const det = subject("Det", [11, 22], { inputs: [x(2, 3, 3)], roundings: 64 }, { inputs: [x(4, 4)], roundings: 256 });

export const linear: readonly Subject[] = [
  conv,
  deform,
  convTranspose,
  gemm,
  matmul,
  einsum,
  det,
  ...recurrent,
  quantized,
  ...quantizing,
  batchNorm,
  ...pools,
  ...norms,
];
