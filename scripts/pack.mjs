/**
 * The package as it is published: what `npm pack` takes, built anew, with the README that npm's page can show (readme.mjs).
 *
 *   node scripts/pack.mjs [folder]   writes bnfold-<version>.tgz there, by default here; `npm publish bnfold-<version>.tgz` is the rest
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readmeFor } from "./readme.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = resolve(process.argv[2] ?? ".");
const npm = (cwd, ...args) =>
  execFileSync("npm", ["pack", "--json", "--ignore-scripts", ...args], { cwd, encoding: "utf8", stdio: ["ignore", "pipe", 2] });
/** npm 12 gives an object by package, earlier ones a list. */
const packed = (json) => {
  const [said] = Object.values(JSON.parse(json));
  return said;
};

execFileSync(process.execPath, [join(root, "scripts/build.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
const stage = mkdtempSync(join(tmpdir(), "bnfold-pack-"));
try {
  for (const { path } of packed(npm(root, "--dry-run")).files) cpSync(join(root, path), join(stage, path), { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  writeFileSync(join(stage, "README.md"), readmeFor(manifest, readFileSync(join(root, "README.md"), "utf8")));
  const { filename } = packed(npm(stage, "--pack-destination", target));
  process.stdout.write(`${join(target, filename)}\n`);
} finally {
  rmSync(stage, { recursive: true, force: true });
}
