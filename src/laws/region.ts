/**
 * Regions of a graph that are linear in a few tensors: what a value is as a sum of linear maps of others.
 *
 *   spatial    Conv, AveragePool with a fixed divisor, constant affine operators on axis 1, Add, Sub, Sum, Identity
 *   features   MatMul and Gemm with a constant right operand, constant affine operators on the last axis, the same sums
 *
 * Operators are followed upward as long as `follow` allows; a value that is not followed stands for itself. An eager reading
 * composes two layers wherever that is exact, a thrifty one only where their product costs no more than the two.
 */
import { kernelCost, kernelOf } from "../affine/kernel.ts";
import {
  add,
  affine,
  averagePool,
  compose,
  convolution,
  identity,
  isMisfit,
  type LinearMap,
  linearLayer,
  unbiased,
} from "../affine/linear-map.ts";
import type { Spread } from "../affine/spread.ts";
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import { readsOnes } from "../rules/conv.ts";
import { vectorOn } from "../rules/params.ts";
import { isRefused, type Param, type RuleNode } from "../rules/types.ts";
import { misshapen } from "../rules/weights.ts";

/** A constant affine operator as `region` needs it. */
export interface AffineStep {
  readonly input: number;
  readonly scale: Spread;
  readonly shift: Spread;
}

export interface Surroundings {
  at(node: GraphNode): RuleNode;
  affine(node: GraphNode): AffineStep | undefined;
  /** True when the operator that makes a value may become part of the region. */
  follow(value: GraphValue): boolean;
  /** The size of an axis, when known. */
  size(value: GraphValue, axis: number): number | undefined;
  rank(value: GraphValue): number | undefined;
}

export type Axes = "spatial" | "features";

export interface Reading {
  readonly axes: Axes;
  readonly eager: boolean;
  /** A layer over a sum is the sum of the layer over each part, where all of them compose. */
  readonly distributive?: boolean;
  /** Operators in one region; larger ones are cut. */
  readonly limit: number;
}

export interface Term {
  readonly source: GraphValue;
  readonly map: LinearMap;
  /** Conv, MatMul and Gemm nodes it is made of. */
  readonly layers: readonly GraphNode[];
}

export interface Expression {
  readonly terms: readonly Term[];
  /** Operators of the region: this one, and those of the expressions it is made of. */
  readonly node: GraphNode | undefined;
  readonly parts: readonly Expression[];
  readonly size: number;
  readonly outputs: number;
  /** Why branches of one tensor did not join. */
  readonly misfits: readonly string[];
}

/** Every operator of a region. */
export function nodesOf(expression: Expression): Set<GraphNode> {
  const nodes = new Set<GraphNode>();
  const open = [expression];
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (part.node !== undefined) nodes.add(part.node);
    for (const inner of part.parts) open.push(inner);
  }
  return nodes;
}

/** How an operator is read as one linear map, and over which axes. */
const LINEAR: Readonly<
  Record<string, { readonly axes: Axes; readonly map: (at: RuleNode, around: Surroundings) => LinearMap | undefined }>
> = {
  AveragePool: { axes: "spatial", map: poolOf },
  Conv: { axes: "spatial", map: convolutionOf },
  Gemm: { axes: "features", map: layerOf },
  MatMul: { axes: "features", map: layerOf },
};

/** True of operators that may be one linear map of their input, or a sum of such. */
export const mayBeLinear = (node: GraphNode): boolean =>
  node.domain === "" && (Object.hasOwn(LINEAR, node.opType) || hasTrait(node, "adds"));

/** True of those whose map has numbers of its own, which a merged layer can take the place of. */
export const isLayer = (node: GraphNode): boolean =>
  node.domain === "" && Object.hasOwn(LINEAR, node.opType) && hasTrait(node, "layer");

/** A Sum of more operands is left alone. */
const MAX_PARTS = 1024;

const negated = (m: LinearMap): LinearMap => affine(m, new Float64Array(m.outputs).fill(-1), new Float64Array(m.outputs));

/** Reads expressions off a graph. Each value is read once; asked for in topological order, nothing is read deeply. */
export class Reader {
  private readonly known = new Map<GraphValue, Expression | undefined>();

  constructor(
    private readonly around: Surroundings,
    private readonly reading: Reading,
  ) {}

  /** What `value` is in terms of the values its region ends at; undefined when its operator is not linear. */
  made(value: GraphValue, depth = 0): Expression | undefined {
    if (this.known.has(value)) return this.known.get(value);
    const { producer } = value;
    const found = producer === undefined || value !== producer.outputs[0] ? undefined : this.node(producer, depth + 1);
    this.known.set(value, found);
    return found;
  }

  private value(value: GraphValue, depth: number): Expression | undefined {
    const made = depth <= this.reading.limit && this.around.follow(value) ? this.made(value, depth) : undefined;
    return made ?? this.leaf(value);
  }

  private leaf(source: GraphValue): Expression | undefined {
    const rank = this.around.rank(source);
    const spatial = this.reading.axes === "spatial";
    if (rank === undefined || rank < (spatial ? 3 : 2)) return undefined;
    const channels = this.around.size(source, spatial ? 1 : rank - 1);
    if (channels === undefined) return undefined;
    const map = identity(channels, spatial ? rank - 2 : 0);
    return { terms: [{ source, map, layers: [] }], node: undefined, parts: [], size: 0, outputs: channels, misfits: [] };
  }

  private node(node: GraphNode, depth: number): Expression | undefined {
    const step = this.around.affine(node);
    if (step !== undefined) return this.affineNode(node, step, depth);
    if (node.domain !== "") return undefined;
    const now = this.around.at(node);
    const { opType } = now.state;
    const read = Object.hasOwn(LINEAR, opType) ? LINEAR[opType] : undefined;
    if (read !== undefined)
      return read.axes === this.reading.axes ? this.layer(node, read.map(now, this.around), depth) : undefined;
    if (opType === "Identity") {
      const inner = node.inputs[0] && this.value(node.inputs[0], depth);
      return inner && this.onto(node, inner, inner.terms);
    }
    // A sum that an earlier merge made of another counts as what it is now.
    return hasTrait({ domain: "", opType }, "adds") && hasTrait(node, "adds") ? this.sum(node, depth) : undefined;
  }

  private onto(node: GraphNode, inner: Expression, terms: readonly Term[]): Expression | undefined {
    if (inner.size >= this.reading.limit) return undefined;
    return { terms, node, parts: [inner], size: inner.size + 1, outputs: terms[0].map.outputs, misfits: inner.misfits };
  }

  private affineNode(node: GraphNode, { input, scale, shift }: AffineStep, depth: number): Expression | undefined {
    const value = node.inputs[input];
    const inner = value && this.value(value, depth);
    const rank = value && this.around.rank(value);
    if (inner === undefined || rank === undefined) return undefined;
    const axis = this.reading.axes === "spatial" ? 1 : rank - 1;
    const [s, t] = [vectorOn(scale, axis, inner.outputs), vectorOn(shift, axis, inner.outputs)];
    if (s === undefined || t === undefined) return undefined;
    const none = new Float64Array(inner.outputs);
    // The shift goes to a term that has a layer to take it.
    const at = Math.max(
      0,
      inner.terms.findIndex(({ layers }) => layers.length > 0),
    );
    return this.onto(
      node,
      inner,
      inner.terms.map((term, i) => ({ ...term, map: affine(term.map, s, i === at ? t : none) })),
    );
  }

  /** A layer over what its input is, when that is one map and the two compose; else over the input itself. */
  private layer(node: GraphNode, map: LinearMap | undefined, depth: number): Expression | undefined {
    const value = node.inputs[0];
    if (map === undefined || value === undefined) return undefined;
    const own = isLayer(node) ? [node] : [];
    const inner = this.value(value, depth);
    if (inner !== undefined && inner.terms.length > 1 && this.reading.distributive) {
      const made = this.over(node, map, inner, own);
      if (made !== undefined) return made;
    }
    if (inner !== undefined && inner.terms.length === 1 && inner.node !== undefined) {
      const [term] = inner.terms;
      const whole = compose(map, term.map);
      if (!isMisfit(whole) && (this.reading.eager || kernelCost(kernelOf(whole)) <= whole.cost)) {
        const made = this.onto(node, inner, [{ ...term, map: whole, layers: [...term.layers, ...own] }]);
        if (made !== undefined) return made;
      }
    }
    return { terms: [{ source: value, map, layers: own }], node, parts: [], size: 1, outputs: map.outputs, misfits: [] };
  }

  /** L(Σ x) = Σ L(x), the bias once. */
  private over(node: GraphNode, map: LinearMap, inner: Expression, own: readonly GraphNode[]): Expression | undefined {
    const terms: Term[] = [];
    for (const [i, term] of inner.terms.entries()) {
      const whole = compose(i === 0 ? map : unbiased(map), term.map);
      if (isMisfit(whole)) return undefined;
      terms.push({ ...term, map: whole, layers: [...term.layers, ...own] });
    }
    return this.onto(node, inner, terms);
  }

  private sum(node: GraphNode, depth: number): Expression | undefined {
    if (node.inputs.length > MAX_PARTS) return undefined;
    const legacy = node.version < 7 && this.around.at(node).int("broadcast", 0) !== 0;
    const rank = node.outputs[0] && this.around.rank(node.outputs[0]);
    if (legacy || node.inputs.some((value) => value === undefined || this.around.rank(value) !== rank)) return undefined;
    const parts: (Expression | undefined)[] = node.inputs.map((value) => this.value(value as GraphValue, depth));
    // What grows too large is cut at its largest part.
    const sizes = parts.map((part) => part?.size ?? 0);
    let size = sizes.reduce((n, part) => n + part, 1);
    for (const at of [...parts.keys()].sort((a, b) => sizes[b] - sizes[a])) {
      if (size <= this.reading.limit) break;
      parts[at] = this.leaf(node.inputs[at] as GraphValue);
      size -= sizes[at];
    }
    if (parts.some((part) => part === undefined || part.outputs !== parts[0]?.outputs)) return undefined;
    return sumOf(node, this.around.at(node).state.opType, parts as Expression[]);
  }
}

function sumOf(node: GraphNode, opType: string, parts: readonly Expression[]): Expression {
  const terms: Term[] = [...parts[0].terms];
  const misfits = parts.flatMap((part) => part.misfits);
  /** The first term of each tensor. */
  const places = new Map<GraphValue, number>();
  for (const [i, { source }] of terms.entries()) if (!places.has(source)) places.set(source, i);
  for (const [i, part] of parts.entries()) {
    if (i === 0) continue;
    const sign = opType === "Sub" ? -1 : 1;
    for (const term of part.terms) {
      const at = places.get(term.source);
      const joined = at === undefined ? undefined : add(terms[at].map, term.map, sign);
      if (at !== undefined && joined !== undefined && !isMisfit(joined)) {
        terms[at] = { source: term.source, map: joined, layers: [...terms[at].layers, ...term.layers] };
        continue;
      }
      if (joined !== undefined && isMisfit(joined)) misfits.push(joined.misfit);
      if (at === undefined) places.set(term.source, terms.length);
      terms.push({ ...term, map: sign < 0 ? negated(term.map) : term.map });
    }
  }
  return { terms, node, parts, size: 1 + parts.reduce((n, part) => n + part.size, 0), outputs: parts[0].outputs, misfits };
}

/** True when an attribute of a function's node takes its value from the call. */
const isOpen = ({ node }: RuleNode): boolean => [...node.record.attributes.values()].some((a) => a.refAttrName !== "");

/** Pads of a window in explicit form, begin of every axis then end of every axis; undefined when they depend on the size. */
function padsOf(
  at: RuleNode,
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): number[] | undefined {
  const n = kernel.length;
  const auto = at.string("auto_pad", "NOTSET") || "NOTSET";
  if (auto === "NOTSET") return at.ints("pads") ?? new Array<number>(2 * n).fill(0);
  if (auto === "VALID") return new Array<number>(2 * n).fill(0);
  const [begin, end]: number[][] = [[], []];
  for (let a = 0; a < n; a++) {
    const extent = (kernel[a] - 1) * dilations[a] + 1;
    const size = at.inShape(0)?.[a + 2];
    if (strides[a] !== 1 && typeof size !== "number") return undefined;
    const total =
      strides[a] === 1
        ? extent - 1
        : Math.max(0, (Math.ceil((size as number) / strides[a]) - 1) * strides[a] + extent - (size as number));
    const small = Math.floor(total / 2);
    begin.push(auto === "SAME_UPPER" ? small : total - small);
    end.push(auto === "SAME_UPPER" ? total - small : small);
  }
  return [...begin, ...end];
}

/** The bias operand, when it is absent or constant; undefined when it is neither. */
function biasOf(at: RuleNode): { values: (() => Float64Array) | undefined; param: Param | undefined } | undefined {
  const param = at.has(2) ? at.param(2) : undefined;
  if (param === undefined) return { values: undefined, param };
  return isRefused(param) ? undefined : { values: () => param.values(), param };
}

/** A Conv with constant weights as a map. */
export function convolutionOf(at: RuleNode): LinearMap | undefined {
  const w = at.param(1);
  const bias = biasOf(at);
  if (isRefused(w) || misshapen(at, w.dims) !== undefined || bias === undefined || isOpen(at) || readsOnes(at)) return undefined;
  if (bias.param !== undefined && String(bias.param.dims) !== String(w.dims[0])) return undefined;
  const kernel = w.dims.slice(2);
  const strides = at.ints("strides") ?? kernel.map(() => 1);
  const dilations = at.ints("dilations") ?? kernel.map(() => 1);
  const pads = padsOf(at, kernel, strides, dilations);
  if (pads === undefined || pads.some((p) => p < 0)) return undefined;
  return convolution({
    dims: w.dims,
    groups: at.int("group", 1),
    strides,
    dilations,
    pads,
    weights: () => w.values(),
    bias: bias.values,
  });
}

/** An AveragePool whose divisor is the same everywhere. */
function poolOf(at: RuleNode, around: Surroundings): LinearMap | undefined {
  const kernel = at.ints("kernel_shape");
  const value = at.node.inputs[0];
  const channels = value && around.size(value, 1);
  if (kernel === undefined || channels === undefined || at.int("ceil_mode", 0) !== 0 || isOpen(at)) return undefined;
  const strides = at.ints("strides") ?? kernel.map(() => 1);
  const dilations = at.ints("dilations") ?? kernel.map(() => 1);
  const pads = padsOf(at, kernel, strides, dilations);
  if (pads === undefined || pads.some((p) => p < 0)) return undefined;
  if (at.int("count_include_pad", 0) !== 1 && pads.some((p) => p !== 0)) return undefined;
  return averagePool(channels, kernel, { strides, dilations, pads });
}

/** True when Gemm's weight is stored [N, K]. */
export const isTurned = (at: RuleNode): boolean => at.state.opType === "Gemm" && at.int("transB", 0) !== 0;

/** A matrix [rows, cols] turned over. */
export function turned(matrix: Float64Array, rows: number, cols: number): Float64Array {
  const out = new Float64Array(matrix.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = matrix[r * cols + c];
  return out;
}

/** A MatMul or Gemm whose right operand is a constant matrix, as a map of the last axis. */
function layerOf(at: RuleNode): LinearMap | undefined {
  const gemm = at.state.opType === "Gemm";
  if (isOpen(at) || (gemm && (at.version < 7 || at.int("transA", 0) !== 0)) || !at.isConstant(1)) return undefined;
  const rank = at.outShape(0)?.length;
  const w = at.param(1);
  if (isRefused(w) || w.dims.length !== 2 || rank === undefined || at.inShape(0)?.length !== rank) return undefined;
  const [rows, cols] = w.dims;
  const [inputs, outputs] = isTurned(at) ? [cols, rows] : [rows, cols];
  const alpha = gemm ? at.float("alpha", 1) : 1;
  const matrix = () => {
    const values = isTurned(at) ? w.values() : turned(w.values(), rows, cols);
    return alpha === 1 ? values : values.map((v) => alpha * v);
  };
  if (!gemm) return linearLayer(outputs, inputs, matrix, spreadBias(at.state.bias, 1, outputs));
  const bias = biasOf(at);
  if (bias === undefined || (bias.param !== undefined && !isRow(bias.param, outputs))) return undefined;
  return linearLayer(outputs, inputs, matrix, spreadBias(bias.param, at.float("beta", 1), outputs));
}

/** True when a bias is the same for every row of the product. */
const isRow = ({ dims }: Param, outputs: number): boolean => {
  const [last, ...rest] = dims.toReversed();
  return (last === undefined || last === 1 || last === outputs) && rest.every((d) => d === 1);
};

const spreadBias = (bias: Param | undefined, beta: number, outputs: number): (() => Float64Array) | undefined =>
  bias &&
  (() => {
    const values = bias.values();
    return Float64Array.from({ length: outputs }, (_, o) => beta * values[values.length === 1 ? 0 : o]);
  });
