/** A model that is not on disk yet, read from the pieces it would be written from. */
import { read } from "../onnx/read.ts";
import type { Model } from "../onnx/records.ts";
import type { ByteSource } from "../onnx/source.ts";
import { type Piece, pieceBytes, pieceLength } from "../onnx/splice.ts";
import type { Written } from "../onnx/write.ts";

/** Pieces as one source. A made payload is kept until another one is read: payloads are read one after the other. */
export function piecesSource(pieces: readonly Piece[], name: string): ByteSource {
  const starts: number[] = [];
  let size = 0;
  for (const piece of pieces) {
    starts.push(size);
    size += pieceLength(piece);
  }
  let made: { piece: Piece; bytes: Uint8Array } | undefined;
  const part = (piece: Piece, start: number, end: number): Uint8Array => {
    if ("source" in piece) return piece.source.read(piece.start + start, piece.start + end);
    if (made?.piece !== piece) made = { piece, bytes: pieceBytes(piece) };
    return made.bytes.subarray(start, end);
  };
  /** Last piece that begins at or before `position`. */
  const find = (position: number): number => {
    let [low, high] = [0, pieces.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  return {
    name,
    size,
    read(start, end) {
      if (start < 0 || end > size || start > end) throw new RangeError(`bytes ${start} to ${end} of ${size}`);
      const out = new Uint8Array(end - start);
      for (let at = start, i = find(start); at < end; i++) {
        const stop = Math.min(end, starts[i] + pieceLength(pieces[i]));
        if (stop > at) out.set(part(pieces[i], at - starts[i], stop - starts[i]), at - start);
        at = Math.max(at, stop);
      }
      return out;
    },
  };
}

/** Makes every payload once, so that what would fail while writing fails now. */
export function rehearse(written: Written): void {
  for (const piece of [...written.main, ...written.sideFiles.flatMap(({ pieces }) => pieces)])
    if ("make" in piece) pieceBytes(piece);
}

/** The written model, read back without writing it. */
export function preview(original: Model, written: Written, name: string): Model {
  const fresh = new Map(written.sideFiles.map(({ location, pieces }) => [location, piecesSource(pieces, location)]));
  return read(piecesSource(written.main, name), {
    external: (location) => fresh.get(location) ?? original.files.external(location),
  });
}
