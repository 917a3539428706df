/**
 * A Blob as a ByteSource, read synchronously, which only workers can. Each call costs 0.1 to 0.3 ms whatever it reads, and each byte
 * goes through the browser: small files are read once, of larger ones the block around the last place is kept, or what comes behind it
 * where one part is read after the other.
 */
import { BnfoldError } from "../../../src/diag/error.ts";
import type { ByteSource } from "../../../src/onnx/source.ts";

declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

/** Files up to this size are read in one go. */
const WHOLE = 200e6;
const BLOCK = 1 << 18;
/** What is read at once of a file that is gone through from front to back. */
const AHEAD = 1 << 20;
/** Larger parts are not held: what is made of a weight is read from it right after it was, but a tab has little memory. */
const HELD = 1 << 25;

export interface BlobSource extends ByteSource {
  readonly blob: Blob;
}

export function blobSource(blob: Blob, name: string): BlobSource {
  const reader = new FileReaderSync();
  const size = blob.size;
  const load = (start: number, end: number): Uint8Array => {
    try {
      return new Uint8Array(reader.readAsArrayBuffer(blob.slice(start, end)));
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotReadableError")
        throw new BnfoldError(
          "file",
          `"${name}" can no longer be read: it changed or was moved since it was dropped`,
          { file: name },
          "Drop it again.",
        );
      throw error;
    }
  };
  let held: { readonly start: number; readonly bytes: Uint8Array } = { start: 0, bytes: new Uint8Array() };
  let reached = 0;
  /** The range to hold for a read that the held block does not cover. */
  const blockFor = (start: number, end: number): [from: number, to: number] => {
    if (size <= WHOLE) return [0, size];
    const length = end - start;
    // Whole parts of the length that was asked for: half a one would be read twice.
    if (start === reached) return [start, Math.min(size, start + length * Math.max(1, Math.floor(AHEAD / Math.max(1, length))))];
    const from = length < BLOCK ? start - (start % BLOCK) : start;
    return [from, Math.min(size, Math.max(end, from + BLOCK))];
  };
  /** Bytes [start, end) as a view of the held block, which is moved where it does not cover them. */
  const within = (start: number, end: number): Uint8Array => {
    if (start < held.start || end > held.start + held.bytes.length) {
      const [from, to] = blockFor(start, end);
      held = { start: from, bytes: load(from, to) };
    }
    reached = end;
    return held.bytes.subarray(start - held.start, end - held.start);
  };
  return {
    blob,
    name,
    size,
    read(start, end) {
      if (start < 0 || start > end || end > size)
        throw new BnfoldError("format", `read of bytes ${start} to ${end} outside the file (${size} bytes)`, {
          file: name,
          byte: start,
        });
      return size > WHOLE && end - start > HELD ? load(start, end) : within(start, end);
    },
    readInto(target, position) {
      const end = position + target.length;
      if (size > WHOLE && target.length > HELD) target.set(load(position, end));
      else target.set(within(position, end));
    },
  };
}
