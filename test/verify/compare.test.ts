import { describe, expect, it } from "vitest";
import { halfUlp } from "../../src/onnx/dtype.ts";
import { tensor } from "../../src/onnx/tensor.ts";
import { compareValues } from "../../src/verify/compare.ts";

const floats = (...values: number[]) => tensor("float32", [values.length], Float64Array.from(values));

describe("compareValues", () => {
  it("gives the root mean square and the largest difference of floats", () => {
    const d = compareValues(floats(3, 4, 0, 0), floats(3, 1, 0, 4));
    expect(d).toMatchObject({ rms: 2.5, max: 4, scale: 2.5, mismatches: 0, nonFinite: 0, dims: [4] });
  });

  it("counts NaN and infinities that agree, and tells those that do not", () => {
    const d = compareValues(floats(Number.NaN, Infinity, -Infinity, 1), floats(Number.NaN, Infinity, -Infinity, 1));
    expect(d).toMatchObject({ nonFinite: 3, mismatches: 0, rms: 0 });
    expect(compareValues(floats(Infinity), floats(-Infinity)).mismatches).toBe(1);
    expect(compareValues(floats(Number.NaN, 1), floats(1, 1))).toMatchObject({
      mismatches: 1,
      problem: expect.stringContaining("element 0"),
    });
  });

  it("wants integers, booleans and text equal, beyond 2^53 too", () => {
    const big = (value: bigint) => tensor("int64", [1], BigInt64Array.of(value));
    expect(compareValues(big(2n ** 60n), big(2n ** 60n + 1n)).mismatches).toBe(1);
    expect(compareValues(tensor("string", [2], ["a", "b"]), tensor("string", [2], ["a", "c"])).mismatches).toBe(1);
    expect(compareValues(tensor("bool", [1], Uint8Array.of(1)), tensor("bool", [1], Uint8Array.of(1))).mismatches).toBe(0);
  });

  it("compares structure: types, shapes, lengths of sequences", () => {
    expect(compareValues(floats(1), tensor("float16", [1], Float64Array.of(1))).problem).toContain("float16");
    expect(compareValues(floats(1), tensor("float32", [1, 1], Float64Array.of(1))).problem).toContain("[1, 1]");
    const sequence = (...items: ReturnType<typeof floats>[]) => ({ kind: "sequence" as const, items });
    expect(compareValues(sequence(floats(1), floats(2)), sequence(floats(1), floats(4)))).toMatchObject({
      max: 2,
      mismatches: 0,
      dims: [2],
    });
    expect(compareValues(sequence(floats(1)), sequence()).mismatches).toBe(1);
    expect(compareValues(sequence(floats(1)), floats(1)).problem).toContain("sequence became a tensor");
    expect(compareValues(floats(), floats())).toMatchObject({ rms: 0, elements: 0, mismatches: 0 });
  });
});

describe("halfUlp", () => {
  it("is half the distance to the next value of the type", () => {
    for (const x of [1, 1.5, 0.1, 3e-5, 12345, 2 ** 20, 1 - 2 ** -24, Math.fround(1e-39)]) {
      const bits = new Uint32Array(1);
      const value = new Float32Array(bits.buffer);
      value[0] = x;
      const here = value[0];
      bits[0]++;
      expect(halfUlp(here, "float32"), `${x}`).toBe((value[0] - here) / 2);
      expect(halfUlp(-here, "float32")).toBe(halfUlp(here, "float32"));
    }
    expect(halfUlp(1, "float16")).toBe(2 ** -11);
    expect(halfUlp(1.999, "float16")).toBe(2 ** -11);
    expect(halfUlp(2, "float16")).toBe(2 ** -10);
    expect(halfUlp(0, "float16")).toBe(2 ** -25);
    expect(halfUlp(1, "bfloat16")).toBe(2 ** -8);
    expect(halfUlp(1, "float64")).toBe(2 ** -53);
  });
});
