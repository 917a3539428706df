import { describe, expect, it } from "vitest";
import { evaluate, ints, list, longs, real } from "./evaluate.ts";

const NaN1 = real([3], [Number.NaN, 1, -0]);

describe("comparisons", () => {
  it("are false where an operand is NaN, and see no difference between zeros", () => {
    const y = real([3], [Number.NaN, 2, 0]);
    expect(list(evaluate("Equal", 13, [NaN1, y]))).toEqual([0, 0, 1]);
    expect(list(evaluate("Less", 13, [NaN1, y]))).toEqual([0, 1, 0]);
    expect(list(evaluate("LessOrEqual", 16, [NaN1, y]))).toEqual([0, 1, 1]);
    expect(list(evaluate("GreaterOrEqual", 16, [NaN1, y]))).toEqual([0, 0, 1]);
    expect(evaluate("Greater", 13, [NaN1, y]).dtype).toBe("bool");
  });

  it("tell 64-bit integers apart that no double does", () => {
    const [a, b] = [longs([1], [2n ** 53n]), longs([1], [2n ** 53n + 1n])];
    expect(list(evaluate("Equal", 13, [a, b]))).toEqual([0]);
    expect(list(evaluate("Less", 13, [a, b]))).toEqual([1]);
  });

  it("compare strings, with broadcasting", () => {
    const a = { dtype: "string", dims: [2, 2], data: ["a", "b", "b", "a"] } as const;
    const b = { dtype: "string", dims: [2], data: ["a", "b"] } as const;
    expect(list(evaluate("Equal", 19, [a, b]))).toEqual([1, 1, 0, 0]);
  });
});

describe("bits", () => {
  it("invert within the width", () => {
    expect(list(evaluate("BitwiseNot", 18, [ints("uint8", [2], [0, 0xf0])]))).toEqual([255, 0x0f]);
    expect(list(evaluate("BitwiseNot", 18, [longs([1], [0n])]))).toEqual([-1n]);
    expect(list(evaluate("BitwiseXor", 18, [ints("uint32", [1], [0xffffffff]), ints("uint32", [1], [1])]))).toEqual([0xfffffffe]);
    expect(list(evaluate("Not", 1, [ints("bool", [2], [0, 1])]))).toEqual([1, 0]);
  });

  it("shift unsigned numbers logically and signed ones arithmetically", () => {
    const right = { direction: "RIGHT" };
    expect(list(evaluate("BitShift", 11, [ints("uint32", [2], [0x80000000, 5]), ints("uint32", [2], [31, 40])], right))).toEqual([
      1, 0,
    ]);
    expect(list(evaluate("BitShift", 11, [longs([1], [2n ** 63n], "uint64"), longs([1], [63n], "uint64")], right))).toEqual([1n]);
    expect(list(evaluate("BitShift", 28, [ints("int8", [2], [-8, -8]), ints("int8", [2], [1, 9])], right))).toEqual([-4, -1]);
    expect(
      list(evaluate("BitShift", 28, [ints("int16", [2], [0x4000, 1]), ints("int16", [2], [1, -1])], { direction: "LEFT" })),
    ).toEqual([-32768, 0]);
    expect(() => evaluate("BitShift", 11, [ints("uint8", [1], [1]), ints("uint8", [1], [1])], { direction: "UP" })).toThrow(
      /direction/,
    );
  });

  it("finds NaN and the infinities asked for", () => {
    const x = real([3], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
    expect(list(evaluate("IsNaN", 13, [x]))).toEqual([0, 0, 1]);
    expect(list(evaluate("IsInf", 10, [x]))).toEqual([1, 1, 0]);
    expect(list(evaluate("IsInf", 10, [x], { detect_negative: 0 }))).toEqual([1, 0, 0]);
  });
});
