import { BnfoldError } from "../diag/error.ts";

/** Random access to the bytes of one file. Synchronous, so that payloads can be read the moment they are needed. */
export interface ByteSource {
  /** Name for messages. */
  readonly name: string;
  /** Size in bytes; may exceed 2^32. */
  readonly size: number;
  /** Bytes `[start, end)`. May be a view of shared memory: readers never write to it. */
  read(start: number, end: number): Uint8Array;
  /** Fills `target` with the bytes from `position` on, without a new buffer. */
  readInto?(target: Uint8Array, position: number): void;
  /** Where the bytes from `start` on, up to `end`, begin to cost more than reading: those behind are computed. Absent: nowhere. */
  ready?(start: number, end: number): number;
  /**
   * Where bytes `[start, end)` are known to be the same as those of another source from `start` on, by the way this one was made.
   * Who compares the two need not read them. Absent, or undefined: nothing is known.
   */
  origin?(start: number, end: number): { readonly source: ByteSource; readonly start: number } | undefined;
}

/** True when two ranges of a length are known to hold the same bytes: no byte is read. */
export function isSameRange(a: ByteSource, aStart: number, b: ByteSource, bStart: number, length: number): boolean {
  const seen = new Map<ByteSource, number>();
  let [source, start]: [ByteSource, number] = [a, aStart];
  for (;;) {
    seen.set(source, start);
    const from = source.origin?.(start, start + length);
    if (from === undefined || seen.has(from.source)) break;
    [source, start] = [from.source, from.start];
  }
  for ([source, start] = [b, bStart]; ; ) {
    if (seen.get(source) === start) return true;
    const from = source.origin?.(start, start + length);
    if (from === undefined || from.source === source) return false;
    [source, start] = [from.source, from.start];
  }
}

/** Fills `target` from a source of either kind. */
export function fillBytes(source: ByteSource, target: Uint8Array, position: number): void {
  if (source.readInto !== undefined) source.readInto(target, position);
  else target.set(source.read(position, position + target.length));
}

/** Bytes of any realm (another window's `Uint8Array` is no instance of ours) as ours, without a copy. */
function ownBytes(given: unknown, name: string): Uint8Array {
  if (given instanceof Uint8Array) return given;
  const kind = Object.prototype.toString.call(given).slice(8, -1);
  if (kind === "ArrayBuffer" || kind === "SharedArrayBuffer") return new Uint8Array(given as ArrayBuffer);
  if (kind === "Uint8Array" || kind === "Uint8ClampedArray") {
    const { buffer, byteOffset, byteLength } = given as Uint8Array;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  throw new BnfoldError(
    "usage",
    `the bytes of "${name}" are given as ${kind}, expected a Uint8Array or an ArrayBuffer`,
    { file: name },
    "Of a Blob or a Response: new Uint8Array(await it.arrayBuffer()).",
  );
}

/**
 * A source over bytes already in memory.
 * @throws BnfoldError of kind "usage" when they are neither a Uint8Array nor an ArrayBuffer.
 */
export function memorySource(given: Uint8Array | ArrayBuffer, name = "memory"): ByteSource {
  const bytes = ownBytes(given, name);
  return {
    name,
    size: bytes.byteLength,
    read(start, end) {
      if (start < 0 || end > bytes.byteLength || start > end) {
        throw new BnfoldError("format", `read of bytes ${start} to ${end} outside the file (${bytes.byteLength} bytes)`, {
          file: name,
          byte: start,
        });
      }
      return bytes.subarray(start, end);
    },
  };
}

/** Where external tensor data comes from: a location as written in the model, resolved to bytes, or an error thrown. */
export type ExternalResolver = (location: string) => ByteSource;
