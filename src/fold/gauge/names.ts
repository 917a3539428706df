/**
 * A node that goes makes one value of its input and its output. Of the values that become one at most one may have a name that has
 * to stay: an output of a graph, what comes from outside, what an annotation or a training binding names.
 */
import type { GraphValue } from "../../graph/view.ts";
import type { Mover } from "../../laws/movers.ts";

export class Names {
  private readonly parent: number[] = [];
  /** Of a root: whether its class holds a name that has to stay. */
  private readonly held: boolean[] = [];
  private readonly ends: readonly (readonly [number, number])[];
  private readonly log: { readonly low: number; readonly high: number; readonly held: boolean; readonly k: number }[] = [];

  constructor(movers: readonly Mover[]) {
    const ids = new Map<GraphValue, number>();
    const id = (value: GraphValue): number => {
      const known = ids.get(value);
      if (known !== undefined) return known;
      ids.set(value, this.parent.length);
      this.parent.push(this.parent.length);
      this.held.push(value.isOutput || value.isAnnotated || value.isBound || value.producer === undefined);
      return this.parent.length - 1;
    };
    this.ends = movers.map(({ found: { node, input } }) => [
      id(node.inputs[input] as GraphValue),
      id(node.outputs[0] as GraphValue),
    ]);
  }

  mark(): number {
    return this.log.length;
  }

  undo(mark: number): void {
    while (this.log.length > mark) {
      const { low, high, held } = this.log.pop() as (typeof this.log)[number];
      this.parent[low] = low;
      this.held[high] = held;
    }
  }

  /** Makes one value of the two of candidate k; the candidates whose values then had two names that stay. */
  join(k: number): Set<number> | undefined {
    const [p, q] = this.ends[k].map((x) => this.find(x));
    if (this.held[p] && this.held[q]) {
      const before = this.log.filter((entry) => [p, q].includes(this.find(entry.low)));
      return new Set([...before.map((entry) => entry.k), k]);
    }
    this.log.push({ low: q, high: p, held: this.held[p], k });
    this.parent[q] = p;
    this.held[p] ||= this.held[q];
    return undefined;
  }

  private find(x: number): number {
    let root = x;
    while (this.parent[root] !== root) root = this.parent[root];
    return root;
  }
}
