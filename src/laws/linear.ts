/**
 * The law of layers with constant weights: the output is free, a gain on the input goes into the weight, and a shift goes into the
 * bias where every output sees all of it. The laws of rules/ do the arithmetic; here is said where they apply.
 */
import { unpadded } from "../rules/conv.ts";
import { isPointwise } from "../rules/convtranspose.ts";
import { isRefused, type RuleNode } from "../rules/types.ts";
import { biasOf, ownFilterOf } from "../rules/weights.ts";

export interface Port {
  readonly axis: number;
  readonly size: number;
  /** True when shifts pass into a constant here. */
  readonly shifts: boolean;
}

export interface Layer {
  /** Position of the input that is not constant. */
  readonly index: number;
  readonly input: Port;
  readonly output: Port;
  /** True where a shift goes into the constant Adds behind, its bias: the layer has none of its own. */
  readonly biasBehind?: boolean;
  /** True where what varies along other axes of the input comes out as it was, but for shifts. */
  readonly across?: boolean;
}

/** A layer, when a node is one whose constants are its own to change. */
export function layerOf(at: RuleNode): Layer | undefined {
  if (at.state.opType !== at.node.opType || at.state.bias !== undefined) return undefined;
  const { domain, opType } = at.node;
  return mayBeLayer(domain, opType) ? LAYERS[opType](at) : undefined;
}

/** True for operators that may be layers, told without looking at their constants. */
export const mayBeLayer = (domain: string, opType: string): boolean => domain === "" && Object.hasOwn(LAYERS, opType);

/** How a layer is read. */
const LAYERS: Readonly<Record<string, (at: RuleNode) => Layer | undefined>> = {
  Conv: convolution,
  ConvTranspose: convolution,
  Gemm: gemm,
  MatMul: matmul,
};

function convolution(at: RuleNode): Layer | undefined {
  const w = ownFilterOf(at);
  if (isRefused(w) || at.isConstant(0)) return undefined;
  const turned = at.node.opType === "ConvTranspose";
  const groups = at.int("group", 1);
  const [inputs, outputs] = turned ? [w.dims[0], w.dims[1] * groups] : [w.dims[1] * groups, w.dims[0]];
  if (at.has(2) && isRefused(biasOf(at, 2, outputs))) return undefined;
  const shifts = turned ? isPointwise(at, w.dims.slice(2)) : unpadded(at, w.dims.slice(2));
  return { index: 0, input: { axis: 1, size: inputs, shifts }, output: { axis: 1, size: outputs, shifts: true } };
}

/** A constant matrix, [in, out]: the right operand, or the left one. */
function matrix(at: RuleNode, index: number, swapped: boolean): readonly [number, number] | undefined {
  const w = at.isConstant(index) && !at.isConstant(1 - index) ? at.param(index) : undefined;
  if (w === undefined || isRefused(w) || w.dims.length !== 2) return undefined;
  return swapped ? [w.dims[1], w.dims[0]] : [w.dims[0], w.dims[1]];
}

function gemm(at: RuleNode): Layer | undefined {
  const index = at.isConstant(1) ? 0 : 1;
  const name = (i: number) => (i === 0 ? "transA" : "transB");
  const size = matrix(at, 1 - index, (at.int(name(1 - index), 0) !== 0) !== (index === 1));
  if (size === undefined || at.version < 7 || at.int(name(index), 0) !== 0) return undefined;
  if (at.has(2)) {
    const c = at.param(2);
    if (isRefused(c) || c.dims.length > 2) return undefined;
    // One number for each feature of the product, and none of its own for each row (or column) beside.
    const [rows, columns] = [1, 1, ...c.dims].slice(-2);
    const [own, other] = index === 0 ? [columns, rows] : [rows, columns];
    if (other !== 1 || ![1, size[1]].includes(own)) return undefined;
  }
  const axis = 1 - index;
  return { index, input: { axis, size: size[0], shifts: true }, output: { axis, size: size[1], shifts: true } };
}

/** A product of matrices becomes a Gemm, which has a bias; one of more axes needs an Add for a shift. */
function matmul(at: RuleNode): Layer | undefined {
  const index = at.isConstant(1) ? 0 : 1;
  const size = matrix(at, 1 - index, index === 1);
  const rank = at.outShape(0)?.length;
  if (size === undefined || rank === undefined || rank < 2 || at.inShape(index)?.length !== rank) return undefined;
  const shifts = rank === 2 && at.version >= 7;
  const axis = rank - 1 - index;
  const [input, output] = [size[0], size[1]].map((n) => ({ axis, size: n, shifts }));
  // The Add behind is a bias of features, which stand last.
  return { index, input, output, across: true, biasBehind: !shifts && index === 0 };
}
