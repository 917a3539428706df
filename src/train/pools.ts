/**
 * Which layers are one layer that a network goes through several times (a siamese network, an unrolled one), and the order in which
 * statistics of such layers can be taken.
 *
 * Layers are one where all four parameters are the same tensors. Exporters also share tensors that are merely equal: numbers as at
 * the start (γ = 1, β = 0, mean = 0, variance = 1), or tensors behind an Identity, are no evidence; there the layers in front have
 * to share a tensor as well.
 */
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { decode } from "../onnx/codec.ts";
import { asFloat64, sizeOf } from "../onnx/tensor.ts";
import { type NormLayer, PARAMETERS, type Stored, storedTensor } from "./layers.ts";

const START = { scale: 1, B: 0, mean: 0, var: 1 } as const;

const isStart = (layer: NormLayer): boolean =>
  PARAMETERS.every((name) => {
    const stored = layer.parameters.get(name);
    return stored !== undefined && asFloat64(decode(stored.tensor)).every((v) => v === START[name]);
  });

/** Tensors of more than one number that the node in front of a layer reads; undefined where there is no such node. */
function tensorsInFront({ node }: NormLayer): Set<GraphValue> | undefined {
  const producer = node.inputs[0]?.producer;
  if (producer === undefined) return undefined;
  const stored = producer.inputs.flatMap((value) => storedTensor(value) ?? []);
  return new Set(stored.filter(({ tensor }) => sizeOf(tensor.dims) > 1).map(({ home }) => home));
}

function isOne(a: NormLayer, b: NormLayer): boolean {
  const [p, q] = [a, b].map(({ parameters }) => PARAMETERS.map((name) => parameters.get(name)));
  if (!p.every((stored, i) => stored !== undefined && stored.home === q[i]?.home)) return false;
  const direct = [...p, ...q].every((stored) => stored !== undefined && stored.value === stored.home);
  if (direct && !isStart(a)) return true;
  const [before, after] = [tensorsInFront(a), tensorsInFront(b)];
  if (before === undefined || after === undefined) return before === after;
  return [...before].some((value) => after.has(value));
}

/** The layers, each with the first one that it is the same as. */
export function pooled(layers: readonly NormLayer[]): Map<NormLayer, NormLayer> {
  const first = new Map<NormLayer, NormLayer>();
  const byMean = new Map<GraphValue, NormLayer[]>();
  for (const layer of layers) {
    const mean = layer.parameters.get("mean")?.home;
    const known = mean === undefined ? [] : (byMean.get(mean) ?? []);
    const same = known.find((other) => isOne(other, layer));
    first.set(layer, same ?? layer);
    if (mean !== undefined && same === undefined) byMean.set(mean, [...known, layer]);
  }
  return first;
}

/** Every value a node reads, those its inner graphs capture included. */
function readsOf(node: GraphNode): GraphValue[] {
  const inner = node.bodies.flatMap((body) => body.nodes.flatMap(readsOf));
  return [...node.inputs.filter((value) => value !== undefined), ...inner];
}

/** For each pool, the pools whose outputs reach one of its layers with no other layer between. */
function edgesOf(view: GraphView, pools: ReadonlyMap<GraphNode, number>): Map<number, Set<number>> {
  const reached = new Map<GraphValue, ReadonlySet<number>>();
  const edges = new Map<number, Set<number>>([...pools.values()].map((pool) => [pool, new Set<number>()]));
  for (const node of view.nodes) {
    if (node.scope !== view.main) continue;
    const before = new Set(readsOf(node).flatMap((value) => [...(reached.get(value) ?? [])]));
    const pool = pools.get(node);
    if (pool !== undefined) for (const other of before) edges.get(pool)?.add(other);
    const after = pool === undefined ? before : new Set([pool]);
    for (const output of node.outputs) if (output !== undefined) reached.set(output, after);
  }
  return edges;
}

/**
 * For each pool, the length of the longest chain of pools before it. Pools that reach each other (a layer that its own output comes
 * back to) stand side by side: their statistics are taken with the numbers the file has of the others.
 */
export function levelsOf(view: GraphView, pools: ReadonlyMap<GraphNode, number>): Map<number, number> {
  const edges = edgesOf(view, pools);
  const before = (pool: number): Set<number> => {
    const seen = new Set<number>();
    const open = [...(edges.get(pool) ?? [])];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      open.push(...(edges.get(at) ?? []));
    }
    return seen;
  };
  const all = new Map([...edges.keys()].map((pool) => [pool, before(pool)]));
  const levels = new Map<number, number>();
  const levelOf = (pool: number): number => {
    const known = levels.get(pool);
    if (known !== undefined) return known;
    const earlier = [...(edges.get(pool) ?? [])].filter((other) => all.get(other)?.has(pool) !== true);
    const level = earlier.reduce((most, other) => Math.max(most, levelOf(other) + 1), 0);
    levels.set(pool, level);
    return level;
  };
  // In the order of the file the recursion ends at once: what comes before is known.
  for (const pool of edges.keys()) levelOf(pool);
  return levels;
}

/** Every place that reads a stored tensor, through Identity nodes; undefined where something outside of nodes may. */
function readersOf(home: GraphValue): { node: GraphNode; index: number }[] | undefined {
  if (home.isOutput || home.isBound || home.captured) return undefined;
  const out: { node: GraphNode; index: number }[] = [];
  for (const use of home.uses) {
    const copy = use.node.opType === "Identity" && use.node.domain === "" ? use.node.outputs[0] : undefined;
    const more = copy === undefined ? [use] : readersOf(copy);
    if (more === undefined) return undefined;
    out.push(...more);
  }
  return out;
}

/** Whether nothing but these places reads the numbers, so that they may be replaced where they are. */
export const isReadOnlyBy = (
  { home }: Stored,
  places: readonly { readonly node: GraphNode; readonly index: number }[],
): boolean =>
  readersOf(home)?.every(({ node, index }) => places.some((place) => place.node === node && place.index === index)) === true;
