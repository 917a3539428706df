/**
 * Where two models begin to differ: the first value, in running order, whose difference exceeds what rounding does to it.
 * Values are matched by name; a name whose readers changed (the input of a normalisation that was folded away) means
 * something else in the two models and is passed over. Large values are compared at evenly spread elements first.
 */
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { isContinuous } from "./compare.ts";
import { readsOf } from "./cuts.ts";
import type { Sample } from "./inputs.ts";
import { DRAWS, Judgement, MAX_RATIO } from "./judge.ts";
import { type Changes, roundingDraw, type Variant } from "./noise.ts";
import { plain, runMoved, runVariant } from "./runs.ts";
import type { Witness } from "./types.ts";

const SKETCH = 1 << 16;

/** At most `SKETCH` elements, a fixed odd step apart; shape kept when nothing is left out. */
function sketch(tensor: Tensor): Tensor {
  if (tensor.data.length <= SKETCH || !isContinuous(tensor.dtype)) return tensor;
  const data = asFloat64(tensor);
  const step = Math.ceil(data.length / SKETCH) | 1;
  const picked = new Float64Array(Math.ceil(data.length / step));
  for (let i = 0; i < picked.length; i++) picked[i] = data[i * step];
  return { dtype: tensor.dtype, dims: [picked.length], data: picked };
}

const readersOf = (value: GraphValue): string =>
  `${value.uses.map((use) => use.node.opType).sort()}${value.isOutput ? " output" : ""}`;

/** Names that mean the same in both models, in the second one's running order. */
function sharedValues(a: GraphView, b: GraphView): Map<string, GraphNode> {
  const shared = new Map<string, GraphNode>();
  for (const node of b.nodes) {
    if (node.scope !== b.main) continue;
    for (const value of node.outputs) {
      const other = value && a.main.values.get(value.name);
      if (other?.producer !== undefined && value !== undefined && readersOf(other) === readersOf(value))
        shared.set(value.name, node);
    }
  }
  return shared;
}

/** The first diverging value of a sample on which the two models differ. */
export function firstDifference(
  a: Model,
  b: Model,
  viewA: GraphView,
  changes: Changes,
  sample: Sample,
  seed: number,
  limit?: number,
): Witness["firstDifference"] {
  const shared = sharedValues(viewA, changes.view);
  const collect = (
    run: (watch: (name: string, value: Value) => void) => void,
    keep: (name: string) => boolean,
    whole: boolean,
  ) => {
    const values = new Map<string, Tensor>();
    run((name, value) => {
      if (keep(name) && isTensor(value)) values.set(name, whole ? value : sketch(value));
    });
    return values;
  };
  /** Judges the values `keep` names, in running order; with `only`, nothing that this value does not need is run. */
  const judge = (keep: (name: string) => boolean, only?: string): Judged[] => {
    const whole = only !== undefined;
    const plan = { seed, ...(only === undefined ? {} : { only: [only] }) };
    const watching = (variant: Variant) => (watch: (name: string, value: Value) => void) => {
      runVariant(variant, sample.feeds, { ...plan, watch });
    };
    const before = collect(watching(plain(a)), keep, whole);
    const after = collect(watching(plain(b)), keep, whole);
    const judged = [...after.keys()].flatMap((name): Judged[] => {
      const [x, y] = [before.get(name), after.get(name)];
      return x === undefined || y === undefined ? [] : [{ judgement: new Judgement(name, x, y, limit), x, y, draws: [] }];
    });
    for (let draw = 1; draw <= DRAWS && changes.folded.length > 0 && !isSettled(judged); draw++) {
      const drawn = collect(watching(roundingDraw(b, changes.folded, seed, draw)), keep, whole);
      for (const entry of judged) addDraw(entry, drawn.get(entry.judgement.name), whole);
    }
    if (isSettled(judged)) return judged;
    const movedA = collect((watch) => runMoved(a, sample, { ...plan, watch }), keep, whole);
    const movedB = collect((watch) => runMoved(b, sample, { ...plan, watch }), keep, whole);
    for (const { judgement } of judged) {
      const [p, q] = [movedA.get(judgement.name), movedB.get(judgement.name)];
      if (p === undefined || q === undefined) continue;
      judgement.addEvaluation(q, judgement.after);
      judgement.addEvaluation(p, judgement.before);
    }
    return judged;
  };
  const all = judge((name) => shared.has(name));
  const found = all.find(({ judgement }) => !judgement.ok);
  if (found === undefined) return undefined;
  const { name } = found.judgement;
  const [whole] = judge((other) => other === name, name);
  const guilty = shared.get(name) as GraphNode;
  const { record, opType } = guilty;
  const node = `${record.name || record.outputs[0]} (${opType})`;
  return {
    value: name,
    node,
    channel: worstChannel(whole),
    maxDifference: whole.judgement.difference.max,
    scale: whole.judgement.difference.scale,
    sample: sample.kind,
    ...reaching(guilty, shared, all),
  };
}

/** Backwards from an operator to what agrees: values of both models, found the same, and inputs, which are given alike. */
function reaching(guilty: GraphNode, shared: ReadonlyMap<string, GraphNode>, judged: readonly Judged[]) {
  const compared = new Map(judged.map(({ judgement }) => [judgement.name, judgement.difference.max]));
  const agreeing = new Map<string, number>();
  const between = new Set<GraphNode>();
  const open = [guilty];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (between.has(node)) continue;
    between.add(node);
    for (const value of readsOf(node)) {
      const difference = shared.has(value.name) ? compared.get(value.name) : undefined;
      if (difference !== undefined) agreeing.set(value.name, difference);
      else if (value.producer !== undefined) open.push(value.producer);
      else if (value.initializer === undefined) agreeing.set(value.name, 0);
    }
  }
  const names = [...between].sort((p, q) => p.order - q.order).filter((node) => node.inputs.length > 0);
  return {
    between: names.map((node) => node.record.name || node.record.outputs[0]),
    agreeing: [...agreeing].map(([value, maxDifference]) => ({ value, maxDifference })),
  };
}

/** True when the first value that differs does so for certain, and those before it are clear: more noise changes nothing. */
function isSettled(judged: readonly Judged[]): boolean {
  const first = judged.findIndex(({ judgement }) => !judgement.clear);
  return first >= 0 && judged[first].judgement.certain;
}

interface Judged {
  readonly judgement: Judgement;
  readonly x: Tensor;
  readonly y: Tensor;
  /** Whole values after rounding draws, kept for one value only. */
  readonly draws: Tensor[];
}

function addDraw(entry: Judged, value: Tensor | undefined, whole: boolean): void {
  if (value === undefined) return;
  entry.judgement.addDraw(value);
  if (whole) entry.draws.push(value);
}

/** Index along axis 1 whose difference is largest beside its expected noise; undefined where there is no axis 1. */
function worstChannel({ x, y, draws }: Judged): number | undefined {
  const same = x.dims.length === y.dims.length && x.dims.every((d, i) => d === y.dims[i]);
  if (x.dims.length < 2 || !same || !isContinuous(x.dtype) || x.data.length === 0) return undefined;
  const channels = x.dims[1];
  const inner = x.data.length / (x.dims[0] * channels);
  const squares = (p: Tensor, q: Tensor): Float64Array => {
    const [u, v] = [asFloat64(p), asFloat64(q)];
    const sums = new Float64Array(channels);
    for (let i = 0; i < u.length; i++) {
      const d = u[i] - v[i];
      if (Number.isFinite(d)) sums[Math.floor(i / inner) % channels] += d * d;
    }
    return sums;
  };
  const difference = squares(x, y);
  const noise = new Float64Array(channels);
  for (const draw of draws) squares(y, draw).forEach((s, c) => (noise[c] += s / draws.length));
  // A channel without noise of its own is weighed against the least that is above nothing.
  const floor = Math.max(Number.MIN_VALUE, noise.reduce((sum, s) => sum + s, 0) / channels / MAX_RATIO ** 4);
  let worst = 0;
  const weight = (c: number) => difference[c] / Math.max(noise[c], floor);
  for (let c = 1; c < channels; c++) if (weight(c) > weight(worst)) worst = c;
  return worst;
}
