import { float32, int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, series } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 3, 4, 4] }];
const T = (from: string, to: string, perm: number[]) => node("Transpose", [from], [to], { perm });
const n = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) => net(x, nodes, more);
const last = [0, 2, 3, 1];
const first = [0, 3, 1, 2];
const c = series(3);

const STEP = { s: float32([], [0.25]) };
const STEPS = { s: float32([4], [0.5, 0.25, 1, 2]) };

/** Through channels last, with what is done there, and back. */
const around = (middle: NodeSpec[], more: Record<string, TensorSpec> = {}, back = first) =>
  n([T("x", "t", last), ...middle, T("m", "y", back)], more);
const axes = (list: number[]) => ({ a: int64([list.length], list) });

judge(
  "Transposes",
  {
    "there and back": [around([node("Relu", ["t"], ["m"])]), n([node("Relu", ["x"], ["y"])])],
    "two that are one": [n([T("x", "t", [0, 2, 3, 1]), T("t", "y", [0, 2, 1, 3])]), n([T("x", "y", [0, 3, 2, 1])])],
    "a constant along the axis that moves": [
      around([node("Mul", ["t", "c"], ["p"]), node("Sigmoid", ["p"], ["m"])], { c: float32([3], c) }),
      n([node("Mul", ["x", "c"], ["p"]), node("Sigmoid", ["p"], ["y"])], { c: float32([3, 1, 1], c) }),
    ],
    "a comparison of two that moved alike": [
      around([node("Sigmoid", ["t"], ["s"]), node("Mul", ["t", "s"], ["m"])]),
      n([node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])]),
    ],
    "signs and roundings of all elements": [
      around([node("Sign", ["t"], ["s"]), node("Round", ["s"], ["r"]), node("Ceil", ["r"], ["m"])]),
      n([node("Sign", ["x"], ["s"]), node("Round", ["s"], ["r"]), node("Ceil", ["r"], ["y"])]),
    ],
    "a quantisation of the whole tensor": [
      around([node("QuantizeLinear", ["t", "s"], ["q"]), node("DequantizeLinear", ["q", "s"], ["m"])], STEP),
      n([node("QuantizeLinear", ["x", "s"], ["q"]), node("DequantizeLinear", ["q", "s"], ["y"])], STEP),
    ],
    "a mean of axes that moved": [
      n([T("x", "t", last), node("ReduceMean", ["t", "a"], ["y"], { keepdims: 0 })], axes([1, 2])),
      n([node("ReduceMean", ["x", "a"], ["y"], { keepdims: 0 })], axes([2, 3])),
    ],
    "one of an axis that moved": [
      n([T("x", "t", [1, 0, 2, 3]), node("Gather", ["t", "i"], ["g"], { axis: 0 }), node("Relu", ["g"], ["y"])], {
        i: int64([], [2]),
      }),
      n([node("Gather", ["x", "i"], ["g"], { axis: 1 }), node("Relu", ["g"], ["y"])], { i: int64([], [2]) }),
    ],
    "an axis of one that moves": [
      net(
        [{ name: "x", dims: ["N", 1, 4] }],
        [T("x", "t", [1, 0, 2]), node("Reshape", ["t", "s"], ["r"]), node("Relu", ["r"], ["y"])],
        {
          s: int64([2], [-1, 4]),
        },
      ),
      net([{ name: "x", dims: ["N", 1, 4] }], [node("Reshape", ["x", "s"], ["r"]), node("Relu", ["r"], ["y"])], {
        s: int64([2], [-1, 4]),
      }),
    ],
  },
  {
    "there and not back": [around([node("Relu", ["t"], ["m"])], {}, [0, 3, 2, 1]), n([node("Relu", ["x"], ["y"])])],
    "the orders exchanged": [n([T("x", "t", [0, 2, 1, 3]), T("t", "y", last)]), n([T("x", "y", [0, 3, 2, 1])])],
    "a constant along another axis": [
      around([node("Mul", ["t", "c"], ["p"]), node("Sigmoid", ["p"], ["m"])], { c: float32([4, 1, 1], series(4)) }),
      n([node("Mul", ["x", "c"], ["p"]), node("Sigmoid", ["p"], ["y"])], { c: float32([4], series(4)) }),
    ],
    "a quantisation along another axis": [
      around(
        [node("QuantizeLinear", ["t", "s"], ["q"], { axis: 1 }), node("DequantizeLinear", ["q", "s"], ["m"], { axis: 1 })],
        STEPS,
      ),
      n([node("QuantizeLinear", ["x", "s"], ["q"], { axis: 1 }), node("DequantizeLinear", ["q", "s"], ["y"], { axis: 1 })], {
        s: float32([3], [0.5, 0.25, 1]),
      }),
    ],
    "a Softmax of another axis": [
      around([node("Softmax", ["t"], ["m"], { axis: 3 })]),
      n([node("Softmax", ["x"], ["y"], { axis: 3 })]),
    ],
    "two that moved otherwise": [
      n([
        T("x", "t", last),
        T("x", "u", [0, 3, 2, 1]),
        node("Add", ["t", "u"], ["s"]),
        node("Relu", ["s"], ["m"]),
        T("m", "y", first),
      ]),
      n([node("Add", ["x", "x"], ["s"]), node("Relu", ["s"], ["y"])]),
    ],
    "a mean of other axes": [
      n([T("x", "t", last), node("ReduceMean", ["t", "a"], ["y"], { keepdims: 0 })], axes([2, 3])),
      n([node("ReduceMean", ["x", "a"], ["y"], { keepdims: 0 })], axes([2, 3])),
    ],
    "a mean whose axes are left in another order": [
      n([T("x", "t", [0, 3, 2, 1]), node("ReduceMean", ["t", "a"], ["y"], { keepdims: 0 })], axes([3])),
      n([node("ReduceMean", ["x", "a"], ["y"], { keepdims: 0 })], axes([1])),
    ],
    "one of another axis": [
      n([T("x", "t", [0, 2, 1, 3]), node("Gather", ["t", "i"], ["g"], { axis: 1 }), node("Relu", ["g"], ["y"])], {
        i: int64([], [2]),
      }),
      n([node("Gather", ["x", "i"], ["g"], { axis: 3 }), node("Relu", ["g"], ["y"])], { i: int64([], [2]) }),
    ],
    "axes longer than one that move": [
      net(
        [{ name: "x", dims: ["N", 2, 4] }],
        [T("x", "t", [1, 0, 2]), node("Reshape", ["t", "s"], ["r"]), node("Relu", ["r"], ["y"])],
        {
          s: int64([2], [-1, 4]),
        },
      ),
      net([{ name: "x", dims: ["N", 2, 4] }], [node("Reshape", ["x", "s"], ["r"]), node("Relu", ["r"], ["y"])], {
        s: int64([2], [-1, 4]),
      }),
    ],
  },
);
