/** Running the two models, whole or with the outputs of some nodes given, under the noise of noise.ts. */
import { finish, type Steps } from "../diag/steps.ts";
import { hasTrait } from "../graph/operators.ts";
import { isFloat } from "../onnx/dtype.ts";
import type { Model, NodeRecord } from "../onnx/records.ts";
import { asFloat64 } from "../onnx/tensor.ts";
import { isTensor, type NumericMode, type Value } from "../ops/define.ts";
import { createSession } from "../run/session.ts";
import type { Sample } from "./inputs.ts";
import { longestSum } from "./judge.ts";
import { relativeDraw, type Variant } from "./noise.ts";
import { fillWith, randomOf } from "./random.ts";

export type Feeds = ReadonlyMap<string, Value>;

/** Values that are given in place of being computed. */
export type Held = ReadonlyMap<string, Value>;

const NONE: Held = new Map();

export const plain = (model: Model): Variant => ({ model, constants: new Map() });

export interface RunPlan {
  readonly seed: number;
  readonly mode?: NumericMode;
  readonly only?: readonly string[];
  readonly held?: Held;
  readonly watch?: (name: string, value: Value) => void;
  /** Told of the multiply-adds of each node. */
  readonly spend?: (multiplyAdds: number) => void;
}

export const runVariant = (variant: Variant, feeds: Feeds, plan: RunPlan): Map<string, Value> =>
  finish(variantSteps(variant, feeds, plan));

/** The same in steps. */
export function variantSteps(
  variant: Variant,
  feeds: Feeds,
  { seed, mode, only, held = NONE, watch, spend }: RunPlan,
): Steps<Map<string, Value>> {
  const model = held.size === 0 ? variant.model : withHeld(variant.model, held);
  const session = createSession(model, {
    mode,
    seed,
    constants: variant.constants,
    only,
    ...(spend === undefined ? {} : { onNode: ({ multiplyAdds }) => spend(multiplyAdds) }),
  });
  return session.steps(held.size === 0 ? feeds : new Map([...feeds, ...held]), { watch });
}

/** The model with the nodes that compute `held` values removed and those values as inputs. */
function withHeld(model: Model, held: Held): Model {
  const { graph } = model;
  const frame = graph.frame;
  const nodes = graph.nodes.filter((node) => !held.has(node.outputs[0]));
  const inputs = [...held.keys()].map((name) => ({ frame, name, type: { kind: "unknown" as const } }));
  return { ...model, graph: { ...graph, nodes, inputs: [...graph.inputs, ...inputs] } };
}

export const runMoved = (model: Model, sample: Sample, plan: RunPlan): Map<string, Value> =>
  finish(movedSteps(model, sample, plan));

/** Results of one model after its stored floats and inputs were moved by random parts of n·2⁻⁵³ (judge.ts). */
export function movedSteps(model: Model, { feeds }: Sample, plan: RunPlan): Steps<Map<string, Value>> {
  const relative = longestSum(model, feeds) * 2 ** -53;
  const moved = new Map<string, Value>();
  for (const [name, value] of feeds) {
    if (!isTensor(value) || !isFloat(value.dtype)) moved.set(name, value);
    else {
      const random = randomOf(plan.seed, "input", name);
      const before = asFloat64(value);
      const data = new Float64Array(before.length);
      fillWith(data, () => 1 + relative * random.signed());
      for (let i = 0; i < data.length; i++) data[i] *= before[i];
      moved.set(name, { ...value, data });
    }
  }
  return variantSteps(relativeDraw(model, relative, plan.seed), moved, plan);
}

/** True of what may draw random numbers: Dropout does where it trains. */
export const draws = (node: NodeRecord): boolean => hasTrait(node, "random") || node.opType === "Dropout";

/**
 * The second model with its random nodes numbered as in the first: generators are seeded by a node's position, which a
 * removed node shifts.
 */
export function withStreamsOf(a: Model, b: Model): Model {
  const positions = new Map(a.graph.nodes.filter(draws).map((node) => [node.outputs[0], node.index]));
  if (positions.size === 0) return b;
  const nodes = b.graph.nodes.map((node) =>
    draws(node) ? { ...node, index: positions.get(node.outputs[0]) ?? node.index } : node,
  );
  return { ...b, graph: { ...b.graph, nodes } };
}
