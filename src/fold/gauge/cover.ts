/**
 * The smallest set that meets every one of some sets: which candidates have to stay so that no conflict is left. Branch and bound:
 * disjoint conflicts that are not met yet each cost one more.
 */

/** Steps before the best found so far is taken. */
const MOST = 20_000;

/** @returns A set that meets all `cores`, the smallest one where the search came to its end; `least` is never above the smallest. */
export function hittingSet(cores: readonly ReadonlySet<number>[]): { readonly set: Set<number>; readonly exact: boolean } {
  let best = greedy(cores);
  let steps = 0;
  const search = (chosen: Set<number>, spared: Set<number>): void => {
    if (++steps > MOST) return;
    // What is left of a conflict with one element that may still be chosen is chosen.
    const taken = new Set(chosen);
    for (let again = true; again; ) {
      again = false;
      for (const core of cores) {
        if (meets(core, taken)) continue;
        const open = [...core].filter((x) => !spared.has(x));
        if (open.length === 0) return;
        if (open.length > 1) continue;
        taken.add(open[0]);
        again = true;
      }
    }
    const left = cores.filter((core) => !meets(core, taken));
    if (left.length === 0) {
      if (taken.size < best.size) best = taken;
      return;
    }
    if (taken.size + packing(left) >= best.size) return;
    const x = busiest(left, spared);
    search(taken, new Set(spared).add(x));
    search(new Set(taken).add(x), spared);
  };
  search(new Set(), new Set());
  return { set: best, exact: steps <= MOST };
}

const meets = (core: ReadonlySet<number>, chosen: ReadonlySet<number>): boolean => {
  for (const x of core) if (chosen.has(x)) return true;
  return false;
};

/** How many of the conflicts are disjoint, taken one after the other: none more can be met by one element. */
export function packing(cores: readonly ReadonlySet<number>[]): number {
  const used = new Set<number>();
  let count = 0;
  for (const core of cores) {
    if (meets(core, used)) continue;
    for (const x of core) used.add(x);
    count++;
  }
  return count;
}

function busiest(cores: readonly ReadonlySet<number>[], spared: ReadonlySet<number>): number {
  const counts = new Map<number, number>();
  let [best, most] = [-1, 0];
  for (const core of cores) {
    for (const x of core) {
      if (spared.has(x)) continue;
      const count = (counts.get(x) ?? 0) + 1;
      counts.set(x, count);
      if (count > most) [best, most] = [x, count];
    }
  }
  return best;
}

function greedy(cores: readonly ReadonlySet<number>[]): Set<number> {
  const chosen = new Set<number>();
  for (;;) {
    const left = cores.filter((core) => !meets(core, chosen));
    if (left.length === 0) return chosen;
    chosen.add(busiest(left, chosen));
  }
}
