/** What runs in other people's CI: the action's script and the hook's command, as they are written, with the program of this checkout. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, it } from "vitest";
import { VERSION } from "../../src/report/version.ts";
import { modelBytes } from "../helpers/build.ts";
import { bin, convNet, folder, root } from "./bnfold.ts";

const dir = folder();
const action = readFileSync(join(root, "action.yml"), "utf8");
const hooks = readFileSync(join(root, ".pre-commit-hooks.yaml"), "utf8");

/** The last script of the action: a block that is indented by eight. */
const script = action
  .slice(action.lastIndexOf("run: |\n") + 7)
  .split("\n")
  .map((line) => line.slice(8))
  .join("\n");

const path = join(dir, "path");
mkdirSync(path);
for (const [name, to] of [
  ["bnfold", `exec "${process.execPath}" "${bin}" "$@"`],
  ["npx", `[ "$1 $2" = "--yes bnfold@${VERSION}" ] || exit 99\nshift 2\nexec "${process.execPath}" "${bin}" "$@"`],
]) {
  writeFileSync(join(path, name), `#!/bin/sh\n${to}\n`);
  chmodSync(join(path, name), 0o755);
}
const models = join(dir, "models; touch injected");
mkdirSync(models);
writeFileSync(join(models, "plain.onnx"), modelBytes(convNet()));
writeFileSync(join(models, "kept.onnx"), modelBytes(convNet({ kept: true })));

let count = 0;
function act(inputs: Readonly<Record<string, string>>) {
  const cwd = join(dir, `job${count++}`);
  mkdirSync(cwd);
  const [summary, output] = ["summary", "output"].map((name) => join(cwd, name));
  const names = ["COMMAND", "MODELS", "OUTPUT", "FAIL_ON", "STRICT", "REPORT", "ARGS"];
  const env = Object.fromEntries(names.map((name) => [name, inputs[name] ?? ""]));
  const ran = spawnSync("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", script], {
    cwd,
    encoding: "utf8",
    env: {
      ...process.env,
      ...env,
      PATH: `${path}${delimiter}${process.env.PATH}`,
      GITHUB_STEP_SUMMARY: summary,
      GITHUB_OUTPUT: output,
    },
  });
  const read = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");
  return { ...ran, cwd, summary: read(summary), output: read(output) };
}

describe.skipIf(process.platform === "win32")("action.yml", () => {
  it("passes every input to the last script as a variable, and none into its text", () => {
    const declared = [...action.split("\noutputs:")[0].matchAll(/^ {2}([a-z-]+):$/gm)].map(([, name]) => name);
    const used = new Set([...action.matchAll(/\$\{\{ inputs\.([a-z-]+) \}\}/g)].map(([, name]) => name));
    expect(declared.filter((name) => name !== "icon" && !used.has(name))).toEqual([]);
    expect(script).not.toContain("${{");
    expect(action).toContain(`default: ${VERSION}`);
  });

  it("inspects a folder whose name is a command, annotates, sums up and reports", () => {
    const ran = act({ COMMAND: "inspect", MODELS: `${models}\n`, REPORT: "r.sarif\nr.xml" });
    expect([ran.status, ran.stderr]).toEqual([0, ""]);
    expect(ran.stdout).toMatch(/^::warning file=.*kept\.onnx,title=bnfold /m);
    expect(ran.summary).toContain("### bnfold: Models");
    expect(ran.output).toBe("exit-code=0\n");
    expect(existsSync(join(ran.cwd, "r.sarif")) && existsSync(join(ran.cwd, "r.xml"))).toBe(true);
    expect(existsSync(join(ran.cwd, "injected"))).toBe(false);
  });

  it("fails for what may not stay, and says so in its output", () => {
    const [, reason] = /title=bnfold ([a-z-]+)%3A/.exec(act({ COMMAND: "inspect", MODELS: models }).stdout) ?? [];
    const ran = act({ COMMAND: "inspect", MODELS: models, FAIL_ON: `training-mode,${reason}` });
    expect(ran.status).toBe(5);
    expect(ran.output).toBe("exit-code=5\n");
    expect(ran.stdout).toContain("::error file=");
    expect(act({ COMMAND: "fold", MODELS: join(models, "kept.onnx"), STRICT: "true" }).status).toBe(5);
  });

  it("folds, and verifies two", () => {
    const folded = act({ COMMAND: "fold", MODELS: join(models, "plain.onnx"), OUTPUT: "out.onnx", ARGS: "--no-run" });
    expect(folded.status, folded.stderr).toBe(0);
    const pair = `${join(models, "plain.onnx")}\n${join(folded.cwd, "out.onnx")}`;
    expect(act({ COMMAND: "verify", MODELS: pair }).status).toBe(0);
    expect(act({ COMMAND: "run; true", MODELS: models }).status).toBe(2);
  });
});

describe.skipIf(process.platform === "win32")(".pre-commit-hooks.yaml", () => {
  const field = (name: string) => new RegExp(`^(?:- | {2})${name}: (.*)$`, "m").exec(hooks)?.[1] ?? "";

  it("calls the same with the files of a commit", () => {
    const args = field("args")
      .replace(/^\[|\]$/g, "")
      .split(", ");
    const run = (file: string, ...more: string[]) =>
      spawnSync("sh", ["-c", `${field("entry")} "$@"`, "sh", ...args, ...more, join(models, file)], {
        encoding: "utf8",
        env: { ...process.env, PATH: `${path}${delimiter}${process.env.PATH}` },
      });
    expect(run("plain.onnx", join(models, "kept.onnx")).status).toBe(0);
    writeFileSync(join(models, "train.onnx"), readFileSync(join(root, "fixtures/models/training-ts17/model.onnx")));
    expect(run("train.onnx").status).toBe(5);
    expect(new RegExp(field("files")).test("a/b.onnx")).toBe(true);
    expect(new RegExp(field("files")).test("a/b.onnx.data")).toBe(false);
  });
});
