/**
 * Two protobuf files side by side, field by field, with no part of the code under test: which fields are gone, new or changed.
 * A repeated field is aligned by the longest common run of identical elements.
 */
export interface Field {
  readonly id: number;
  readonly type: number;
  /** Tag and payload. */
  readonly bytes: Uint8Array;
  /** Payload of a length-delimited field. */
  readonly body: Uint8Array;
}

function varint(bytes: Uint8Array, at: number): [value: number, next: number] {
  let [value, scale] = [0, 1];
  for (;;) {
    const b = bytes[at++];
    value += (b & 127) * scale;
    if (b < 128) return [value, at];
    scale *= 128;
  }
}

export function fields(bytes: Uint8Array): Field[] {
  const list: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at;
    const [tag, next] = varint(bytes, at);
    const [id, type] = [Math.floor(tag / 8), tag % 8];
    let from = next;
    let end = next;
    if (type === 0) end = varint(bytes, next)[1];
    else if (type === 1) end = next + 8;
    else if (type === 5) end = next + 4;
    else if (type === 2) {
      const [length, body] = varint(bytes, next);
      [from, end] = [body, body + length];
    } else throw new Error(`wire type ${type}`);
    list.push({ id, type, bytes: bytes.subarray(start, end), body: bytes.subarray(from, end) });
    at = end;
  }
  return list;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");

export interface Difference {
  /** Field ids from the root, e.g. [7, 1] for a node of the graph. */
  readonly path: readonly number[];
  readonly before?: Field;
  readonly after?: Field;
}

/** What differs, at the level of the messages named by `into` (paths that are walked into, e.g. "7" for the graph). */
export function differences(
  before: Uint8Array,
  after: Uint8Array,
  into: ReadonlySet<string>,
  path: readonly number[] = [],
): Difference[] {
  const [a, b] = [fields(before), fields(after)];
  const [x, y] = [a.map((f) => text(f.bytes)), b.map((f) => text(f.bytes))];
  const out: Difference[] = [];
  const common = longest(x, y);
  let [i, j] = [0, 0];
  const gap = (toI: number, toJ: number) => {
    const [gone, made] = [a.slice(i, toI), b.slice(j, toJ)];
    while (gone.length > 0 && made.length > 0 && gone[0].id === made[0].id && into.has([...path, gone[0].id].join("."))) {
      const [p, q] = [gone.shift() as Field, made.shift() as Field];
      out.push(...differences(p.body, q.body, into, [...path, p.id]));
    }
    for (const f of gone) out.push({ path: [...path, f.id], before: f });
    for (const f of made) out.push({ path: [...path, f.id], after: f });
  };
  for (const [p, q] of common) {
    gap(p, q);
    [i, j] = [p + 1, q + 1];
  }
  gap(a.length, b.length);
  return out;
}

/** Index pairs of a longest common subsequence; equal ends are cut off first. */
function longest(x: readonly string[], y: readonly string[]): [number, number][] {
  let start = 0;
  while (start < x.length && start < y.length && x[start] === y[start]) start++;
  let [m, n] = [x.length, y.length];
  while (m > start && n > start && x[m - 1] === y[n - 1]) [m, n] = [m - 1, n - 1];
  const [rows, cols] = [m - start, n - start];
  const best = Array.from({ length: rows + 1 }, () => new Uint32Array(cols + 1));
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = cols - 1; j >= 0; j--)
      best[i][j] = x[start + i] === y[start + j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  }
  const pairs: [number, number][] = Array.from({ length: start }, (_, i) => [i, i]);
  for (let i = 0, j = 0; i < rows && j < cols; ) {
    if (x[start + i] === y[start + j]) pairs.push([start + i++, start + j++]);
    else if (best[i + 1][j] >= best[i][j + 1]) i++;
    else j++;
  }
  for (let k = 0; m + k < x.length; k++) pairs.push([m + k, n + k]);
  return pairs;
}

const utf8 = new TextDecoder();
const first = (f: Field, id: number): string => utf8.decode(fields(f.body).find((g) => g.id === id)?.body ?? new Uint8Array(0));

/** Name of an element of a graph: outputs of a node (1), name of an initializer (5) or of a value_info (13). */
export function nameOf(field: Field): string {
  if (field.id === 1) {
    const outputs = fields(field.body).filter((g) => g.id === 2);
    return outputs.map((g) => utf8.decode(g.body)).join(",");
  }
  return first(field, field.id === 5 ? 8 : 1);
}
