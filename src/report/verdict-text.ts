/** The verdict in words: its summary, then each place that is not equal. */
import type { Bisection, OutputComparison, Proof, RegionProof, Verdict, Witness } from "../verify/types.ts";
import { labelled, wrap } from "./layout.ts";
import type { Style } from "./style.ts";
import { brief, listed, plural, printable } from "./words.ts";

const COLOURS = { equivalent: "green", different: "red", undecided: "yellow", "not-checked": "yellow" } as const;

/** Places and samples that did not pass are listed up to this many; the JSON report has all. */
const LISTED = 10;

/** Where rounding explains nothing at all the ratio has no useful size. */
const times = (ratio: number): string => (ratio > 1e300 ? "more than any multiple of" : `${brief(ratio)} times`);

function some(lines: readonly string[], all = false): string[] {
  return all || lines.length <= LISTED
    ? [...lines]
    : [...lines.slice(0, LISTED), `and ${lines.length - LISTED} more (--verbose lists all)`];
}

function regionLine(region: RegionProof): string {
  const { at } = region;
  const where = at === undefined ? "" : ` at ${at.tensor}[${at.index.join(", ")}]: expected ${at.expected}, got ${at.got}`;
  const why = region.reason === undefined ? "" : `: ${region.reason}`;
  return `proof ${region.outcome} for "${region.value}"${why}${where}`;
}

function comparisonLine(kind: string, seed: number, output: OutputComparison): string {
  return (
    `run differs on input "${kind}" (seed ${seed}), output "${output.name}": rms difference ${brief(output.rmsDifference)} ` +
    `of an rms of ${brief(output.rms)}, ${times(output.ratio)} what rounding explains; largest ${brief(output.maxDifference)}`
  );
}

const openRegions = (proof: Proof, all: boolean): string[] =>
  some(proof.regions.filter((region) => region.outcome !== "equal").map(regionLine), all);

function failedOutputs(run: Witness, all: boolean): string[] {
  return some(
    run.samples.flatMap(({ kind, seed, outputs }) =>
      outputs.filter((output) => !output.ok).map((output) => comparisonLine(kind, seed, output)),
    ),
    all,
  );
}

function storageLine(run: Witness): string[] {
  const outputs = run.samples.flatMap((sample) => sample.outputs);
  const worst = (pick: (output: OutputComparison) => number | undefined) =>
    outputs.reduce((w, output) => Math.max(w, pick(output) ?? -1), -1);
  const [before, after] = [worst((o) => o.storageErrorBefore), worst((o) => o.storageErrorAfter)];
  if (before < 0 || after < 0) return [];
  const scale = worst((o) => (o.storageErrorBefore === undefined ? undefined : o.rms));
  return [
    `For information: run in their own precision on the first input the models are off from the float64 truth by ` +
      `${brief(before)} (the first) and ${brief(after)} (the second), of an rms of ${brief(scale)}.`,
  ];
}

/** That what reaches the first difference is still the same in both models, and which operators are left to make it. */
function attributionLine(run: Witness): string[] {
  const { sample, between = [], agreeing = [] } = run.firstDifference ?? {};
  if (between.length === 0) return [];
  const distance = (d: number) => (d === 0 ? "identical" : `within ${brief(d)}`);
  const values = some(agreeing.map(({ value, maxDifference }) => `"${value}" (${distance(maxDifference)})`));
  const reach =
    values.length === 0 ? "nothing computed reaches it" : `what reaches it agrees in both models: ${values.join(", ")}`;
  const by = between.map((name) => `"${name}"`);
  const where = by.length === 1 ? `at ${by[0]}` : `in these ${by.length} operators: ${some(by).join(", ")}`;
  return [`on input "${sample}" the difference arises ${where}; ${reach}`];
}

/** Whose numbers make the difference, as far as exchanging them can tell. */
export function bisectionLines({ outcome, judgedBy, guilty, reference, suspected, trials, reason }: Bisection): string[] {
  if (outcome === "not-separated") return [`Bisection: the difference could not be separated: ${printable(reason ?? "")}.`];
  const kept = guilty.length === 1 ? "with its own they do not" : "with any one of them left as it is they do not";
  return [
    `Bisection: with the numbers of the ${reference} in ${plural(guilty.length, "place")} of ${suspected} the files agree, ${kept} ` +
      `(judged by the ${judgedBy}, ${plural(trials, "trial")}).`,
    ...some(
      guilty.map(({ nodes, operators, tensors }) => {
        const labels = nodes.map((node, i) => `${operators[i]} "${node}"`);
        const together = nodes.length > 1 ? " (they share a tensor and cannot be told apart)" : "";
        return `  - ${printable(`${listed(labels)}${together}: ${tensors.join(", ")}`)}`;
      }),
    ),
  ];
}

const LABELS: Readonly<Record<string, string>> = { Proof: "proved", Run: "ran", Also: "also" };

interface Facts {
  /** The verdict in a sentence. */
  readonly head: string;
  /** What it rests on, under one word each. */
  readonly facts: [label: string, text: string][];
  /** Places and samples that did not pass, and what is known of where the difference arises. */
  readonly details: string[];
}

/** A verdict taken apart for a screen. */
export function verdictFacts(verdict: Verdict, style: Style, verbose = false): Facts {
  const { outcome, summary, proof, run } = verdict;
  const word = outcome.replace("-", " ");
  const said = summary.toLowerCase().startsWith(word) ? summary : `${word[0].toUpperCase()}${word.slice(1)}: ${summary}`;
  const [head, ...rest] = said.split(/ (?=(?:Proof|Run|Also): )/);
  const facts = rest.map((line): [string, string] => {
    const [, name, text] = /^(\w+): ([\s\S]*)$/.exec(line) ?? ["", "", line];
    return [LABELS[name] ?? "", printable(text)];
  });
  const details = [
    ...(proof === undefined ? [] : openRegions(proof, verbose)),
    ...(run === undefined ? [] : [...attributionLine(run), ...failedOutputs(run, verbose)]),
  ].map((line) => style(COLOURS[outcome], printable(line)));
  const storage = run === undefined ? [] : storageLine(run).map((line): [string, string] => ["", line]);
  return { head: printable(head), facts: [...facts, ...storage], details };
}

/** The verdict alone, as `verify` shows it. */
export function verdictLines(verdict: Verdict, style: Style, width = Number.POSITIVE_INFINITY, verbose = false): string[] {
  const { head, facts, details } = verdictFacts(verdict, style, verbose);
  return [
    ...wrap(head, width).map((line) => style(COLOURS[verdict.outcome], style("bold", line))),
    ...(facts.length + details.length === 0 ? [] : [""]),
    ...facts.flatMap(([label, text]) => labelled(label, text, width)),
    ...details.flatMap((line) => wrap(`  - ${line}`, width, "    ")),
  ];
}
