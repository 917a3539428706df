import { describe, expect, it } from "vitest";
import type { DType } from "../../src/onnx/dtype.ts";
import { dtypeInfo } from "../../src/onnx/dtype.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { convert, floatText } from "../../src/ops/convert.ts";
import { evaluate, evaluateAll, ints, list, longs, real } from "./evaluate.ts";

const text = (...data: string[]): Tensor => ({ dtype: "string", dims: [data.length], data });
const cast = (x: Tensor, to: DType, attributes = {}) => evaluate("Cast", 25, [x], { to: dtypeInfo(to).code, ...attributes });

describe("Cast", () => {
  it("floats to integers toward zero; widths wrap", () => {
    expect(list(cast(real([3], [-1.9, 1.9, 300]), "int8"))).toEqual([-1, 1, 44]);
    expect(list(cast(real([2], [-1.9, 2 ** 40]), "int64"))).toEqual([-1n, 2n ** 40n]);
    expect(list(cast(ints("int32", [3], [7, 8, -9]), "int4"))).toEqual([7, -8, 7]);
    expect(list(cast(longs([1], [-1n]), "uint8"))).toEqual([255]);
    expect(list(cast(longs([1], [2n ** 40n + 5n]), "int32"))).toEqual([5]);
  });

  it("anything but zero is true", () => {
    expect(list(cast(real([4], [0, -0, 0.1, Number.NaN]), "bool"))).toEqual([0, 0, 1, 1]);
    expect(list(cast(ints("bool", [2], [1, 0]), "float16"))).toEqual([1, 0]);
  });

  it("float32 to float16 is left to the session, float8 is rounded and saturates unless told not to", () => {
    expect(list(cast(real([1], [0.1]), "float16"))).toEqual([0.1]);
    expect(list(cast(real([2], [0.1, 1000]), "float8e4m3fn"))).toEqual([0.1015625, 448]);
    expect(list(cast(real([1], [1000]), "float8e4m3fn", { saturate: 0 }))).toEqual([Number.NaN]);
    expect(list(cast(real([1], [1e6]), "float8e5m2", { saturate: 0 }))).toEqual([Infinity]);
  });

  it("text to numbers and back", () => {
    expect(list(cast(text("1e3", "-inf", "NaN", " 2.5"), "float32"))).toEqual([1000, -Infinity, Number.NaN, 2.5]);
    expect(list(cast(text("9007199254740993", "-3"), "int64"))).toEqual([9007199254740993n, -3n]);
    expect(() => cast(text("one"), "float32")).toThrow(/"one" is no number/);
    const floats = [0.1, 1, 1e-5, 16777216, 1e16, -0, 0.0001].map(Math.fround);
    expect(list(cast(real([7], floats), "string"))).toEqual(["0.1", "1.0", "1e-05", "16777216.0", "1e+16", "-0.0", "0.0001"]);
    expect(floatText(0.1, "float64")).toBe("0.1");
    expect(floatText(123456.789, "float64")).toBe("123456.789");
    expect(floatText(0.0999755859375, "float16")).toBe("0.1");
  });

  it("every pair of numeric types keeps small whole numbers", () => {
    const names: DType[] = [
      "float32",
      "float64",
      "float16",
      "bfloat16",
      "float8e4m3fn",
      "float8e5m2",
      "float4e2m1",
      "float6e2m3",
    ];
    names.push(
      "int8",
      "uint8",
      "int16",
      "uint16",
      "int32",
      "uint32",
      "int64",
      "uint64",
      "int4",
      "uint4",
      "int2",
      "uint2",
      "bool",
    );
    for (const from of names) {
      const there = convert(real([2], [0, 1]), from);
      for (const to of names)
        expect(Array.from(convert(there, to).data as Float64Array, Number), `${from} to ${to}`).toEqual([0, 1]);
    }
  });

  it("before opset 6 the type is a name", () => {
    expect(evaluate("Cast", 1, [real([1], [2.5])], { to: "INT32" })).toMatchObject({ dtype: "int32" });
    expect(evaluate("Cast", 1, [ints("int32", [1], [2])], { to: "DOUBLE" })).toMatchObject({ dtype: "float64" });
  });

  it("BitCast reads the bits", () => {
    expect(list(evaluate("BitCast", 26, [real([1], [1])], { to: dtypeInfo("int32").code }))).toEqual([0x3f800000]);
    expect(() => evaluate("BitCast", 26, [real([1], [1])], { to: dtypeInfo("int64").code })).toThrow(/cannot be read/);
  });
});

describe("quantisation", () => {
  it("rounds ties to even and saturates", () => {
    const q = evaluate("QuantizeLinear", 21, [real([5], [0.5, 1.5, 2.5, -300, 300]), real([], [1]), ints("int8", [], [0])]);
    expect(list(q)).toEqual([0, 2, 2, -128, 127]);
  });

  it("per axis and per block", () => {
    const x = real([2, 4], [1, 2, 3, 4, 10, 20, 30, 40]);
    const zero = ints("uint8", [2], [0, 100]);
    expect(list(evaluate("QuantizeLinear", 21, [x, real([2], [1, 10]), zero], { axis: 0 }))).toEqual([
      1, 2, 3, 4, 101, 102, 103, 104,
    ]);
    const blocks = real([2, 2], [1, 2, 10, 20]);
    const q = evaluate("QuantizeLinear", 21, [x, blocks], { axis: 1, block_size: 2, output_dtype: 2 });
    expect(list(q)).toEqual([1, 2, 2, 2, 1, 2, 2, 2]);
    expect(list(evaluate("DequantizeLinear", 21, [q, blocks], { axis: 1, block_size: 2 }))).toEqual([1, 2, 4, 4, 10, 20, 40, 40]);
    expect(() => evaluate("DequantizeLinear", 21, [q, real([3], [1, 1, 1])], { axis: 1 })).toThrow(/3 scales/);
  });

  it("DynamicQuantizeLinear spans zero, and all zeros stay finite", () => {
    const [y, scale, zero] = evaluateAll("DynamicQuantizeLinear", 11, [real([3], [0, 2, 5.1])], {}, { outputs: 3 });
    expect(list(y)).toEqual([0, 100, 255]);
    expect(scale?.data[0]).toBeCloseTo(0.02, 12);
    expect(list(zero)).toEqual([0]);
    expect(evaluateAll("DynamicQuantizeLinear", 11, [real([2], [0, 0])], {}, { outputs: 3 }).flatMap(list)).toEqual([0, 0, 0, 0]);
  });
});

describe("text", () => {
  it("is joined, split, matched and normalised", () => {
    expect(list(evaluate("StringConcat", 20, [text("a", "b"), text("!")]))).toEqual(["a!", "b!"]);
    const [parts, counts] = evaluateAll("StringSplit", 20, [text("a  b", "", "c")], {}, { outputs: 2 });
    expect(parts?.dims).toEqual([3, 2]);
    expect(list(parts)).toEqual(["a", "b", "", "", "c", ""]);
    expect(list(counts)).toEqual([2n, 0n, 1n]);
    expect(list(evaluate("StringSplit", 20, [text("a-b-c")], { delimiter: "-", maxsplit: 1 }))).toEqual(["a", "b-c"]);
    expect(list(evaluate("RegexFullMatch", 20, [text("ab", "abc")], { pattern: "a.|x" }))).toEqual([1, 0]);
    const normal = { case_change_action: "UPPER", stopwords: ["The"] };
    expect(list(evaluate("StringNormalizer", 10, [text("the", "sun")], normal))).toEqual(["SUN"]);
    expect(list(evaluate("StringNormalizer", 10, [text("the")], normal))).toEqual([""]);
  });
});
