/**
 * docs/library.md, and the README's example, against dist/: examples fit the type declarations and run as written, what
 * follows "// →" is what is printed; and every exported name is on the page.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { convNet, folder, root, writeModel } from "./cli/bnfold.ts";
import { type ModelSpec, payload, type TensorSpec } from "./helpers/build.ts";

/** The same model with every initializer in a side file, as PyTorch's exporter writes it. */
function writeExternal(cwd: string, spec: ModelSpec): void {
  const parts: Uint8Array[] = [];
  let offset = 0;
  const outside = ([name, tensor]: [string, TensorSpec]): [string, TensorSpec] => {
    const content = payload(tensor);
    parts.push(content);
    offset += content.length;
    return [
      name,
      {
        ...tensor,
        values: [],
        external: { location: "model.onnx.data", offset: offset - content.length, length: content.length },
      },
    ];
  };
  const initializers = Object.fromEntries(Object.entries(spec.initializers ?? {}).map(outside));
  writeModel(join(cwd, "model.onnx"), { ...spec, initializers });
  writeFileSync(join(cwd, "model.onnx.data"), Buffer.concat(parts));
}

const page = readFileSync(join(root, "docs", "library.md"), "utf8");
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [page, readme].flatMap((text) => [...text.matchAll(/^##? (.*)$|^```[jt]s\n([\s\S]*?)^```$/gm)]);
const examples: [string, string][] = [];
let title = "";
for (const [, heading, code] of blocks) {
  if (heading !== undefined) title = heading;
  else examples.push([`${title}, ${examples.filter(([name]) => name.startsWith(`${title},`)).length + 1}`, code]);
}

const dir = folder();
mkdirSync(join(dir, "node_modules"));
symlinkSync(root, join(dir, "node_modules", "bnfold"));
symlinkSync(join(root, "node_modules", "@types"), join(dir, "node_modules", "@types"));
writeFileSync(join(dir, "package.json"), '{ "type": "module" }');

const fileOf = (name: string, extension: string) => join(dir, `${name.replace(/\W+/g, "-")}.${extension}`);
const GIVEN = `import { readFileSync } from "node:fs";
import { memorySource as sourceOf } from "bnfold";
const bytes = new Uint8Array(readFileSync("model.onnx"));
const external = (location: string) => sourceOf(new Uint8Array(readFileSync(location)), location);
`;

describe("docs/library.md and README.md", () => {
  it("has examples", () => expect(examples.length).toBeGreaterThanOrEqual(4));

  it("fits the type declarations", () => {
    for (const [name, code] of examples) writeFileSync(fileOf(name, "ts"), GIVEN + code);
    const program = ts.createProgram(
      examples.map(([name]) => fileOf(name, "ts")),
      {
        module: ts.ModuleKind.NodeNext,
        moduleResolution: ts.ModuleResolutionKind.NodeNext,
        target: ts.ScriptTarget.ES2022,
        types: ["node"],
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        preserveSymlinks: true,
      },
    );
    const problems = ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
      return `${file?.fileName ?? ""}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
    });
    expect(problems).toEqual([]);
  });

  const variants = ["in one file", "with a side file"].flatMap((variant) =>
    examples.map((example) => [...example, variant] as const),
  );

  it.each(variants)("%s", (name, code, variant) => {
    const { outputText } = ts.transpileModule(GIVEN + code, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    });
    const file = fileOf(name, "mjs");
    writeFileSync(file, outputText);
    const cwd = join(dir, `${name} ${variant}`.replace(/\W+/g, "-"));
    mkdirSync(cwd);
    if (variant === "in one file") writeModel(join(cwd, "model.onnx"), convNet());
    else writeExternal(cwd, convNet());
    const { stdout, stderr, status } = spawnSync(process.execPath, [file], { cwd, encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
    const expected = [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text);
    expect(expected.length).toBeGreaterThan(0);
    expect(stdout.trim().split("\n")).toEqual(expected);
  });

  it.each(["index", "node/index"])("docs/library.md names everything that %s exports, types too", (entry) => {
    const file = join(root, "dist", `${entry}.d.ts`);
    const program = ts.createProgram([file], {
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
      types: [],
      noLib: true,
    });
    const checker = program.getTypeChecker();
    const symbol = checker.getSymbolAtLocation(program.getSourceFile(file) as ts.SourceFile) as ts.Symbol;
    const names = checker.getExportsOfModule(symbol).map(({ name }) => name);
    expect(names.length).toBeGreaterThan(15);
    const code = [...page.matchAll(/^```ts\n[\s\S]*?^```$|`[^`\n]+`/gm)].map(([text]) => text).join("\n");
    const words = new Set(code.match(/\w+/g));
    expect(names.filter((name) => !words.has(name))).toEqual([]);
  });
});
