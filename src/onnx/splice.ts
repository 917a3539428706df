/**
 * Lossless editing of nested length-delimited messages.
 *
 *   length(frame) += Σ over edits inside it (new bytes − old bytes) + Σ over inner frames (new prefix − old prefix)
 *
 * Bytes outside the edits are copied. A length prefix is written again only when its length changed: in as few bytes as
 * possible if it was written so, else in the width it had, as long as the new length fits.
 */
import { concat, varint } from "./put.ts";
import type { ByteSource } from "./source.ts";
import type { Frame, Span } from "./wire.ts";

/** A run of output bytes: copied from a source, given, or made when it is written. */
export type Piece =
  | { readonly source: ByteSource; readonly start: number; readonly end: number }
  | { readonly bytes: Uint8Array }
  | {
      readonly length: number;
      readonly make: () => Uint8Array;
      /** The same bytes a part at a time, each good until the next one is asked for. */
      readonly parts?: () => Iterable<Uint8Array>;
    };

/** Replace the bytes `at`, inside the content of `frame`, by `pieces`. An empty span inserts, no pieces remove. */
export interface Edit {
  readonly frame: Frame;
  readonly at: Span;
  readonly pieces: readonly Piece[];
}

/** Bytes of a piece, known before it is made. */
export function pieceLength(piece: Piece): number {
  if ("bytes" in piece) return piece.bytes.length;
  return "make" in piece ? piece.length : piece.end - piece.start;
}

/** Bytes of all pieces together, known before they are made. */
export const piecesLength = (pieces: readonly Piece[]): number => pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);

/** The bytes of a piece. A lazy piece is checked: everything around it was sized by its promise. */
export function pieceBytes(piece: Piece): Uint8Array {
  if ("bytes" in piece) return piece.bytes;
  if ("source" in piece) return piece.source.read(piece.start, piece.end);
  const bytes = piece.make();
  if (bytes.length !== piece.length) throw new Error(`internal: a payload of ${piece.length} bytes came out as ${bytes.length}`);
  return bytes;
}

/** The bytes of a piece, in parts where it is made in parts. A part is good until the next one is asked for. */
export function* pieceParts(piece: Piece): Generator<Uint8Array> {
  if (!("make" in piece) || piece.parts === undefined) {
    yield pieceBytes(piece);
    return;
  }
  let done = 0;
  for (const part of piece.parts()) {
    done += part.length;
    yield part;
  }
  if (done !== piece.length) throw new Error(`internal: a payload of ${piece.length} bytes came out as ${done}`);
}

/** The bytes of all pieces, one after the other, in one array. */
export const collect = (pieces: readonly Piece[]): Uint8Array => concat(pieces.map(pieceBytes));

/** Depth and position together name a frame, whoever made the object. */
interface Open {
  readonly frame: Frame;
  readonly depth: number;
  delta: number;
}

const keyOf = (frame: Frame) => `${frame.tagAt}:${frame.start}`;

interface Change extends Span {
  readonly depth: number;
  readonly pieces: readonly Piece[];
}

/**
 * The bytes of `root` with the edits made.
 * @throws Error (internal) when edits overlap or leave their frame.
 */
export function splice(source: ByteSource, root: Frame, edits: readonly Edit[]): Piece[] {
  const open = new Map<string, Open>();
  const enter = (frame: Frame): Open => {
    const key = keyOf(frame);
    let entry = open.get(key);
    if (entry === undefined) {
      const parent = key === keyOf(root) || frame.parent === undefined ? undefined : enter(frame.parent);
      if (parent === undefined && key !== keyOf(root))
        throw new Error("internal: an edit lies outside the message that is edited");
      entry = { frame, depth: parent === undefined ? 0 : parent.depth + 1, delta: 0 };
      open.set(key, entry);
    }
    return entry;
  };
  const changes: Change[] = edits.map(({ frame, at, pieces }) => {
    if (at.start < frame.start || at.end > frame.end || at.start > at.end) {
      throw new Error(`internal: bytes ${at.start} to ${at.end} are not inside their message (${frame.start} to ${frame.end})`);
    }
    const entry = enter(frame);
    entry.delta += piecesLength(pieces) - (at.end - at.start);
    return { ...at, depth: entry.depth, pieces };
  });
  // Inner messages first: a prefix that grows lengthens the message around it.
  const inward = [...open.values()].sort((a, b) => b.depth - a.depth);
  for (const entry of inward) {
    if (entry.depth === 0 || entry.delta === 0) continue;
    const prefix = newPrefix(source, entry);
    changes.push(prefix);
    enter(entry.frame.parent as Frame).delta += entry.delta + piecesLength(prefix.pieces) - (prefix.end - prefix.start);
  }
  return assemble(source, root, changes);
}

function newPrefix(source: ByteSource, { frame, depth, delta }: Open): Change {
  const bytes = source.read(frame.tagAt, frame.start);
  let tag = 0;
  while (bytes[tag] >= 0x80) tag++;
  const width = bytes.length - tag - 1;
  const length = frame.end - frame.start;
  const minimal = varint(length).length === width;
  const prefix = varint(length + delta, minimal ? 1 : width);
  return { start: frame.start - width, end: frame.start, depth: depth - 1, pieces: [{ bytes: prefix }] };
}

/** At one place: what ends an inner message comes before what follows it, insertions before the bytes they precede. */
function order(a: Change, b: Change): number {
  return a.start - b.start || Number(a.end > a.start) - Number(b.end > b.start) || b.depth - a.depth;
}

function assemble(source: ByteSource, root: Frame, changes: Change[]): Piece[] {
  const out: Piece[] = [];
  let at = root.start;
  for (const change of changes.sort(order)) {
    if (change.start < at) throw new Error(`internal: two edits overlap at byte ${change.start}`);
    if (change.start > at) out.push({ source, start: at, end: change.start });
    for (const piece of change.pieces) if (pieceLength(piece) > 0) out.push(piece);
    at = change.end;
  }
  if (root.end > at || out.length === 0) out.push({ source, start: at, end: root.end });
  return out;
}
