/** What can be done about a node that stays, where more is known of it than its reason says of all nodes. */
import { intAttr } from "../graph/attributes.ts";
import type { Facts } from "../graph/facts.ts";
import { traitsOf } from "../graph/operators.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Refused } from "../rules/types.ts";
import { nameOf } from "./describe.ts";

const FED = "Callers feed it in every run; what never changes belongs into an initializer.";

/** Values that reach a value, itself among them. */
function origins(value: GraphValue): Set<GraphValue> {
  const seen = new Set([value]);
  for (const at of seen) for (const input of at.producer?.inputs ?? []) if (input !== undefined) seen.add(input);
  return seen;
}

/** Where ranks are lost on the way to a value: the operator that has them at its inputs, or the input that does not say. */
function lostAt(value: GraphValue, facts: Facts): GraphNode | GraphValue {
  const seen = new Set([value]);
  let at = value;
  for (;;) {
    const next = at.producer?.inputs.find((input) => input !== undefined && facts.rank(input) === undefined);
    if (next === undefined || seen.has(next)) return at.producer ?? at;
    seen.add(next);
    at = next;
  }
}

/** Whether a map on a value gets as far as an operator of two inputs that ONNX defines, on every way. */
const goesOn = (value: GraphValue | undefined): boolean =>
  value !== undefined &&
  !value.isOutput &&
  value.uses.length > 0 &&
  value.uses.every(({ node }) => traitsOf(node) !== undefined && (node.inputs.length > 1 || goesOn(node.outputs[0])));

function unknownShape({ value, node: at }: Refused, own: GraphNode, facts: Facts): string | undefined {
  const node = at ?? own;
  const open = (of: GraphValue | undefined) => of !== undefined && facts.rank(of) === undefined;
  const unknown = open(value) ? value : [...node.inputs, ...node.outputs].find(open);
  if (unknown === undefined) return undefined;
  const lost = lostAt(unknown, facts);
  if ("opType" in lost) {
    if (traitsOf(lost) !== undefined) return undefined;
    const operator = `${nameOf(lost)}${lost.domain === "" ? "" : ` of ${lost.domain}`}`;
    if (own.inputs[0]?.producer === lost && !goesOn(own.outputs[0]))
      return `Nothing to do: neither ${operator}, which ONNX does not define, nor what reads the result takes a gain or a shift.`;
    const [output] = lost.outputs.filter((made) => made !== undefined);
    return `Shape inference sees nothing behind ${operator}: declare the shape of "${output.name}" in the file (value_info).`;
  }
  return lost.isInput ? `Declare the shape of the input "${lost.name}" in the file.` : undefined;
}

/** A parameter that no constant gives. */
function parameter({ value }: Refused, own: GraphNode): string | undefined {
  if (value === undefined || value.initializer !== undefined) return undefined;
  if (value.producer === undefined) return FED;
  const [x] = own.inputs;
  if (x === undefined || !origins(value).has(x)) return "Nothing to do while it is computed from what the model is fed.";
  return own.inputs.indexOf(value) < 3
    ? "Nothing to do: it is computed from the node's own input."
    : "Nothing to do: it normalizes by statistics of its own input, as a layer without running statistics does in evaluation mode too.";
}

function weight({ value }: Refused): string | undefined {
  if (value === undefined) return "Nothing to do: none of its operands is constant.";
  if (value.initializer !== undefined) return undefined;
  return value.producer === undefined ? FED : "Nothing to do while it is computed from what the model is fed.";
}

/** Statistics for each activation, which operator sets before 9 knew. */
function spatial({ refused }: Refused, own: GraphNode): string | undefined {
  if (own.opType !== "BatchNormalization" || own.version >= 9 || intAttr(own.record, "spatial", 1) !== 0) return undefined;
  return refused === "axis-blocks"
    ? "Nothing to do: with spatial=0 each activation has statistics of its own, the neighbour one number for each channel."
    : "With spatial=0 there is a parameter for each activation. Where one for each channel is meant, as MXNet's exporter wrote it, remove the attribute.";
}

/** `own` is the node that stays, `main` what stopped it. */
export function adviceOf(main: Refused, own: GraphNode, facts: Facts): string | undefined {
  if (main.advice !== undefined) return main.advice;
  switch (main.refused) {
    case "shape-unknown":
      return unknownShape(main, own, facts);
    case "parameter-not-constant":
      return parameter(main, own);
    case "weight-not-constant":
      return weight(main);
    case "axis-blocks":
    case "parameter-shape":
      return spatial(main, own);
    default:
      return undefined;
  }
}
