import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { REASONS } from "../../src/diag/codes.ts";
import { modelBytes } from "../helpers/build.ts";
import { parseXml } from "../helpers/xml.ts";
import { expectValid } from "../report/schema.ts";
import { bin, bnfold, convNet, folder, root, writeModel } from "./bnfold.ts";

const dir = folder();
const plain = writeModel(join(dir, "plain.onnx"), convNet());
const kept = writeModel(join(dir, "kept.onnx"), convNet({ kept: true }));
const read = (path: string) => readFileSync(path, "utf8");
const [reason] = JSON.parse(bnfold(["inspect", kept, "--json"]).stdout).kept.map(({ code }: { code: string }) => code);

describe("--report", () => {
  it("writes the form its name ends with, several at once", () => {
    const files = ["json", "jsonl", "md", "csv", "sarif", "xml", "html"].map((extension) => join(dir, `r.${extension}`));
    const ran = bnfold(["fold", kept, "--dry-run", ...files.flatMap((file) => ["--report", file])]);
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    const [json, jsonl, md, csv, sarif, xml, page] = files.map(read);
    expectValid("fold", JSON.parse(json));
    expect(JSON.parse(jsonl)).toEqual(JSON.parse(json));
    expect(md).toMatch(/^### bnfold: /);
    expect(csv).toMatch(/^decision,kind,/);
    expect(JSON.parse(sarif).version).toBe("2.1.0");
    expect(parseXml(xml.trim()).name).toBe("testsuites");
    expect(page).toMatch(/^<!doctype html>[\s\S]*<svg [\s\S]*<\/html>\n$/);
  });

  it.each(["r.htlm", "r", "r.pdf", "r.onnx"])("refuses %s before any work", (name) => {
    const out = join(dir, "never.onnx");
    const ran = bnfold(["fold", join(dir, "not there.onnx"), "-o", out, "--report", join(dir, name)]);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(/which form should it have\?\n +It is one of \.json/);
    expect(existsSync(out)).toBe(false);
  });

  it("of many models writes the lines, and every other form beside them", () => {
    const many = join(dir, "many");
    mkdirSync(many);
    copyFileSync(plain, join(many, "plain.onnx"));
    copyFileSync(kept, join(many, "kept.onnx"));
    writeFileSync(join(many, "bad.onnx"), "junk");
    const [lines, whole, sarif] = ["deep/l.jsonl", "deep/all.json", "s.sarif"].map((name) => join(dir, name));
    const ran = bnfold([
      "fold",
      many,
      "-o",
      join(dir, "out"),
      "--jobs",
      "2",
      "--report",
      lines,
      "--report",
      whole,
      "--report",
      sarif,
    ]);
    expect(ran.code).toBe(6);
    for (const file of [lines, whole, sarif]) expect(ran.stdout).toContain(`report: ${file}\n`);
    expect(read(lines).trim().split("\n")).toHaveLength(3);
    const value = JSON.parse(read(whole));
    expectValid("many", value);
    expect(value.kind).toBe("folds");
    // Where a file lies is said from where the command was called.
    const uris = [...read(sarif).matchAll(/"uri": "(.*)"/g)].map(([, uri]) => uri);
    expect(uris).toContain(`file://${many}/bad.onnx`);
  });
});

describe("--format", () => {
  it.each([
    ["github", /^::warning file=/],
    ["sarif", /"version": "2\.1\.0"/],
    ["junit", /^<\?xml/],
    ["markdown", /^### bnfold/],
    ["json", /^\{\n {2}"version": 1/],
  ])("%s is printed alone by fold, inspect and verify", (format, begins) => {
    for (const args of [
      ["fold", kept, "--dry-run", "--no-run"],
      ["inspect", kept],
    ]) {
      const ran = bnfold([...args, "--format", format]);
      expect([ran.code, ran.stderr]).toEqual([0, ""]);
      expect(ran.stdout).toMatch(begins);
    }
    expect(bnfold(["verify", plain, kept, "--format", format]).stdout.length).toBeGreaterThan(20);
  });

  it.each([
    [["--format", "sarf"], /did you mean "sarif"\?/],
    [["--format", "junit", "--json"], /contradict each other/],
    [["--fail-on", "other-raeder"], /did you mean "other-reader"\?/],
    [["--fail-on", "training-mode,nonsense"], /there is no reason "nonsense"/],
  ])("refuses %j", (args, message) => {
    for (const command of [
      ["fold", kept, "--dry-run"],
      ["inspect", kept],
    ]) {
      const ran = bnfold([...command, ...args]);
      expect([ran.code, ran.stdout]).toEqual([2, ""]);
      expect(ran.stderr).toMatch(message);
    }
  });
});

describe("--fail-on", () => {
  it("ends with 5 for the reason that is there, with 0 for another", () => {
    for (const command of [
      ["fold", kept, "--dry-run", "--no-run"],
      ["inspect", kept],
    ]) {
      expect(bnfold([...command, "--fail-on", reason]).code).toBe(5);
      expect(bnfold([...command, "--fail-on", `training-mode,${reason}`]).code).toBe(5);
      expect(bnfold([...command, "--fail-on", "training-mode", "--fail-on", "quantized"]).code).toBe(0);
    }
  });

  it("of many models ends with 5 when one alone would, and with 6 when one failed", () => {
    const many = join(dir, "some");
    mkdirSync(many);
    copyFileSync(kept, join(many, "kept.onnx"));
    copyFileSync(plain, join(many, "plain.onnx"));
    for (const args of [
      ["fold", many, "--dry-run", "--no-run"],
      ["inspect", many],
      ["inspect", kept, plain],
    ]) {
      expect(bnfold([...args, "--fail-on", reason]).code).toBe(5);
      expect(bnfold([...args, "--fail-on", "quantized"]).code).toBe(0);
    }
    writeFileSync(join(many, "bad.onnx"), "junk");
    expect(bnfold(["inspect", many, "--fail-on", reason]).code).toBe(6);
  });
});

describe("bnfold verify", () => {
  it("of the same bytes answers at once, by whatever names", () => {
    const copy = join(dir, "copy.onnx");
    copyFileSync(plain, copy);
    for (const other of [plain, copy]) {
      const ran = bnfold(["verify", plain, other]);
      expect(ran.code).toBe(0);
      expect(ran.stdout).toContain("Equivalent: both models are the same bytes, side files included.");
    }
    expect(bnfold(["verify", plain, copy, "--full-run"]).stdout).not.toContain("the same bytes");
    expectValid("verify", JSON.parse(bnfold(["verify", plain, copy, "--json"]).stdout));
  });

  it("of the same model file with another side file does not", () => {
    const spec = convNet();
    const bytes = new Uint8Array(new Float32Array(54).fill(0.5).buffer);
    const w = { ...spec.initializers?.w, values: [], external: { location: "w.bin", offset: 0, length: 216 } };
    const places = ["here", "there"].map((name) => join(dir, name));
    for (const [i, place] of places.entries()) {
      mkdirSync(place);
      writeFileSync(join(place, "m.onnx"), modelBytes({ ...spec, initializers: { ...spec.initializers, w } as never }));
      writeFileSync(join(place, "w.bin"), i === 0 ? bytes : bytes.map((b, at) => (at === 3 ? b ^ 1 : b)));
    }
    const [a, b] = places.map((place) => join(place, "m.onnx"));
    expect(bnfold(["verify", a, a]).stdout).toContain("the same bytes");
    expect(bnfold(["verify", a, b]).code).toBe(1);
  });

  const [first, second] = ["first", "second"].map((name) => join(dir, name));
  it("compares the models of two folders by name, and finds those without partner", () => {
    mkdirSync(join(first, "deep"), { recursive: true });
    for (const name of ["same.onnx", "deep/other.onnx", "only-first.onnx"]) copyFileSync(plain, join(first, name));
    writeFileSync(join(first, "bad.onnx"), "junk");
    cpSync(first, second, { recursive: true });
    writeFileSync(join(second, "deep/other.onnx"), modelBytes(convNet({ variance: [0.5, 1, 3] })));
    writeFileSync(join(second, "only-second.onnx"), read(plain));
    expect(bnfold(["fold", join(first, "same.onnx"), "-o", join(second, "same.onnx")]).code).toBe(0);
    writeFileSync(join(first, "zz.onnx"), "");
    const report = join(dir, "pairs.jsonl");
    const ran = bnfold(["verify", first, second, "--jobs", "2", "--report", report]);
    expect(ran.code).toBe(6);
    const lines = read(report)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ file, status }) => [file, status])).toEqual([
      ["bad.onnx", "failed"],
      ["deep/other.onnx", "different"],
      ["only-first.onnx", "equivalent"],
      ["only-second.onnx", "missing"],
      ["same.onnx", "equivalent"],
      ["zz.onnx", "missing"],
    ]);
    expect(lines[3].missing).toBe("first");
    expect(lines[5].missing).toBe("second");
    expect(ran.stdout).toContain("2 of 6 pairs equivalent, 1 different, 0 undecided, 2 missing, 1 failed.");
    expect(ran.stdout).toMatch(/^ {2}missing +zz\.onnx +the second folder does not have it$/m);
    const value = JSON.parse(bnfold(["verify", first, second, "--json"]).stdout);
    expectValid("many", value);
    expect(value.kind).toBe("verifies");
  });

  it("of folders ends with 1 for a difference, 0 without, and refuses a folder beside a file", () => {
    const [a, b] = ["a", "b"].map((name) => join(dir, name));
    mkdirSync(a);
    mkdirSync(b);
    for (const place of [a, b]) copyFileSync(plain, join(place, "m.onnx"));
    expect(bnfold(["verify", a, b]).code).toBe(0);
    copyFileSync(kept, join(b, "extra.onnx"));
    expect(bnfold(["verify", a, b]).code).toBe(1);
    expect(bnfold(["verify", a, plain]).stderr).toContain("is a folder");
    expect(bnfold(["verify", plain, plain, "--jobs", "2"]).code).toBe(2);
  });
});

describe("bnfold explain", () => {
  it("prints every reason's page, wherever it is called from", () => {
    for (const code of ["other-reader", "training-mode", "would-grow"]) {
      const ran = bnfold(["explain", code]);
      expect([ran.code, ran.stderr]).toEqual([0, ""]);
      expect(ran.stdout.split("\n")[0]).toBe(code);
      expect(ran.stdout).toContain("What to do");
      expect(ran.stdout).not.toMatch(/\]\(|^#|```/m);
    }
  });

  it("lists all reasons, explains exit codes, and names the nearest of a word there is not", () => {
    const { stdout } = bnfold(["explain"]);
    for (const code of Object.keys(REASONS)) expect(stdout).toContain(`  ${code} `);
    expect(bnfold(["explain", "5"]).stdout).toMatch(/^5 a node was kept/);
    const page = bnfold(["explain", "exit-codes"]).stdout;
    for (const [, code] of bnfold(["--help"]).stdout.matchAll(/^ {2}(\d+) {2}\S/gm))
      expect(page).toMatch(new RegExp(`^${code} `, "m"));
    expect(bnfold(["explain", "trainning-mode"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('did you mean "training-mode"?'),
    });
  });
});

describe("bnfold report show", () => {
  const old = (name: string) => join(root, "test/report/old", name);

  it.each([
    ["fold.json", /^Equivalent\. 4 of 6 BatchNormalization folded/],
    ["verify.json", /Equivalent: proven on the constants/],
    ["inspect.json", /^0 of 2 BatchNormalization can be folded/],
    ["many.jsonl", /^3 of 4 models done, 1 failed/],
  ])("shows %s, which an older version wrote", (name, begins) => {
    const ran = bnfold(["report", "show", old(name)]);
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    expect(ran.stdout).toMatch(begins);
    const md = join(dir, `${name}.md`);
    expect(bnfold(["report", "show", old(name), "--report", md, "--format", "junit"]).code).toBe(0);
    expect(read(md)).toMatch(/^### bnfold: /);
  });

  it("refuses what is no report, or a damaged one", () => {
    const file = join(dir, "x.json");
    writeFileSync(file, '{"a": 1}');
    expect(bnfold(["report", "show", file])).toMatchObject({ code: 3, stdout: "" });
    const { verdict, ...rest } = JSON.parse(read(old("fold.json")));
    writeFileSync(file, JSON.stringify({ ...rest, verdict: { ...verdict, summary: undefined } }));
    expect(bnfold(["report", "show", file])).toMatchObject({ code: 3, stderr: expect.stringContaining("damaged") });
    expect(bnfold(["report", "show", join(dir, "none.json")]).code).toBe(4);
    expect(bnfold(["report", "show", file, file]).code).toBe(2);
  });
});

describe("--", () => {
  it("ends the options: what follows is a file, whatever it begins with", () => {
    const place = join(dir, "dashes");
    mkdirSync(place);
    copyFileSync(plain, join(place, "-q.onnx"));
    const ran = spawnSync(process.execPath, [bin, "inspect", "--json", "--", "-q.onnx"], { cwd: place, encoding: "utf8" });
    expect([ran.status, ran.stderr]).toEqual([0, ""]);
    expect(JSON.parse(ran.stdout).model.file).toBe("./-q.onnx");
  });
});
