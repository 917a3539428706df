import { float32, int64, node } from "../../helpers/build.ts";
import { judge, net, series } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 5, 6] }];
const W = float32([6, 6], series(36));
const c = float32([6], series(6, 5));
const numbers = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`n${i}`, int64([1], [i - 1])]));
const axis = { last: int64([1], [2]) };
const after = [node("Relu", ["p"], ["r"]), node("Mul", ["r", "q"], ["y"])];
const split = (sizes: number[], by = 2) =>
  net(x, [node("Split", ["x", "k"], ["p", "q"], { axis: by }), ...after], { k: int64([2], sizes) });
const slices = (bounds: [string, string, string, string], step: string[] = []) =>
  net(
    x,
    [
      node("Slice", ["x", bounds[0], bounds[1], "last", ...step], ["p"]),
      node("Slice", ["x", bounds[2], bounds[3], "last", ...step], ["q"]),
      ...after,
    ],
    { ...numbers, ...axis },
  );
// n1 is 0, n3 2, n4 3, n7 6.
const halves = slices(["n1", "n4", "n4", "n7"]);

const layers = (cut: [number, number]) =>
  net(
    x,
    [
      node("MatMul", ["x", "U"], ["a"]),
      node("Add", ["a", "d"], ["p"]),
      node("MatMul", ["x", "V"], ["b"]),
      node("Add", ["b", "e"], ["q"]),
      ...after,
    ],
    {
      U: float32(
        [6, 3],
        series(36).filter((_, i) => i % 6 < 3),
      ),
      V: float32(
        [6, 3],
        series(36).filter((_, i) => i % 6 >= cut[1] && i % 6 < cut[1] + 3),
      ),
      d: float32([3], series(6, 5).slice(0, 3)),
      e: float32([3], series(6, 5).slice(cut[0])),
    },
  );
const whole = net(
  x,
  [
    node("MatMul", ["x", "W"], ["a"]),
    node("Add", ["a", "c"], ["s"]),
    node("Split", ["s", "k"], ["p", "q"], { axis: -1 }),
    ...after,
  ],
  { W, c, k: int64([2], [3, 3]) },
);

const gather = (index: number, dims: number[] = []) =>
  net(x, [node("Gather", ["x", "i"], ["p"], { axis: 2 }), node("Relu", ["p"], ["y"])], { i: int64(dims, [index]) });
const squeezed = net(
  x,
  [node("Split", ["x", "k"], ["p", "q"], { axis: 2 }), node("Squeeze", ["q", "last"], ["z"]), node("Relu", ["z"], ["y"])],
  { ...axis, k: int64([2], [5, 1]) },
);
const sequence = (at: number) =>
  net(
    x,
    [
      node("SplitToSequence", ["x", "k"], ["l"], { axis: 2 }),
      node("SequenceAt", ["l", "i"], ["p"]),
      node("SequenceAt", ["l", "j"], ["q"]),
      ...after,
    ],
    { k: int64([2], [3, 3]), i: int64([], [0]), j: int64([], [at]) },
  );

/** Every second row and column of an image, to its end: by one Slice, or by several, each along its axes. */
const END = 2 ** 31 - 1;
const image = [{ name: "x", dims: [1, 5, 6, 3] }];
const cut = (...axes: number[][]) => {
  const list = (label: string, i: number, values: number[]) => [`${label}${i}`, int64([values.length], values)];
  return net(
    image,
    [
      ...axes.map((_, i) => node("Slice", [i === 0 ? "x" : `c${i - 1}`, `s${i}`, `e${i}`, `a${i}`, `t${i}`], [`c${i}`])),
      node("Relu", [`c${axes.length - 1}`], ["y"]),
    ],
    Object.fromEntries(
      axes.flatMap((some, i) => [
        list(
          "s",
          i,
          some.map(() => 0),
        ),
        list(
          "e",
          i,
          some.map(() => END),
        ),
        list("a", i, some),
        list(
          "t",
          i,
          some.map(() => 2),
        ),
      ]),
    ),
  );
};

/** An axis of `size` in three parts, of which the last two count. */
const uneven = (size: number) =>
  net([{ name: "x", dims: ["N", 5, size] }], [node("Split", ["x"], ["o", "a", "b"], { axis: 2, num_outputs: 3 }), ...sums], axis);
const sums = [
  node("ReduceSum", ["a", "last"], ["p"]),
  node("ReduceSum", ["b", "last"], ["q"]),
  node("Relu", ["p"], ["r"]),
  node("Mul", ["r", "q"], ["y"]),
];
const thirds = net(
  [{ name: "x", dims: ["N", 5, 5] }],
  [node("Slice", ["x", "n3", "n5", "last"], ["a"]), node("Slice", ["x", "n5", "n6", "last"], ["b"]), ...sums],
  { ...numbers, ...axis },
);

judge(
  "parts",
  {
    "a Split and two Slices": [split([3, 3]), halves],
    "a Split of a sequence and two Slices": [sequence(1), halves],
    "a part counted from the end": [sequence(-1), split([3, 3])],
    "one of an axis, and the part squeezed": [gather(5), squeezed],
    "layers side by side and one layer that is split": [layers([3, 3]), whole],
    "as many parts as asked for, the last smaller": [uneven(5), thirds],
    "a Slice of two axes and one after the other": [cut([1, 2]), cut([1], [2])],
    "in another order, and from the end": [cut([1, -2]), cut([2], [1])],
    "three axes in two ways": [cut([1, 2], [3]), cut([3], [1], [2])],
  },
  {
    "another size": [split([2, 4]), halves],
    "another axis": [
      net([{ name: "x", dims: ["N", 6, 6] }], [node("Split", ["x", "k"], ["p", "q"], { axis: 1 }), ...after], {
        k: int64([2], [3, 3]),
      }),
      net(
        [{ name: "x", dims: ["N", 6, 6] }],
        [node("Slice", ["x", "n1", "n4", "last"], ["p"]), node("Slice", ["x", "n4", "n7", "last"], ["q"]), ...after],
        { ...numbers, ...axis },
      ),
    ],
    "parts exchanged": [split([3, 3]), slices(["n4", "n7", "n1", "n4"])],
    "parts that overlap": [split([3, 3]), slices(["n1", "n4", "n3", "n6"])],
    "every second": [
      net([{ name: "x", dims: ["N", 5, 6] }], [node("Split", ["x", "k"], ["p", "q"], { axis: 2 }), ...after], {
        k: int64([2], [3, 3]),
      }),
      slices(["n1", "n7", "n1", "n7"], ["n3"]),
    ],
    "the same part twice": [sequence(0), halves],
    "another of an axis": [gather(4), squeezed],
    "other columns": [layers([3, 2]), whole],
    "Slices of other axes": [cut([1, 2]), cut([1], [3])],
    "parts of another rest": [
      uneven(5),
      net(
        [{ name: "x", dims: ["N", 5, 5] }],
        [node("Slice", ["x", "n2", "n4", "last"], ["a"]), node("Slice", ["x", "n4", "n6", "last"], ["b"]), ...sums],
        { ...numbers, ...axis },
      ),
    ],
    "one axis cut twice": [cut([1, 2]), cut([1], [2], [1])],
  },
);
