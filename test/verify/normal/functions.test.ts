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

judge(
  "functions and their bodies",
  {
    LeakyRelu: [leaky, spelled(0.125)],
    "LeakyRelu by default": [plain, spelled(Math.fround(0.01))],
    GroupNormalization: [group(2), body],
  },
  {
    "another slope": [leaky, spelled(0.13)],
    "another slope than the default": [plain, spelled(0.02)],
    "the branches exchanged": [leaky, spelled(0.125, ["l", "x", "s"])],
    "another threshold": [leaky, spelled(0.125, undefined, 1)],
    "another number of groups": [group(4), body],
    "another epsilon": [group(2, 1e-3), body],
  },
);
