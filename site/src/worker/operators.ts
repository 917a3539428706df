/**
 * Operators as the executor needs them. Those that most networks do without (src/ops/rare.ts) are no part of what comes with the first model: they
 * come with the first model that has one, and with the check, which may meet any.
 */
import { allNodes } from "../../../src/graph/functions.ts";
import type { Model } from "../../../src/onnx/records.ts";
import { operator, register } from "../../../src/ops/index.ts";

let all: Promise<void> | undefined;

/** Every operator. Rejects when it cannot be fetched; a later call tries again. */
export function allOperators(): Promise<void> {
  all ??= import("../../../src/ops/rare.ts").then(
    ({ rareOps }) => register(rareOps),
    (error: unknown) => {
      all = undefined;
      throw error;
    },
  );
  return all;
}

/** Those of a model. */
export async function operatorsOf({ graph, functions }: Model): Promise<void> {
  const isMissing = ({ domain, opType }: { domain: string; opType: string }) =>
    operator(domain, opType, Number.POSITIVE_INFINITY) === undefined;
  for (const { nodes } of [graph, ...functions]) for (const node of allNodes(nodes)) if (isMissing(node)) return allOperators();
}
