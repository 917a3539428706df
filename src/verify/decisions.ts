/**
 * Decisions: operators whose output jumps when their input moves by nothing (ArgMax, TopK, Round, comparisons,
 * QuantizeLinear …). Two correct models may decide a tie differently, and everything after it then differs by more than any
 * rounding. Such a sample is judged again with the first model's decisions held in both models: every value a decision was
 * made from, and every output, must then pass the law of judge.ts. A held node computes the same function in both models
 * (same operator, attributes and constants), so holding it hides nothing.
 */
import { hasTrait, traitsOf } from "../graph/operators.ts";
import { storedRecord } from "../graph/stored.ts";
import type { GraphNode, GraphView } from "../graph/view.ts";
import type { Model, NodeRecord } from "../onnx/records.ts";
import type { Value } from "../ops/define.ts";
import { compareValues } from "./compare.ts";
import type { Sample } from "./inputs.ts";
import { DRAWS, Judgement } from "./judge.ts";
import { type Changes, roundingDraw } from "./noise.ts";
import { plain, runMoved, runVariant } from "./runs.ts";

interface Pair {
  readonly a: NodeRecord;
  readonly b: NodeRecord;
  /** Input positions that are computed, in both. */
  readonly inputs: readonly number[];
}

export interface Decided {
  readonly outputs: readonly Judgement[];
  readonly ok: boolean;
  /** What differed between the decisions themselves, in words. */
  readonly note: string;
}

/** An operator that decides, or an output of which does (the indices of a MaxPool) that is there. */
function decides(node: GraphNode): boolean {
  const at = traitsOf(node)?.decidesAt;
  return hasTrait(node, "decides") || (at !== undefined && node.outputs[at] !== undefined);
}

function decisionPairs(a: GraphView, b: GraphView, functionOf: Changes["functionOf"]): Pair[] {
  const left = a.nodes.filter((node) => node.scope === a.main && decides(node));
  const right = b.nodes.filter((node) => node.scope === b.main && decides(node));
  const byName = new Map(left.map((node) => [node.record.outputs[0], node]));
  const inOrder = left.length === right.length;
  return right.flatMap((node, i) => {
    const other = byName.get(node.record.outputs[0]) ?? (inOrder ? left[i] : undefined);
    if (other === undefined || functionOf(other) !== functionOf(node)) return [];
    const inputs = node.inputs.flatMap((value, at) => {
      const from = other.inputs[at];
      const computed = value?.producer !== undefined && from?.producer !== undefined && storedRecord(value) === undefined;
      return computed ? [at] : [];
    });
    return inputs.length === 0 ? [] : [{ a: other.record, b: node.record, inputs }];
  });
}

/** The sample judged with decisions held; undefined when the models make none. */
export function judgeDecided(
  a: Model,
  b: Model,
  viewA: GraphView,
  changes: Changes,
  sample: Sample,
  seed: number,
  limit?: number,
): Decided | undefined {
  const pairs = decisionPairs(viewA, changes.view, changes.functionOf);
  if (pairs.length === 0) return undefined;
  const names = a.graph.outputs.map((output) => output.name);
  const named = (side: "a" | "b") => pairs.flatMap((pair) => pair.inputs.map((at) => pair[side].inputs[at]));
  const [insideA, insideB] = [named("a"), named("b")];
  const outputsOf = (node: NodeRecord) => node.outputs.filter((name) => name !== "");
  const wantedA = [...new Set([...names, ...insideA, ...pairs.flatMap((pair) => outputsOf(pair.a))])];
  const before = runVariant(plain(a), sample.feeds, { seed, only: wantedA });
  const heldA = new Map<string, Value>();
  const heldB = new Map<string, Value>();
  for (const pair of pairs) {
    pair.a.outputs.forEach((name, i) => {
      const value = before.get(name);
      if (name === "" || value === undefined) return;
      heldA.set(name, value);
      if ((pair.b.outputs[i] ?? "") !== "") heldB.set(pair.b.outputs[i], value);
    });
  }
  const onlyB = [...new Set([...names, ...insideB])];
  const after = runVariant(plain(b), sample.feeds, { seed, only: onlyB, held: heldB });
  const get = (values: ReadonlyMap<string, Value>, name: string) => values.get(name) as Value;
  const judge = (nameA: string, nameB: string) => new Judgement(nameB, get(before, nameA), get(after, nameB), limit);
  const outputs = names.map((name) => judge(name, name));
  const inner = insideA.map((name, i) => judge(name, insideB[i]));
  const all = [...outputs, ...inner];
  for (let draw = 1; changes.folded.length > 0 && all.map((j) => j.open(draw - 1, DRAWS)).includes(true); draw++) {
    const drawn = runVariant(roundingDraw(b, changes.folded, seed, draw), sample.feeds, { seed, only: onlyB, held: heldB });
    for (const judgement of all) judgement.addDraw(get(drawn, judgement.name));
  }
  if (!all.every((j) => j.ok)) {
    const onlyA = [...new Set([...names, ...insideA])];
    const movedA = runMoved(a, sample, { seed, only: onlyA, held: heldA });
    const movedB = runMoved(b, sample, { seed, only: onlyB, held: heldB });
    const namesA = [...names, ...insideA];
    for (const [i, judgement] of all.entries()) {
      judgement.addEvaluation(get(movedB, judgement.name), judgement.after);
      judgement.addEvaluation(get(movedA, namesA[i]), judgement.before);
    }
  }
  return { outputs, ok: all.every((j) => j.ok), note: tiesText(b, pairs, before, sample, seed) };
}

/** Which decisions the second model, left alone, makes otherwise. */
function tiesText(b: Model, pairs: readonly Pair[], before: ReadonlyMap<string, Value>, sample: Sample, seed: number): string {
  const only = [...new Set(pairs.map((pair) => pair.b.outputs.find((name) => name !== "") as string))];
  const free = runVariant(plain(b), sample.feeds, { seed, only });
  let elements = 0;
  const nodes: string[] = [];
  for (const pair of pairs) {
    const name = pair.b.outputs.find((output) => output !== "") as string;
    const was = before.get(pair.a.outputs[pair.b.outputs.indexOf(name)]);
    const is = free.get(name);
    if (was === undefined || is === undefined) continue;
    const difference = compareValues(was, is);
    const count = difference.mismatches > 0 ? difference.mismatches : difference.max > 0 ? 1 : 0;
    if (count === 0) continue;
    elements += count;
    nodes.push(`${pair.b.opType} "${name}"`);
  }
  const where = nodes.slice(0, 3).join(", ") + (nodes.length > 3 ? ` and ${nodes.length - 3} more` : "");
  return (
    `${elements} ties within rounding were decided otherwise (${where}); ` +
    "the values were compared with the first model's decisions held"
  );
}
