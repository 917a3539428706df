/** What --help prints, made from the table of commands and their options. */
import type { Options } from "yargs";
import { wrap } from "../report/layout.ts";
import type { Command } from "./command.ts";
import { commandTable, exitTable } from "./table.ts";

/** Options every command has. */
export const commonOptions: Readonly<Record<string, Options>> = {
  config: {
    type: "string",
    requiresArg: true,
    describe: "Options from this file; else of bnfold.config.json or package.json here",
  },
  "print-config": { type: "boolean", describe: "Print what variables and config files say, and where; do nothing" },
  help: { alias: "h", type: "boolean", describe: "Show this" },
  version: { type: "boolean", describe: "Show the version" },
};

/** What stands for the value of an option. */
const VALUES: Readonly<Record<string, string>> = {
  ...{ output: "file", report: "file", moments: "file", "from-moments": "file", config: "file", certificate: "file" },
  ...{ only: "pattern", skip: "pattern", dump: "pattern", external: "mode", "max-memory": "size", "max-bits-lost": "bits" },
  ...{ "max-growth": "bytes", input: "name=file", shape: "name=sizes", runtime: "name", format: "name", "fail-on": "reasons" },
  ...{ shard: "i/n", from: "framework", to: "framework", "set-momentum": "number", "set-epsilon": "number", data: "data" },
  ...{ "allow-rounding": "type", variance: "conversion", engine: "name", memory: "GB", activations: "data" },
  ...Object.fromEntries(["samples", "seed", "jobs", "top", "threads", "count", "batch", "block"].map((name) => [name, "n"])),
};

export const takesValue = (option: Options): boolean => option.requiresArg === true || option.type === "string";

/** `-o, --output <file>`. */
export function written(name: string, option: Options): string {
  const [letter] = [option.alias ?? []].flat();
  const value = takesValue(option) ? ` <${VALUES[name] ?? "value"}>` : "";
  return `${letter === undefined ? "    " : `-${letter}, `}--${name}${value}`;
}

const GROUPS: readonly (readonly [title: string, names: readonly string[]])[] = [
  ["Output", ["output", "in-place", "dry-run", "mkdir", "overwrite", "external", "certificate", "storage"]],
  [
    "What is done",
    [
      ...["only", "skip", "freeze", "drop-outputs", "partial", "relu-to-max", "constant-channel", "norms", "no-merge"],
      ...["equalize", "activations", "bn-to-conv", "max-bits-lost", "allow-rounding", "max-growth", "assume-constant"],
    ],
  ],
  [
    "Check",
    [
      ...["no-check", "no-run", "strict", "fail-on", "full-run", "samples", "seed", "input", "shape"],
      ...["runtime", "max-memory", "bisect"],
    ],
  ],
  ["What is printed", ["format", "report", "json", "csv", "channels", "verbose", "quiet"]],
  ["Many models", ["jobs", "resume", "shard"]],
];

/** Options by group; what is in none comes first, and all in one group where they are few. */
export function grouped(options: Command["options"]): (readonly [title: string, options: readonly [string, Options][]])[] {
  const all = Object.entries(options).filter(([, option]) => option.hidden !== true);
  const common = ["Common", Object.entries(commonOptions)] as const;
  if (all.length < 10) return [["", all], common];
  const placed = new Set(GROUPS.flatMap(([, names]) => names));
  const own = ["", all.filter(([name]) => !placed.has(name))] as const;
  const groups = GROUPS.map(([title, names]) => [title, all.filter(([name]) => names.includes(name))] as const);
  return [own, ...groups, common].filter(([, list]) => list.length > 0);
}

export const places = (command: Command): string[] =>
  Object.entries(command.positionals).map(([key, { array, demandOption }]) => {
    const name = `${key}${array ? ".." : ""}`;
    return demandOption ? `<${name}>` : `[${name}]`;
  });

/** The codes a command can give; all of them without `extra`. */
export function exitCodes(extra?: readonly number[]): (readonly [code: number, meaning: string])[] {
  return exitTable()
    .filter(([code, , everywhere]) => everywhere || extra === undefined || extra.includes(code))
    .map(([code, meaning]) => [code, meaning]);
}

const WIDEST = 100;

/** What is said beside a word; where the word is long or the screen narrow, below it. */
function row(word: string, text: string, column: number, width: number): string[] {
  // An option's name stays with the word before it: no line of the explanation looks like an option of its own.
  const said = text.replaceAll(" --", "\u00a0--");
  const beside = width - column >= 24;
  const indent = beside ? column : 6;
  const lines = wrap(said, width - indent).map((line) => line.replaceAll("\u00a0", " "));
  if (!beside || word.length + 2 > column) return [word, ...lines.map((line) => " ".repeat(indent) + line)];
  return lines.map((line, i) => (i === 0 ? word : "").padEnd(column) + line);
}

/** Words, each with what is said of it beside it or, where there is no room, below it. */
export const rows = (list: readonly (readonly [string, string])[], width: number, most = 30): string[] => {
  const column = Math.min(most, Math.max(...list.map(([word]) => word.length)) + 4);
  return list.flatMap(([word, text]) => row(`  ${word}`, text, column, width));
};

const codeLines = (extra: readonly number[] | undefined, width: number): string[] => [
  "Exit codes:",
  ...rows(
    exitCodes(extra).map(([code, meaning]) => [String(code), meaning]),
    width,
  ),
];

export function commandHelp(name: string, command: Command, columns = WIDEST): string {
  const width = Math.min(columns, WIDEST);
  const say = (text: string | undefined) => text ?? "";
  const positionals = Object.entries(command.positionals).map(([key, { describe }]) => [`<${key}>`, say(describe)] as const);
  return [
    `bnfold ${name} ${places(command).join(" ")} [options]`,
    "",
    commandTable()[name].describe,
    ...(positionals.length === 0 ? [] : ["", "Arguments:", ...rows(positionals, width)]),
    "",
    "Options:",
    ...grouped(command.options).flatMap(([title, list], i) => [
      ...(i > 0 ? [""] : []),
      ...(title === "" ? [] : [` ${title}`]),
      ...rows(
        list.map(([key, option]) => [written(key, option), say(option.describe)]),
        width,
      ),
    ]),
    "",
    "Examples:",
    ...command.examples.flatMap(([example, what]) => [`  ${example}`, ...wrap(what, width - 6).map((line) => `      ${line}`)]),
    "",
    ...codeLines(commandTable()[name].exits ?? [], width),
  ].join("\n");
}

export function rootHelp(columns = WIDEST): string {
  const width = Math.min(columns, WIDEST);
  const examples = [
    ["bnfold inspect model.onnx", "what is in the file and what fold would do"],
    ["bnfold fold model.onnx folded.onnx", "fold, prove, write"],
    ["bnfold verify model.onnx folded.onnx", "check any two files"],
  ] as const;
  return [
    "bnfold <command> [options]",
    "",
    ...wrap("Folds batch normalization in ONNX files and proves the result equivalent.", width),
    "",
    "Commands:",
    ...rows(
      Object.entries(commandTable()).map(([name, { describe }]) => [`bnfold ${name}`, describe]),
      width,
    ),
    "",
    "Examples:",
    ...rows(examples, width, 44),
    "",
    ...codeLines(undefined, width),
    "",
    ...wrap("bnfold <command> --help shows the options of a command, bnfold explain <reason> a page.", width),
  ].join("\n");
}
