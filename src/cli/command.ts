/** What a command is to the command line: options for the parser, and a function that does the work. */
import type { ArgumentsCamelCase, Options, PositionalOptions } from "yargs";
import { BnfoldError } from "../diag/error.ts";

export type Values = ArgumentsCamelCase<Record<string, unknown>>;

export interface Command {
  /** Positional arguments in order; those without `demandOption` may be left out. */
  readonly positionals: Readonly<Record<string, PositionalOptions>>;
  readonly options: Readonly<Record<string, Options>>;
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Does the work and returns the exit code. */
  run(values: Values): Promise<number>;
}

/** How much is said. */
export const talkOptions: Readonly<Record<string, Options>> = {
  verbose: { alias: "v", type: "boolean", describe: "List every fold, merge and kept node, however many" },
  quiet: { alias: "q", type: "boolean", describe: "Print nothing but errors; the exit code says the rest" },
};

export const usage = (message: string, hint?: string): BnfoldError => new BnfoldError("usage", message, {}, hint);

const once = (values: Values, name: string): unknown => {
  const value = values[name];
  if (Array.isArray(value)) throw usage(`--${name} is given ${value.length} times; once is enough`);
  return value;
};

export const flag = (values: Values, name: string): boolean => once(values, name) === true;

export function text(values: Values, name: string): string | undefined {
  const value = once(values, name);
  if (value === undefined) return undefined;
  if (value === "") throw usage(`--${name} needs a value`);
  return String(value);
}

export function texts(values: Values, name: string): string[] {
  const value = values[name];
  return value === undefined ? [] : (Array.isArray(value) ? value : [value]).map(String);
}

export function integer(values: Values, name: string, least: number, most = Number.MAX_SAFE_INTEGER): number | undefined {
  const value = once(values, name);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value === "" || !Number.isSafeInteger(number) || number < least || number > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw usage(`--${name} is a whole number ${range}, got "${value}"`);
  }
  return number;
}
