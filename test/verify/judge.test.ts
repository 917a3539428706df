import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { DRAWS, Judgement, MOST_DRAWS } from "../../src/verify/judge.ts";

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

  it("stop after four when it passes, or when no luck explains the difference", () => {
    expect(drawn(2, () => 1).draws).toBe(DRAWS);
    const hopeless = drawn(1000, () => 1);
    expect(hopeless.draws).toBe(DRAWS);
    expect(hopeless.judgement.ok).toBe(false);
  });
});
