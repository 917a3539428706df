import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { DRAWS, Judgement, limitOf, MAX_RATIO, MOST_DRAWS } from "../../src/verify/judge.ts";
import type { Proof, RegionProof } from "../../src/verify/types.ts";

const tensor = (value: number): Tensor => ({ dtype: "float32", dims: [1], data: Float64Array.of(value) });

/** Draws until the judgement asks for no more; each moves the result by what `move` says of its number. */
function drawn(difference: number, move: (draw: number) => number): { judgement: Judgement; draws: number } {
  const judgement = new Judgement("y", tensor(1 + difference), tensor(1));
  let draws = 0;
  while (judgement.open(draws, DRAWS)) {
    draws++;
    judgement.addDraw(tensor(1 + move(draws)));
  }
  return { judgement, draws };
}

describe("rounding draws", () => {
  it("stop at once when the difference is small", () => {
    expect(drawn(1, () => 1).draws).toBe(1);
    expect(drawn(0, () => 1).draws).toBe(0);
  });

  it("go on to 32 when four would fail the sample, and may save it", () => {
    const lucky = drawn(4, (draw) => (draw <= DRAWS ? 1 : 2));
    expect(lucky.draws).toBe(MOST_DRAWS);
    expect(lucky.judgement.ok).toBe(true);
    const wrong = drawn(4, () => 1);
    expect(wrong.draws).toBe(MOST_DRAWS);
    expect(wrong.judgement.ok).toBe(false);
  });

  it("are not asked for where one element differs by more than a number: a NaN, an infinity", () => {
    const judgement = new Judgement("y", tensor(Number.NaN), tensor(1));
    expect([judgement.certain, judgement.ok, judgement.open(0, DRAWS)]).toEqual([true, false, false]);
  });

  it("stop after four when it passes, or when no luck explains the difference", () => {
    expect(drawn(2, () => 1).draws).toBe(DRAWS);
    const hopeless = drawn(1000, () => 1);
    expect(hopeless.draws).toBe(DRAWS);
    expect(hopeless.judgement.ok).toBe(false);
  });
});

describe("the last rounding of a result", () => {
  const float64 = (value: number): Tensor => ({ dtype: "float64", dims: [1], data: Float64Array.of(value) });

  it("explains a difference of one unit of a double, which then needs no run to explain it", () => {
    const judgement = new Judgement("y", float64(1 + 2 ** -52), float64(1));
    expect(judgement.ok).toBe(false);
    judgement.addLastRounding();
    // 2⁻⁵² is two of 2⁻⁵³: not clearly within three.
    expect(judgement.ok).toBe(false);
    const near = new Judgement("y", float64(1 - 2 ** -53), float64(1));
    near.addLastRounding();
    expect(near.ok).toBe(true);
    expect(near.ratio).toBeCloseTo(1, 10);
  });

  it("explains no difference that a float32 could hold", () => {
    const judgement = new Judgement("y", float64(1 + 2 ** -24), float64(1));
    judgement.addLastRounding();
    expect([judgement.ok, judgement.rounding]).toEqual([false, 0]);
  });
});

describe("the limit", () => {
  const region = (worstHalfUlps: number, outcome: RegionProof["outcome"] = "equal"): RegionProof => ({
    outcome,
    nodes: ["n"],
    value: "v",
    worstHalfUlps,
    coefficients: 1,
  });
  const proof = (outcome: Proof["outcome"], ...regions: RegionProof[]): Proof => ({ outcome, regions, identicalNodes: 0 });

  it("follows the worst coefficient of a proof that covers everything", () => {
    expect(limitOf(proof("equal", region(0.4), region(3)))).toBe(3 * MAX_RATIO);
  });

  it("is 3 without such a proof, and for numbers that were rounded once", () => {
    expect(limitOf(undefined)).toBe(MAX_RATIO);
    expect(limitOf(proof("not-decided", region(3), region(0, "not-decided")))).toBe(MAX_RATIO);
    expect(limitOf(proof("different", region(3), region(900, "different")))).toBe(MAX_RATIO);
    expect(limitOf(proof("equal", region(1.01)))).toBe(MAX_RATIO);
  });

  it("decides what passes and when drawing ends", () => {
    const judgement = new Judgement("y", tensor(7), tensor(1), 9);
    judgement.addDraw(tensor(2));
    expect(judgement.ratio).toBe(6);
    expect(judgement.ok).toBe(true);
    expect(judgement.clear).toBe(false);
  });

  it("is beyond no difference that the rounding of the outputs themselves explains", () => {
    const y = 1e6;
    const judgement = new Judgement("y", tensor(y), tensor(y * (1 + 2 ** -52)));
    expect(judgement.ok).toBe(false);
    // What was moved gave the same, by chance.
    judgement.addEvaluation(judgement.after, judgement.after);
    expect(judgement.ok).toBe(true);
    const wrong = new Judgement("y", tensor(y), tensor(y * (1 + 2 ** -50)));
    wrong.addEvaluation(wrong.after, wrong.after);
    expect(wrong.ok).toBe(false);
  });
});
