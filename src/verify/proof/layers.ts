/**
 * Layers by their rows of coefficients (rows.ts): those of the second file as a map of those of the first, B = k ⊙ A + d. Large ones are
 * looked at block by block where a member of the class is known that fits (blocks.ts); else rows as a whole say which map it is
 * (fit.ts).
 */
import { combine, map, plus, type Spread, simplify, times, uniform } from "../../affine/spread.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { Draft } from "../../laws/draft.ts";
import { STORAGE_FLOATS } from "../../onnx/dtype.ts";
import type { RuleNode } from "../../rules/types.ts";
import { bySimilarity } from "./blame.ts";
import { blocksOf } from "./blocks.ts";
import { storedType } from "./casts.ts";
import type { Classes, Member, Side } from "./classes.ts";
import { fits, type StoredRows } from "./fit.ts";
import { alongside, linearOf, rowsWith, zeroRows } from "./linear.ts";
import { openParam, type Slack, sameFloat } from "./operands.ts";
import { failed, type Outcome } from "./outcome.ts";
import { type Blame, exact, type Relation, type Suspicion } from "./relation.ts";
import { type Known, openBias, openOnes, rowDims, rowMap, shiftedRows, termsOf } from "./row-maps.ts";
import type { Linear, Rows, Tolerance } from "./rows.ts";
import { type Fit, solve } from "./solve.ts";

/** The second file's operator gives what the first file's does. */
export function sameOutputs(classes: Classes, { outputs }: GraphNode): Outcome {
  const known = outputs.map((value) => {
    const own = value && classes.of(value);
    return own && exact(own.core, own);
  });
  return { ok: true, outputs: known, worst: 0, coefficients: 0 };
}

/** A layer of the second file beside one of the first. */
export class Layers {
  constructor(
    private readonly a: Side,
    private readonly b: Side,
    private readonly classes: Classes,
    private readonly related: ReadonlyMap<GraphValue, Relation>,
    private readonly tolerance: Tolerance,
  ) {}

  /** The two layers, with the maps pushed into their constants. */
  compare(at: RuleNode, other: GraphNode, mine: Linear, theirs: Linear, slack: Slack): Outcome {
    const { node } = at;
    const output = other.outputs[0];
    if (output === undefined) return failed("the counterpart has no output");
    for (const [name, x] of Object.entries(mine.numbers ?? {})) {
      if (!sameFloat(x, theirs.numbers?.[name] ?? Number.NaN, this.tolerance))
        return failed(`${node.label} has another "${name}"`);
    }
    const pieces = this.matchBlocks(at, output, mine, theirs, slack);
    if (pieces !== undefined) return this.beside(pieces, other);
    const own = shiftedRows(rowsWith(this.a, theirs), slack.within);
    if (own === undefined) return failed(`a gain of zero comes out of ${other.label}`);
    const [rowsA, rowsB] = alongside(own, rowsWith(this.b, mine));
    this.pin(output, rowsA, slack);
    if (rowsA.count !== rowsB.count || rowsA.width !== rowsB.width)
      return failed("the counterpart has another number of channels");
    const stored = alongside(this.storedRows(at, node, mine, rowsB), rowsB)[0];
    const dtype = storedType(this.b.facts, mine.weight.source, mine.weight.dtype);
    const { weight, foreign } = this.tolerance;
    const rounding = { unit: foreign ? STORAGE_FLOATS[dtype].unitRoundoff : 2 ** -53, weight, dtype };
    const terms = [mine.ones?.(), theirs.ones?.()];
    const b: StoredRows = {
      rows: openOnes(rowsB, terms, stored, slack.shift + slack.budget.shift, rounding),
      stored,
      dtype,
      biasType: mine.bias && storedType(this.b.facts, mine.bias.source, mine.bias.dtype),
      node,
      dequantized: mine.dequantized,
      open: openBias(rowsB, slack.shift + slack.budget.shift, termsOf(rowsB, mine, slack.shifted, this.tolerance)),
      gain: slack.budget.gain,
    };
    return this.beside(this.match(output, rowsA, b, this.loosened(slack)), other);
  }

  /** What else the operator gives out does not pass these constants. */
  private beside(first: Outcome, other: GraphNode): Outcome {
    const base = sameOutputs(this.classes, other);
    return first.ok && base.ok ? { ...first, outputs: [first.outputs[0], ...base.outputs.slice(1)] } : first;
  }

  /** A large layer as a member of its counterpart's class, block by block; undefined when it has to be looked at whole. */
  private matchBlocks(at: RuleNode, value: GraphValue, mine: Linear, theirs: Linear, slack: Slack): Outcome | undefined {
    const known = this.classes.of(value);
    const plain = at.state.params.size === 0 ? mine : linearOf(this.fresh(at.node));
    if (known === undefined || plain?.key !== mine.key) return undefined;
    if (this.wholes.has(at.node)) return undefined;
    // A shift within the rows, or one that no bias takes, is seen beside whole rows.
    if (slack.within !== undefined || (slack.shifted !== undefined && mine.bias === undefined)) return undefined;
    // Biases that the file computes are few beside the weights that stand in it.
    if ([openParam(this.a, theirs.bias), openParam(this.b, mine.bias)].some((open) => open !== undefined)) return undefined;
    const shift = slack.shift + slack.budget.shift;
    const blocks = blocksOf(theirs, mine, plain, at, { shift, gain: slack.budget.gain });
    if (blocks === undefined) return undefined;
    const where = Array.from({ length: known.scale.dims.length }, (_, i) => (i === blocks.axis ? blocks.count : 1));
    for (const m of this.candidates(known, at.node)) {
      const by = rowMap(known, m, where);
      const worst = by && blocks.fit(by, this.loosened(slack));
      if (worst !== undefined) return { ok: true, outputs: [exact(known.core, m)], worst, coefficients: blocks.coefficients };
    }
    this.wholes.add(at.node);
    return undefined;
  }

  /** Layers that did not fit block by block: once is enough to try. */
  private readonly wholes = new Set<GraphNode>();

  /** Where a channel is all zeros several members fit: the one of the same name is meant. */
  private candidates(known: Known, node: GraphNode): Member[] {
    const named = node.outputs[0]?.name;
    return known.core.members.toSorted((p, q) => Number(q.value.name === named) - Number(p.value.name === named));
  }

  /** Rows of zeros, or such that read nothing but constants, make channels that are constant: their maps have no gain. */
  private pin(output: GraphValue, rows: Rows, { out }: Slack): void {
    const zeros = zeroRows(rows);
    const known = zeros.length === 0 ? undefined : this.classes.of(output);
    if (known === undefined || [...this.related.values()].some(({ core }) => core === known.core)) return;
    const rank = known.scale.dims.length;
    const dims = rowDims(rows, rank);
    const [live, bias] = [new Float64Array(rows.count).fill(1), { dims, data: rows.bias }];
    for (const o of zeros) live[o] = 0;
    const value = plus(times(bias, out?.scale ?? uniform(rank, 1)), out?.shift ?? uniform(rank, 0));
    this.classes.rebase(
      output,
      { dims, data: live },
      combine({ dims, data: live }, value, (m, c) => (m === 0 ? c : 0)),
    );
  }

  /** B's rows as a map of the first file's value: one of the members of its class, or whatever map the rows agree on. */
  match(value: GraphValue, rowsA: Rows, b: StoredRows, tolerance: Tolerance): Outcome {
    const known = this.classes.of(value);
    if (known === undefined) return failed("the counterpart has no class");
    const rank = known.scale.dims.length;
    const where = rowDims(rowsA, rank);
    const coefficients = b.rows.weights.length + (b.biasType === undefined ? 0 : b.rows.count);
    const suspicions: (Suspicion & { readonly matching: number })[] = [];
    for (const m of this.candidates(known, b.node)) {
      const by = rowMap(known, m, where);
      if (by === undefined) continue;
      const fit = fits(rowsA, b, by, tolerance);
      if ("worst" in fit) return { ok: true, outputs: [exact(known.core, m)], worst: fit.worst, coefficients };
      const { matching, ...misfit } = fit;
      if (!m.proposed) suspicions.push({ core: known.core, member: m, misfit, matching });
    }
    const likely = bySimilarity(suspicions);
    const fit = solve(rowsA, b, tolerance);
    const on = (data: Float64Array): Spread => simplify({ dims: where, data });
    const moved = ({ k: gain, d, slackK: open, slackD }: Fit, blame?: Blame): Relation => {
      const [k, slackK] = [on(gain), on(open)];
      return {
        core: known.core,
        scale: simplify(times(k, known.scale)),
        shift: simplify(plus(times(k, known.shift), on(d))),
        slackScale: times(slackK, map(known.scale, Math.abs)),
        slackShift: plus(times(slackK, map(known.shift, Math.abs)), on(slackD)),
        ...(blame === undefined ? {} : { blame }),
      };
    };
    if ("worst" in fit)
      return { ok: true, outputs: [moved(fit, { node: b.node, suspicions: likely })], worst: fit.worst, coefficients };
    const [best] = likely;
    const mostly = suspicions.some(({ matching }) => matching > 0.5);
    return {
      ...failed(
        `${b.node.label} has coefficients the first file does not give`,
        mostly ? best.misfit : fit.misfit,
        best && exact(known.core, best.member),
      ),
      ...(mostly || fit.likely === undefined ? {} : { likely: moved(fit.likely, { node: b.node, suspicions: likely }) }),
    };
  }

  /** Rows of the second file's operator as they stand in the file. */
  private storedRows(at: RuleNode, node: GraphNode, mine: Linear, now: StoredRows["rows"]): StoredRows["rows"] {
    if (at.state.params.size === 0) return now;
    const plain = linearOf(this.fresh(node));
    return plain === undefined || plain.key !== mine.key ? now : plain.rowsOf(plain.weight.values(), plain.bias?.values());
  }

  private fresh(node: GraphNode): RuleNode {
    return new Draft(this.b.facts, this.b.constants).at(node);
  }

  /** Slack of the inputs' gains adds to what a coefficient may be off, in half-ulps: a half-ulp is at least u/2 relative. */
  private loosened({ gain }: Slack): Tolerance {
    return gain === 0 ? this.tolerance : { ...this.tolerance, weight: this.tolerance.weight + 1 };
  }
}
