/**
 * Channels of constant 1, taken out of a file. Where a layer has a last output channel of weights 0 and bias 1, all that reads its
 * channels keeps that one as it is, and Convs end it (laws/ones.ts),
 *
 *   P [C + 1 channels] → f → Conv(·; [W, v])        P [C channels] → f → Conv(·; W) + Conv(1; v)
 *
 * Exact: numbers of the constants are taken apart, none is computed. What stands on the right is a Conv with a fourth operand v, the
 * weight of a channel of ones that is padded with zeros as the others are (rules/conv.ts); no file can have it. A Pad of zeros in
 * front of it becomes its own, because v sees no zeros but those. Values keep their names; what files declare of them goes.
 */

import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { Draft } from "../../laws/draft.ts";
import { type Cone, coneOf, outputAxis, slopeAxis } from "../../laws/ones.ts";
import { decode } from "../../onnx/codec.ts";
import type { Model, NodeRecord, TensorRecord } from "../../onnx/records.ts";
import { asFloat64 } from "../../onnx/tensor.ts";
import { ONES } from "../../rules/conv.ts";
import { isRefused, type Param } from "../../rules/types.ts";
import { type Side, sideOf } from "./classes.ts";
import { PADDED } from "./normal/pads.ts";
import { integers, make } from "./normal/rewriting.ts";

export interface Narrowed {
  readonly model: Model;
  /** Values that have one channel less than in the file. */
  readonly values: ReadonlySet<string>;
}

/** A file without its channels of ones; the file itself where it has none that end in Convs. */
export function narrowed(model: Model): Narrowed {
  const none = { model, values: new Set<string>() };
  if (!mayMakeOnes(model)) return none;
  const side = sideOf(model);
  const draft = new Draft(side.facts, side.constants);
  const cones = new Map<GraphNode, Cone>();
  for (const node of side.view.nodes) {
    const cone = makesOnes(draft, node) ? coneOf(node, (other) => draft.at(other), new Set()) : undefined;
    if (cone === undefined || isRefused(cone)) continue;
    const { dims } = draft.at(node).param(2) as Param;
    const fits = (layer: GraphNode) => (draft.at(layer).param(1) as Param).dims[1] === dims[0] && isJoined(layer, side);
    if (cone.layers.every(fits)) cones.set(node, cone);
  }
  if (cones.size === 0) return none;
  return new Narrowing(side, draft, cones).run();
}

/** A bias that ends in 1: what all the rest is looked at for. */
function mayMakeOnes({ graph }: Model): boolean {
  const tensors = new Map<string, TensorRecord>(graph.initializers.map((tensor) => [tensor.name, tensor]));
  for (const { opType, outputs, attributes } of graph.nodes) {
    const tensor = opType === "Constant" ? attributes.get("value")?.t : undefined;
    if (tensor !== undefined) tensors.set(outputs[0], tensor);
  }
  return graph.nodes.some(({ opType, inputs }) => {
    const bias = opType.startsWith("Conv") ? tensors.get(inputs[2] ?? "") : undefined;
    return bias?.dims.length === 1 && bias.dims[0] > 1 && asFloat64(decode(bias)).at(-1) === 1;
  });
}

/** True of a layer whose last output channel is 1, whatever comes in. */
function makesOnes(draft: Draft, node: GraphNode): boolean {
  const at = draft.at(node);
  const axis = ["Conv", "ConvTranspose"].includes(node.opType) && at.has(2) ? outputAxis(at) : undefined;
  const bias = axis === undefined ? undefined : at.param(2);
  if (axis === undefined || bias === undefined || isRefused(bias) || bias.dims[0] < 2 || bias.values().at(-1) !== 1) return false;
  const { dims, values } = at.param(1) as Param;
  const w = values();
  const [rows, taps] = axis === 0 ? [1, w.length / dims[0]] : [dims[0], w.length / dims[0] / dims[1]];
  for (let row = 1; row <= rows; row++) {
    const end = (row * w.length) / rows;
    for (let i = end - taps; i < end; i++) if (w[i] !== 0) return false;
  }
  return true;
}

/** A Conv behind no Pad, or behind one that becomes its own. */
const isJoined = (node: GraphNode, side: Side): boolean =>
  node.inputs[0]?.producer?.opType !== "Pad" || PADDED.rewrite(node, side) !== undefined;

class Narrowing {
  /** Parts of constants, by name: several operators may read one. */
  private readonly parts = new Map<string, NodeRecord[]>();
  private readonly layers = new Set<GraphNode>();
  private readonly slopes = new Set<GraphNode>();
  /** Pads that became those of layers. */
  private readonly pads = new Set<GraphNode>();
  private readonly values = new Set<GraphValue>();

  constructor(
    private readonly side: Side,
    private readonly draft: Draft,
    private readonly cones: ReadonlyMap<GraphNode, Cone>,
  ) {
    for (const { values, between, layers } of cones.values()) {
      for (const value of values) this.values.add(value);
      for (const layer of layers) this.layers.add(layer);
      for (const node of between) if (node.opType === "PRelu") this.slopes.add(node);
      for (const node of between) if (node.opType === "Pad") this.pads.add(node);
    }
  }

  run(): Narrowed {
    const { model, nodes } = this.side.view;
    const records = new Map(nodes.map((node) => [node.record, node]));
    const changed = model.graph.nodes.flatMap((record) => {
      const node = records.get(record);
      if (node !== undefined && this.pads.has(node)) return [];
      return [node === undefined ? record : this.narrow(node)];
    });
    const values = new Set([...this.values].map(({ name }) => name));
    const graph = {
      ...model.graph,
      nodes: [...[...this.parts.values()].flat(), ...changed],
      valueInfos: model.graph.valueInfos.filter(({ name }) => !values.has(name)),
    };
    return { model: { ...model, graph }, values };
  }

  private narrow(node: GraphNode): NodeRecord {
    const at = this.draft.at(node);
    const joined = this.layers.has(node) ? PADDED.rewrite(node, this.side)?.[0] : undefined;
    const inputs = [...(joined ?? node.record).inputs];
    const cut = (index: number, axis: number, { dims }: Param, last = false) => {
      const from = last ? dims[axis] - 1 : 0;
      return this.part(node, inputs[index], axis, from, last ? dims[axis] : dims[axis] - 1);
    };
    if (this.layers.has(node)) {
      const w = at.param(1) as Param;
      while (inputs.length < ONES) inputs.push("");
      [inputs[ONES], inputs[1]] = [cut(1, 1, w, true), cut(1, 1, w)];
    }
    const axis = this.slopes.has(node) ? slopeAxis(at) : undefined;
    if (axis !== undefined) inputs[1] = cut(1, axis, at.param(1) as Param);
    const made = this.cones.has(node) ? outputAxis(at) : undefined;
    if (made !== undefined) {
      const [w, b] = [at.param(1), at.param(2)] as Param[];
      [inputs[1], inputs[2]] = [cut(1, made, w), cut(2, 0, b)];
      if (this.layers.has(node)) inputs[ONES] = cut(ONES, made, w);
    }
    return { ...(joined ?? node.record), inputs };
  }

  /** Elements `from` to `to` of a constant along an axis, under a name that says so. */
  private part(node: GraphNode, of: string, axis: number, from: number, to: number): string {
    let name = `${of}[${":, ".repeat(axis)}${from}:${to}]`;
    while (this.side.view.main.values.has(name)) name += "'";
    if (this.parts.has(name)) return name;
    const places = `${name}/places`;
    const list = Array.from({ length: to - from }, (_, i) => from + i);
    this.parts.set(name, [
      { ...integers(node, "places", list), outputs: [places] },
      make(node, "Gather", [of, places], name, { axis: { i: axis } }),
    ]);
    return name;
  }
}
