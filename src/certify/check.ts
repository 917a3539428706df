/**
 * Checks a certificate of minimality against a model: every equation it takes is formed anew from the file by the table of laws, the
 * sums are added up, and the sets are counted. Nothing is solved for, and nothing of the planner takes part.
 *
 *   a node in conflict alone stays; of nodes pairwise in conflict all but one; else what no smaller choice of nodes meets;
 *   sets that share no node add up
 */
import { finish, type Steps } from "../diag/steps.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { viewOf } from "../graph/view.ts";
import { affinesOf, readingOf } from "../laws/affines.ts";
import { type Laws, laxLaws } from "../laws/laws.ts";
import type { Mover } from "../laws/movers.ts";
import type { EquationKind, Network } from "../laws/wires.ts";
import type { Model } from "../onnx/records.ts";
import { sumOfGains, sumOfShifts, sumOfSigns } from "./sums.ts";
import type { Certificate, Conflict, KeptSet, Place, Taken } from "./types.ts";

/** What checking a certificate found. */
export interface CertificateCheck {
  /** True when all of it is right. */
  readonly holds: boolean;
  /** How many nodes stay at the least, by what is right of it. */
  readonly least: number;
  /** What is wrong, one sentence each. */
  readonly problems: readonly string[];
}

/** Options of `checkCertificate`. */
export interface CertificateCheckOptions {
  /** Treats initializers that are also graph inputs as constants (IR ≥ 4), as the fold did. */
  readonly assumeConstant?: boolean;
}

/** Choices tried for one set whose nodes are not pairwise in conflict. */
const STEPS = 200_000;

/**
 * Checks a certificate; that it speaks of this file (its SHA-256) is for the caller to see.
 * @throws BnfoldError of kind "model" when the graph is broken.
 */
export const checkCertificate = (
  model: Model,
  certificate: Certificate,
  options: CertificateCheckOptions = {},
): CertificateCheck => finish(checkSteps(model, certificate, options));

/** The same in steps. */
export function* checkSteps(
  model: Model,
  certificate: Certificate,
  { assumeConstant }: CertificateCheckOptions,
): Steps<CertificateCheck> {
  const view = viewOf(model);
  const read = readingOf(view, assumeConstant);
  const laws = yield* laxLaws(view, read, affinesOf(view, read));
  return yield* new Checker(view, laws, certificate).run();
}

class Checker {
  private readonly network: Network;
  private readonly laws: ReturnType<Network["byNode"]>;
  private readonly movers: ReadonlyMap<GraphNode, Mover>;
  private readonly nodes: readonly (GraphNode | undefined)[];
  private readonly zeros: ReadonlySet<number>;
  private readonly problems: string[] = [];

  constructor(
    view: GraphView,
    { network, movers }: Laws,
    private readonly certificate: Certificate,
  ) {
    this.network = network;
    this.laws = network.byNode();
    this.zeros = new Set([0, ...network.zeros]);
    this.movers = new Map(movers.filter(({ may }) => may).map((mover) => [mover.found.node, mover]));
    const byKey = new Map(view.nodes.map((node) => [`${node.scope.path}#${node.record.index}`, node]));
    this.nodes = certificate.nodes.map((place) => {
      const node = byKey.get(`${place.scope}#${place.index}`);
      const same = node?.record.opType === place.opType && node.record.name === place.name;
      return same ? node : undefined;
    });
  }

  *run(): Steps<CertificateCheck> {
    const { certificate, movers, problems } = this;
    if (certificate.candidates !== movers.size)
      problems.push(`it counts ${certificate.candidates} candidates, and the model has ${movers.size}`);
    for (const [k] of certificate.kept)
      if (this.mover(k) === undefined) problems.push(`${this.label(k)} is no candidate of this model`);
    const used = new Set<number>();
    let least = 0;
    for (const [i, set] of certificate.sets.entries()) {
      const wrong = this.wrong(set, used);
      for (const k of set.nodes) used.add(k);
      if (wrong === undefined) least += set.least;
      else problems.push(`set ${i}: ${wrong}`);
      yield;
    }
    if (least < certificate.least) problems.push(`it says that ${certificate.least} nodes stay, and shows it of ${least}`);
    return { holds: problems.length === 0, least, problems };
  }

  private node(k: number): GraphNode | undefined {
    return this.nodes[k];
  }

  private mover(k: number): Mover | undefined {
    const node = this.node(k);
    return node && this.movers.get(node);
  }

  private label(k: number): string {
    const { opType, name, output } = this.certificate.nodes[k] as Place;
    return `${opType} "${name || output}"`;
  }

  /** Why a set does not show what it says; undefined where it does. */
  private wrong(set: KeptSet, used: ReadonlySet<number>): string | undefined {
    const own = new Set(set.nodes);
    if (own.size !== set.nodes.length) return "it names a node twice";
    const twice = set.nodes.find((k) => used.has(k));
    if (twice !== undefined) return `${this.label(twice)} is in another set, too`;
    const foreign = set.nodes.find((k) => this.mover(k) === undefined);
    if (foreign !== undefined) return `${this.label(foreign)} is no candidate of this model`;
    for (const conflict of set.conflicts) {
      if (conflict.nodes.length === 0 || conflict.nodes.some((k) => !own.has(k))) return "a conflict names nodes of another set";
      const because = this.unshown(conflict);
      if (because !== undefined) return `${conflict.nodes.map((k) => this.label(k)).join(", ")}: ${because}`;
    }
    return staysOf(set) ? undefined : `its conflicts do not show that ${set.least} of ${set.nodes.length} nodes stay`;
  }

  /** Why the equations of a conflict are no contradiction. */
  private unshown(conflict: Conflict): string | undefined {
    const { nodes, system, laws, goes, positive } = conflict;
    if (goes.some(([k]) => !nodes.includes(k))) return "it uses what another node asks for";
    if (system === "name") return this.namesClash(nodes) ? undefined : "their values have no two names that stay";
    try {
      const left = system === "shift" ? this.shifts(laws, goes) : this.gains(conflict);
      const noted = left !== undefined && (system === "sign" || Math.abs(left - conflict.sum) <= 1e-6 * Math.abs(left));
      if (positive.length > 0 && system !== "sign") return "only signs know of what has to be positive";
      return noted ? undefined : "the equations do not add up to a contradiction";
    } catch (error) {
      if (error instanceof Missing) return error.message;
      throw error;
    }
  }

  private gains({ system, laws, goes, positive }: Conflict): number | undefined {
    const { ratios } = this.network;
    const taken = [
      ...laws.map(([k, entry, times]) => ({ of: ratios[this.at(k, "ratios", entry)], times })),
      ...goes.map(([k, entry, times]) => ({ of: this.asked(k, "ratios", entry), times })),
    ];
    if (system === "gain") return sumOfGains(taken);
    return sumOfSigns(
      taken.map(({ of }) => of),
      positive.map(([k, entry]) => this.network.positive[this.at(k, "positive", entry)]),
    );
  }

  private shifts(laws: readonly Taken[], goes: readonly Taken[]): number | undefined {
    const { rows } = this.network;
    const taken = [
      ...laws.map(([k, entry, times]) => ({ of: rows[this.at(k, "rows", entry)], times })),
      ...goes.map(([k, entry, times]) => ({ of: this.asked(k, "rows", entry), times })),
    ];
    return sumOfShifts(taken, (x) => this.zeros.has(x));
  }

  /** Where an equation of an operator's law lies. */
  private at(k: number, kind: EquationKind, entry: number): number {
    const node = this.node(k);
    const [first, many] = (node && this.laws.get(node)?.[kind]) ?? [0, 0];
    if (entry >= many) throw new Missing(`${this.label(k)} has no such equation`);
    return first + entry;
  }

  private asked<K extends "ratios" | "rows">(k: number, kind: K, entry: number): Mover["demand"][K][number] {
    const list = this.mover(k)?.demand[kind];
    if (list === undefined || entry >= list.length) throw new Missing(`${this.label(k)} asks for no such thing`);
    return list[entry];
  }

  /** Values that become one when all of the nodes go have two names that stay. */
  private namesClash(nodes: readonly number[]): boolean {
    const parent = new Map<GraphValue, GraphValue>();
    const find = (value: GraphValue): GraphValue => {
      let root = value;
      for (let next = parent.get(root); next !== undefined; next = parent.get(root)) root = next;
      return root;
    };
    const values = new Set<GraphValue>();
    for (const k of nodes) {
      const { node, input } = (this.mover(k) as Mover).found;
      const [x, y] = [node.inputs[input] as GraphValue, node.outputs[0] as GraphValue];
      for (const value of [x, y]) values.add(value);
      const [p, q] = [find(x), find(y)];
      if (p !== q) parent.set(p, q);
    }
    const held = [...values].filter((v) => v.isOutput || v.isAnnotated || v.isBound || v.producer === undefined).map(find);
    return new Set(held).size < held.length;
  }
}

/** An equation that the model does not have. */
class Missing extends Error {}

/** True when at least `least` nodes of a set have to stay so that no conflict is left. */
function staysOf({ nodes, least, conflicts }: KeptSet): boolean {
  if (least === 0) return true;
  const sets = conflicts.map((conflict) => new Set(conflict.nodes));
  const pairs = new Set(sets.filter((set) => set.size === 2).map((set) => [...set].sort((p, q) => p - q).join()));
  const all = (nodes.length * (nodes.length - 1)) / 2;
  if (least <= nodes.length - 1 && pairs.size === all) return true;
  let steps = 0;
  /** Whether `more` further nodes can meet every conflict. */
  const canMeet = (chosen: ReadonlySet<number>, more: number): boolean => {
    const left = sets.filter((set) => ![...set].some((k) => chosen.has(k)));
    if (left.length === 0) return true;
    // Conflicts that share no node need one each.
    const met = new Set<number>();
    let apart = 0;
    for (const set of left) {
      if ([...set].some((k) => met.has(k))) continue;
      for (const k of set) met.add(k);
      apart++;
    }
    if (apart > more) return false;
    // What takes too long is not shown.
    if (++steps > STEPS) return true;
    return [...left[0]].some((k) => canMeet(new Set(chosen).add(k), more - 1));
  };
  return !canMeet(new Set(), least - 1);
}
