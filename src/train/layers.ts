/**
 * The BatchNormalization nodes of a model, in file order, each with what the file stores for it. A parameter that reaches
 * its node through Identity nodes (exporters share equal tensors that way) is followed to where it is stored.
 */
import { refOf } from "../fold/describe.ts";
import type { NodeRef } from "../fold/types.ts";
import { floatAttr } from "../graph/attributes.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import { decode } from "../onnx/codec.ts";
import type { Model, TensorRecord } from "../onnx/records.ts";
import { asFloat64 } from "../onnx/tensor.ts";
import { isInference } from "../rules/mode.ts";

/** Parameters in input order, from input 1 on. */
export const PARAMETERS = ["scale", "B", "mean", "var"] as const;
/** A parameter of BatchNormalization, as ONNX calls it. */
export type Parameter = (typeof PARAMETERS)[number];

/** Where a parameter's numbers are. */
export interface Stored {
  /** The value the node reads. */
  readonly value: GraphValue;
  /** The value that holds the numbers: another one when Identity nodes lie between. */
  readonly home: GraphValue;
  readonly tensor: TensorRecord;
}

/** A BatchNormalization of a model. */
export interface NormLayer {
  readonly node: GraphNode;
  readonly ref: NodeRef;
  readonly mode: "inference" | "training";
  /** As the file has them: float32 numbers. */
  readonly epsilon: number;
  readonly momentum: number;
  /** Parameters that are stored in the file; a computed one is missing. */
  readonly parameters: ReadonlyMap<Parameter, Stored>;
}

const nearest = (written: number): number => Math.fround(written);

/** Follows a value to the tensor that gives its numbers. */
export function storedTensor(value: GraphValue | undefined): Stored | undefined {
  for (let home = value, steps = 0; value !== undefined && home !== undefined && steps < 64; steps++) {
    if (home.initializer !== undefined) return { value, home, tensor: home.initializer };
    const producer: GraphNode | undefined = home.producer;
    if (producer === undefined || producer.domain !== "") return undefined;
    if (producer.opType === "Constant") {
      const tensor = producer.record.attributes.get("value")?.t;
      return tensor && { value, home, tensor };
    }
    if (producer.opType !== "Identity") return undefined;
    home = producer.inputs[0];
  }
  return undefined;
}

export function layersOf(view: GraphView): NormLayer[] {
  const layers: NormLayer[] = [];
  for (const scope of view.scopes) {
    for (const node of scope.nodes) {
      if (node.opType !== "BatchNormalization" || node.record.domain !== "") continue;
      const parameters = new Map<Parameter, Stored>();
      PARAMETERS.forEach((name, i) => {
        const stored = storedTensor(node.inputs[i + 1]);
        if (stored !== undefined) parameters.set(name, stored);
      });
      layers.push({
        node,
        ref: refOf(node),
        mode: isInference(node) ? "inference" : "training",
        epsilon: floatAttr(node.record, "epsilon", nearest(1e-5)),
        momentum: floatAttr(node.record, "momentum", nearest(0.9)),
        parameters,
      });
    }
  }
  return layers;
}

/**
 * Every BatchNormalization of a model, those of inner graphs and functions included.
 * @throws BnfoldError of kind "model" when the graph is broken.
 */
export const normLayers = (model: Model): NormLayer[] => layersOf(viewOf(model));

/** The name a person knows the layer by. */
export const layerName = ({ ref }: NormLayer): string => ref.name || ref.output || `#${ref.index}`;

/** The numbers of a parameter; undefined when they are computed. */
export function parameterOf(layer: NormLayer, name: Parameter): Float64Array | undefined {
  const stored = layer.parameters.get(name);
  return stored === undefined ? undefined : asFloat64(decode(stored.tensor));
}
