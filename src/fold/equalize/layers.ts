/**
 * What equalisation may change: classes of channels that share one power of two, from the laws of gains, and the layers whose
 * weights they multiply. With v_old = 2^e ⊙ v_new on every value, a weight from channel i to channel o becomes
 *   w'[o, i] = w[o, i] · 2^(e[i] − e[o])
 * and a bias b'[o] = b[o] · 2^−e[o]. Channels tied to what may not change are of class −1, e = 0.
 */
import type { Spread } from "../../affine/spread.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import type { Draft } from "../../laws/draft.ts";
import type { Laws } from "../../laws/laws.ts";
import { layerOf, type Port } from "../../laws/linear.ts";
import { filled } from "../../laws/wires.ts";
import { isRefused, type Param } from "../../rules/types.ts";

/** A layer's weight as blocks [rows, columns] of `taps` numbers, each from one channel to one channel. */
export interface LayerWeight {
  readonly node: GraphNode;
  /** What it reads, and the axis of its channels there. */
  readonly input: GraphValue;
  readonly port: Port;
  readonly param: Param;
  readonly rows: number;
  readonly columns: number;
  readonly taps: number;
  /** Channel of the input, and of the output, that a block belongs to. */
  readonly from: (row: number, column: number) => number;
  readonly to: (row: number, column: number) => number;
  /** Class of each channel of the input and the output. */
  readonly inputs: Int32Array;
  readonly outputs: Int32Array;
  /** The bias of the output channels, where it is one number for each. */
  readonly bias: Param | undefined;
}

/** Classes that values share: they are settled together. */
export interface Group {
  readonly classes: readonly number[];
  readonly values: readonly GraphValue[];
  readonly layers: readonly LayerWeight[];
  /** Clip operators that get bounds per channel when the classes differ. */
  readonly clips: number;
}

export interface Classes {
  readonly count: number;
  /** The class of each entry of a value's channels; undefined where none of them may change. */
  readonly of: (value: GraphValue | undefined) => Spread | undefined;
  readonly layers: readonly LayerWeight[];
  readonly groups: readonly Group[];
}

/** Sets that are joined by numbers. */
class Joined {
  private readonly parent: Int32Array;

  constructor(count: number) {
    this.parent = Int32Array.from({ length: count }, (_, i) => i);
  }

  find(x: number): number {
    let root = x;
    while (this.parent[root] !== root) root = this.parent[root];
    for (let at = x; at !== root; ) [at, this.parent[at]] = [this.parent[at], root];
    return root;
  }

  /** The smaller number stands for both: 0 for all it meets. */
  join(x: number, y: number): void {
    const [p, q] = [this.find(x), this.find(y)];
    this.parent[Math.max(p, q)] = Math.min(p, q);
  }
}

export function classesOf(draft: Draft, { network, wires, absorbers }: Laws): Classes {
  const joined = new Joined(network.scales);
  for (const { x, y } of network.ratios) joined.join(x, y);
  const numbers = new Map<number, number>();
  const classOf = (name: number): number => {
    const root = joined.find(name);
    if (root === 0) return -1;
    const known = numbers.get(root) ?? numbers.size;
    numbers.set(root, known);
    return known;
  };
  const known = new Map<GraphValue, Spread>();
  for (const [value, { scale }] of wires) {
    const data = scale.data.map(classOf);
    if (data.some((c) => c >= 0)) known.set(value, { dims: scale.dims, data });
  }
  const layers = absorbers.flatMap((node) => layerWeight(draft, node, (value) => value && known.get(value)) ?? []);
  return { count: numbers.size, of: (value) => value && known.get(value), layers, groups: groupsOf(numbers.size, known, layers) };
}

/** Classes along a channel axis of a value. */
function along(classes: Spread | undefined, axis: number, size: number): Int32Array {
  if (classes === undefined) return new Int32Array(size).fill(-1);
  const dims = classes.dims.map((_, a) => (a === axis ? size : 1));
  return Int32Array.from(filled(classes, dims).data);
}

function layerWeight(draft: Draft, node: GraphNode, of: (value?: GraphValue) => Spread | undefined): LayerWeight | undefined {
  const at = draft.at(node);
  const layer = layerOf(at);
  const convolves = node.opType === "Conv" || node.opType === "ConvTranspose";
  const param = layer && at.param(convolves ? 1 : 1 - layer.index);
  const x = layer && node.inputs[layer.index];
  if (layer === undefined || x === undefined || param === undefined || isRefused(param)) return undefined;
  const { input, output, index } = layer;
  const { dims } = param;
  const [rows, columns] = dims;
  const taps = dims.slice(2).reduce((n, d) => n * d, 1);
  const groups = convolves ? at.int("group", 1) : 1;
  const inGroup = (row: number, column: number) => Math.floor(row / (rows / groups)) * columns + column;
  const row = (r: number) => r;
  const turned = node.opType === "Gemm" && at.int(index === 0 ? "transB" : "transA", 0) !== 0;
  const outputsFirst = node.opType === "Conv" || (!convolves && turned !== (index === 1));
  const bias = at.has(2) ? at.param(2) : undefined;
  return {
    node,
    input: x,
    port: input,
    param,
    rows,
    columns,
    taps,
    from: outputsFirst ? inGroup : row,
    to: outputsFirst ? row : inGroup,
    inputs: along(of(x), input.axis, input.size),
    outputs: along(of(node.outputs[0]), output.axis, output.size),
    bias: bias === undefined || isRefused(bias) || bias.dims.reduce((n, d) => n * d, 1) !== output.size ? undefined : bias,
  };
}

function groupsOf(count: number, known: ReadonlyMap<GraphValue, Spread>, layers: readonly LayerWeight[]): Group[] {
  const joined = new Joined(count + 1);
  for (const { data } of known.values()) {
    const own = data.filter((c) => c >= 0);
    for (const c of own) joined.join(own[0] + 1, c + 1);
  }
  const groups = new Map<number, { classes: number[]; values: GraphValue[]; layers: LayerWeight[]; clips: number }>();
  for (let c = 0; c < count; c++) {
    const root = joined.find(c + 1);
    const group = groups.get(root) ?? { classes: [], values: [], layers: [], clips: 0 };
    groups.set(root, group);
    group.classes.push(c);
  }
  const groupOf = (c: number | undefined) => (c === undefined ? undefined : groups.get(joined.find(c + 1)));
  for (const [value, { data }] of known) {
    const group = groupOf(data.find((c) => c >= 0));
    group?.values.push(value);
    if (group !== undefined && value.producer?.opType === "Clip") group.clips++;
  }
  for (const layer of layers) {
    const classes = [...layer.inputs, ...layer.outputs].filter((c) => c >= 0);
    for (const group of new Set(classes.map(groupOf))) group?.layers.push(layer);
  }
  // What no weight sees would move for nothing.
  return [...groups.values()].filter((group) => group.layers.length > 0);
}
