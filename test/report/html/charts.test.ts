/** Drawings as data: where bars begin and end, and that page and file get the same. */
import { describe, expect, it } from "vitest";
import { histogram, perChannel, ranges } from "../../../src/report/html/charts.ts";
import { drawing } from "../../../src/report/html/template.ts";
import type { Shape } from "../../../src/report/shape.ts";

const bars = (shape: Shape | undefined) =>
  (shape?.children ?? []).flatMap((child) =>
    typeof child === "object" && child.tag === "rect" ? [child.attributes as Record<string, number>] : [],
  );

describe("bars of channels", () => {
  it("go up and down from zero, on one scale", () => {
    const [up, none, down] = bars(perChannel("gain", [3, 0, -1], 3));
    expect([up.y, up.height]).toEqual([0, 63]);
    expect([none.y, none.height]).toEqual([63, 0]);
    expect([down.y, down.height]).toEqual([63, 21]);
  });

  it("of what is not finite go all the way, and nothing is drawn of zeros", () => {
    const heights = bars(perChannel("gain", [2, Number.NaN, Number.NEGATIVE_INFINITY, -2], 4)).map(({ height }) => height);
    expect(heights).toEqual([42, 42, 42, 42]);
    expect([perChannel("gain", [0, 0], 2), ranges([], [], 0), histogram([0])]).toEqual([undefined, undefined, undefined]);
  });

  it("stand before and after on one scale", () => {
    const drawn = bars(ranges([1, 2], [4, 1], 2));
    expect(drawn.map((bar) => [bar.class, bar.height])).toEqual([
      ["a", 21],
      ["a", 42],
      ["b", 84],
      ["b", 21],
    ]);
  });

  it("become the text of a file, names escaped", () => {
    expect(drawing(perChannel("<b>", [1], 1)).text).toContain('aria-label="&lt;b&gt; of each channel"');
  });
});
