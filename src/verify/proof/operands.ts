/**
 * Two operators of one type, after the maps of their inputs have been pushed into one of them: their changed attributes and
 * their constant operands must agree within one rounding of what the files store.
 */
import { type Spread, together } from "../../affine/spread.ts";
import { sameShape } from "../../graph/dims.ts";
import { inputName, meantBy } from "../../graph/op-versions.ts";
import { hasTrait } from "../../graph/operators.ts";
import { halfUlp, type StorageFloat } from "../../onnx/dtype.ts";
import { asFloat64 } from "../../onnx/tensor.ts";
import { expand, leading } from "../../rules/params.ts";
import type { Param, RuleNode } from "../../rules/types.ts";
import { isRefused } from "../../rules/types.ts";
import { storedType } from "./casts.ts";
import type { Side } from "./classes.ts";
import type { Budget } from "./relation.ts";
import { allows, distance, type Misfit, type Tolerance } from "./rows.ts";
import { absentNumber, sameSetting, settingsCount } from "./settings.ts";

export type Agreement = { readonly worst: number; readonly coefficients: number } | Disagreement;

export interface Disagreement {
  readonly reason: string;
  readonly misfit?: Misfit;
  /** True where the two are other constants for certain, and not only such that nobody here can compare. */
  readonly telling?: boolean;
}

/** Shape without leading ones. */
function axesText({ dims }: Param): string {
  const first = dims.findIndex((d) => d !== 1);
  return first < 0 ? "" : dims.slice(first).join();
}

/** Two operands over the axes of either. */
function aligned(p: Param, q: Param): readonly [Param, Param] {
  const rank = Math.max(p.dims.length, q.dims.length);
  const [x, y] = [leading(p, rank), leading(q, rank)];
  const dims = x.dims.map((d, i) => together(d, y.dims[i]));
  if ([x, y].some((param) => param.dims.some((d, i) => d !== 1 && d !== dims[i]))) return [p, q];
  const over = (param: Param): Param => ({ ...param, dims, values: () => expand(param.values(), param.dims, dims) });
  return [over(x), over(y)];
}

/** Two float attributes, one of which may have been computed: float32 holds it to one rounding. */
export const sameFloat = (x: number, y: number, tolerance: Tolerance): boolean =>
  x === y || allows(tolerance.weight * 2 ** -24 * Math.max(Math.abs(x), Math.abs(y)), Math.abs(x - y));

/** What a float attribute is where the file does not have it. */
function standing({ node, version }: RuleNode, name: string): number {
  const value = meantBy(node.record.domain, node.opType, version, name);
  return typeof value === "number" ? value : Number.NaN;
}

/** The first changed attribute whose numbers differ. */
function attributeMisfit(at: RuleNode, atA: RuleNode, tolerance: Tolerance): string | undefined {
  const names = new Set([...Object.keys(at.state.attributes), ...Object.keys(atA.state.attributes)]);
  for (const name of names) {
    const change = at.state.attributes[name] ?? atA.state.attributes[name];
    if ("int" in change ? at.int(name, 0) !== atA.int(name, 0) : true) {
      if ("int" in change) return name;
      const [mine, theirs] = [at, atA].map((one) => one.float(name, standing(one, name)));
      if (!sameFloat(mine, theirs, tolerance)) return name;
    }
  }
  return undefined;
}

/** What maps leave open of the operands they move: relative, absolute, and by what they may have made a rounding larger. */
export interface Slack {
  readonly gain: number;
  readonly shift: number;
  readonly grown: number;
  /** The part that computed constants make, the shift before the gain. */
  readonly budget: Budget;
  /** The shift that went into the operator, if any. */
  readonly shifted?: Spread;
  /** What came out of the first file's operator: it gives scale ⊙ what is compared + shift. */
  readonly out?: { readonly scale?: Spread; readonly shift?: Spread };
  /** A shift that came out of it and is compared as part of its rows: behind a gain of zero nothing else tells it. */
  readonly within?: Spread;
}

export const NONE: Slack = { gain: 0, shift: 0, grown: 1, budget: { gain: 0, shift: 0 } };

/** @param slack What the maps pushed into the operators left open: it is open in the operands they moved, too. */
export function operandsAgree(
  a: Side,
  atA: RuleNode,
  b: Side,
  at: RuleNode,
  tolerance: Tolerance,
  slack: Slack = NONE,
): Agreement {
  const { node } = at;
  const attribute = attributeMisfit(at, atA, tolerance);
  if (attribute !== undefined) return { reason: `${node.label} has another "${attribute}"` };
  let [worst, coefficients] = [0, 0];
  const sameSizes = sameShape(a.facts.shape(atA.node.outputs[0]), b.facts.shape(node.outputs[0]));
  const last = Math.max(
    settingsCount(atA.node, node),
    ...[...at.state.params.keys(), ...atA.state.params.keys()].map((i) => i + 1),
  );
  for (let i = 0; i < last; i++) {
    const [value, twin] = [node.inputs[i], atA.node.inputs[i]];
    const [mine, theirs] = [at.has(i), atA.has(i)];
    if (mine && theirs && !at.isConstant(i) && !atA.isConstant(i)) continue;
    const changed = at.state.params.has(i) || atA.state.params.has(i);
    // A map turned an operand into none, which it is on the other side, too.
    const dropped = at.state.dropped?.includes(i) === true || atA.state.dropped?.includes(i) === true;
    if (dropped && !mine && !theirs && at.version === atA.version) continue;
    if (!changed && sameSetting(a, atA.node, i, b, node, i)) continue;
    const telling = (!mine || at.isConstant(i)) && (!theirs || atA.isConstant(i));
    if (!mine && !theirs) return { reason: `${node.label} has another ${inputName("", node.opType, i)}`, telling };
    if (mine !== theirs && absentNumber(node, i) !== 0)
      return { reason: `${node.label} has operand ${i} in only one of the files`, telling };
    const [p, q] = [mine ? at.param(i) : undefined, theirs ? atA.param(i) : undefined];
    if ((p !== undefined && isRefused(p)) || (q !== undefined && isRefused(q)))
      return { reason: `operand ${i} of ${node.label} is another constant`, telling };
    const stored = value && b.constants.param(value);
    const spread = p !== undefined && q !== undefined && hasTrait(node, "broadcasts");
    // Equal numbers along other axes, or over more of them, do the same only where the result has one shape for certain.
    if (spread && !sameSizes && axesText(p) !== axesText(q))
      return { reason: `operand ${i} of ${node.label} lies along other axes` };
    const [openB, openA] = [openParam(b, p), openParam(a, q)];
    const read = (p ?? q)?.dtype ?? "float32";
    const found = compare(
      ...(spread ? aligned(p, q) : ([p, q] as const)),
      stored === undefined || isRefused(stored) ? undefined : stored.values(),
      tolerance,
      changed ? slack : NONE,
      p === undefined ? read : storedType(b.facts, p.source, read),
      [
        spread && openB !== undefined ? aligned(openB, q)[0] : openB,
        spread && openA !== undefined ? aligned(openA, p)[0] : openA,
      ],
    );
    if (found === undefined) return { reason: `operand ${i} of ${node.label} has another size`, telling };
    if ("index" in found)
      return {
        reason: `operand ${i} of ${node.label} is another constant`,
        misfit: { tensor: value?.name ?? twin?.name ?? "", ...found },
      };
    worst = Math.max(worst, found.worst);
    coefficients += found.count;
  }
  return { worst, coefficients };
}

/** What each number of an operand may be off because the file computes it, as an operand; undefined where nothing is open. */
export function openParam({ budgets, constants }: Side, param: Param | undefined): Param | undefined {
  const own = budgets?.of(param?.source);
  if (param?.source === undefined || own === undefined) return undefined;
  const tensor = constants.tensor(param.source);
  const was = asFloat64(tensor);
  const sameDims = tensor.dims.join() === param.dims.join();
  const values = () => {
    const now = param.values();
    // A gain multiplies what is open, too.
    const least = param.mixed ? Math.max(1, param.gain) : 0;
    if (sameDims)
      return now.map((v, i) => own[i] * (was[i] === 0 ? Math.max(1, param.gain) : Math.max(least, Math.abs(v / was[i]))));
    const relative = own.reduce((most, e, i) => (was[i] === 0 ? most : Math.max(most, e / Math.abs(was[i]))), 0);
    return now.map((v) => relative * Math.abs(v));
  };
  return { ...param, values };
}

/** Two operands, absent ones as zeros; `raw` are the second file's stored numbers, whose rounding counts. */
function compare(
  p: Param | undefined,
  q: Param | undefined,
  raw: Float64Array | undefined,
  tolerance: Tolerance,
  slack: Slack,
  type: StorageFloat,
  budgets: readonly (Param | undefined)[],
): { worst: number; count: number } | { index: number[]; expected: number; got: number } | undefined {
  const some = (p ?? q) as Param;
  const zeros = () => new Float64Array(some.dims.reduce((n, d) => n * d, 1));
  const [x, y] = [p?.values() ?? zeros(), q?.values() ?? zeros()];
  const stored = raw === undefined || raw.length !== x.length ? x : raw;
  if (x.length !== y.length) return undefined;
  const [mine, theirs] = budgets.map((open) => open?.values());
  let worst = 0;
  for (let k = 0; k < x.length; k++) {
    const half = halfUlp(stored[k], type);
    // A gain scales the stored rounding; sums that cancel leave the rounding of their terms.
    const least = p?.mixed === true ? Math.max(1, p.gain, slack.grown) : 0;
    const grown = stored[k] === 0 ? half : half * Math.max(least, Math.abs(x[k] / stored[k]));
    const open = slack.gain * Math.abs(y[k]) + slack.shift + (mine?.[k] ?? 0) + (theirs?.[k] ?? 0);
    const noise =
      2 ** -46 * (Math.abs(y[k]) + (p?.mixed === true || q?.mixed === true ? Math.abs(stored[k]) + Math.abs(x[k]) : 0));
    const error = distance(x[k], y[k]);
    if (error !== 0 && !allows(tolerance.weight * grown + noise + open, error)) return { index: [k], expected: y[k], got: x[k] };
    if (error > noise + open) worst = Math.max(worst, (error - noise - open) / Math.max(grown, 2 ** -1074));
  }
  return { worst, count: x.length };
}
