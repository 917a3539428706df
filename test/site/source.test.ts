/** A Blob as a source, as in a worker: the bytes that were asked for, and not many more of them through the browser. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { blobSource } from "../../site/src/worker/source.ts";

/** Larger than what is read in one go; byte i is a number made of i. */
const SIZE = 300_000_007;
const byteAt = (i: number): number => (i * 31 + (i >>> 8) * 17 + (i >>> 16)) & 255;
const bytesFrom = (start: number, end: number): Uint8Array =>
  Uint8Array.from({ length: end - start }, (_, i) => byteAt(start + i));

interface Slice {
  readonly from: number;
  readonly to: number;
}
const large = { size: SIZE, slice: (from: number, to: number): Slice => ({ from, to }) } as unknown as Blob;
let loaded: Slice[] = [];

/** Workers have it, Node has not. */
class Reader {
  readAsArrayBuffer(blob: Blob): ArrayBuffer {
    const { from, to } = blob as unknown as Slice;
    loaded.push({ from, to });
    return bytesFrom(from, to).buffer as ArrayBuffer;
  }
}
const browser = globalThis as { FileReaderSync?: typeof Reader };

describe("a large Blob as a source", () => {
  beforeEach(() => {
    loaded = [];
    browser.FileReaderSync = Reader;
  });
  afterEach(() => {
    delete browser.FileReaderSync;
  });
  const through = () => loaded.reduce((n, { from, to }) => n + to - from, 0);

  it("gives the bytes that were asked for, wherever the read before was", () => {
    const place = fc.oneof(fc.integer({ min: 0, max: SIZE }), fc.integer({ min: SIZE - 600_000, max: SIZE }), fc.constant(-1));
    const length = fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.constantFrom(1 << 18, (1 << 18) + 1, 1 << 20, (1 << 20) + 1));
    fc.assert(
      fc.property(fc.array(fc.tuple(place, length, fc.boolean()), { maxLength: 6 }), (reads) => {
        const source = blobSource(large, "large.onnx");
        let reached = 0;
        for (const [wanted, most, into] of reads) {
          // −1: where the last one ended.
          const start = wanted < 0 ? reached : wanted;
          const end = Math.min(SIZE, start + most);
          const target = new Uint8Array(end - start);
          if (into) source.readInto?.(target, start);
          const got = into ? target : source.read(start, end);
          expect(Buffer.compare(got, bytesFrom(start, end))).toBe(0);
          reached = end;
        }
      }),
      { numRuns: 40 },
    );
  });

  it.each([
    ["as wide as a block, from no multiple of it", 1 << 18, 37_224_449],
    ["small", 4096, 12_345_677],
    ["wider than a block", 300_000, 1_000_001],
  ])("reads a range from front to back once, in parts that are %s", (_, part, start) => {
    const source = blobSource(large, "large.onnx");
    const end = start + 8_000_000;
    for (let at = start; at < end; at += part) source.read(at, Math.min(end, at + part));
    expect(through()).toBeLessThan(1.2 * (end - start));
    expect(loaded.length).toBeLessThan(12);
  });

  it("reads little for a little here and there", () => {
    const source = blobSource(large, "large.onnx");
    for (let k = 1; k <= 20; k++) source.read(k * 10_000_000, k * 10_000_000 + 100);
    expect(through()).toBeLessThanOrEqual(20 * (1 << 18));
  });

  it("refuses what lies outside", () => {
    const source = blobSource(large, "large.onnx");
    for (const [start, end] of [
      [-1, 5],
      [5, 4],
      [SIZE, SIZE + 1],
    ])
      expect(() => source.read(start, end)).toThrow(/outside the file/);
  });
});
