import { describe, expect, it } from "vitest";
import { SideFiles, stepsLike } from "../../src/onnx/external.ts";
import type { TensorRecord } from "../../src/onnx/records.ts";

const KB = 1024;
const at = (offset: number, length?: number) => ({ external: { location: "s", offset, length } }) as unknown as TensorRecord;

describe("where payloads of a fresh side file begin", () => {
  const steps = (tensors: readonly TensorRecord[]) => {
    const stepOf = stepsLike(tensors);
    return [stepOf(8), stepOf(4 * KB), stepOf(KB * KB)];
  };

  it("is at a line, a page or the step of Windows, by their size", () => {
    expect(steps([])).toEqual([64, 4 * KB, 64 * KB]);
    expect(stepsLike([])(4 * KB - 1)).toBe(64);
    expect(stepsLike([])(KB * KB - 1)).toBe(4 * KB);
  });

  it("is closer where the model's own are, for each size by itself", () => {
    expect(steps([at(0, 9216), at(9216, 9216)])).toEqual([64, KB, 64 * KB]);
    expect(steps([at(0, 8), at(24, 8), at(64 * KB, KB * KB)])).toEqual([16, 4 * KB, 64 * KB]);
    expect(steps([at(4 * KB, KB * KB)])).toEqual([64, 4 * KB, 4 * KB]);
  });

  it("is never closer than the largest element", () => {
    expect(steps([at(3, 9), at(4099, 5000), at(1, KB * KB)])).toEqual([16, 16, 16]);
  });

  it("does not follow payloads whose length is not said", () => {
    expect(steps([at(4)])).toEqual([64, 4 * KB, 64 * KB]);
  });

  it("leaves gaps of zeros, and no larger file than the payloads need", () => {
    const side = new SideFiles(() => "new", stepsLike([at(9216, 9216)]));
    const offsets = [9216, 100, 9216].map((length) => side.add({ bytes: new Uint8Array(length).fill(1) }).offset);
    expect(offsets).toEqual([0, 9216, 10 * KB]);
    expect(side.files[0].size).toBe(10 * KB + 9216);
  });
});
