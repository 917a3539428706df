/**
 * An operator of the second file beside its counterpart: the maps of its inputs are pushed through (carry.ts), on the side
 * where they are known exactly, and attributes, constants and coefficients are then compared. The result relates the outputs.
 */
import { combine, map, plus, type Spread, simplify, times, uniform } from "../../affine/spread.ts";
import { BnfoldError } from "../../diag/error.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { Draft } from "../../laws/draft.ts";
import { STORAGE_FLOATS } from "../../onnx/dtype.ts";
import { readsOnes, withOnes } from "../../rules/conv.ts";
import { ruleOf } from "../../rules/index.ts";
import { isOne, isZero } from "../../rules/params.ts";
import { isRefused, type RuleNode } from "../../rules/types.ts";
import { bySimilarity } from "./blame.ts";
import { blocksOf } from "./blocks.ts";
import { budgetSlack, type Carried, carriedSlack, carry, meetingShifts, passThrough, slackOf, uncarry } from "./carry.ts";
import { isCast, roundoffOf, storedType } from "./casts.ts";
import type { AffineMap, Classes, Member, Passed, Side } from "./classes.ts";
import { joinedMember } from "./concat.ts";
import { type Fit, fits, type StoredRows, solve } from "./fit.ts";
import { alongside, linearOf, rowsWith, zeroRows } from "./linear.ts";
import { familyOf, sameElements, sameReshape } from "./match.ts";
import { attributeDifference, attributeDifferences, isTelling, meaningDifference } from "./meaning.ts";
import { openParam, operandsAgree, type Slack, sameFloat } from "./operands.ts";
import { type Failure, failed, type Outcome } from "./outcome.ts";
import { type Blame, exact, type InputMap, inverse, type Relation, relative, type Suspicion, snap } from "./relation.ts";
import { type Known, openBias, openOnes, rowDims, rowMap, shiftedRows, termsOf } from "./row-maps.ts";
import type { Linear, Misfit, Rows, Tolerance } from "./rows.ts";
import { sameSetting, settingsCount } from "./settings.ts";

/** One operator of the second file beside one of the first. */
export class Comparison {
  private readonly draft: Draft;
  private readonly draftA: Draft;

  constructor(
    private readonly a: Side,
    private readonly b: Side,
    private readonly classes: Classes,
    private readonly related: ReadonlyMap<GraphValue, Relation>,
    private readonly tolerance: Tolerance,
  ) {
    this.draft = new Draft(b.facts, b.constants);
    this.draftA = new Draft(a.facts, a.constants);
  }

  /** True for an operator that its coefficients say all of. */
  isLinear(node: GraphNode): boolean {
    return linearOf(this.draft.at(node)) !== undefined;
  }

  /** Compares one operator with a counterpart whose inputs are taken in `order`. */
  compare(node: GraphNode, other: GraphNode, order: readonly number[]): Outcome {
    if (this.isCoarser(node, other)) return failed(`${node.label} computes with fewer digits`);
    const maps: (InputMap | undefined)[] = [];
    const inverses: (InputMap | undefined)[] = [];
    let identity = true;
    let [invertible, possible] = [true, true];
    let comparable = true;
    const settings: (readonly [theirs: number, mine: number])[] = [];
    for (const [i, value] of node.inputs.entries()) {
      const twin = other.inputs[order[i] ?? i];
      const fixed = value === undefined || this.b.constants.has(value);
      if (!fixed && sameElements(this.a, twin, this.b, value)) continue;
      if (fixed !== (twin === undefined || this.a.constants.has(twin))) {
        if (familyOf(node) !== "reshape" && !(familyOf(node) === "linear"))
          return failed("its operands are constant in only one of the files");
        comparable = false;
        continue;
      }
      if (fixed) {
        settings.push([order[i] ?? i, i]);
        continue;
      }
      const [beta, alpha] = [this.related.get(value), this.classes.of(twin as GraphValue)];
      if (beta === undefined || alpha === undefined || beta.core !== alpha.core)
        return failed("its inputs come from other values");
      const by = this.unnoticed(node, i, relative(beta, alpha));
      if (by?.identity === true) {
        maps[i] = by;
        inverses[order[i] ?? i] = by;
        continue;
      }
      if (by === undefined && inverse(beta, alpha) === undefined)
        return failed("the first file's input has lost channels that this one still reads");
      maps[i] = by;
      possible &&= by !== undefined;
      identity = false;
      inverses[order[i] ?? i] = inverse(beta, alpha);
      invertible &&= inverses[order[i] ?? i] !== undefined;
    }
    for (let i = node.inputs.length; i < settingsCount(other, node); i++) settings.push([order[i] ?? i, i]);
    // Asked only where all else is the same: weights are large.
    const constants = () =>
      comparable && settings.every(([theirs, mine]) => sameSetting(this.a, other, theirs, this.b, node, mine));
    // That only a number differs is certain where all else is the same.
    const told = (outcome: Outcome): Outcome => (outcome.ok || identity ? outcome : { ...outcome, instead: undefined });
    const meaning = meaningDifference(this.a, other, this.b, node);
    if (meaning !== undefined) return told(this.differs(`${node.label} ${meaning}`, other));
    const reshape = familyOf(node) === "reshape";
    if (possible) this.classes.settle(other, (by) => this.passedUnchanged(other, by));
    if (node.bodies.length > 0 && !identity) return failed("an input of its subgraphs changed");
    // Where the names differ the rows decide: a layer of zeros with a gain after it is itself times any gain.
    const settled = node.outputs[0]?.name === other.outputs[0]?.name || linearOf(this.draft.at(node)) === undefined;
    if (
      identity &&
      settled &&
      node.opType === other.opType &&
      attributeDifference(this.a, other, this.b, node) === undefined &&
      constants()
    )
      return this.same(other);
    const core =
      node.opType === "Concat" && possible && !constants() && other.outputs[0] && this.classes.of(other.outputs[0])?.core;
    const joined =
      core && joinedMember(this.a, other, this.b, node, maps, (value) => this.classes.of(value), core, this.tolerance);
    if (core && joined)
      return { ok: true, outputs: [exact(core, joined.member)], worst: joined.worst, coefficients: joined.coefficients };
    if (reshape && !sameReshape(this.a, other, this.b, node)) return failed("it makes another shape");
    if (reshape && identity) return this.same(other);
    // Where this file's input is exactly known, the first file's map goes into the first file's operator: its formula, unrounded.
    const first = invertible && !identity ? this.pushed(node, other, inverses, true) : undefined;
    if (first?.ok || !possible)
      return first ? told(first) : failed("the first file's input has lost channels that this one still reads");
    const second = this.pushed(node, other, maps, false);
    return told(second.ok || first === undefined || second.misfit !== undefined ? second : first);
  }

  /** A failure whose operators differ in what they say, and in nothing else if their inputs are the same. */
  private differs(reason: string, other: GraphNode, misfit?: Misfit): Failure {
    const known = other.outputs[0] && this.classes.of(other.outputs[0]);
    return { ...failed(reason, misfit), ...(known === undefined ? {} : { instead: exact(known.core, known) }) };
  }

  /** Numbers of the first file rounded to fewer digits, or a Cast to other digits. */
  private isCoarser(node: GraphNode, other: GraphNode): boolean {
    for (const [i, value] of node.outputs.entries()) {
      const [mine, theirs] = [roundoffOf(this.b.facts, value), roundoffOf(this.a.facts, other.outputs[i])];
      if (mine !== undefined && theirs !== undefined && (mine > theirs || (isCast(node) && mine !== theirs))) return true;
    }
    return false;
  }

  private same(other: GraphNode): Outcome {
    const outputs = other.outputs.map((value) => {
      const known = value && this.classes.of(value);
      return known && exact(known.core, known);
    });
    return { ok: true, outputs, worst: 0, coefficients: 0 };
  }

  /**
   * Pushes the input maps through an operator, then compares what is left. Theirs (`first`): α = map(β), so the first file's
   * operator takes the maps; else β = map(α), and the second file's does.
   */
  private pushed(node: GraphNode, other: GraphNode, maps: readonly (InputMap | undefined)[], first: boolean): Outcome {
    const [draft, target] = first ? [this.draftA, other] : [this.draft, node];
    const marks = [this.draftA.mark(), this.draft.mark()];
    const ones = readsOnes(this.draftA.at(other)) || readsOnes(this.draft.at(node));
    try {
      const carried = passThrough(draft, target, maps, ones);
      if ("ok" in carried) return carried;
      if (ones) this.weighOnes(other, node);
      const within = first && this.isLost(maps, carried, other) ? carried.shift[0] : undefined;
      const out = { scale: carried.scale[0], shift: within === undefined ? carried.shift[0] : undefined };
      const slack = {
        ...(first ? { ...budgetSlack(maps), out, within } : slackOf(maps)),
        shifted: maps.find((by) => by !== undefined && !isZero(by.shift))?.shift,
      };
      const inner = this.constantsAgree(this.draft.at(node), this.draftA.at(other), slack);
      if (!inner.ok) return inner;
      const outputs = inner.outputs.map((relation, i) => {
        if (relation === undefined) return undefined;
        const [scale, shift] = i === 0 && first ? [out.scale, out.shift] : [carried.scale[i], carried.shift[i]];
        const open = i === 0 ? carried.open : undefined;
        const slackOut = () =>
          carriedSlack(maps, i, (by) => passThrough(new Draft(draft.facts, draft.constants), target, by, ones));
        if (first) {
          const loose = maps.some((by) => by?.budget !== undefined) || meetingShifts(maps) ? slackOut() : undefined;
          return uncarry(relation, scale, shift, loose) ?? this.rebased(other.outputs[i], relation, scale, shift);
        }
        const loose = slackOut();
        return carry(relation, scale, shift, open === undefined ? loose : widened(loose, open, this.tolerance.weight));
      });
      if (outputs.some((relation, i) => relation === undefined && inner.outputs[i] !== undefined))
        return failed(`a gain of zero comes out of ${other.label}`);
      return { ...inner, outputs };
    } catch (error) {
      if (!(error instanceof BnfoldError)) throw error;
      return failed(error.message);
    } finally {
      this.draftA.undo(marks[0]);
      this.draft.undo(marks[1]);
    }
  }

  /** Gives both operators a weight for a channel of ones, which one of them reads: zeros where there is none. */
  private weighOnes(other: GraphNode, node: GraphNode): void {
    for (const [draft, target] of [
      [this.draftA, other],
      [this.draft, node],
    ] as const) {
      const state = withOnes(draft.at(target));
      if (state !== undefined) draft.set(target, state);
    }
  }

  /** True where a layer reads nothing but constants in some channels, and gives out what they make as a shift only. */
  private isLost(maps: readonly (InputMap | undefined)[], { scale }: Carried, other: GraphNode): boolean {
    return (
      scale[0] === undefined &&
      maps.some((by) => by?.scale.data.includes(0)) &&
      linearOf(new Draft(this.a.facts, this.a.constants).at(other)) !== undefined
    );
  }

  /** Maps through an operator of the first file that stays as it is. */
  private passedUnchanged(node: GraphNode, maps: readonly (AffineMap | undefined)[]): Passed | undefined {
    const draft = new Draft(this.a.facts, this.a.constants);
    const list = maps.map((by) => by && { ...by, slackScale: by.magnitude, slackShift: by.magnitude, identity: false });
    const carried = passThrough(draft, node, list);
    return "ok" in carried || [...draft.changed()].length > 0 ? undefined : carried;
  }

  /** The first file's value has lost channels this file still has: both are maps of what this file's value is a map of. */
  private rebased(
    value: GraphValue | undefined,
    relation: Relation,
    scale: Spread | undefined,
    shift: Spread | undefined,
  ): Relation | undefined {
    const rank = relation.scale.dims.length;
    const { core } = relation;
    if (value === undefined || [...this.related.values()].some((other) => other.core === core)) return undefined;
    const done = this.classes.rebase(value, scale ?? uniform(rank, 1), shift ?? uniform(rank, 0));
    return done ? snap(relation).relation : undefined;
  }

  /** The two operators with their constants, B's as changed by the maps pushed into them. */
  private constantsAgree(at: RuleNode, atA: RuleNode, slack: Slack): Outcome {
    const [node, other] = [at.node, atA.node];
    const [mine, theirs] = [linearOf(at), linearOf(atA)];
    if (mine !== undefined && theirs !== undefined && mine.key === theirs.key) return this.linear(at, other, mine, theirs, slack);
    // Two ways of writing one shape do one thing to whatever passes.
    if (familyOf(node) === "reshape") return this.same(other);
    if (at.state.opType !== atA.state.opType) return failed(`${node.label} stands for ${other.label}`);
    const attributes = attributeDifferences(this.a, other, this.b, node, { ...at.state.attributes, ...atA.state.attributes });
    if (attributes.length > 0) {
      const reason = `${node.label} has another "${attributes[0]}"`;
      const telling = isTelling(this.a, other, this.b, node, attributes);
      return this.absorbed(at, atA) ?? (telling ? this.differs(reason, other) : failed(reason));
    }
    const agreed = operandsAgree(this.a, atA, this.b, at, this.tolerance, slack);
    if ("reason" in agreed) {
      const { reason, misfit, telling } = agreed;
      return this.absorbed(at, atA) ?? (telling === true ? this.differs(reason, other, misfit) : failed(reason, misfit));
    }
    const base = this.same(other);
    return base.ok ? { ...base, ...agreed } : base;
  }

  /** The operator with one of the maps that follow it in the first file drawn into its constants. */
  private absorbed(at: RuleNode, atA: RuleNode): Outcome | undefined {
    const other = atA.node;
    const [output, extra] = other.outputs;
    const known = output && this.classes.of(output);
    const rule = ruleOf(atA.state.opType, other.domain);
    if (known === undefined || extra !== undefined || rule === undefined || !isOne(known.scale) || !isZero(known.shift))
      return undefined;
    for (const m of wholeAndGains(known.core.members)) {
      if (m.value === output) continue;
      const mark = this.draftA.mark();
      try {
        const taken = (["scale", "shift"] as const).every((kind) => {
          if (kind === "scale" ? isOne(m.scale) : isZero(m.shift)) return true;
          const steps = (kind === "scale" ? rule.backScale : rule.backShift)?.(this.draftA.at(other), [m[kind]]);
          const step =
            steps === undefined || isRefused(steps) ? undefined : steps.find((s) => s.pass.every((by) => by === undefined));
          if (step?.state === undefined || step.state.bias !== undefined || step.state.opType !== at.state.opType) return false;
          this.draftA.set(other, step.state);
          return true;
        });
        const changed = this.draftA.at(other);
        const attributes = { ...at.state.attributes, ...changed.state.attributes };
        if (!taken || attributeDifference(this.a, other, this.b, at.node, attributes) !== undefined) continue;
        const agreed = operandsAgree(this.a, changed, this.b, at, this.tolerance);
        if (!("reason" in agreed)) return { ok: true, outputs: [exact(known.core, m)], ...agreed };
      } finally {
        this.draftA.undo(mark);
      }
    }
    return undefined;
  }

  private linear(at: RuleNode, other: GraphNode, mine: Linear, theirs: Linear, slack: Slack): Outcome {
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
    const base = this.same(other);
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

  /** A map the operator does not notice (Shape reads no numbers) is no map. */
  private unnoticed(node: GraphNode, index: number, by: InputMap | undefined): InputMap | undefined {
    const ignores = ruleOf(node.opType, node.domain)?.ignores;
    if (by === undefined || by.identity || ignores === undefined) return by;
    const at = this.draft.at(node);
    if (!ignores(at, index, "scale", by.scale) || !ignores(at, index, "shift", by.shift)) return by;
    const rank = by.scale.dims.length;
    const zero = uniform(rank, 0);
    return { scale: uniform(rank, 1), shift: zero, slackScale: zero, slackShift: zero, identity: true };
  }

  /** Slack of the inputs' gains adds to what a coefficient may be off, in half-ulps: a half-ulp is at least u/2 relative. */
  private loosened({ gain }: Slack): Tolerance {
    return gain === 0 ? this.tolerance : { ...this.tolerance, weight: this.tolerance.weight + 1 };
  }
}

/** Slack with what the rounding of the operator's own constants adds to it. */
const widened = (slack: { scale: Spread; shift: Spread }, open: Spread, roundings: number): { scale: Spread; shift: Spread } => {
  const rank = open.dims.length;
  const scale = slack.scale.dims.length === rank ? slack.scale : uniform(rank, slack.scale.data[0]);
  return { ...slack, scale: plus(scale, times(open, uniform(rank, roundings))) };
};

/** Members, and behind them their gains alone: what takes a gain may leave the shift to a later operator. */
const wholeAndGains = (members: readonly Member[]): Member[] => [
  ...members,
  ...members.filter((m) => !isZero(m.shift)).map((m) => ({ ...m, shift: uniform(m.shift.dims.length, 0) })),
];
