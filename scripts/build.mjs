/**
 * Builds dist/: the library and the command line (each with everything it needs bundled, the latter in chunks that load when a
 * command needs them), type declarations, the report's schema, and the licences of what the bundle holds.
 *
 *   node scripts/build.mjs              everything
 *   node scripts/build.mjs --no-types   without declarations, for a quick look
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { licenses } from "./licenses.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "dist");

const common = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  format: "esm",
  target: "node20.19",
  loader: { ".wasm": "binary" },
  metafile: true,
  logLevel: "warning",
};

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

// Each part becomes chunks of its own and the index only names what is in them: a page that uses few loads few.
const parts = [
  "onnx/read",
  "onnx/write",
  "certify/index",
  "fold/index",
  "verify/index",
  "run/session",
  "run/npy",
  "train/index",
  "diff/index",
  "report/report",
  "report/html/page",
  "report/text",
];
const library = await build({
  ...common,
  entryPoints: {
    ...{ index: "src/index.ts", "node/index": "src/node/index.ts" },
    ...Object.fromEntries(parts.map((part) => [`parts/${part}`, `src/${part}.ts`])),
  },
  outdir: "dist",
  chunkNames: "chunks/[name]-[hash]",
  platform: "neutral",
  mainFields: ["module", "main"],
  legalComments: "none",
  external: ["node:*", "onnxruntime-node"],
});

// Chunks that are imported for nothing: no module here does anything by being loaded, and bundlers warn of such imports.
for (const file of ["index.js", "node/index.js", ...parts.map((part) => `parts/${part}.js`)]) {
  const path = join(dist, file);
  writeFileSync(path, readFileSync(path, "utf8").replace(/^import "\.[^"]*";\n/gm, ""));
}

const cli = await build({
  ...common,
  entryPoints: { cli: "src/cli/main.ts" },
  outdir: "dist",
  chunkNames: "cli-chunks/[name]-[hash]",
  platform: "node",
  mainFields: ["module", "main"],
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  // CommonJS packages inside the bundle ask for built-ins through require.
  banner: { js: 'import { createRequire as bnfoldRequire } from "node:module"; const require = bnfoldRequire(import.meta.url);' },
});
// What bin/bnfold.js says when it can load no more: it loads nothing itself.
await build({ ...common, entryPoints: ["src/node/few-files.ts"], outdir: "dist", splitting: false, sourcemap: false });
writeFileSync(
  join(dist, "third-party-licenses.txt"),
  `The bundles in dist/ hold code of these packages.\n\n${licenses(
    root,
    [library, cli].map(({ metafile }) => metafile),
  )}`,
);

copyFileSync(join(root, "src/report/report.schema.json"), join(dist, "report.schema.json"));

// The man page is what the program says of itself.
const man = spawnSync(process.execPath, [join(root, "bin/bnfold.js"), "--man"], { encoding: "utf8" });
if (man.status !== 0) throw new Error(`no man page: ${man.stderr}`);
writeFileSync(join(dist, "bnfold.1"), man.stdout);

if (!process.argv.includes("--no-types")) {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(1);
  for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".d.ts")) rewriteSpecifiers(join(dist, file));
  }
}

/** Declarations keep the sources' ".ts"; readers of a package look for ".js". */
function rewriteSpecifiers(file) {
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace(/(\bfrom "|\bimport\(")(\.[^"]*)\.ts"/g, '$1$2.js"'));
}
