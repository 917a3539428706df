import { describe, expect, it } from "vitest";
import { BnfoldError, inputError } from "../../src/diag/error.ts";

describe("what was caught", () => {
  it("is handed on where it is bad input, and thrown on where it is a fault of the program", () => {
    const bad = new BnfoldError("model", "a tensor of no size");
    expect(inputError(bad)).toBe(bad);
    const fault = new TypeError("x is undefined");
    expect(() => inputError(fault)).toThrow(fault);
  });
});
