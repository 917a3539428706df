import { f, float32, int64, node } from "../../helpers/build.ts";
import { judge, net } from "./pairs.ts";

const x = [{ name: "x", dims: [2, 4, 3, 5] }];
const leaky = net(x, [node("LeakyRelu", ["x"], ["y"], { alpha: f(0.125) })]);
/** Without its attribute, which is 0.01. */
const plain = net(x, [node("LeakyRelu", ["x"], ["y"])]);
const spelled = (alpha: number, order = ["l", "s", "x"], zero = 0) =>
  net(x, [node("Less", ["x", "z"], ["l"]), node("Mul", ["a", "x"], ["s"]), node("Where", order, ["y"])], {
    a: float32([], [alpha]),
    z: float32([], [zero]),
  });

const norm = { g: float32([4], [1, 2, -1, 0.5]), b: float32([4], [0.25, -1, 2, 1]) };
const group = (groups: number, epsilon = 1e-5) =>
  net(x, [node("GroupNormalization", ["x", "g", "b"], ["y"], { num_groups: groups, epsilon: f(epsilon) })], norm);
const body = net(
  x,
  [
    node("Reshape", ["x", "groups"], ["five"]),
    node("Reshape", ["five", "rows"], ["r"]),
    node("ReduceMean", ["r", "last"], ["m"]),
    node("Mul", ["r", "r"], ["q"]),
    node("ReduceMean", ["q", "last"], ["n"]),
    node("Mul", ["m", "m"], ["k"]),
    node("Sub", ["n", "k"], ["v"]),
    node("Add", ["v", "e"], ["o"]),
    node("Sqrt", ["o"], ["d"]),
    node("Sub", ["r", "m"], ["c"]),
    node("Div", ["c", "d"], ["h"]),
    node("Shape", ["x"], ["shape"]),
    node("Reshape", ["h", "shape"], ["w"]),
    node("Reshape", ["w", "channels"], ["u"]),
    node("Mul", ["gg", "u"], ["s"]),
    node("Add", ["s", "bb"], ["t"]),
    node("Reshape", ["t", "shape"], ["y"]),
  ],
  {
    groups: int64([5], [2, 2, 2, 3, 5]),
    rows: int64([3], [0, 0, -1]),
    channels: int64([3], [0, 0, -1]),
    last: int64([1], [2]),
    e: float32([1], [Math.fround(1e-5)]),
    gg: float32([1, 4, 1], norm.g.values as number[]),
    bb: float32([1, 4, 1], norm.b.values as number[]),
  },
);

const three = [{ name: "x", dims: ["N", 4, 6] }];
const affine = { g: float32([6], [1, 2, -1, 0.5, 3, 1]), b: float32([6], [0.25, -1, 2, 1, 0, -2]) };
const layer = (axis: number, version = 17) =>
  net(three, [node("LayerNormalization", ["x", "g", "b"], ["y"], { axis })], affine, { opsets: { "": version } });
/** The same by differences, as frameworks write it; `means`: over which axes. */
const written = (version: number, means = [-1], epsilon = 1e-5, square = node("Pow", ["d", "two"], ["q"])) => {
  const [attributes, operand] = version < 18 ? [{ axes: means }, []] : [{}, ["a"]];
  return net(
    three,
    [
      node("ReduceMean", ["x", ...operand], ["m"], attributes),
      node("Sub", ["x", "m"], ["d"]),
      square,
      node("ReduceMean", ["q", ...operand], ["v"], attributes),
      node("Add", ["v", "e"], ["o"]),
      node("Sqrt", ["o"], ["s"]),
      node("Div", ["d", "s"], ["n"]),
      node("Mul", ["n", "g"], ["k"]),
      node("Add", ["k", "b"], ["y"]),
    ],
    {
      ...affine,
      e: float32([], [Math.fround(epsilon)]),
      two: float32([], [2]),
      g4: float32([], [4]),
      a: int64([means.length], means),
    },
    { opsets: { "": version } },
  );
};
const instance = net(x, [node("InstanceNormalization", ["x", "g", "b"], ["y"])], norm);
const planes = (axes: number[]) =>
  net(
    x,
    [
      node("ReduceMean", ["x", "a"], ["m"]),
      node("Sub", ["x", "m"], ["d"]),
      node("Mul", ["d", "d"], ["q"]),
      node("ReduceMean", ["q", "a"], ["v"]),
      node("Add", ["v", "e"], ["o"]),
      node("Sqrt", ["o"], ["s"]),
      node("Reciprocal", ["s"], ["r"]),
      node("Mul", ["d", "r"], ["n"]),
      node("Mul", ["n", "gg"], ["k"]),
      node("Add", ["k", "bb"], ["y"]),
    ],
    {
      a: int64([axes.length], axes),
      e: float32([1], [Math.fround(1e-5)]),
      gg: float32([4, 1, 1], norm.g.values as number[]),
      bb: float32([4, 1, 1], norm.b.values as number[]),
    },
  );

judge(
  "functions and their bodies",
  {
    LeakyRelu: [leaky, spelled(0.125)],
    "LeakyRelu by default": [plain, spelled(Math.fround(0.01))],
    GroupNormalization: [group(2), body],
    "LayerNormalization, across operator sets": [layer(-1), written(13)],
    "LayerNormalization of opset 18": [layer(2, 18), written(18, [2])],
    "LayerNormalization, its square a product": [layer(-1), written(17, [-1], 1e-5, node("Mul", ["d", "d"], ["q"]))],
    "LayerNormalization by squares": [
      layer(-1, 18),
      net(
        three,
        [
          node("ReduceMean", ["x", "a"], ["m"]),
          node("Sub", ["x", "m"], ["d"]),
          node("Mul", ["x", "x"], ["q"]),
          node("ReduceMean", ["q", "a"], ["w"]),
          node("Mul", ["m", "m"], ["mm"]),
          node("Sub", ["w", "mm"], ["v"]),
          node("Add", ["v", "e"], ["o"]),
          node("Pow", ["o", "h"], ["s"]),
          node("Mul", ["d", "s"], ["n"]),
          node("Mul", ["n", "g"], ["k"]),
          node("Add", ["k", "b"], ["y"]),
        ],
        { ...affine, e: float32([], [Math.fround(1e-5)]), h: float32([], [-0.5]), a: int64([1], [2]) },
        { opsets: { "": 18 } },
      ),
    ],
    InstanceNormalization: [instance, planes([2, 3])],
  },
  {
    "a norm over another axis": [
      net([{ name: "x", dims: ["N", 6, 6] }], [node("LayerNormalization", ["x", "g", "b"], ["y"], { axis: -1 })], affine, {
        opsets: { "": 17 },
      }),
      { ...written(17, [1]), inputs: [{ name: "x", dims: ["N", 6, 6] }] },
    ],
    "a norm with another epsilon": [layer(-1), written(17, [-1], 0.5)],
    "a norm of fourth powers": [layer(-1), written(17, [-1], 1e-5, node("Pow", ["d", "g4"], ["q"]))],
    "a norm over one of two axes": [instance, planes([3])],
    "another slope": [leaky, spelled(0.13)],
    "another slope than the default": [plain, spelled(0.02)],
    "the branches exchanged": [leaky, spelled(0.125, ["l", "x", "s"])],
    "another threshold": [leaky, spelled(0.125, undefined, 1)],
    "another number of groups": [group(4), body],
    "another epsilon": [group(2, 0.5), body],
  },
);
