import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { float32, modelBytes, node } from "../helpers/build.ts";
import { bin, bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const model = writeModel(join(dir, "model.onnx"), convNet());
const bytes = readFileSync(model);
const file = (name: string, content: Uint8Array | string): string => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};

/** Random bytes that are the same every time. */
function noise(n: number): Uint8Array {
  let state = 12345;
  return Uint8Array.from({ length: n }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state >>> 24;
  });
}

/** One complaint, no stack trace, nothing on stdout. */
function expectComplaint(args: readonly string[], code: number, words: RegExp): void {
  const ran = bnfold(args);
  expect(ran.stderr).toMatch(words);
  expect(ran.code).toBe(code);
  expect(ran.stdout).toBe("");
  expect(ran.stderr).toMatch(/^bnfold: /);
  expect(ran.stderr).not.toMatch(/\n\s+at |internal error|node:internal/);
  expect(ran.stderr.trim().split("\n").length).toBeLessThanOrEqual(2);
}

describe("input that is no model: exit code 3", () => {
  const cases: [string, string, RegExp][] = [
    ["an empty file", file("empty.onnx", ""), /empty|no graph|not an ONNX/i],
    ["a cut-off model", file("half.onnx", bytes.subarray(0, bytes.length >> 1)), /cut off|end|not an ONNX|no graph|byte/i],
    ["a model cut off by one byte", file("almost.onnx", bytes.subarray(0, bytes.length - 1)), /cut off|end|byte|operator set/i],
    ["random bytes", file("noise.onnx", noise(5000)), /byte|not an ONNX|no graph/i],
    ["text", file("text.onnx", "This is not a model.\n".repeat(50)), /not an ONNX|text|byte|no graph/i],
    ["zeros", file("zeros.onnx", new Uint8Array(4096)), /not an ONNX|byte|no graph/i],
    [
      "a PyTorch archive",
      file("model.pt", zipSync({ "archive/data.pkl": noise(100), "archive/version": new TextEncoder().encode("3\n") })),
      /PyTorch|zip|byte|not an ONNX/i,
    ],
  ];
  for (const command of ["fold", "inspect"]) {
    it.each(cases)(`${command}: %s`, (_what, path, words) => {
      expectComplaint(command === "fold" ? [command, path, "-o", join(dir, "never.onnx")] : [command, path], 3, words);
    });
  }
  it.each(cases)("verify: %s as the second file", (_what, path, words) => expectComplaint(["verify", model, path], 3, words));
  it("a graph with a cycle", () => {
    const cycle = { nodes: [node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])], inputs: [], outputs: [{ name: "b" }] };
    expectComplaint(["fold", writeModel(join(dir, "cycle.onnx"), cycle), "--dry-run"], 3, /cycle/);
  });
  it("leaves nothing behind", () => expect(readdirSync(dir)).not.toContain("never.onnx"));
});

describe("the file system: exit code 4", () => {
  it("a missing model", () => expectComplaint(["inspect", join(dir, "missing.onnx")], 4, /missing\.onnx.*does not exist/));
  it("a folder", () => expectComplaint(["run", dir], 4, /folder/));
  it("an output in a folder that is not there", () => {
    expectComplaint(["fold", model, "-o", join(dir, "nowhere", "out.onnx")], 4, /does not exist/);
  });
  it("an output that is a folder", () => {
    mkdirSync(join(dir, "place", basename(model)), { recursive: true });
    expectComplaint(["fold", model, "-o", join(dir, "place")], 4, /is a folder, expected a file/);
  });
  it.skipIf(process.getuid?.() === 0)("an output where nothing may be written", () => {
    const locked = join(dir, "locked");
    mkdirSync(locked);
    chmodSync(locked, 0o555);
    expectComplaint(["fold", model, "-o", join(locked, "out.onnx")], 4, /permission|accessed/);
  });
  it.skipIf(process.platform !== "linux")("an output where nothing may be written, not even by root", () => {
    expectComplaint(["fold", model, "-o", "/proc/out.onnx"], 4, /\/proc/);
  });
  it("a report that cannot be written", () => {
    const ran = bnfold(["fold", model, "--dry-run", "--report", join(dir, "nowhere", "report.json")]);
    expect(ran.code).toBe(4);
    expect(ran.stderr).toMatch(/^bnfold: .*nowhere" does not exist\n {2}Check the path\.\n$/);
  });
  it("external data that is missing", () => {
    const spec = convNet();
    const w = { ...float32([3, 2, 3, 3], []), external: { location: "gone.bin", offset: 0, length: 216 } };
    const path = file("external.onnx", modelBytes({ ...spec, initializers: { ...spec.initializers, w } }));
    expectComplaint(["fold", path, "-o", join(dir, "never.onnx")], 4, /gone\.bin/);
  });
});

describe("wrong usage: exit code 2", () => {
  const cases: [string, string[], RegExp][] = [
    ["an unknown command", ["flod", model], /unknown command "flod", did you mean "fold"\?/],
    ["an unknown option", ["fold", model, "--sampels", "3", "--dry-run"], /unknown option --sampels, did you mean --samples\?/],
    ["an unknown option with a value", ["fold", model, "--otput=x.onnx"], /unknown option --otput, did you mean --output\?/],
    ["an unknown short option", ["fold", model, "-x"], /unknown option -x/],
    ["an unknown option of the program", ["--hlep"], /unknown option --hlep, did you mean "--help"\?/],
    ["a missing model", ["fold", "-o", "x.onnx"], /missing <model>/],
    ["a missing second model", ["verify", model], /missing <b>/],
    ["one model too many", ["run", model, model], /unexpected argument/],
    ["no place to write to", ["fold", model], /where to write/],
    ["an option without its value", ["fold", model, "-o"], /needs a value/],
    ["an empty output", ["fold", model, "-o", ""], /needs a value/],
    ["an option given twice", ["fold", model, "--dry-run", "--seed", "1", "--seed", "2"], /--seed is given 2 times/],
    ["a number that is none", ["fold", model, "--dry-run", "--samples", "many"], /--samples is a whole number/],
    ["a number out of range", ["fold", model, "--dry-run", "--samples", "0"], /from 1 to 10000/],
    ["a wrong choice", ["fold", model, "--dry-run", "--external", "kep"], /cannot be "kep", did you mean "keep"\?/],
    ["a wrong action", ["report", "split", "a.jsonl"], /<action> cannot be "split"/],
    ["a shape for no input", ["fold", model, "--dry-run", "--shape", "y=1,2"], /no input "y"/],
    ["a shape that is none", ["fold", model, "--dry-run", "--shape", "x=1,two"], /expected sizes/],
    ["a shape that does not fit", ["fold", model, "--dry-run", "--shape", "x=1,7,5,5"], /x/],
    ["an input file of an unknown kind", ["fold", model, "--dry-run", "--input", `x=${model}`], /not known/],
    ["--in-place with another output", ["fold", model, "--in-place", "-o", join(dir, "b.onnx")], /--in-place/],
    ["--in-place with --dry-run", ["fold", model, "--in-place", "--dry-run"], /contradict/],
    ["a momentum out of range", ["momentum", "1.5", "--from", "onnx", "--to", "keras"], /from 0 to 1/],
    ["a framework that is none", ["momentum", "0.1", "--from", "kears", "--to", "onnx"], /did you mean "keras"\?/],
    ["no framework", ["momentum", "0.1"], /missing --from and --to/],
  ];
  it.each(cases)("%s", (_what, args, words) => expectComplaint(args, 2, words));
});

describe("streams", () => {
  it("a reader that goes away early is no error", () => {
    const command = `"${process.execPath}" "${bin}" inspect "${model}" --json | head -c 1 > /dev/null; exit \${PIPESTATUS[0]}`;
    const { status, stderr } = spawnSync("bash", ["-c", command], { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
  });
  it.each([24, 30, 40])("with no more than %i files open the system is named, and nothing raw comes out", (most) => {
    const out = join(dir, `few-${most}.onnx`);
    const command = `ulimit -n ${most}; exec "${process.execPath}" "${bin}" fold "${model}" -o "${out}"`;
    const { status, stdout, stderr } = spawnSync("bash", ["-c", command], { encoding: "utf8" });
    // How many a process needs for itself depends on the system: it either works, or says what is short.
    if (status === 0) return expect(stdout).toContain("Equivalent");
    expect([status, stderr]).toEqual([
      4,
      expect.stringMatching(/^bnfold: .*too many (open files|files are open).*\n {2}Raise the limit/),
    ]);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
  it("a stack trace appears only on request", () => {
    const { stderr } = bnfold(["inspect", join(dir, "missing.onnx")], { BNFOLD_DEBUG: "1" });
    expect(stderr).toMatch(/\n\s+at /);
  });
});
