/** Attention as one operator and as products, and what only looks like it. */
import { f, float32, int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, microsoft, net, type Pair, series } from "./pairs.ts";

const small = (dims: readonly number[], step = 7) => {
  const count = dims.reduce((n, d) => n * d, 1);
  return float32(
    dims,
    series(count, step).map((v) => v / 64),
  );
};
const tokens = [{ name: "x", dims: [2, 5, 8] }];
const layers = {
  wq: small([8, 8]),
  wk: small([8, 8], 5),
  wv: small([8, 8], 3),
  bq: small([8]),
  bk: small([8], 5),
  bv: small([8], 3),
};
const sizes = { heads: int64([4], [0, 0, 2, 4]), rows: int64([3], [0, 0, 8]) };

/** Side by side, as one operator has them. */
const beside = (parts: readonly string[]): TensorSpec => {
  const values = parts.map((part) => layers[part as keyof typeof layers].values as number[]);
  const height = values[0].length / 8;
  const rows = Array.from({ length: height }, (_, r) => values.flatMap((list) => list.slice(8 * r, 8 * r + 8)));
  return float32(height === 1 ? [8 * parts.length] : [8, 8 * parts.length], rows.flat());
};

const layer = (part: string): NodeSpec[] => [
  node("MatMul", ["x", `w${part}`], [`${part}m`]),
  node("Add", [`${part}m`, `b${part}`], [part]),
];
const apart = (part: string, perm = [0, 2, 1, 3]): NodeSpec[] => [
  node("Reshape", [part, "heads"], [`${part}r`]),
  node("Transpose", [`${part}r`], [`${part}h`], { perm }),
];
const mixed = (more: NodeSpec[] = [], scores = "z"): NodeSpec[] => [
  node("MatMul", ["qh", "kh"], ["p"]),
  node("Mul", ["p", "s"], ["z"]),
  ...more,
  node("Softmax", [scores], ["a"], { axis: -1 }),
  node("MatMul", ["a", "vh"], ["o"]),
  node("Transpose", ["o"], ["t"], { perm: [0, 2, 1, 3] }),
  node("Reshape", ["t", "rows"], ["y"]),
];
const plain = (scale: number, more: NodeSpec[] = [], scores = "z", constants: Record<string, TensorSpec> = {}) =>
  net(
    tokens,
    [...["q", "k", "v"].flatMap(layer), ...apart("q"), ...apart("k", [0, 2, 3, 1]), ...apart("v"), ...mixed(more, scores)],
    { ...layers, ...sizes, s: float32([], [scale]), ...constants },
    { opsets: { "": 23, "com.microsoft": 1 } },
  );
const one = (nodes: NodeSpec[], constants: Record<string, TensorSpec> = {}) =>
  net(tokens, nodes, { ...layers, ...sizes, ...constants }, { opsets: { "": 23, "com.microsoft": 1 } });

const packed = (order: readonly string[], attributes: Record<string, ReturnType<typeof f> | number> = {}, mask?: TensorSpec) =>
  one(
    [
      node(
        "Attention",
        mask ? ["x", "w", "b", "", "", "mask"] : ["x", "w", "b"],
        ["y"],
        { num_heads: 2, ...attributes },
        microsoft,
      ),
    ],
    {
      w: beside(order.map((part) => `w${part}`)),
      b: beside(order.map((part) => `b${part}`)),
      ...(mask ? { mask } : {}),
    },
  );
const many = (inputs: string[], heads = 2) =>
  one(
    [
      ...["q", "k", "v"].flatMap((part) => node("MatMul", ["x", `w${part}`], [`${part}m`])),
      node("MultiHeadAttention", inputs, ["y"], { num_heads: heads }, microsoft),
    ],
    { b: beside(["bq", "bk", "bv"]) },
  );
const standard = (
  attributes: Record<string, ReturnType<typeof f> | number>,
  more: string[] = [],
  constants: Record<string, TensorSpec> = {},
) =>
  one(
    [
      ...["q", "k", "v"].flatMap(layer),
      node("Attention", ["q", "k", "v", ...more], ["y"], { q_num_heads: 2, kv_num_heads: 2, ...attributes }),
    ],
    constants,
  );

const bars = (upper: boolean) =>
  float32(
    [5, 5],
    Array.from({ length: 25 }, (_, i) =>
      (upper ? i % 5 > Math.floor(i / 5) : i % 5 < Math.floor(i / 5)) ? Number.NEGATIVE_INFINITY : 0,
    ),
  );
const masked = (mask: TensorSpec) => plain(0.5, [node("Add", ["z", "mask"], ["zm"])], "zm", { mask });

const same: Record<string, Pair> = {
  "one layer for all": [plain(0.5), packed(["q", "k", "v"])],
  "one layer for all, with a scale": [plain(0.25), packed(["q", "k", "v"], { scale: f(0.25) })],
  "one layer for all, with what is added to the scores": [
    masked(small([1, 2, 5, 5])),
    packed(["q", "k", "v"], {}, small([1, 2, 5, 5])),
  ],
  "three layers": [plain(0.5), many(["qm", "km", "vm", "b"])],
  "ONNX's own, heads side by side": [plain(0.5), standard({})],
  "ONNX's own, with a scale": [plain(0.125), standard({ scale: f(0.125) })],
  "ONNX's own, with a mask": [masked(small([5, 5])), standard({}, ["mask"], { mask: small([5, 5]) })],
  "ONNX's own, looking back only": [masked(bars(true)), standard({ is_causal: 1 })],
};

const unequal: Record<string, Pair> = {
  "keys for values": [plain(0.5), packed(["q", "v", "k"])],
  "another default scale": [plain(0.25), packed(["q", "k", "v"])],
  "a scale of its own": [plain(0.5), packed(["q", "k", "v"], { scale: f(0.25) })],
  "another mask": [masked(small([1, 2, 5, 5])), packed(["q", "k", "v"], {}, small([1, 2, 5, 5], 5))],
  "no bias": [plain(0.5), many(["qm", "km", "vm"])],
  "another number of heads": [plain(0.5), many(["qm", "km", "vm", "b"], 4)],
  "another order": [plain(0.5), many(["km", "qm", "vm", "b"])],
  "looking ahead only": [masked(bars(false)), standard({ is_causal: 1 })],
  "looking anywhere": [plain(0.5), standard({ is_causal: 1 })],
  "a cap": [plain(0.5), standard({ softcap: f(2) })],
};

judge("Attention", same, unequal);
