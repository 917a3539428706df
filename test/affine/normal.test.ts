import { describe, expect, it } from "vitest";
import { normalMap } from "../../src/affine/normal.ts";

const of = (...v: number[]) => Float64Array.from(v);

describe("normalMap", () => {
  it("gives s = γ/√(v + ε) and t = β − μ·s", () => {
    const { scale, shift } = normalMap(of(3, -2, 0), of(1, 5, 7), of(2, 4, 9), of(3, 0, 8), 1);
    expect([...scale].map((v) => v + 0)).toEqual([1.5, -2, 0]);
    expect([...shift]).toEqual([-2, 13, 7]);
  });

  it("gives no finite gain where v + ε is not positive", () => {
    const { scale } = normalMap(of(1, 1), of(0, 0), of(0, 0), of(0, -1), 0);
    expect([...scale].map(Number.isFinite)).toEqual([false, false]);
  });
});
