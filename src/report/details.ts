/**
 * What a page shows beside the decisions, taken from the model: the weights' ranges of each channel before and after its gain, and
 * the part of the graph around each node that stays. Asked for when a page is written; plain data, so that a JSON report can hold it.
 */
import type { Kept, NodeRef } from "../fold/types.ts";
import { type GraphNode, type GraphView, viewOf } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import { type ChannelReport, inspectChannels } from "../train/index.ts";
import { condensed } from "./condensed.ts";

/** A BatchNormalization's channels. */
export interface LayerChannels {
  readonly node: NodeRef;
  /** The layer in front whose weight would take the gains. */
  readonly producer?: string;
  readonly channels: number;
  /** γ/√(v + ε) of each channel; of many the largest of neighbours, with its sign. */
  readonly gains: readonly number[];
  /** Largest |weight| of each channel of the layer in front, before and after its gain; likewise. */
  readonly before?: readonly number[];
  readonly after?: readonly number[];
}

/** A node that stays, and what is around it. */
export interface Neighbourhood {
  readonly node: NodeRef;
  /** `layer`: edges away, negative in front, 0 the node itself. */
  readonly nodes: readonly { readonly opType: string; readonly name: string; readonly layer: number }[];
  /** Places in `nodes`, from and to. */
  readonly edges: readonly (readonly [from: number, to: number])[];
}

/** What a report's pictures are drawn from. */
export interface Details {
  readonly channels?: readonly LayerChannels[];
  readonly around?: readonly Neighbourhood[];
}

/** Nodes with a picture of their surroundings, and how far and how wide it looks. */
const [PICTURES, DEPTH, WIDE] = [40, 2, 5];

function rangesOf({ node, producer, channels }: ChannelReport): LayerChannels {
  const [before, after] = [channels.flatMap(({ weight }) => weight ?? []), channels.flatMap(({ folded }) => folded ?? [])];
  return {
    node,
    ...(producer === undefined ? {} : { producer }),
    channels: channels.length,
    gains: condensed(channels.map(({ gain }) => gain)),
    ...(before.length === channels.length && after.length === channels.length
      ? { before: condensed(before), after: condensed(after) }
      : {}),
  };
}

const labelOf = ({ record }: GraphNode): string =>
  record.name || record.outputs.find((output) => output !== "") || `#${record.index}`;

function neighbourhood(node: NodeRef, start: GraphNode): Neighbourhood {
  const layers = new Map<GraphNode, number>([[start, 0]]);
  for (const side of [-1, 1] as const) {
    let ring = [start];
    for (let depth = 1; depth <= DEPTH; depth++) {
      const next = ring.flatMap((one) =>
        side < 0
          ? one.inputs.flatMap((value) => value?.producer ?? [])
          : one.outputs.flatMap((value) => (value?.uses ?? []).map((use) => use.node)),
      );
      ring = [...new Set(next)].filter((one) => one.scope === start.scope && !layers.has(one)).slice(0, WIDE);
      for (const one of ring) layers.set(one, side * depth);
    }
  }
  const list = [...layers.keys()];
  const place = new Map(list.map((one, i) => [one, i]));
  const edges = new Set(
    list.flatMap((to, i) =>
      to.inputs.flatMap((value) => {
        const from = value?.producer === undefined ? undefined : place.get(value.producer);
        return from === undefined ? [] : [`${from} ${i}`];
      }),
    ),
  );
  return {
    node,
    nodes: list.map((one) => ({ opType: one.record.opType, name: labelOf(one), layer: layers.get(one) as number })),
    edges: [...edges].map((edge) => edge.split(" ").map(Number) as [number, number]),
  };
}

/** Nodes of the file by graph and place; those of calls that were written out are not in it. */
function found(view: GraphView, { scope, index, opType }: NodeRef): GraphNode | undefined {
  const node = view.scopes.find(({ path }) => path === scope)?.nodes[index];
  return node?.record.opType === opType ? node : undefined;
}

/** The channels of every BatchNormalization whose parameters are constant. */
export const channelsOf = (model: Model): LayerChannels[] => inspectChannels(model).layers.map(rangesOf);

/** What is around nodes that stay. BatchNormalization first: other constant operators are many. */
export function aroundOf(model: Model, kept: readonly Kept[]): Neighbourhood[] {
  const view = viewOf(model);
  const isNorm = ({ kind }: Kept) => kind === "batch-normalization";
  const around: Neighbourhood[] = [];
  for (const { node } of [...kept.filter(isNorm), ...kept.filter((one) => !isNorm(one))]) {
    if (around.length === PICTURES) break;
    const start = found(view, node);
    if (start !== undefined) around.push(neighbourhood(node, start));
  }
  return around;
}

/** The details of a model with what a plan of it keeps; parameters and weights are read for them. */
export const detailsOf = (model: Model, kept: readonly Kept[]): Details => ({
  channels: channelsOf(model),
  around: aroundOf(model, kept),
});
