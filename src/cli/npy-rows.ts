/**
 * Rows of a .npy file without the rest of it. Layout of the format: "\x93NUMPY", major, minor, length of the header (2 bytes in
 * version 1, 4 later, little-endian), the header as a Python dictionary, then the elements.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { BnfoldError } from "../diag/error.ts";

export interface NpyHead {
  readonly descr: string;
  readonly shape: readonly number[];
  /** Where the elements begin. */
  readonly start: number;
  /** Bytes of one row along axis 0. */
  readonly row: number;
}

function readAt(path: string, position: number, length: number): Uint8Array {
  const fd = openSync(path, "r");
  try {
    const out = new Uint8Array(Math.max(0, Math.min(length, fstatSync(fd).size - position)));
    for (let done = 0; done < out.length; ) {
      const got = readSync(fd, out, done, Math.min(2 ** 30, out.length - done), position + done);
      if (got === 0) throw new BnfoldError("file", `"${path}" became shorter while it was read`, { file: path });
      done += got;
    }
    return out;
  } finally {
    closeSync(fd);
  }
}

/** The head of a plain file of rows; undefined for anything else, which is then read whole. */
export function npyHead(path: string): NpyHead | undefined {
  const first = readAt(path, 0, 12);
  if (first.length < 12 || String.fromCharCode(...first.subarray(0, 6)) !== "\x93NUMPY") return undefined;
  const view = new DataView(first.buffer);
  const [at, length] = first[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = new TextDecoder("latin1").decode(readAt(path, at, Math.min(length, 1 << 20)));
  const descr = /'descr'\s*:\s*'([^']+)'/.exec(header)?.[1];
  const shape = /'shape'\s*:\s*\(([\d,\s]*)\)/.exec(header)?.[1];
  const width = descr === undefined ? null : /^[<|=][fiubc](\d+)$/.exec(descr);
  if (descr === undefined || shape === undefined || width === null || !/'fortran_order'\s*:\s*False/.test(header))
    return undefined;
  const dims = shape
    .split(",")
    .filter((d) => d.trim() !== "")
    .map(Number);
  if (dims.length === 0) return undefined;
  const row = dims.slice(1).reduce((n, d) => n * d, Number(width[1]));
  return { descr, shape: dims, start: at + length, row };
}

/** The rows from `first` to before `end` as a .npy file of their own. */
export function npyRows(path: string, { descr, shape, start, row }: NpyHead, first: number, end: number): Uint8Array {
  const content = readAt(path, start + first * row, (end - first) * row);
  if (content.length !== (end - first) * row) {
    throw new BnfoldError(
      "format",
      `the .npy file ends before its row ${end}`,
      { file: path },
      "It may be cut off; save it again.",
    );
  }
  const dims = [end - first, ...shape.slice(1)];
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims.join(", ")},), }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11, " ");
  const out = new Uint8Array(10 + header.length + 1 + content.length);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, (header.length + 1) & 0xff, (header.length + 1) >> 8]);
  out.set(new TextEncoder().encode(`${header}\n`), 10);
  out.set(content, 10 + header.length + 1);
  return out;
}
