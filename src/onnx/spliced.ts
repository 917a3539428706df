/**
 * Pieces as a file that can be read: a model that is made in two steps is read between them without being written. Bytes that
 * come from the source are read there.
 */
import { BnfoldError } from "../diag/error.ts";
import { concat } from "./put.ts";
import { type ByteSource, fillBytes } from "./source.ts";
import { type Piece, pieceBytes, pieceLength } from "./splice.ts";

/** Position of the last entry of `starts` (ascending, from 0) that is not above `at`. */
function holding(starts: readonly number[], at: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= at) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Pieces up to this size are read at once and kept. */
const SMALL = 1 << 12;

/** The same bytes in fewer pieces: runs of small ones become one. */
export function compacted(pieces: readonly Piece[]): Piece[] {
  const out: Piece[] = [];
  let run: Uint8Array[] = [];
  const close = () => {
    if (run.length > 0) out.push({ bytes: concat(run) });
    run = [];
  };
  for (const piece of pieces) {
    if (!("make" in piece) && pieceLength(piece) <= SMALL) run.push(pieceBytes(piece));
    else {
      close();
      out.push(piece);
    }
  }
  close();
  return out;
}

/** The pieces that hold bytes, where each begins, and how many bytes there are in all. */
function laidOut(all: readonly Piece[]): { pieces: Piece[]; starts: number[]; size: number } {
  const pieces = all.filter((piece) => pieceLength(piece) > 0);
  const starts: number[] = [];
  let size = 0;
  for (const piece of pieces) {
    starts.push(size);
    size += pieceLength(piece);
  }
  return { pieces, starts, size };
}

/** What bytes of the file that pieces make are copies of: those that lie in one piece taken from a source. */
export function originsOf(all: readonly Piece[]): NonNullable<ByteSource["origin"]> {
  const { pieces, starts } = laidOut(all);
  return (start, end) => {
    const k = holding(starts, start);
    const piece = pieces[k];
    if (piece === undefined || !("source" in piece) || start < starts[k] || end > starts[k] + pieceLength(piece))
      return undefined;
    return { source: piece.source, start: piece.start + start - starts[k] };
  };
}

/** A source that holds what these pieces made, and knows where it has it from. */
export const madeOf = <T extends ByteSource>(source: T, pieces: readonly Piece[]): T =>
  Object.assign(source, { origin: originsOf(pieces) });

/** A source over pieces, in their order. */
export function splicedSource(all: readonly Piece[], name: string): ByteSource {
  const { pieces, starts, size } = laidOut(all);
  // Payloads that are made are read a part after the other: the one made last is kept.
  let made: { readonly piece: Piece; readonly bytes: Uint8Array } | undefined;
  const bytesOf = (piece: Piece): Uint8Array => {
    if (!("make" in piece)) return pieceBytes(piece);
    if (made?.piece !== piece) made = { piece, bytes: pieceBytes(piece) };
    return made.bytes;
  };
  const readInto = (target: Uint8Array, position: number): void => {
    const end = position + target.length;
    if (position < 0 || end > size)
      throw new BnfoldError("format", `read of bytes ${position} to ${end} outside the file (${size} bytes)`, { file: name });
    for (let at = position, k = holding(starts, position); at < end; k++) {
      const piece = pieces[k];
      const from = at - starts[k];
      const length = Math.min(end - at, pieceLength(piece) - from);
      const part = target.subarray(at - position, at - position + length);
      if ("source" in piece) fillBytes(piece.source, part, piece.start + from);
      else part.set(bytesOf(piece).subarray(from, from + length));
      at += length;
    }
  };
  const ready = (start: number, end: number): number => {
    let at = start;
    for (let k = holding(starts, start); at < end && k < pieces.length; k++) {
      const piece = pieces[k];
      if ("make" in piece) break;
      const stop = Math.min(end, starts[k] + pieceLength(piece));
      const from = "source" in piece ? piece.start - starts[k] : 0;
      const until = "source" in piece ? (piece.source.ready?.(from + at, from + stop) ?? from + stop) - from : stop;
      if (until < stop) return until;
      at = stop;
    }
    return at;
  };
  return {
    name,
    size,
    readInto,
    ready,
    origin: originsOf(pieces),
    read(start, end) {
      if (start > end) throw new BnfoldError("format", `read of bytes ${start} to ${end}`, { file: name });
      const k = holding(starts, start);
      const piece = pieces[k];
      // Most reads lie in one piece: its own source may hand out a view.
      if (piece !== undefined && start >= starts[k] && end - starts[k] <= pieceLength(piece)) {
        if (!("source" in piece)) return bytesOf(piece).subarray(start - starts[k], end - starts[k]);
        return piece.source.read(piece.start + start - starts[k], piece.start + end - starts[k]);
      }
      const out = new Uint8Array(end - start);
      readInto(out, start);
      return out;
    },
  };
}
