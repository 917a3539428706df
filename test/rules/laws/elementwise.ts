/** Cases of the operators that work on each element by itself. */
import { f, float32 } from "../../helpers/build.ts";
import { alike, bools, type Case, c, nonzero, positive, powers, type Subject, subject, x } from "./subject.ts";

const X = x(2, 4, 4);
const same = (...pairs: readonly Case["inputs"][]): Case[] => pairs.map((inputs) => ({ inputs }));
const broadcasting = (...pairs: readonly Case["inputs"][]): Case[] => pairs.map((inputs) => ({ inputs, from: 7 }));
const later = (from: number, ...pairs: readonly Case["inputs"][]): Case[] => pairs.map((inputs) => ({ inputs, from }));

const ARITHMETIC = [1, 6, 7, 13, 14];
const sums = alike(
  "Add Sub",
  ARITHMETIC,
  ...same([X, X], [X, c([2, 4, 4])], [c([2, 4, 4]), X]),
  { inputs: [X, c([4])], attributes: { broadcast: 1, axis: 1 }, until: 6 },
  ...broadcasting(
    [X, c([])],
    [X, c([4])],
    [X, c([4, 1])],
    [c([1, 4, 1]), X],
    [c([2, 1, 1]), X],
    [c([4]), x(2, 4, 1)],
    [x(4), X],
    [X, x(2, 1, 4)],
  ),
);
const products = [
  subject(
    "Mul",
    ARITHMETIC,
    ...same([X, X], [X, powers(2, 4, 4)], [powers(2, 4, 4), X]),
    { inputs: [X, powers(4)], attributes: { broadcast: 1, axis: 1 }, until: 6 },
    ...broadcasting(
      [X, powers()],
      [X, powers(4)],
      [X, powers(4, 1)],
      [powers(1, 4, 1), X],
      [powers(4), x(2, 4, 1)],
      [x(4), X],
      [X, x(2, 1, 4)],
    ),
    { inputs: [X, c([4], [1, 0, 2, -1])], from: 7 },
  ),
  subject(
    "Div",
    ARITHMETIC,
    ...same([X, nonzero(2, 4, 4)], [X, powers(2, 4, 4)]),
    ...broadcasting(
      [X, powers()],
      [X, powers(4)],
      [X, powers(4, 1)],
      [powers(1, 4, 1), nonzero(2, 4, 4)],
      [X, nonzero(2, 1, 4)],
      [powers(4), nonzero(2, 4, 1)],
    ),
  ),
];
const several = [
  ...alike(
    "Sum Mean",
    [1, 6, 8, 13],
    ...same([X], [X, X], [X, X, X], [X, c([2, 4, 4])], [X, c([2, 4, 4]), X]).map((it) => ({ ...it, roundings: 4 })),
    ...later(8, [X, c([4])], [c([4, 1]), X], [X, x(2, 1, 4)]).map((it) => ({ ...it, roundings: 4 })),
  ),
  ...alike(
    "Max Min",
    [1, 6, 8, 12, 13],
    ...same([X], [X, c([2, 4, 4])], [X, X]),
    ...later(8, [X, c([])], [c([4]), X], [X, c([4, 1]), c([1])], [X, c([2, 1, 1])], [X, c([1], [0])], [x(2, 4, 1), c([4])]),
  ),
];
const bounds = (...values: (number | undefined)[]): Case["inputs"] => [
  X,
  ...values.map((v) => (v === undefined ? "" : c([], [v]))),
];
const clip = subject(
  "Clip",
  [1, 6, 11, 12, 13],
  { inputs: [X], attributes: { min: f(-2), max: f(3) }, until: 6 },
  { inputs: [X], attributes: { min: f(-2) }, until: 6 },
  { inputs: [X], attributes: { max: f(1) }, until: 6 },
  { inputs: [X], attributes: { min: f(2), max: f(-1) }, until: 6 },
  { inputs: [X], until: 6 },
  ...later(11, bounds(-2, 3), bounds(-2), bounds(undefined, 3), bounds(2, -1), [X], [X, x(), c([], [3])]),
);
const NAMED = [1, 6, 13];

export const elementwise: readonly Subject[] = [
  ...sums,
  ...products,
  ...several,
  clip,
  subject("Neg", NAMED, { inputs: [X] }),
  subject("Abs", NAMED, { inputs: [X] }),
  subject("Relu", [1, 6, 13, 14], { inputs: [X] }),
  subject("Sign", [9, 13], { inputs: [X] }),
  ...alike("Sin Tan Asin Atan Cos", [7, 22], { inputs: [X] }),
  ...alike("Sinh Asinh Atanh Cosh", [9, 22], { inputs: [X] }),
  subject("Tanh", NAMED, { inputs: [X] }),
  subject("Erf", [9, 13], { inputs: [X] }),
  subject("Softsign", [1, 22], { inputs: [X] }),
  subject("ScaledTanh", [1], { inputs: [X], attributes: { alpha: f(2), beta: f(0.5) } }),
  subject("Identity", [1, 13, 14, 16, 19, 21, 23, 24, 25], { inputs: [X] }),
  subject(
    "Dropout",
    [1, 6, 7, 10, 12, 13, 22],
    { inputs: [X], attributes: { is_test: 1, ratio: f(0.25) }, until: 6 },
    { inputs: [X], attributes: { ratio: f(0.25) }, from: 7, until: 10 },
    { inputs: [X], from: 7 },
    { inputs: [X, float32([], [0.25])], from: 12 },
    { inputs: [X, "", bools(0)], from: 12 },
    { inputs: [X], outputs: 2, read: 1, from: 7 },
  ),
  subject(
    "Cast",
    [1, 6, 9, 13, 19, 21, 23, 24, 25, 28],
    { inputs: [X], attributes: { to: "DOUBLE" }, until: 1 },
    { inputs: [X], attributes: { to: 11 }, from: 6 },
  ),
  subject("CastLike", [15, 19, 21, 23, 24, 25], { inputs: [X, c([1])] }, { inputs: [X, x(3)] }),
  subject("ThresholdedRelu", [10, 22], { inputs: [X] }, { inputs: [X], attributes: { alpha: f(0.5) } }),
  subject("Celu", [12, 28], { inputs: [X], roundings: 8 }, { inputs: [X], attributes: { alpha: f(2) }, roundings: 8 }),
  subject(
    "Shrink",
    [9],
    { inputs: [X] },
    { inputs: [X], attributes: { bias: f(0.5), lambd: f(1) } },
    { inputs: [X], attributes: { bias: f(2) } },
  ),
  subject(
    "HardSigmoid",
    [1, 6, 22],
    { inputs: [X], roundings: 8 },
    { inputs: [X], attributes: { alpha: f(0.25), beta: f(0.75) } },
  ),
  subject(
    "LeakyRelu",
    [1, 6, 16],
    { inputs: [X], attributes: { alpha: f(0.5) } },
    { inputs: [X], attributes: { alpha: f(-0.25) } },
    { inputs: [X], roundings: 2 },
  ),
  subject(
    "PRelu",
    [1, 6, 7, 9, 16],
    ...same([X, c([1], [0.5])], [X, powers(4)], [X, c([4], [0.5, 2, 0.25, 1])]).map((it) => ({ ...it, until: 6 })),
    ...later(
      7,
      [X, c([1], [0.5])],
      [X, c([4], [0.5, 2, 0.25, 1])],
      [X, powers(4, 1)],
      [X, c([4, 1], [0.5, 2, 4, 0.25])],
      [X, c([1], [-0.5])],
      [X, c([4, 1], [0, 2, 4, 0.25])],
      [X, powers(2, 4, 4)],
      [X, x(4, 1)],
    ),
  ),
  subject("Sqrt", NAMED, { inputs: [positive(2, 4, 4)], roundings: 4 }),
  subject("Reciprocal", NAMED, { inputs: [nonzero(2, 4, 4)] }),
  subject(
    "Pow",
    [1, 7, 12, 13, 15],
    { inputs: [positive(2, 4, 4), c([2, 4, 4], new Array(32).fill(2))], until: 1 },
    ...later(7, [X, c([], [2])], [nonzero(2, 4, 4), c([1], [-1])], [X, c([], [3])]),
    { inputs: [positive(2, 4, 4), c([], [0.5])], from: 7, roundings: 8 },
    { inputs: [X, c([4], [1, 2, 3, 2])], from: 7 },
    { inputs: [c([4], [1, 2, 3, 2]), positive(2, 4, 4)], from: 7 },
  ),
  subject(
    "Where",
    [9, 16],
    { inputs: [{ dtype: "bool", dims: [4, 4], values: [1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1] }, X, X] },
    { inputs: [bools(1, 0, 0, 1), X, X] },
    { inputs: [bools(1, 0, 0, 1), X, c([2, 4, 4])] },
    { inputs: [bools(1, 0, 0, 1), c([2, 4, 4]), X] },
    { inputs: [bools(1, 0, 0, 1), X, x(4, 4)] },
    { inputs: [bools(1, 0, 0, 1), x(2, 4, 1), x(2, 4, 1)] },
  ),
];
