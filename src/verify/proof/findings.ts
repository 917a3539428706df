/** What a walk over the second file found, place by place, and the proof it comes to. */
import type { GraphNode } from "../../graph/view.ts";
import type { Proof, RegionProof } from "../types.ts";
import type { Side } from "./classes.ts";
import { type Budget, type Claim, Effects, type Weighed } from "./effect.ts";
import type { Suspicion } from "./relation.ts";
import type { Misfit } from "./rows.ts";

/** What is said of a node beside its outcome. */
export interface Remark {
  readonly worst?: number;
  readonly coefficients?: number;
  readonly reason?: string;
  readonly misfit?: Misfit;
  /** What a place that differs says of a value; without one it is a difference whatever it does. */
  readonly claim?: Claim;
}

export class Findings {
  private readonly found = new Map<GraphNode, RegionProof | "identical">();
  /** What the outputs did, and operators nobody can run. */
  private readonly faces: RegionProof[] = [];
  private readonly claims = new Map<RegionProof, Claim>();
  /** What places that are not decided say for certain: that a number is another one, whatever comes of it. */
  private readonly contradictions = new Map<RegionProof, Claim | undefined>();
  /** Those after a place that is not decided: what their operators should be given was not shown. */
  private readonly uncertain = new Set<RegionProof>();

  of(node: GraphNode): RegionProof | "identical" | undefined {
    return this.found.get(node);
  }

  identical(node: GraphNode): void {
    this.found.set(node, "identical");
  }

  /** Takes back what trials said of a node. */
  restore(node: GraphNode, before: RegionProof): void {
    this.found.set(node, before);
  }

  note(node: GraphNode, outcome: RegionProof["outcome"], { worst, coefficients, reason, misfit, claim }: Remark): void {
    const value = node.outputs.find((v) => v !== undefined)?.name ?? "";
    const region: RegionProof = {
      outcome,
      nodes: [node.record.name || value],
      value,
      worstHalfUlps: worst ?? 0,
      coefficients: coefficients ?? 0,
      ...(reason !== undefined ? { reason } : {}),
      ...(misfit !== undefined ? { at: misfit } : {}),
    };
    this.found.set(node, region);
    if (claim !== undefined) this.claims.set(region, claim);
  }

  face(region: RegionProof, claim?: Claim): void {
    this.faces.push(region);
    if (claim !== undefined) this.claims.set(region, claim);
  }

  /** Digits that the first file loses at a place of its own: a run in float64 has them all. */
  lost(region: RegionProof): void {
    this.faces.push(region);
    this.contradictions.set(region, undefined);
  }

  /** Says of a node that was noted that one thing about it is certain. */
  contradict(node: GraphNode, claim: Claim | undefined, uncertain: boolean): void {
    const region = this.found.get(node) as RegionProof;
    this.contradictions.set(region, claim);
    if (uncertain) this.uncertain.add(region);
  }

  /** The numbers of an operator that was taken for right are what differs. */
  accuse(node: GraphNode, { misfit, member }: Suspicion, claim: Claim): void {
    const known = this.found.get(node);
    if (known !== undefined && known !== "identical" && known.outcome === "different") {
      // What it was taken to be meant for was a guess; now it is known.
      const before = this.claims.get(known);
      if (before?.value === claim.value && "node" in before.actual) this.claims.set(known, { ...before, target: claim.target });
      return;
    }
    this.note(node, "different", { reason: `${node.label} does not give "${member.value.name}"`, misfit, claim });
  }

  /**
   * True once it pays to take the second file for the first, what is *equal* being so either way: the first has zeros for what the second
   * has numbers of, a channel it does without, to be lost by a later gain of zero in the second; or the first `isPlainer`, and
   * something is open. Never where something else speaks against the second.
   */
  mayBeTurned(isPlainer: boolean): boolean {
    const open = this.regions().filter((r) => r.outcome !== "equal");
    return (
      open.some(({ at }) => isPlainer || at?.expected === 0) &&
      open.every(({ outcome, at }) => outcome !== "different" || at !== undefined)
    );
  }

  /** True when some operator was not shown equal. */
  get isOpen(): boolean {
    return [...this.found.values()].some((r) => r !== "identical" && r.outcome !== "equal");
  }

  private regions(): RegionProof[] {
    return [...[...this.found.values()].filter((r) => r !== "identical"), ...this.faces];
  }

  proof(regions: readonly RegionProof[] = this.regions()): Proof {
    const outcome = regions.some((r) => r.outcome === "different")
      ? "different"
      : regions.some((r) => r.outcome === "not-decided")
        ? "not-decided"
        : "equal";
    return { outcome, regions, identicalNodes: this.found.size - regions.length + this.faces.length };
  }

  /** The proof once the places that differ have been asked to show it. */
  settled(a: Side, b: Side, budget: Budget): Proof {
    return this.proof(this.doubted(a, b, budget));
  }

  /** Places that differ stay so when one of them can be shown to; else whoever was asked is not decided. */
  private doubted(a: Side, b: Side, budget: Budget): readonly RegionProof[] {
    const regions = this.regions();
    const different = regions.filter((region) => region.outcome === "different");
    const claims = different.map((region) => this.claims.get(region));
    if (claims.includes(undefined)) return regions;
    const others = [...this.contradictions].filter(([region]) => regions.includes(region));
    if (different.length + others.length === 0) return regions;
    const effects = new Effects(
      a,
      b,
      [...claims, ...others.map(([, claim]) => claim)].filter((c) => c !== undefined),
      budget,
    );
    const open = new Map<RegionProof, Weighed>();
    for (const [i, region] of different.entries()) {
      const weighed = effects.weigh(claims[i] as Claim);
      open.set(region, weighed);
      if (weighed.outcome === "shown") return regions.map((r) => doubted(r, open.get(r)));
    }
    const hidden = new Set(different.filter((region) => open.get(region)?.outcome !== "made-up-for"));
    for (const [region, claim] of others) {
      const { outcome } = claim === undefined ? UNKNOWN : effects.weigh(claim);
      // After a place that is not decided nobody knows what its operator should be given.
      const certain = !this.uncertain.has(region);
      if (outcome === "unreached" || (outcome !== "made-up-for" && certain)) hidden.add(region);
    }
    return regions.map((region) => {
      const made = doubted(region, open.get(region));
      return hidden.has(region) ? { ...made, hidden: true } : made;
    });
  }
}

const UNKNOWN: Weighed = { outcome: "unknown" };

const doubted = (region: RegionProof, weighed: Weighed | undefined): RegionProof =>
  weighed?.because === undefined
    ? region
    : { ...region, outcome: "not-decided", reason: `${region.reason}, but ${weighed.because}` };
