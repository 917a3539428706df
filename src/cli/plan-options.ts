/** Options of the planner that several commands share. */
import type { Options } from "yargs";
import { anyOf, growthIn, nameMatcher } from "../engine/written.ts";
import type { MaxGrowth } from "../fold/growth.ts";
import type { PlanOptions } from "../fold/options.ts";
import type { NodeRef } from "../fold/types.ts";
import { viewOf } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import { flag, text, texts, usage, type Values } from "./command.ts";
import { nearest } from "./suggest.ts";
import { note } from "./terminal.ts";

export const planOptions: Readonly<Record<string, Options>> = {
  only: { array: true, type: "string", requiresArg: true, describe: "Fold only nodes whose name matches (* and ? as wildcards)" },
  skip: { array: true, type: "string", requiresArg: true, describe: "Leave nodes whose name matches" },
  partial: { type: "boolean", describe: "Also fold where a node has to stay for the shift" },
  "relu-to-max": {
    type: "boolean",
    describe: "Let a BatchNormalization that nothing else takes pass a Relu, which becomes a Max with one threshold per channel",
  },
  "bn-to-conv": {
    type: "boolean",
    describe:
      "Write a BatchNormalization that nothing takes as a depthwise 1x1 Conv, for targets that know no BatchNormalization",
  },
  "constant-channel": {
    type: "boolean",
    describe:
      "Let a shift pass zero padding as one more channel, of constant 1, which the layer before makes: 1/C more work in the next Conv",
  },
  norms: {
    type: "boolean",
    describe:
      "Also move gain and shift of other normalizations (Layer, RMS, Group, Instance) into what follows, and write out computed weights",
  },
  "no-merge": { type: "boolean", describe: "Leave parallel linear branches as they are" },
  "max-bits-lost": {
    type: "number",
    requiresArg: true,
    describe: "Bits of the file's own precision that one fold may cost (4)",
  },
  "allow-rounding": {
    type: "string",
    requiresArg: true,
    choices: ["half"],
    describe: "Let maps that run in float32 between Casts go into constants of float16 or bfloat16 (half)",
  },
  "max-growth": {
    type: "string",
    requiresArg: true,
    describe: "Bytes, or a part of the file as 10%, by which folding other nodes than normalizations may make it larger (0)",
  },
  "assume-constant": { type: "boolean", describe: "Take initializers that are also graph inputs as constants" },
};

function bitsOf(values: Values): number | undefined {
  const given = text(values, "max-bits-lost");
  if (given === undefined) return undefined;
  const bits = Number(given);
  if (!(bits >= 0)) throw usage(`--max-bits-lost is a number of bits, 0 or more, got "${given}"`);
  return bits;
}

function roundingOf(values: Values): PlanOptions["allowRounding"] {
  const given = text(values, "allow-rounding");
  if (given === undefined || given === "half") return given;
  throw usage(`--allow-rounding takes "half", got "${given}"`);
}

function growthOf(values: Values): MaxGrowth | undefined {
  const given = text(values, "max-growth");
  return given === undefined ? undefined : growthIn(given);
}

/**
 * A pattern of --only or --skip that means no node is a mistake. Of a model with local functions nobody can say: its nodes get
 * names of their own where calls are written out.
 * @throws BnfoldError of kind "usage" naming what was probably meant.
 */
export function requireMatches(model: Model, values: Values): void {
  const patterns = (["only", "skip"] as const).flatMap((option) => texts(values, option).map((pattern) => ({ option, pattern })));
  if (patterns.length === 0 || model.functions.length > 0) return;
  const nodes = viewOf(model).scopes.flatMap((scope) => scope.nodes);
  const names = nodes.map(({ record }) => record.name || record.outputs.find((output) => output !== "") || "");
  for (const { option, pattern } of patterns) {
    if (names.some(nameMatcher(pattern))) continue;
    const near = nearest(pattern, names) ?? names.find((name) => name.includes(pattern.replace(/[*?]/g, "")));
    throw usage(
      `--${option}: no node of the model matches "${pattern}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
      "The pattern is for whole names; * stands for any characters.",
    );
  }
}

/** Of many models a pattern need not mean a node of each; that --only means none of any is a mistake all the same, and noted. */
export function patternsMeanSomething(values: Values, nodes: readonly NodeRef[]): boolean {
  const patterns = texts(values, "only");
  const means = anyOf(patterns);
  if (means === undefined || nodes.length === 0 || nodes.some(({ name, output }) => means(name || output))) return true;
  const written = patterns.map((pattern) => `"${pattern}"`).join(", ");
  note(`--only: no node of any of the models matches ${written}; the pattern is for whole names`);
  return false;
}

export function planOptionsOf(values: Values): PlanOptions {
  return {
    only: anyOf(texts(values, "only")),
    skip: anyOf(texts(values, "skip")),
    partial: flag(values, "partial"),
    norms: flag(values, "norms"),
    reluToMax: flag(values, "relu-to-max"),
    bnToConv: flag(values, "bn-to-conv"),
    constantChannel: flag(values, "constant-channel"),
    merge: !flag(values, "no-merge"),
    assumeConstant: flag(values, "assume-constant"),
    maxBitsLost: bitsOf(values),
    allowRounding: roundingOf(values),
    maxGrowth: growthOf(values),
  };
}
