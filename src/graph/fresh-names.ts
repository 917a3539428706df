import type { GraphView } from "./view.ts";

/** The names of a model, whatever bears them, and new ones beside them. */
export class FreshNames {
  private readonly taken = new Set<string>();
  /** Next number to try after a name, so that a thousand copies of one constant do not try a thousand names each. */
  private readonly next = new Map<string, number>();

  /** All values of a model, in whatever scope. */
  static of(view: GraphView): FreshNames {
    const names = new FreshNames();
    for (const scope of view.scopes) for (const name of scope.values.keys()) names.add(name);
    return names;
  }

  add(name: string): void {
    this.taken.add(name);
  }

  /** `base` where nothing is called that, else the first of base_1, base_2, …; it is taken from now on. */
  fresh(base: string): string {
    let name = base;
    let i = this.next.get(base) ?? 1;
    for (; this.taken.has(name); i++) name = `${base}_${i}`;
    this.next.set(base, i);
    this.taken.add(name);
    return name;
  }
}
