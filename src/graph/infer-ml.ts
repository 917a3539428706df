/**
 * Shapes of ai.onnx.ml and of the optimizers of ai.onnx.preview.training. Models read rows of features: of X [N, F], or of [F] as
 * one row. ONNX-ML operator specification, versions 1 to 5.
 */
import { intAttr, intsAttr } from "./attributes.ts";
import { type Dim, derived, product, type Shape } from "./dims.ts";
import { type At, type Infer, withShape } from "./inference.ts";

const [FLOAT, INT64, STRING, DOUBLE] = [1, 7, 8, 11];

const rowsOf = ({ shapes, unknown }: At): Dim => (shapes[0] === undefined ? unknown() : product(shapes[0].slice(0, -1)));
const widthOf = ({ shapes }: At): Dim | undefined => shapes[0]?.[shapes[0].length - 1];
const count = ({ node }: At, name: string): number => {
  const list = node.record.attributes.get(name);
  return list === undefined ? 0 : list.floats.length + list.ints.length + list.strings.length;
};

/** Columns of the last axis; a vector counts as one row. */
export const columns: Infer = (at) => {
  const [x, indices] = at.shapes;
  const taken = indices === undefined ? at.unknown() : product(indices);
  return withShape(at, x && (x.length === 1 ? [1, taken] : [...x.slice(0, -1), taken]));
};

export const floats: Infer = ({ shapes }) => [{ dtype: FLOAT, shape: shapes[0] }];

/** Words to numbers, numbers to words. */
export const mappedWords: Infer = ({ shapes, dtype }) => [
  { dtype: dtype === STRING ? INT64 : dtype === 0 ? 0 : STRING, shape: shapes[0] },
];

export const encoded: Infer = (at) => {
  if (at.node.version < 2) return mappedWords(at);
  const { attributes } = at.node.record;
  const tensor = attributes.get("values_tensor")?.t;
  const typed = { values_strings: STRING, values_int64s: INT64, values_floats: FLOAT } as const;
  const listed = Object.entries(typed).find(([name]) => count(at, name) > 0);
  return [{ dtype: tensor?.dataType ?? listed?.[1] ?? FLOAT, shape: at.shapes[0] }];
};

export const categories: Infer = (at) => {
  const n = count(at, "cats_strings") || count(at, "cats_int64s");
  return [{ dtype: FLOAT, shape: at.shapes[0] && [...at.shapes[0], n] }];
};

/** Each input's features side by side. */
export const sideBySide: Infer = ({ shapes, unknown }) => {
  const widths = shapes.map((x) => (x === undefined ? unknown() : product(x.length < 2 ? x : x.slice(1))));
  const first = shapes.find((x) => x !== undefined);
  const width = derived("widths", widths, (...list) => list.reduce((n, w) => n + w, 0));
  return [{ dtype: FLOAT, shape: [first === undefined ? unknown() : first.length < 2 ? 1 : first[0], width] }];
};

/** One column of scores for every `width` coefficients. */
const linearScores = (at: At): Dim => {
  const width = widthOf(at);
  return typeof width === "number" && width > 0 ? count(at, "coefficients") / width : at.unknown();
};

const scored = (at: At, width: Dim, dtype = FLOAT): { dtype: number; shape: Shape } => ({ dtype, shape: [rowsOf(at), width] });

const labelled = (at: At, width: Dim) => [
  { dtype: count(at, "classlabels_strings") > 0 ? STRING : INT64, shape: [rowsOf(at)] },
  scored(at, width),
];
const classesOf = (at: At, ints: string): number => count(at, "classlabels_strings") || count(at, ints);

export const linearRegressor: Infer = (at) => [scored(at, linearScores(at))];

export const linearClassifier: Infer = (at) => {
  const width = linearScores(at);
  return labelled(at, width === 1 && classesOf(at, "classlabels_ints") === 2 ? 2 : width);
};

export const svmRegressor: Infer = (at) => [scored(at, 1)];

/** A decision for each pair of classes, or a probability for each class; of one decision there are two sides. */
export const svmClassifier: Infer = (at) => {
  const counts = intsAttr(at.node.record, "vectors_per_class") ?? [];
  const k = counts.length;
  const byVectors = count(at, "prob_a") > 0 ? k : (k * (k - 1)) / 2;
  const width = counts.some((n) => n > 0) ? byVectors : Math.max(1, classesOf(at, "classlabels_ints"));
  return labelled(at, width === 1 ? 2 : width);
};

export const treeRegressor: Infer = (at) => [scored(at, intAttr(at.node.record, "n_targets", 1))];
export const trees: Infer = (at) => [
  scored(at, intAttr(at.node.record, "n_targets", 1), at.dtype === DOUBLE ? DOUBLE : at.dtype === 0 ? 0 : FLOAT),
];

export const treeClassifier: Infer = (at) => {
  const classes = Math.max(count(at, "classlabels_strings"), count(at, "classlabels_int64s"));
  const single = new Set(intsAttr(at.node.record, "class_ids")).size === 1 && classes <= 2;
  return labelled(at, single ? 2 : classes);
};

/** After R and T come the tensors, their gradients and `states` lists of states: tensors and states come out. */
const optimizer =
  (states: number): Infer =>
  ({ node, facts }) => {
    const n = (node.inputs.length - 2) / (2 + states);
    return node.outputs.map((_, i) => {
      const list = Math.floor(i / n);
      return facts.of(node.inputs[2 + (list === 0 ? 0 : list + 1) * n + (i % n)]);
    });
  };
export const oneState = optimizer(1);
export const twoStates = optimizer(2);
