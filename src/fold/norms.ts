/**
 * Empties normalizations by statistics of the data: y = γ ⊙ n(x) + β, where n does not depend on γ and β. What reads y takes
 * them, and the node stays as n itself. The first way is taken that constants absorb without a new node:
 *   β, then γ, forward        γ := 1, β := 0
 *   γ forward, β stays        y = γ ⊙ (n + β/γ):  γ := 1, β := β/γ
 *   β forward, γ stays        β := 0
 * Nothing moves where a γ is zero: such a channel is a constant, and what its readers make of it should stay one.
 * An input the operator needs is kept as ones or zeros, one constant for all of one size and type; the B of LayerNormalization,
 * which it does not need, goes. LayerNormalization 17, RMSNormalization 23, InstanceNormalization 1, 6, 22,
 * GroupNormalization 18 (γ, β per group), 21 (per channel).
 */
import { isPlain } from "../affine/gauge.ts";
import { combine, every, isOne, isZero, type Spread } from "../affine/spread.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Candidate, Rejected } from "../laws/candidates.ts";
import type { Draft } from "../laws/draft.ts";
import { STORAGE_FLOATS } from "../onnx/dtype.ts";
import { type OwnMap, ownMap } from "../rules/norms.ts";
import { fresh } from "../rules/params.ts";
import {
  isRefused,
  type Kind,
  type NodeState,
  type Param,
  type Refused,
  refuse,
  withoutParam,
  withParam,
} from "../rules/types.ts";
import type { Success } from "./attempt.ts";
import { Push } from "./push.ts";

/** What is left of γ and β, and what a report says of it. */
interface Way {
  readonly moves: readonly Kind[];
  readonly note?: string;
}

/** Says whether what changed since a mark may stay. */
type Check = (found: Candidate, touched: ReadonlyMap<GraphNode, NodeState | undefined>) => Refused | undefined;

export class Norms {
  /** Ones and zeros by type and shape. */
  private readonly plain = new Map<string, Param>();

  constructor(
    private readonly draft: Draft,
    private readonly check: Check,
  ) {}

  /** γ and β as they are now; undefined for other operators. */
  private own(node: GraphNode): OwnMap | Refused | undefined {
    const [output] = node.outputs;
    return output === undefined || this.draft.constants.has(output) ? undefined : ownMap(this.draft.at(node));
  }

  /** True for an operator with γ and β, be they ones and zeros: those of another may come to it yet. */
  applies(node: GraphNode): boolean {
    return this.own(node) !== undefined;
  }

  /** What can be moved; undefined for other operators, and where there is nothing to move. */
  candidate(node: GraphNode): Candidate | Rejected | undefined {
    const own = this.own(node);
    if (own === undefined) return undefined;
    if (isRefused(own)) return { node, kind: "norm", refusal: own };
    if (isPlain(own)) return undefined;
    return { node, kind: "norm", input: 0, ...own, proven: true, notes: [] };
  }

  /** Moves γ and β to the readers, or says what stops them; a refusal leaves no trace in the draft. */
  empty(found: Candidate): Refused | Success {
    const { scale, shift } = found;
    if (!every(scale, (v) => v !== 0))
      return refuse("sign-blocks", "has a gain of zero: that channel is a constant for its readers");
    const ways: Way[] = isOne(scale)
      ? [{ moves: ["shift"] }]
      : isZero(shift)
        ? [{ moves: ["scale"] }]
        : [
            { moves: ["shift", "scale"] },
            { moves: ["scale"], note: "its shift stays, divided by the gain" },
            { moves: ["shift"], note: "its gain stays" },
          ];
    const mark = this.draft.mark();
    const refusals: Refused[] = [];
    for (const way of ways) {
      const result = this.way(found, way, mark);
      if (!isRefused(result)) return result;
      this.draft.undo(mark);
      refusals.push(result);
    }
    // Why not even the gain goes says most.
    return refusals[1] ?? refusals[0];
  }

  private way(found: Candidate, { moves, note }: Way, mark: number): Refused | Success {
    const { node, scale, shift } = found;
    const gains = moves.includes("scale");
    const divides = gains && !moves.includes("shift") && !isZero(shift);
    const visited = new Set<GraphNode>();
    for (const kind of moves) {
      const push = new Push(this.draft, kind, "forward");
      const pushed = push.all([{ value: node.outputs[0] as GraphValue, by: kind === "scale" ? scale : shift, node, index: 0 }]);
      if (isRefused(pushed)) return pushed;
      for (const reader of pushed.visited) visited.add(reader);
    }
    this.reset(found, gains, moves.includes("shift"), divides);
    const touched = this.draft.since(mark);
    const notes = note === undefined ? [] : [note];
    return (
      (divides ? this.tooLarge(node) : undefined) ??
      this.check(found, touched) ?? { direction: "forward", visited: [...visited], touched: new Set(touched.keys()), notes }
    );
  }

  /** The operator without what has left it. */
  private reset({ node, scale, shift }: Candidate, gains: boolean, shifts: boolean, divides: boolean): void {
    const at = this.draft.at(node);
    // Both were read before.
    const [gamma, beta] = [at.param(1), at.has(2) ? at.param(2) : undefined] as [Param, Param | undefined];
    let { state } = at;
    if (gains && !isOne(scale)) state = withParam(state, 1, this.constant(gamma, 1));
    if (beta !== undefined) {
      if (divides) state = withParam(state, 2, divided(beta, gamma));
      else if (node.opType === "LayerNormalization" && (shifts || isZero(shift))) state = withoutParam(state, 2);
      else if (shifts) state = withParam(state, 2, this.constant(beta, 0));
    }
    this.draft.set(node, state);
  }

  /** n adds to β/γ when the operator runs: the sum has to fit as well (|n| < √(elements of a set), far below half the range). */
  private tooLarge(node: GraphNode): Refused | undefined {
    const beta = this.draft.at(node).param(2) as Param;
    const { max } = STORAGE_FLOATS[beta.dtype];
    const worst = beta.values().find((v) => !(Math.abs(v) <= max / 2));
    return worst === undefined
      ? undefined
      : refuse("storage-overflow", `would add ${worst.toPrecision(4)}, near the largest ${beta.dtype} (${max})`, {
          facts: { value: worst, largest: max },
        });
  }

  private constant({ dtype, dims }: Param, value: number): Param {
    const key = `${dtype}|${dims}|${value}`;
    const known = this.plain.get(key);
    if (known !== undefined) return known;
    const size = dims.reduce((n, d) => n * d, 1);
    const made: Param = {
      ...fresh(dtype, dims, () => new Float64Array(size).fill(value)),
      name: `${value === 1 ? "ones" : "zeros"}_${dims.join("_")}`,
    };
    this.plain.set(key, made);
    return made;
  }
}

/** β/γ, whose shapes may differ where one of them is broadcast. */
function divided(beta: Param, gamma: Param): Param {
  const rank = Math.max(beta.dims.length, gamma.dims.length);
  const spread = ({ dims, values }: Param): Spread => ({
    dims: [...new Array<number>(rank - dims.length).fill(1), ...dims],
    data: values(),
  });
  const { dims, data } = combine(spread(beta), spread(gamma), (b, g) => b / g);
  return { ...beta, dims, mixed: true, values: () => data.slice() };
}
