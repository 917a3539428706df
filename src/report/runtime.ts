/** What a runtime of its own made of both models: information beside the verdict, never part of it. */
import { columns, wrap } from "./layout.ts";
import { brief, plural, printable } from "./words.ts";

/** Largest and root-mean-square distance. */
export interface Distance {
  readonly max: number;
  readonly rms: number;
}

export interface RuntimeOutput {
  readonly name: string;
  readonly dtype: string;
  /** The runtime's two results beside each other. */
  readonly difference: Distance;
  /** Elements that differ and are no finite floats; or all, when shapes or types differ. */
  readonly mismatches: number;
  /** Distance of each result from the first model's float64 run. */
  readonly errorBefore: Distance;
  readonly errorAfter: Distance;
}

export interface RuntimeSample {
  readonly kind: string;
  readonly seed: number;
  readonly outputs: readonly RuntimeOutput[];
}

export interface RuntimeOpinion {
  readonly name: "onnxruntime";
  readonly version: string;
  /** "not-run": neither result could be compared; the notes say why. */
  readonly outcome: "run" | "not-run";
  readonly samples: readonly RuntimeSample[];
  /** What it could not do, in words. */
  readonly notes: readonly string[];
}

/** The larger of each, over samples. */
const worst = (list: readonly Distance[]): Distance => ({
  max: list.reduce((most, { max }) => Math.max(most, max), 0),
  rms: list.reduce((most, { rms }) => Math.max(most, rms), 0),
});

const both = ({ rms, max }: Distance): string => `${brief(rms)} (${brief(max)})`;

/** One row per output, the worst of all samples. */
export function runtimeLines({ version, outcome, samples, notes }: RuntimeOpinion, width = Number.POSITIVE_INFINITY): string[] {
  const head = `ONNX Runtime ${version}`.trim();
  const told = notes.flatMap((note) => wrap(`  note: ${printable(note)}`, width, "    "));
  if (outcome === "not-run") return [`For information: ${head} did not run both models.`, ...told];
  const names = [...new Set(samples.flatMap(({ outputs }) => outputs.map(({ name }) => name)))];
  const rows = names.map((name) => {
    const of = samples.flatMap(({ outputs }) => outputs.filter((output) => output.name === name));
    const mismatches = of.reduce((sum, output) => sum + output.mismatches, 0);
    const distances = [of.map((o) => o.difference), of.map((o) => o.errorBefore), of.map((o) => o.errorAfter)];
    return [name, of[0].dtype, ...distances.map((list) => both(worst(list))), mismatches === 0 ? "" : String(mismatches)];
  });
  return [
    ...wrap(`For information: ${head}, optimizations off, on ${plural(samples.length, "input")}; rms (largest) distance:`, width),
    "",
    ...columns(
      ["output", "type", "first to second", "first to float64", "second to float64", "mismatches"],
      rows,
      ["l", "l", "r", "r", "r", "r"],
      width - 2,
    ).map((line) => `  ${line}`),
    ...(told.length === 0 ? [] : ["", ...told]),
  ];
}
