/** What is wrong with the words of a command line is said with the names that were written. */
import { describe, expect, it } from "vitest";
import type { Command } from "../../src/cli/command.ts";
import { checkWords } from "../../src/cli/words.ts";

const command: Command = {
  positionals: {
    model: { type: "string", demandOption: true },
    action: { type: "string", choices: ["show", "merge"] },
  },
  options: {
    output: { alias: "o", type: "string", requiresArg: true },
    seed: { requiresArg: true },
    engine: { choices: ["bnfold", "onnxruntime"], requiresArg: true },
    quiet: { alias: "q", type: "boolean" },
    verbose: { alias: "v", type: "boolean" },
  },
  examples: [],
  run: async () => 0,
};
const open: Command = { ...command, positionals: { files: { type: "string", array: true, demandOption: true } } };
const must: Command = { ...command, options: { ...command.options, data: { requiresArg: true, demandOption: true } } };

const complaint = (words: readonly string[], of = command): string | undefined => {
  try {
    checkWords("test", of, words);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
};

describe("words of a command line", () => {
  it.each([
    [["m"]],
    [["m", "show", "-o", "x", "-qv", "--seed=1"]],
    [["m", "-ofile"]],
    [["m", "-o=file"]],
    [["m", "-o", "-"]],
    [["m", "--seed", "-3"]],
    [["m", "-qo", "file"]],
    [["-h"]].map((words) => [...words, "m"]),
    [["--version", "m"]],
  ])("%j are right", (words) => expect(complaint(words)).toBeUndefined());

  it.each([
    [[], "missing <model>"],
    [["m", "show", "x", "y"], 'unexpected argument "x", "y"'],
    [["m", "--sede", "1"], "unknown option --sede, did you mean --seed?"],
    [["m", "-x"], "unknown option -x"],
    [["m", "-qx"], "unknown option -qx"],
    [["m", "-o"], "-o needs a value"],
    [["m", "--output", "--quiet"], "--output needs a value"],
    [["m", "--engine", "onxruntime"], '--engine cannot be "onxruntime", did you mean "onnxruntime"?'],
    [["m", "--engine=x"], '--engine cannot be "x"'],
    [["m", "shw"], '<action> cannot be "shw", did you mean "show"?'],
    // An unknown option is the likeliest cause of all else.
    [["--sede"], "unknown option --sede, did you mean --seed?"],
  ])("%j: %s", (words, message) => expect(complaint(words)).toBe(message));

  it("any number of files, and options that must be there", () => {
    expect(complaint(["a", "b", "c"], open)).toBeUndefined();
    expect(complaint([], open)).toBe("missing <files>");
    expect(complaint(["m"], must)).toBe("missing --data");
  });
});
