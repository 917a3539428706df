/**
 * A model with numbers added to constants that no session option reaches: those of Constant nodes, subgraphs and functions.
 *   W  becomes  W = Add(W_stored, δ)
 * with δ stored in the constant's own type: small numbers that the type holds well, where W + δ itself would round to W.
 */
import { encodeRaw } from "../onnx/codec.ts";
import type { AttributeRecord, FunctionRecord, GraphRecord, Model, NodeRecord, TensorRecord } from "../onnx/records.ts";
import { memorySource } from "../onnx/source.ts";
import type { Tensor } from "../onnx/tensor.ts";

const STORED = "/stored";
const DELTA = "/delta";

export function withOffsets(model: Model, offsets: ReadonlyMap<TensorRecord, Tensor>): Model {
  return {
    ...model,
    graph: inGraph(model.graph, offsets),
    functions: model.functions.map((fn): FunctionRecord => ({ ...fn, nodes: inNodes(fn.nodes, offsets) })),
  };
}

function inGraph(graph: GraphRecord, offsets: ReadonlyMap<TensorRecord, Tensor>): GraphRecord {
  const added: NodeRecord[] = [];
  const initializers = graph.initializers.flatMap((record) => {
    const delta = offsets.get(record);
    if (delta === undefined) return [record];
    added.push(addNode(graph.nodes[0], record.name));
    return [{ ...record, name: record.name + STORED }, deltaRecord(record, delta, record.name + DELTA)];
  });
  const changed = new Set(added.map((node) => node.outputs[0]));
  // An initializer that is also an input would now be given twice.
  const inputs = graph.inputs.filter((input) => !changed.has(input.name));
  return { ...graph, initializers, inputs, nodes: [...added, ...inNodes(graph.nodes, offsets)] };
}

function inNodes(nodes: readonly NodeRecord[], offsets: ReadonlyMap<TensorRecord, Tensor>): NodeRecord[] {
  return nodes.flatMap((node): NodeRecord[] => {
    const value = node.opType === "Constant" ? node.attributes.get("value") : undefined;
    const delta = value?.t && offsets.get(value.t);
    if (value?.t !== undefined && delta !== undefined) {
      const [name] = node.outputs;
      const attribute: AttributeRecord = { ...value, t: deltaRecord(value.t, delta, "") };
      return [
        { ...node, outputs: [name + STORED] },
        { ...node, name: "", outputs: [name + DELTA], attributes: new Map([["value", attribute]]) },
        addNode(node, name),
      ];
    }
    const attributes = new Map<string, AttributeRecord>();
    let inner = false;
    for (const [name, attribute] of node.attributes) {
      const isGraph = attribute.g !== undefined || attribute.graphs.length > 0;
      inner ||= isGraph;
      attributes.set(
        name,
        isGraph
          ? {
              ...attribute,
              g: attribute.g && inGraph(attribute.g, offsets),
              graphs: attribute.graphs.map((g) => inGraph(g, offsets)),
            }
          : attribute,
      );
    }
    return [inner ? { ...node, attributes } : node];
  });
}

/** A node that only its inputs and output define; frame and index are those of a neighbour. */
function addNode(beside: NodeRecord, name: string): NodeRecord {
  const plain = { name: "", opType: "Add", domain: "", overload: "", attributes: new Map() };
  return { ...beside, ...plain, inputs: [name + STORED, name + DELTA], outputs: [name] };
}

function deltaRecord(like: TensorRecord, delta: Tensor, name: string): TensorRecord {
  const bytes = encodeRaw(delta.dtype, delta.data);
  const files = { ...like.files, main: memorySource(bytes, "rounding") };
  return { ...like, files, name, raw: { start: 0, end: bytes.length }, typed: undefined, external: undefined };
}
