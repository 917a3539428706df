import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { saveNpy } from "../../src/node/arrays.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { parseNpy, parseNpz } from "../../src/run/npy.ts";
import { float32, modelBytes, node } from "../helpers/build.ts";
import { bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const model = writeModel(join(dir, "model.onnx"), convNet());
const npy = (path: string): Tensor => parseNpy(new Uint8Array(readFileSync(path)), path);
const json = (...args: string[]) => JSON.parse(bnfold(["run", ...args, "--json"]).stdout);
const fixed: Tensor = {
  dtype: "float32",
  dims: [2, 2, 5, 5],
  data: Float64Array.from({ length: 100 }, (_, i) => Math.fround(Math.cos(i))),
};
const input = join(dir, "x.npy");
saveNpy(input, fixed);

describe("bnfold run", () => {
  it("prints a summary of inputs and outputs", () => {
    const { code, stdout, stderr } = bnfold(["run", model]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/float64, 1 thread$/m);
    expect(stdout).toMatch(/^ {2}x +float32 +\[\d+, 2, 5, 5\]/m);
    expect(stdout).toMatch(/^ {2}y +float32 +\[\d+, 3, 3, 3\]/m);
    expect(stdout).toMatch(/^time: /m);
  });

  it("computes what the formulas say, on given data, and saves doubles", () => {
    const out = join(dir, "out");
    expect(bnfold(["run", model, "--input", `x=${input}`, "-o", out]).code).toBe(0);
    expect(readdirSync(out)).toEqual(["y.npy"]);
    const y = npy(join(out, "y.npy"));
    expect([y.dtype, y.dims]).toEqual(["float64", [2, 3, 3, 3]]);
    const w = Array.from({ length: 54 }, (_, i) => Math.fround(Math.sin(i)));
    const [scale, shift, mean, variance] = [[1, -0.5, 1.5], [0.1, 0.2, -0.3].map(Math.fround), [0.5, -0.25, 0], [0.5, 1, 2]];
    const x = fixed.data as Float64Array;
    for (let b = 0, at = 0; b < 2; b++)
      for (let m = 0; m < 3; m++)
        for (let r = 0; r < 3; r++)
          for (let c = 0; c < 3; c++, at++) {
            let sum = 0;
            for (let k = 0; k < 18; k++) {
              const [ch, i, j] = [Math.floor(k / 9), Math.floor((k % 9) / 3), k % 3];
              sum += w[m * 18 + k] * x[((b * 2 + ch) * 5 + r + i) * 5 + c + j];
            }
            const want = Math.max(0, (sum - mean[m]) * (scale[m] / Math.sqrt(variance[m] + Math.fround(1e-5))) + shift[m]);
            expect(y.data[at]).toBeCloseTo(want, 12);
          }
  });

  it("in storage mode saves the declared type, each result rounded", () => {
    const out = join(dir, "storage.npz");
    expect(bnfold(["run", model, "--storage", "--input", input, "--dump", "*", "-o", out]).code).toBe(0);
    const arrays = parseNpz(new Uint8Array(readFileSync(out)), out);
    expect([...arrays.keys()].sort()).toEqual(["c", "n", "y"]);
    for (const { dtype, data } of arrays.values()) {
      expect(dtype).toBe("float32");
      for (const v of data as Float64Array) expect(Math.fround(v)).toBe(v);
    }
  });

  it("shows inner values that match, and refuses a pattern that matches none", () => {
    const found = json(model, "--dump", "n", "--dump", "c");
    expect(found.runs[0].dumped.map(({ name }: { name: string }) => name)).toEqual(["c", "n"]);
    const { code, stderr } = bnfold(["run", model, "--dump", "conv7"]);
    expect(code).toBe(2);
    expect(stderr).toContain('matches "conv7"');
  });

  it("profiles every node with its multiply-adds and memory", () => {
    const { profile } = json(model, "--profile", "--input", input).runs[0];
    expect(profile.nodes.map(({ operator }: { operator: string }) => operator)).toEqual(["Conv", "BatchNormalization", "Relu"]);
    expect(profile.multiplyAdds).toBe(2 * 3 * 9 * 18);
    expect(profile.nodes[0].outputBytes).toBe(8 * 54);
    expect(profile.peakBytes).toBeGreaterThanOrEqual(8 * (100 + 54));
    const { stdout } = bnfold(["run", model, "--profile", "--top", "1"]);
    expect(stdout).toMatch(/3 nodes in .* million multiply-adds/);
    expect(stdout.match(/^ {2}(conv|norm|relu) /gm)?.length).toBe(1);
  });

  it("repeats with the seed and differs with another, whatever the number of threads", () => {
    const outputs = (...args: string[]) => json(model, ...args).runs[0].outputs;
    expect(outputs("--seed", "5", "--threads", "2")).toEqual(outputs("--seed", "5"));
    expect(outputs("--seed", "6")).not.toEqual(outputs("--seed", "5"));
    expect(json(model, "--seed", "5", "--threads", "2").threads).toBe(2);
  });

  it("runs every data set of a folder and keeps their results apart", () => {
    const sets = join(dir, "sets");
    for (const i of [0, 1]) {
      mkdirSync(join(sets, `test_data_set_${i}`), { recursive: true });
      const data = (fixed.data as Float64Array).map((v) => v * (i + 1));
      saveNpy(join(sets, `test_data_set_${i}`, "x.npy"), { ...fixed, data });
    }
    const out = join(dir, "sets-out");
    const { stdout } = bnfold(["run", model, "--input", sets, "-o", out]);
    expect(stdout).toContain("test_data_set_1");
    const [a, b] = [0, 1].map((i) => npy(join(out, `test_data_set_${i}`, "y.npy")));
    expect(a.data).not.toEqual(b.data);
  });

  it("counts what is not finite, and writes names that are no file names", () => {
    const odd = writeModel(join(dir, "odd.onnx"), {
      nodes: [node("Log", ["x"], ["../a/b"]), node("Neg", ["../a/b"], ["../a:b"])],
      inputs: [{ name: "x", dims: [3] }],
      outputs: [
        { name: "../a/b", dims: [3] },
        { name: "../a:b", dims: [3] },
      ],
    });
    const x = join(dir, "three.npy");
    saveNpy(x, { dtype: "float32", dims: [3], data: Float64Array.of(-1, 0, 1) });
    const out = join(dir, "odd");
    const result = json(odd, "--input", x, "-o", out);
    expect(result.runs[0].outputs[0]).toMatchObject({ nan: 1, infinite: 1, min: 0, max: 0, first: ["NaN", "-Infinity", 0] });
    expect(readdirSync(out).sort()).toEqual(["__a_b.npy", "__a_b_2.npy"]);
    expect(existsSync(join(dir, "a"))).toBe(false);
    expect(bnfold(["run", odd, "--input", x]).stdout).toMatch(/NaN +infinite/);
  });

  it("says what is wrong with the command before it runs anything", () => {
    const file = join(dir, "a-file");
    writeFileSync(file, "");
    for (const [args, says] of [
      [["-o", file], /is a file/],
      [["-o", model], /is the model itself/],
      [["--threads", "0"], /--threads is a whole number/],
      [["--input", "z=none.npy"], /z/],
    ] as const) {
      const { code, stderr } = bnfold(["run", model, ...args]);
      expect(code).toBe(2);
      expect(stderr).toMatch(says);
    }
  });

  it("names node and shapes when a node cannot be computed, and an operator it does not know", () => {
    const bad = join(dir, "bad.onnx");
    writeFileSync(
      bad,
      modelBytes({
        nodes: [node("MatMul", ["x", "w"], ["y"], {}, { name: "product" })],
        initializers: { w: float32([4, 1], [1, 2, 3, 4]) },
        inputs: [{ name: "x", dims: [2, 3] }],
        outputs: [{ name: "y" }],
      }),
    );
    const { code, stderr } = bnfold(["run", bad]);
    expect(code).toBe(3);
    expect(stderr).toContain("inner sizes 3 and 4 differ");
    expect(stderr).toContain("float32 [2, 3]");
    expect(stderr).toContain("product (MatMul)");
    const custom = writeModel(join(dir, "custom.onnx"), {
      nodes: [node("Magic", ["x"], ["y"], {}, { domain: "their.own" })],
      inputs: [{ name: "x", dims: [2] }],
      outputs: [{ name: "y" }],
      opsets: { "": 21, "their.own": 1 },
    });
    expect(bnfold(["run", custom]).stderr).toContain("Magic (domain their.own");
  });
});
