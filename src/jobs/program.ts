/** Which program this is: the code it runs, so that two that differ are never taken for one. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { tagOf } from "./job.ts";

let known: string | undefined;

/** The command line's first file names all others by their content, so that its hash stands for all. */
export function ownTag(): string {
  if (known !== undefined) return known;
  const [file] = ["../cli.js", "./cli.js"]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .filter((path) => existsSync(path));
  const build = file === undefined ? "source" : createHash("sha256").update(readFileSync(file)).digest("hex").slice(0, 12);
  known = tagOf(build);
  return known;
}
