/**
 * Sizes for a region run on its own (cuts.ts). The sizes its inputs have in the network are made smaller together: where the region
 * strides by S in all and its windows reach over E places, an axis of N places gets
 *   n = N − σ·d      σ: how many times larger than the smallest such axis it is; d the multiple of S that leaves it at least E + S − 1
 * so that every axis is cut where it was, modulo every stride, and there are windows over either border and over none. An axis along which
 * the map of an input varies stays whole. Axes of a size the file leaves open are taken at several remainders.
 */
import { gcd } from "../affine/linear-map.ts";
import { axesOf } from "../affine/spread.ts";
import { inputError } from "../diag/error.ts";
import { hasTrait, traitsOf } from "../graph/operators.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { viewOf } from "../graph/view.ts";
import { dtypeOf, isFloat } from "../onnx/dtype.ts";
import type { Model, ValueInfoRecord } from "../onnx/records.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { factsOf } from "../run/facts.ts";
import type { Cut, Region } from "./cuts.ts";
import { generateInputs } from "./inputs.ts";
import { plain, runVariant } from "./runs.ts";
import { requiredInputs, resolveShapes, type UserShapes } from "./shapes.ts";

/** Remainders tried at the most, where sizes are open. */
const REMAINDERS = 4;

/** Lists of default sizes tried at the most (shapes.ts), where a network does not run at those it got. */
const ATTEMPTS = 6;

/** Batches larger than this are cut. */
const BATCH = 2;

/** Sizes of the values of a network, for given sizes of its inputs. */
export class NetworkSizes {
  private readonly known = new Map<number, ((name: string) => readonly number[] | undefined) | undefined>();
  private readonly view: GraphView;
  private attempt = 0;

  constructor(
    private readonly model: Model,
    private readonly user: UserShapes | undefined,
  ) {
    this.view = viewOf(model);
  }

  /** Takes other sizes from here on, where the file leaves any open; false when there are no more. */
  change(): boolean {
    if (++this.attempt >= ATTEMPTS || resolveShapes(this.model, this.view, this.user, this.attempt)?.guessed !== true)
      return false;
    this.known.clear();
    return true;
  }

  /** With open axes `more` larger than by default; undefined where none is open. */
  of(more: number): ((name: string) => readonly number[] | undefined) | undefined {
    if (!this.known.has(more)) this.known.set(more, this.make(more));
    return this.known.get(more);
  }

  private make(more: number): ((name: string) => readonly number[] | undefined) | undefined {
    const plan = resolveShapes(this.model, this.view, this.user, this.attempt);
    if (plan === undefined) return undefined;
    let open = more === 0;
    const sized = new Map<string, ValueInfoRecord>();
    for (const input of requiredInputs(this.model)) {
      const shape = plan.shapes.get(input.name);
      if (shape === undefined || input.type.kind !== "tensor") continue;
      const dims = shape.map((size, axis) => {
        const isOpen = axis > 1 && typeof input.type.shape?.[axis] !== "number" && (this.user?.get(input.name)?.[axis] ?? -1) < 0;
        open ||= isOpen;
        return isOpen ? size + more : size;
      });
      sized.set(input.name, { ...input, type: { ...input.type, shape: dims } });
    }
    if (!open) return undefined;
    const { graph } = this.model;
    // What the file says of other values was said of other sizes.
    const untyped = graph.outputs.map((output) => ({ ...output, type: { kind: "unknown" } as const }));
    const inputs = graph.inputs.map((input) => sized.get(input.name) ?? input);
    const view = viewOf({ ...this.model, graph: { ...graph, inputs, outputs: untyped, valueInfos: [] } });
    const facts = factsOf(view);
    const dims = new Map([...sized].map(([name, { type }]) => [name, type.shape as number[]]));
    let measured: ReadonlyMap<string, readonly number[]> | undefined;
    return (name) => {
      const shape = facts.shape(view.main.values.get(name));
      if (shape?.every((d) => typeof d === "number")) return shape as readonly number[];
      measured ??= this.measure(dims);
      return measured.get(name);
    };
  }

  /** Sizes that numbers decide are what a run gives. */
  private measure(shapes: UserShapes): ReadonlyMap<string, readonly number[]> {
    const found = new Map<string, readonly number[]>();
    const watch = (name: string, value: Value) => {
      if (isTensor(value)) found.set(name, value.dims);
    };
    try {
      const [sample] = generateInputs(this.model, { samples: 1, shapes });
      runVariant(plain(this.model), sample.feeds, { seed: 1, watch });
    } catch (error) {
      inputError(error);
    }
    return found;
  }
}

/** What a region needs of sizes. */
interface Window {
  /** Product of the strides on the way with the most of them. */
  readonly stride: number;
  /** Places one element of the output sees, at the most. */
  readonly extent: number;
  readonly channelsFirst: boolean;
}

function windowOf(nodes: readonly GraphNode[]): Window {
  const reached = new Map<GraphValue, { stride: number; extent: number }>();
  let [stride, extent] = [1, 1];
  for (const node of nodes) {
    let here = { stride: 1, extent: 1 };
    for (const input of node.inputs) {
      const from = input && reached.get(input);
      if (from !== undefined) here = { stride: Math.max(here.stride, from.stride), extent: Math.max(here.extent, from.extent) };
    }
    const own = ownWindow(node);
    here = { stride: here.stride * own.stride, extent: here.extent + (own.extent - 1) * here.stride };
    for (const output of node.outputs) if (output !== undefined) reached.set(output, here);
    [stride, extent] = [Math.max(stride, here.stride), Math.max(extent, here.extent)];
  }
  const channelsFirst = nodes.some((node) => hasTrait(node, "channels"));
  return { stride, extent, channelsFirst };
}

function ownWindow(node: GraphNode): { stride: number; extent: number } {
  const { product, weights } = traitsOf(node) ?? {};
  const list = (name: string) => node.record.attributes.get(name)?.ints.map(Number);
  const filtered = weights !== undefined && (product === "convolution" || product === "transposed");
  const kernel = list("kernel_shape") ?? (filtered ? node.inputs[weights[0]]?.initializer?.dims.slice(2) : undefined);
  if (kernel === undefined || kernel.length === 0) return { stride: 1, extent: 1 };
  const [dilations, strides, pads] = [list("dilations"), list("strides"), list("pads")];
  const extent = Math.max(...kernel.map((k, i) => (k - 1) * (dilations?.[i] ?? 1) + 1), ...(pads ?? []));
  // A transposed window steps in its output: every input is seen by windows at every phase.
  if (product === "transposed") return { stride: 1, extent };
  return { stride: (strides ?? []).reduce(lcm, 1), extent };
}

const lcm = (a: number, b: number): number => (a * b) / Math.max(1, gcd(a, b));

/** Axes to make smaller, by the rank of a tensor. */
type Axes = (rank: number) => readonly number[];

const after: Axes = (rank) => Array.from({ length: Math.max(0, rank - 2) }, (_, i) => i + 2);
const between: Axes = (rank) => Array.from({ length: Math.max(0, rank - 2) }, (_, i) => i + 1);

/** Dims of each input of a region, by the first file's names. */
export type RegionSizes = ReadonlyMap<string, readonly number[]>;

/**
 * True where nodes, in running order, make floats of a size (attention that scales by √(its own width)), and not to measure with: at other
 * sizes they are other numbers.
 */
function countsSizes(nodes: readonly GraphNode[], measures: ReadonlySet<GraphValue>): boolean {
  const sizes = new Set<GraphValue>();
  for (const node of nodes) {
    const ofSizes = node.inputs.some((value) => value !== undefined && sizes.has(value));
    if (!ofSizes && traitsOf(node)?.sees?.[0] !== "shape") continue;
    const [output] = node.outputs;
    if (ofSizes && isCastToFloat(node) && output !== undefined && !measures.has(output)) return true;
    for (const value of node.outputs) if (value !== undefined) sizes.add(value);
  }
  return false;
}

function isCastToFloat(node: GraphNode): boolean {
  if (!hasTrait(node, "casts")) return false;
  const to = dtypeOf(Number(node.record.attributes.get("to")?.i ?? 0));
  return to === undefined || isFloat(to);
}

/**
 * Sizes to try for a region, the smallest first, ending with those of the network. Several lists where remainders are open:
 * one of each is to be run. `measures`: values of either file that only measure.
 */
export function sizesOf(region: Region, network: NetworkSizes, measures: ReadonlySet<GraphValue>): RegionSizes[][] {
  const [p, q] = [windowOf(region.nodesA), windowOf(region.nodesB)];
  const window = {
    stride: Math.max(p.stride, q.stride),
    extent: Math.max(p.extent, q.extent),
    channelsFirst: p.channelsFirst || q.channelsFirst,
  };
  // What one file computes of sizes the other may hold as a number: then only those of the network will do.
  const isWhole = countsSizes(region.nodesA, measures) !== countsSizes(region.nodesB, measures);
  const orders = isWhole ? [] : window.channelsFirst ? [after, between] : [between, after];
  const found: RegionSizes[][] = [];
  for (let more = 0; more < Math.min(window.stride, REMAINDERS); more++) {
    const all = network.of(more);
    const whole = all && wholeSizes(region, all);
    if (whole === undefined) break;
    found.push([...orders.flatMap((axes) => smaller(region, whole, axes, window) ?? []), whole]);
  }
  return found;
}

function wholeSizes(region: Region, all: (name: string) => readonly number[] | undefined): RegionSizes | undefined {
  const sizes = new Map<string, readonly number[]>();
  for (const { a } of region.inputs) {
    const dims = all(a.name);
    if (dims === undefined) return undefined;
    sizes.set(a.name, dims);
  }
  return sizes;
}

/** Axes of an input along which its map varies: a part of one has no map. */
const mappedAxes = ({ map }: Cut): number[] => (map === undefined ? [] : [...axesOf(map.scale), ...axesOf(map.shift)]);

function smaller({ inputs }: Region, whole: RegionSizes, axes: Axes, { stride, extent }: Window): RegionSizes | undefined {
  const kept = new Map(inputs.map((cut) => [cut.a.name, new Set(mappedAxes(cut))]));
  const open = (name: string, dims: readonly number[]) =>
    axes(dims.length).filter((axis) => dims[axis] > 1 && kept.get(name)?.has(axis) !== true);
  const cut = [...whole].flatMap(([name, dims]) => open(name, dims).map((axis) => dims[axis]));
  const least = Math.min(...cut);
  const wanted = Math.max(2, extent + stride - 1);
  const less = cut.length === 0 ? 0 : stride * Math.max(0, Math.floor((least - wanted) / stride));
  let changed = false;
  const sizes = new Map<string, readonly number[]>();
  for (const [name, dims] of whole) {
    const made = [...dims];
    if (made.length > 2 && made[0] > BATCH && kept.get(name)?.has(0) !== true) made[0] = BATCH;
    for (const axis of open(name, dims)) made[axis] -= Math.round(dims[axis] / least) * less;
    if (made.some((size, axis) => size < 1 && dims[axis] > 0)) return undefined;
    changed ||= made.some((size, axis) => size !== dims[axis]);
    sizes.set(name, made);
  }
  return changed ? sizes : undefined;
}
