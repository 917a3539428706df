/** Compiles src/kernels/assembly/*.ts and writes src/kernels/*-bytes.ts. With --check: fails if that would change them. */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = fileURLToPath(new URL("../", import.meta.url));

/** A module, base64. */
async function compile(name) {
  const flags = ["-O3", "--converge", "--runtime", "stub", "--noAssert", "--importMemory", "--enable", "simd,bulk-memory"];
  const files = new Map();
  const { error, stderr } = await asc.main(
    [`src/kernels/assembly/${name}.ts`, "--baseDir", root, "--outFile", "kernels.wasm", ...flags],
    {
      writeFile: (name, contents) => {
        files.set(name, contents);
      },
    },
  );
  if (error) throw new Error(`AssemblyScript: ${error.message}\n${stderr.toString()}`);
  const lines = Buffer.from(files.get("kernels.wasm"))
    .toString("base64")
    .match(/.{1,120}/g);
  return lines.map((line) => `  "${line}"`).join(" +\n");
}

/** The text of src/kernels/wasm-bytes.ts. */
export async function compileKernels() {
  return `/** WebAssembly, base64: made from assembly/kernels.ts by \`node scripts/kernels.mjs\`; do not edit. */
export const WASM_BASE64 =\n${await compile("kernels")};\n`;
}

/** The text of src/kernels/scale-bytes.ts. */
export async function compileScale() {
  return `/** WebAssembly, base64: made from assembly/scale.ts by \`node scripts/kernels.mjs\`; do not edit. */
export const SCALE_BASE64 =\n${await compile("scale")};\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, source, text] of [
    ["wasm-bytes", "kernels", await compileKernels()],
    ["scale-bytes", "scale", await compileScale()],
  ]) {
    const target = `${root}src/kernels/${name}.ts`;
    if (!process.argv.includes("--check")) await writeFile(target, text);
    else if ((await readFile(target, "utf8")) !== text) {
      process.stderr.write(`src/kernels/${name}.ts is not what src/kernels/assembly/${source}.ts compiles to\n`);
      process.exitCode = 1;
    }
  }
}
