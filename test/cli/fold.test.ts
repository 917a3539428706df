import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { float32, node } from "../helpers/build.ts";
import { expectValid } from "../report/schema.ts";
import { bnfold, convNet, folder, root, writeModel } from "./bnfold.ts";

const dir = folder();
const model = writeModel(join(dir, "model.onnx"), convNet());
const partly = writeModel(join(dir, "partly.onnx"), convNet({ kept: true }));
const fixture = (name: string) => join(root, "fixtures/models", name, "model.onnx");
const bytes = readFileSync(model);
const hashOf = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
let count = 0;
/** A fresh path in a fresh folder, so that leftovers show. */
function output(): string {
  const place = join(dir, `out${count++}`);
  mkdirSync(place);
  return join(place, "out.onnx");
}

describe("bnfold fold", () => {
  it("folds, proves, writes and says so", () => {
    const out = output();
    const { code, stdout, stderr } = bnfold(["fold", model, "-o", out]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Equivalent\. 1 of 1 BatchNormalization folded: 3 -> 2 nodes\.$/m);
    expect(stdout).toMatch(/^ {2}BatchNormalization +1 +0$/m);
    expect(stdout).toContain('- BatchNormalization "norm" -> Conv "conv" (gains');
    expect(stdout).toContain(`size     ${bytes.length} B before, ${statSync(out).size} B after`);
    expect(stdout).toContain(`wrote    ${out}`);
    expect(readdirSync(join(out, ".."))).toEqual(["out.onnx"]);
    expect(bnfold(["verify", model, out]).code).toBe(0);
  });

  it("prints nothing but the report with --json, and the same report to a file", () => {
    const out = output();
    const file = join(dir, "report.json");
    const { code, stdout, stderr } = bnfold(["fold", partly, "-o", out, "--json", "--report", file]);
    expect([code, stderr]).toEqual([0, ""]);
    const report = JSON.parse(stdout);
    expectValid("fold", report);
    expect(report.batchNormalization).toEqual({ before: 2, folded: 1, kept: 1 });
    expect(report.output).toMatchObject({ file: out, bytes: statSync(out).size, sideFiles: [] });
    expect(report.input.sha256).not.toBe(report.output.sha256);
    expect(report.verdict.outcome).toBe("equivalent");
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(report);
  });

  it("says why a node is kept and what to do, and fails with 5 only under --strict", () => {
    const plain = bnfold(["fold", partly, "-o", output()]);
    expect(plain.code).toBe(0);
    expect(plain.stdout).toMatch(/- BatchNormalization "late" \[operator-blocks\] .*Sigmoid/);
    const out = output();
    expect(bnfold(["fold", partly, "-o", out, "--strict"]).code).toBe(5);
    expect(existsSync(out)).toBe(true);
    expect(bnfold(["fold", model, "-o", output(), "--strict"]).code).toBe(0);
  });

  it("copies a model byte for byte when there is nothing to fold", () => {
    const first = output();
    bnfold(["fold", model, "-o", first]);
    const out = output();
    const { code, stdout } = bnfold(["fold", first, "-o", out]);
    expect(code).toBe(0);
    expect(stdout).toContain(`${out} is the input's bytes.`);
    expect(readFileSync(out).equals(readFileSync(first))).toBe(true);
  });

  it("gives the same bytes and the same report for the same input", () => {
    const outs = [output(), output()];
    const [a, b] = outs.map((out) => JSON.parse(bnfold(["fold", model, "-o", out, "--json"]).stdout));
    expect(readFileSync(outs[0]).equals(readFileSync(outs[1]))).toBe(true);
    const strip = ({ timings: _t, peakMemoryBytes: _p, output: { file: _f, ...rest }, ...report }: typeof a) => ({
      ...report,
      rest,
    });
    expect(strip(a)).toEqual(strip(b));
  });

  it("keeps nothing of a dry run", () => {
    const before = readdirSync(dir).sort();
    const { code, stdout } = bnfold(["fold", model, "--dry-run", "--json"]);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expectValid("fold", report);
    expect(report.output).toBeNull();
    expect(report.verdict.outcome).toBe("equivalent");
    expect(readdirSync(dir).sort()).toEqual(before);
    expect(readFileSync(model).equals(bytes)).toBe(true);
  });

  it("skips the check only when told to, and says so", () => {
    const { code, stdout } = bnfold(["fold", model, "-o", output(), "--no-check"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Not checked\.[\s\S]* checked +--no-check was given\.$/m);
  });

  it("leaves what --skip and --only leave", () => {
    const skipped = JSON.parse(bnfold(["fold", model, "--dry-run", "--json", "--skip", "nor*"]).stdout);
    expect(skipped.kept.map((kept: { code: string }) => kept.code)).toEqual(["excluded-by-user"]);
    const other = JSON.parse(bnfold(["fold", model, "--dry-run", "--json", "--only", "conv"]).stdout);
    expect(other.batchNormalization).toEqual({ before: 1, folded: 0, kept: 1 });
    const wrong = bnfold(["fold", model, "--dry-run", "--only", "conv", "--only", "nothing"]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('"nothing"')]);
    const both = JSON.parse(bnfold(["fold", model, "--dry-run", "--json", "--only", "norm"]).stdout);
    expect(both.batchNormalization.folded).toBe(1);
  });

  it("takes samples, seed, shapes and inputs", () => {
    const { run } = JSON.parse(
      bnfold(["fold", model, "--dry-run", "--json", "--samples", "2", "--seed", "7", "--shape", "x=3,2,5,5"]).stdout,
    ).verdict;
    expect(run.samples).toHaveLength(2);
    expect(run.samples.every((sample: { seed: number }) => sample.seed === 7)).toBe(true);
    expect(run.samples[0].outputs[0].dims).toEqual([3, 3, 3, 3]);
    const set = join(root, "fixtures", "models", "resnet-ts9");
    const given = bnfold(["fold", join(set, "model.onnx"), "--dry-run", "--json", "--input", join(set, "test_data_set_0")]);
    expect(JSON.parse(given.stdout).verdict.run.samples[0].kind).toBe("test_data_set_0");
  });

  it("uses no colour in a file, and respects FORCE_COLOR and NO_COLOR", () => {
    const sequence = "\u001b[";
    const args = ["fold", model, "--dry-run"];
    expect(bnfold(args).stdout).not.toContain(sequence);
    expect(bnfold(args, { FORCE_COLOR: "1" }).stdout).toContain(sequence);
    expect(bnfold(args, { NO_COLOR: "1" }).stdout).not.toContain(sequence);
  });
});

describe("the input is safe", () => {
  symlinkSync(model, join(dir, "soft.onnx"));
  linkSync(model, join(dir, "hard.onnx"));
  const spelt = [
    ["its own path", () => model],
    ["another spelling", () => join(dir, ".", "out", "..", "model.onnx")],
    ["a relative path", () => relative(process.cwd(), model)],
    ["a symbolic link", () => join(dir, "soft.onnx")],
    ["a hard link", () => join(dir, "hard.onnx")],
  ] as const;
  it.each(spelt)("from an output that is %s", (_what, path) => {
    const { code, stderr } = bnfold(["fold", model, "-o", path()]);
    expect(code).toBe(2);
    expect(stderr).toContain("is the model itself");
    expect(stderr).toContain("--in-place");
    expect(readFileSync(model).equals(bytes)).toBe(true);
  });

  it("from a report that would overwrite it", () => {
    const { code } = bnfold(["fold", model, "-o", output(), "--report", join(dir, "soft.onnx")]);
    expect(code).toBe(2);
    expect(readFileSync(model).equals(bytes)).toBe(true);
  });

  it("until --in-place says otherwise", () => {
    const own = writeModel(output(), convNet());
    expect(bnfold(["fold", own, "--in-place"]).code).toBe(0);
    expect(readFileSync(own).equals(bytes)).toBe(false);
    expect(bnfold(["verify", model, own]).code).toBe(0);
    expect(readdirSync(join(own, ".."))).toEqual(["out.onnx"]);
  });

  it("and so is its mode", () => {
    const own = writeModel(output(), convNet());
    chmodSync(own, 0o640);
    expect(bnfold(["fold", own, "--in-place", "-o", own]).code).toBe(0);
    expect(statSync(own).mode & 0o777).toBe(0o640);
  });
});

describe("what cannot be folded is kept", () => {
  it.each([
    ["NaN statistics", [0.5, Number.NaN, 2]],
    ["a negative variance", [0.5, -1, 2]],
    ["an infinite variance", [0.5, Number.POSITIVE_INFINITY, 2]],
  ])("%s", (_what, variance) => {
    const broken = writeModel(output(), convNet({ variance }));
    const out = output();
    const { code, stdout, stderr } = bnfold(["fold", broken, "-o", out, "--json"]);
    expect([code, stderr]).toEqual([0, ""]);
    const report = JSON.parse(stdout);
    expectValid("fold", report);
    expect(report.kept.map((kept: { code: string }) => kept.code)).toEqual(["parameter-not-finite"]);
    expect(readFileSync(out).equals(readFileSync(broken))).toBe(true);
  });
});

describe("fixtures", () => {
  const models = join(root, "fixtures", "models");
  const names = readdirSync(models).filter((name) => existsSync(join(models, name, "model.onnx")));
  it.each(names)("%s: the report adds up, fits the schema, and the result is equivalent", (name) => {
    const { code, stdout, stderr } = bnfold(["fold", join(models, name, "model.onnx"), "--dry-run", "--json", "--samples", "1"]);
    expect([code, stderr]).toEqual([0, ""]);
    const report = JSON.parse(stdout);
    expectValid("fold", report);
    expect(report.verdict.outcome).toBe("equivalent");
    for (const { before, folded, kept } of [report.batchNormalization, report.affine]) expect(folded + kept).toBe(before);
  });

  it("counts side files, and writes one of them with just what is needed into another folder", () => {
    const name = names.find((entry) => existsSync(join(models, entry, "model.onnx.data"))) as string;
    const source = join(models, name, "model.onnx");
    const own = output();
    const report = JSON.parse(bnfold(["fold", source, "-o", own, "--json"]).stdout);
    expectValid("fold", report);
    expect(readdirSync(join(own, "..")).sort()).toEqual(["out.onnx", "out.onnx.data"]);
    for (const { file, bytes, totalBytes, sideFiles } of [report.input, report.output]) {
      expect(sideFiles).toHaveLength(1);
      const [side] = sideFiles;
      expect(side).toMatchObject({ file: `${file}.data`, bytes: statSync(side.file).size, sha256: hashOf(side.file) });
      expect(side.usedBytes).toBeLessThanOrEqual(side.bytes);
      expect(totalBytes).toBe(bytes + side.bytes);
    }
    expect(bnfold(["verify", source, own]).code).toBe(0);
    const inline = output();
    expect(bnfold(["fold", source, "-o", inline, "--external", "inline"]).code).toBe(0);
    expect(readdirSync(join(inline, ".."))).toEqual(["out.onnx"]);
    expect(bnfold(["verify", source, inline]).code).toBe(0);

    // Nothing left to fold: the same bytes, all of them.
    const again = join(dir, "again/out.onnx");
    mkdirSync(join(dir, "again"));
    expect(bnfold(["fold", own, "-o", again]).stdout).toContain(`${again} is the input's bytes.`);
    for (const suffix of ["", ".data"]) expect(hashOf(`${again}${suffix}`)).toBe(hashOf(`${own}${suffix}`));
  });

  it("beside the input shares its side file, and says how much of it is used", () => {
    const name = names.find((entry) => existsSync(join(models, entry, "model.onnx.data"))) as string;
    const place = join(dir, "shared");
    cpSync(join(models, name), place, { recursive: true });
    const before = hashOf(join(place, "model.onnx.data"));
    const only = JSON.parse(bnfold(["inspect", join(place, "model.onnx"), "--json"]).stdout).batchNormalizations[0].node.name;
    const { stdout } = bnfold(["fold", join(place, "model.onnx"), "-o", join(place, "out.onnx"), "--only", only]);
    expect(stdout).toMatch(/size {5}\S+ \S+ before, \S+ \S+ after \(\S+ \S+ (larger|smaller), side files included\)/);
    expect(stdout).toMatch(
      /unused {3}.*model\.onnx\.data: \S+ \S+ of its \S+ \S+ are still used; --external copy writes just those/,
    );
    expect(hashOf(join(place, "model.onnx.data"))).toBe(before);
  });
});

describe("a file that is in the way", () => {
  it("is replaced only by a result that is complete", () => {
    const out = output();
    writeFileSync(out, "old");
    expect(bnfold(["fold", model, "-o", out]).code).toBe(0);
    expect(readFileSync(out).length).toBeGreaterThan(100);
  });
});

describe("where bnfold fold writes", () => {
  it("puts the model into a folder that is there, under its own name, as cp does", () => {
    const place = join(output(), "..");
    const { code, stdout } = bnfold(["fold", model, "-o", place, "--no-check"]);
    expect(code).toBe(0);
    expect(readdirSync(place)).toEqual(["model.onnx"]);
    expect(stdout).toContain(`wrote    ${join(place, "model.onnx")}`);
    const own = bnfold(["fold", model, "-o", dir, "--no-check"]);
    expect([own.code, own.stderr]).toEqual([2, expect.stringContaining("is the model itself")]);
    const none = bnfold(["fold", model, "-o", `${join(place, "none")}/`, "--no-check"]);
    expect([none.code, none.stderr]).toEqual([4, expect.stringContaining("does not exist")]);
  });

  it("takes the output as its second place", () => {
    const out = output();
    const { code, stdout } = bnfold(["fold", model, out, "--no-run"]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`wrote    ${out}`)]);
  });

  it("says nothing with --quiet, everything with --verbose", () => {
    const quiet = bnfold(["fold", model, "-o", output(), "-q", "--no-run"]);
    expect([quiet.code, quiet.stdout, quiet.stderr]).toEqual([0, "", ""]);
    expect(bnfold(["fold", fixture("fastvit-ts17"), "--dry-run", "--no-check"]).stdout).toMatch(/--verbose lists every fold$/m);
    expect(bnfold(["fold", fixture("fastvit-ts17"), "--dry-run", "--no-check", "-v"]).stdout).toMatch(/^Folded \(\d+ nodes\)$/m);
  });

  it("refuses one file for many models", () => {
    const place = join(output(), "..");
    const many = bnfold(["fold", dir, "-o", join(place, "folded.onnx")]);
    expect([many.code, many.stderr]).toEqual([2, expect.stringContaining("is the name of a model")]);
    expect(bnfold(["fold", join(dir, "*.onnx"), "-o", join(place, "folded.ONNX")]).code).toBe(2);
    const listed = bnfold(["fold", model, partly, "-o", join(place, "folded.onnx")]);
    expect([listed.code, listed.stderr]).toEqual([2, expect.stringContaining("the output is given twice")]);
    const pair = bnfold(["fold", model, partly]);
    expect([pair.code, pair.stderr]).toEqual([2, expect.stringMatching(/is there already\n.*-o .*pattern in quotes/)]);
    expect(bnfold(["fold", dir, "-o", model]).stderr).toContain("is a file; many models go to a folder");
    expect(readdirSync(place)).toEqual([]);
  });

  it("writes the report whole or not at all, and does nothing when it has no place", () => {
    const out = output();
    const report = join(out, "..", "report.json");
    writeFileSync(report, "old");
    expect(bnfold(["fold", model, "-o", out, "--no-check", "--report", report]).code).toBe(0);
    expect(JSON.parse(readFileSync(report, "utf8")).output.file).toBe(out);
    expect(readdirSync(join(out, "..")).sort()).toEqual(["out.onnx", "report.json"]);
    const other = output();
    for (const place of [join(other, "..", "none", "report.json"), join(other, "..")]) {
      const failed = bnfold(["fold", model, "-o", other, "--no-check", "--report", place]);
      expect(failed.code).toBe(4);
      expect(failed.stderr).toMatch(/^bnfold: .*(does not exist|a folder)/);
    }
    expect(readdirSync(join(other, ".."))).toEqual([]);
  });
});

describe("a checksum of a side file that stays", () => {
  const place = join(output(), "..");
  const numbers = new Uint8Array(Float32Array.of(1, 2, 3).buffer);
  writeFileSync(join(place, "w.bin"), numbers);
  const sha1 = createHash("sha1").update(numbers).digest("hex");
  /** The kept scale lies in the side file; nothing that folds does. */
  const withChecksum = (name: string, checksum: string): string => {
    const spec = convNet();
    const more = { ...float32([3, 1, 1], []), external: { location: "w.bin", offset: 0, length: 12, checksum } };
    const nodes = [...spec.nodes, node("Relu", ["y"], ["r"]), node("Max", ["r", "more"], ["z"])];
    const outputs = [{ name: "z", dims: ["N", 3, 3, 3] }];
    return writeModel(join(place, name), { ...spec, nodes, outputs, initializers: { ...spec.initializers, more } });
  };
  const good = withChecksum("good.onnx", sha1.toUpperCase());
  const bad = withChecksum("bad.onnx", "0".repeat(40));

  it("is compared before anything is written", () => {
    expect(bnfold(["fold", good, "-o", join(place, "out.onnx")]).code).toBe(0);
    expect(bnfold(["verify", good, join(place, "out.onnx")]).code).toBe(0);
    const before = readdirSync(place).sort();
    const failed = bnfold(["fold", bad, "-o", join(place, "never.onnx")]);
    expect([failed.code, failed.stderr]).toEqual([3, expect.stringContaining(`has SHA-1 ${sha1}`)]);
    expect(bnfold(["verify", bad, good]).code).toBe(3);
    expect(readdirSync(place).sort()).toEqual(before);
  });

  it("without a check only where the file is read or copied", () => {
    expect(bnfold(["fold", bad, "-o", join(place, "unchecked.onnx"), "--no-check"]).code).toBe(0);
    const away = output();
    expect(bnfold(["fold", bad, "-o", away, "--no-check"]).code).toBe(3);
    expect(readdirSync(join(away, ".."))).toEqual([]);
  });
});
