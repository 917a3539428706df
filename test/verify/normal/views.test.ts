/** One tensor at other places: by lists, by parts, by padding, in blocks; and places that are not the same. */
import { int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, type Pair } from "./pairs.ts";

const x = [{ name: "x", dims: [2, 3, 5, 6] }];
const n = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) => net(x, nodes, more, { opsets: { "": 19 } });
const list = (...ints: number[]) => int64([ints.length], ints);

const gather = (places: number[], axis = 2) => n([node("Gather", ["x", "i"], ["y"], { axis })], { i: list(...places) });
const FAR = 2 ** 40;
/** Slices of x, by their bounds, and what of them and x itself is joined. */
const parts = (cuts: Record<string, [number, number, number?]>, joined: string[], axis = 2) =>
  n(
    [
      ...Object.keys(cuts).map((name) => node("Slice", ["x", `${name}0`, `${name}1`, "a", `${name}2`], [name])),
      node("Concat", joined, ["y"], { axis }),
    ],
    {
      a: list(axis),
      ...Object.fromEntries(
        Object.entries(cuts).flatMap(([name, [from, to, step = 1]]) => [from, to, step].map((v, i) => [`${name}${i}`, list(v)])),
      ),
    },
  );
const slice = (from: number, to: number, step: number) => parts({ p: [from, to, step] }, ["p"]);
const pad = (mode: string, pads: number[]) => n([node("Pad", ["x", "p"], ["y"], { mode })], { p: list(...pads) });
const around = (mode: string, before: number, after: number) => pad(mode, [0, 0, before, 0, 0, 0, after, 0]);

/** Both axes of the plane, one after the other. */
const ring = (first: number, second: number, by = 1) => {
  const round = (from: string, axis: number, to: string): NodeSpec[] => [
    node("Slice", [from, "last", "far", `a${axis}`], [`${to}l`]),
    node("Slice", [from, "zero", "by", `a${axis}`], [`${to}r`]),
    node("Concat", [`${to}l`, from, `${to}r`], [to], { axis }),
  ];
  const bounds = { last: list(-by), far: list(FAR), zero: list(0), by: list(by), a2: list(2), a3: list(3) };
  return n([...round("x", first, "h"), ...round("h", second, "y")], bounds);
};
const edges = (type: string, size: number[], end = [4, 5]) =>
  n(
    [
      node("Slice", ["x", "zero", "one", "a"], ["f"]),
      node(type, ["f", "size"], ["g"]),
      node("Slice", ["x", "from", "to", "a"], ["l"]),
      node("Concat", ["g", "x", "l"], ["y"], { axis: 2 }),
    ],
    { zero: list(0), one: list(1), a: list(2), size: list(...size), from: list(end[0]), to: list(end[1]) },
  );
const zeros = (...pads: number[][]) =>
  n(
    pads.map((_, i) => node("Pad", [i === 0 ? "x" : `p${i}`, `n${i}`], [i === pads.length - 1 ? "y" : `p${i + 1}`])),
    Object.fromEntries(pads.map((p, i) => [`n${i}`, list(...p)])),
  );
const reflected: Pair[1] = parts({ p: [2, 0, -1], q: [3, 2, -1] }, ["p", "x", "q"]);

/** Every second place of the plane [4, 4], in parts that are joined as channels. */
const image = (batch: number | string) => [{ name: "x", dims: [batch, 3, 4, 4] }];
const focus = (corners: readonly (readonly [number, number])[], batch: number | string = 2) =>
  net(
    image(batch),
    [
      ...corners.flatMap(([i, j], k) => [
        node("Slice", ["x", `n${i}`, "far", "a2", "n2"], [`r${k}`]),
        node("Slice", [`r${k}`, `n${j}`, "far", "a3", "n2"], [`p${k}`]),
      ]),
      node("Concat", ["p0", "p1", "p2", "p3"], ["y"], { axis: 1 }),
    ],
    { n0: list(0), n1: list(1), n2: list(2), a2: list(2), a3: list(3), far: list(FAR) },
    { opset: 13 },
  );
const BLOCKS = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
] as const;
const blocks = (batch: number | string = 2) =>
  net(image(batch), [node("SpaceToDepth", ["x"], ["y"], { blocksize: 2 })], {}, { opset: 13 });
/** Channels of [N, 6, 2, 2] dealt out to groups. */
const dealt = [{ name: "x", dims: ["N", 6, 2, 2] }];
const shuffle = (groups: number) =>
  net(
    dealt,
    [
      node("Reshape", ["x", "s"], ["r"]),
      node("Transpose", ["r"], ["t"], { perm: [0, 2, 1, 3, 4] }),
      node("Reshape", ["t", "b"], ["y"]),
    ],
    { s: list(-1, groups, 6 / groups, 2, 2), b: list(-1, 6, 2, 2) },
    { opset: 13 },
  );
const channels = (...places: number[]) =>
  net(dealt, [node("Gather", ["x", "i"], ["y"], { axis: 1 })], { i: list(...places) }, { opset: 13 });
/** All of it, turned round the batch and back. */
const turnedOver = (from: number, to: number) =>
  net(
    dealt,
    [node("Slice", ["x", "f", "t", "a", "s"], ["y"])],
    { f: list(from), t: list(to), a: list(0), s: list(-1) },
    { opset: 13 },
  );
const twice = (axis: number) =>
  n([node("Unsqueeze", ["x", "a"], ["u"]), node("Concat", ["u", "u"], ["c"], { axis }), node("Reshape", ["c", "s"], ["y"])], {
    a: list(axis),
    s: list(2, 3, 10, 6),
  });
const around0 = (zero: number, before = 1) =>
  n([node("Concat", ["b", "x", "e"], ["y"], { axis: 2 })], {
    b: { dtype: "float32", dims: [2, 3, before, 6], values: new Array(36 * before).fill(0).with(4, zero) },
    e: { dtype: "float32", dims: [2, 3, 2, 6], values: new Array(72).fill(0) },
  });
/** Windows of x's rows, by a list of two axes and by parts. */
const windows = (places: number[]) =>
  n([node("Gather", ["x", "i"], ["y"], { axis: 3 })], { i: int64([places.length / 3, 3], places) });
const windowed = (starts: number[]) =>
  n(
    [
      ...starts.flatMap((_, k) => [
        node("Slice", ["x", `f${k}`, `t${k}`, "a"], [`p${k}`]),
        node("Unsqueeze", [`p${k}`, "a"], [`u${k}`]),
      ]),
      node(
        "Concat",
        starts.map((_, k) => `u${k}`),
        ["y"],
        { axis: 3 },
      ),
    ],
    {
      a: list(3),
      ...Object.fromEntries(
        starts.flatMap((v, k) => [
          [`f${k}`, list(v)],
          [`t${k}`, list(v + 3)],
        ]),
      ),
    },
  );

judge(
  "Views",
  {
    "a list that is a run": [slice(1, 4, 1), gather([1, 2, 3])],
    "a list of steps": [slice(0, 5, 2), gather([0, 2, 4])],
    "a list backwards": [slice(FAR, -FAR, -1), gather([4, 3, 2, 1, 0])],
    "places from the end": [slice(4, 2, -1), gather([-1, -2])],
    "a run in parts": [slice(1, 4, 1), parts({ p: [1, 2], q: [2, 3], r: [3, 4] }, ["p", "q", "r"])],
    "a roll": [gather([3, 4, 0, 1, 2]), parts({ p: [3, FAR], q: [0, 3] }, ["p", "q"])],
    "a ring, either axis first": [ring(2, 3), ring(3, 2)],
    "a ring as padding": [pad("wrap", [0, 0, 1, 1, 0, 0, 1, 1]), ring(2, 3)],
    "a reflection": [around("reflect", 2, 1), reflected],
    "a reflection by a list": [around("reflect", 2, 1), gather([2, 1, 0, 1, 2, 3, 4, 3])],
    "edges spread out": [around("edge", 2, 1), edges("Expand", [2, 3, 2, 6])],
    "edges repeated": [around("edge", 2, 1), edges("Tile", [1, 1, 2, 1])],
    "edges by a list": [around("edge", 2, 1), gather([0, 0, 0, 1, 2, 3, 4, 4])],
    "blocks of the plane as channels": [blocks(), focus(BLOCKS)],
    "blocks of a batch of any size": [blocks("N"), focus(BLOCKS, "N")],
    "channels dealt out": [shuffle(2), channels(0, 3, 1, 4, 2, 5)],
    "every place twice": [twice(3), gather([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])],
    "all places twice": [twice(2), gather([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])],
    "zeros joined": [around("constant", 1, 2), around0(0)],
    "windows that overlap": [windows([0, 1, 2, 2, 3, 4, 3, 4, 5]), windowed([0, 2, 3])],
    "zeros around zeros": [zeros([0, 0, 1, 2, 0, 0, 3, 4]), zeros([0, 0, 1, 0, 0, 0, 1, 0], [0, 0, 0, 2, 0, 0, 2, 4])],
  },
  {
    "a run that begins elsewhere": [slice(1, 4, 1), gather([0, 1, 2])],
    "another order": [slice(1, 4, 1), gather([1, 3, 2])],
    "another axis": [slice(1, 4, 1), gather([1, 2, 3], 3)],
    "steps of another size": [slice(0, 5, 2), gather([0, 1, 2])],
    "all but the last, backwards": [slice(FAR, 0, -1), gather([4, 3, 2, 1, 0])],
    "parts in another order": [gather([3, 4, 0, 1, 2]), parts({ p: [3, FAR], q: [0, 3] }, ["q", "p"])],
    "a ring of two places": [ring(2, 3), ring(2, 3, 2)],
    "a ring for a reflection": [around("reflect", 1, 1), around("wrap", 1, 1)],
    "an edge for a reflection": [around("edge", 2, 1), reflected],
    "a reflection that repeats the edge": [around("reflect", 2, 1), gather([1, 0, 0, 1, 2, 3, 4, 4])],
    "another edge": [around("edge", 2, 1), edges("Tile", [1, 1, 2, 1], [3, 4])],
    "one edge more": [around("edge", 2, 1), edges("Tile", [1, 1, 3, 1])],
    "blocks in another order": [
      blocks(),
      focus([
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
      ]),
    ],
    "a block twice": [
      blocks("N"),
      focus(
        [
          [0, 0],
          [0, 1],
          [1, 0],
          [1, 0],
        ],
        "N",
      ),
    ],
    "channels dealt out to others": [shuffle(3), channels(0, 3, 1, 4, 2, 5)],
    "a batch turned over": [turnedOver(FAR, -FAR), channels(0, 1, 2, 3, 4, 5)],
    "all places for every place": [twice(3), gather([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])],
    "zeros and a number": [around("constant", 1, 2), around0(1)],
    "more zeros": [around("constant", 1, 2), around0(0, 2)],
    "a window that begins elsewhere": [windows([0, 1, 2, 2, 3, 4, 3, 4, 5]), windowed([0, 1, 3])],
    "other sides of zeros": [zeros([0, 0, 1, 0, 0, 0, 3, 0]), zeros([0, 0, 2, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 1, 0])],
  },
);
