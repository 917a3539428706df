import { describe, expect, it } from "vitest";
import { fs, type NodeSpec } from "../helpers/build.ts";
import { evaluateAll, list, longs, real } from "./evaluate.ts";

const ml = (
  op: string,
  version: number,
  inputs: Parameters<typeof evaluateAll>[2],
  attributes: NodeSpec["attributes"],
  outputs = 1,
) => evaluateAll(op, version, inputs, attributes, { outputs, domain: "ai.onnx.ml" });

/** One tree: x0 ≤ 1 ? (x1 > 0 ? leaf 3 : leaf 4) : leaf 2; a missing x0 goes the true way. */
const tree = {
  nodes_treeids: [7, 7, 7, 7, 7],
  nodes_nodeids: [0, 1, 2, 3, 4],
  nodes_featureids: [0, 1, 0, 0, 0],
  nodes_modes: ["BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF"],
  nodes_values: fs([1, 0, 0, 0, 0]),
  nodes_truenodeids: [1, 3, 0, 0, 0],
  nodes_falsenodeids: [2, 4, 0, 0, 0],
  nodes_missing_value_tracks_true: [1, 0, 0, 0, 0],
};
const rows = real([4, 2], [1, 1, 1, 0, 2, 0, Number.NaN, -1]);
const leaves = (kind: string, ids: readonly number[], weights: readonly number[]) => ({
  [`${kind}_treeids`]: [7, 7, 7],
  [`${kind}_nodeids`]: [2, 3, 4],
  [`${kind}_ids`]: ids,
  [`${kind}_weights`]: fs(weights),
});

describe("trees", () => {
  it("regress: each row ends in its leaf, base values are added", () => {
    const attributes = { ...tree, ...leaves("target", [0, 1, 0], [10, 20, 30]), n_targets: 2, base_values: fs([1, 2]) };
    expect(list(ml("TreeEnsembleRegressor", 3, [rows], attributes)[0])).toEqual([1, 22, 31, 2, 11, 2, 31, 2]);
  });

  it("classify: the largest score names the class", () => {
    const attributes = { ...tree, ...leaves("class", [0, 1, 2], [5, 6, 7]), classlabels_strings: ["p", "q", "r"] };
    const [labels, scores] = ml("TreeEnsembleClassifier", 3, [rows], attributes, 2);
    expect(list(labels)).toEqual(["q", "r", "p", "r"]);
    expect(list(scores).slice(0, 3)).toEqual([0, 6, 0]);
  });

  it("that lead nowhere are refused", () => {
    const attributes = { ...tree, nodes_falsenodeids: [9, 4, 0, 0, 0], ...leaves("target", [0, 0, 0], [1, 1, 1]), n_targets: 1 };
    expect(() => ml("TreeEnsembleRegressor", 3, [rows], attributes)).toThrow(/no node 9/);
  });
});

describe("linear models", () => {
  const x = real([1, 2], [1, 2]);

  it("are products with their coefficients", () => {
    const attributes = { coefficients: fs([1, 2, 3, 4]), intercepts: fs([0.5, -1]), targets: 2 };
    expect(list(ml("LinearRegressor", 1, [x], attributes)[0])).toEqual([5.5, 10]);
    const [labels, scores] = ml(
      "LinearClassifier",
      1,
      [x],
      { ...attributes, classlabels_ints: [4, 9], post_transform: "SOFTMAX" },
      2,
    );
    expect(list(labels)).toEqual([9n]);
    expect(Number(scores?.data[0])).toBeCloseTo(1 / (1 + Math.exp(4.5)), 12);
  });

  it("SVM kernels", () => {
    const svm = (kernel_type: string) =>
      Number(
        ml("SVMRegressor", 1, [x], {
          kernel_type,
          kernel_params: fs([0.5, 1, 2]),
          coefficients: fs([2]),
          support_vectors: fs([3, 1]),
          n_supports: 1,
          rho: fs([0.25]),
        })[0]?.data[0],
      );
    expect(svm("LINEAR")).toBe(2 * 5 + 0.25);
    expect(svm("POLY")).toBe(2 * 3.5 ** 2 + 0.25);
    expect(svm("RBF")).toBeCloseTo(2 * Math.exp(-0.5 * 5) + 0.25, 12);
    expect(svm("SIGMOID")).toBeCloseTo(2 * Math.tanh(3.5) + 0.25, 12);
  });

  it("SVM classes by votes and coupled probabilities", () => {
    const attributes = {
      kernel_type: "LINEAR",
      coefficients: fs([1, -1]),
      support_vectors: fs([1, 0, 0, 1]),
      vectors_per_class: [1, 1],
      rho: fs([0]),
      classlabels_ints: [3, 8],
    };
    // s = x0 − x1 = −1: the second class.
    const [labels, scores] = ml("SVMClassifier", 1, [x], attributes, 2);
    expect(list(labels)).toEqual([8n]);
    expect(list(scores)).toEqual([1, -1]);
    const [, p] = ml("SVMClassifier", 1, [x], { ...attributes, prob_a: fs([-2]), prob_b: fs([0]) }, 2);
    expect(Number(p?.data[0])).toBeCloseTo(1 / (1 + Math.exp(2)), 3);
    expect(Number(p?.data[0]) + Number(p?.data[1])).toBeCloseTo(1, 12);
  });
});

describe("tables", () => {
  it("LabelEncoder by strings (1), by typed lists (2), NaN being one key", () => {
    const words = { dtype: "string" as const, dims: [2], data: ["b", "?"] };
    expect(list(ml("LabelEncoder", 1, [words], { classes_strings: ["a", "b"] })[0])).toEqual([1n, -1n]);
    const numbers = { keys_floats: fs([1, Number.NaN]), values_int64s: [5, 6], default_int64: 0 };
    expect(list(ml("LabelEncoder", 4, [real([3], [Number.NaN, 1, 2])], numbers)[0])).toEqual([6n, 5n, 0n]);
  });

  it("scale, normalise, impute, encode, extract", () => {
    const x = real([2, 2], [3, 4, 0, 0]);
    expect(list(ml("Scaler", 1, [x], { offset: fs([1]), scale: fs([2, 3]) })[0])).toEqual([4, 9, -2, -3]);
    expect(list(ml("Normalizer", 1, [x], { norm: "L2" })[0])).toEqual([0.6, 0.8, 0, 0]);
    expect(list(ml("Imputer", 1, [x], { imputed_value_floats: fs([7, 8]) })[0])).toEqual([3, 4, 7, 8]);
    expect(list(ml("Binarizer", 1, [x], { threshold: 0.5 })[0])).toEqual([1, 1, 0, 0]);
    expect(list(ml("OneHotEncoder", 1, [longs([2], [2n, 5n])], { cats_int64s: [1, 2] })[0])).toEqual([0, 1, 0, 0]);
    expect(() => ml("OneHotEncoder", 1, [longs([1], [5n])], { cats_int64s: [1], zeros: 0 })).toThrow(/5 is no category/);
    expect(list(ml("ArrayFeatureExtractor", 1, [x, longs([1], [1n])], {})[0])).toEqual([4, 0]);
    expect(list(ml("FeatureVectorizer", 1, [x, real([2, 1], [8, 9])], { inputdimensions: [2, 1] })[0])).toEqual([
      3, 4, 8, 0, 0, 9,
    ]);
  });
});
