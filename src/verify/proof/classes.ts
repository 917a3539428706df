/**
 * The first file, sorted into classes: every value is a diagonal affine map of a core, α = scale ⊙ core + shift. Constant
 * affine operators (batch normalizations among them), Identity and inference Dropout make members of their input's class;
 * any other operator makes new cores. All coefficients are float64, computed from the file's bytes.
 */
import { every, map, plus, type Spread, times, uniform } from "../../affine/spread.ts";
import { candidateOf } from "../../fold/candidates.ts";
import { Constants } from "../../fold/constants.ts";
import { Draft } from "../../fold/draft.ts";
import { Facts } from "../../graph/facts.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../../graph/view.ts";
import type { Model } from "../../onnx/records.ts";
import { ruleOf } from "../../rules/index.ts";
import { isRefused } from "../../rules/types.ts";
import { handedOn } from "./lost.ts";
import { normMap } from "./norms.ts";

/** y = scale ⊙ x + shift; `magnitude` is Σ|terms| that went into each shift, what its rounding is measured against. */
export interface AffineMap {
  readonly scale: Spread;
  readonly shift: Spread;
  readonly magnitude: Spread;
}

export interface Member extends AffineMap {
  readonly value: GraphValue;
}

export interface Core {
  readonly value: GraphValue;
  readonly members: Member[];
  /** Operators of the first file that read a member and are not affine themselves. */
  readonly readers: GraphNode[];
}

export const identityMap = (rank: number): AffineMap => ({
  scale: uniform(rank, 1),
  shift: uniform(rank, 0),
  magnitude: uniform(rank, 0),
});

const abs = (s: Spread): Spread => map(s, Math.abs);

/** First `inner`, then `outer`. */
export const composeMaps = (outer: AffineMap, inner: AffineMap): AffineMap => ({
  scale: times(outer.scale, inner.scale),
  shift: plus(times(outer.scale, inner.shift), outer.shift),
  magnitude: plus(times(abs(outer.scale), inner.magnitude), outer.magnitude),
});

/** One file with all that is known of it. */
export interface Side {
  readonly view: GraphView;
  readonly facts: Facts;
  readonly constants: Constants;
}

export function sideOf(model: Model): Side {
  const view = viewOf(model);
  const facts = new Facts(view);
  return { view, facts, constants: new Constants(view, facts) };
}

/** The affine map an operator is, with the input it maps; undefined when it is something else. */
export function affineOf(side: Side, node: GraphNode): { input: number; map: AffineMap } | undefined {
  const { facts, constants } = side;
  const rank = facts.rank(node.inputs[0]);
  if (node.domain === "" && (node.opType === "Identity" || node.opType === "Dropout") && rank !== undefined) {
    const passes = ruleOf(node.opType)?.backShift?.(new Draft(facts, constants).at(node), [uniform(rank, 1)]);
    return passes === undefined || isRefused(passes) ? undefined : { input: 0, map: identityMap(rank) };
  }
  const found = candidateOf(node, facts, constants);
  if (found === undefined || "refusal" in found || !found.proven) return undefined;
  const { scale, shift } = found;
  return { input: found.input, map: { scale, shift, magnitude: magnitudeOf(node, scale, shift, constants) } };
}

/** |β| + |μ·s| for a batch normalization, |t| otherwise. */
function magnitudeOf(node: GraphNode, scale: Spread, shift: Spread, constants: Constants): Spread {
  if (node.opType !== "BatchNormalization" || shift.data.length !== scale.data.length) return map(shift, Math.abs);
  const beta = node.inputs[2] && constants.param(node.inputs[2]);
  if (beta === undefined || isRefused(beta)) return map(shift, Math.abs);
  const b = beta.values();
  return b.length === shift.data.length
    ? { dims: shift.dims, data: shift.data.map((t, c) => Math.abs(b[c]) + Math.abs(t - b[c])) }
    : map(shift, Math.abs);
}

export class Classes {
  private readonly known = new Map<GraphValue, AffineMap & { core: Core }>();
  /** γ and β of what normalizations by statistics of the data make. */
  private readonly norms = new Map<GraphValue, AffineMap>();
  /** Those of them with a gain of zero. */
  private readonly lost = new Set<GraphValue>();
  private readonly handing = new Set<GraphNode>();

  /** @param followLost Whether channels that a gain of zero loses have cores of their own: a second look, where the first fails. */
  constructor(
    readonly side: Side,
    private readonly followLost = false,
  ) {
    const { view, constants } = side;
    for (const scope of view.scopes) {
      for (const value of scope.values.values()) if (value.producer === undefined && !constants.has(value)) this.start(value);
    }
    const seen = new Map<string, GraphNode>();
    for (const node of view.nodes) {
      if (node.outputs.every((value) => value === undefined || constants.has(value))) continue;
      const affine = affineOf(side, node);
      const from = affine && this.known.get(node.inputs[affine.input] as GraphValue);
      const out = node.outputs[0];
      if (affine !== undefined && from !== undefined && out !== undefined) {
        const made = composeMaps(affine.map, from);
        this.known.set(out, { ...made, core: from.core });
        from.core.members.push({ ...made, value: out });
        continue;
      }
      const twin = this.twin(node, seen);
      const norm = this.norm(node);
      const on = this.followLost && norm === undefined ? handedOn(side, node, (value) => this.known.get(value)) : undefined;
      if (on !== undefined) this.handing.add(node);
      for (const [i, value] of node.outputs.entries()) {
        if (value === undefined) continue;
        const same = twin?.outputs[i];
        if (same !== undefined) this.known.set(value, this.known.get(same) as AffineMap & { core: Core });
        else this.start(value, i === 0 && this.lost.has(value) ? norm : on?.[i]);
      }
      if (twin !== undefined) continue;
      const cores = new Set(node.inputs.map((value) => value && this.known.get(value)?.core));
      for (const core of cores) core?.readers.push(node);
    }
  }

  /** Gain and shift of the normalization by statistics of the data that makes a value. */
  normOf(value: GraphValue | undefined): AffineMap | undefined {
    return value && this.norms.get(value);
  }

  /** True where the core is what the normalization makes without them. */
  isLost(value: GraphValue): boolean {
    return this.lost.has(value);
  }

  /** True when some normalization has a gain of zero, or some map has one that is handed on. */
  get hasLost(): boolean {
    return this.lost.size + this.handing.size > 0;
  }

  private norm(node: GraphNode): AffineMap | undefined {
    const [value] = node.outputs;
    const found = value && normMap(this.side, node);
    if (found === undefined) return undefined;
    const lost = !every(found.scale, (v) => v !== 0);
    if (lost && !this.followLost) return undefined;
    this.norms.set(value as GraphValue, found);
    if (lost) this.lost.add(value as GraphValue);
    return found;
  }

  /** True for an operator whose outputs have for cores what it makes of the core of its input. */
  isHanding(node: GraphNode): boolean {
    return this.handing.has(node);
  }

  of(value: GraphValue): (AffineMap & { core: Core }) | undefined {
    return this.known.get(value);
  }

  /** A core with its first member: the value itself, or the map of the core that the value is. */
  private start(value: GraphValue, own?: AffineMap): void {
    const map = own ?? identityMap(this.side.facts.rank(value) ?? 0);
    const core: Core = { value, members: [{ ...map, value }], readers: [] };
    this.known.set(value, { ...map, core });
  }

  /** An earlier node that computes the very same thing: same operator, attributes and input values. */
  private twin(node: GraphNode, seen: Map<string, GraphNode>): GraphNode | undefined {
    if (node.bodies.length > 0 || node.record.attributes.size > 12 || node.outputs.length > 1) return undefined;
    const attributes: string[] = [];
    for (const a of node.record.attributes.values()) {
      if (a.t !== undefined || a.refAttrName !== "") return undefined;
      attributes.push(`${a.name}=${a.f},${a.i},${a.s},${a.ints},${a.floats}`);
    }
    if (/^(Random|Bernoulli|Multinomial)/.test(node.opType)) return undefined;
    const key = `${node.scope.path}|${node.domain}:${node.opType}|${attributes.sort()}|${node.record.inputs.join("\u0000")}`;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, node);
    return first;
  }
}
