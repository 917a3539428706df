/**
 * Decision trees: TreeEnsemble (nodes and leaves apart), TreeEnsembleRegressor and TreeEnsembleClassifier (leaves among the
 * nodes). Each row of X walks every tree from its root to a leaf; the leaves' weights are added up (averaged, or their
 * smallest or largest taken) per target.
 */
import { asFloat64, int64s, type Tensor } from "../onnx/tensor.ts";
import type { OpContext, OpDef } from "./define.ts";
import { float32, mlOp } from "./mltables.ts";
import { postTransform } from "./mltransform.ts";

type Test = (x: number) => boolean;

interface Branch {
  readonly feature: number;
  readonly test: Test;
  readonly missingIsTrue: boolean;
  yes: Branch | Leaf;
  no: Branch | Leaf;
}

/** Weights a leaf adds, per target. */
interface Leaf {
  readonly weights: readonly (readonly [target: number, weight: number])[];
}

function walk(root: Branch | Leaf, row: Float64Array): Leaf {
  let at = root;
  while (!("weights" in at)) {
    const x = row[at.feature];
    at = (Number.isNaN(x) ? at.missingIsTrue : at.test(x)) ? at.yes : at.no;
  }
  return at;
}

const TESTS: Record<string, (x: number, value: number) => boolean> = {
  BRANCH_LEQ: (x, v) => x <= v,
  BRANCH_LT: (x, v) => x < v,
  BRANCH_GTE: (x, v) => x >= v,
  BRANCH_GT: (x, v) => x > v,
  BRANCH_EQ: (x, v) => x === v,
  BRANCH_NEQ: (x, v) => x !== v,
};

/** A list attribute, or its `_as_tensor` form. */
function numbersOf(context: OpContext, name: string): Float64Array | undefined {
  const tensor = context.tensor(`${name}_as_tensor`);
  if (tensor !== undefined) return asFloat64(tensor);
  const list = context.floats(name);
  return list === undefined || list.length === 0 ? undefined : Float64Array.from(list);
}

/** Trees of the older operators: leaf weights under `prefix`_ids, `prefix`_nodeids, `prefix`_treeids, `prefix`_weights. */
function oldTrees(context: OpContext, prefix: "target" | "class"): (Branch | Leaf)[] {
  const need = (name: string) => {
    const list = context.ints(name);
    if (list === undefined) throw context.fail(`the attribute ${name} is missing`);
    return list;
  };
  const [treeIds, nodeIds] = [need("nodes_treeids"), need("nodes_nodeids")];
  const [yes, no, features] = [need("nodes_truenodeids"), need("nodes_falsenodeids"), need("nodes_featureids")];
  const modes = context.strings("nodes_modes") ?? [];
  const values = numbersOf(context, "nodes_values") ?? new Float64Array(modes.length);
  const missing = context.ints("nodes_missing_value_tracks_true");
  const key = (tree: number, node: number) => `${tree}/${node}`;
  const weights = new Map<string, [number, number][]>();
  const [ofTree, ofNode, targets] = [need(`${prefix}_treeids`), need(`${prefix}_nodeids`), need(`${prefix}_ids`)];
  const leafWeights = numbersOf(context, `${prefix}_weights`) ?? new Float64Array(targets.length);
  targets.forEach((target, i) => {
    const at = key(ofTree[i], ofNode[i]);
    weights.set(at, [...(weights.get(at) ?? []), [target, leafWeights[i]]]);
  });
  const made = new Map<string, Branch | Leaf>();
  modes.forEach((mode, i) => {
    const at = key(treeIds[i], nodeIds[i]);
    if (mode === "LEAF") made.set(at, { weights: weights.get(at) ?? [] });
    else {
      const compare = TESTS[mode];
      if (compare === undefined) throw context.fail(`the node mode "${mode}" does not exist`);
      const leaf: Leaf = { weights: [] };
      const test: Test = (x) => compare(x, values[i]);
      made.set(at, { feature: features[i], test, missingIsTrue: (missing?.[i] ?? 0) !== 0, yes: leaf, no: leaf });
    }
  });
  const find = (tree: number, node: number) => {
    const found = made.get(key(tree, node));
    if (found === undefined) throw context.fail(`tree ${tree} has no node ${node}`);
    return found;
  };
  modes.forEach((_, i) => {
    const node = find(treeIds[i], nodeIds[i]);
    if ("weights" in node) return;
    node.yes = find(treeIds[i], yes[i]);
    node.no = find(treeIds[i], no[i]);
  });
  const roots = new Map<number, Branch | Leaf>(); // the first node listed of each tree
  treeIds.forEach((tree, i) => {
    if (!roots.has(tree)) roots.set(tree, find(tree, nodeIds[i]));
  });
  return [...roots.values()];
}

const NEW_MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

/** Trees of TreeEnsemble: mode 6 asks whether the value is in a set; the sets stand one after the other, ended by NaN. */
function newTrees(context: OpContext): (Branch | Leaf)[] {
  const list = (name: string) => context.ints(name) ?? [];
  const splits = asFloat64(context.tensor("nodes_splits") ?? float32([0], new Float64Array(0)));
  const modes = context.tensor("nodes_modes");
  const weights = context.tensor("leaf_weights");
  if (modes === undefined || weights === undefined) throw context.fail("nodes_modes or leaf_weights are missing");
  const targets = list("leaf_targetids");
  const leaves = Array.from(asFloat64(weights), (weight, i): Leaf => ({ weights: [[targets[i], weight]] }));
  const members = context.tensor("membership_values");
  const sets: Set<number>[] = [new Set()];
  for (const value of members === undefined ? [] : asFloat64(members)) {
    if (Number.isNaN(value)) sets.push(new Set());
    else sets[sets.length - 1].add(value);
  }
  let used = 0;
  const [features, missing] = [list("nodes_featureids"), list("nodes_missing_value_tracks_true")];
  const branches = Array.from(asFloat64(modes), (mode, i): Branch => {
    const compare = TESTS[NEW_MODES[mode]];
    const set = mode === 6 ? sets[used++] : undefined;
    if (compare === undefined && set === undefined) throw context.fail(`node ${i} has mode ${mode}`);
    const test: Test = set === undefined ? (x) => compare(x, splits[i]) : (x) => set.has(x);
    return { feature: features[i], test, missingIsTrue: (missing[i] ?? 0) !== 0, yes: leaves[0], no: leaves[0] };
  });
  const [yes, yesIsLeaf] = [list("nodes_truenodeids"), list("nodes_trueleafs")];
  const [no, noIsLeaf] = [list("nodes_falsenodeids"), list("nodes_falseleafs")];
  branches.forEach((branch, i) => {
    branch.yes = (yesIsLeaf[i] ? leaves : branches)[yes[i]];
    branch.no = (noIsLeaf[i] ? leaves : branches)[no[i]];
    if (branch.yes === undefined || branch.no === undefined) throw context.fail(`node ${i} leads nowhere`);
  });
  return list("tree_roots").map((i) => branches[i]);
}

type Aggregate = "SUM" | "AVERAGE" | "MIN" | "MAX";

/** Rows of scores [N, targets]. */
function scores(trees: readonly (Branch | Leaf)[], input: Tensor, targets: number, how: Aggregate): Float64Array[] {
  const x = asFloat64(input);
  const width = input.dims[input.dims.length - 1];
  return Array.from({ length: x.length / width }, (_, n) => {
    const row = x.subarray(n * width, (n + 1) * width);
    const out = new Float64Array(targets);
    const seen = new Uint8Array(targets);
    for (const tree of trees) {
      for (const [target, weight] of walk(tree, row).weights) {
        if (how === "SUM" || how === "AVERAGE" || !seen[target]) out[target] += weight;
        else out[target] = how === "MIN" ? Math.min(out[target], weight) : Math.max(out[target], weight);
        seen[target] = 1;
      }
    }
    if (how === "AVERAGE") for (let t = 0; t < targets; t++) out[t] /= trees.length;
    return out;
  });
}

function flat(context: OpContext, rows: readonly Float64Array[], dtype: "float32" | "float64", transform: string): Tensor {
  const done = rows.map((row) => postTransform(context, row, transform));
  const width = done[0]?.length ?? 0;
  const data = new Float64Array(done.length * width);
  done.forEach((row, i) => {
    data.set(row, i * width);
  });
  return { dtype, dims: [done.length, width], data };
}

function regressor(context: OpContext, input: Tensor): Tensor {
  const how = context.string("aggregate_function", "SUM") as Aggregate;
  const base = numbersOf(context, "base_values");
  const rows = scores(oldTrees(context, "target"), input, context.int("n_targets", 1), how);
  for (const row of rows) for (let t = 0; t < row.length; t++) row[t] += base?.[t] ?? 0;
  return flat(context, rows, "float32", context.string("post_transform", "NONE"));
}

/** Two classes with weights for one only: the other gets 1 − p, or −p before a transform that is no plain copy. */
function classifier(context: OpContext, input: Tensor): Tensor[] {
  const strings = context.strings("classlabels_strings") ?? [];
  const ints = context.ints("classlabels_int64s") ?? [];
  const classes = Math.max(strings.length, ints.length);
  const base = numbersOf(context, "base_values");
  const transform = context.string("post_transform", "NONE");
  const raw = scores(oldTrees(context, "class"), input, classes, "SUM");
  const single = new Set(context.ints("class_ids")).size === 1 && classes <= 2;
  const rows = raw.map((row) => {
    for (let t = 0; t < row.length; t++) row[t] += base?.[t] ?? base?.[0] ?? 0;
    if (!single) return row;
    const positive = row[(context.ints("class_ids") as number[])[0]];
    return Float64Array.of(transform === "NONE" || transform === "PROBIT" ? 1 - positive : -positive, positive);
  });
  const result = flat(context, rows, "float32", transform);
  const width = result.dims[1];
  const best = rows.map((_, n) => {
    const row = (result.data as Float64Array).subarray(n * width, (n + 1) * width);
    return row.reduce((top, value, i) => (value > row[top] ? i : top), 0);
  });
  const labels: Tensor =
    strings.length > 0
      ? { dtype: "string", dims: [best.length], data: best.map((i) => strings[i] ?? "") }
      : int64s(best.map((i) => (ints.length === 1 ? (i === 1 ? ints[0] : 0) : ints[i])));
  return [labels, result];
}

export const mlTreeOps: readonly OpDef[] = [
  mlOp("TreeEnsembleRegressor", 1, 1, (context, input) => [regressor(context, input)]),
  mlOp("TreeEnsembleClassifier", 1, 1, (context, input) => classifier(context, input)),
  mlOp("TreeEnsemble", 5, 1, (context, input) => {
    const how = (["AVERAGE", "SUM", "MIN", "MAX"] as const)[context.int("aggregate_function", 1)];
    const rows = scores(newTrees(context), input, context.int("n_targets", 1), how);
    const transform = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"][context.int("post_transform", 0)];
    return [flat(context, rows, input.dtype === "float64" ? "float64" : "float32", transform)];
  }),
];
