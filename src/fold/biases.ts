/**
 * Biases that folds are about to write as an Add behind a MatMul: y = x·W + b. Where the readers of y can take b into constants of
 * their own, no Add has to be written. What moves is a shift forward, under the conditions of every shift.
 */
import type { Spread } from "../affine/spread.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import { isRefused } from "../rules/types.ts";
import type { Attempts } from "./attempt.ts";
import { Push } from "./push.ts";

/** A bias that is with others now. */
export interface MovedBias {
  readonly host: GraphNode;
  readonly into: readonly GraphNode[];
}

/** Hands on each planned bias that can go, in the order of the graph. */
export function moveBiases(draft: Draft, attempts: Attempts, allowed: (node: GraphNode) => boolean): MovedBias[] {
  const hosts = [...draft.changed()].filter(([node, { bias }]) => bias !== undefined && !node.removed && allowed(node));
  return hosts
    .map(([node]) => node)
    .sort((a, b) => a.order - b.order)
    .flatMap((node) => moved(node, draft, attempts) ?? []);
}

function moved(host: GraphNode, draft: Draft, attempts: Attempts): MovedBias | undefined {
  const state = draft.state(host);
  const output = host.outputs[0];
  const by = state.bias && output && spreadOf(state.bias, draft.facts.rank(output));
  if (by === undefined) return undefined;
  const mark = draft.mark();
  const pushed = new Push(draft, "shift", "forward").all([{ value: output as GraphValue, by, node: host, index: 0 }]);
  if (!isRefused(pushed)) {
    draft.set(host, { ...draft.state(host), bias: undefined });
    const touched = draft.since(mark);
    if (attempts.checkTouched([], touched) === undefined) {
      touched.delete(host);
      return { host, into: pushed.visited.filter((node) => touched.has(node)) };
    }
  }
  draft.undo(mark);
  return undefined;
}

function spreadOf({ dims, values }: { dims: readonly number[]; values(): Float64Array }, rank: number | undefined) {
  if (rank === undefined || rank < dims.length) return undefined;
  const spread: Spread = { dims: [...new Array<number>(rank - dims.length).fill(1), ...dims], data: values() };
  return spread;
}
