/** Which side files a model refers to, and how much of each. */
import { BnfoldError } from "../diag/error.ts";
import { dtypeOfTensor, elementCount, rawLength } from "./layout.ts";
import type { ExternalData, Model, TensorRecord } from "./records.ts";

export interface SideFileUse {
  /** As the model spells it first. */
  readonly location: string;
  /** Bytes that at least one tensor refers to. */
  readonly usedBytes: number;
}

type Range = readonly [start: number, end: number];

/** The bytes a tensor refers to; none where neither the file says how many nor its type and dims do. */
function rangeOf(tensor: TensorRecord): Range {
  const { offset, length } = tensor.external as ExternalData;
  if (length !== undefined) return [offset, offset + length];
  try {
    return [offset, offset + rawLength(dtypeOfTensor(tensor), elementCount(tensor))];
  } catch (error) {
    if (error instanceof BnfoldError) return [offset, offset];
    throw error;
  }
}

/** Bytes that lie in at least one of the ranges. */
function covered(ranges: readonly Range[]): number {
  let [sum, reached] = [0, 0];
  for (const [start, end] of [...ranges].sort(([a], [b]) => a - b)) {
    sum += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return sum;
}

/** Every side file once, however its location is spelt, in the order the model names them. */
export function sideFileUse(model: Model): SideFileUse[] {
  const files = new Map<string, { location: string; ranges: Range[] }>();
  for (const tensor of model.externalTensors) {
    const { location } = tensor.external as ExternalData;
    const key = location
      .split("/")
      .filter((part) => part !== "" && part !== ".")
      .join("/");
    const file = files.get(key) ?? { location, ranges: [] };
    files.set(key, file);
    file.ranges.push(rangeOf(tensor));
  }
  return [...files.values()].map(({ location, ranges }) => ({ location, usedBytes: covered(ranges) }));
}
