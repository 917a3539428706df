/** Layers written as others, pools of pools; and those that only look like it. */
import { float32, int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, series } from "./pairs.ts";

const line = (nodes: NodeSpec[], more: Record<string, TensorSpec>) =>
  net([{ name: "x", dims: [2, 4, 7] }], nodes, more, { opsets: { "": 17 } });
const w = float32([3, 4, 3], series(36));
const b = float32([3], series(3, 5));
const conv = (pads: number[], strides = [1]) => line([node("Conv", ["x", "w", "b"], ["y"], { pads, strides })], { w, b });
const lifted = (axis: number, pads: number[], strides = [1, 1]) =>
  line(
    [
      node("Unsqueeze", ["x", "a"], ["u"]),
      node("Conv", ["u", "w", "b"], ["v"], { pads, strides }),
      node("Squeeze", ["v", "a"], ["y"]),
    ],
    { a: int64([1], [axis]), w: float32([3, 4, ...(axis === 2 ? [1, 3] : [3, 1])], series(36)), b },
  );
judge(
  "a line as a plane",
  {
    "of one row": [conv([1, 1]), lifted(2, [0, 1, 0, 1])],
    "of one column": [conv([1, 1]), lifted(3, [1, 0, 1, 0])],
    "in steps": [conv([1, 0], [2]), lifted(2, [0, 1, 0, 0], [3, 2])],
  },
  {
    "padded on one side only": [conv([1, 1]), lifted(2, [0, 2, 0, 0])],
    "in other steps": [conv([1, 0], [2]), lifted(2, [0, 1, 0, 0], [2, 1])],
  },
);

const plane = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) =>
  net([{ name: "x", dims: [2, 4, 7, 8] }], nodes, more, { opsets: { "": 17 } });
const weights = series(6 * 2 * 9);
const around = { pads: [1, 1, 1, 1] };
const groups = plane([node("Conv", ["x", "w", "b"], ["y"], { group: 2, ...around })], {
  w: float32([6, 2, 3, 3], weights),
  b: float32([6], series(6, 5)),
});
const apart = (order = ["p", "q"], joined = ["u", "v"], other: NodeSpec["attributes"] = around) =>
  plane(
    [
      node("Split", ["x"], order, { axis: 1 }),
      node("Conv", ["p", "w", "b"], ["u"], around),
      node("Conv", ["q", "z", "c"], ["v"], other),
      node("Concat", joined, ["y"], { axis: 1 }),
    ],
    {
      ...{ w: float32([3, 2, 3, 3], weights.slice(0, 54)), z: float32([3, 2, 3, 3], weights.slice(54)) },
      ...{ b: float32([3], series(6, 5).slice(0, 3)), c: float32([3], series(6, 5).slice(3)) },
    },
  );
judge(
  "groups",
  { "each on its own": [groups, apart()] },
  {
    "with the other's channels": [groups, apart(["q", "p"])],
    "joined the other way": [groups, apart(["p", "q"], ["v", "u"])],
    "one of which looks elsewhere": [groups, apart(["p", "q"], ["u", "v"], { pads: [2, 1, 0, 1] })],
  },
);

const pool = (...windows: [kernel: number[], pads: number[], strides?: number[]][]) =>
  plane(
    windows.map(([kernel_shape, pads, strides = [1, 1]], i) =>
      node("MaxPool", [i === 0 ? "x" : `p${i}`], [i === windows.length - 1 ? "y" : `p${i + 1}`], { kernel_shape, pads, strides }),
    ),
  );
const three = [
  [3, 3],
  [1, 1, 1, 1],
] as [number[], number[]];
judge(
  "windows of windows",
  {
    "are larger windows": [
      pool([
        [5, 5],
        [2, 2, 2, 2],
      ]),
      pool(three, three),
    ],
    "three times": [
      pool([
        [7, 7],
        [3, 3, 3, 3],
      ]),
      pool(three, three, three),
    ],
    "rows of columns": [
      pool(three),
      pool(
        [
          [3, 1],
          [1, 0, 1, 0],
        ],
        [
          [1, 3],
          [0, 1, 0, 1],
        ],
      ),
    ],
    "in steps at last, padded unevenly": [
      pool([
        [4, 4],
        [2, 1, 0, 2],
        [2, 2],
      ]),
      pool(
        [
          [3, 2],
          [1, 1, 0, 0],
        ],
        [
          [2, 3],
          [1, 0, 0, 2],
          [2, 2],
        ],
      ),
    ],
  },
  {
    "are no windows of the sum": [
      pool([
        [6, 6],
        [2, 2, 3, 3],
      ]),
      pool(three, three),
    ],
    "nor where they lie elsewhere": [
      pool([
        [5, 5],
        [3, 2, 1, 2],
      ]),
      pool(three, three),
    ],
    "nor in steps at first": [
      pool([
        [5, 5],
        [2, 2, 2, 2],
        [2, 2],
      ]),
      pool([...three, [2, 2]], three),
    ],
  },
);
