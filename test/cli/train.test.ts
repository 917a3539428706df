import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { formatNpy } from "../../src/run/npy.ts";
import { f, float32, node } from "../helpers/build.ts";
import { numbers, twoLayers } from "../train/nets.ts";
import { bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const at = (name: string) => join(dir, name);
const model = writeModel(at("two.onnx"), twoLayers());
const N = 37;
const X = numbers(2 * N, 9);
const npy = (path: string, from: number, to: number, order: "C" | "F" = "C") => {
  const data = Float64Array.from(X.slice(2 * from, 2 * to));
  writeFileSync(path, formatNpy({ dtype: "float64", dims: [to - from, 2], data }));
  if (order === "F") {
    // The same matrix, column by column.
    const columns = Float64Array.from(data, (_, i) => data[2 * (i % (to - from)) + Math.floor(i / (to - from))]);
    const bytes = Buffer.from(formatNpy({ dtype: "float64", dims: [to - from, 2], data: columns }));
    const head = bytes.toString("latin1");
    expect(head).toContain("'fortran_order': False,");
    writeFileSync(path, Buffer.from(head.replace("'fortran_order': False,", "'fortran_order': True ,"), "latin1"));
  }
};
npy(at("all.npy"), 0, N);

const training = () => {
  const spec = convNet();
  const nodes = spec.nodes.map((n) =>
    n.name === "norm" ? { ...n, outputs: ["n", "rm", "rv"], attributes: { epsilon: f(1e-5), training_mode: 1 } } : n,
  );
  return { ...spec, nodes };
};

const ok = (args: readonly string[]): string => {
  const { code, stdout, stderr } = bnfold(args);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout;
};
const json = (args: readonly string[]) => JSON.parse(ok([...args, "--json"]));

describe("bnfold freeze", () => {
  const trains = writeModel(at("trains.onnx"), training());
  it("is what fold and inspect point at, and lets fold go on", () => {
    expect(ok(["inspect", trains])).toMatch(/^ {2}"norm" +training/m);
    expect(ok(["fold", trains, "--dry-run", "--no-check"])).toMatch(/training-mode.*bnfold freeze/);
    const text = ok(["freeze", trains, "-o", at("frozen.onnx")]);
    expect(text).toContain('training_mode 1 -> 0, without "rm", "rv"');
    expect(text).toMatch(/The numbers change[\s\S]*\n {2}y /);
    expect(ok(["fold", at("frozen.onnx"), "-o", at("folded.onnx")])).toMatch(/^Equivalent/m);
    expect(bnfold(["verify", trains, at("folded.onnx")]).code).toBe(1);
  });
  it("measures on given data, and as JSON", () => {
    const found = json(["freeze", trains, "--dry-run", "--samples", "2", "--seed", "7", "--shape", "x=4,2,5,5"]);
    expect([found.change.samples, found.frozen.length, found.output]).toEqual([2, 1, null]);
    expect(found.change.outputs[0].rms).toBeGreaterThan(0);
  });
  it("keeps running statistics that are outputs, unless told to drop them", () => {
    const spec = training();
    const file = writeModel(at("outputs.onnx"), { ...spec, outputs: [...spec.outputs, { name: "rm", dims: [3] }] });
    const { code, stderr } = bnfold(["freeze", file, "--dry-run"]);
    expect(code).toBe(3);
    expect(stderr).toContain("--drop-outputs");
    expect(json(["freeze", file, "--dry-run", "--drop-outputs"]).droppedGraphOutputs).toEqual(["rm"]);
  });
  it("says so when there is nothing to do", () => {
    expect(ok(["freeze", model, "-o", at("same.onnx")])).toContain("byte for byte");
    expect(readFileSync(at("same.onnx"))).toEqual(readFileSync(model));
  });
});

describe("bnfold recalibrate", () => {
  const fresh = at("fresh.onnx");
  const text = ok(["recalibrate", model, "--data", at("all.npy"), "-o", fresh]);
  it("shows the drift of every layer and the change of the outputs", () => {
    expect(text).toMatch(/Recalibrated \(2 layers\)/);
    expect(text).toMatch(/^ {2}"bn1" +4 +37 /m);
    expect(text).toMatch(/^ {2}y +\d/m);
  });
  it("gives the same bytes however the data is cut and stored", () => {
    mkdirSync(at("cut"));
    [0, 1, 9, 20, 21, N].forEach((from, i, edges) => {
      if (i + 1 < edges.length) npy(at(`cut/part${i}.npy`), from, edges[i + 1], i === 2 ? "F" : "C");
    });
    ok(["recalibrate", model, "--data", at("cut"), "-o", at("cut.onnx"), "--memory", "0"]);
    expect(readFileSync(at("cut.onnx"))).toEqual(readFileSync(fresh));
    writeFileSync(at("list.txt"), "# in order\ncut/part0.npy\ncut/part1.npy\ncut/part2.npy\n\ncut/part3.npy\ncut/part4.npy\n");
    ok(["recalibrate", model, "--data", at("list.txt"), "-o", at("list.onnx")]);
    expect(readFileSync(at("list.onnx"))).toEqual(readFileSync(fresh));
  });
  it("merges shards, round after round or all at once, to the bytes of one run", () => {
    for (const [flags, rounds] of [
      [[], 2],
      [["--at-once"], 1],
    ] as const) {
      let before: string[] = [];
      for (let round = 1; round <= rounds; round++) {
        const parts = [3, 1, 2].map((i) => {
          const file = at(`part-${i}.json`);
          ok(["recalibrate", model, "--data", at("all.npy"), ...flags, ...before, "--shard", `${i}/3`, "--moments", file]);
          return file;
        });
        expect(ok(["moments", "merge", ...parts, "-o", at(`round-${round}.json`)])).toContain("complete");
        before = ["--from-moments", at(`round-${round}.json`)];
      }
      ok(["recalibrate", model, ...flags, ...before, "-o", at("merged.onnx")]);
      ok(["recalibrate", model, "--data", at("all.npy"), ...flags, "-o", at("one.onnx"), "--moments", at("one.json")]);
      expect(readFileSync(at("merged.onnx"))).toEqual(readFileSync(at("one.onnx")));
      expect(readFileSync(at(`round-${rounds}.json`))).toEqual(readFileSync(at("one.json")));
    }
  });
  it("prints JSON", () => {
    const found = json(["recalibrate", model, "--data", at("all.npy"), "--dry-run", "--unbiased", "--only", "bn2"]);
    expect([found.variance, found.layers.length, found.skipped.length, found.data]).toEqual([
      "unbiased",
      1,
      1,
      { samples: N, block: 8 },
    ]);
  });
  it.each([
    [["--data", at("all.npy")], /where to write/],
    [["-o", at("no.onnx")], /needs --data/],
    [["--data", at("all.npy"), "--shard", "4/3", "--moments", at("no.json")], /i\/n with i from 1 to n/],
    [["--data", at("all.npy"), "--shard", "1/3"], /--moments/],
    [["--data", at("missing.npy"), "-o", at("no.onnx")], /no such file|does not exist/],
    [["--data", at("all.npy"), "--moments", model], /overwrite a model/],
    [["--from-moments", model, "-o", at("no.onnx")], /does not hold moments/],
  ])("refuses %s", (args, message) => {
    const { code, stderr } = bnfold(["recalibrate", model, ...args]);
    expect(code).toBeGreaterThan(1);
    expect(code).toBeLessThan(5);
    expect(stderr).toMatch(message);
  });
  it("refuses moments of another model", () => {
    const other = writeModel(at("other.onnx"), { ...twoLayers(), name: "other" });
    const { code, stderr } = bnfold(["recalibrate", other, "--from-moments", at("one.json"), "--at-once", "-o", at("no.onnx")]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/model is/)]);
  });
  it("takes a fixed batch as the block, and says when the data does not fill it", () => {
    const fixed = writeModel(at("fixed.onnx"), {
      ...twoLayers(),
      inputs: [{ name: "x", dtype: "float64", dims: [4, 2] }],
      outputs: [{ name: "y", dtype: "float64", dims: [4, 3] }],
    });
    expect(bnfold(["recalibrate", fixed, "--data", at("all.npy"), "--dry-run"]).stderr).toMatch(/exactly 4 samples/);
    npy(at("32.npy"), 0, 32);
    expect(json(["recalibrate", fixed, "--data", at("32.npy"), "--dry-run"]).data).toEqual({ samples: 32, block: 4 });
  });
});

describe("bnfold recalibrate with several inputs", () => {
  const file = writeModel(at("inputs.onnx"), {
    nodes: [
      node("Add", ["a", "b"], ["s"]),
      node("Mul", ["s", "k"], ["q"]),
      node("BatchNormalization", ["q", "g", "z", "m", "v"], ["y"], {}, { name: "bn" }),
    ],
    initializers: { g: float32([2], [1, 1]), z: float32([2], [0, 0]), m: float32([2], [0, 0]), v: float32([2], [1, 1]) },
    inputs: [
      { name: "a", dims: ["N", 2] },
      { name: "b", dims: ["N", 2] },
      { name: "k", dims: [] },
    ],
    outputs: [{ name: "y", dims: ["N", 2] }],
    opset: 17,
  });
  const arrays = {
    a: formatNpy({ dtype: "float32", dims: [3, 2], data: Float64Array.of(1, 2, 3, 4, 5, 6) }),
    b: formatNpy({ dtype: "float32", dims: [3, 2], data: Float64Array.of(0, 1, 0, 1, 0, 4) }),
    k: formatNpy({ dtype: "float32", dims: [], data: Float64Array.of(2) }),
  };
  mkdirSync(at("folder"));
  for (const [name, bytes] of Object.entries(arrays)) writeFileSync(at(`${name}.npy`), bytes);
  for (const name of ["a", "b"] as const) writeFileSync(at(`folder/${name}.npy`), arrays[name]);
  const zip = (names: readonly (keyof typeof arrays)[]) =>
    zipSync(Object.fromEntries(names.map((name) => [`${name}.npy`, arrays[name]])));
  writeFileSync(at("ab.npz"), zip(["a", "b"]));
  writeFileSync(at("abk.npz"), zip(["a", "b", "k"]));
  const k = ["--input", `k=${at("k.npy")}`];

  it.each([
    ["one file each", ["--data", `a=${at("a.npy")}`, "--data", `b=${at("b.npy")}`, ...k]],
    ["an archive", ["--data", at("ab.npz"), ...k]],
    ["a folder", ["--data", at("folder"), ...k]],
    ["an archive as one sample", ["--data", at("abk.npz"), "--whole"]],
  ])("takes %s", (_name, args) => {
    ok(["recalibrate", file, ...args, "-o", at("inputs-out.onnx")]);
    const { graph } = read(memorySource(readFileSync(at("inputs-out.onnx"))));
    const [, , mean, variance] = graph.initializers.map((tensor) => asFloat64(decode(tensor)));
    // 2(a + b) is 2, 6, 10 and 6, 10, 20.
    expect([...mean]).toEqual([6, 12]);
    expect([...variance]).toEqual([32 / 3, 104 / 3].map(Math.fround));
  });
  it("says why arrays cannot be cut", () => {
    expect(bnfold(["recalibrate", file, "--data", at("abk.npz"), "--dry-run"]).stderr).toMatch(
      /axis 0: a \[3, 2\], b \[3, 2\], k \[\][\s\S]*--whole/,
    );
    expect(bnfold(["recalibrate", file, "--data", at("a.npy"), "--dry-run", ...k]).stderr).toMatch(/the model has 2/);
  });
});

const resnet = fileURLToPath(new URL("../../../shared/corpus/exports/resnet18-torchscript/model.onnx", import.meta.url));

describe.skipIf(!existsSync(resnet))("resnet18 as PyTorch exports it", () => {
  it("is recalibrated from made-up images, folded and proven", () => {
    const size = 3 * 224 * 224;
    const data = Float64Array.from(
      { length: 2 * size },
      (_, i) => Math.sin((i % 224) / 17 + Math.floor(i / 224) / 29) + Math.floor(i / size),
    );
    writeFileSync(at("images.npy"), formatNpy({ dtype: "float32", dims: [2, 3, 224, 224], data }));
    const found = json(["recalibrate", resnet, "--data", at("images.npy"), "-o", at("resnet.onnx")]);
    expect(found.layers.length).toBe(20);
    expect(found.data).toEqual({ samples: 2, block: 1 });
    const folded = json(["fold", at("resnet.onnx"), "--dry-run", "--samples", "1"]);
    expect([folded.batchNormalization.kept, folded.verdict.outcome]).toEqual([0, "equivalent"]);
  });
});

describe("bnfold momentum on a model", () => {
  const file = writeModel(at("momentum.onnx"), convNet());
  it("lists every layer", () => {
    expect(ok(["momentum", file])).toMatch(/^ {2}"norm" +0\.9 +0\.1 +6\.58 +43\.7 {2}[.:=+*#@-]{12} +1e-5$/m);
    const found = json(["momentum", file, "--to", "keras"]);
    expect(found.layers[0]).toMatchObject({ momentum: 0.9, converted: 0.9, epsilon: 1e-5 });
    expect(found.layers[0].halfLife.half).toBeCloseTo(6.5788, 3);
  });
  it("flags numbers of the other sense and mixed epsilons", () => {
    const spec = convNet({ kept: true });
    const nodes = spec.nodes.map((n) =>
      n.name === "late" ? node(n.op, n.inputs, n.outputs, { epsilon: f(1e-3), momentum: f(0.1) }, { name: "late" }) : n,
    );
    const odd = writeModel(at("odd.onnx"), { ...spec, nodes });
    const text = ok(["momentum", odd]);
    expect(text).toMatch(/0\.1 is unusual for ONNX.*PyTorch/);
    expect(text).toMatch(/epsilons are mixed/);
  });
  it("rewrites only when asked, and back again to the same bytes", () => {
    expect(bnfold(["momentum", file, "-o", at("m.onnx")]).stderr).toMatch(/add --write/);
    const text = ok(["momentum", file, "--write", "--set-momentum", "0.01", "--from", "pytorch", "-o", at("m.onnx")]);
    // --from speaks of the number given, not of the file's, which are listed and judged as ONNX's.
    expect(text).toMatch(/momentum \(ONNX\) +as PyTorch's/);
    expect(text).not.toMatch(/Check/);
    expect(json(["momentum", at("m.onnx")]).layers[0].momentum).toBe(0.99);
    ok(["momentum", at("m.onnx"), "--write", "--set-momentum", "0.1", "-o", at("m1.onnx")]);
    ok(["momentum", at("m1.onnx"), "--write", "--from", "pytorch", "--to", "onnx", "-o", at("m2.onnx")]);
    ok(["momentum", at("m2.onnx"), "--write", "--from", "pytorch", "--to", "onnx", "-o", at("m3.onnx")]);
    expect(json(["momentum", at("m2.onnx")]).layers[0].momentum).toBe(0.9);
    expect(readFileSync(at("m3.onnx"))).toEqual(readFileSync(at("m1.onnx")));
    expect(bnfold(["momentum", file, "--write", "--from", "onnx", "--to", "pytorch", "-o", at("m.onnx")]).stderr).toMatch(
      /Write with --to onnx/,
    );
  });
  it("converts variances and epsilons", () => {
    ok([
      "momentum",
      file,
      "--write",
      "--variance",
      "biased-to-unbiased",
      "--count",
      "5",
      "--set-epsilon",
      "0.001",
      "-o",
      at("v.onnx"),
    ]);
    expect(json(["momentum", at("v.onnx")]).layers[0].epsilon).toBe(0.001);
    const { stderr } = bnfold(["momentum", file, "--write", "--variance", "biased-to-unbiased", "-o", at("v.onnx")]);
    expect(stderr).toMatch(/--count/);
  });
  it("prints the half-life of a value, in text and JSON", () => {
    const text = ok(["momentum", "0.1", "--from", "pytorch", "--to", "keras"]);
    expect(text).toContain("one half after 6.58 batches, one hundredth after 43.7");
    expect(text).toMatch(/@[.:=+*#@-]{31}/);
    expect(json(["momentum", "0.99", "--from", "keras", "--to", "onnx"]).halfLife.half).toBeCloseTo(68.97, 1);
    expect(bnfold(["momentum", "0.1"]).stderr).toMatch(/missing --from and --to/);
  });
});

describe("bnfold inspect --channels", () => {
  const spec = convNet();
  const file = writeModel(at("channels.onnx"), {
    ...spec,
    initializers: { ...spec.initializers, scale: float32([3], [1, 0, -2]) },
  });
  it("charts gains and sums up what is off", () => {
    const text = ok(["inspect", file, "--channels"]);
    expect(text).toMatch(/1 constant, 1 negative gain/);
    expect(text).toMatch(/3 channels: 0 dead, 1 constant/);
    expect(text).toMatch(/weights that make them: 18 of 54/);
  });
  it("prints JSON and CSV", () => {
    const [layer] = json(["inspect", file, "--channels"]).layers;
    expect(layer.channels.map(({ flags }: { flags: string[] }) => flags)).toEqual([[], ["constant"], ["negative-gain"]]);
    const rows = ok(["inspect", file, "--channels", "--csv"]).trim().split("\r\n");
    expect(rows.length).toBe(4);
    expect(rows[0].split(",").length).toBe(rows[1].split(",").length);
    expect(rows[2]).toMatch(/^norm,,1,0,.*,constant$/);
    expect(bnfold(["inspect", file, "--csv"]).code).toBe(2);
  });
});
