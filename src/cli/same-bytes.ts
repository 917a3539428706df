/** Two models that are the same bytes, side files included: what they compute need not be asked. */
import { lstatSync } from "node:fs";
import type { FileSource } from "../node/files.ts";
import type { Model } from "../onnx/records.ts";
import { type ByteSource, fillBytes } from "../onnx/source.ts";

const CHUNK = 1 << 20;

/** The file a source reads, as the system knows it. */
function identity(source: ByteSource): string | undefined {
  const { path } = source as Partial<FileSource>;
  if (path === undefined) return undefined;
  const { dev, ino } = lstatSync(path, { bigint: true });
  return ino === 0n ? undefined : `${dev}:${ino}`;
}

function sameContent(a: ByteSource, b: ByteSource): boolean {
  if (a.size !== b.size) return false;
  const [x, y] = [identity(a), identity(b)];
  if (x !== undefined && x === y) return true;
  const [p, q] = [new Uint8Array(Math.min(CHUNK, a.size)), new Uint8Array(Math.min(CHUNK, a.size))];
  for (let at = 0; at < a.size; at += p.length) {
    const n = Math.min(p.length, a.size - at);
    const [u, v] = [p.subarray(0, n), q.subarray(0, n)];
    fillBytes(a, u, at);
    fillBytes(b, v, at);
    if (Buffer.compare(u, v) !== 0) return false;
  }
  return true;
}

/**
 * True when both are the same bytes. One file under two names is not read; two files are, until they differ.
 * @throws BnfoldError when a side file cannot be read: such a model is not one.
 */
export function sameBytes(a: Model, b: Model): boolean {
  if (!sameContent(a.files.main, b.files.main)) return false;
  const locations = new Set(a.externalTensors.flatMap(({ external }) => external?.location ?? []));
  return [...locations].every((location) => sameContent(a.files.external(location), b.files.external(location)));
}
