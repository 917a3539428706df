/**
 * Where the second operand of a binary operator lies over the first. From opset 7 on as NumPy broadcasts: at the last axes.
 * Before, shapes are equal, unless the attribute `broadcast` is 1: then the second is one number, or its shape is a run of the
 * first's axes that begins at `axis` (default: the last ones; from the end where negative).
 * ONNX Add, Sub, Mul, Div, Pow, And, Or, Xor, Equal, Less, Greater 1 and 6.
 */

import { trimmed } from "./params.ts";
import { isRefused, type NodeState, type Param, type Refused, type RuleNode, refuse, withAttribute, withParam } from "./types.ts";

/** A node as far as it matters here. */
export interface Binary {
  readonly version: number;
  int(name: string, fallback: number): number;
}

const ones = (n: number): number[] => new Array<number>(n).fill(1);

/** `dims` over `rank` axes, those of the other operand; undefined where they do not fit. */
export function laidOver(node: Binary, dims: readonly number[], rank: number): number[] | undefined {
  const rest = rank - dims.length;
  if (rest < 0) return undefined;
  if (node.version >= 7) return [...ones(rest), ...dims];
  if (node.int("broadcast", 0) === 0) return rest === 0 ? [...dims] : undefined;
  if (dims.every((d) => d === 1)) return ones(rank);
  const axis = axisOf(node, rest, rank);
  return axis < 0 || axis > rest ? undefined : [...ones(axis), ...dims, ...ones(rest - axis)];
}

function axisOf(node: Binary, fallback: number, rank: number): number {
  const given = node.int("axis", fallback);
  return given < 0 ? given + rank : given;
}

/** True where operands other than the second may not be broadcast. */
export const isOneSided = ({ version }: Binary): boolean => version < 7;

/**
 * The operator with a changed constant operand `i`, given over all axes of the tensor, in a shape its operand set takes: as few
 * axes as it had where they suffice.
 */
export function putBack(at: RuleNode, state: NodeState, i: number, param: Param): NodeState | Refused {
  const was = (at.param(i) as Param).dims;
  if (at.version >= 7) return withParam(state, i, trimmed(param, was.length));
  const rank = param.dims.length;
  if (at.int("broadcast", 0) === 0 || i === 0) {
    return was.length === rank && was.every((d, axis) => d === param.dims[axis])
      ? withParam(state, i, param)
      : refuse("broadcast-grows", "has a constant that its opset does not let grow");
  }
  const first = param.dims.findIndex((d) => d !== 1);
  if (first < 0) return withParam(state, i, { ...param, dims: was });
  const dims = param.dims.slice(first, param.dims.findLastIndex((d) => d !== 1) + 1);
  const x = at.inShape(0);
  if (dims.some((d, k) => x?.[first + k] !== d))
    return refuse("broadcast-grows", "would need a constant that its opset cannot lay over its input");
  const placed = axisOf(at, rank - dims.length, rank) === first ? state : withAttribute(state, "axis", { int: first });
  return withParam(placed, i, { ...param, dims });
}

/** The constant operand `i` over `rank` axes. */
export function laidOut(at: RuleNode, i: number, rank: number): Param | Refused {
  const param = at.param(i);
  if (isRefused(param)) return param;
  const dims = i > 0 || at.version >= 7 ? laidOver(at, param.dims, rank) : param.dims.length === rank ? param.dims : undefined;
  return dims === undefined
    ? refuse("broadcast-grows", "has a constant of higher rank than its other operand")
    : { ...param, dims };
}
