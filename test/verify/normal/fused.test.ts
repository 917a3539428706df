import { f, float32, int8, node, uint8 } from "../../helpers/build.ts";
import { judge, microsoft, net, series } from "./pairs.ts";

const ab = [
  { name: "a", dims: ["N", 3, 4] },
  { name: "b", dims: ["N", 3, 4] },
];
const turned = node("Transpose", ["b"], ["t"], { perm: [0, 2, 1] });
const scaled = (s: number, perm: number[]) =>
  net(ab, [node("Transpose", ["b"], ["t"], { perm }), node("MatMul", ["a", "t"], ["m"]), node("Mul", ["m", "s"], ["y"])], {
    s: float32([], [s]),
  });
const product = (attributes: Record<string, ReturnType<typeof f> | number>) =>
  net(ab, [node("FusedMatMul", ["a", "b"], ["y"], attributes, microsoft)]);

const tokens = [
  { name: "x", dims: ["N", 5, 4] },
  { name: "z", dims: ["N", 5, 4] },
];
const norms = { g: float32([4], [1, 2, -1, 0.5]), h: float32([4], [0, 1, 2, -1]), c: float32([4], [1, -1, 0.5, 2]) };
const normal = (epsilon: number, from: string[]) =>
  net(
    tokens,
    [node("Add", from, ["s"]), node("LayerNormalization", ["s", "g", "h"], ["y"], { axis: -1, epsilon: f(epsilon) })],
    norms,
  );
const skip = (inputs: string[]) =>
  net(tokens, [node("SkipLayerNormalization", inputs, ["y"], { epsilon: f(1e-5) }, microsoft)], norms);
const biased = (bias: string) => net(tokens, [node("BiasGelu", ["x", bias], ["y"], {}, microsoft)], norms);
const gelu = net(
  tokens,
  [
    node("Add", ["x", "c"], ["s"]),
    node("Div", ["s", "root"], ["d"]),
    node("Erf", ["d"], ["e"]),
    node("Add", ["e", "one"], ["o"]),
    node("Mul", ["s", "o"], ["m"]),
    node("Mul", ["m", "half"], ["y"]),
  ],
  { ...norms, root: float32([], [Math.fround(Math.SQRT2)]), one: float32([], [1]), half: float32([], [0.5]) },
);

const one = [{ name: "x", dims: ["N", 6] }];
const codes = {
  B: int8(
    [6, 4],
    series(24).map((v) => Math.round(10 * v)),
  ),
  s: float32([], [0.25]),
  c: norms.c,
  o: float32([], [0.5]),
};
const spelled = (scale: string, weight = codes.B) =>
  net(
    one,
    [
      node("DynamicQuantizeLinear", ["x"], ["q", "t", "p"]),
      node("MatMulInteger", ["q", "B", "p"], ["i"]),
      node("Cast", ["i"], ["r"], { to: 1 }),
      node("Mul", ["t", scale], ["w"]),
      node("Mul", ["r", "w"], ["m"]),
      node("Add", ["m", "c"], ["y"]),
    ],
    { ...codes, B: weight },
  );
const dynamic = (extra: string[] = ["", "c"]) =>
  net(one, [node("DynamicQuantizeMatMul", ["x", "B", "s", ...extra], ["y"], {}, microsoft)], { ...codes, zp: int8([], [3]) });
const zeroed = (zp: string) =>
  net(
    one,
    [
      node("DynamicQuantizeLinear", ["x"], ["q", "t", "p"]),
      node("MatMulIntegerToFloat", ["q", "B", "t", "s", zp, "", "c"], ["y"], {}, microsoft),
    ],
    { ...codes, other: uint8([], [7]) },
  );

judge(
  "operators of ONNX Runtime",
  {
    "a product of a transposed operand, scaled": [scaled(0.25, [0, 2, 1]), product({ transB: 1, alpha: f(0.25) })],
    "a product with the columns of one operand in front of the batch": [
      net(ab, [
        node("Transpose", ["a"], ["u"], { perm: [1, 2, 0] }),
        node("Transpose", ["b"], ["t"], { perm: [1, 0, 2] }),
        node("MatMul", ["u", "t"], ["y"]),
      ]),
      product({ transA: 1, transBatchA: 1, transBatchB: 1 }),
    ],
    "a product with the rows in front of the batch, columns exchanged": [
      net(ab, [
        node("Transpose", ["a"], ["u"], { perm: [1, 0, 2] }),
        node("Transpose", ["b"], ["t"], { perm: [1, 2, 0] }),
        node("MatMul", ["u", "t"], ["y"]),
      ]),
      product({ transBatchA: 1, transB: 1, transBatchB: 1 }),
    ],
    "a product alone": [net(ab, [turned, node("MatMul", ["a", "t"], ["y"])]), product({ transB: 1 })],
    "a normalization of a sum": [normal(1e-5, ["x", "z"]), skip(["x", "z", "g", "h"])],
    "a Gelu of a sum": [gelu, biased("c")],
    "a product of codes made on the way": [spelled("s"), dynamic()],
    "a product of codes that are given": [spelled("s"), zeroed("p")],
  },
  {
    "a product of another scale": [scaled(0.25, [0, 2, 1]), product({ transB: 1, alpha: f(0.26) })],
    "a product of the other operand transposed": [scaled(0.25, [0, 2, 1]), product({ transA: 1, alpha: f(0.25) })],
    "a product with the batch moved": [scaled(0.25, [0, 2, 1]), product({ transB: 1, transBatchB: 1, alpha: f(0.25) })],
    "another epsilon": [normal(1e-3, ["x", "z"]), skip(["x", "z", "g", "h"])],
    "gain and shift exchanged": [normal(1e-5, ["x", "z"]), skip(["x", "z", "h", "g"])],
    "another summand": [normal(1e-5, ["x", "x"]), skip(["x", "z", "g", "h"])],
    "a Gelu of another sum": [gelu, biased("h")],
    "another scale of the codes": [spelled("o"), dynamic()],
    "a zero point of the codes": [spelled("s"), dynamic(["zp", "c"])],
    "no bias": [spelled("s"), dynamic([])],
    "another zero point": [spelled("s"), zeroed("other")],
    "other codes": [
      spelled(
        "s",
        int8(
          [6, 4],
          series(24, 5).map((v) => Math.round(10 * v)),
        ),
      ),
      dynamic(),
    ],
  },
);
