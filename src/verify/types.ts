/** The verdict as plain data. Constants and evidence: docs/verification.md. */

/** One place where two files differ, reduced on both sides to the same form. */
export interface RegionProof {
  readonly outcome: "equal" | "different" | "not-decided";
  /** Nodes of the second file in this region, by name or first output. */
  readonly nodes: readonly string[];
  /** Value of the first file the region computes. */
  readonly value: string;
  /**
   * Worst coefficient error, in half units in the last place of the storage type (1.01 is the bound for bnfold's own folds). A bias
   * of another tool's file is measured by what the rounding of its row does to an input of one, when that is more.
   */
  readonly worstHalfUlps: number;
  /** Number of coefficients compared. */
  readonly coefficients: number;
  /** Why it is different or not decided. */
  readonly reason?: string;
  /**
   * True of a place that is not decided although one thing is certain: an operator does the same to the same values with other
   * numbers, and nothing was found to make up for it. A run that agrees says nothing of such a place.
   */
  readonly hidden?: boolean;
  /** Where the worst or first wrong coefficient stands. */
  readonly at?: { readonly tensor: string; readonly index: readonly number[]; readonly expected: number; readonly got: number };
}

/** What comparing the constants of both files shows, for all inputs. */
export interface Proof {
  readonly outcome: "equal" | "different" | "not-decided";
  readonly regions: readonly RegionProof[];
  /** Values of the two files matched without any numeric difference. */
  readonly identicalNodes: number;
}

/** An output of a run in both files. */
export interface OutputComparison {
  readonly name: string;
  readonly dtype: string;
  readonly dims: readonly number[];
  /** Largest and root-mean-square difference of the two float64 runs. */
  readonly maxDifference: number;
  readonly rmsDifference: number;
  /** Root-mean-square change that rounding the folded constants alone must make (p). */
  readonly rounding: number;
  /** rmsDifference / rounding; 0 when both are 0. At most the run's limit passes. */
  readonly ratio: number;
  /** Root mean square of the output itself, for scale. */
  readonly rms: number;
  /** Distances of the storage-precision runs from the float64 truth: information, not verdict. */
  readonly storageErrorBefore?: number;
  readonly storageErrorAfter?: number;
  readonly nonFinite: number;
  readonly ok: boolean;
}

/** One run of both files on the same inputs. */
export interface SampleRun {
  /** How the input was made: "normal", "large", "negative", "border", or a file name. */
  readonly kind: string;
  readonly seed: number;
  /** Sizes of the inputs, those of open axes among them. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly outputs: readonly OutputComparison[];
  readonly ok: boolean;
}

/** A part of the network that differs between the files, run on its own in float64, on the same made-up numbers in both. */
export interface RegionRun {
  /** The second file's value it computes. */
  readonly value: string;
  /** Operators of it in the first and in the second file. */
  readonly operators: readonly [number, number];
  /** Shapes of what it was given. */
  readonly sizes: readonly string[];
  /** Kinds of numbers it was given: "normal", "large", "negative"; "given" for values the first file gives. */
  readonly inputs: readonly string[];
  readonly maxDifference: number;
  readonly rmsDifference: number;
  /** What rounding the folded constants of this region alone must make. */
  readonly rounding: number;
  readonly ratio: number;
  readonly ok: boolean;
  /** What does not agree, where it is no distance. */
  readonly problem?: string;
}

/** What running both files shows. */
export interface Witness {
  readonly outcome: "equal" | "different" | "not-run";
  /** Runs of the whole network; none where regions were run instead. */
  readonly samples: readonly SampleRun[];
  /** Runs of what differs, each part on its own. */
  readonly regions?: readonly RegionRun[];
  /** The largest ratio that passes, where it is not 3: three times the worst coefficient of a proof that covers everything. */
  readonly limit?: number;
  /** Why it was not run, or could only be run in part. */
  readonly reason?: string;
  /** First diverging value in graph order, when different. */
  readonly firstDifference?: {
    readonly value: string;
    readonly node: string;
    readonly channel: number | undefined;
    readonly maxDifference: number;
    /** Root mean square of the value in the first model, for scale. */
    readonly scale?: number;
    /** Kind of the sample on which it was found. */
    readonly sample?: string;
    /** Operators between the values that still agree and this one, itself the last, by name or first output. */
    readonly between?: readonly string[];
    /** The values that reach those operators, the same in both models within rounding, and by how much they do differ. */
    readonly agreeing?: readonly { readonly value: string; readonly maxDifference: number }[];
  };
}

/** Operators whose numbers were shown to make the difference. Several nodes where they share a tensor. */
export interface GuiltyNodes {
  readonly nodes: readonly string[];
  readonly operators: readonly string[];
  readonly tensors: readonly string[];
}

/** Whose numbers make the second file different (bisect.ts). */
export interface Bisection {
  readonly outcome: "found" | "not-separated";
  /** What judged the mixed files; absent when none was made. */
  readonly judgedBy?: "run" | "proof";
  /** With the numbers of all of these replaced the files agree; with any one of them left, they do not. */
  readonly guilty: readonly GuiltyNodes[];
  /** Where the replacing numbers came from. */
  readonly reference?: "first file" | "first file folded";
  /** Operators whose numbers were other than their counterpart's. */
  readonly suspected: number;
  /** Mixed files that were judged. */
  readonly trials: number;
  readonly reason?: string;
}

/** Whether the second file may take the place of the first, and what says so. */
export interface Verdict {
  readonly outcome: "equivalent" | "different" | "undecided" | "not-checked";
  /** What was shown and what was not, in words. */
  readonly summary: string;
  readonly proof?: Proof;
  readonly run?: Witness;
}
