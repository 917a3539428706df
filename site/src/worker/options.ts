/** Options as a person writes them → what the library takes. The command line reads them with the same functions. */
import { BnfoldError } from "../../../src/diag/error.ts";
import { anyOf, growthIn, shapeIn, sizeIn } from "../../../src/engine/written.ts";
import type { PlanOptions } from "../../../src/fold/options.ts";
import type { Model } from "../../../src/onnx/records.ts";
import type { RunOptions } from "../../../src/verify/index.ts";
import type { FoldOptions } from "../protocol.ts";

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

function whole(text: string, name: string, low: number, high: number): number | undefined {
  if (text.trim() === "") return undefined;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= low && value <= high) return value;
  throw new BnfoldError("usage", `${name} is a whole number from ${low} to ${high}, got "${text}"`);
}

function bits(text: string): number | undefined {
  if (text.trim() === "") return undefined;
  const value = Number(text);
  if (value >= 0) return value;
  throw new BnfoldError("usage", `--max-bits-lost is a number of bits, 0 or more, got "${text}"`);
}

/** Patterns are separated by white space. @throws BnfoldError of kind "usage" when something cannot be meant. */
export async function planOptionsOf(options: FoldOptions): Promise<PlanOptions> {
  const equalize = options.equalize ? (await import("../../../src/fold/equalize/index.ts")).equalization() : undefined;
  return {
    ...(equalize === undefined ? {} : { equalize }),
    bnToConv: options.bnToConv,
    constantChannel: options.constantChannel,
    only: anyOf(words(options.only)),
    skip: anyOf(words(options.skip)),
    partial: options.partial,
    norms: options.norms,
    reluToMax: options.reluToMax,
    merge: !options.noMerge,
    assumeConstant: options.assumeConstant,
    maxBitsLost: bits(options.maxBitsLost),
    maxGrowth: options.maxGrowth.trim() === "" ? undefined : growthIn(options.maxGrowth.trim()),
  };
}

/** Bytes the check may take; undefined where nothing is said. */
export const memoryLimit = ({ maxMemory }: FoldOptions): number | undefined =>
  maxMemory.trim() === "" ? undefined : sizeIn(maxMemory.trim(), "--max-memory");

export function runOptionsOf(options: FoldOptions, model: Model): Pick<RunOptions, "samples" | "seed" | "shapes" | "fullRun"> {
  const names = model.graph.inputs.map((input) => input.name);
  return {
    samples: whole(options.samples, "--samples", 1, 10_000),
    seed: whole(options.seed, "--seed", 0, 2 ** 32 - 1),
    shapes: new Map(words(options.shape).map((written) => shapeIn(written, names))),
    fullRun: options.fullRun,
  };
}
