/** Activations and means written out, as exporters and ONNX Runtime have them, and their nearest wrong neighbours. */
import { f, float32, int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, microsoft, net, series } from "./pairs.ts";

const x = [{ name: "x", dims: [2, 3, 4, 4] }];
const both = { opsets: { "": 20, "com.microsoft": 1 } };
const n = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) => net(x, nodes, more, both);
const number = (v: number) => float32([], [Math.fround(v)]);

const tangent = (bend: number, root = Math.sqrt(2 / Math.PI)) =>
  n(
    [
      ...[
        node("Mul", ["x", "x"], ["s"]),
        node("Mul", ["s", "x"], ["c"]),
        node("Mul", ["c", "b"], ["p"]),
        node("Add", ["x", "p"], ["l"]),
      ],
      ...[
        node("Mul", ["l", "r"], ["q"]),
        node("Tanh", ["q"], ["t"]),
        node("Add", ["t", "one"], ["g"]),
        node("Mul", ["x", "h"], ["w"]),
      ],
      node("Mul", ["w", "g"], ["y"]),
    ],
    { b: number(bend), r: number(root), one: number(1), h: number(0.5) },
  );
const gate = (one: number, sign: "Neg" | "Identity" = "Neg", shown = "x") =>
  n([node(sign, ["x"], ["m"]), node("Exp", ["m"], ["e"]), node("Add", ["e", "one"], ["d"]), node("Div", [shown, "d"], ["y"])], {
    one: number(one),
    two: number(1),
  });
const soft = (one: number) =>
  n([node("Exp", ["x"], ["e"]), node("Add", ["one", "e"], ["d"]), node("Log", ["d"], ["y"])], { one: number(one) });
const written = (axis: number, over: number) =>
  n(
    [
      ...[node("ReduceMax", ["x", "a"], ["m"]), node("Sub", ["x", "m"], ["d"]), node("Exp", ["d"], ["e"])],
      ...[node("ReduceSum", ["e", "o"], ["s"]), node("Div", ["e", "s"], ["y"])],
    ],
    { a: int64([1], [axis]), o: int64([1], [over]) },
  );
const softmax = (axis: number) => n([node("Softmax", ["x"], ["y"], { axis })]);
const logSoftmax = n([node("LogSoftmax", ["x"], ["y"], { axis: 1 })]);
const difference = (axis: number) =>
  n([node("ReduceLogSumExp", ["x", "a"], ["l"]), node("Sub", ["x", "l"], ["y"])], { a: int64([1], [axis]) });
const mean = (count: number) =>
  n([node("ReduceSum", ["x", "a"], ["s"]), node("Div", ["s", "n"], ["y"])], { a: int64([2], [2, 3]), n: number(count) });
const averages = n([node("ReduceMean", ["x", "a"], ["y"])], { a: int64([2], [2, 3]) });
const pool = (type: string, kernel: number[]) => n([node(type, ["x"], ["y"], { kernel_shape: kernel, strides: [4, 4] })]);

const g = { g: float32([4], series(4)) };
const counting = (pads: number[], count: number, more: NodeSpec["attributes"] = {}) =>
  n([node("AveragePool", ["x"], ["y"], { kernel_shape: [2, 2], pads, count_include_pad: count, ...more })]);
const root = (epsilon: number) =>
  n(
    [
      ...[
        node("Mul", ["x", "x"], ["s"]),
        node("ReduceMean", ["s", "a"], ["m"]),
        node("Add", ["m", "e"], ["v"]),
        node("Sqrt", ["v"], ["d"]),
      ],
      ...[node("Div", ["x", "d"], ["q"]), node("Mul", ["q", "g"], ["y"])],
    ],
    { ...g, a: int64([1], [-1]), e: number(epsilon) },
  );
const simplified = (epsilon: number, axis = -1) =>
  n([node("SimplifiedLayerNormalization", ["x", "g"], ["y"], { epsilon: f(epsilon), axis })], g);

const resized = (constants: Record<string, TensorSpec>, inputs: string[], mode = "nearest") =>
  n([node("Resize", inputs, ["y"], { mode, coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" })], constants);
const sizes = (list: number[], mode?: string) => resized({ n: int64([4], list) }, ["x", "", "", "n"], mode);
const scales = (list: number[], mode?: string) => resized({ k: float32([4], list) }, ["x", "", "k"], mode);

/** Weights of rows of one place, on what they weigh. */
const weighed = (axis: number) =>
  net(
    [{ name: "x", dims: [2, 3, 1] }],
    [node("Softmax", ["x"], ["s"], { axis }), node("Tanh", ["x"], ["t"]), node("Mul", ["s", "t"], ["y"])],
    {},
    both,
  );
const unweighed = net([{ name: "x", dims: [2, 3, 1] }], [node("Tanh", ["x"], ["y"])], {}, both);

judge(
  "Curves",
  {
    "Gelu by a tangent": [tangent(0.044715), n([node("Gelu", ["x"], ["y"], { approximate: "tanh" })])],
    "Gelu by a tangent, fused": [tangent(0.044715), n([node("FastGelu", ["x"], ["y"], {}, microsoft)])],
    "a Sigmoid written out, as a gate": [n([node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])]), gate(1)],
    "a Sigmoid written out": [n([node("Sigmoid", ["x"], ["y"])]), gate(1, "Neg", "two")],
    "a Softplus written out": [n([node("Softplus", ["x"], ["y"])]), soft(1)],
    "a Softmax written out": [softmax(1), written(1, 1)],
    "a Softmax of one place": [weighed(-1), unweighed],
    "a logarithm of a Softmax": [logSoftmax, n([node("Softmax", ["x"], ["s"], { axis: 1 }), node("Log", ["s"], ["y"])])],
    "exp of a LogSoftmax": [softmax(1), n([node("LogSoftmax", ["x"], ["s"], { axis: 1 }), node("Exp", ["s"], ["y"])])],
    "a LogSoftmax as a difference": [logSoftmax, difference(1)],
    "a mean as a sum": [averages, mean(16)],
    "an AveragePool of the whole plane": [averages, pool("AveragePool", [4, 4])],
    "no zeros to be counted": [counting([0, 0, 0, 0], 1), counting([0, 0, 0, 0], 0)],
    "a MaxPool of the whole plane": [n([node("GlobalMaxPool", ["x"], ["y"])]), pool("MaxPool", [4, 4])],
    "a root of the mean of squares": [root(1e-6), simplified(1e-6)],
    "sizes and scales": [sizes([2, 3, 8, 12]), scales([1, 1, 2, 3])],
    "sizes and scales between places": [sizes([2, 3, 6, 8], "linear"), scales([1, 1, 1.5, 2], "linear")],
  },
  {
    "another bend": [tangent(0.05), n([node("Gelu", ["x"], ["y"], { approximate: "tanh" })])],
    "another root": [tangent(0.044715, 0.8), n([node("FastGelu", ["x"], ["y"], {}, microsoft)])],
    "a Sigmoid of two": [n([node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])]), gate(2)],
    "a Sigmoid of the other sign": [n([node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])]), gate(1, "Identity")],
    "a Softplus of two": [n([node("Softplus", ["x"], ["y"])]), soft(2)],
    "a Softmax over another axis": [softmax(2), written(1, 1)],
    "a Softmax of three places for one of one": [weighed(1), unweighed],
    "a Softmax divided along another axis": [softmax(1), written(1, 2)],
    "a difference along another axis": [logSoftmax, difference(2)],
    "a mean of fewer": [averages, mean(15)],
    "a pool of half the plane": [averages, n([node("AveragePool", ["x"], ["y"], { kernel_shape: [4, 2], strides: [4, 4] })])],
    "zeros that are counted": [counting([1, 1, 0, 0], 1), counting([1, 1, 0, 0], 0)],
    "another epsilon": [root(1e-6), simplified(1e-2)],
    "a root along more axes": [root(1e-6), simplified(1e-6, 2)],
    "other sizes": [sizes([2, 3, 8, 8]), scales([1, 1, 2, 3])],
  },
);
