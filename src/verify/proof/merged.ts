/**
 * A linear region of the second file against one of the first. The value the second file makes, followed back to values that
 * are related already, and the first file's value of the same name, followed back to values of the same classes, are sums of
 * linear maps of the cores of those classes; core by core both are laid out over the same taps and compared coefficient by
 * coefficient.
 */
import {
  add,
  affine,
  common,
  compose,
  identity,
  isMisfit,
  type Layout,
  type LinearMap,
  rowsOver,
  unbiased,
} from "../../affine/linear-map.ts";
import { combine, type Spread, simplify } from "../../affine/spread.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { Draft } from "../../laws/draft.ts";
import { type Axes, type Expression, mayBeLinear, Reader, type Surroundings } from "../../laws/region.ts";
import { STORAGE_FLOATS } from "../../onnx/dtype.ts";
import { vectorOn } from "../../rules/params.ts";
import { isRefused, type Param } from "../../rules/types.ts";
import { type AffineMap, affineOf, type Classes, type Core, type Side } from "./classes.ts";
import type { StoredRows } from "./fit.ts";
import { inverse, isExact, type Relation } from "./relation.ts";
import type { Rows } from "./rows.ts";

export interface MergedPair {
  /** The first file's value the region computes. */
  readonly value: GraphValue;
  readonly rows: Rows;
  readonly stored: StoredRows;
}

/** Operators in one region; also bounds how deep and how often a shared value is unfolded. */
const LIMIT = 512;

/** True when what a node makes may be part of a larger linear region: only one other linear operator reads it. */
export function leadsOn(side: Side, node: GraphNode): boolean {
  const [value, ...rest] = node.outputs;
  if (!mayBeLinear(node) || rest.length > 0 || value === undefined || value.isOutput || value.uses.length !== 1) return false;
  const [{ node: reader }] = value.uses;
  return reader.scope === node.scope && isLinear(side, reader);
}

const isLinear = (side: Side, node: GraphNode): boolean => mayBeLinear(node) || affineOf(side, node) !== undefined;

function surroundings(side: Side, follow: (value: GraphValue) => boolean): Surroundings {
  const draft = new Draft(side.facts, side.constants);
  return {
    at: (node) => draft.at(node),
    affine: (node) => {
      const found = affineOf(side, node);
      return found && { input: found.input, scale: found.map.scale, shift: found.map.shift };
    },
    follow,
    size: (value, axis) => (side.constants.has(value) ? undefined : side.facts.size(value, axis)),
    rank: (value) => side.facts.rank(value),
  };
}

/** The region of the first file that `node` of the second completes, both as rows over the same taps. */
export function mergedPair(
  a: Side,
  classes: Classes,
  b: Side,
  related: ReadonlyMap<GraphValue, Relation>,
  node: GraphNode,
  foreign: boolean,
): MergedPair | undefined {
  const output = node.outputs[0];
  const value = a.view.scopes.find((scope) => scope.path === node.scope.path)?.values.get(output?.name ?? "");
  if (output === undefined || value === undefined || a.constants.has(value) || !isLinear(b, node)) return undefined;
  for (const axes of ["spatial", "features"] as const) {
    const reading = { axes, eager: true, distributive: true, limit: LIMIT };
    const mine = new Reader(
      surroundings(b, (other) => !related.has(other) && other.producer?.scope === node.scope),
      reading,
    ).made(output);
    const cores = new Set(mine?.terms.map(({ source }) => related.get(source)?.core));
    if (mine === undefined || cores.has(undefined)) continue;
    const around = surroundings(a, (other) => other.producer?.scope === value.scope && !cores.has(classes.of(other)?.core));
    const theirs = new Reader(around, reading).made(value);
    const based =
      theirs &&
      bases(
        mine.terms.map(({ source }) => related.get(source)),
        theirs.terms.map(({ source }) => classes.of(source)),
      );
    const first = theirs && overCores(theirs, axes, (source) => based?.(classes.of(source)));
    const second = overCores(mine, axes, (source) => based?.(related.get(source)));
    const slack = overCores(
      { ...mine, terms: mine.terms.map((term) => ({ ...term, map: unbiased(term.map) })) },
      axes,
      (source) => slackOf(related.get(source), based),
    );
    const layer = mine.terms.flatMap(({ layers }) => layers)[0];
    if (first === undefined || second === undefined || slack === undefined || layer === undefined) continue;
    const terms = mine.terms.map(({ map }) => map);
    const pair = laidOut({ first, second, slack, terms }, { axes, layer, node, foreign }, b, value);
    if (pair !== undefined) return pair;
  }
  return undefined;
}

type Based = (over: (AffineMap & { readonly core: Core }) | Relation | undefined) => Over | undefined;

/**
 * Maps of a core taken as maps of the value the second file really reads, where that is known exactly: a window that pads
 * its input may then see the very tensor it pads. All maps of a core are taken so, or none.
 */
function bases(
  mine: readonly (Relation | undefined)[],
  theirs: readonly ((AffineMap & { readonly core: Core }) | undefined)[],
): Based {
  const base = new Map<Core, Relation>();
  for (const relation of mine)
    if (relation !== undefined && isExact(relation) && !base.has(relation.core)) base.set(relation.core, relation);
  for (const over of [...mine, ...theirs]) {
    const of = over && base.get(over.core);
    if (over !== undefined && of !== undefined && inverse(of, { ...over, magnitude: over.shift }) === undefined)
      base.delete(over.core);
  }
  return (over) => {
    const of = over && base.get(over.core);
    const by = over && of && inverse(of, { ...over, magnitude: over.shift });
    return by === undefined ? over : { core: (over as Over).core, scale: by.scale, shift: by.shift, gain: of?.scale };
  };
}

/** How far a value may be from what its relation says, as a map of what the others are maps of. */
function slackOf(relation: Relation | undefined, based: Based | undefined): Over | undefined {
  const gain = relation && based?.(relation)?.gain;
  if (relation === undefined || gain === undefined)
    return relation && { core: relation.core, scale: relation.slackScale, shift: relation.slackShift };
  // Simple again: a gain along another axis says nothing of a slack of zero.
  const less = (slack: Spread) => simplify(combine(slack, gain, (s, g) => (s === 0 ? 0 : s / Math.abs(g))));
  const shift = combine(relation.slackShift, relation.slackScale, (t, s) => t + s * largest(relation.shift));
  return { core: relation.core, scale: less(relation.slackScale), shift: less(shift) };
}

const largest = (s: Spread): number => s.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);

/** A diagonal map of a core. */
interface Over {
  readonly core: Core;
  readonly scale: Spread;
  readonly shift: Spread;
  /** The gain of the value it is a map of, when that is not the core itself. */
  readonly gain?: Spread;
}

/** A region as one linear map per core; undefined when it starts from something else, or padding would see a shift. */
function overCores(
  { terms }: Expression,
  axes: Axes,
  over: (source: GraphValue) => Over | undefined,
): Map<Core, LinearMap> | undefined {
  const maps = new Map<Core, LinearMap>();
  for (const { source, map } of terms) {
    const from = over(source);
    const rank = from?.scale.dims.length ?? 0;
    const axis = axes === "spatial" ? 1 : rank - 1;
    const s = from && vectorOn(from.scale, axis, map.inputs);
    const t = from && vectorOn(from.shift, axis, map.inputs);
    if (from === undefined || s === undefined || t === undefined) return undefined;
    const plain = s.every((v) => v === 1) && t.every((v) => v === 0);
    const whole = plain ? map : compose(map, affine(identity(map.inputs, map.strides.length), s, t));
    if (isMisfit(whole)) return undefined;
    const known = maps.get(from.core);
    const sum = known === undefined ? whole : add(known, whole);
    if (isMisfit(sum)) return undefined;
    maps.set(from.core, sum);
  }
  return maps;
}

interface Place {
  readonly axes: Axes;
  /** The second file's layer that names the weight. */
  readonly layer: GraphNode;
  readonly node: GraphNode;
  readonly foreign: boolean;
}

interface Maps {
  readonly first: ReadonlyMap<Core, LinearMap>;
  readonly second: ReadonlyMap<Core, LinearMap>;
  /** What the second file's may be off because of what it starts from. */
  readonly slack: ReadonlyMap<Core, LinearMap>;
  /** The second file's before what they start from went into them. */
  readonly terms: readonly LinearMap[];
}

function laidOut(maps: Maps, { axes, layer, node, foreign }: Place, b: Side, value: GraphValue): MergedPair | undefined {
  const cores = [...maps.first.keys()];
  if (cores.length !== maps.second.size || cores.some((core) => !maps.second.has(core))) return undefined;
  const of = (list: ReadonlyMap<Core, LinearMap>): LinearMap[] => cores.map((core) => list.get(core) as LinearMap);
  const [first, second, slack] = [of(maps.first), of(maps.second), of(maps.slack)];
  const layouts: Layout[] = [];
  for (const [i, map] of first.entries()) {
    const layout = common(map, second[i]);
    if (isMisfit(layout)) return undefined;
    layouts.push(layout);
  }
  const at = new Draft(b.facts, b.constants).at(layer);
  const [w, bias] = [at.param(1), at.has(2) ? at.param(2) : undefined];
  const rank = b.facts.rank(node.outputs[0]);
  if (isRefused(w) || rank === undefined) return undefined;
  const names = { weight: w.source?.name ?? "", biasName: nameOf(bias) };
  const rowsOf = (list: readonly LinearMap[]): Rows => ({
    ...names,
    axis: axes === "spatial" ? 1 : rank - 1,
    count: list[0].outputs,
    width: list.reduce((n, map, i) => n + (layouts[i].offsets.length * map.inputs) / layouts[i].groups, 0),
    weights: beside(list, layouts, (map) => map.matrices()),
    bias: summed(list.map((map) => map.bias())),
  });
  const stored = rowsOf(second);
  const biased = second.some((map) => map.biased);
  // Slack is allowed where noise is: 2⁻⁵⁰ of a coefficient's magnitude, 4·2⁻⁵³ (for files of other tools 4·u) of a bias's.
  const unit = foreign ? STORAGE_FLOATS[w.dtype].unitRoundoff : 2 ** -53;
  let known: Float64Array | undefined;
  const magnitude = () => {
    known ??= plus(
      beside(first, layouts, (map) => map.magnitudes()),
      beside(slack, layouts, (map) => map.magnitudes()),
      2 ** 50,
    );
    return known;
  };
  // Each bias that was added up is rounded by its own size, whatever is left of their sum.
  const { unitRoundoff } = STORAGE_FLOATS[w.dtype];
  const sizes = summed(maps.terms.map((map) => map.biasMagnitude()));
  const sums = summed(maps.terms.map((map) => map.bias()));
  const biasOpen = sizes.map((size, o) => unitRoundoff * (size - Math.abs(sums[o])));
  const biasMagnitude = plus(
    summed(first.map((map) => map.biasMagnitude())),
    summed(slack.map((map) => map.biasMagnitude())),
    1 / (4 * unit),
  );
  return {
    value,
    rows: { ...rowsOf(first), magnitude, biasMagnitude },
    stored: { rows: { ...stored, biasOpen }, stored, dtype: w.dtype, biasType: biased ? w.dtype : undefined, node },
  };
}

const nameOf = (param: Param | object | undefined): string =>
  param !== undefined && "source" in param ? ((param as Param).source?.name ?? "") : "";

/** a + factor·b, in a. */
function plus(a: Float64Array, b: Float64Array, factor: number): Float64Array {
  for (let i = 0; i < a.length; i++) a[i] += factor * b[i];
  return a;
}

function summed(list: readonly Float64Array[]): Float64Array {
  const out = new Float64Array(list[0].length);
  for (const one of list) for (let i = 0; i < out.length; i++) out[i] += one[i];
  return out;
}

/** Rows of several maps side by side: [outputs, all their coefficients]. */
function beside(
  maps: readonly LinearMap[],
  layouts: readonly Layout[],
  matrices: (map: LinearMap) => Float64Array[],
): Float64Array {
  const blocks = maps.map((map, i) => rowsOver(map, layouts[i], matrices(map)));
  if (blocks.length === 1) return blocks[0];
  const count = maps[0].outputs;
  const out = new Float64Array(blocks.reduce((n, block) => n + block.length, 0));
  let to = 0;
  for (let o = 0; o < count; o++) {
    for (const block of blocks) {
      const width = block.length / count;
      out.set(block.subarray(o * width, (o + 1) * width), to);
      to += width;
    }
  }
  return out;
}
