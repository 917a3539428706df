/**
 * Operators that do nothing.
 *
 *   Cast(x) to the type it has; Concat(x), Sum(x), Mean(x), Max(x), Min(x)      x
 *
 * Exact: no number is computed.
 */
import { make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const alone = new Set(["Concat", "Sum", "Mean", "Max", "Min"]);

const plain: Rewrite = (node, { facts }) => {
  if (node.domain !== "") return undefined;
  const [input] = node.record.inputs;
  const [from, to] = [facts.of(node.inputs[0]).dtype, facts.of(node.outputs[0]).dtype];
  const same = node.opType === "Cast" && from !== 0 && from === to;
  return same || (alone.has(node.opType) && node.inputs.length === 1)
    ? [make(node, "Identity", [input], outputOf(node))]
    : undefined;
};

export const PLAIN: Rewriting = { equation: ["an operator that changes nothing", "x"], rewrite: plain };
