/** Reshapes and Transposes as late as they go: products, gates and heads in any layout, and their nearest wrong neighbours. */
import { f, float32, int64, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, type Pair, series } from "../normal/pairs.ts";

const opset = { opset: 17 };
const T = (from: string, to: string, perm: number[]) => node("Transpose", [from], [to], { perm });
const image = [{ name: "x", dims: ["N", 4, 3, 3] }];
const tokens = [{ name: "x", dims: [2, 5, 8] }];

const square = float32([4, 4], series(16));
const transposed = float32(
  [4, 4],
  series(16).map((_, i, list) => list[(i % 4) * 4 + Math.floor(i / 4)]),
);
const bias = float32([4], series(4, 5));

/** A layer on channels: a Conv of one tap, a matrix behind a Transpose, an Einsum. */
const conv = (w: TensorSpec) =>
  net(
    image,
    [node("Conv", ["x", "w", "b"], ["c"]), node("Tanh", ["c"], ["y"])],
    { w: { ...w, dims: [4, 4, 1, 1] }, b: bias },
    opset,
  );
const matrix = (back: number[]) =>
  net(
    image,
    [
      T("x", "t", [0, 2, 3, 1]),
      node("MatMul", ["t", "w"], ["m"]),
      node("Add", ["m", "b"], ["a"]),
      node("Tanh", ["a"], ["h"]),
      T("h", "y", back),
    ],
    { w: transposed, b: bias },
    opset,
  );
const einsum = (equation: string) =>
  net(
    image,
    [node("Einsum", ["x", "w"], ["e"], { equation: equation }), node("Add", ["e", "b"], ["a"]), node("Tanh", ["a"], ["y"])],
    { w: square, b: { ...bias, dims: [4, 1, 1] } },
    opset,
  );

/** Heads of an attention of tokens [2, 5, 8], in two heads of four. */
const small = (step: number) =>
  float32(
    [8, 8],
    series(64, step).map((v) => v / 64),
  );
const W = { q: small(7), k: small(5), v: small(3) };
const projected = ["q", "k", "v"].map((part) => node("MatMul", ["x", part], [`${part}m`]));
const fourAxes = (scale: number, keys = [0, 2, 3, 1]) =>
  net(
    tokens,
    [
      ...projected,
      ...["q", "k", "v"].map((part) => node("Reshape", [`${part}m`, "heads"], [`${part}h`])),
      ...[T("qh", "qt", [0, 2, 1, 3]), T("kh", "kt", keys), T("vh", "vt", [0, 2, 1, 3])],
      ...[node("MatMul", ["qt", "kt"], ["qk"]), node("Mul", ["qk", "s"], ["z"]), node("Softmax", ["z"], ["a"])],
      ...[node("MatMul", ["a", "vt"], ["o"]), T("o", "ot", [0, 2, 1, 3]), node("Reshape", ["ot", "rows"], ["y"])],
    ],
    { ...W, heads: int64([4], [2, 5, 2, 4]), rows: int64([3], [2, 5, 8]), s: float32([], [scale]) },
    opset,
  );
const batches = (parts: [number, number], scale = 0.5) =>
  net(
    tokens,
    [
      ...projected,
      node("Mul", ["qm", "s"], ["qs"]),
      ...["qs", "km", "vm"].flatMap((part) => [
        node("Reshape", [part, "heads"], [`${part}h`]),
        T(`${part}h`, `${part}t`, [0, 2, 1, 3]),
        node("Reshape", [`${part}t`, "flat"], [`${part}f`]),
      ]),
      ...[T("kmf", "kt", [0, 2, 1]), node("MatMul", ["qsf", "kt"], ["z"]), node("Softmax", ["z"], ["a"])],
      ...[node("MatMul", ["a", "vmf"], ["o"]), node("Reshape", ["o", "apart"], ["oa"]), T("oa", "ot", [0, 2, 1, 3])],
      node("Reshape", ["ot", "rows"], ["y"]),
    ],
    {
      ...{ ...W, heads: int64([4], [2, 5, 2, 4]), flat: int64([3], [4, 5, 4]), apart: int64([4], [...parts, 5, 4]) },
      ...{ rows: int64([3], [2, 5, 8]), s: float32([], [scale]) },
    },
    opset,
  );
const sums = (keys: string) =>
  net(
    tokens,
    [
      ...projected,
      ...["q", "k", "v"].map((part) => node("Reshape", [`${part}m`, "heads"], [`${part}h`])),
      node("Einsum", ["qh", "kh"], ["z"], { equation: keys }),
      ...[node("Mul", ["z", "s"], ["zs"]), node("Softmax", ["zs"], ["a"])],
      node("Einsum", ["a", "vh"], ["o"], { equation: "bhlm,bmhd->blhd" }),
      node("Reshape", ["o", "rows"], ["y"]),
    ],
    { ...W, heads: int64([4], [2, 5, 2, 4]), rows: int64([3], [2, 5, 8]), s: float32([], [0.5]) },
    opset,
  );
/** One product for all three, taken apart by columns. */
const packed = (order: [string, string, string], bounds = [0, 8, 16, 24]) =>
  net(
    tokens,
    [
      node("MatMul", ["x", "w"], ["m"]),
      node("Reshape", ["m", "parts"], ["p"]),
      T("p", "t", [2, 0, 3, 1, 4]),
      ...order.flatMap((part, i) => [
        node("Slice", ["t", `from${i}`, `to${i}`, "zero"], [`${part}1`]),
        node("Squeeze", [`${part}1`, "zero"], [`${part}t`]),
      ]),
      ...[T("kt", "kk", [0, 1, 3, 2]), node("MatMul", ["qt", "kk"], ["qk"]), node("Mul", ["qk", "s"], ["z"])],
      ...[node("Softmax", ["z"], ["a"]), node("MatMul", ["a", "vt"], ["o"]), T("o", "ot", [0, 2, 1, 3])],
      node("Reshape", ["ot", "rows"], ["y"]),
    ],
    {
      w: float32(
        [8, 24],
        Array.from({ length: 8 * 24 }, (_, i) => {
          const [row, column] = [Math.floor(i / 24), i % 24];
          const part = bounds.findLastIndex((start) => column >= start);
          return ([W.q, W.k, W.v][part].values as number[])[row * 8 + column - bounds[part]];
        }),
      ),
      ...Object.fromEntries(
        [0, 1, 2].flatMap((i) => [[`from${i}`, int64([1], [i])] as const, [`to${i}`, int64([1], [i + 1])] as const]),
      ),
      ...{ parts: int64([5], [2, 5, 3, 2, 4]), rows: int64([3], [2, 5, 8]), zero: int64([1], [0]), s: float32([], [0.5]) },
    },
    opset,
  );

/** A gate of each channel: planes averaged, two layers, as Convs of one tap or as matrices, in either layout. */
const gate = (middle: NodeSpec[], more: Record<string, TensorSpec> = {}) =>
  net(image, middle, { w: square, b: bias, ...more }, opset);
const gateByConv = gate(
  [
    node("GlobalAveragePool", ["x"], ["p"]),
    node("Conv", ["p", "w", "b"], ["c"]),
    node("Sigmoid", ["c"], ["g"]),
    node("Mul", ["x", "g"], ["y"]),
  ],
  { w: { ...square, dims: [4, 4, 1, 1] } },
);
const gateByRows = (to: number[], axes = [2, 3]) =>
  gate(
    [
      node("ReduceMean", ["x"], ["p"], { axes, keepdims: 0 }),
      node("Gemm", ["p", "w", "b"], ["c"], { transB: 1 }),
      node("Sigmoid", ["c"], ["g"]),
      node("Reshape", ["g", "to"], ["h"]),
      node("Mul", ["x", "h"], ["y"]),
    ],
    { to: int64([4], to) },
  );
const gateLast = (axes: number[]) =>
  gate(
    [
      T("x", "t", [0, 2, 3, 1]),
      node("ReduceMean", ["t"], ["p"], { axes, keepdims: 1 }),
      node("MatMul", ["p", "w"], ["m"]),
      node("Add", ["m", "b"], ["c"]),
      node("Sigmoid", ["c"], ["g"]),
      node("Mul", ["t", "g"], ["u"]),
      T("u", "y", [0, 3, 1, 2]),
    ],
    { w: transposed },
  );

const spread = (times: number[]) =>
  net(
    [{ name: "x", dims: [2, 4, 3, 3] }],
    [
      node("GlobalAveragePool", ["x"], ["p"]),
      node("Sigmoid", ["p"], ["g"]),
      node("Expand", ["g", "to"], ["e"]),
      node("Mul", ["x", "e"], ["y"]),
    ],
    { to: int64([times.length], times) },
    opset,
  );
const unspread = net(
  [{ name: "x", dims: [2, 4, 3, 3] }],
  [node("GlobalAveragePool", ["x"], ["p"]), node("Sigmoid", ["p"], ["g"]), node("Mul", ["x", "g"], ["y"])],
  {},
  opset,
);

const blocks = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) =>
  net([{ name: "x", dims: [2, 8, 3, 5] }], nodes, more, opset);
const shuffled = (middle: number[], perm: number[]) =>
  blocks([node("Reshape", ["x", "to"], ["r"]), T("r", "t", perm), node("Reshape", ["t", "rows"], ["y"])], {
    to: int64([6], middle),
    rows: int64([4], [2, 2, 6, 10]),
  });

const two = [
  { name: "x", dims: [2, 3, 5] },
  { name: "z", dims: [2, 4, 5] },
];
const sumOfProducts = (axis: number, keep: number[] = [2]) =>
  net(
    two,
    [
      ...[node("Unsqueeze", ["x", "i"], ["u"]), node("Unsqueeze", ["z", "j"], ["v"]), node("Mul", ["u", "v"], ["p"])],
      node("ReduceSum", ["p", "a"], ["y"], { keepdims: 0 }),
    ],
    { i: int64([1], keep), j: int64([1], [1]), a: int64([1], [axis]) },
    opset,
  );
const products = (perm: number[]) => net(two, [T("z", "t", perm), node("MatMul", ["x", "t"], ["y"])], {}, opset);
const outer = (first: boolean) =>
  net(
    [
      { name: "x", dims: [2, 3] },
      { name: "z", dims: [2, 3] },
    ],
    [
      ...[
        node("Relu", ["x"], ["r"]),
        node("Unsqueeze", [first ? "r" : "z", "i"], ["u"]),
        node("Unsqueeze", [first ? "z" : "r", "j"], ["v"]),
      ],
      node("Mul", ["u", "v"], ["y"]),
    ],
    { i: int64([1], [2]), j: int64([1], [1]) },
    opset,
  );
const outerSum = net(
  outer(true).inputs ?? [],
  [node("Relu", ["x"], ["r"]), node("Einsum", ["r", "z"], ["y"], { equation: "bi,bj->bij" })],
  {},
  opset,
);

const taps = float32(
  [4, 2, 2, 3],
  series(48).map((v) => v / 8),
);
const picture = [{ name: "x", dims: [2, 2, 4, 6] }];
const patchConv = (strides: number[]) =>
  net(picture, [node("Conv", ["x", "w", "b"], ["c"], { strides }), node("Tanh", ["c"], ["y"])], { w: taps, b: bias }, opset);
const patches = (perm: number[]) =>
  net(
    picture,
    [
      ...[node("Reshape", ["x", "apart"], ["r"]), T("r", "t", perm), node("Reshape", ["t", "rows"], ["q"])],
      ...[node("Gemm", ["q", "w", "b"], ["g"], { transB: 1 }), node("Reshape", ["g", "back"], ["h"]), T("h", "c", [0, 3, 1, 2])],
      node("Tanh", ["c"], ["y"]),
    ],
    {
      ...{ w: { ...taps, dims: [4, 12] }, b: bias, apart: int64([6], [2, 2, 2, 2, 2, 3]), rows: int64([2], [8, 12]) },
      back: int64([4], [2, 2, 2, 4]),
    },
    opset,
  );

/** A channel of each tap, which blocks lay side by side. */
const spreadOut = net(
  picture,
  [node("ConvTranspose", ["x", "w", "b"], ["c"], { strides: [2, 3] }), node("Tanh", ["c"], ["y"])],
  { w: float32([2, 2, 2, 3], series(24)), b: float32([2], [0.5, -1]) },
  opset,
);
const laidOut = (perm: number[]) =>
  net(
    picture,
    [
      ...[node("Conv", ["x", "w", "b"], ["c"]), node("Reshape", ["c", "apart"], ["r"]), T("r", "t", perm)],
      ...[node("Reshape", ["t", "back"], ["h"]), node("Tanh", ["h"], ["y"])],
    ],
    {
      w: float32(
        [12, 2, 1, 1],
        series(24).map((_, i, list) => list[(i % 2) * 12 + Math.floor(i / 2)]),
      ),
      b: float32(
        [12],
        series(12).map((_, i) => (i < 6 ? 0.5 : -1)),
      ),
      ...{ apart: int64([6], [2, 2, 2, 3, 4, 6]), back: int64([4], [2, 2, 8, 18]) },
    },
    opset,
  );

const line = [{ name: "x", dims: [2, 3, 4] }];
const tiled = net(line, [node("Tile", ["x", "n"], ["y"])], { n: int64([3], [1, 2, 1]) }, opset);
const copied = (wide: number[], between: number[]) =>
  net(
    line,
    [node("Reshape", ["x", "one"], ["r"]), node("Expand", ["r", "wide"], ["e"]), node("Reshape", ["e", "to"], ["y"])],
    { one: int64([4], between), wide: int64([4], wide), to: int64([3], [2, 6, 4]) },
    opset,
  );
const nearest = (mode: string) =>
  net(
    line,
    [node("Resize", ["x", "", "k"], ["y"], { mode, coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" })],
    { k: float32([3], [1, 2, 1]) },
    opset,
  );

/** A constant for the inner part of an axis that was split, as one for the whole axis. */
const inner = [1, -2, 0.5, 3];
const partly = (split: number[], c: TensorSpec): ModelSpec =>
  net(
    tokens,
    [node("Reshape", ["x", "parts"], ["p"]), node("Mul", ["p", "c"], ["m"]), node("Reshape", ["m", "rows"], ["y"])],
    { parts: int64([4], [2, 5, ...split]), rows: int64([3], [2, 5, 8]), c },
    opset,
  );
const wholly = (values: number[]): ModelSpec => net(tokens, [node("Mul", ["x", "c"], ["y"])], { c: float32([8], values) }, opset);
const tiles = [...inner, ...inner];
const repeats = inner.flatMap((v) => [v, v]);
/** A matrix on rows and a frozen normalization behind it, and the Conv that both are. */
const statistics = { g: [1.5, -0.5, 2, 1], h: [0.25, 1, -1, 0], m: [0.5, -0.25, 0, 1], v: [1, 0.5, 2, 0.25] };
const frozen = (): Pair[0] =>
  net(
    image,
    [
      T("x", "t", [0, 2, 3, 1]),
      node("MatMul", ["t", "w"], ["a"]),
      T("a", "r", [0, 3, 1, 2]),
      node("BatchNormalization", ["r", "g", "h", "m", "v"], ["n"], { epsilon: f(0.125) }),
      node("Tanh", ["n"], ["y"]),
    ],
    { w: transposed, ...Object.fromEntries(Object.entries(statistics).map(([name, list]) => [name, float32([4], list)])) },
    opset,
  );
const folded = (channel = (o: number) => o): Pair[0] => {
  const { g, h, m, v } = statistics;
  const gain = g.map((_, o) => g[channel(o)] / Math.sqrt(v[channel(o)] + 0.125));
  const list = (numbers: readonly number[]) => numbers.map(Math.fround);
  return net(
    image,
    [node("Conv", ["x", "w", "b"], ["c"]), node("Tanh", ["c"], ["y"])],
    {
      w: float32([4, 4, 1, 1], list(series(16).map((w, i) => w * gain[Math.floor(i / 4)]))),
      b: float32([4], list(gain.map((s, o) => h[o] - m[o] * s))),
    },
    opset,
  );
};

const same: Record<string, Pair> = {
  "taps laid side by side": [spreadOut, laidOut([0, 1, 4, 2, 5, 3])],
  "a normalization behind a matrix and in a Conv": [frozen(), folded()],
  "sums of products and matrices": [products([0, 2, 1]), sumOfProducts(3)],
  "all products of two": [outer(true), outerSum],
  "patches, as a Conv and as rows": [patchConv([2, 3]), patches([0, 2, 4, 1, 3, 5])],
  "copies of an axis": [tiled, copied([2, 2, 3, 4], [2, 1, 3, 4])],
  "copies of places": [nearest("nearest"), copied([2, 3, 2, 4], [2, 3, 1, 4])],
  "a Conv of one tap and a matrix behind a Transpose": [conv(square), matrix([0, 3, 1, 2])],
  "a Conv of one tap and an Einsum": [conv(square), einsum("nihw,oi->nohw")],
  "heads as axes and heads in the batch": [fourAxes(0.5), batches([2, 2])],
  "heads as axes and sums over labels": [fourAxes(0.5), sums("blhd,bmhd->bhlm")],
  "heads in the batch and sums over labels": [batches([2, 2]), sums("blhd,bmhd->bhlm")],
  "three layers and one for all": [fourAxes(0.5), packed(["q", "k", "v"])],
  "a gate by Convs and by rows": [gateByConv, gateByRows([-1, 4, 1, 1])],
  "a gate by Convs and with channels last": [gateByConv, gateLast([1, 2])],
  "a gate that is spread out first": [spread([2, 4, 3, 3]), unspread],
  "a constant of the inner part of an axis": [partly([2, 4], float32([4], inner)), wholly(tiles)],
  "a constant of the outer part of an axis": [partly([4, 2], float32([4, 1], inner)), wholly(repeats)],
  "blocks as channels": [
    blocks([node("DepthToSpace", ["x"], ["y"], { blocksize: 2 })]),
    shuffled([2, 2, 2, 2, 3, 5], [0, 3, 4, 1, 5, 2]),
  ],
  "blocks as channels, columns first": [
    blocks([node("DepthToSpace", ["x"], ["y"], { blocksize: 2, mode: "CRD" })]),
    shuffled([2, 2, 2, 2, 3, 5], [0, 1, 4, 2, 5, 3]),
  ],
};

const unequal: Record<string, Pair> = {
  "a constant of the inner part of an axis for one of the outer": [partly([2, 4], float32([4], inner)), wholly(repeats)],
  "a constant of the outer part of an axis for one of the inner": [partly([4, 2], float32([4, 1], inner)), wholly(tiles)],
  "the gains of other channels": [frozen(), folded((o) => 3 - o)],
  "sums along another axis": [
    net(
      two.map(({ name }) => ({ name, dims: [2, 4, 4] })),
      products([0, 2, 1]).nodes,
      {},
      opset,
    ),
    net(
      two.map(({ name }) => ({ name, dims: [2, 4, 4] })),
      sumOfProducts(2).nodes,
      sumOfProducts(2).initializers,
      opset,
    ),
  ],
  "all products the other way": [outer(false), outerSum],
  "patches turned": [patchConv([2, 3]), patches([0, 2, 4, 1, 5, 3])],
  "taps laid out in columns": [spreadOut, laidOut([0, 1, 2, 4, 3, 5])],
  "windows that overlap": [patchConv([1, 3]), patchConv([2, 3])],
  "copies of places for copies of an axis": [tiled, copied([2, 3, 2, 4], [2, 3, 1, 4])],
  "places between": [nearest("linear"), copied([2, 3, 2, 4], [2, 3, 1, 4])],
  "the matrix turned": [conv(transposed), matrix([0, 3, 1, 2])],
  "another way back": [conv(square), matrix([0, 3, 2, 1])],
  "the other label": [conv(square), einsum("nohw,oi->nihw")],
  "heads and batch exchanged": [
    fourAxes(0.5),
    net(
      tokens,
      batches([2, 2]).nodes.map((n) => (n.inputs?.[0] === "o" ? { ...n, inputs: ["o", "wrong"] } : n)),
      { ...batches([2, 2]).initializers, wrong: int64([4], [2, 2, 4, 5]) },
      opset,
    ),
  ],
  "another scale": [fourAxes(0.25), batches([2, 2])],
  "keys of other heads": [fourAxes(0.5), sums("blhd,bmhd->bhml")],
  "the parts in another order": [fourAxes(0.5), packed(["k", "q", "v"])],
  "values for keys": [fourAxes(0.5), packed(["q", "v", "k"])],
  "a gate along another axis": [gateByConv, gateLast([1, 3])],
  "a mean of fewer places": [gateByConv, gateByRows([-1, 4, 1, 1], [2])],
  "spread out to more": [spread([2, 4, 3, 3]), spread([1, 2, 4, 3, 3])],
  "blocks the other way": [
    blocks([node("DepthToSpace", ["x"], ["y"], { blocksize: 2 })]),
    shuffled([2, 2, 2, 2, 3, 5], [0, 1, 4, 2, 5, 3]),
  ],
};

judge("Cores", same, unequal);
