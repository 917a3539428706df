/** The command line killed at random moments of a write, and on a disk that takes no more. Needs dist/, which `npm test` builds. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { openModel } from "../../src/node/files.ts";
import { rawPayload } from "../../src/onnx/codec.ts";
import { dtypeOfTensor, elementCount } from "../../src/onnx/layout.ts";
import { formatNpy } from "../../src/run/npy.ts";
import { f, float32, modelBytes, node, type TensorSpec } from "../helpers/build.ts";

const bin = fileURLToPath(new URL("../../bin/bnfold.js", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "bnfold-kill-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const LAYERS = 12;
const C = 192;
const SIZE = 4 * C * C * 9;

/** Convolutions with their weights in a side file, alternating: folded, and not. 16 MB, so that a write takes its time. */
function externalModel(folder: string, seed: number): string {
  mkdirSync(folder, { recursive: true });
  const initializers: Record<string, TensorSpec> = {};
  const nodes = [];
  const data = new Float32Array((LAYERS * SIZE) / 4);
  for (let i = 0, x = seed; i < data.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    data[i] = x / 2 ** 34;
  }
  let x = "x";
  for (let i = 0; i < LAYERS; i++) {
    const external = { location: "w.data", offset: i * SIZE, length: SIZE };
    initializers[`w${i}`] = { dtype: "float32", dims: [C, C, 3, 3], values: [], external };
    nodes.push(node("Conv", [x, `w${i}`], [`c${i}`], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }));
    x = `c${i}`;
    if (i % 2 === 0) {
      for (const [k, name] of ["s", "b", "m", "v"].entries())
        initializers[`${name}${i}`] = float32([C], new Float32Array(C).fill(k + 1.5));
      nodes.push(node("BatchNormalization", [x, `s${i}`, `b${i}`, `m${i}`, `v${i}`], [`n${i}`], { epsilon: f(1e-5) }));
      x = `n${i}`;
    }
    nodes.push(node("Relu", [x], [`r${i}`]));
    x = `r${i}`;
  }
  const path = join(folder, "m.onnx");
  writeFileSync(
    path,
    modelBytes({ nodes, initializers, inputs: [{ name: "x", dims: [1, C, 8, 8] }], outputs: [{ name: x, dims: [1, C, 8, 8] }] }),
  );
  writeFileSync(join(folder, "w.data"), new Uint8Array(data.buffer));
  return path;
}

/** Every number and every node of a model, whatever file they are in. */
function fingerprint(path: string): string {
  const opened = openModel(path);
  const hash = createHash("sha256");
  for (const tensor of opened.model.graph.initializers) {
    const dtype = dtypeOfTensor(tensor);
    hash.update(tensor.name).update(rawPayload(tensor, dtype, elementCount(tensor)));
  }
  for (const { opType, inputs, outputs } of opened.model.graph.nodes) hash.update([opType, ...inputs, ...outputs].join(" "));
  opened.close();
  return hash.digest("hex");
}

/** Side files of the input come along, so that there are several files to take back. */
const KEEP = ["--external", "keep"];

const files = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
const fold = (...args: string[]) => spawnSync(process.execPath, [bin, "fold", "--no-check", ...args], { encoding: "utf8" });

/** Kills `bnfold fold ...args` `delay` milliseconds after its first file appears in `folder`; true when it had ended before. */
async function killed(args: readonly string[], signal: NodeJS.Signals, folder: string, delay: number): Promise<boolean> {
  const there = files(folder).length;
  const child = spawn(process.execPath, [bin, "fold", "--no-check", ...args], { stdio: "ignore" });
  const exit = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_code, by) => resolve(by)));
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  while (child.exitCode === null && files(folder).length === there) await pause(1);
  if (delay > 0) await pause(delay);
  child.kill(signal);
  return (await exit) === null;
}

describe("a process that is killed while it writes", { timeout: 300_000 }, () => {
  const [oldModel, newModel] = [externalModel(join(dir, "old"), 1), externalModel(join(dir, "new"), 2)];
  const whole = join(dir, "whole");
  mkdirSync(whole);
  const time = performance.now();
  expect(fold(newModel, "-o", join(whole, "m.onnx"), ...KEEP).status).toBe(0);
  const took = performance.now() - time;
  const after = fingerprint(join(whole, "m.onnx"));

  it.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("leaves the old model or the new one (%s)", async (signal) => {
    const out = join(dir, `out-${signal}`);
    mkdirSync(out);
    const target = join(out, "m.onnx");
    expect(fold(oldModel, "-o", target, "--external", "copy").status).toBe(0);
    const before = fingerprint(target);
    const clean = files(out);
    const seen = { before: 0, after: 0 };
    let littered = 0;
    for (let run = 0; run < 14; run++) {
      const work = join(dir, `work-${signal}-${run}`);
      cpSync(out, work, { recursive: true });
      const path = join(work, "m.onnx");
      // From the first write on, a little beyond the end: most of the time goes into starting.
      const ended = await killed([newModel, "-o", path, ...KEEP], signal, work, run === 0 ? 0 : took * 0.4 * Math.random());
      const state = fingerprint(path);
      expect([before, after]).toContain(state);
      seen[state === before ? "before" : "after"]++;
      if (state === before && files(work).length > clean.length) {
        littered++;
        expect(signal, files(work).join(" ")).toBe("SIGKILL");
      }
      if (ended) expect(state).toBe(after);
      // The next run finds its way, and nothing of the one before is left.
      const again = fold(newModel, "-o", path, ...KEEP);
      expect(again.status, again.stderr).toBe(0);
      expect(fingerprint(path)).toBe(after);
      expect(files(work)).toEqual(["m.onnx", "m.onnx.bnfold.data", "m.onnx.data", "w.data"]);
      rmSync(work, { recursive: true });
    }
    expect(seen.before).toBeGreaterThan(0);
    if (signal === "SIGKILL") expect(littered).toBeGreaterThan(0);
  });

  it("takes back new side files whose model did not come", () => {
    const work = join(dir, "half");
    mkdirSync(work);
    // A program that dies between the first rename and the last.
    const script = join(dir, "half.mjs");
    const contents = `import fs from "node:fs"; import { syncBuiltinESMExports } from "node:module";
      const { renameSync } = fs; let n = 0;
      fs.renameSync = (a, b) => { if (n++ === 2) process.kill(process.pid, "SIGKILL"); renameSync(a, b); };
      syncBuiltinESMExports();
      const { main } = await import(${JSON.stringify(fileURLToPath(new URL("../../dist/cli.js", import.meta.url)))});
      await main(process.argv.slice(2));`;
    writeFileSync(script, contents);
    const path = join(work, "m.onnx");
    const dies = () => spawnSync(process.execPath, [script, "fold", "--no-check", newModel, "-o", path, ...KEEP]).signal;
    expect(dies()).toBe("SIGKILL");
    // The same again does not build on what is taken back.
    expect(fold(newModel, "-o", path, ...KEEP).status).toBe(0);
    expect(files(work)).toEqual(["m.onnx", "m.onnx.bnfold.data", "w.data"]);
    for (const name of files(work)) rmSync(join(work, name));
    expect(dies()).toBe("SIGKILL");
    // Two side files have their names, the model has not.
    expect(files(work).filter((name) => !name.startsWith("."))).toEqual(["m.onnx.bnfold.data", "w.data"]);
    expect(files(work)).toHaveLength(4);
    const other = join(dir, "old");
    expect(fold(join(other, "m.onnx"), "-o", join(work, "other.onnx"), "--external", "inline").status).toBe(0);
    expect(files(work)).toEqual(["other.onnx"]);
  });

  it("leaves a note of another machine, of a running process, and files that are not the noted ones alone", () => {
    const work = join(dir, "notes");
    mkdirSync(work);
    for (const name of [".bnfold-00000000-999999999-0123456789ab.tmp", ".bnfold-old.tmp", "precious"])
      writeFileSync(join(work, name), "x");
    expect(fold(oldModel, "-o", join(work, "m.onnx"), "--external", "inline").status).toBe(0);
    expect(files(work)).toEqual([".bnfold-00000000-999999999-0123456789ab.tmp", ".bnfold-old.tmp", "m.onnx", "precious"]);
  });

  it("on a disk that takes no more", () => {
    const work = join(dir, "full");
    mkdirSync(work);
    const path = join(work, "m.onnx");
    expect(fold(oldModel, "-o", path, "--external", "copy").status).toBe(0);
    const [before, clean] = [fingerprint(path), files(work)];
    // Kilobytes: the side file with the changed weights (8 MB), and the copy of the old one (16 MB), do not fit.
    for (const limit of [1, 4000, 12_000]) {
      const command = `trap '' XFSZ; ulimit -f ${limit}; exec "${process.execPath}" "${bin}" fold --no-check "${newModel}" -o "${path}"`;
      const ran = spawnSync("bash", ["-c", command], { encoding: "utf8" });
      expect(ran.status, ran.stderr).toBe(4);
      expect(ran.stderr).toMatch(/larger than the file system allows/);
      expect(fingerprint(path)).toBe(before);
      expect(files(work)).toEqual(clean);
    }
  });

  it.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)("on a full disk", () => {
    const mount = join(dir, "disk");
    mkdirSync(mount);
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=10m", "tmpfs", mount]).status !== 0) return;
    try {
      const path = join(mount, "m.onnx");
      const ran = fold(newModel, "-o", path, ...KEEP);
      expect(ran.status).toBe(4);
      expect(ran.stderr).toMatch(/the disk is full/);
      expect(files(mount)).toEqual([]);
      expect(existsSync(path)).toBe(false);
    } finally {
      spawnSync("umount", [mount]);
    }
  });
});

describe("an interrupt while the result is checked", { timeout: 300_000 }, () => {
  const model = externalModel(join(dir, "checked"), 3);
  /** A check that takes its time. */
  const LONG = ["--full-run", "--samples", "200"];

  /** Sends a signal to a whole process group, as a terminal does, `delay` milliseconds after the first file appears in `out`. */
  async function interrupted(args: readonly string[], signal: NodeJS.Signals, out: string, delay: number) {
    const child = spawn(process.execPath, [bin, "fold", ...args], { stdio: ["ignore", "ignore", "pipe"], detached: true });
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
    });
    const exit = new Promise<NodeJS.Signals | null>((resolve) => child.once("close", (_code, by) => resolve(by)));
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    while (child.exitCode === null && files(out).filter((name) => name.includes(".tmp")).length === 0) await pause(5);
    await pause(delay);
    const since = performance.now();
    process.kill(-(child.pid as number), signal);
    return { by: await exit, said, took: performance.now() - since };
  }

  it.each([
    ["SIGINT", 0],
    ["SIGTERM", 300],
    ["SIGINT", 900],
    ["SIGTERM", 2000],
  ] as const)("ends one model at once and leaves nothing (%s after %i ms)", async (signal, delay) => {
    const out = join(dir, `check-${signal}-${delay}`);
    mkdirSync(out);
    const { by, took } = await interrupted([model, "-o", join(out, "m.onnx"), ...LONG], signal, out, delay);
    expect(by).toBe(signal);
    expect(files(out)).toEqual([]);
    // Half a second on a machine that does nothing else.
    expect(took).toBeLessThan(5000);
  });

  it.each(["SIGINT", "SIGTERM"] as const)("ends many models at once and without a word (%s)", async (signal) => {
    const [folder, out] = [join(dir, `many-${signal}`), join(dir, `many-out-${signal}`)];
    for (const name of ["a", "b", "c"]) cpSync(join(dir, "checked"), join(folder, name), { recursive: true });
    mkdirSync(out);
    const { by, said, took } = await interrupted([folder, "-o", out, "--jobs", "2", ...LONG], signal, out, 500);
    expect(by).toBe(signal);
    expect(said).not.toMatch(/ERR_|at .*\.js/);
    expect(took).toBeLessThan(5000);
    // Workers end a moment after the one they work for.
    for (let i = 0; i < 100 && files(out).some((name) => /\.tmp$|\.onnx$/.test(name)); i++)
      await new Promise((resolve) => setTimeout(resolve, 100));
    expect(files(out).filter((name) => /\.(tmp|undo|onnx|data)$/.test(name))).toEqual([]);
  });
});

describe("a signal at any moment of any command", { timeout: 300_000 }, () => {
  const model = externalModel(join(dir, "any"), 4);
  const [folded, inline] = [join(dir, "any", "folded.onnx"), join(dir, "inline.onnx")];
  const whole = performance.now();
  expect(fold(model, "-o", folded, "--external", "inline").status).toBe(0);
  const took = performance.now() - whole;
  expect(fold(model, "-o", inline, "--external", "inline", "--skip", "*").status).toBe(0);
  const data = new Float64Array(64 * C * 8 * 8);
  writeFileSync(join(dir, "x.npy"), formatNpy({ dtype: "float32", dims: [64, C, 8, 8], data }));
  const LONG = ["--full-run", "--samples", "500"];

  /** What a command is given beside its output, and whether it reads a pipe. */
  const COMMANDS: Readonly<Record<string, (out: string) => readonly string[]>> = {
    "fold, with a certificate": (out) => [
      "fold",
      model,
      "-o",
      join(out, "m.onnx"),
      "--certificate",
      join(out, "c.json"),
      ...LONG,
    ],
    "fold, side files kept": (out) => ["fold", model, "-o", join(out, "m.onnx"), ...KEEP, ...LONG],
    "fold of a pipe": () => ["fold", "-", "-o", "-", ...LONG],
    equalize: (out) => ["equalize", model, "-o", join(out, "m.onnx"), ...LONG],
    verify: () => ["verify", model, folded, ...LONG],
    "diff with a verdict": () => ["diff", model, folded, "--verify"],
    inspect: () => ["inspect", model],
    run: (out) => ["run", model, "-o", join(out, "y.npz")],
    recalibrate: (out) => ["recalibrate", model, "--data", join(dir, "x.npy"), "--block", "1", "-o", join(out, "m.onnx")],
  };

  const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
  const contents = (folder: string) => files(folder).map((name) => [name, sha256(join(folder, name))]);

  /** What a command leaves where no signal comes. */
  function uninterrupted(name: string) {
    const out = join(dir, `${name}-whole`);
    mkdirSync(out);
    const { status, stderr } = spawnSync(process.execPath, [bin, ...COMMANDS[name](out)], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    return contents(out);
  }

  it.each(Object.keys(COMMANDS))("%s", async (name) => {
    for (const [i, signal] of (["SIGINT", "SIGTERM"] as const).entries()) {
      // The first while it reads or plans, the second while it writes, proves or runs.
      const [out, scratch] = ["out", "tmp"].map((folder) => join(dir, `${name}-${signal}-${folder}`));
      for (const folder of [out, scratch]) mkdirSync(folder);
      const args = COMMANDS[name](out);
      const stdio = [args.includes("-") ? openSync(inline, "r") : "ignore", "ignore", "pipe"] as const;
      const child = spawn(process.execPath, [bin, ...args], { stdio: [...stdio], env: { ...process.env, TMPDIR: scratch } });
      let said = "";
      child.stderr?.on("data", (text) => {
        said += text;
      });
      const exit = once(child, "close");
      await new Promise((resolve) => setTimeout(resolve, (i === 0 ? 0.4 : 1.2) * took));
      const since = performance.now();
      child.kill(signal);
      const [code, by] = await exit;
      // Half a second on a machine that does nothing else.
      expect(performance.now() - since).toBeLessThan(5000);
      // A short command may have been done by then: its process at its end, or its files in their places.
      if (by === null) expect(code, said).toBe(0);
      else {
        expect(by).toBe(signal);
        if (files(out).length > 0) expect(contents(out)).toEqual(uninterrupted(name));
      }
      expect(said).not.toMatch(/ERR_|at .*\.js|internal error/);
      expect(files(scratch)).toEqual([]);
    }
  });
});
