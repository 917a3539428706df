/** What a person writes for an option, on a command line or in a page: patterns of names, sizes of inputs, growth. */
import { BnfoldError } from "../diag/error.ts";
import type { MaxGrowth } from "../fold/growth.ts";

const usage = (message: string, hint?: string): BnfoldError => new BnfoldError("usage", message, {}, hint);

/** A pattern for whole names: `*` is any text, `?` any character. @throws BnfoldError of kind "usage" for an empty one. */
export function nameMatcher(pattern: string): (name: string) => boolean {
  if (pattern === "") throw usage("--only, --skip and --dump need a pattern");
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[\\s\\S]*")
    .replaceAll("?", "[\\s\\S]");
  const expression = new RegExp(`^${source}$`);
  return (name) => expression.test(name);
}

export const anyOf = (patterns: readonly string[]): ((name: string) => boolean) | undefined => {
  const matchers = patterns.map(nameMatcher);
  return matchers.length === 0 ? undefined : (name) => matchers.some((matches) => matches(name));
};

/** Bytes, or a part of the file as `10%`. @throws BnfoldError of kind "usage" when it is neither. */
export function growthIn(given: string): MaxGrowth {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(given) ?? [];
  if (number === undefined) throw usage(`--max-growth is a number of bytes or a part of the file, as 10%, got "${given}"`);
  return percent === "%" ? `${Number(number)}%` : Number(number);
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** Bytes as people write them, such as 500M. @throws BnfoldError of kind "usage" naming the option. */
export function sizeIn(written: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)b?$/i.exec(written);
  if (match === null) throw usage(`${option} is a size such as 500M or 2G, got "${written}"`);
  return Number(match[1]) * UNITS[match[2].toLowerCase()];
}

/**
 * `name=1,3,224,224`. The last "=" counts: names may hold one, sizes do not.
 * @throws BnfoldError of kind "usage" when it is not written so, or `names` has no such input.
 */
export function shapeIn(written: string, names: readonly string[]): [name: string, dims: number[]] {
  const at = written.lastIndexOf("=");
  const known = `Inputs of the model: ${names.join(", ") || "none"}.`;
  if (at <= 0) throw usage(`--shape is written name=1,3,224,224, got "${written}"`, known);
  const [name, sizes] = [written.slice(0, at), written.slice(at + 1)];
  if (!names.includes(name)) throw usage(`--shape: the model has no input "${name}"`, known);
  const scalar = sizes.trim() === "";
  const dims = scalar ? [] : sizes.split(",").map((size) => (/^\s*(-1|\d+)\s*$/.test(size) ? Number(size) : Number.NaN));
  if (!dims.every((dim) => Number.isSafeInteger(dim))) {
    throw usage(`--shape ${name}: expected sizes such as 1,3,224,224, got "${sizes}"`, "-1 leaves an axis open.");
  }
  return [name, dims];
}
