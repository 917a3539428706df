/**
 * Pieces → a Blob. What comes from a file becomes a slice of it, by reference; what is made is handed over to the browser every
 * 32 MB, so that the worker holds no more than that.
 */
import type { ByteSource } from "../../../src/onnx/source.ts";
import { type Piece, pieceLength, pieceParts } from "../../../src/onnx/splice.ts";
import type { BlobSource } from "./source.ts";

const HANDED = 32e6;
/** A slice this small is cheaper as bytes. */
const SMALL = 1 << 14;

const blobOf = (source: ByteSource): Blob | undefined => ("blob" in source ? (source as BlobSource).blob : undefined);

/** Where a range lies in a file that was dropped, if it does. */
function sliceOf(source: ByteSource, start: number, end: number): Blob | undefined {
  let [at, from]: [ByteSource, number] = [source, start];
  for (;;) {
    const blob = blobOf(at);
    if (blob !== undefined) return blob.slice(from, from + end - start);
    const origin = at.origin?.(from, from + end - start);
    if (origin === undefined) return undefined;
    [at, from] = [origin.source, origin.start];
  }
}

export function toBlob(pieces: readonly Piece[]): Blob {
  const done: Blob[] = [];
  let fresh: Uint8Array<ArrayBuffer>[] = [];
  let held = 0;
  const handOver = () => {
    if (fresh.length > 0) done.push(new Blob(fresh));
    [fresh, held] = [[], 0];
  };
  const take = (part: Uint8Array) => {
    // A part is only good until the next one.
    fresh.push(Uint8Array.from(part));
    held += part.length;
    if (held >= HANDED) handOver();
  };
  for (const piece of pieces) {
    const slice = "source" in piece && pieceLength(piece) > SMALL ? sliceOf(piece.source, piece.start, piece.end) : undefined;
    if (slice !== undefined) {
      handOver();
      done.push(slice);
    } else if ("source" in piece) {
      for (let at = piece.start; at < piece.end; at += HANDED) take(piece.source.read(at, Math.min(piece.end, at + HANDED)));
    } else for (const part of pieceParts(piece)) take(part);
  }
  handOver();
  return done.length === 1 ? done[0] : new Blob(done, { type: "application/octet-stream" });
}
