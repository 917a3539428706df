/**
 * A certificate that a model cannot lose more of its affine nodes. A rewrite lets some of them go and changes every value by a gain and
 * a shift, v_old = a ⊙ v_new + b, within one table of laws (docs/gauges.md). Nodes are in conflict when what they ask for and the
 * laws add up to 0 = c: a list of equations with multipliers shows that, and anybody can add them up.
 *
 *   a set whose nodes are pairwise in conflict keeps all of them but one; a node in conflict alone stays; disjoint sets add up
 */

/** Version of the format. */
export const FORMAT = 1;
/** Version of the table of laws: a certificate holds for the table it was made with. */
export const LAWS = 2;

/** An operator of the file. */
export interface Place {
  /** "" for the main graph, else the path of graphs it lies in. */
  readonly scope: string;
  /** Position in the node list of its graph. */
  readonly index: number;
  readonly opType: string;
  readonly name: string;
  /** First output. */
  readonly output: string;
}

/** What equations are about: logarithms of |a|, signs of a, shifts b, or names of values that have to stay. */
export type System = "gain" | "sign" | "shift" | "name";

/** Operator (an index into `nodes`), the place of the equation among those it has, and how often it is taken. */
export type Taken = readonly [node: number, entry: number, times: number];

/** Nodes that cannot all go. Of signs every equation counts once, whatever the multiplier says. */
export interface Conflict {
  readonly nodes: readonly number[];
  readonly system: System;
  /** Equations of laws, which hold in any case. */
  readonly laws: readonly Taken[];
  /** What the nodes ask for when they go. */
  readonly goes: readonly Taken[];
  /** For signs: operators that pass positive gains only. */
  readonly positive: readonly Taken[];
  /** What is left of 0 = c when all are added up. */
  readonly sum: number;
}

/** Nodes of which some stay, whatever is done. Sets of one certificate share no node. */
export interface KeptSet {
  readonly nodes: readonly number[];
  /** How many of them stay at the least. */
  readonly least: number;
  readonly conflicts: readonly Conflict[];
}

/** Why no fewer nodes of a model can stay, in terms anybody can check: docs/certificates.md. */
export interface Certificate {
  readonly format: typeof FORMAT;
  readonly laws: number;
  /** SHA-256 of the model's file, lower-case hexadecimal; null where it was not in a file. */
  readonly sha256: string | null;
  /** The operators spoken of. */
  readonly nodes: readonly Place[];
  /** How many nodes of the model laws allow to go, each for itself or with others. */
  readonly candidates: number;
  /** Of these, the ones a plan leaves, each with its reason. */
  readonly kept: readonly (readonly [node: number, code: string])[];
  /** How many stay at the least: Σ of the sets'. */
  readonly least: number;
  readonly sets: readonly KeptSet[];
  /** Nodes that stay and are no candidates of this table, each with the reason. */
  readonly apart: readonly (readonly [node: number, code: string])[];
  readonly assumptions: readonly string[];
}

/** What a certificate takes for granted, in words. */
export const ASSUMPTIONS: readonly string[] = [
  "Only rewrites of one kind count: nodes y = s·x + t with constants go, every other operator stays and only its constants change, by the laws of docs/gauges.md. No operator is added or copied, branches are not merged; a MatMul of two axes may get a bias.",
  "Gains are not zero; they and shifts are the same over the batch and over space; one number for a whole tensor stays one number.",
  "Real arithmetic: equations are added up in float64 and compared with their rounding. What the guards of precision, range and size keep is listed with its own reason.",
];
