import { type f, float32, int64, type ModelSpec, node } from "../../helpers/build.ts";
import { judge, net, series } from "./pairs.ts";

const x = [{ name: "x", dims: [2, 4, 6] }];
const w = float32([6, 5], series(30));
const c = float32([5], series(5, 3));
const tail = node("Softmax", ["h"], ["y"], { axis: -1 });
const open = [{ name: "x", dims: ["N", 4, 6] }];
const opset = { opsets: { "": 18 } };
const ints = (...values: number[]) => int64([values.length], values);

/** x · w + c of [2, 4, 6], on whatever rows, as [2, 2, 2, 5]. */
const rows = (flat: number[], to: number[], more = {}): ModelSpec =>
  net(
    x,
    [
      node("Reshape", ["x", "f"], ["r"]),
      node("MatMul", ["r", "w"], ["m"]),
      node("Add", ["m", "c"], ["s"]),
      node("Reshape", ["s", "t"], ["h"]),
      tail,
    ],
    { f: ints(...flat), t: ints(...to), w, c, ...more },
    opset,
  );
const gemm = (flat: number[], to: number[]): ModelSpec =>
  net(
    x,
    [node("Reshape", ["x", "f"], ["r"]), node("Gemm", ["r", "w", "c"], ["s"]), node("Reshape", ["s", "t"], ["h"]), tail],
    { f: ints(...flat), t: ints(...to), w, c },
    opset,
  );
const sized = (half: boolean): ModelSpec =>
  net(
    x,
    half
      ? [
          node("Shape", ["x"], ["n"], { start: 2 }),
          node("Cast", ["n"], ["k"], { to: 1 }),
          node("Sqrt", ["k"], ["q"]),
          node("Div", ["x", "q"], ["h"]),
          tail,
        ]
      : [node("Div", ["x", "q"], ["h"]), tail],
    half ? {} : { q: float32([1], [Math.fround(Math.sqrt(6))]) },
    opset,
  );

judge(
  "shapes written in other ways",
  {
    "rows of a layer, as a product of matrices or of tensors": [rows([-1, 2, 6], [2, 2, 2, 5]), gemm([-1, 6], [2, 2, 2, 5])],
    "heads put together for a layer, as rows of a tensor or of a matrix": [
      net(
        [{ name: "x", dims: [2, 4, 3, 2] }],
        [node("Reshape", ["x", "f"], ["r"]), node("MatMul", ["r", "w"], ["m"]), node("Add", ["m", "c"], ["h"]), tail],
        { f: ints(2, 4, 6), w, c },
        opset,
      ),
      net(
        [{ name: "x", dims: [2, 4, 3, 2] }],
        [node("Reshape", ["x", "f"], ["r"]), node("Gemm", ["r", "w", "c"], ["s"]), node("Reshape", ["s", "t"], ["h"]), tail],
        { f: ints(-1, 6), t: ints(2, 4, 5), w, c },
        opset,
      ),
    ],
    "two Unsqueezes and one": [
      net(
        x,
        [node("Unsqueeze", ["x", "a"], ["u"]), node("Unsqueeze", ["u", "b"], ["h"]), tail],
        { a: ints(1), b: ints(2) },
        opset,
      ),
      net(x, [node("Unsqueeze", ["x", "a"], ["h"]), tail], { a: ints(1, 2) }, opset),
    ],
    "two Unsqueezes of a size nobody knows": [
      net(
        open,
        [node("Unsqueeze", ["x", "a"], ["u"]), node("Unsqueeze", ["u", "b"], ["h"]), tail],
        { a: ints(1), b: ints(2) },
        opset,
      ),
      net(open, [node("Unsqueeze", ["x", "a"], ["h"]), tail], { a: ints(1, 2) }, opset),
    ],
    "a number that a shape gives, computed": [sized(true), sized(false)],
  },
  {
    "rows of other columns": [rows([-1, 2, 6], [2, 2, 2, 5]), rows([-1, 2, 6], [2, 2, 5, 2])],
    "a weight along another axis": [
      net(
        x,
        [node("Reshape", ["x", "f"], ["r"]), node("MatMul", ["r", "w"], ["h"]), tail],
        { f: ints(2, 6, 4), w: float32([4, 4], series(16)) },
        opset,
      ),
      net(
        x,
        [node("Transpose", ["x"], ["r"], { perm: [0, 2, 1] }), node("MatMul", ["r", "w"], ["h"]), tail],
        { w: float32([4, 4], series(16)) },
        opset,
      ),
    ],
    "a bias that is another": [rows([-1, 2, 6], [2, 2, 2, 5]), rows([-1, 2, 6], [2, 2, 2, 5], { c: float32([5], series(5, 5)) })],
    "an Unsqueeze elsewhere": [
      net(
        x,
        [node("Unsqueeze", ["x", "a"], ["u"]), node("Unsqueeze", ["u", "b"], ["h"]), tail],
        { a: ints(1), b: ints(2) },
        opset,
      ),
      net(x, [node("Unsqueeze", ["x", "a"], ["h"]), tail], { a: ints(1, 3) }, opset),
    ],
    "the size of another axis": [sized(true), net(x, [node("Div", ["x", "q"], ["h"]), tail], { q: float32([1], [2]) }, opset)],
  },
);

const image = [{ name: "x", dims: ["N", 3, "H", "W"] }];
const around = (pads: number[], fill: number, pool: Record<string, number | number[]>, op = "AveragePool"): ModelSpec =>
  net(
    image,
    [node("Pad", ["x", "p", "v"], ["h"]), node(op, ["h"], ["y"], { kernel_shape: [3, 3], ...pool })],
    { p: ints(0, 0, ...pads.slice(0, 2), 0, 0, ...pads.slice(2)), v: float32([], [fill]) },
    opset,
  );
const within = (pool: Record<string, number | number[]>, op = "AveragePool"): ModelSpec =>
  net(image, [node(op, ["x"], ["y"], { kernel_shape: [3, 3], ...pool })], {}, opset);

judge(
  "zeros around a pool",
  {
    "as a Pad": [around([1, 1, 1, 1], 0, {}), within({ pads: [1, 1, 1, 1], count_include_pad: 1 })],
    "beside those it counts": [
      around([1, 0, 1, 0], 0, { pads: [0, 1, 0, 1], count_include_pad: 1, strides: [2, 2] }),
      within({ pads: [1, 1, 1, 1], count_include_pad: 1, strides: [2, 2] }),
    ],
  },
  {
    "not counted": [around([1, 1, 1, 1], 0, {}), within({ pads: [1, 1, 1, 1] })],
    "of another number": [around([1, 1, 1, 1], 1, {}), within({ pads: [1, 1, 1, 1], count_include_pad: 1 })],
    "on one side": [around([1, 1, 0, 0], 0, {}), within({ pads: [1, 1, 1, 1], count_include_pad: 1 })],
    "beside some it does not count": [
      around([1, 1, 1, 1], 0, { pads: [1, 1, 1, 1] }),
      within({ pads: [2, 2, 2, 2], count_include_pad: 1 }),
    ],
    "of the largest": [around([1, 1, 1, 1], 0, {}, "MaxPool"), within({ pads: [1, 1, 1, 1] }, "MaxPool")],
  },
);

const plain = [{ name: "x", dims: ["N", 4] }];
const after = (...ops: (readonly [op: string, attributes?: Record<string, ReturnType<typeof f>>])[]): ModelSpec =>
  net(
    plain,
    ops.map(([op, attributes], i) =>
      node(op, [i === 0 ? "x" : `v${i}`], [i === ops.length - 1 ? "y" : `v${i + 1}`], attributes ?? {}),
    ),
    {},
    opset,
  );

judge(
  "what is never negative",
  {
    "a Relu of a Relu": [after(["Relu"], ["Relu"], ["Tanh"]), after(["Relu"], ["Tanh"])],
    "a size of an exponential": [after(["Exp"], ["Abs"], ["Tanh"]), after(["Exp"], ["Tanh"])],
    "a Mish, written out": [
      after(["Mish"], ["Tanh"]),
      net(
        plain,
        [node("Softplus", ["x"], ["s"]), node("Tanh", ["s"], ["t"]), node("Mul", ["x", "t"], ["m"]), node("Tanh", ["m"], ["y"])],
        {},
        opset,
      ),
    ],
  },
  {
    "a Relu of what may be": [after(["Tanh"], ["Relu"], ["Exp"]), after(["Tanh"], ["Exp"])],
    "a Relu after a minus": [after(["Relu"], ["Neg"], ["Relu"]), after(["Relu"], ["Neg"])],
  },
);

/** Rows of [2, 4, 6] as [8, 6], with what is done to each element there, and back. */
const through = (middle: Parameters<typeof node>[], flat: number[] = [8, 6], more = {}): ModelSpec =>
  net(
    x,
    [node("Reshape", ["x", "f"], ["r"]), ...middle.map((one) => node(...one)), node("Reshape", ["m", "t"], ["h"]), tail],
    { f: ints(...flat), t: ints(2, 4, 6), half: float32([], [0.5]), ...more },
    opset,
  );
const directly = (middle: Parameters<typeof node>[], more = {}): ModelSpec =>
  net(x, [...middle.map((one) => node(...one)), tail], { half: float32([], [0.5]), ...more }, opset);

judge(
  "what is done to each element of a Reshape",
  {
    "a function": [through([["Tanh", ["r"], ["m"]]]), directly([["Tanh", ["x"], ["h"]]])],
    "a function and a number": [
      through([
        ["Mul", ["r", "half"], ["p"]],
        ["Exp", ["p"], ["m"]],
      ]),
      directly([
        ["Mul", ["x", "half"], ["p"]],
        ["Exp", ["p"], ["h"]],
      ]),
    ],
    "two that were reshaped alike": [
      net(
        x,
        [
          node("Sigmoid", ["x"], ["s"]),
          node("Reshape", ["x", "f"], ["r"]),
          node("Flatten", ["s"], ["q"], { axis: 2 }),
          node("Mul", ["r", "q"], ["m"]),
          node("Reshape", ["m", "t"], ["h"]),
          tail,
        ],
        { f: ints(8, 6), t: ints(2, 4, 6) },
        opset,
      ),
      directly([
        ["Sigmoid", ["x"], ["s"]],
        ["Mul", ["x", "s"], ["h"]],
      ]),
    ],
  },
  {
    "another function": [through([["Tanh", ["r"], ["m"]]]), directly([["Erf", ["x"], ["h"]]])],
    "a number for each column": [
      through([["PRelu", ["r", "c"], ["m"]]], [6, 8], { c: float32([8], series(8)) }),
      directly([["PRelu", ["x", "c"], ["h"]]], { c: float32([6], series(8).slice(0, 6)) }),
    ],
    "two that were reshaped from other shapes": [
      net(
        [...x, { name: "z", dims: [4, 2, 6] }],
        [
          node("Reshape", ["x", "f"], ["r"]),
          node("Reshape", ["z", "f"], ["q"]),
          node("Mul", ["r", "q"], ["m"]),
          node("Reshape", ["m", "t"], ["h"]),
          tail,
        ],
        { f: ints(8, 6), t: ints(2, 4, 6) },
        opset,
      ),
      net(
        [...x, { name: "z", dims: [4, 2, 6] }],
        [node("Transpose", ["z"], ["q"], { perm: [1, 0, 2] }), node("Mul", ["x", "q"], ["h"]), tail],
        {},
        opset,
      ),
    ],
  },
);
