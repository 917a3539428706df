/** The line for a shell that makes the same bytes. */
import { DEFAULTS, type FoldOptions } from "./protocol.ts";

/** An argument as a POSIX shell takes it whole. */
export const quoted = (text: string): string =>
  text !== "" && /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** A file of that name in this folder, even where the name begins like an option. */
const fileArgument = (name: string): string => quoted(name.startsWith("-") ? `./${name}` : name);

const FLAGS = {
  partial: "--partial",
  reluToMax: "--relu-to-max",
  bnToConv: "--bn-to-conv",
  constantChannel: "--constant-channel",
  norms: "--norms",
  equalize: "--equalize",
  freeze: "--freeze",
  noMerge: "--no-merge",
  assumeConstant: "--assume-constant",
  noCheck: "--no-check",
  noRun: "--no-run",
  fullRun: "--full-run",
} as const satisfies Partial<Record<keyof FoldOptions, string>>;

const TEXTS = {
  maxBitsLost: "--max-bits-lost",
  maxGrowth: "--max-growth",
  maxMemory: "--max-memory",
  samples: "--samples",
  seed: "--seed",
} as const satisfies Partial<Record<keyof FoldOptions, string>>;

const LISTS = { only: "--only", skip: "--skip", shape: "--shape" } as const satisfies Partial<Record<keyof FoldOptions, string>>;

const entries = <T extends object>(table: T) => Object.entries(table) as [keyof T & keyof FoldOptions, string][];

export function optionWords(options: FoldOptions): string[] {
  return [
    ...entries(FLAGS).flatMap(([key, word]) => (options[key] === true ? [word] : [])),
    // Without --freeze there is nothing to drop.
    ...(options.freeze && options.dropOutputs ? ["--drop-outputs"] : []),
    ...entries(TEXTS).flatMap(([key, word]) => {
      const text = String(options[key]).trim();
      return text === "" ? [] : [word, quoted(text)];
    }),
    ...entries(LISTS).flatMap(([key, word]) => {
      const words = String(options[key])
        .split(/\s+/)
        .filter((one) => one !== "");
      return words.flatMap((one) => [word, quoted(one)]);
    }),
    ...(options.external === DEFAULTS.external ? [] : ["--external", options.external]),
  ];
}

/** `net.folded.onnx` → `net.folded.certificate.json`. */
export const certificateName = (output: string): string => `${output.replace(/\.onnx$/i, "")}.certificate.json`;

export const foldCommand = (model: string, output: string, options: FoldOptions): string =>
  [
    ...["bnfold", "fold", fileArgument(model), "-o", fileArgument(output), ...optionWords(options)],
    ...(options.certificate ? ["--certificate", fileArgument(certificateName(output))] : []),
  ].join(" ");

export const verifyCommand = (a: string, b: string, bisect: boolean): string =>
  ["bnfold", "verify", fileArgument(a), fileArgument(b), ...(bisect ? ["--bisect"] : [])].join(" ");
