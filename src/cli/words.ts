/**
 * The words of a command line beside the table of options: what is wrong with them is found here, before they are parsed, and said
 * with the names that were written.
 */
import type { Options } from "yargs";
import { type Command, usage } from "./command.ts";
import { commonOptions, places, takesValue } from "./help.ts";
import { nearest } from "./suggest.ts";

const NEGATIVE_NUMBER = /^-\.?\d/;

/** A word that is an option, and no file called "-" or number below zero. */
export const isOption = (word: string): boolean => word.startsWith("-") && word !== "-" && !NEGATIVE_NUMBER.test(word);

/** The option a name or a letter stands for. */
export function optionOf(options: Command["options"], name: string): Options | undefined {
  if (Object.hasOwn(options, name)) return options[name];
  return Object.values(options).find(({ alias }) => [alias ?? []].flat().includes(name));
}

/** True where the next word is the value of this one. */
export function wantsNext(command: Command, word: string | undefined): boolean {
  if (word === undefined || !isOption(word) || word.includes("=")) return false;
  const option = optionOf(command.options, word.replace(/^--?/, ""));
  return option !== undefined && takesValue(option);
}

interface Written {
  readonly places: readonly string[];
  readonly options: readonly { readonly written: string; readonly option: Options; readonly value?: string }[];
}

/** An option as it is written: `--name`, `--name=value`, or letters together, the last of which may have its value behind it. */
function partsOf(word: string, all: Command["options"]): { names: string[]; value?: string } {
  const [, name, , equal] = /^(--?[^=]*)(=([\s\S]*))?$/.exec(word) as RegExpExecArray;
  if (name.startsWith("--")) return { names: [name.slice(2)], ...(equal === undefined ? {} : { value: equal }) };
  const letters = [...name.slice(1)];
  const taker = letters.findIndex((letter) => takesValue(optionOf(all, letter) ?? {}));
  if (taker < 0 || taker === letters.length - 1) return { names: letters, ...(equal === undefined ? {} : { value: equal }) };
  return { names: letters.slice(0, taker + 1), value: word.slice(taker + 2) };
}

function wordsOf(command: Command, words: readonly string[], hint: string): Written {
  const all = { ...command.options, ...commonOptions };
  const positions: string[] = [];
  const options: Written["options"][number][] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (!isOption(word)) {
      positions.push(word);
      continue;
    }
    const { names, value } = partsOf(word, all);
    for (const name of names) {
      const option = optionOf(all, name);
      const written = word.startsWith("--") ? `--${name}` : `-${name}`;
      if (option === undefined) throw unknown(word.startsWith("--") ? written : word.split("=")[0], all, hint);
      if (!takesValue(option)) {
        options.push({ written, option });
        continue;
      }
      const next = words[i + 1];
      if (value === undefined && (next === undefined || isOption(next))) throw usage(`${written} needs a value`, hint);
      options.push({ written, option, value: value ?? words[++i] });
      break;
    }
  }
  return { places: positions, options };
}

function unknown(option: string, all: Command["options"], hint: string): Error {
  const near = nearest(option.replace(/^-+/, ""), Object.keys(all));
  return usage(`unknown option ${option}${near === undefined ? "" : `, did you mean --${near}?`}`, hint);
}

const quoted = (words: readonly string[]): string => words.map((word) => `"${word}"`).join(", ");

function requireChoice(what: string, value: string, choices: Options["choices"]): void {
  const words = (choices ?? []).map(String);
  if (words.length === 0 || words.includes(value)) return;
  const near = nearest(value, words);
  throw usage(
    `${what} cannot be "${value}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
    `It is one of ${words.join(", ")}.`,
  );
}

/** @throws BnfoldError of kind "usage" for the first thing that is wrong, unknown options before all. */
export function checkWords(name: string, command: Command, words: readonly string[]): void {
  const hint = `bnfold ${name} --help shows what it takes.`;
  const written = wordsOf(command, words, hint);
  const list = Object.entries(command.positionals);
  const least = list.filter(([, { demandOption }]) => demandOption).length;
  const isOpen = list.some(([, { array }]) => array);
  if (written.places.length < least)
    throw usage(`missing ${places(command).slice(written.places.length, least).join(" and ").replaceAll("..>", ">")}`, hint);
  if (!isOpen && written.places.length > list.length) {
    const many = 'For many models give a folder, or a pattern in quotes: bnfold fold "models/*.onnx" -o folded';
    throw usage(`unexpected argument ${quoted(written.places.slice(list.length))}`, name === "fold" ? many : hint);
  }
  const given = new Set(written.options.map(({ option }) => option));
  const absent = Object.entries(command.options).filter(([, option]) => option.demandOption && !given.has(option));
  if (absent.length > 0) throw usage(`missing ${absent.map(([key]) => `--${key}`).join(" and ")}`, hint);
  for (const [i, [key, { choices, array }]] of list.entries())
    for (const value of array ? written.places.slice(i) : written.places.slice(i, i + 1))
      requireChoice(`<${key}>`, value, choices);
  for (const {
    written: option,
    option: { choices },
    value,
  } of written.options)
    if (value !== undefined) requireChoice(option, value, choices);
}
