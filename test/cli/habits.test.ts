/** What people expect of any program at a terminal: pipes, folders, configuration, completion, help, a man page. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bin, bnfold, convNet, folder, root, writeModel } from "./bnfold.ts";

const dir = folder();
const model = writeModel(join(dir, "model.onnx"), convNet());
const partly = writeModel(join(dir, "partly.onnx"), convNet({ kept: true }));

/** The program with bytes on stdin, in a folder, and its stdout as bytes. */
const piped = (args: readonly string[], more: { input?: Buffer; cwd?: string; env?: Record<string, string> } = {}) => {
  const { input, cwd, env = {} } = more;
  const ran = spawnSync(process.execPath, [bin, ...args], {
    input: input ?? Buffer.alloc(0),
    cwd,
    env: { ...process.env, ...env },
  });
  return { code: ran.status, stdout: ran.stdout, stderr: ran.stderr.toString() };
};
const has = (program: string): boolean => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

describe("pipes", () => {
  const whole = join(dir, "whole.onnx");
  bnfold(["fold", model, "-o", whole]);
  it("- is stdin and stdout, and nothing but the model goes there", () => {
    const through = piped(["fold", "-", "-o", "-"], { input: readFileSync(model) });
    expect(through.code).toBe(0);
    expect(through.stdout.equals(readFileSync(whole))).toBe(true);
    expect(through.stderr).toContain("Equivalent. 1 of 1 BatchNormalization folded");
    expect(piped(["fold", "-", "-"], { input: readFileSync(model) }).stdout.equals(readFileSync(whole))).toBe(true);
    expect(piped(["inspect", "-"], { input: readFileSync(model) }).stdout.toString()).toContain("1 of 1 BatchNormalization");
    expect(piped(["verify", model, "-"], { input: readFileSync(whole) }).code).toBe(0);
    expect(piped(["verify", "-", "-"]).code).toBe(2);
  });
  it("what is no model, and what is refused, writes nothing to stdout", () => {
    const broken = piped(["fold", "-", "-o", "-"], { input: Buffer.from("no model") });
    expect([broken.code, broken.stdout.length]).toEqual([3, 0]);
    expect(piped(["fold", model, "-o", "-", "--strict"]).code).toBe(0);
    const kept = piped(["fold", partly, "-o", "-", "--strict"]);
    expect(kept.code).toBe(5);
    expect(kept.stdout.length).toBeGreaterThan(0);
  });
});

describe("folders and names", () => {
  it("an output folder that is not there is told before anything is computed, and made with --mkdir", () => {
    const out = join(dir, "new/deep/out.onnx");
    const missing = bnfold(["fold", model, "-o", out]);
    expect(missing.code).toBe(4);
    expect(missing.stderr).toMatch(/the output folder .*new.deep does not exist\n.*--mkdir/);
    expect(bnfold(["fold", model, "-o", out, "--mkdir"]).code).toBe(0);
    expect(existsSync(out)).toBe(true);
    expect(bnfold(["freeze", model, "-o", `${join(dir, "other")}/`, "--mkdir"]).code).toBe(0);
    expect(existsSync(join(dir, "other/model.onnx"))).toBe(true);
  });
  it("a pattern that means no node is a mistake", () => {
    for (const [option, command] of [
      ["--only", "fold"],
      ["--skip", "fold"],
      ["--only", "inspect"],
    ]) {
      const args = command === "fold" ? ["fold", model, "--dry-run"] : ["inspect", model];
      const { code, stderr } = bnfold([...args, option, "nrom"]);
      expect(code).toBe(2);
      expect(stderr).toContain(`${option}: no node of the model matches "nrom", did you mean "norm"?`);
      expect(bnfold([...args, option, "no*"]).code).toBe(0);
    }
  });
  it("a file in place of a command", () => {
    const { code, stderr } = bnfold([model]);
    expect(code).toBe(2);
    expect(stderr).toContain(`bnfold fold ${model} -o folded.onnx`);
    expect(bnfold(["missing.onnx"]).stderr).toContain("is no command");
  });
  it("a Node that is too old is told in one line", () => {
    const fake = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "18.20.4" } }); await import(${JSON.stringify(`file://${bin}`)});`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", fake], { encoding: "utf8" });
    expect([status, stdout, stderr]).toEqual([2, "", "bnfold: needs Node 20.19 or later, this is 18.20.4\n"]);
  });
});

describe("configuration", () => {
  const place = join(dir, "project");
  mkdirSync(place);
  const config = join(place, "bnfold.config.json");
  const strict = (more: { cwd?: string; env?: Record<string, string> } = {}, args: readonly string[] = []) =>
    piped(["fold", partly, "--dry-run", "--no-check", ...args], more);
  it("a file, a variable, the command line: each counts before the one before", () => {
    expect(strict({ cwd: place }).code).toBe(0);
    writeFileSync(config, JSON.stringify({ strict: true, format: "text" }));
    expect(strict({ cwd: place }).code).toBe(5);
    writeFileSync(config, JSON.stringify({ strict: true, fold: { strict: false } }));
    expect(strict({ cwd: place }).code).toBe(0);
    expect(strict({ cwd: place, env: { BNFOLD_STRICT: "1" } }).code).toBe(5);
    expect(strict({ cwd: place, env: { BNFOLD_STRICT: "0" } }, ["--strict"]).code).toBe(5);
    writeFileSync(config, JSON.stringify({ strict: true }));
    expect(strict({ cwd: place, env: { BNFOLD_STRICT: "0" } }).code).toBe(0);
    writeFileSync(config, JSON.stringify({ skip: ["norm", "late"] }));
    expect(JSON.parse(strict({ cwd: place }, ["--json"]).stdout.toString()).folds).toEqual([]);
    // What is written takes the place of a file's list.
    expect(JSON.parse(strict({ cwd: place }, ["--json", "--skip", "late"]).stdout.toString()).folds).toHaveLength(1);
    rmSync(config);
    writeFileSync(join(place, "package.json"), JSON.stringify({ name: "x", bnfold: { strict: true } }));
    expect(strict({ cwd: place }).code).toBe(5);
    const other = join(dir, "other.json");
    writeFileSync(other, JSON.stringify({ strict: false }));
    expect(strict({ cwd: place }, ["--config", other]).code).toBe(0);
  });
  it.each([
    [{ strct: true }, /no command has an option "strct", did you mean "strict"\?/],
    [{ fold: { csv: true } }, /in "fold", no command has an option "csv"/],
    [{ strict: "yes" }, /"strict" is true or false, got "yes"/],
    [{ seed: [1, 2] }, /"seed" is one value/],
    [{ external: "kep" }, /did you mean "keep"\?/],
    ["strict", /holds no object of options/],
  ])("%j is refused", (settings, message) => {
    const file = join(dir, "bad.json");
    writeFileSync(file, JSON.stringify(settings));
    const { code, stderr } = strict({}, ["--config", file]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
  it("--print-config says what is set, and where", () => {
    const file = join(dir, "good.json");
    writeFileSync(file, JSON.stringify({ strict: true, csv: true, fold: { seed: 7 } }));
    const { code, stdout } = piped(["fold", "--print-config", "--config", file], { env: { BNFOLD_NO_RUN: "1" } });
    expect(code).toBe(0);
    expect(stdout.toString().trim().split("\n").sort()).toEqual([
      "--no-run  from a BNFOLD_ variable",
      `--seed=7  from ${file}, "fold"`,
      `--strict  from ${file}`,
    ]);
  });
});

describe("completion", () => {
  const script = (shell: string) => bnfold(["completion", shell]).stdout;
  /** The words that bash offers, by the script, when these are on the line. */
  const offered = (shell: "bash" | "zsh", words: readonly string[]): string[] => {
    const load = shell === "bash" ? `source ${join(dir, "completion.bash")}` : "autoload -U bashcompinit; bashcompinit";
    const body = shell === "bash" ? "" : `; ${script("bash").replace(/^complete .*$/m, "")}`;
    const line = words.map((word) => `'${word}'`).join(" ");
    const zero = shell === "zsh" ? "setopt KSH_ARRAYS; " : "";
    const asked = `${load}${body}\n${zero}COMP_WORDS=(bnfold ${line}); COMP_CWORD=${words.length}; _bnfold; echo "\${COMPREPLY[@]}"`;
    const ran = spawnSync(shell, shell === "zsh" ? ["-f", "-c", asked] : ["--norc", "-c", asked], { encoding: "utf8" });
    expect(ran.stderr).toBe("");
    return ran.stdout.trim().split(/\s+/);
  };
  writeFileSync(join(dir, "completion.bash"), script("bash"));

  for (const shell of ["bash", "zsh"] as const) {
    const there = has(shell);
    if (!there) console.warn(`completion in ${shell} is NOT tried: there is no ${shell} here`);
    it.skipIf(!there)(`in a real ${shell}: commands, options, choices`, () => {
      expect(offered(shell, ["fo"])).toEqual(["fold"]);
      expect(offered(shell, ["fold", "--relu"])).toEqual(["--relu-to-max"]);
      expect(offered(shell, ["fold", "model.onnx", "--no-"]).sort()).toEqual(["--no-check", "--no-merge", "--no-run"]);
      expect(offered(shell, ["recalibrate", "--engine", "on"])).toEqual(["onnxruntime"]);
      expect(offered(shell, ["jobs", "re"]).sort()).toEqual(["recalibrate", "retry"]);
      // A file: the shell's own names.
      expect(offered(shell, ["fold", "-o", ""])).toEqual([""]);
    });
  }
  const fish = has("fish");
  if (!fish) console.warn("completion in fish is NOT tried: there is no fish here");
  it.skipIf(!fish)("in a real fish", () => {
    writeFileSync(join(dir, "completion.fish"), script("fish"));
    const { stdout } = spawnSync("fish", ["-c", `source ${join(dir, "completion.fish")}; complete -C "bnfold fold --relu"`], {
      encoding: "utf8",
    });
    expect(stdout).toContain("--relu-to-max");
  });
  it("knows every option of every command", () => {
    const commands = [...bnfold(["--help"]).stdout.matchAll(/^ {2}bnfold ([a-z]+) {2}/gm)].map(([, name]) => name);
    const shown = commands.flatMap((name) => [
      ...bnfold([name, "--help"]).stdout.matchAll(/^ {2}(?:-[a-z], | {4})--([a-z-]+)/gm),
    ]);
    expect(shown.length).toBeGreaterThan(60);
    for (const shell of ["bash", "zsh", "fish"]) {
      const written = script(shell);
      for (const [, option] of shown) expect(written).toContain(shell === "fish" ? `-l ${option}` : `--${option}`);
    }
  }, 60_000);
});

describe("help", () => {
  it("names what a value is, as the documentation does", () => {
    const page = readFileSync(join(root, "docs/cli.md"), "utf8");
    const { stdout } = bnfold(["fold", "--help"]);
    expect(stdout).not.toMatch(/\[(boolean|string|array)\]/);
    const section = page.split("\n## fold\n")[1].split("\n## ")[0];
    const values = [...section.matchAll(/^\| (?:`-[a-z]`, )?`--([a-z-]+) ([^`]*)`/gm)];
    expect(values.length).toBeGreaterThan(8);
    for (const [, name, value] of values) if (value.startsWith("<")) expect(stdout).toMatch(new RegExp(`--${name} <`));
  });
  it("the man page has every command", () => {
    const page = readFileSync(join(root, "dist/bnfold.1"), "utf8");
    for (const name of ["fold", "verify", "completion"]) expect(page).toContain(`.SS bnfold ${name}`);
    expect(page).toContain("relu\\-to\\-max");
    if (has("man"))
      expect(spawnSync("man", ["--warnings", "-l", join(root, "dist/bnfold.1")], { encoding: "utf8" }).stderr).toBe("");
  });
});
