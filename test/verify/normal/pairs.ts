/** Two ways of writing, which the proof has to know as one, and what only looks like one of them: as the executor finds them on probes. */
import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../../src/diag/error.ts";
import { versionsOf } from "../../../src/graph/schemas.ts";
import type { DType } from "../../../src/onnx/dtype.ts";
import type { Model } from "../../../src/onnx/records.ts";
import { allocate, asFloat64, type Tensor } from "../../../src/onnx/tensor.ts";
import { createSession } from "../../../src/run/session.ts";
import { movedForm, normalForms } from "../../../src/verify/proof/normal.ts";
import { prove } from "../../../src/verify/proof.ts";
import { type ModelSpec, model, type NodeSpec, type TensorSpec, type ValueSpec } from "../../helpers/build.ts";

export type Pair = readonly [ModelSpec, ModelSpec];

export const MICROSOFT = { opsets: { "": 21, "com.microsoft": 1 } };
export const microsoft = { domain: "com.microsoft" };

export const net = (
  inputs: readonly ValueSpec[],
  nodes: readonly NodeSpec[],
  initializers: Record<string, TensorSpec> = {},
  more: Partial<ModelSpec> = MICROSOFT,
): ModelSpec => ({ nodes: [...nodes], initializers, inputs: [...inputs], outputs: [{ name: "y" }], ...more });

export const series = (n: number, step = 7): number[] => Array.from({ length: n }, (_, i) => (((i + 1) * step) % 13) / 4 - 1.5);

const outcome = ([a, b]: Pair) => prove(model(a), model(b)).outcome;

/** Sizes nobody gave. */
const SIZE = 5;

/** Numbers of either sign, none of them alike and some of them large, as an input may have them. */
function probe({ name, dtype = "float32", dims = [] }: ValueSpec): readonly [string, Tensor] {
  const sizes = dims.map((d) => (typeof d === "number" ? d : SIZE));
  const data = allocate(
    dtype as DType,
    sizes.reduce((n, d) => n * d, 1),
  );
  for (let i = 0; i < data.length; i++) {
    const real = (i % 5 === 4 ? 40 : 2) * Math.sin(1 + 1.7 * i + 0.37 * i * i);
    data[i] = data instanceof BigInt64Array ? BigInt(i % 3) : dtype.startsWith("float") ? real : i % 5;
  }
  return [name, { dtype: dtype as DType, dims: sizes, data }];
}

/** What a model makes of probes; undefined where it has an operator that the executor does not know. */
function run(
  made: Model,
  { inputs = [], outputs = [], initializers = {} }: ModelSpec,
  fed: readonly (readonly [string, Tensor])[] = [],
): readonly Tensor[] | undefined {
  if (made.graph.nodes.some(({ domain, opType }) => domain !== "" || opType.startsWith("Simplified"))) return undefined;
  const given = inputs.filter(({ name }) => initializers[name] === undefined);
  const found = createSession(made, { mode: "float64" }).run(new Map([...given.map(probe), ...fed]));
  return outputs.map(({ name }) => found.get(name) as Tensor);
}

/** Constants of two files may each be rounded to float32. */
const ROUNDED = 1e-5;

const isClose = (p: readonly Tensor[], q: readonly Tensor[]): boolean => p.every((one, i) => isNear(one, q[i]));

function isNear(p: Tensor, q: Tensor): boolean {
  if (p.dtype !== q.dtype || p.dims.join() !== q.dims.join()) return false;
  const [v, w] = [asFloat64(p), asFloat64(q)];
  return v.every((e, i) => Object.is(e, w[i]) || Math.abs(e - w[i]) <= ROUNDED * Math.max(1, Math.abs(e)));
}

/** True where a probe shows two models to differ, or one of them cannot be run at all. */
function differ([a, b]: Pair): boolean {
  try {
    const [p, q] = [run(model(a), a), run(model(b), b)];
    return p === undefined || q === undefined || !isClose(p, q);
  } catch (error) {
    if (error instanceof BnfoldError) return true;
    throw error;
  }
}

/**
 * What ONNX's schemas do not give a node of the model's operator set: attributes, or more inputs than there are. Constants have had
 * lists of numbers since opset 12 only, and have them here always.
 */
export function unknownTo(made: Model): string[] {
  const opset = made.opsets.get("") ?? 0;
  return made.graph.nodes.flatMap(({ domain, opType, inputs, attributes }) => {
    const schema = versionsOf(domain, opType).findLast(({ since }) => since <= opset);
    if (domain !== "" || opType === "Constant") return [];
    if (schema === undefined) return [opType];
    const many = schema.inputs.some(({ option }) => option === "variadic") || inputs.length <= schema.inputs.length;
    const names = [...attributes.keys()].filter((name) => !schema.attributes.has(name));
    return [...(many ? [] : [`${opType} of ${inputs.length}`]), ...names.map((name) => `${opType}.${name}`)];
  });
}

/** Both files in their normal forms, by what only one of them writes, by all there is and by their cores, compute what they did. */
function expectKept(specs: Pair): void {
  const [a, b] = specs.map((spec) => model(spec));
  const whole = normalForms(a, b, true);
  for (const forms of [normalForms(a, b), whole, whole.map(movedForm)]) {
    for (const [i, form] of forms.entries()) {
      const known = unknownTo(model(specs[i]));
      expect(unknownTo(form).filter((what) => !known.includes(what))).toEqual([]);
      const [was, is] = [run(model(specs[i]), specs[i]), run(form, specs[i])];
      if (was !== undefined && is !== undefined) expect(isClose(was, is)).toBe(true);
    }
  }
}

/** Both files with `name` an input of theirs, where it was a constant of one of them. */
const without = ([a, b]: Pair, name: string, spec: TensorSpec): Pair =>
  [a, b].map(({ inputs = [], initializers = {}, ...rest }) => ({
    ...rest,
    inputs: [...inputs, { name, dtype: spec.dtype, dims: spec.dims }],
    initializers: Object.fromEntries(Object.entries(initializers).filter(([own]) => own !== name)),
  })) as unknown as Pair;

/** Both files as if nobody knew sizes, or ranks. */
const untold = ([a, b]: Pair, ranks: boolean): Pair =>
  [a, b].map((spec) => ({
    ...spec,
    inputs: spec.inputs?.map(({ dims, ...rest }) => (ranks ? { ...rest, dims: dims?.map((_, i) => `${rest.name}${i}`) } : rest)),
  })) as unknown as Pair;

/** Other numbers of the type of a constant, among which there are likely to be such as fit its place. */
function others({ dtype, dims, values }: TensorSpec): Tensor[] {
  const list = Array.from(values as ArrayLike<number | bigint>, Number);
  const of = (next: (v: number, i: number) => number): Tensor => {
    const data = allocate(dtype as DType, list.length);
    for (let i = 0; i < data.length; i++) data[i] = typeof data[i] === "bigint" ? BigInt(next(list[i], i)) : next(list[i], i);
    return { dtype: dtype as DType, dims, data };
  };
  return [of((_, i) => list[list.length - 1 - i]), of((v, i) => v + (i % 2 === 0 ? 1 : -1)), of((v) => v + 1)];
}

/** Constants of a pair that are tried as inputs. */
const MOST = 4;

/** What is called equal with less known of it computes the same all the same. */
function expectSoundWithLess(pair: Pair): void {
  const [a, b] = pair;
  for (const ranks of [true, false]) {
    if (outcome(untold(pair, ranks)) !== "equal") continue;
    const [p, q] = pair.map((spec) => run(model(spec), spec));
    if (p !== undefined && q !== undefined) expect(isClose(p, q)).toBe(true);
  }
  const read = new Set([a, b].flatMap(({ nodes }) => nodes.flatMap(({ inputs }) => inputs)));
  const constants = Object.entries({ ...a.initializers, ...b.initializers }).filter(([name]) => read.has(name));
  for (const [name, spec] of constants.slice(0, MOST)) {
    const less = without(pair, name, spec);
    if (outcome(less) !== "equal") continue;
    for (const fed of others(spec)) {
      try {
        const [p, q] = less.map((one) => run(model(one), one, [[name, fed]]));
        if (p !== undefined && q !== undefined) expect(isClose(p, q), name).toBe(true);
      } catch (error) {
        if (!(error instanceof BnfoldError)) throw error;
      }
    }
  }
}

export function judge(family: string, same: Readonly<Record<string, Pair>>, unequal: Readonly<Record<string, Pair>>): void {
  describe(family, () => {
    it.each(Object.entries(same))("%s", (_name, [a, b]) => {
      expect(outcome([a, b])).toBe("equal");
      expect(outcome([b, a])).toBe("equal");
      const [p, q] = [run(model(a), a), run(model(b), b)];
      if (p !== undefined && q !== undefined) expect(isClose(p, q)).toBe(true);
      expectKept([a, b]);
      expectSoundWithLess([a, b]);
    });
    it.each(Object.entries(unequal))("%s is not the same", (_name, [a, b]) => {
      expect(outcome([a, b])).not.toBe("equal");
      expect(outcome([b, a])).not.toBe("equal");
      expect(differ([a, b])).toBe(true);
      expectSoundWithLess([a, b]);
    });
  });
}
