/** Rewrites a linear region: the layers that stay get the merged coefficients, read their tensor, and are added up. */
import { type Kernel, weightsOf } from "../affine/kernel.ts";
import type { LinearMap } from "../affine/linear-map.ts";
import { sameShape } from "../graph/dims.ts";
import { FreshNames } from "../graph/fresh-names.ts";
import { type GraphNode, GraphValue, type GraphView } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import { isTurned, turned } from "../laws/region.ts";
import { sameNumbers } from "../rules/params.ts";
import type { AttributeChange, NodeState, Param } from "../rules/types.ts";
import type { Found, Part } from "./parts.ts";
import { checkRange } from "./range.ts";

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
const FIXED = { gain: 1, smallest: 1, mixed: true } as const;

interface Made {
  readonly host: GraphNode;
  readonly state: NodeState;
  readonly params: readonly Param[];
}

/** True when the operator has, or can get, a bias operand of its own. */
export const takesBias = (host: GraphNode, draft: Draft): boolean =>
  draft.state(host).opType !== "MatMul" || (draft.at(host).outShape(0)?.length === 2 && host.version >= 7);

/** Puts merged layers in the region's place; says why not when their numbers do not fit. */
export function rebuild(
  found: Found,
  draft: Draft,
  view: GraphView,
): { readonly parameters: number; readonly orphans: GraphValue[] } | { readonly refused: string } {
  const made: Made[] = [];
  for (const part of found.parts) {
    const { host, kernel, map } = part;
    if (host === undefined || kernel === undefined) continue;
    const next = found.axes === "spatial" ? convolution(host, map, kernel, draft) : linear(host, map, draft);
    for (const param of next.params) {
      const refused = checkRange(param, false);
      if (refused !== undefined) return { refused: `the merged ${host.opType} ${refused.because}` };
    }
    made.push(next);
  }
  const parameters = made.reduce((n, { params }) => n + params.reduce((sum, { dims }) => sum + product(dims), 0), 0);
  for (const { host, state } of made) draft.set(host, state);
  return { parameters, orphans: rewire(found, draft, view) };
}

/** Merged numbers by the constant in whose place they stand. */
const merged = new WeakMap<Draft, Map<GraphValue, Param[]>>();

/** Layers that share a constant and are merged alike share the new one: of equal numbers the first stand for all. */
function common(param: Param, draft: Draft): Param {
  const { source, dtype, dims, values } = param;
  if (source === undefined || source.readerCount < 2) return param;
  const bySource = merged.get(draft) ?? new Map<GraphValue, Param[]>();
  merged.set(draft, bySource);
  const list = bySource.get(source) ?? [];
  bySource.set(source, list);
  const mine = values();
  const first = list.find(
    (other) => other.dtype === dtype && String(other.dims) === String(dims) && sameNumbers(other.values(), mine),
  );
  if (first === undefined) list.push(param);
  return first ?? param;
}

function convolution(host: GraphNode, map: LinearMap, kernel: Kernel, draft: Draft): Made {
  const at = draft.at(host);
  const [w, b] = [at.param(1) as Param, at.has(2) ? (at.param(2) as Param) : undefined];
  const params = new Map<number, Param>([
    [1, common({ ...FIXED, dtype: w.dtype, dims: kernel.dims, source: w.source, values: () => weightsOf(map, kernel) }, draft)],
  ]);
  if (map.biased || b !== undefined)
    params.set(2, common({ ...FIXED, dtype: w.dtype, dims: [map.outputs], source: b?.source, values: () => map.bias() }, draft));
  const state = draft.state(host);
  const attributes = { ...state.attributes, ...changes(kernel, draft, host) };
  return { host, params: [...params.values()], state: { ...undropped(state, params), params, attributes } };
}

/** Operands that were dropped stay so, unless they got new numbers. */
function undropped({ dropped, ...state }: NodeState, params: ReadonlyMap<number, Param>): NodeState {
  const left = dropped?.filter((i) => !params.has(i)) ?? [];
  return left.length === 0 ? state : { ...state, dropped: left };
}

/** Attributes of the merged convolution, where they differ from the host's. */
function changes(kernel: Kernel, draft: Draft, host: GraphNode): Record<string, AttributeChange> {
  const at = draft.at(host);
  const out: Record<string, AttributeChange> = {};
  const auto = at.string("auto_pad", "NOTSET") || "NOTSET";
  if (auto !== "NOTSET") out.auto_pad = { string: "NOTSET" };
  const lists = { kernel_shape: kernel.dims.slice(2), pads: kernel.pads, dilations: kernel.dilations, strides: kernel.strides };
  for (const [name, ints] of Object.entries(lists)) {
    const now = at.ints(name);
    const plain = name === "kernel_shape" || ints.every((v) => v === (name === "pads" ? 0 : 1));
    if (now === undefined ? !plain : String(now) !== String(ints)) out[name] = { ints };
  }
  if (at.int("group", 1) !== kernel.groups) out.group = { int: kernel.groups };
  return out;
}

function linear(host: GraphNode, map: LinearMap, draft: Draft): Made {
  const at = draft.at(host);
  const w = at.param(1) as Param;
  const state = draft.state(host);
  const [rows, cols] = [map.outputs, map.inputs];
  const flat = () => map.matrices()[0];
  const values = isTurned(at) ? flat : () => turned(flat(), rows, cols);
  const dims = isTurned(at) ? [rows, cols] : [cols, rows];
  const weight = common({ ...FIXED, dtype: w.dtype, dims, source: w.source, values }, draft);
  const old = at.has(2) ? (at.param(2) as Param) : undefined;
  const bias: Param | undefined =
    map.biased || old !== undefined
      ? common({ ...FIXED, dtype: w.dtype, dims: [rows], source: old?.source, values: () => map.bias() }, draft)
      : undefined;
  const params = new Map<number, Param>([[1, weight]]);
  const all = bias === undefined ? [weight] : [weight, bias];
  if (bias !== undefined && !takesBias(host, draft))
    return { host, params: all, state: { ...undropped(state, params), params, bias } };
  if (bias !== undefined) params.set(2, bias);
  const opType = bias === undefined ? state.opType : "Gemm";
  const ones = Object.fromEntries(
    ["alpha", "beta"].filter((name) => opType === "Gemm" && at.float(name, 1) !== 1).map((name) => [name, { float: 1 }]),
  );
  return {
    host,
    params: all,
    state: { ...undropped(state, params), opType, params, bias: undefined, attributes: { ...state.attributes, ...ones } },
  };
}

/** Hosts read their tensors, sums read hosts and tensors, the last operator makes the root's output. Returns values nobody reads now. */
function rewire(found: Found, draft: Draft, view: GraphView): GraphValue[] {
  const { root, nodes, parts, adds } = found;
  const output = root.outputs[0] as GraphValue;
  const stay = new Set<GraphNode>([...parts.flatMap(({ host }) => host ?? []), ...adds]);
  const orphans = [...nodes]
    .flatMap((node) => [...node.inputs, ...node.outputs])
    .filter((value) => value !== undefined && value !== output) as GraphValue[];
  for (const node of nodes) {
    for (const value of node.outputs) if (value !== output && value !== undefined) value.producer = undefined;
    if (stay.has(node)) continue;
    node.removed = true;
    for (const value of node.inputs) value?.release();
  }
  const read = (node: GraphNode, index: number, value: GraphValue): void => {
    if (node.inputs[index] === value) return;
    node.inputs[index]?.release();
    node.inputs[index] = value;
    value.adopt([{ node, index }]);
  };
  const make = (node: GraphNode, value: GraphValue): GraphValue => {
    node.outputs = [value];
    value.producer = node;
    value.outputIndex = 0;
    return value;
  };
  const values = parts.map((part): GraphValue => {
    if (part.host === undefined) return part.source;
    read(part.host, 0, part.source);
    return make(part.host, adds.length === 0 ? output : inner(part, found, draft, view));
  });
  let sum = values[0];
  for (const [i, node] of adds.entries()) {
    const { sign } = parts[i + 1];
    const opType = sign < 0 ? "Sub" : "Add";
    const { dropped: _, ...state } = draft.state(node);
    draft.set(node, { ...state, opType, params: new Map(), attributes: {}, bias: undefined });
    for (const value of node.inputs.splice(2)) value?.release();
    read(node, 0, sum);
    read(node, 1, values[i + 1]);
    const both = [sum, values[i + 1]].map((value) => draft.facts.shape(value));
    sum = make(node, i === adds.length - 1 ? output : fresh(node, found, draft, view));
    // Of operands that do not broadcast the sum has the shape, so that it may merge again.
    if (i < adds.length - 1 && sameShape(both[0], both[1]))
      draft.facts.set(sum, { dtype: draft.facts.of(output).dtype, shape: both[0] });
  }
  return orphans;
}

const taken = new WeakMap<GraphView, FreshNames>();

/** Every name of a model, in whatever scope. */
function namesOf(view: GraphView): FreshNames {
  const names = taken.get(view) ?? FreshNames.of(view);
  taken.set(view, names);
  return names;
}

/** A new name for what is a new value, after the operator that makes it. */
function fresh(node: GraphNode, { root }: Found, draft: Draft, view: GraphView): GraphValue {
  const name = namesOf(view).fresh(`${node.record.outputs[0]}_merged`);
  const value = new GraphValue(name, root.scope);
  root.scope.values.set(name, value);
  // Parts may broadcast: the shape of the whole says nothing of this one.
  draft.facts.set(value, { dtype: draft.facts.of(root.outputs[0]).dtype, shape: undefined });
  return value;
}

/** The output of one of several layers. */
function inner({ host, map, source }: Part, found: Found, draft: Draft, view: GraphView): GraphValue {
  const value = fresh(host as GraphNode, found, draft, view);
  const from = draft.facts.shape(source);
  if (from === undefined) return value;
  const shape =
    found.axes === "features"
      ? [...from.slice(0, -1), map.outputs]
      : from.map((d, axis) => {
          if (axis < 2) return axis === 0 ? d : map.outputs;
          const [span, stride] = [map.span[axis - 2], map.strides[axis - 2]];
          if (typeof d === "number") return Math.floor((d + span) / stride) + 1;
          return span === -1 && stride === 1 ? d : undefined;
        });
  if (shape.every((d) => d !== undefined))
    draft.facts.set(value, { dtype: draft.facts.of(source).dtype, shape: shape as typeof from });
  return value;
}
