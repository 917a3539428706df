/**
 * One verdict from the proof and the run. The proof decides; the run is an independent witness that can only take away:
 *   different     proof different, or run different, or the files promise different things
 *   equivalent    proof equal and run equal or not run; or proof not decided, with nothing hidden, and run equal
 *   undecided     proof not decided (or not made) and run not run, or run equal where the proof found other numbers that no input
 *                 tried reaches or digits that only one of the files loses, or where rounding alone moves the outputs visibly; or
 *                 ONNX's checker would refuse the second file and not the first, or the first, of another operator set
 */
import type { Finding } from "./faces.ts";
import { MAX_RATIO } from "./judge.ts";
import type { OutputComparison, Proof, RegionProof, RegionRun, Verdict, Witness } from "./types.ts";

const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** Three digits, whatever the size, or as many as asked for. */
function figure(x: number, digits = 3): string {
  if (x === Number.MAX_VALUE) return "unbounded";
  const size = Math.abs(x);
  return size !== 0 && (size < 1e-3 || size >= 1e6)
    ? x
        .toExponential(digits - 1)
        .replace(/\.?0+e/, "e")
        .replace("e+", "e")
    : String(Number(x.toPrecision(digits)));
}

/** Two numbers with as many digits as tell them apart, and one more. */
function figures(x: number, y: number): readonly [string, string] {
  for (let digits = 3; digits < 17; digits++) {
    if (figure(x, digits) !== figure(y, digits)) return [figure(x, digits + 1), figure(y, digits + 1)];
  }
  return [String(x), String(y)];
}

/** Where a number is another one. */
function placeText(region: RegionProof | undefined): string {
  if (region?.at === undefined) return "";
  const { tensor, index, expected, got } = region.at;
  const [should, is] = figures(expected, got);
  return ` "${tensor}" at [${index.join(", ")}] should be ${should} and is ${is}.`;
}

function proofText(proof: Proof): string {
  const regions = proof.regions;
  const of = (outcome: Proof["outcome"]) => regions.filter((region) => region.outcome === outcome);
  const coefficients = regions.reduce((sum, region) => sum + region.coefficients, 0);
  const worst = regions.reduce((most, region) => Math.max(most, region.worstHalfUlps), 0);
  if (proof.outcome === "equal") {
    if (regions.length === 0) return "Proof: nothing differs between the two files that could change a number.";
    const all =
      regions.length === 1
        ? "the one place where the files differ computes"
        : `all ${regions.length} places where the files differ compute`;
    const off = worst === 0 ? "without any difference" : `the worst off by ${figure(worst)} half units in the last place`;
    return `Proof: ${all} the same function: ${count(coefficients, "coefficient")} recomputed, ${off}.`;
  }
  // What is certain says more than what is not known.
  const [first] = of(proof.outcome).toSorted((p, q) => Number(q.hidden ?? false) - Number(p.hidden ?? false));
  const reason = first?.reason === undefined ? "" : ` (${first.reason})`;
  if (proof.outcome === "different") {
    return `Proof: ${count(of("different").length, "place")} of ${regions.length} compute something else${reason}.${placeText(first)}`;
  }
  const hidden = regions.filter((region) => region.hidden === true);
  const undecided = of("not-decided").length;
  const after = `, nor for what is computed from ${undecided === 1 ? "it" : "them"}`;
  return `Proof: not decided for ${count(undecided, "place")} of ${regions.length}${reason}${after}; ${of("equal").length} shown equal.${placeText(hidden[0])}`;
}

/** Regions are only spoken of alone where all of them agree. */
function regionsText(regions: readonly RegionRun[], limit = MAX_RATIO): string {
  if (regions.length === 0) return "Run: nothing to run: no operator of the two files differs.";
  const worst = regions.reduce((most, { ratio }) => Math.max(most, ratio), 0);
  const shapes = [...new Set(regions.flatMap(({ sizes }) => sizes))];
  const size = (shape: string) => shape.split("×").reduce((n, d) => n * Number(d), 1);
  const largest = shapes.reduce((most, shape) => (size(shape) > size(most) ? shape : most), shapes[0] ?? "");
  const kinds = [...new Set(regions.flatMap(({ inputs }) => inputs))].join(", ");
  const distance =
    worst === 0
      ? "without any difference"
      : `the largest difference is ${figure(worst)} times what rounding the constants of its region alone makes (the limit is ${figure(limit)})`;
  return (
    `Run: ${count(regions.length, "changed region")} in float64, each on its own between values both files share, ` +
    `on made-up inputs (${kinds}) of up to ${largest}: ${distance}.`
  );
}

const outputsOf = (run: Witness): OutputComparison[] => run.samples.flatMap((sample) => sample.outputs);

/** A part of an output that nobody takes for rounding. */
const VISIBLE = 1 / 16;

/** True where every sample ends in other numbers, which pass because rounding makes them just as far off: that says nothing of two files. */
const isBlind = ({ samples }: Witness): boolean =>
  samples.length > 0 && samples.every(({ outputs }) => outputs.some(({ rms, rmsDifference }) => rmsDifference > VISIBLE * rms));

/** The sizes that were run, which the model may leave open; those of the first sample, where they are as many as can be read. */
function sizesText({ samples }: Witness): string {
  const sizes = Object.entries(samples[0]?.shapes ?? {}).filter(([, dims]) => dims.length > 0);
  const [shown, more] = [sizes.slice(0, 3), sizes.length - 3];
  if (shown.length === 0) return "";
  return ` at ${shown.map(([name, dims]) => `${name}=[${dims.join(",")}]`).join(" ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** `name (Conv)` as nodes are called elsewhere: `Conv "name"`. */
const quotedNode = (node: string): string => node.replace(/^([\s\S]*) \((\w+)\)$/, '$2 "$1"');

function runText(run: Witness): string {
  if (run.outcome === "not-run") return `Run: not made: ${run.reason ?? "no reason is known"}.`;
  if (run.samples.length === 0 && run.regions !== undefined) return regionsText(run.regions, run.limit);
  const all = outputsOf(run);
  const worst = all.reduce((most, output) => Math.max(most, output.ratio), 0);
  const samples = count(run.samples.length, "input");
  const limit = figure(run.limit ?? MAX_RATIO);
  const also = run.reason === undefined ? "" : ` Noted: ${run.reason}.`;
  if (run.outcome === "equal") {
    const kinds = [...new Set(run.samples.map((sample) => sample.kind))].join(", ");
    const distance =
      worst === 0
        ? "without any difference"
        : `the largest difference is ${figure(worst)} times what rounding the constants that differ alone makes (the limit is ${limit})`;
    return `Run: both models in float64${sizesText(run)}, on ${samples} (${kinds}): ${distance}.${also}`;
  }
  const bad = run.samples.filter((sample) => !sample.ok);
  const first = run.firstDifference;
  const channel = first?.channel === undefined ? "" : `, channel ${first.channel}`;
  const scale = first?.scale === undefined ? "" : `, where its root mean square is ${figure(first.scale)}`;
  const where =
    first === undefined
      ? ""
      : ` First at "${first.value}" of ${quotedNode(first.node)}${channel}: off by up to ${figure(first.maxDifference)}${scale}.`;
  return (
    `Run: ${bad.length} of ${samples} give other outputs in float64${sizesText(run)}, ` +
    `up to ${figure(worst)} times what rounding makes (the limit is ${limit}).` +
    `${where}${also}`
  );
}

/** How far both files are off when they compute in their own precision. */
function roundingText(run: Witness): string[] {
  const known = outputsOf(run).flatMap(({ storageErrorBefore: before, storageErrorAfter: after, rms, name }) =>
    before === undefined || after === undefined ? [] : [{ before, after, rms, name }],
  );
  const [first, ...others] = known;
  if (first === undefined) return [];
  const { before, after, rms, name } = others.reduce((p, q) => (q.after / q.rms > p.after / p.rms ? q : p), first);
  return [
    `Rounding: in their own precision the output "${name}" (root mean square ${figure(rms)}) is off by ${figure(after)}, ` +
      `where the original itself is off by ${figure(before)}.`,
  ];
}

/** What a run that saw no difference says where nothing is proven. */
function byRun(proof: Proof | undefined, run: Witness): { outcome: Verdict["outcome"]; line: string } {
  if (isBlind(run)) {
    const line = "Undecided: on the inputs that were run the outputs are other ones, but rounding alone moves them as far.";
    return { outcome: "undecided", line };
  }
  if (proof === undefined)
    return { outcome: "equivalent", line: "Equivalent on the inputs that were run. Nothing was proven for others." };
  const hidden = proof.regions.filter((region) => region.hidden === true).length;
  if (hidden > 0) {
    const line =
      `Undecided: in ${count(hidden, "place")} an operator has other numbers than its counterpart, or rounds to fewer digits, ` +
      "and the inputs that were run do not show what comes of it.";
    return { outcome: "undecided", line };
  }
  const open = proof.regions.filter((region) => region.outcome === "not-decided").length;
  const line =
    `Equivalent on the inputs that were run: for ${count(open, "place")} only the run decided, ` +
    `which cannot see a fault whose effect is below ${figure(run.limit ?? MAX_RATIO)} times that of rounding.`;
  return { outcome: "equivalent", line };
}

/** The verdict of what was found; each part may be missing. `rounding`: say what both files round. */
export function combine(
  findings: readonly Finding[],
  proof: Proof | undefined,
  run: Witness | undefined,
  rounding = false,
): Verdict {
  const parts = { ...(proof === undefined ? {} : { proof }), ...(run === undefined ? {} : { run }) };
  if (proof === undefined && run === undefined && findings.length === 0) {
    return { outcome: "not-checked", summary: "Nothing was checked." };
  }
  const lines: string[] = [];
  const broken = findings.filter((finding) => finding.weight === "different");
  let outcome: Verdict["outcome"];
  if (broken.length > 0) {
    outcome = "different";
    lines.push(`Different: ${broken.map((finding) => finding.message).join("; ")}.`);
  } else if (proof?.outcome === "different" || run?.outcome === "different") {
    outcome = "different";
    lines.push("Different: the second model does not compute what the first does.");
    if (proof?.outcome === "equal") {
      lines.push("The proof and the run disagree. One of them is wrong about these files: please report it, with both files.");
    } else if (run?.outcome === "equal" && proof?.outcome === "different") {
      lines.push("The run did not see it: the effect on these inputs is within rounding, or they do not reach it.");
    }
  } else if (findings.some((finding) => finding.weight === "doubt")) {
    outcome = "undecided";
    const doubts = findings.filter((finding) => finding.weight === "doubt").map((finding) => finding.message);
    lines.push(`Undecided: ${doubts.join("; ")}. ONNX's checker refuses such a file; a runtime may take it or not.`);
  } else if (proof?.outcome === "equal") {
    outcome = "equivalent";
    lines.push(
      run?.outcome === "equal"
        ? "Equivalent: proven on the constants, and confirmed by a run."
        : "Equivalent, by the proof alone: proven on the constants of the two files, for every input. It was not confirmed by a run" +
            `${run === undefined ? "" : ", which could not be made"}.`,
    );
  } else if (run?.outcome === "equal") {
    const found = byRun(proof, run);
    outcome = found.outcome;
    lines.push(found.line);
  } else {
    outcome = "undecided";
    lines.push("Undecided: the proof does not cover every place where the files differ, and the models were not run.");
  }
  if (proof !== undefined) lines.push(proofText(proof));
  if (run !== undefined) lines.push(runText(run), ...(rounding ? roundingText(run) : []));
  const notes = findings.filter((finding) => finding.weight === "note");
  if (notes.length > 0) lines.push(`Also: ${notes.map((finding) => finding.message).join("; ")}.`);
  return { outcome, summary: lines.join(" "), ...parts };
}
