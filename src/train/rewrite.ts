/** New momentum, epsilon and running variance for the BatchNormalization nodes of a file, in place. */
import { BnfoldError } from "../diag/error.ts";
import { nameOf } from "../fold/describe.ts";
import type { NodeRef } from "../fold/types.ts";
import type { Facts } from "../graph/facts.ts";
import { viewOf } from "../graph/view.ts";
import { decode } from "../onnx/codec.ts";
import type { Model, TensorRecord } from "../onnx/records.ts";
import { asFloat64, sizeOf } from "../onnx/tensor.ts";
import { type ModelEdits, NO_EDITS, type NodeRewrite } from "../onnx/write.ts";
import { factsOf } from "../run/facts.ts";
import { convertVariance, type VarianceKind } from "./conventions.ts";
import { layerName, layersOf, type NormLayer } from "./layers.ts";

/** An attribute that `rewriteAttributes` changes. */
export interface AttributeChange {
  readonly node: NodeRef;
  readonly attribute: "momentum" | "epsilon";
  readonly from: number;
  readonly to: number;
}

/** What an attribute is to become, from what it is. */
export interface AttributeRules {
  readonly momentum?: (momentum: number) => number;
  readonly epsilon?: (epsilon: number) => number;
}

/** Attributes by rule; an absent one counts as its default. Epsilon changes what the model computes, momentum does not. */
export function rewriteAttributes(
  model: Model,
  rules: AttributeRules,
  select: (name: string) => boolean = () => true,
): { changes: AttributeChange[]; edits: ModelEdits } {
  const changes: AttributeChange[] = [];
  const rewriteNodes: NodeRewrite[] = [];
  for (const layer of layersOf(viewOf(model))) {
    if (!select(layerName(layer))) continue;
    const set: Record<string, { float: number }> = {};
    for (const attribute of ["momentum", "epsilon"] as const) {
      const rule = rules[attribute];
      if (rule === undefined) continue;
      const from = layer[attribute];
      const to = Math.fround(rule(from));
      if (Object.is(from, to)) continue;
      requireLiteral(layer, attribute);
      set[attribute] = { float: to };
      changes.push({ node: layer.ref, attribute, from, to });
    }
    if (Object.keys(set).length > 0) rewriteNodes.push({ node: layer.node.record, set });
  }
  return { changes, edits: { ...NO_EDITS, rewriteNodes } };
}

function requireLiteral({ node }: NormLayer, name: string): void {
  const reference = node.record.attributes.get(name)?.refAttrName ?? "";
  if (reference === "") return;
  throw new BnfoldError(
    "model",
    `${nameOf(node)} takes ${name} from the attribute "${reference}" of its function`,
    { node: node.label },
    "Inline the model's local functions first.",
  );
}

/** Elements of one channel in a batch: given, or the batch size, to be multiplied by the spatial size of each layer's input. */
export type CountRule = { readonly count: number } | { readonly batch: number };

/** A running variance that `rewriteVariance` converts, with the elements per channel of its batches. */
export interface VarianceChange {
  readonly node: NodeRef;
  readonly tensor: string;
  readonly count: number;
}

function countOf(layer: NormLayer, facts: Facts, rule: CountRule): number {
  if ("count" in rule) return rule.count;
  const shape = facts.shape(layer.node.inputs[0]);
  const inner = shape?.slice(2) ?? [];
  if (shape === undefined || !inner.every((d) => typeof d === "number")) {
    throw new BnfoldError(
      "model",
      `the spatial size of the input of ${nameOf(layer.node)} is not known`,
      { node: layer.node.label },
      "Give the number of elements of a channel with --count.",
    );
  }
  return rule.batch * sizeOf(inner as number[]);
}

/**
 * Running variances of one kind as the other.
 * @throws BnfoldError when a variance is not stored, or is shared by layers of different counts or with something else.
 */
export function rewriteVariance(
  model: Model,
  from: VarianceKind,
  to: VarianceKind,
  rule: CountRule,
  select: (name: string) => boolean = () => true,
): { changes: VarianceChange[]; edits: ModelEdits } {
  const view = viewOf(model);
  const facts = factsOf(view);
  const layers = layersOf(view).filter((layer) => select(layerName(layer)));
  const counts = new Map<TensorRecord, number>();
  const changes: VarianceChange[] = [];
  const own = new Set(layers.map(({ node }) => node));
  for (const layer of layers) {
    const stored = layer.parameters.get("var");
    const refuse = (why: string) =>
      new BnfoldError("model", `the variance of ${nameOf(layer.node)} ${why}`, { node: layer.node.label });
    if (stored === undefined) throw refuse("is computed, not stored");
    const { home, value, tensor } = stored;
    const others = [home, value]
      .flatMap(({ uses }) => uses)
      .some(({ node, index }) => !(own.has(node) && index === 4) && node.opType !== "Identity");
    if (others || home.isOutput) throw refuse("is read by something else too");
    const count = countOf(layer, facts, rule);
    const known = counts.get(tensor);
    if (known !== undefined && known !== count)
      throw refuse(`is shared with a layer of ${known} elements per channel; it has ${count}`);
    counts.set(tensor, count);
    changes.push({ node: layer.ref, tensor: tensor.name || home.name, count });
  }
  const replaceTensors = [...counts].map(([tensor, count]) => ({
    tensor,
    values: () => convertVariance(asFloat64(decode(tensor)), from, to, count),
  }));
  return { changes, edits: { ...NO_EDITS, replaceTensors: from === to ? [] : replaceTensors } };
}
