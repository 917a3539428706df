/**
 * Dimensions that may be symbols: a number, or a product of a number and named unknowns ("2·N·H"). Enough to prove that a
 * Reshape neither mixes nor splits an axis when the batch is dynamic. Anything that is not a product becomes a fresh symbol
 * named after the expression, so that equal computations stay equal.
 */
export interface Product {
  readonly factor: number;
  /** Sorted symbol names, repeated for powers. */
  readonly symbols: readonly string[];
}

export type Dim = number | Product;
export type Shape = readonly Dim[];

export const symbol = (name: string): Dim => ({ factor: 1, symbols: [name] });

const parts = (d: Dim): Product => (typeof d === "number" ? { factor: d, symbols: [] } : d);

function make(factor: number, symbols: string[]): Dim {
  return symbols.length === 0 || factor === 0 ? factor : { factor, symbols };
}

export function multiply(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a * b;
  const [p, q] = [parts(a), parts(b)];
  return make(p.factor * q.factor, [...p.symbols, ...q.symbols].sort());
}

export const product = (shape: Shape): Dim => shape.reduce<Dim>(multiply, 1);

/** a / b when that is exact for every value of the symbols, else undefined. */
export function divide(a: Dim, b: Dim): Dim | undefined {
  const [p, q] = [parts(a), parts(b)];
  if (q.factor === 0 || p.factor % q.factor !== 0) return undefined;
  const left = [...p.symbols];
  for (const s of q.symbols) {
    const at = left.indexOf(s);
    if (at < 0) return undefined;
    left.splice(at, 1);
  }
  return make(p.factor / q.factor, left);
}

/** True when the two are equal for every value of the symbols. */
export function sameDim(a: Dim | undefined, b: Dim | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  if (typeof a === "number" || typeof b === "number") return a === b;
  return a.factor === b.factor && a.symbols.length === b.symbols.length && a.symbols.every((s, i) => s === b.symbols[i]);
}

export const sameShape = (a: Shape | undefined, b: Shape | undefined): boolean =>
  a !== undefined && b !== undefined && a.length === b.length && a.every((d, i) => sameDim(d, b[i]));

/** Text of a dimension, for messages and for naming derived symbols. */
export const dimText = (d: Dim): string =>
  typeof d === "number" ? String(d) : (d.factor === 1 ? [] : [String(d.factor)]).concat(d.symbols).join("·");

/** A dimension computed by a formula that is not a product: exact for numbers, else a symbol named after the formula. */
export function derived(name: string, inputs: readonly Dim[], formula: (...values: number[]) => number): Dim {
  if (inputs.every((d) => typeof d === "number")) return formula(...(inputs as number[]));
  return symbol(`${name}(${inputs.map(dimText).join(",")})`);
}
