/**
 * Constants of a half type that a fold takes out of its range, brought back by powers of two. What a layer makes is divided by 2^e for each
 * row whose weights or bias overflow (e > 0) or vanish (e < 0), and what follows takes 2^e:
 *
 *   e = ⌈log2(m / largest)⌉ where m = max(|w'|, |b'|) of the row is beyond the largest number of the type
 *   e = ⌊log2(m / faint)⌋   where m < faint, 2^3 above the smallest normal number, so that digits go to underflow
 *
 * Powers of two round nothing, so that the fold is as exact as any other; Relu, pools and bounds pass them, layers take them into their weights.
 */
import { along, invert, type Spread, simplify, uniform } from "../affine/spread.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import { STORAGE_FLOATS } from "../onnx/dtype.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { isRefused, type Param, type Refused, refuse } from "../rules/types.ts";
import { absorb } from "./absorb.ts";
import { Push, type Pushed } from "./push.ts";
import { biasAt, weightAxis } from "./roles.ts";

const isHalf = ({ dtype }: Param): boolean => dtype === "float16" || dtype === "bfloat16";

/** What a row is divided by, as exponents; undefined where the layer is none of a half type, or nothing is to be done. */
function exponentsOf(draft: Draft, layer: GraphNode): Float64Array | undefined {
  const at = draft.at(layer);
  const found = [...draft.state(layer).params].flatMap(([index, param]) => {
    const axis = weightAxis(at, index);
    return axis === undefined || !isHalf(param) ? [] : [{ param, axis }];
  })[0];
  const weight = found ?? weightOf(draft, layer);
  if (weight === undefined) return undefined;
  const { param, axis } = weight;
  const [count, inner] = [param.dims[axis], sizeOf(param.dims.slice(axis + 1))];
  const most = new Float64Array(count);
  const values = param.values();
  for (let i = 0; i < values.length; i++) {
    const row = Math.floor(i / inner) % count;
    most[row] = Math.max(most[row], Math.abs(values[i]));
  }
  const bias = biasAt(draft, layer);
  if (isRefused(bias) || !most.every(Number.isFinite)) return undefined;
  for (let row = 0; row < count; row++) most[row] = Math.max(most[row], Math.abs(bias[bias.length === count ? row : 0] ?? 0));
  const { max, minNormal } = STORAGE_FLOATS[param.dtype];
  const faint = minNormal * 2 ** 3;
  // What rounds up to the largest number and beyond does not fit either.
  const exponents = most.map((m) =>
    m * (1 + 2 ** -8) > max
      ? Math.ceil(Math.log2((m * (1 + 2 ** -8)) / max))
      : m > 0 && m < faint
        ? Math.floor(Math.log2(m / faint))
        : 0,
  );
  return exponents.some((e) => e !== 0) ? exponents : undefined;
}

/** The weight of a layer that only got a bias. */
function weightOf(draft: Draft, layer: GraphNode): { param: Param; axis: number } | undefined {
  const at = draft.at(layer);
  for (const index of layer.inputs.keys()) {
    const axis = weightAxis(at, index);
    const param = axis === undefined ? undefined : at.param(index);
    if (axis !== undefined && param !== undefined && !isRefused(param) && isHalf(param)) return { param, axis };
  }
  return undefined;
}

/** Exponents as they are, and one for all where bounds may have to stay one number. */
function tries(exponents: Float64Array): Float64Array[] {
  const most = exponents.reduce((a, b) => Math.max(a, b), 0);
  return most > 0 && exponents.some((e) => e !== most) ? [exponents, exponents.map(() => most)] : [exponents];
}

/**
 * Divides rows of the layers a fold has changed by powers of two, as the draft has them, and hands those on to what follows. A layer
 * that what it is handed takes out of range is divided in turn, each once, in the order of the graph; one that cannot be is left, and the
 * ranges of what is written decide.
 * @param gone The node that leaves, and the value it reads: what follows a layer right in front of it follows the node.
 */
export function rescue(
  draft: Draft,
  touched: Iterable<GraphNode>,
  gone: { readonly node: GraphNode; readonly x: GraphValue },
): Refused | Pushed {
  let last: Refused = refuse("storage-overflow", "has no layer of a half type whose rows could be scaled");
  const [layers, seen] = [new Set(touched), new Set<GraphNode>()];
  const made: Pushed[] = [];
  for (;;) {
    const [layer] = [...layers].filter((one) => !seen.has(one)).sort((a, b) => a.order - b.order);
    if (layer === undefined) break;
    seen.add(layer);
    const exponents = exponentsOf(draft, layer);
    if (exponents === undefined) continue;
    const next = firstDivided(draft, layer, exponents, gone);
    if (isRefused(next)) last = next;
    else {
      made.push(next);
      for (const node of next.visited) layers.add(node);
    }
  }
  if (made.length === 0) return last;
  return { visited: made.flatMap(({ visited }) => visited), changed: made.flatMap(({ changed }) => [...changed]) };
}

function firstDivided(
  draft: Draft,
  layer: GraphNode,
  exponents: Float64Array,
  gone: { readonly node: GraphNode; readonly x: GraphValue },
): Refused | Pushed {
  let last = refuse("storage-overflow", "has no rows that could be scaled");
  for (const list of tries(exponents)) {
    const mark = draft.mark();
    const made = divided(draft, layer, list, gone);
    if (!isRefused(made)) return made;
    draft.undo(mark);
    last = made;
  }
  return last;
}

function divided(
  draft: Draft,
  layer: GraphNode,
  exponents: Float64Array,
  { node, x }: { readonly node: GraphNode; readonly x: GraphValue },
): Refused | Pushed {
  const [output] = layer.outputs;
  const rank = draft.facts.rank(output);
  if (output === undefined || rank === undefined || rank < 2) return refuse("shape-unknown", "has a result of unknown rank");
  if (node.order > layer.order && output !== x)
    return refuse("operator-blocks", "is not right in front of the node", { node: layer });
  const axis = draft.state(layer).opType === "MatMul" ? rank - 1 : 1;
  const by: Spread = simplify(
    along(
      rank,
      axis,
      exponents.map((e) => 2 ** -e),
    ),
  );
  const refused = absorb(draft, layer, "backScale", [by]);
  if (refused !== undefined) return refused;
  draft.moveTo(output, { scale: by, shift: uniform(rank, 0) });
  const from = output === x ? (node.outputs[0] as GraphValue) : output;
  const back = invert(by);
  return new Push(draft, "scale", "forward").all([{ value: from, by: back, node: output === x ? node : layer, index: 0 }]);
}
