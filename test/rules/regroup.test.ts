/** Shapes of maps through a Reshape, by hand: what is split or joined with what, and that axes beside are left alone. */
import { describe, expect, it } from "vitest";
import { regroup } from "../../src/rules/layout.ts";

const over = (dims: number[]) => ({
  dims,
  data: Float64Array.from({ length: dims.reduce((n, d) => n * d, 1) }, (_, i) => i + 1),
});

describe("a map through a Reshape", () => {
  it.each([
    ["split", [1, 6], [4, 6], [4, 2, 3], [1, 2, 3]],
    ["split beside a split", [1, 6], [4, 6], [2, 2, 2, 3], [1, 1, 2, 3]],
    ["split before a split", [4, 1], [4, 6], [2, 2, 2, 3], [2, 2, 1, 1]],
    ["joined beside a split", [1, 2, 3], [4, 2, 3], [2, 2, 6], [1, 1, 6]],
    ["split beside a join", [6, 1, 1], [6, 2, 2], [2, 3, 4], [2, 3, 1]],
  ] as const)("%s", (_name, map, from, to, expected) => {
    expect(regroup(over([...map]), [...from], [...to])).toEqual(over([...expected]));
  });
});
