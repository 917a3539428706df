/** Many models: which files a folder or a pattern stands for, which of them are this shard's, and where each goes. */
import { readdirSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import type { Options } from "yargs";
import { fileError } from "../node/files.ts";
import { text, usage, type Values } from "./command.ts";

export const batchOptions: Readonly<Record<string, Options>> = {
  jobs: { requiresArg: true, describe: "Models folded at the same time (default: the number of processors)" },
  resume: { type: "boolean", describe: "Leave out models that an earlier run has done, by content" },
  shard: { requiresArg: true, type: "string", describe: "Only part i of n, written i/n: for job arrays" },
};

const WILD = /[*?]/;

const kind = (path: string) => statSync(path, { throwIfNoEntry: false });

/** True for a folder, and for a pattern that is not itself the name of something. */
export function isMany(path: string): boolean {
  const there = kind(path);
  return there === undefined ? WILD.test(path) : there.isDirectory();
}

export interface Found {
  /** Folder all files lie below. */
  readonly base: string;
  /** Paths relative to it, with "/" between names, sorted. */
  readonly files: readonly string[];
}

/** `**` is any number of folders, `*` any text within a name, `?` one character of it. */
export function globMatcher(pattern: string): (path: string) => boolean {
  const source = pattern.split("/").map((part) =>
    part === "**"
      ? "**"
      : part
          .replace(/[.+^${}()|[\]\\]/g, "\\$&")
          .replaceAll("*", "[^/]*")
          .replaceAll("?", "[^/]"),
  );
  const joined = source.join("/").replaceAll("**/", "(?:[^/]+/)*").replaceAll("/**", "(?:/[^/]+)*");
  const expression = new RegExp(`^${joined === "**" ? ".*" : joined}$`);
  return (path) => expression.test(path);
}

/** A file, or what is called like one and is none (a link to nothing, a pipe): that is told when it is opened. */
const isModelPlace = (file: string): boolean => kind(file)?.isDirectory() !== true;

/** The models of a folder (*.onnx below it) or of a pattern. Hidden names, and what lies in `except`, are left out. */
export function findModels(path: string, except: string | undefined): Found {
  const isFolder = kind(path)?.isDirectory() === true;
  const parts = path.replaceAll("\\", sep === "\\" ? "/" : "\\").split("/");
  const wild = isFolder ? parts.length : parts.findIndex((part) => WILD.test(part));
  const base = parts.slice(0, wild).join("/") || (path.startsWith("/") ? "/" : ".");
  const matches = isFolder ? (file: string) => file.toLowerCase().endsWith(".onnx") : globMatcher(parts.slice(wild).join("/"));
  const files: string[] = [];
  const excluded = except === undefined ? undefined : resolve(except);
  const walk = (folder: string, prefix: string): void => {
    let entries: import("node:fs").Dirent[];
    try {
      entries = readdirSync(folder, { withFileTypes: true });
    } catch (error) {
      throw fileError(folder, error);
    }
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      const file = join(folder, entry.name);
      // Links to files are followed, links to folders are not: they may go round in a circle.
      if (entry.isDirectory()) {
        if (resolve(file) !== excluded) walk(file, `${prefix}${entry.name}/`);
      } else if (matches(prefix + entry.name) && isModelPlace(file)) files.push(prefix + entry.name);
    }
  };
  walk(base, "");
  return { base, files: files.sort() };
}

export interface Shard {
  readonly index: number;
  readonly of: number;
}

export function shardOf(values: Values): Shard {
  const written = text(values, "shard");
  if (written === undefined) return { index: 1, of: 1 };
  const [, i, n] = (/^(\d+)\/(\d+)$/.exec(written) ?? []).map(Number);
  if (i === undefined || !(i >= 1 && i <= n && n <= 1e6))
    throw usage(`--shard is written i/n with i from 1 to n, got "${written}"`);
  return { index: i, of: n };
}

/** Every n-th file, beginning with the i-th. */
export const ofShard = (files: readonly string[], { index, of }: Shard): string[] => files.filter((_, k) => k % of === index - 1);

/** Report beside the outputs, one for each shard. */
export function reportPath(folder: string, { index, of }: Shard): string {
  return join(folder, of === 1 ? "bnfold-report.jsonl" : `bnfold-report.${index}-of-${of}.jsonl`);
}
