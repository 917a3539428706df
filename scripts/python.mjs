/**
 * Puts the command line into the Python package, python/src/bnfold/engine; `pip install ./python` then has all it needs.
 *
 *   node scripts/python.mjs             build, and put it there
 *   node scripts/python.mjs --wheel     and make python/dist/bnfold-….whl (needs python3 with pip)
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const engine = join(root, "python/src/bnfold/engine");

function run(program, args) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) console.error(`${program}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

run(process.execPath, [join(root, "scripts/build.mjs"), "--no-types"]);
rmSync(engine, { recursive: true, force: true });
mkdirSync(engine, { recursive: true });
for (const part of ["cli.js", "cli-chunks", "third-party-licenses.txt"])
  cpSync(join(root, "dist", part), join(engine, part), { recursive: true });
// Without a package file beside them, Node.js would take the scripts for CommonJS.
writeFileSync(join(engine, "package.json"), '{ "type": "module" }\n');
writeFileSync(
  join(engine, "bnfold.js"),
  'import { main } from "./cli.js";\n\nprocess.exitCode = await main(process.argv.slice(2));\n',
);

if (process.argv.includes("--wheel")) {
  rmSync(join(root, "python/build"), { recursive: true, force: true });
  run("python3", ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "python/dist", "./python"]);
}
