/**
 * Options from elsewhere. What is written on the command line counts first, then BNFOLD_<OPTION> variables, then the config file:
 * the one --config names, else bnfold.config.json of the working folder, else "bnfold" in its package.json.
 *
 * A config file is a JSON object with options by name; in an object under a command's name they are for that command alone, and
 * count before those beside it. What no command knows is an error; what this one does not have is left to the others.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Options } from "yargs";
import { holdsSecret, redacted } from "../jobs/redact.ts";
import { fileError } from "../node/files.ts";
import { type Command, usage } from "./command.ts";
import { takesValue } from "./help.ts";
import { nearest } from "./suggest.ts";
import { commandTable } from "./table.ts";

type Setting = string | number | boolean | readonly (string | number)[];

interface Source {
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface Configured {
  /** What was written, and behind it what the other sources add. */
  readonly args: readonly string[];
  /** With --print-config: what they say. */
  readonly shown?: string;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parsed(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw fileError(path, error);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw usage(`${path} is not JSON: ${(error as Error).message}`);
  }
}

function configFile(asked: string | undefined, folder: string | undefined): Source | undefined {
  const here = folder === undefined ? [] : [join(folder, "bnfold.config.json")];
  const path = asked ?? here.find((candidate) => existsSync(candidate));
  if (path !== undefined) {
    const settings = parsed(path);
    if (!isObject(settings)) throw usage(`${path} holds no object of options`);
    return { name: asked ?? "bnfold.config.json", settings };
  }
  const manifest = folder === undefined ? undefined : join(folder, "package.json");
  if (manifest === undefined || !existsSync(manifest)) return undefined;
  let settings: unknown;
  try {
    settings = (JSON.parse(readFileSync(manifest, "utf8")) as { bnfold?: unknown }).bnfold;
  } catch {
    // Somebody else's file: whether it can be read is no business of this program.
    return undefined;
  }
  if (settings !== undefined && !isObject(settings)) throw usage('"bnfold" in package.json is no object of options');
  return settings === undefined ? undefined : { name: "package.json", settings };
}

/** Names of options that any command has. */
async function everyOption(): Promise<Set<string>> {
  const loaded = await Promise.all(Object.values(commandTable()).map(({ load }) => load()));
  return new Set(loaded.flatMap(({ command }) => Object.keys(command.options)));
}

async function requireKnown({ name, settings }: Source, known: ReadonlySet<string>): Promise<void> {
  const check = (key: string, where: string, all: ReadonlySet<string>) => {
    if (all.has(key)) return;
    const near = nearest(key, [...all]);
    throw usage(`${name}: ${where}no command has an option "${key}"${near === undefined ? "" : `, did you mean "${near}"?`}`);
  };
  for (const [key, value] of Object.entries(settings)) {
    if (!Object.hasOwn(commandTable(), key) || !isObject(value)) check(key, "", known);
    else {
      const { command } = await commandTable()[key].load();
      for (const inner of Object.keys(value)) check(inner, `in "${key}", `, new Set(Object.keys(command.options)));
    }
  }
}

/** The value as the parser would read it. */
function argsOf(source: string, key: string, value: unknown, option: Options): string[] {
  const bad = (expected: string) => usage(`${source}: "${key}" is ${expected}, got ${JSON.stringify(value)}`);
  if (!takesValue(option)) {
    if (typeof value !== "boolean") throw bad("true or false");
    return value ? [`--${key}`] : [];
  }
  const list = Array.isArray(value) ? value : [value];
  if (Array.isArray(value) && option.array !== true) throw bad("one value");
  if (!list.every((item) => typeof item === "string" || typeof item === "number")) throw bad("text or a number");
  return list.map((item) => `--${key}=${item}`);
}

/** A variable's text: true and false for options without a value, commas between several. */
function variable(name: string, text: string, option: Options): Setting {
  if (takesValue(option)) return option.array === true ? text.split(",") : text;
  if (["1", "true", "yes", "on"].includes(text.toLowerCase())) return true;
  if (["", "0", "false", "no", "off"].includes(text.toLowerCase())) return false;
  throw usage(`${name} is 1 or 0, got "${text}"`);
}

const isGiven = (args: readonly string[], key: string, { alias }: Options): boolean => {
  const letters = [alias ?? []].flat().filter((name) => name.length === 1);
  return args.some(
    (arg) =>
      arg === `--${key}` ||
      arg.startsWith(`--${key}=`) ||
      letters.some((letter) => new RegExp(`^-[a-z]*${letter}`).test(arg) && !arg.startsWith("--")),
  );
};

/** Options of which one stands for the other: who writes one of them means none of the others that a file may hold. */
const EITHER: readonly (readonly string[])[] = [
  ["output", "in-place"],
  ["format", "json"],
  ["verbose", "quiet"],
];

/** A line that may be looked at: URLs without what they keep secret. */
const shownUrl = (line: string): string =>
  line.replace(/[a-z][a-z0-9+.-]*:\/\/\S+/gi, (url) => (holdsSecret(url) ? redacted(url) : url));

/** Takes --config and --print-config out of the words. */
function ownOptions(args: readonly string[]): { rest: string[]; file?: string; print: boolean } {
  const rest: string[] = [];
  let file: string | undefined;
  let print = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--") {
      rest.push(...args.slice(i));
      break;
    }
    if (arg === "--print-config") print = true;
    else if (arg === "--config" || arg.startsWith("--config=")) {
      const value = arg === "--config" ? args[++i] : arg.slice("--config=".length);
      if (value === undefined || value === "") throw usage("--config needs a value");
      file = value;
    } else rest.push(arg);
  }
  return { rest, file, print };
}

export async function configured(
  name: string,
  command: Command,
  given: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  folder: string | undefined,
): Promise<Configured> {
  const { rest, file, print } = ownOptions(given);
  const source = configFile(file, folder);
  if (source !== undefined) await requireKnown(source, await everyOption());
  const variables = Object.entries(command.options).flatMap(([key, option]): [string, Setting][] => {
    const variableName = `BNFOLD_${key.replaceAll("-", "_").toUpperCase()}`;
    const text = env[variableName];
    return text === undefined ? [] : [[key, variable(variableName, text, option)]];
  });
  const own = source?.settings[name];
  const sources: Source[] = [
    { name: "a BNFOLD_ variable", settings: Object.fromEntries(variables) },
    ...(source !== undefined && isObject(own) ? [{ name: `${source.name}, "${name}"`, settings: own }] : []),
    ...(source === undefined ? [] : [source]),
  ];
  const before = rest.slice(0, rest.includes("--") ? rest.indexOf("--") : rest.length);
  const added: string[] = [];
  const lines: string[] = [];
  for (const [key, option] of Object.entries(command.options)) {
    const rivals = EITHER.find((names) => names.includes(key)) ?? [key];
    const isWritten = rivals.some((rival) => isGiven(before, rival, command.options[rival] ?? {}));
    const from = sources.find(({ settings }) => Object.hasOwn(settings, key));
    if (isWritten || from === undefined) continue;
    const words = argsOf(from.name, key, from.settings[key], option);
    added.push(...words);
    lines.push(`${(words.length === 0 ? [`(no --${key})`] : words).join(" ")}  from ${from.name}`);
  }
  if (print) return { args: [], shown: [...before, ...lines].map(shownUrl).join("\n") || "nothing is configured" };
  return { args: [...added, ...rest] };
}
