/** The examples of docs/library.md, run as written against dist/: what follows "// →" must be what is printed. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { convNet, folder, root, writeModel } from "./cli/bnfold.ts";

const page = readFileSync(join(root, "docs", "library.md"), "utf8");
const blocks = [...page.matchAll(/^## (.*)$|^```ts\n([\s\S]*?)^```$/gm)];
const examples: [string, string][] = [];
let title = "";
for (const [, heading, code] of blocks) {
  if (heading !== undefined) title = heading;
  else examples.push([title, code]);
}

const dir = folder();
mkdirSync(join(dir, "node_modules"));
symlinkSync(root, join(dir, "node_modules", "bnfold"));
writeModel(join(dir, "model.onnx"), convNet());

describe("docs/library.md", () => {
  it("has examples", () => expect(examples.length).toBeGreaterThanOrEqual(4));

  it.each(examples)("%s", (name, code) => {
    const { outputText } = ts.transpileModule(code, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    });
    const file = join(dir, `${name.replace(/\W+/g, "-")}.mjs`);
    const given = 'import { readFileSync } from "node:fs";\nconst bytes = new Uint8Array(readFileSync("model.onnx"));\n';
    writeFileSync(file, given + outputText);
    const { stdout, stderr, status } = spawnSync(process.execPath, [file], { cwd: dir, encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
    const expected = [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text);
    expect(expected.length).toBeGreaterThan(0);
    expect(stdout.trim().split("\n")).toEqual(expected);
  });
});
