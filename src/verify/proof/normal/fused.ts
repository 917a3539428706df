/**
 * Layers that ONNX Runtime fuses with what follows.
 *
 *   com.microsoft FusedConv(x, W, b, z)      activation(Conv(x, W, b) + z)
 *   com.microsoft FusedGemm(a, b, c)         activation(Gemm(a, b, c))
 *
 * Exact over the reals. An activation that is not known leaves the operator as it is.
 */
import { stringAttr } from "../../../graph/attributes.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { inner, make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** The activation a fused operator ends with; undefined for one that is not known. */
function activated(node: GraphNode, from: string, parameters: readonly number[]): NodeRecord[] | undefined {
  const name = stringAttr(node.record, "activation", "");
  const out = outputOf(node);
  const [first, second] = parameters;
  if (["Relu", "Sigmoid", "Tanh"].includes(name)) return [make(node, name, [from], out)];
  if (name === "LeakyRelu") return [make(node, name, [from], out, { alpha: { f: first ?? Math.fround(0.01) } })];
  if (name === "HardSigmoid")
    return [make(node, name, [from], out, { alpha: { f: first ?? Math.fround(0.2) }, beta: { f: second ?? 0.5 } })];
  if (name === "Clip" && first !== undefined && second !== undefined) {
    const [low, high] = ["low", "high"].map((part) => inner(node, part));
    return [
      make(node, "Constant", [], low, { value_float: { f: first } }),
      make(node, "Constant", [], high, { value_float: { f: second } }),
      make(node, "Clip", [from, low, high], out),
    ];
  }
  return undefined;
}

const fused: Rewrite = (node) => {
  const { record } = node;
  if (node.domain !== "com.microsoft" || (node.opType !== "FusedConv" && node.opType !== "FusedGemm")) return undefined;
  const conv = node.opType === "FusedConv";
  const parameters = conv
    ? (record.attributes.get("activation_params")?.floats ?? [])
    : ["activation_alpha", "activation_beta"].flatMap((name) => record.attributes.get(name)?.f ?? []);
  const [whole, sum] = [inner(node, "linear"), inner(node, "sum")];
  const added = conv ? record.inputs[3] : undefined;
  const after = activated(node, added ? sum : whole, parameters);
  if (after === undefined) return undefined;
  const attributes = new Map([...record.attributes].filter(([name]) => !name.startsWith("activation")));
  const linear = make(node, conv ? "Conv" : "Gemm", record.inputs.slice(0, 3), whole);
  return [{ ...linear, attributes }, ...(added ? [make(node, "Add", [whole, added], sum)] : []), ...after];
};

export const FUSED: Rewriting = { equation: ["FusedConv, FusedGemm", "activation(Conv + z), activation(Gemm)"], rewrite: fused };
