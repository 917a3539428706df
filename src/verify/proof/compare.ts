/**
 * An operator of the second file beside its counterpart: the maps of its inputs are pushed through (carry.ts), on the side
 * where they are known exactly, and attributes, constants and coefficients are then compared. The result relates the outputs.
 */
import { isPlain } from "../../affine/gauge.ts";
import { isZero, plus, type Spread, times, uniform } from "../../affine/spread.ts";
import { inputError } from "../../diag/error.ts";
import { hasTrait } from "../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { Draft } from "../../laws/draft.ts";
import { readsOnes, withOnes } from "../../rules/conv.ts";
import { ruleOf } from "../../rules/index.ts";
import { isNeutral } from "../../rules/params.ts";
import { isRefused, type RuleNode } from "../../rules/types.ts";
import { chosen } from "./branches.ts";
import { budgetSlack, type Carried, carriedSlack, carry, meetingShifts, passThrough, slackOf, uncarry } from "./carry.ts";
import { isCast, roundoffOf } from "./casts.ts";
import type { AffineMap, Classes, Member, Passed, Side } from "./classes.ts";
import { joinedMember } from "./concat.ts";
import { Layers, sameOutputs } from "./layers.ts";
import { linearOf } from "./linear.ts";
import { familyOf, sameElements, sameReshape } from "./match.ts";
import { attributeDifference, attributeDifferences, isTelling, meaningDifference } from "./meaning.ts";
import { operandsAgree, type Slack } from "./operands.ts";
import { type Failure, failed, type Outcome } from "./outcome.ts";
import { exact, type InputMap, inverse, isExact, type Relation, relative, snap } from "./relation.ts";
import type { Misfit, Tolerance } from "./rows.ts";
import { sameSetting, settingsCount } from "./settings.ts";

/** What reaches an operator of the second file, and its counterpart. */
interface Inputs {
  /** β of α, by the second file's inputs: absent where there is none; and α of β, by the first file's. */
  readonly maps: readonly (InputMap | undefined)[];
  readonly inverses: readonly (InputMap | undefined)[];
  /** True where every input is the same value. */
  readonly identity: boolean;
  /** True where every input has a map of that kind. */
  readonly invertible: boolean;
  readonly possible: boolean;
  /** True where all constants are the same: asked only where all else is, weights are large. */
  readonly constants: () => boolean;
}

/** One operator of the second file beside one of the first. */
export class Comparison {
  private readonly draft: Draft;
  private readonly draftA: Draft;
  readonly layers: Layers;

  constructor(
    private readonly a: Side,
    private readonly b: Side,
    private readonly classes: Classes,
    private readonly related: ReadonlyMap<GraphValue, Relation>,
    private readonly tolerance: Tolerance,
  ) {
    this.draft = new Draft(b.facts, b.constants);
    this.draftA = new Draft(a.facts, a.constants);
    this.layers = new Layers(a, b, classes, related, tolerance);
  }

  /** True for an operator that its coefficients say all of. */
  isLinear(node: GraphNode): boolean {
    return linearOf(this.draft.at(node)) !== undefined;
  }

  /** Compares one operator with a counterpart whose inputs are taken in `order`. */
  compare(node: GraphNode, other: GraphNode, order: readonly number[]): Outcome {
    if (this.isCoarser(node, other)) return failed(`${node.label} computes with fewer digits`);
    const inputs = this.inputsOf(node, other, order);
    if ("ok" in inputs) return inputs;
    const { maps, inverses, identity, invertible, possible, constants } = inputs;
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
      return hasTrait(node, "branches") ? this.chosen(node, other) : this.same(other);
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

  /** What reaches the two operators, or why they cannot be compared. */
  private inputsOf(node: GraphNode, other: GraphNode, order: readonly number[]): Inputs | Failure {
    const maps: (InputMap | undefined)[] = [];
    const inverses: (InputMap | undefined)[] = [];
    let identity = true;
    let [invertible, possible, exactly] = [true, true, true];
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
      const back = inverse(beta, alpha, true);
      if (by === undefined && back === undefined)
        return failed("the first file's input has lost channels that this one still reads");
      maps[i] = by;
      possible &&= by !== undefined;
      identity = false;
      inverses[order[i] ?? i] = back;
      invertible &&= back !== undefined;
      exactly &&= isExact(beta) || inverse(beta, alpha) !== undefined;
    }
    // What rounding leaves open is better pushed through where it came about.
    if (possible) invertible &&= exactly;
    for (let i = node.inputs.length; i < settingsCount(other, node); i++) settings.push([order[i] ?? i, i]);
    const constants = () =>
      comparable && settings.every(([theirs, mine]) => sameSetting(this.a, other, theirs, this.b, node, mine));
    return { maps, inverses, identity, invertible, possible, constants };
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
    return sameOutputs(this.classes, other);
  }

  /** Results of branches that were looked at where they are chosen from: not to be compared again. */
  readonly settled = new Set<GraphValue>();

  /** An If that chooses as its counterpart does. */
  private chosen(node: GraphNode, other: GraphNode): Outcome {
    const base = this.same(other);
    if (!base.ok) return base;
    const outputs = base.outputs.map((relation, index) => {
      const found = relation && chosen(node, other, index, relation, this.related, this.classes);
      for (const value of found?.settled ?? []) this.settled.add(value);
      return found?.relation ?? relation;
    });
    return { ...base, outputs };
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
      return failed(inputError(error).message);
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
    if (mine !== undefined && theirs !== undefined && mine.key === theirs.key)
      return this.layers.compare(at, other, mine, theirs, slack);
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
    if (known === undefined || extra !== undefined || rule === undefined || !isPlain(known)) return undefined;
    for (const m of wholeAndGains(known.core.members)) {
      if (m.value === output) continue;
      const mark = this.draftA.mark();
      try {
        const taken = (["scale", "shift"] as const).every((kind) => {
          if (isNeutral(kind, m[kind])) return true;
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
