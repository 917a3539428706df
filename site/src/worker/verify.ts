/**
 * Two files: what the verifier says of them, and what differs between them as files. Nodes are matched by name, unnamed ones by
 * their first output; tensors by name.
 */
import type { OnStage } from "../../../src/engine/fold.ts";
import { refOf } from "../../../src/fold/describe.ts";
import { type GraphNode, viewOf } from "../../../src/graph/view.ts";
import { decode, dtypeOfTensor, elementCount } from "../../../src/onnx/codec.ts";
import { dtypeInfo } from "../../../src/onnx/dtype.ts";
import type { Model, TensorRecord } from "../../../src/onnx/records.ts";
import { isSameRange } from "../../../src/onnx/source.ts";
import { asFloat64 } from "../../../src/onnx/tensor.ts";
import { modelFacts } from "../../../src/report/report.ts";
import { verifyModelsAsync } from "../../../src/verify/index.ts";
import type { Difference, FoldOptions, ModelFiles, TensorDifference, Verified } from "../protocol.ts";
import { drawn } from "./graph.ts";
import { baseName, openModel } from "./models.ts";
import { runOptionsOf } from "./options.ts";

const factsOf = (files: ModelFiles, model: Model) =>
  modelFacts(model, { file: baseName(files.path), bytes: files.main.size, sha256: null });

export interface Pair {
  readonly a: ModelFiles;
  readonly b: ModelFiles;
}

export async function verified(pair: Pair, options: FoldOptions, wantsBisection: boolean, told: OnStage): Promise<Verified> {
  const [a, b] = [openModel(pair.a), openModel(pair.b)];
  const given = runOptionsOf(options, a);
  const verdict = await verifyModelsAsync(a, b, {
    ...given,
    run: !options.noRun,
    assumeConstant: options.assumeConstant,
    onProgress: told,
  });
  told("bisection", 0, 0);
  const { bisect } = await import("../../../src/verify/bisect.ts");
  const bisection = wantsBisection && verdict.outcome === "different" ? bisect(a, b, verdict, given) : undefined;
  told("comparing files", 0, 0);
  return {
    verdict,
    a: factsOf(pair.a, a),
    b: factsOf(pair.b, b),
    difference: differenceOf(a, b),
    ...(bisection === undefined ? {} : { bisection }),
    graphs: [drawn(a), drawn(b)],
  };
}

const keyOf = ({ record, scope }: GraphNode): string =>
  `${scope.path}\n${record.name || record.outputs[0] || `#${record.index}`}`;

const nodesOf = (model: Model): Map<string, GraphNode> =>
  new Map(viewOf(model).scopes.flatMap(({ nodes }) => nodes.map((node) => [keyOf(node), node] as const)));

export function differenceOf(a: Model, b: Model): Difference {
  const [before, after] = [nodesOf(a), nodesOf(b)];
  const changed: { node: ReturnType<typeof refOf>; what: string }[] = [];
  for (const [key, node] of before) {
    const other = after.get(key);
    const what = other === undefined ? [] : whatChanged(node, other);
    if (what.length > 0) changed.push({ node: refOf(node), what: what.join("; ") });
  }
  return {
    removed: [...before].filter(([key]) => !after.has(key)).map(([, node]) => refOf(node)),
    added: [...after].filter(([key]) => !before.has(key)).map(([, node]) => refOf(node)),
    changed,
    tensors: tensorsThatDiffer(a.graph.initializers, b.graph.initializers),
  };
}

function whatChanged({ record: p }: GraphNode, { record: q }: GraphNode): string[] {
  const list = (names: readonly string[]) => names.join(", ");
  const attributes = [...new Set([...p.attributes.keys(), ...q.attributes.keys()])].filter(
    (name) => attributeText(p.attributes.get(name)) !== attributeText(q.attributes.get(name)),
  );
  return [
    ...(p.opType === q.opType ? [] : [`${p.opType} became ${q.opType}`]),
    ...(list(p.inputs) === list(q.inputs) ? [] : [`inputs ${list(p.inputs)} became ${list(q.inputs)}`]),
    ...(list(p.outputs) === list(q.outputs) ? [] : [`outputs ${list(p.outputs)} became ${list(q.outputs)}`]),
    ...(attributes.length === 0 ? [] : [`attributes ${list(attributes)}`]),
  ];
}

/** What an attribute says, as far as it is no graph or tensor: those are compared by size. */
function attributeText(attribute: { readonly frame: { readonly start: number; readonly end: number } } | undefined): string {
  if (attribute === undefined) return "";
  const { frame, ...rest } = attribute as { frame: { start: number; end: number } } & Record<string, unknown>;
  const plain = Object.entries(rest).filter(([name]) => !["t", "g", "sparseTensor", "tensors", "graphs"].includes(name));
  return `${frame.end - frame.start} ${plain.map(([name, value]) => `${name}=${value instanceof Uint8Array ? [...value] : String(value)}`)}`;
}

function tensorsThatDiffer(a: readonly TensorRecord[], b: readonly TensorRecord[]): TensorDifference[] {
  const [before, after] = [a, b].map((list) => new Map(list.map((tensor) => [tensor.name, tensor])));
  const describe = (tensor: TensorRecord, what: TensorDifference["what"], largest?: number): TensorDifference => ({
    name: tensor.name,
    dtype: dtypeOfTensor(tensor),
    dims: tensor.dims,
    what,
    ...(largest === undefined ? {} : { largest }),
  });
  const both = [...before].flatMap(([name, tensor]) => {
    const other = after.get(name);
    const found = other === undefined ? false : distance(tensor, other);
    return found === false ? [] : [describe(other ?? tensor, "changed", found)];
  });
  return [
    ...both,
    ...[...before].filter(([name]) => !after.has(name)).map(([, tensor]) => describe(tensor, "removed")),
    ...[...after].filter(([name]) => !before.has(name)).map(([, tensor]) => describe(tensor, "added")),
  ];
}

/** Largest |difference|; false when they are the same, undefined when they cannot be subtracted. */
function distance(p: TensorRecord, q: TensorRecord): number | undefined | false {
  if (dtypeOfTensor(p) !== dtypeOfTensor(q) || String(p.dims) !== String(q.dims)) return undefined;
  const [x, y] = [p, q].map((tensor) => tensor.raw);
  if (x !== undefined && y !== undefined && isSameRange(p.files.main, x.start, q.files.main, y.start, x.end - x.start))
    return false;
  const numeric = ["float", "int", "big", "bool"].includes(dtypeInfo(dtypeOfTensor(p)).holder);
  if (!numeric || elementCount(p) === 0) return false;
  const [u, v] = [asFloat64(decode(p)), asFloat64(decode(q))];
  let most = 0;
  for (let i = 0; i < u.length; i++) {
    if (Object.is(u[i], v[i]) || u[i] === v[i]) continue;
    const d = Math.abs(u[i] - v[i]);
    most = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(most, d);
  }
  return most === 0 ? false : most;
}
