import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ByteSource, memorySource } from "../../src/onnx/source.ts";
import { collect, type Edit, type Piece, piecesLength, splice } from "../../src/onnx/splice.ts";
import { type Frame, fieldsOf, rootFrame } from "../../src/onnx/wire.ts";
import { len, num, vi } from "./bytes.ts";

/** A message as a tree: leaves are whole fields as bytes, inner nodes are length-delimited with a prefix of some width. */
interface Inner {
  readonly field: number;
  readonly width: number;
  readonly children: readonly Node[];
}
type Node = { readonly leaf: readonly number[] } | Inner;

const leaf = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 40 }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })).map(([f, v]) => num(f, v)),
  fc.tuple(fc.integer({ min: 1, max: 40 }), fc.uint8Array({ maxLength: 200 })).map(([f, b]) => len(f, b)),
  fc.integer({ min: 1, max: 9 }).map((f) => [...vi((f << 3) | 3), ...num(2, 5), ...vi((f << 3) | 4)]),
);
const tree = fc.letrec<{ node: Node }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 5 },
    leaf.map((bytes): Node => ({ leaf: bytes })),
    fc.record({
      field: fc.integer({ min: 1, max: 30 }),
      width: fc.integer({ min: 1, max: 5 }),
      children: fc.array(tie("node"), { maxLength: 4 }),
    }),
  ),
})).node;

interface Built {
  readonly node: Node;
  readonly frame: Frame | undefined;
}

/** Bytes of the tree, and each inner node's frame by path. */
function build(children: readonly Node[]): {
  bytes: number[];
  built: Map<string, Built>;
  spans: Map<string, { start: number; end: number }>;
} {
  const built = new Map<string, Built>();
  const spans = new Map<string, { start: number; end: number }>();
  const write = (node: Node): number[] =>
    "leaf" in node ? [...node.leaf] : len(node.field, node.children.flatMap(write), node.width);
  const walk = (list: readonly Node[], path: string, frame: Frame) => {
    built.set(path, { node: { field: 0, width: 0, children: list }, frame });
    let at = frame.start;
    list.forEach((node, i) => {
      const own = write(node);
      const key = `${path}/${i}`;
      spans.set(key, { start: at, end: at + own.length });
      if (!("leaf" in node)) {
        const content = node.children.flatMap(write);
        walk(node.children, key, { start: at + own.length - content.length, end: at + own.length, tagAt: at, parent: frame });
      }
      at += own.length;
    });
  };
  const bytes = children.flatMap(write);
  walk(children, "", { start: 0, end: bytes.length, tagAt: 0, parent: undefined });
  return { bytes, built, spans };
}

/** The prefix rule, stated on its own: minimal stays minimal, wider stays as wide while it fits. */
function prefixed(node: Inner, content: number[], oldLength: number): number[] {
  const minimalBefore = Math.max(node.width, vi(oldLength).length) === vi(oldLength).length;
  const width = content.length === oldLength || !minimalBefore ? Math.max(node.width, vi(oldLength).length) : 1;
  return len(node.field, content, width);
}

type Action = { readonly kind: "remove" } | { readonly kind: "replace" | "before"; readonly bytes: readonly number[] };

describe("splice", () => {
  it("equals rebuilding the tree with the changed parts", () => {
    const action: fc.Arbitrary<Action> = fc.oneof(
      fc.constant({ kind: "remove" } as const),
      fc.record({ kind: fc.constantFrom("replace" as const, "before" as const), bytes: leaf }),
    );
    fc.assert(
      fc.property(
        fc.array(tree, { maxLength: 5 }),
        fc.array(fc.tuple(fc.nat(), action), { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 3 }),
        (nodes, picks, ends) => {
          const { bytes, built, spans } = build(nodes);
          const keys = [...spans.keys()];
          const chosen = new Map<string, Action>();
          for (const [n, what] of picks) {
            if (keys.length === 0) break;
            const key = keys[n % keys.length];
            const covered = [...chosen].some(
              ([other, { kind }]) =>
                other === key ||
                (kind !== "before" && key.startsWith(`${other}/`)) ||
                (what.kind !== "before" && other.startsWith(`${key}/`)),
            );
            if (!covered) chosen.set(key, what);
          }
          const gone = (path: string) =>
            [...chosen].some(([key, { kind }]) => kind !== "before" && (path === key || path.startsWith(`${key}/`)));
          const frames = [...built.keys()];
          const appended = new Set(ends.map((n) => frames[n % frames.length]).filter((path) => !gone(path)));
          const tail = num(7, 77);
          const edits: Edit[] = [...chosen].map(([key, what]) => {
            const { start, end } = spans.get(key) as { start: number; end: number };
            const pieces = what.kind === "remove" ? [] : [{ bytes: Uint8Array.from(what.bytes) }];
            return {
              frame: built.get(key.slice(0, key.lastIndexOf("/")))?.frame as Frame,
              at: { start, end: what.kind === "before" ? start : end },
              pieces,
            };
          });
          for (const path of appended) {
            const frame = { ...(built.get(path)?.frame as Frame) };
            edits.push({ frame, at: { start: frame.end, end: frame.end }, pieces: [{ bytes: Uint8Array.from(tail) }] });
          }
          const rebuild = (list: readonly Node[], path: string): number[] => [
            ...list.flatMap((node, i) => {
              const key = `${path}/${i}`;
              const what = chosen.get(key);
              if (what?.kind === "remove") return [];
              if (what?.kind === "replace") return what.bytes;
              const frame = built.get(key)?.frame;
              const own =
                "leaf" in node
                  ? node.leaf
                  : prefixed(node, rebuild(node.children, key), (frame as Frame).end - (frame as Frame).start);
              return what === undefined ? own : [...what.bytes, ...own];
            }),
            ...(appended.has(path) ? tail : []),
          ];
          const source = memorySource(Uint8Array.from(bytes));
          const pieces = splice(source, rootFrame(source), edits);
          const expected = rebuild(nodes, "");
          expect([...collect(pieces)]).toEqual(expected);
          expect(piecesLength(pieces)).toBe(expected.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("is the whole source, in one piece, without edits", () => {
    const source = memorySource(Uint8Array.from(num(1, 2)));
    expect(splice(source, rootFrame(source), [])).toEqual([{ source, start: 0, end: 2 }]);
  });

  it("leaves a prefix alone when the length stays", () => {
    const source = memorySource(Uint8Array.from(len(1, len(2, "abc", 3), 2)));
    const [outer] = fieldsOf(source, rootFrame(source));
    const frame: Frame = { ...outer, parent: rootFrame(source) };
    const [inner] = fieldsOf(source, frame);
    const pieces = splice(source, rootFrame(source), [
      {
        frame: { ...inner, parent: frame },
        at: { start: inner.start, end: inner.end },
        pieces: [{ bytes: Uint8Array.of(1, 2, 3) }],
      },
    ]);
    expect([...collect(pieces)]).toEqual(len(1, len(2, [1, 2, 3], 3), 2));
    expect(pieces[0]).toEqual({ source, start: 0, end: inner.start });
  });

  it("grows a prefix that no longer fits, and the messages around it with it", () => {
    const build = (n: number) => len(1, len(1, len(1, "x".repeat(n))));
    const source = memorySource(Uint8Array.from(build(121)));
    let frame = rootFrame(source);
    for (let i = 0; i < 3; i++) frame = { ...fieldsOf(source, frame)[0], parent: frame };
    const insert: Edit = {
      frame,
      at: { start: frame.end, end: frame.end },
      pieces: [{ bytes: new TextEncoder().encode("xxxxxxxx") }],
    };
    expect([...collect(splice(source, rootFrame(source), [insert]))]).toEqual(build(129));
  });

  it("keeps the order in which insertions at one place were asked for, inner ones first", () => {
    const source = memorySource(Uint8Array.from([...len(1, []), ...num(2, 1)]));
    const root = rootFrame(source);
    const frame: Frame = { ...fieldsOf(source, root)[0], parent: root };
    const at = { start: 2, end: 2 };
    const put = (where: Frame, b: number): Edit => ({ frame: where, at, pieces: [{ bytes: Uint8Array.from(num(3, b)) }] });
    const out = collect(splice(source, root, [put(root, 1), put(frame, 2), put(root, 3), put(frame, 4)]));
    expect([...out]).toEqual([...len(1, [...num(3, 2), ...num(3, 4)]), ...num(3, 1), ...num(3, 3), ...num(2, 1)]);
  });

  it("counts beyond 2^32", () => {
    const prefix = len(5, []).slice(0, 1);
    const size = 6 * 2 ** 32;
    const head = [...prefix, ...vi(size)];
    // Only the head is real; the payload is zeros that nobody reads.
    const source: ByteSource = { name: "huge", size: head.length + size, read: (a, b) => Uint8Array.from(head.slice(a, b)) };
    const frame: Frame = { start: head.length, end: head.length + size, tagAt: 0, parent: rootFrame(source) };
    const pieces = splice(source, rootFrame(source), [
      { frame, at: { start: head.length + 2 ** 33, end: head.length + 2 ** 33 + 5 }, pieces: [] },
    ]);
    expect(piecesLength(pieces)).toBe(head.length + size - 5);
    expect(pieces[1]).toEqual({ bytes: Uint8Array.from(vi(size - 5)) });
    expect(pieces.at(-1)).toEqual({ source, start: head.length + 2 ** 33 + 5, end: head.length + size });
  });

  it("makes lazy pieces only when they are collected, and holds them to their length", () => {
    const source = memorySource(Uint8Array.from(num(1, 2)));
    const root = rootFrame(source);
    let made = 0;
    const lazy = (length: number): Piece => ({ length, make: () => new Uint8Array(3).fill(++made) });
    const pieces = splice(source, root, [{ frame: root, at: { start: 2, end: 2 }, pieces: [lazy(3)] }]);
    expect(made).toBe(0);
    expect([...collect(pieces)]).toEqual([8, 2, 1, 1, 1]);
    expect(() => collect([lazy(4)])).toThrow(/internal/);
  });

  it("finds a prefix behind a tag of any length, and keeps it as short or as long as it was", () => {
    const tags = [
      [0x0a],
      // Field 16, field 1 with a tag that is longer than it need be, and field 2032.
      [0x82, 0x01],
      [0x8a, 0x80, 0x00],
      [0x82, 0x7f],
    ];
    for (const tag of tags) {
      for (const [from, width, to, prefix] of [
        [3, 1, 5, 1],
        [200, 2, 3, 1],
        [3, 3, 5, 3],
        [3, 2, 200, 2],
        [100, 1, 200, 2],
      ]) {
        const of = (n: number, size: number) => [...tag, ...vi(n, size), ...new Array<number>(n).fill(7)];
        const source = memorySource(Uint8Array.from([...num(2, 1), ...of(from, width), ...num(2, 1)]));
        const root = rootFrame(source);
        const frame: Frame = { ...fieldsOf(source, root)[1], parent: root };
        const pieces = [{ bytes: new Uint8Array(to).fill(7) }];
        const made = splice(source, root, [{ frame, at: { start: frame.start, end: frame.end }, pieces }]);
        expect([...collect(made)]).toEqual([...num(2, 1), ...of(to, prefix), ...num(2, 1)]);
      }
    }
  });

  it("makes no pieces without bytes", () => {
    const source = memorySource(Uint8Array.from([...num(1, 2), ...num(1, 3)]));
    const root = rootFrame(source);
    const edit = (start: number, end: number, ...bytes: number[]): Edit => ({
      frame: root,
      at: { start, end },
      pieces: [{ bytes: Uint8Array.from(bytes) }],
    });
    for (const edits of [[edit(0, 1, 9)], [edit(0, 0, 9), edit(0, 2)], [edit(1, 2), edit(2, 3, 9)], [edit(3, 4), edit(0, 1)]]) {
      const pieces = splice(source, root, edits);
      expect(pieces.map((piece) => piecesLength([piece]) > 0)).not.toContain(false);
    }
  });

  it("refuses edits that overlap or leave their message", () => {
    const source = memorySource(Uint8Array.from([...num(1, 2), ...num(1, 3)]));
    const root = rootFrame(source);
    const edit = (start: number, end: number): Edit => ({ frame: root, at: { start, end }, pieces: [] });
    expect(() => splice(source, root, [edit(0, 3), edit(2, 4)])).toThrow(/internal.*overlap/);
    expect(() => splice(source, root, [edit(0, 5)])).toThrow(/internal/);
    expect(() => splice(source, { ...root, tagAt: 0, start: 2 }, [edit(0, 1)])).toThrow(/internal/);
    // A message that is none of the root's, and one of another message.
    const alone: Frame = { start: 2, end: 4, tagAt: 1, parent: undefined };
    for (const frame of [alone, { ...alone, start: 3, tagAt: 2, parent: alone }])
      expect(() => splice(source, root, [{ frame, at: { start: 3, end: 4 }, pieces: [] }])).toThrow(/outside the message/);
  });
});
