/** Options of the planner that several commands share. */
import type { Options } from "yargs";
import { anyOf, growthIn } from "../engine/written.ts";
import type { MaxGrowth } from "../fold/growth.ts";
import type { PlanOptions } from "../fold/plan.ts";
import { flag, text, texts, usage, type Values } from "./command.ts";

export const planOptions: Readonly<Record<string, Options>> = {
  only: { array: true, type: "string", requiresArg: true, describe: "Fold only nodes whose name matches (* and ? as wildcards)" },
  skip: { array: true, type: "string", requiresArg: true, describe: "Leave nodes whose name matches" },
  partial: { type: "boolean", describe: "Also fold where a node has to stay for the shift" },
  "relu-to-max": {
    type: "boolean",
    describe: "Let a BatchNormalization that nothing else takes pass a Relu, which becomes a Max with one threshold per channel",
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

function growthOf(values: Values): MaxGrowth | undefined {
  const given = text(values, "max-growth");
  return given === undefined ? undefined : growthIn(given);
}

export function planOptionsOf(values: Values): PlanOptions {
  return {
    only: anyOf(texts(values, "only")),
    skip: anyOf(texts(values, "skip")),
    partial: flag(values, "partial"),
    norms: flag(values, "norms"),
    reluToMax: flag(values, "relu-to-max"),
    merge: !flag(values, "no-merge"),
    assumeConstant: flag(values, "assume-constant"),
    maxBitsLost: bitsOf(values),
    maxGrowth: growthOf(values),
  };
}
