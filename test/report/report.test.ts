import { describe, expect, it } from "vitest";
import { REASONS } from "../../src/diag/codes.ts";
import { type Report, report, toJson } from "../../src/report/report.ts";
import { foldLine, keptLine, operatorLines, renderText, sizeLine, unusedLines } from "../../src/report/text.ts";
import { byteSize, listed, nodeLabel, printable } from "../../src/report/words.ts";
import { bad, input, output, parts, plan } from "./sample.ts";
import { definitions, expectValid, validators } from "./schema.ts";

const asJson = (value: object) => JSON.parse(toJson(value));

describe("report", () => {
  const whole = report(parts);

  it("counts so that before = folded + kept", () => {
    expect(whole.batchNormalization).toEqual({ before: 2, folded: 1, kept: 1 });
    expect(whole.affine).toEqual({ before: 1, folded: 1, kept: 0 });
  });

  it("is pure and plain: the same parts give the same JSON", () => {
    expect(toJson(report(parts))).toBe(toJson(whole));
    expect(asJson(whole)).toEqual(JSON.parse(JSON.stringify(whole)));
  });

  it("fits its schema, with and without output, good and bad", () => {
    expectValid("fold", asJson(whole));
    expectValid("fold", asJson(report({ ...parts, output: undefined })));
    expectValid("fold", asJson(report({ ...parts, verdict: bad })));
  });

  it("writes what JSON has no number for as text", () => {
    const json = asJson(report({ ...parts, verdict: bad }));
    expect(json.verdict.run.samples[0].outputs[0]).toMatchObject({ ratio: "Infinity", rms: "NaN" });
    expect(json.verdict.proof.regions[0].worstHalfUlps).toBe("Infinity");
  });
});

describe("the schema", () => {
  it("knows every reason code and no other", () => {
    expect([...(definitions.refusalCode.enum ?? [])].sort()).toEqual(Object.keys(REASONS).sort());
  });

  it.each([
    ["another version", (r: Report) => ({ ...r, version: 2 })],
    ["a field too many", (r: Report) => ({ ...r, extra: 1 })],
    ["a field too few", ({ timings: _, ...rest }: Report) => rest],
    ["a code that is not in the table", (r: Report) => ({ ...r, kept: [{ ...r.kept[0], code: "bad-luck" }] })],
    ["a count below zero", (r: Report) => ({ ...r, affine: { ...r.affine, kept: -1 } })],
    ["a hash that is none", (r: Report) => ({ ...r, input: { ...r.input, sha256: "xyz" } })],
    ["an outcome nobody knows", (r: Report) => ({ ...r, verdict: { ...r.verdict, outcome: "fine" } })],
  ])("refuses %s", (_what, spoil) => {
    expect(validators.fold(asJson(spoil(report(parts))))).toBe(false);
  });
});

describe("renderText", () => {
  const shown = renderText(report(parts));

  it("says what a person wants to know", () => {
    expect(shown).toMatch(
      /^Equivalent\. 1 of 2 BatchNormalization folded, 1 other affine node folded, 1 branch region merged: 9 -> 7 nodes\.$/m,
    );
    expect(shown).toContain('BatchNormalization "bn1" -> Conv "conv1" (gains 0.25 to 1.75; 2 channels have variance 0)');
    expect(shown).toContain('Mul "Mul_out" -> Conv "conv2" through Identity "same"');
    expect(shown).toContain('BatchNormalization "bn3" [other-reader] The value "conv3_out" is also read by Add "skip".');
    expect(shown).toContain('- 3 nodes -> Conv "a" (90 to 72 multiply-adds per position, 100 to 80 parameters)');
    expect(shown).toContain('- Conv "deep" and Conv "wise": one convolution would cost more');
    expect(shown).toContain(REASONS["other-reader"].advice);
    expect(shown).toMatch(/^ {2}checked +proven on the constants\.$/m);
    expect(shown).toMatch(/^ {2}proved +all 1 place computes the same\.$/m);
    expect(shown).toMatch(/^ {2}ran +equal on 1 input\.$/m);
    expect(shown).toContain("by 1e-7 (the first) and 2e-7 (the second), of an rms of");
    expect(shown).toMatch(/^ {2}wrote +folded\.onnx \+ folded\.data \(keep them together\)$/m);
    expect(shown).toContain("run 1.40 s");
  });

  it("fits a width: nothing is longer, and no word is lost", () => {
    for (const width of [40, 80]) {
      const fitted = renderText(report(parts), { width });
      const words = (text: string) => text.replace(/\S*\.\.\.\S*/g, "").split(/\s+/);
      // A word that is longer than its room stands alone.
      const long = (line: string) => line.length > width && !line.split(" ").some((word) => word.length > width - 13);
      expect(fitted.split("\n").filter(long)).toEqual([]);
      expect(words(shown).filter((word) => !words(fitted).includes(word))).toEqual([]);
    }
  });

  it("shows only operators that changed", () => {
    expect(operatorLines(plan.before.operators, plan.after.operators)).toEqual([
      "operator            before  after",
      "BatchNormalization       2      1",
      "Mul                      1      0",
    ]);
  });

  it("lists every place a bad verdict rests on", () => {
    const text = renderText(report({ ...parts, verdict: bad, output: undefined }));
    expect(text).toMatch(/^Different\. /m);
    expect(text).toMatch(/checked +one coefficient is off\./);
    expect(text).toContain("more than any multiple of what rounding explains");
    expect(text).toContain("conv1.weight[0, 1, 2, 0]: expected 0.5, got 0.75");
    expect(text).toMatch(/wrote +nothing/);
  });

  it("is plain by default and coloured on request, with the same words", () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ANSI sequences begin with one
    const sequences = /\u001b\[\d+m/g;
    expect(shown).not.toMatch(sequences);
    const coloured = renderText(report(parts), { color: true });
    expect(coloured).toMatch(sequences);
    expect(coloured.replace(sequences, "")).toBe(shown);
  });

  it("does not let names from a file steer the terminal", () => {
    const evil = "\u001b[2J\u202ebn\n";
    const node = { ...plan.folds[0].node, name: evil };
    const text = foldLine({ ...plan.folds[0], node });
    expect(text).toContain("\\u001b[2J\\u202ebn\\u000a");
    expect(keptLine({ ...plan.kept[0], message: evil })).not.toContain("\u001b");
    expect(operatorLines({ [evil]: 1 }, {}).join("\n")).not.toContain("\u001b");
  });
});

describe("words", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [999_499, "999 kB"],
    [999_999, "1.00 MB"],
    [553_000_000, "553 MB"],
    [2_200_000_000, "2.20 GB"],
  ])("%i bytes are %s", (bytes, text) => expect(byteSize(bytes)).toBe(text));

  it("lists, labels and escapes", () => {
    expect(listed([])).toBe("");
    expect(listed(["a"])).toBe("a");
    expect(listed(["a", "b", "c"])).toBe("a, b and c");
    expect(nodeLabel({ ...plan.folds[0].node, scope: "If_3/then_branch" })).toBe('BatchNormalization "bn1" in If_3/then_branch');
    expect(printable("ärger\t")).toBe("ärger\\u0009");
  });

  it("count side files, before and after", () => {
    expect(sizeLine(input, { ...output, sideFiles: [], totalBytes: input.totalBytes })).toContain("(the same size, side files");
    expect(sizeLine(input, output)).toBe("4.23 MB before, 1.20 MB after (3.03 MB smaller, side files included)");
    // A report of a build that did not count them.
    const { sideFiles: _, totalBytes: __, ...old } = input;
    const bare = { ...output, sideFiles: [], totalBytes: undefined } as unknown as typeof output;
    expect(sizeLine(old as typeof input, bare)).toBe("1.23 MB before, 1.20 MB after (34.6 kB smaller)");
    const [line] = unusedLines(input, { ...output, sideFiles: [{ ...input.sideFiles[0], usedBytes: 750_000 }] });
    expect(line).toBe("model.data: 750 kB of its 3.00 MB are still used; --external copy writes just those");
    expect(unusedLines(input, output)).toEqual([]);
  });
});
