/**
 * The ways out of one affine node y = s ⊙ x + t: all of it backward; all of it forward; the scale backward and the shift
 * forward; the shift backward (as t/s) and the scale forward. The first is taken in which constants absorb everything, no node
 * is added beyond the one removed, and every changed constant fits its storage type.
 */
import { isPlain } from "../affine/gauge.ts";
import { every, invert, isOne, isZero, times } from "../affine/spread.ts";
import type { GraphNode, GraphValue, Use } from "../graph/view.ts";
import type { Candidate } from "../laws/candidates.ts";
import type { Draft } from "../laws/draft.ts";
import { dtypeOf, isStorageFloat } from "../onnx/dtype.ts";
import { fresh, isNeutral, trimmed } from "../rules/params.ts";
import { isRefused, type Kind, type NodeState, type Refused, refuse } from "../rules/types.ts";
import { type Carried, carryOnes } from "./constant-channel.ts";
import type { Attempt } from "./kept.ts";
import { type Loss, MAX_BITS_LOST, type Precision } from "./precision.ts";
import { type Direction, type MapRequest, Push, type Pushed, untouchable } from "./push.ts";
import { checkRange, type Sight } from "./range.ts";
import { rescue } from "./rescue.ts";
import { biasAt, weightAxis } from "./roles.ts";
import type { Fold } from "./types.ts";
import { unrounded } from "./unrounded.ts";

type Moves = readonly (readonly [Kind, Direction])[];

interface Way {
  readonly direction: Fold["direction"];
  readonly moves: Moves;
}

const WAYS: readonly Way[] = [
  {
    direction: "backward",
    moves: [
      ["scale", "backward"],
      ["shift", "backward"],
    ],
  },
  {
    direction: "forward",
    moves: [
      ["shift", "forward"],
      ["scale", "forward"],
    ],
  },
  {
    direction: "both",
    moves: [
      ["scale", "backward"],
      ["shift", "forward"],
    ],
  },
  {
    direction: "both",
    moves: [
      ["shift", "backward"],
      ["scale", "forward"],
    ],
  },
];

export interface AttemptOptions {
  /** Allows a batch normalization to be replaced by one Add when only its gain can be absorbed. */
  readonly partial?: boolean;
  /** Lets a shift pass zero padding as one more channel, of constant 1, which the layer before makes (constant-channel.ts; default false). */
  readonly constantChannel?: boolean;
  /** Reads every changed constant to check its range; otherwise large float32 weights under ordinary gains are checked when written. */
  readonly exactRanges?: boolean;
  /** Bits of the files' own precision that one fold may cost (precision.ts; default 4). */
  readonly maxBitsLost?: number;
  /** "half": a map of float32 values may go into constants of float16 or bfloat16 beyond a Cast. Default: it stays, and the reason says what it would cost. */
  readonly allowRounding?: "half";
}

export interface Success {
  readonly direction: Fold["direction"];
  readonly visited: readonly GraphNode[];
  readonly touched: ReadonlySet<GraphNode>;
  /** The node itself stays, as the Add of its shift. */
  readonly stays?: boolean;
  /** What else there is to say of it. */
  readonly notes?: readonly string[];
  /** Bits of the files' own precision it costs at most. */
  readonly bits?: number;
}

const isMixed = ({ scale, shift }: Candidate): boolean => !isOne(scale) && !isZero(shift);

export class Attempts {
  /** Operators may become others to let a map pass: the last resort. */
  retypes = false;
  /** Layers may make one more channel, of constant 1, to let a shift pass zero padding (constant-channel.ts). */
  ones = false;

  constructor(
    private readonly draft: Draft,
    private readonly options: AttemptOptions,
    private readonly precision: Precision,
  ) {}

  /** True when a map may go wherever it is taken, as far as precision goes: into a merged layer as well. */
  isAffordable(found: Candidate): boolean {
    return !this.costly.has(found.node) && this.precision.costs(found) <= this.limit;
  }

  /** Nodes that a way was refused to for what it costs. */
  private readonly costly = new Set<GraphNode>();

  private get limit(): number {
    return this.options.maxBitsLost ?? MAX_BITS_LOST;
  }

  /** Moves the map away, or says what stops each direction; a refusal leaves no trace in the draft. */
  attempt(found: Candidate): Attempt | Success {
    const mark = this.draft.mark();
    const refusals: Refused[] = [];
    const mixed = isMixed(found);
    const ways = mixed ? WAYS : WAYS.slice(0, 2);
    for (const way of ways) {
      const result = this.identity(found, way.direction) ?? this.way([found], way, mark);
      if (!isRefused(result)) return result;
      this.draft.undo(mark);
      refusals.push(result);
    }
    const outgrown = refusals.slice(0, 2).findIndex(isOutgrown);
    if (outgrown >= 0) {
      const result = this.rescued(found, ways[outgrown], mark);
      if (!isRefused(result)) return result;
      this.draft.undo(mark);
    }
    for (const [i, refused] of refusals.slice(0, 2).entries()) refusals[i] = this.priced(found, ways[i], refused, mark);
    // What a channel of ones may carry whole is not parted before.
    const parts = this.options.partial === true && (this.options.constantChannel !== true || this.ones);
    if (parts && mixed && found.kind === "batch-normalization") {
      const result = this.partly(found, mark);
      if (!isRefused(result)) return result;
      this.draft.undo(mark);
    }
    return { backward: refusals[0], forward: refusals[1] };
  }

  /** True where maps that run in float32 may go into constants of a half type. */
  private get rounds(): boolean {
    return this.options.allowRounding === "half";
  }

  /** The same way with rows of a half type brought back into its range by powers of two. */
  private rescued(found: Candidate, way: Way, mark: number): Refused | Success {
    const { node, input } = found;
    const x = node.inputs[input] as GraphValue;
    const moved = this.moved([found], way);
    if (isRefused(moved)) return moved;
    const loss = this.precision.lossOf([found], way.moves, this.draft.since(mark));
    if (loss.bits > this.limit) return tooMuch(loss, this.limit);
    const made = rescue(this.draft, [...this.draft.since(mark).keys()], { node, x });
    if (isRefused(made)) return made;
    const touched = this.draft.since(mark);
    const refused = this.checkTouched([found], touched);
    if (refused !== undefined) return refused;
    this.precision.moved([...moved.crossed, ...made.changed]);
    const visited = [...new Set([...moved.visited, ...made.visited])];
    const notes = ["rows were scaled by powers of two, which what follows takes back, so that they fit their type"];
    return { direction: way.direction, visited, touched: new Set(touched.keys()), bits: loss.bits, notes };
  }

  /** A refusal for the rounding to a half type alone, with what that would cost. */
  private priced(found: Candidate, way: Way, refused: Refused, mark: number): Refused {
    if (refused.rounds !== true) return refused;
    const made = this.way([found], way, mark, true);
    this.draft.undo(mark);
    if (isRefused(made)) return { ...refused, because: `${refused.because}, and where that is allowed ${clauseOf(made)}` };
    const bits = figure(made.bits ?? 0);
    const because = `${refused.because}, which would cost ${bits} bits of its precision (--allow-rounding half folds it)`;
    return { ...refused, because, facts: { ...refused.facts, bits } };
  }

  /** Moves the maps of several nodes away at once, where each alone would meet the others: all or none. */
  together(members: readonly Candidate[]): Success | undefined {
    const mark = this.draft.mark();
    for (const way of members.some(isMixed) ? WAYS : WAYS.slice(0, 2)) {
      const result = this.way(members, way, mark);
      if (!isRefused(result)) return result;
      this.draft.undo(mark);
    }
    return undefined;
  }

  /** Whether the gain of a batch normalization would find its way out without the shift: nothing is changed, and no number is read. */
  canSplit(found: Candidate): boolean {
    if (found.kind !== "batch-normalization" || !isMixed(found) || found.node.version < 7) return false;
    const mark = this.draft.mark();
    const ways = ["backward", "forward"] as const;
    return ways.some((to) => {
      const pushed = this.move([found], "scale", to, []);
      this.draft.undo(mark);
      return !isRefused(pushed) && (to === "backward" || every(found.scale, (v) => v !== 0));
    });
  }

  /** Only the gain leaves, backward or forward; the normalization becomes the Add of its shift. */
  private partly(found: Candidate, mark: number): Refused | Success {
    const { node, scale, shift } = found;
    if (node.version < 7) return refuse("operator-blocks", "is of an opset before 7, where Add does not broadcast");
    for (const to of ["backward", "forward"] as const) {
      const pushed = this.move([found], "scale", to, []);
      if (isRefused(pushed)) {
        this.draft.undo(mark);
        continue;
      }
      const left = to === "backward" ? shift : times(shift, invert(scale));
      if (!left.data.every(Number.isFinite)) return refuse("sign-blocks", "has a gain of zero, below which a shift cannot go");
      // The parameters may be of another type than the data (from opset 15 on); the operands of an Add may not.
      const dtype = dtypeOf(this.draft.facts.of(node.inputs[0]).dtype);
      if (dtype === undefined || !isStorageFloat(dtype)) return refuse("shape-unknown", "has an input of unknown element type");
      const constant = trimmed(
        fresh(dtype, left.dims, () => left.data.slice()),
        1,
      );
      this.draft.set(node, { ...this.draft.state(node), opType: "Add", params: new Map([[1, constant]]) });
      const touched = this.draft.since(mark);
      const refused = this.checkTouched([found], touched);
      if (refused !== undefined) return refused;
      return { direction: to, visited: [...pushed.visited, node], touched: new Set(touched.keys()), stays: true };
    }
    return refuse("operator-blocks", "has no neighbour that takes its gain either");
  }

  private way(members: readonly Candidate[], { direction, moves }: Way, mark: number, rounds = this.rounds): Refused | Success {
    const moved = this.moved(members, { direction, moves }, rounds);
    if (isRefused(moved)) return moved;
    const { visited, crossed } = moved;
    const bare = rounds && direction === "forward" ? members.map((member) => unrounded(this.draft, member, visited)) : [];
    const carried = bare.find((refused) => refused !== undefined) ?? this.carried(members, mark);
    if (isRefused(carried)) return carried;
    const touched = this.draft.since(mark);
    const refused = this.checkTouched(members, touched);
    if (refused !== undefined) return refused;
    const loss = this.precision.lossOf(members, moves, touched);
    if (loss.bits > this.limit) {
      if (members.length === 1) this.costly.add(members[0].node);
      return tooMuch(loss, this.limit);
    }
    this.precision.moved(crossed);
    const { notes } = carried;
    const all = [...new Set([...visited, ...carried.visited])];
    return { direction, visited: all, touched: new Set(touched.keys()), bits: loss.bits, notes };
  }

  private carried(members: readonly Candidate[], mark: number): Carried | Refused {
    return this.ones ? carryOnes(this.draft, members, this.draft.since(mark)) : { visited: [], notes: [] };
  }

  /** Whether a channel of constant 1 would let a node go: nothing is changed. */
  canCarry(found: Candidate): boolean {
    // What other nodes cost in bytes is not known here.
    if (this.options.constantChannel === true || this.ones || found.kind !== "batch-normalization") return false;
    const mark = this.draft.mark();
    this.ones = true;
    const fits = (isMixed(found) ? WAYS : WAYS.slice(0, 2)).some((way) => {
      const moved = this.moved([found], way);
      const done =
        !isRefused(moved) &&
        !isRefused(this.carried([found], mark)) &&
        this.checkTouched([found], this.draft.since(mark)) === undefined &&
        this.precision.lossOf([found], way.moves, this.draft.since(mark)).bits <= this.limit;
      this.draft.undo(mark);
      return done;
    });
    this.ones = false;
    return fits;
  }

  /** The moves of a way, whatever they cost. */
  private moved(
    members: readonly Candidate[],
    { moves }: Way,
    rounds = this.rounds,
  ): { readonly visited: Set<GraphNode>; readonly crossed: Set<GraphValue> } | Refused {
    const visited = new Set<GraphNode>();
    const crossed = new Set<GraphValue>();
    for (const [kind, to] of moves) {
      if (to === "forward" && !members.every(({ proven }) => proven))
        return refuse("shape-unknown", "may broadcast its input along an axis of unknown size");
      const pushed = this.move(members, kind, to, moves, rounds);
      if (isRefused(pushed)) return pushed;
      for (const node of pushed.visited) visited.add(node);
      for (const value of pushed.changed) crossed.add(value);
    }
    return { visited, crossed };
  }

  /** A map that changes nothing needs no one to take it, but one of its two names has to be free to go. */
  private identity(found: Candidate, direction: Fold["direction"]): Refused | undefined {
    if (!isPlain(found)) return undefined;
    const { node, input, proven } = found;
    const [x, y] = [node.inputs[input], node.outputs[0]] as [GraphValue, GraphValue];
    if (!proven) return refuse("shape-unknown", "may broadcast its input along an axis of unknown size");
    if (direction === "forward") return untouchable(y);
    if (x.scope !== y.scope) return refuse("captured-by-subgraph", `reads "${x.name}" from the graph around it`, { value: x });
    return x.producer === undefined
      ? refuse("is-graph-input", `reads the graph input "${x.name}"`, { value: x })
      : untouchable(x);
  }

  private move(members: readonly Candidate[], kind: Kind, to: Direction, moves: Moves, rounds = this.rounds): Pushed | Refused {
    const requests: MapRequest[] = [];
    for (const found of members) {
      const request = to === "backward" ? this.back(found, kind, moves) : this.onward(found, kind);
      if (request === undefined) continue;
      if (isRefused(request)) return request;
      requests.push(request);
    }
    return new Push(this.draft, kind, to, { retypes: this.retypes, rounds, ones: this.ones }).all(requests);
  }

  private onward({ node, input, scale, shift }: Candidate, kind: Kind): MapRequest | Refused | undefined {
    const by = kind === "scale" ? scale : shift;
    if (isNeutral(kind, by)) return undefined;
    const value = node.outputs[0] as GraphValue;
    // Readers in inner graphs will read what the node reads, by its name.
    const x = node.inputs[input];
    const isHidden = ({ node: reader }: Use) => x !== undefined && reader.scope.resolve(x.name) !== x;
    const hidden = value.captured ? value.uses.find(isHidden)?.node : undefined;
    if (hidden === undefined) return { value, by, node, index: 0 };
    return refuse("captured-by-subgraph", `reads it inside a subgraph that has a "${x?.name}" of its own`, {
      value,
      node: hidden,
    });
  }

  private back(found: Candidate, kind: Kind, moves: Moves): MapRequest | Refused | undefined {
    const { node, input, scale, shift } = found;
    if (isNeutral(kind, found[kind])) return undefined;
    // A shift that goes first goes below the gain: x + t/s.
    const below = kind === "shift" && moves[0][0] === "shift";
    if (below && !every(scale, (v) => v !== 0)) return refuse("sign-blocks", "has a gain of zero, below which a shift cannot go");
    const value = node.inputs[input] as GraphValue;
    if (value.scope !== node.scope)
      return refuse("captured-by-subgraph", `reads "${value.name}" from the graph around it`, { value });
    return { value, by: below ? times(shift, invert(scale)) : found[kind], node, index: input };
  }

  /** Node count and storage ranges of what an attempt changed. */
  checkTouched(members: readonly Candidate[], touched: ReadonlyMap<GraphNode, NodeState | undefined>): Refused | undefined {
    let inserted = 0;
    for (const [node, before] of touched) {
      const state = this.draft.state(node);
      if (state.bias !== undefined && before?.bias === undefined) inserted++;
      for (const [index, param] of state.params) {
        const refused = checkRange(param, this.options.exactRanges ?? false, this.sight(node, index));
        if (refused !== undefined) return { node, ...refused };
      }
      const refused = state.bias && checkRange(state.bias, true, { axis: 0, limit: this.limit });
      if (refused !== undefined) return { node, ...refused };
    }
    const allowed = members.filter(({ kind }) => kind === "batch-normalization").length;
    return inserted > allowed
      ? refuse(
          "needs-new-node",
          `would need ${inserted} new Add ${inserted === 1 ? "node" : "nodes"} for its shift, and only ${members.length === 1 ? "one node goes" : `${members.length} nodes go`}`,
          {
            facts: { inserted },
          },
        )
      : undefined;
  }

  /** By what the numbers of an operand are judged: a layer's weight row by row, each beside its bias. */
  private sight(node: GraphNode, index: number): Sight {
    const axis = weightAxis(this.draft.at(node), index);
    if (axis === undefined) return { axis: 0, limit: this.limit };
    const bias = biasAt(this.draft, node);
    return { axis, limit: this.limit, ...(isRefused(bias) ? {} : { beside: bias }) };
  }
}

/** True of numbers that do not fit their type, where it is not for what is allowed. */
const isOutgrown = ({ refused, rounds }: Refused): boolean =>
  refused === "storage-overflow" || (refused === "storage-precision" && rounds !== true);

const clauseOf = ({ node, because }: Refused): string => `${node === undefined ? "it" : node.label} ${because}`;

/** A loss with one digit behind the point, rounded up: the limit that lets it pass. */
export const figure = (bits: number): number => Math.ceil(bits * 10) / 10;

function tooMuch({ bits, because, node }: Loss, limit: number): Refused {
  const lost = figure(bits);
  return refuse("precision-loss", `${because}, which costs ${lost} bits of precision (the limit is ${limit})`, {
    ...(node === undefined ? {} : { node }),
    facts: { bits: lost, limit },
  });
}
