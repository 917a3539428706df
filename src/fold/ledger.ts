/** What a plan has done so far: each fold with the operators that absorbed it, and the nodes and constants that are gone. */
import { numberOf, type Spread } from "../affine/spread.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import type { Candidate } from "../laws/candidates.ts";
import { figure, type Success } from "./attempt.ts";
import { bypass } from "./bypass.ts";
import { nodeKey, refOf } from "./describe.ts";
import type { AffineKind, Fold } from "./types.ts";

interface Entry {
  readonly fold: Omit<Fold, "id" | "into">;
  readonly absorbers: readonly GraphNode[];
}

/** What one way or another became of a node: a candidate, or one without a map of its own. */
type Found = Pick<Candidate, "node" | "kind" | "scale" | "shift" | "notes">;

export class Ledger {
  readonly removed: GraphNode[] = [];
  /** Constants that operators which stay no longer read. */
  readonly orphans: GraphValue[] = [];
  private entries: Entry[] = [];

  get length(): number {
    return this.entries.length;
  }

  /** The nodes folded so far that are of a kind. */
  of(kind: AffineKind): Fold["node"][] {
    return this.entries.flatMap(({ fold }) => (fold.kind === kind ? [fold.node] : []));
  }

  /** Enters a fold; the graph stays as it is. */
  enter({ node, kind, scale, shift, notes }: Found, { direction, visited, touched, bits = 0, notes: more = [] }: Success): void {
    const fold = {
      node: refOf(node),
      kind,
      direction,
      through: visited.filter((other) => !touched.has(other)).map(refOf),
      scaleRange: rangeOf(scale),
      shiftRange: rangeOf(shift),
      bitsLost: figure(bits),
      notes: [...notes, ...more],
    };
    this.entries.push({ fold, absorbers: visited.filter((other) => touched.has(other)) });
  }

  /** Enters a fold and takes its node out of the graph, if it does not stay as something else. */
  commit(found: Candidate, success: Success): void {
    const { node, input, kind } = found;
    this.enter(found, success);
    if (kind === "norm") return;
    if (success.stays !== true) {
      bypass(node, input, success.direction);
      this.removed.push(node);
      return;
    }
    for (const value of node.inputs.splice(1)) {
      if (value === undefined) continue;
      value.release();
      this.orphans.push(value);
    }
    // The constant it adds is new: an operand all the same, which whatever crosses the Add has to change.
    node.inputs.push(undefined);
  }

  /** Operators handed on what they had absorbed: `next` says where it is now, the operator itself included if it kept a part. */
  reassign(next: ReadonlyMap<GraphNode, readonly GraphNode[]>): void {
    if (next.size === 0) return;
    this.entries = this.entries.map(({ fold, absorbers }) => ({
      fold,
      absorbers: [...new Set(absorbers.flatMap((node) => next.get(node) ?? [node]))],
    }));
  }

  /** The folds in the order of the graph, in whichever order they were found, each with its absorbers. */
  told(view: GraphView): { folds: Fold[]; absorbers: (readonly GraphNode[])[] } {
    const places = new Map(view.nodes.map((node, i) => [nodeKey(refOf(node)), i]));
    const placeOf = ({ fold }: Entry) => places.get(nodeKey(fold.node)) as number;
    const entries = this.entries.toSorted((a, b) => placeOf(a) - placeOf(b));
    const into = (nodes: readonly GraphNode[]) => nodes.map((node) => ({ node: refOf(node), tensors: [] }));
    return {
      // The order of the fields is that of a report.
      folds: entries.map(({ fold: { scaleRange, shiftRange, bitsLost, notes, ...fold }, absorbers }, i) => {
        return { id: i + 1, ...fold, into: into(absorbers), scaleRange, shiftRange, bitsLost, notes };
      }),
      absorbers: entries.map(({ absorbers }) => absorbers),
    };
  }
}

function rangeOf(spread: Spread): [number, number] {
  const only = numberOf(spread);
  if (only !== undefined) return [only, only];
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const v of spread.data) {
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  return [low, high];
}
