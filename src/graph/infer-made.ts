/**
 * Shapes of what is drawn, listed, counted or lost: random tensors, EyeLike, Size, Unique, Det, losses, strings, TfIdfVectorizer.
 * ONNX operator specification, all opsets.
 */
import { intAttr, intsAttr, stringAttr } from "./attributes.ts";
import { product } from "./dims.ts";
import { type Infer, norm, withShape } from "./inference.ts";

const [FLOAT, INT32, INT64, STRING, BOOL] = [1, 6, 7, 8, 9];

/** What does not hold tensors, and tensors whose shapes hang on what a sequence holds. */
export const sequence: Infer = () => undefined;

export const drawn: Infer = ({ node }) => [
  { dtype: intAttr(node.record, "dtype", FLOAT), shape: intsAttr(node.record, "shape") ?? [] },
];

/** As large as the input, in its type or the one asked for. */
export const madeLike: Infer = ({ node, shapes, dtype }) => [
  { dtype: intAttr(node.record, "dtype", 0) || dtype, shape: shapes[0] },
];

export const multinomial: Infer = ({ node, shapes, unknown }) => [
  {
    dtype: intAttr(node.record, "dtype", INT32),
    shape: [shapes[0]?.[0] ?? unknown(), intAttr(node.record, "sample_size", 1)],
  },
];

export const sizeOf: Infer = () => [{ dtype: INT64, shape: [] }];
export const flag: Infer = () => [{ dtype: BOOL, shape: [] }];

export const determinant: Infer = (at) => withShape(at, at.shapes[0]?.slice(0, -2));

/** Scores N × C × D1…, targets N × D1…: a number for each target, or one for all. */
export const loss: Infer = (at) => {
  const [x] = at.shapes;
  const each = stringAttr(at.node.record, "reduction", "mean") === "none";
  return [
    { dtype: at.dtype, shape: each ? x && [x[0], ...x.slice(2)] : [] },
    { dtype: at.dtype, shape: x },
  ];
};

/** Distinct elements or slices, where each stands first, which one each is, and how often there are such. */
export const unique: Infer = ({ node, shapes, dtype, unknown }) => {
  const [x] = shapes;
  const found = unknown();
  const axis = node.record.attributes.has("axis") ? intAttr(node.record, "axis", 0) : undefined;
  const k = axis !== undefined && x ? norm(axis, x.length) : undefined;
  const all = x && (k === undefined ? product(x) : x[k]);
  const list = { dtype: INT64, shape: [found] };
  return [
    { dtype, shape: axis === undefined ? [found] : x?.map((d, i) => (i === k ? found : d)) },
    list,
    { dtype: INT64, shape: [all ?? unknown()] },
    list,
  ];
};

export const tfidf: Infer = ({ node, shapes, unknown }) => {
  const width = (intsAttr(node.record, "ngram_indexes") ?? []).reduce((most, column) => Math.max(most, column + 1), 0);
  const [x] = shapes;
  if (x === undefined) return [{ dtype: FLOAT }];
  return [{ dtype: FLOAT, shape: x.length === 2 ? [x[0] ?? unknown(), width] : [width] }];
};

export const stringSplit: Infer = ({ shapes, unknown }) => {
  const [x] = shapes;
  return [
    { dtype: STRING, shape: x && [...x, unknown()] },
    { dtype: INT64, shape: x },
  ];
};

/** Stop words go: nobody knows how many stay. */
export const stringNormalized: Infer = ({ shapes, unknown }) => [
  { dtype: STRING, shape: shapes[0] && (shapes[0].length === 2 ? [1, unknown()] : [unknown()]) },
];
