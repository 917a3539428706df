import { type Dim, dimText } from "../../src/graph/dims.ts";

/** Sizes a symbol may not contradict: one size per symbol in one run. */
export function contradiction(shape: readonly Dim[], dims: readonly number[], known: Map<string, number>): string | undefined {
  if (shape.length !== dims.length) return `rank ${shape.length} instead of ${dims.length}`;
  for (const [i, d] of shape.entries()) {
    if (typeof d === "number") {
      if (d !== dims[i]) return `axis ${i} is ${d} instead of ${dims[i]}`;
      continue;
    }
    const rest = d.symbols.filter((s) => !known.has(s));
    const factor = d.symbols.reduce((n, s) => n * (known.get(s) ?? 1), d.factor);
    if (rest.length === 0 && factor !== dims[i]) return `axis ${i} is ${dimText(d)} = ${factor} instead of ${dims[i]}`;
    if (rest.length === 1) known.set(rest[0], dims[i] / factor);
  }
  return undefined;
}
