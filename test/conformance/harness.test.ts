import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { DType } from "../../src/onnx/dtype.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { float32, modelBytes, node, tensorProto } from "../helpers/build.ts";
import { compareValues, listCases, runCase } from "./harness.ts";

const real = (values: number[], dtype: DType = "float32"): Tensor => ({
  dtype,
  dims: [values.length],
  data: Float64Array.from(values),
});
const long = (value: bigint): Tensor => ({ dtype: "int64", dims: [1], data: BigInt64Array.of(value) });

describe("the comparison of the node tests", () => {
  it("takes the runner's tolerances and no more", () => {
    expect(compareValues("t", real([1.0009]), real([1]))).toBeUndefined();
    expect(compareValues("t", real([1.0011]), real([1]))).toMatch(/1 of 1 elements differ, at 0: got 1.0011, expected 1/);
    expect(compareValues("t", real([1e-8]), real([0]))).toBeUndefined();
    expect(compareValues("t", real([2e-7]), real([0]))).toBeDefined();
  });

  it("holds NaN and infinities apart from numbers", () => {
    expect(compareValues("t", real([Number.NaN, Infinity]), real([Number.NaN, Infinity]))).toBeUndefined();
    expect(compareValues("t", real([0]), real([Number.NaN]))).toBeDefined();
    expect(compareValues("t", real([Number.NaN]), real([0]))).toBeDefined();
    expect(compareValues("t", real([1e300]), real([Infinity]))).toBeDefined();
    expect(compareValues("t", real([-Infinity]), real([Infinity]))).toBeDefined();
  });

  it("wants type, shape, integers, text and structure exactly", () => {
    expect(compareValues("t", real([1], "float64"), real([1]))).toMatch(/float64 \[1\]/);
    expect(compareValues("t", { ...real([1]), dims: [1, 1] }, real([1]))).toBeDefined();
    expect(compareValues("t", long(9007199254740993n), long(9007199254740992n))).toBeDefined();
    expect(compareValues("t", { kind: "sequence", items: [] }, { kind: "sequence", items: [real([1])] })).toMatch(/0 items/);
    expect(compareValues("t", { kind: "optional", item: real([1]) }, { kind: "optional", item: undefined })).toBeDefined();
    expect(compareValues("t", undefined, real([1]))).toBeDefined();
  });

  it("leaves the numbers of unseeded random operators open, not their type", () => {
    expect(compareValues("test_bernoulli", real([1]), real([0]))).toBeUndefined();
    expect(compareValues("test_bernoulli", real([0.5]), real([0]))).toBeDefined();
    expect(compareValues("test_bernoulli", real([1], "float64"), real([0]))).toBeDefined();
  });
});

describe("the cases of a folder", () => {
  it("are found at any depth, and run by the path to them", () => {
    const folder = mkdtempSync(join(tmpdir(), "bnfold-cases-"));
    try {
      for (const path of ["node/test_a", "node/deeper/test_b", "test_c"]) {
        mkdirSync(join(folder, path, "test_data_set_0"), { recursive: true });
        const spec = { nodes: [node("Identity", ["x"], ["y"])], inputs: [{ name: "x", dims: [1] }], outputs: [{ name: "y" }] };
        writeFileSync(join(folder, path, "model.onnx"), modelBytes(spec));
        const one = tensorProto("x", float32([1], [3]));
        for (const side of ["input", "output"]) writeFileSync(join(folder, path, "test_data_set_0", `${side}_0.pb`), one);
      }
      expect(listCases(folder)).toEqual(["node/deeper/test_b", "node/test_a", "test_c"]);
      const results = listCases(folder).map((path) => runCase(folder, path));
      expect(results.map(({ name, status }) => `${name} ${status}`)).toEqual(["test_b passed", "test_a passed", "test_c passed"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
