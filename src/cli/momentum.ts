/** bnfold momentum: one number, or a whole model, from one framework's convention to another's. */
import { toJson, tool } from "../report/report.ts";
import { brief } from "../report/words.ts";
import {
  CONVENTIONS,
  convertMomentum,
  FADING_END,
  FRAMEWORK_ALIASES,
  FRAMEWORKS,
  type Framework,
  fadingCurve,
  halfLife,
  STATISTICS,
  shortestFloat32,
  suspectMomentum,
  updateFormula,
  varianceFormula,
} from "../train/index.ts";
import { type Command, flag, integer, text, usage, type Values } from "./command.ts";
import { frameworkIn, runModel } from "./momentum-model.ts";
import { outputOptions } from "./outputs.ts";
import { said } from "./screen.ts";
import { barsHere, print, stdoutStyle } from "./terminal.ts";

const CUMULATIVE =
  "None is a cumulative moving average in PyTorch: batch n weighs 1/n. No fixed number does that, so None stays None; " +
  "other frameworks have no equivalent.";

/** Options that only make sense for a file. */
const MODEL_ONLY = [
  "write",
  "output",
  "in-place",
  "dry-run",
  "set-momentum",
  "set-epsilon",
  "variance",
  "batch",
  "only",
  "external",
];

const NAMES = [...FRAMEWORKS, ...Object.keys(FRAMEWORK_ALIASES)];

function number(written: string): number | undefined {
  if (/^(none|null)$/i.test(written)) return undefined;
  const value = Number(written);
  if (written.trim() === "" || !(value >= 0 && value <= 1)) {
    throw usage(`<value> is a number from 0 to 1, None, or an ONNX file, got "${written}"`);
  }
  return value;
}

/** A number, or a word for none: everything else names a file. */
const isValue = (written: string): boolean =>
  written.trim() === "" || /^(none|null)$/i.test(written) || !Number.isNaN(Number(written));

/** "6.6 batches until old statistics weigh one half, 43.7 one hundredth", and the curve. */
function fading(momentum: number, framework: Framework): string[] {
  const life = halfLife(momentum, framework);
  if (!Number.isFinite(life.half)) return ["Old statistics never fade."];
  return [
    `Old statistics weigh one half after ${brief(life.half)} batches, one hundredth after ${brief(life.hundredth)}:`,
    `  ${fadingCurve(life, 32, barsHere())}  after 1 to ${FADING_END} batches, logarithmic`,
  ];
}

const numbersOf = (momentum: number, framework: Framework) => {
  const { old, half, hundredth } = halfLife(momentum, framework);
  return { oldWeight: Number(shortestFloat32(old)), half, hundredth };
};

/** Epsilon and variance of the two ends in words. */
function others(from: Framework, to: Framework, count: number | undefined): string[] {
  const [a, b] = [CONVENTIONS[from].label, CONVENTIONS[to].label];
  const [x, y] = [STATISTICS[from], STATISTICS[to]];
  const lines = [`Epsilon carries over unchanged; the default is ${brief(x.epsilon)} in ${a} and ${brief(y.epsilon)} in ${b}.`];
  const formula = count === undefined ? "" : `: ${varianceFormula(x.variance, y.variance, count)}`;
  if (x.variance !== y.variance) lines.push(`The running variance is ${x.variance} in ${a} and ${y.variance} in ${b}${formula}.`);
  return lines;
}

async function runValue(values: Values, written: string): Promise<number> {
  const value = number(written);
  const missing = ["from", "to"].filter((name) => text(values, name) === undefined);
  if (missing.length > 0)
    throw usage(`missing ${missing.map((name) => `--${name}`).join(" and ")}`, "bnfold momentum --help shows what it takes.");
  const odd = MODEL_ONLY.find((name) => values[name] !== undefined);
  if (odd !== undefined) throw usage(`--${odd} is for a model, and "${written}" is a number`);
  const from = frameworkIn(values, "from") as Framework;
  const to = frameworkIn(values, "to") as Framework;
  const count = integer(values, "count", 2);
  const converted = convertMomentum(value, from, to);
  const warning = suspectMomentum(value, from);
  const shown = (m: number | undefined) => (m === undefined ? "None" : shortestFloat32(m));
  const explanation = value === undefined ? CUMULATIVE : undefined;
  if (flag(values, "json")) {
    const side = (framework: Framework, m: number | undefined) => ({
      framework,
      momentum: m === undefined ? null : Number(shown(m)),
      update: updateFormula(framework, m),
      epsilon: STATISTICS[framework].epsilon,
      variance: STATISTICS[framework].variance,
    });
    const notes = [warning, explanation].filter((line) => line !== undefined);
    const life = value === undefined ? null : numbersOf(Math.fround(value), from);
    print(toJson({ version: 1, tool: tool(), from: side(from, value), to: side(to, converted), halfLife: life, notes }));
    return 0;
  }
  const lines = [stdoutStyle("bold", shown(converted)), ""];
  const ends: [Framework, number | undefined][] =
    value === undefined
      ? [[from, value]]
      : [
          [from, value],
          [to, converted],
        ];
  for (const [framework, m] of ends) {
    const convention: { label: string; note?: string } = CONVENTIONS[framework];
    lines.push(`${convention.label}, momentum ${shown(m)}:`, `  ${updateFormula(framework, m)}`);
    if (convention.note !== undefined) lines.push(`  ${convention.note}`);
  }
  if (value !== undefined) lines.push("", ...fading(Math.fround(value), from));
  lines.push("", ...others(from, to, count));
  if (explanation !== undefined) lines.push("", explanation);
  if (warning !== undefined) lines.push("", `Check: ${warning}`);
  const dressed = (line: string) => (line.startsWith("Check: ") ? stdoutStyle("yellow", line) : line);
  print(
    lines
      .flatMap((line) => said(line, "  "))
      .map(dressed)
      .join("\n"),
  );
  return 0;
}

async function run(values: Values): Promise<number> {
  const written = String(values.value);
  return isValue(written) ? runValue(values, written) : runModel(values, written);
}

export const command: Command = {
  positionals: { value: { type: "string", describe: "The momentum, None, or an ONNX file", demandOption: true } },
  options: {
    from: { choices: NAMES, requiresArg: true, describe: "Framework the value comes from (a file's: onnx)" },
    to: { choices: NAMES, requiresArg: true, describe: "Framework that needs it" },
    only: { array: true, type: "string", requiresArg: true, describe: "Only layers whose name matches (* and ? as wildcards)" },
    write: { type: "boolean", describe: "Rewrite the file's attributes; needs -o or --in-place" },
    ...outputOptions,
    "set-momentum": { requiresArg: true, type: "string", describe: "With --write: this momentum, in the sense of --from" },
    "set-epsilon": {
      requiresArg: true,
      type: "string",
      describe: "With --write: this epsilon (changes what the model computes)",
    },
    variance: {
      choices: ["unbiased-to-biased", "biased-to-unbiased"],
      requiresArg: true,
      describe: "With --write: convert the running variances",
    },
    count: { requiresArg: true, describe: "Elements of a channel in a training batch, for the variance" },
    batch: { requiresArg: true, describe: "Training batch size, where the file knows the spatial sizes" },
    json: { type: "boolean", describe: "Print JSON" },
  },
  examples: [
    ["bnfold momentum 0.1 --from pytorch --to keras", "0.9"],
    ["bnfold momentum 0.99 --from keras --to pytorch", "0.01"],
    ["bnfold momentum model.onnx --to pytorch", "every layer of a model"],
    ["bnfold momentum model.onnx --from pytorch --to onnx --write -o fixed.onnx", "numbers that were copied without converting"],
  ],
  run,
};
