import { describe, expect, it } from "vitest";
import { columns, labelled, shorten, wrap } from "../../src/report/layout.ts";

describe("shorten", () => {
  it.each([
    ["abcdefghij", 10, "abcdefghij"],
    ["abcdefghij", 9, "abc...hij"],
    ["abcdefghij", 8, "ab...hij"],
    ["abcdefghij", 3, "abc"],
  ])("%s to %i", (text, most, short) => expect(shorten(text, most)).toBe(short));
});

describe("wrap", () => {
  it("breaks between words, and never inside one", () => {
    expect(wrap("one two three fourfivesixseven eight", 10, "  ")).toEqual([
      "one two",
      "  three",
      "  fourfivesixseven",
      "  eight",
    ]);
    expect(wrap("one two", Number.POSITIVE_INFINITY)).toEqual(["one two"]);
    expect(wrap("", 10)).toEqual([""]);
  });
});

describe("columns", () => {
  it("aligns words to the left and numbers to the right, without blanks at the end", () => {
    expect(
      columns(
        ["name", "n"],
        [
          ["a", "10"],
          ["long name", "2"],
        ],
        ["l", "r"],
      ),
    ).toEqual(["name        n", "a          10", "long name   2"]);
    expect(columns(["a", "b"], [["x", ""]], ["l", "l"])).toEqual(["a  b", "x"]);
  });

  it("shortens the widest column of words to the width there is, numbers never", () => {
    const lines = columns(["name", "n"], [["a/very/long/name/of/a/node", "1234"]], ["l", "r"], 20);
    expect(lines).toEqual(["name               n", "a/ver...a/node  1234"]);
    expect(lines.every((line) => line.length <= 20)).toBe(true);
  });

  it("keeps control characters of names from the screen", () => {
    expect(columns(["n"], [["\u001b[2J"]], ["l"])[1]).toBe("\\u001b[2J");
  });
});

it("labelled hangs what is said beside its label", () => {
  expect(labelled("ran", "one two three four five six seven", 36)).toEqual([
    "  ran      one two three four five",
    "           six seven",
  ]);
});
