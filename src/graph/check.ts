import { BnfoldError } from "../diag/error.ts";
import type { GraphNode, GraphValue, GraphView, Scope } from "./view.ts";

const isMade = (value: GraphValue): boolean =>
  value.isInput || value.producer !== undefined || value.initializer !== undefined || value.sparse !== undefined;

/**
 * Makes sure that a graph can be worked on.
 * @throws BnfoldError of kind "model" on a cycle, where a name is given twice, or where a node or the graph's
 * outputs name a value that nobody makes.
 */
export function checkGraph(view: GraphView): void {
  const broken = (what: string, where: { node?: string; tensor?: string }): BnfoldError =>
    new BnfoldError("model", what, { file: view.model.files.main.name, ...where }, "Run ONNX's checker on the file.");
  for (const scope of view.scopes) {
    const twice = givenTwice(scope);
    if (twice !== undefined)
      throw broken(`the name "${twice}" is given twice in one graph: runtimes differ in which they read`, { tensor: twice });
  }
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

/** A name that two initializers, two nodes, two inputs, or a node and one of the others have in one graph. */
function givenTwice({ record }: Scope): string | undefined {
  const stored =
    "initializers" in record ? [...record.initializers, ...record.sparseInitializers.map(({ values }) => values)] : [];
  const initializers = stored.map(({ name }) => name);
  const inputs = record.inputs.map((input) => (typeof input === "string" ? input : input.name));
  const outputs = record.nodes.flatMap((node) => node.outputs.filter((name) => name !== ""));
  // An initializer may be an input as well: its default.
  return repeated([...initializers, ...outputs]) ?? repeated([...inputs, ...outputs]);
}

function repeated(names: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return names.find((name) => seen.size === seen.add(name).size);
}

function missingInput({ inputs, record }: GraphNode): number | undefined {
  const at = inputs.findIndex((value, i) => (value === undefined ? record.inputs[i] !== "" : !isMade(value)));
  return at < 0 ? undefined : at;
}
