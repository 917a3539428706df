/** Node 20 runs no TypeScript: bundles a script into a temporary folder and runs it in this process, arguments and all. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

/** @param {URL} entry */
export async function runBundled(entry) {
  const folder = await mkdtemp(join(tmpdir(), "bnfold-script-"));
  try {
    const outfile = join(folder, "script.mjs");
    await build({
      entryPoints: [fileURLToPath(entry)],
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      outfile,
      sourcemap: "inline",
      // Under a name of its own: a script may import createRequire itself.
      banner: {
        js: 'import { createRequire as bundledRequire } from "node:module"; const require = bundledRequire(import.meta.url); const __filename = import.meta.filename;',
      },
      logLevel: "warning",
    });
    await import(pathToFileURL(outfile).href);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
