/** The table of commands, for what it loads itself: main.ts hands it over before any command runs. */
import type { Command } from "./command.ts";

export interface Entry {
  readonly describe: string;
  /** Exit codes beyond those every command has. */
  readonly exits?: readonly number[];
  load(): Promise<{ command: Command }>;
}

export type ExitCode = readonly [code: number, meaning: string, everywhere?: boolean];

interface Table {
  readonly commands: Readonly<Record<string, Entry>>;
  readonly codes: readonly ExitCode[];
}

let current: Table = { commands: {}, codes: [] };

export const setTable = (table: Table): void => {
  current = table;
};

export const commandTable = (): Table["commands"] => current.commands;
export const exitTable = (): Table["codes"] => current.codes;
