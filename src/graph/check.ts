import { BnfoldError } from "../diag/error.ts";
import type { GraphNode, GraphValue, GraphView } from "./view.ts";

const isMade = (value: GraphValue): boolean =>
  value.isInput || value.producer !== undefined || value.initializer !== undefined || value.sparse !== undefined;

/**
 * Makes sure that a graph can be worked on.
 * @throws BnfoldError of kind "model" on a cycle, or where a node or the graph's outputs name a value that nobody makes.
 */
export function checkGraph(view: GraphView): void {
  const broken = (what: string, where: { node?: string; tensor?: string }): BnfoldError =>
    new BnfoldError("model", what, { file: view.model.files.main.name, ...where }, "Run ONNX's checker on the file.");
  for (const node of view.cyclic) throw broken("the graph has a cycle", { node: node.label });
  for (const node of view.nodes) {
    const at = missingInput(node);
    if (at === undefined) continue;
    const tensor = node.record.inputs[at];
    const what = `input ${at} "${tensor}" is neither an initializer, nor a graph input, nor the output of a node`;
    throw broken(what, { node: node.label, tensor });
  }
  const loose = view.model.graph.outputs.find(({ name }) => {
    const value = view.main.values.get(name);
    return value === undefined || !isMade(value);
  });
  if (loose === undefined) return;
  const what = `the graph's output "${loose.name}" is neither the output of a node, nor an initializer, nor a graph input`;
  throw broken(what, { tensor: loose.name });
}

function missingInput({ inputs, record }: GraphNode): number | undefined {
  const at = inputs.findIndex((value, i) => (value === undefined ? record.inputs[i] !== "" : !isMade(value)));
  return at < 0 ? undefined : at;
}
