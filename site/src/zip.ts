/**
 * Zip archives of Blobs. Written: entries stored as they are (weights hardly shrink), by reference, with 64-bit sizes where they
 * are needed (APPNOTE 6.3.10, 4.3 and 4.5.3). Read: the central directory, entries stored or deflated.
 */
export interface Entry {
  readonly name: string;
  readonly blob: Blob;
}

const BLOCK = 1 << 22;
const LIMIT = 0xffffffff;

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** CRC-32 of a Blob, a block at a time. */
async function crc32(blob: Blob): Promise<number> {
  let crc = LIMIT;
  for (let at = 0; at < blob.size; at += BLOCK) {
    const bytes = new Uint8Array(await blob.slice(at, at + BLOCK).arrayBuffer());
    for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  }
  return (crc ^ LIMIT) >>> 0;
}

/** Little-endian numbers, each with its width in bytes. */
function record(...fields: readonly (readonly [value: number, width: number])[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(fields.reduce((n, [, width]) => n + width, 0));
  let at = 0;
  for (const [value, width] of fields) {
    let rest = value;
    for (let i = 0; i < width; i++) {
      out[at++] = rest % 256;
      rest = Math.floor(rest / 256);
    }
  }
  return out;
}

/** One archive of all entries. Names that come twice get a number. */
export async function zip(entries: readonly Entry[]): Promise<Blob> {
  const parts: BlobPart[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let at = 0;
  const put = (part: Uint8Array<ArrayBuffer> | Blob) => {
    parts.push(part);
    at += part instanceof Blob ? part.size : part.length;
  };
  const utf8 = new TextEncoder();
  for (const { name, blob } of unique(entries)) {
    const bytes = utf8.encode(name);
    const [crc, size, offset] = [await crc32(blob), blob.size, at];
    const large = size >= LIMIT || offset >= LIMIT;
    const shown = (value: number) => (large ? LIMIT : value);
    const version = large ? 45 : 20;
    // Bit 11: the name is UTF-8. Date: 1980-01-01, so that the same files make the same archive.
    const common = [
      [version, 2],
      [0x0800, 2],
      [0, 2],
      [0, 2],
      [0x21, 2],
      [crc, 4],
      [shown(size), 4],
      [shown(size), 4],
    ] as const;
    const local = large ? record([1, 2], [16, 2], [size, 8], [size, 8]) : new Uint8Array();
    put(record([0x04034b50, 4], ...common, [bytes.length, 2], [local.length, 2]));
    put(bytes);
    put(local);
    put(blob);
    const extra = large ? record([1, 2], [24, 2], [size, 8], [size, 8], [offset, 8]) : new Uint8Array();
    directory.push(
      record(
        [0x02014b50, 4],
        [version, 2],
        ...common,
        [bytes.length, 2],
        [extra.length, 2],
        [0, 2],
        [0, 2],
        [0, 2],
        [0, 4],
        [shown(offset), 4],
      ),
      bytes,
      extra,
    );
  }
  const start = at;
  for (const part of directory) put(part);
  const size = at - start;
  const count = entries.length;
  if (start >= LIMIT || count >= 0xffff) {
    const end = at;
    put(record([0x06064b50, 4], [44, 8], [45, 2], [45, 2], [0, 4], [0, 4], [count, 8], [count, 8], [size, 8], [start, 8]));
    put(record([0x07064b50, 4], [0, 4], [end, 8], [1, 4]));
  }
  const few = Math.min(count, 0xffff);
  put(
    record([0x06054b50, 4], [0, 2], [0, 2], [few, 2], [few, 2], [Math.min(size, LIMIT), 4], [Math.min(start, LIMIT), 4], [0, 2]),
  );
  return new Blob(parts, { type: "application/zip" });
}

function unique(entries: readonly Entry[]): Entry[] {
  const seen = new Map<string, number>();
  return entries.map(({ name, blob }) => {
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    const dot = name.lastIndexOf(".");
    return {
      name: times === 1 ? name : `${name.slice(0, dot < 0 ? undefined : dot)}-${times}${dot < 0 ? "" : name.slice(dot)}`,
      blob,
    };
  });
}

const number = (bytes: DataView, at: number, width: 2 | 4 | 8): number =>
  width === 2 ? bytes.getUint16(at, true) : width === 4 ? bytes.getUint32(at, true) : Number(bytes.getBigUint64(at, true));

const view = async (blob: Blob): Promise<DataView> => new DataView(await blob.arrayBuffer());

/** Where the central directory is, and how many entries it has. */
async function directoryOf(archive: Blob): Promise<{ start: number; size: number; count: number }> {
  const from = Math.max(0, archive.size - 65_557);
  const tail = await view(archive.slice(from));
  for (let at = tail.byteLength - 22; at >= 0; at--) {
    if (number(tail, at, 4) !== 0x06054b50) continue;
    const found = { count: number(tail, at + 10, 2), size: number(tail, at + 12, 4), start: number(tail, at + 16, 4) };
    if (found.count !== 0xffff && found.size !== LIMIT && found.start !== LIMIT) return found;
    const locator = at - 20;
    if (locator < 0 || number(tail, locator, 4) !== 0x07064b50) break;
    const end = number(tail, locator + 8, 8);
    const wide = await view(archive.slice(end, end + 56));
    return { count: number(wide, 32, 8), size: number(wide, 40, 8), start: number(wide, 48, 8) };
  }
  throw new Error("the zip archive has no directory: it was cut off");
}

/** The files of an archive; what is stored is not copied. @throws Error when it is broken, encrypted or packed in another way. */
export async function unzip(archive: Blob): Promise<Entry[]> {
  const { start, size, count } = await directoryOf(archive);
  const table = await view(archive.slice(start, start + size));
  const out: Entry[] = [];
  for (let at = 0, i = 0; i < count && at + 46 <= table.byteLength; i++) {
    if (number(table, at, 4) !== 0x02014b50) throw new Error("the zip archive's directory is broken");
    const [flags, method] = [number(table, at + 8, 2), number(table, at + 10, 2)];
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((k) => number(table, at + k, 2));
    const name = new TextDecoder().decode(new Uint8Array(table.buffer, at + 46, nameLength));
    const sizes = wideSizes(table, at, nameLength, extraLength);
    at += 46 + nameLength + extraLength + commentLength;
    if (name.endsWith("/")) continue;
    if (flags & 1) throw new Error(`"${name}" in the zip archive is encrypted`);
    const local = await view(archive.slice(sizes.offset, sizes.offset + 30));
    const data = sizes.offset + 30 + number(local, 26, 2) + number(local, 28, 2);
    const packed = archive.slice(data, data + sizes.packed);
    if (method !== 0 && method !== 8) throw new Error(`"${name}" in the zip archive is packed by method ${method}`);
    out.push({ name, blob: method === 0 ? packed : await inflated(packed) });
  }
  return out;
}

/** Sizes and offset of an entry, those that need 64 bits from its extra field. */
function wideSizes(table: DataView, at: number, nameLength: number, extraLength: number) {
  let [packed, size, offset] = [number(table, at + 20, 4), number(table, at + 24, 4), number(table, at + 42, 4)];
  const end = at + 46 + nameLength + extraLength;
  for (let k = at + 46 + nameLength; k + 4 <= end; k += 4 + number(table, k + 2, 2)) {
    if (number(table, k, 2) !== 1) continue;
    let field = k + 4;
    const next = (): number => {
      field += 8;
      return number(table, field - 8, 8);
    };
    if (size === LIMIT) size = next();
    if (packed === LIMIT) packed = next();
    if (offset === LIMIT) offset = next();
  }
  return { packed, offset };
}

const inflated = (blob: Blob): Promise<Blob> =>
  new Response(blob.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob();
