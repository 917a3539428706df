/** A model as what is drawn of it: nodes with what they read and write, constants by name and size. */
import { viewOf } from "../../../src/graph/view.ts";
import type { Model } from "../../../src/onnx/records.ts";
import type { DrawnGraph } from "../protocol.ts";

export function drawn(model: Model): DrawnGraph {
  const nodes = viewOf(model).scopes.flatMap((scope) =>
    scope.nodes.map(({ record, inputs }) => {
      const values = inputs.filter((value) => value !== undefined);
      const constant = values.filter(({ initializer }) => initializer !== undefined);
      return {
        scope: scope.path,
        name: record.name,
        opType: record.opType,
        inputs: values.filter(({ initializer }) => initializer === undefined).map(({ name }) => name),
        outputs: record.outputs.filter((name) => name !== ""),
        constants: constant.map(({ name, initializer }) => `${name} ${initializer?.dims.join("x") || "scalar"}`),
      };
    }),
  );
  const given = new Set(model.graph.initializers.map(({ name }) => name));
  return {
    nodes,
    inputs: model.graph.inputs.map(({ name }) => name).filter((name) => !given.has(name)),
    outputs: model.graph.outputs.map(({ name }) => name),
  };
}
