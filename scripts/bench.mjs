// Bundles bench/<name>.ts (Node 20 runs no TypeScript) and runs it with the arguments that follow the name.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const name = process.argv[2];
if (name === undefined || !/^[a-z-]+$/.test(name)) {
  process.stderr.write("usage: npm run bench -- <name> [arguments]\n");
  process.exit(2);
}
const folder = await mkdtemp(join(tmpdir(), "bnfold-bench-"));
try {
  const outfile = join(folder, "bench.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL(`../bench/${name}.ts`, import.meta.url))],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    outfile,
    banner: { js: 'import { createRequire as benchRequire } from "node:module"; const require = benchRequire(import.meta.url);' },
    logLevel: "warning",
  });
  await import(pathToFileURL(outfile).href);
} finally {
  await rm(folder, { recursive: true, force: true });
}
