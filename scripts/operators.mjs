/** Writes the operators of the executor and their versions into docs/executor.md. With --check: fails if that would change it. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const page = fileURLToPath(new URL("../docs/executor.md", import.meta.url));
const BEGIN = "<!-- operators: written by scripts/operators.mjs -->";
const END = "<!-- end of operators -->";

/** The page with its table replaced by one of `operators`. */
export function withOperators(text, operators) {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error("docs/executor.md has lost the marks around its table of operators");
  const domains = [...new Set(operators.map(({ domain }) => domain))];
  const parts = domains.map((domain) => {
    const rows = operators.filter((op) => op.domain === domain).map(({ type, since }) => `| ${type} | ${since.join(", ")} |`);
    return [
      `### ${domain === "" ? "ai.onnx" : domain} (${rows.length})`,
      "",
      "| operator | versions |",
      "| :-- | :-- |",
      ...rows,
    ].join("\n");
  });
  return `${text.slice(0, from)}${BEGIN}\n\n${parts.join("\n\n")}\n\n${text.slice(to)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = await mkdtemp(join(tmpdir(), "bnfold-operators-"));
  try {
    const outfile = join(folder, "ops.mjs");
    const entry = fileURLToPath(new URL("../src/ops/index.ts", import.meta.url));
    const banner = { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' };
    await build({ entryPoints: [entry], bundle: true, platform: "node", format: "esm", outfile, banner, logLevel: "warning" });
    const { operators } = await import(pathToFileURL(outfile).href);
    const text = await readFile(page, "utf8");
    const updated = withOperators(text, operators());
    if (!process.argv.includes("--check")) await writeFile(page, updated);
    else if (updated !== text) {
      process.stderr.write("the operators in docs/executor.md are not those of src/ops: node scripts/operators.mjs\n");
      process.exitCode = 1;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
