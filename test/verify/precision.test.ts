/** What the costliest folds cost in the files' own precision, by a run near the statistics, beside the estimate. */
import { describe, expect, it } from "vitest";
import { foldChecked } from "../../src/engine/fold.ts";
import { renderText } from "../../src/report/text.ts";
import { f, float32, type ModelSpec, model, node } from "../helpers/build.ts";

/** An exact input near `mean` with deviation 1, normalized in front of a layer. */
function net(mean: number): ModelSpec {
  const [c, o] = [4, 6];
  return {
    opsets: { "": 17 },
    nodes: [node("BatchNormalization", ["x", "g", "b", "m", "v"], ["n"], { epsilon: f(1e-5) }), node("Conv", ["n", "w"], ["y"])],
    initializers: {
      g: float32([c], [1, 0.75, 1.25, 1]),
      b: float32([c], [0, 0.25, -0.25, 0.5]),
      m: float32([c], [mean, mean, mean, mean]),
      v: float32([c], [1, 1, 1, 1]),
      w: float32(
        [o, c, 1, 1],
        Array.from({ length: o * c }, (_, i) => Math.fround(Math.sin(i + 1))),
      ),
    },
    inputs: [{ name: "x", dims: ["N", c, "H", "W"] }],
    outputs: [{ name: "y", dims: ["N", o, "H", "W"] }],
  };
}

describe("the bits that folds cost", () => {
  it.each([
    [1, 0, 2],
    [8, 1.5, 4.5],
    [1000, 8, 11.5],
  ])("are measured near a mean of %d", async (mean, least, most) => {
    const { report } = await foldChecked(model(net(mean)), { maxBitsLost: Number.POSITIVE_INFINITY });
    const bits = report.bitsMeasured?.bits ?? 0;
    expect(report.bitsLost).toBeGreaterThanOrEqual(least - 1);
    expect(bits).toBeGreaterThanOrEqual(least);
    expect(bits).toBeLessThanOrEqual(most);
    // The estimate is of a worst case over rows and roundings; a run is near it and not far above.
    expect(bits).toBeLessThanOrEqual(report.bitsLost + 1);
  });

  it("are said, and not where no fold can cost any", async () => {
    const { report } = await foldChecked(model(net(8)));
    expect(renderText(report)).toMatch(/estimated from constants; a run near the statistics loses [\d.]+ bits? at "y"/);
    const behind: ModelSpec = {
      ...net(8),
      nodes: [
        node("Conv", ["x", "u"], ["a"]),
        node("BatchNormalization", ["a", "g", "b", "m", "v"], ["y"], { epsilon: f(1e-5) }),
      ],
      initializers: {
        ...net(8).initializers,
        u: float32(
          [4, 4, 1, 1],
          Array.from({ length: 16 }, (_, i) => Math.cos(i)),
        ),
      },
    };
    const plain = await foldChecked(model(behind));
    expect(plain.report).toMatchObject({ bitsLost: 0 });
    expect(plain.report.bitsMeasured).toBeUndefined();
  });
});
