/** Builds bnfold, folds a model of fixtures/, and prints the report the command line prints. Writes only to a temporary folder. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const model = join("fixtures", "models", process.argv[2] ?? "repvgg-ts17", "model.onnx");
const folder = mkdtempSync(join(tmpdir(), "bnfold-demo-"));
const output = join(folder, "folded.onnx");

try {
  execFileSync(process.execPath, [join(root, "scripts", "build.mjs"), "--no-types"], { cwd: root, stdio: "inherit" });
  const bnfold = (...args) =>
    spawnSync(process.execPath, [join(root, "bin", "bnfold.js"), ...args], { cwd: root, stdio: "inherit" }).status;
  console.log(`$ bnfold fold ${model} -o folded.onnx\n`);
  process.exitCode = bnfold("fold", model, "-o", output) ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
