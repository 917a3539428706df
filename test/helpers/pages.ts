/**
 * Pages of documentation and their examples. A block marked `console` is run as it stands:
 *
 *   $ a command          lines that end in \ go on
 *   what it prints       a line "..." stands for any number of lines; times and memory may differ
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bin, folder, root } from "../cli/bnfold.ts";

export const readPage = (page: string): string => readFileSync(join(root, page), "utf8");

export const PAGES: readonly string[] = [
  "README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file.replaceAll("\\", "/")}`)
    .sort(),
];

export interface Example {
  readonly command: string;
  readonly printed: string;
}

/** The commands of a page's `console` blocks, in order, with what the page says they print. */
export function examplesOf(page: string): Example[] {
  const blocks = [...readPage(page).matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, text]) => text);
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((text) => {
        const [, command, printed] = /^((?:.*\\\n)*.*)\n([\s\S]*)$/.exec(text) as RegExpExecArray;
        return { command, printed: printed.trimEnd() };
      }),
  );
}

/** Runs commands one after the other in a folder of their own, which has `fixtures` in it and `bnfold` on its path. */
export function shell(): (command: string) => string {
  const dir = folder();
  const tools = folder();
  symlinkSync(join(root, "fixtures"), join(dir, "fixtures"));
  mkdirSync(join(tools, "bin"));
  writeFileSync(join(tools, "bin", "bnfold"), `#!/bin/sh\nexec "${process.execPath}" "${bin}" "$@"\n`);
  chmodSync(join(tools, "bin", "bnfold"), 0o755);
  const { FORCE_COLOR: _, ...rest } = process.env;
  const env = { ...rest, NO_COLOR: "1", PATH: `${join(tools, "bin")}:${process.env.PATH}` };
  return (command) => spawnSync("sh", ["-c", `{ ${command}\n} 2>&1`], { cwd: dir, encoding: "utf8", env }).stdout.trimEnd();
}

/** Text without what differs from run to run. */
const settled = (text: string): string =>
  text
    .replace(/\r\n/g, "\n")
    .replace(/^bnfold: [a-z0-9 ]+, [\d.]+ m?s(\n|$)/gm, "")
    .replace(/\b\d+(\.\d+)? m?s\b/g, "<time>")
    .replace(/(peak memory) [\d.]+ [kMG]?B/g, "$1 <size>")
    // Columns are as wide as what is in them.
    .replace(/ {2,}/g, " ")
    .replace(/-{3,}/g, "---")
    .replace(/[ \t]+$/gm, "");

/** The page's text when it covers what was printed, else what was printed: for `expect(...).toBe(page's text)`. */
export function covered(written: string, printed: string): string {
  const [a, b] = [settled(written), settled(printed)];
  const source = a
    .split("\n")
    .map((line) => (line.trim() === "..." ? "[\\s\\S]*" : line.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")))
    .join("\n")
    .replaceAll("\n[\\s\\S]*\n", "\n(?:[\\s\\S]*\n)?")
    .replace(/\n\[\\s\\S\]\*$/, "(?:\n[\\s\\S]*)?");
  return new RegExp(`^${source}$`).test(b) ? written : printed;
}
