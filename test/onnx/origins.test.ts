/** What a source says of where its bytes are from is true, for any pieces and any range. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { samePayload } from "../../src/onnx/pieces.ts";
import { read } from "../../src/onnx/read.ts";
import { type ByteSource, isSameRange, memorySource } from "../../src/onnx/source.ts";
import { collect, type Piece } from "../../src/onnx/splice.ts";
import { madeOf, splicedSource } from "../../src/onnx/spliced.ts";
import { write } from "../../src/onnx/write.ts";
import { convNet } from "../cli/bnfold.ts";
import { float32, modelBytes, node } from "../helpers/build.ts";

const bytes = fc.uint8Array({ minLength: 1, maxLength: 12 });

describe("a source over pieces", () => {
  it("holds the bytes of its pieces, whichever way they are made", () => {
    const lazy = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(lazy, fc.nat(), fc.nat(), (parts, x, y) => {
        const whole = Uint8Array.from(parts.flatMap((part) => [...part]));
        const pieces: Piece[] = [
          { bytes: Uint8Array.of(1, 2, 3) },
          { length: whole.length, make: () => whole, parts: () => parts },
          { bytes: Uint8Array.of(4) },
        ];
        const all = collect(pieces);
        const [start, end] = [x % (all.length + 1), y % (all.length + 1)].sort((a, b) => a - b);
        expect([...splicedSource(pieces, "m").read(start, end)]).toEqual([...all.subarray(start, end)]);
      }),
    );
  });

  // Of either size a reader's window reaches into the payload, or over it.
  it.each([64, 4])("makes nothing for those who read the structure, %i channels", (channels) => {
    const length = channels * channels * 9;
    const weight = new Float32Array(length).fill(0.5);
    const vector = (k: number) => float32([channels], new Float32Array(channels).fill(k + 1.5));
    const model = read(
      memorySource(
        modelBytes({
          nodes: [node("Conv", ["x", "w"], ["c"]), node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"])],
          initializers: {
            w: float32([channels, channels, 3, 3], weight),
            ...Object.fromEntries([..."sbmv"].map((n, k) => [n, vector(k)])),
          },
          inputs: [{ name: "x", dims: [1, channels, 8, 8] }],
          outputs: [{ name: "y", dims: [1, channels, 6, 6] }],
        }),
      ),
    );
    let computed = 0;
    const counted = <T>(work: () => T) => {
      return () => {
        computed++;
        return work();
      };
    };
    const pieces = write(model, plan(model).edits).main.map((piece): Piece => {
      if (!("make" in piece)) return piece;
      return { ...piece, make: counted(piece.make), parts: piece.parts && counted(piece.parts) };
    });
    expect(pieces.filter((piece) => "make" in piece && piece.length === 4 * length)).toHaveLength(1);
    const folded = read(splicedSource(pieces, "folded"));
    expect([folded.graph.nodes.length, computed]).toEqual([1, 0]);
    expect(collect(pieces).length).toBe(folded.files.main.size);
  });
});

describe("origins", () => {
  it("are the same bytes, through several files made of each other", () => {
    const base = memorySource(Uint8Array.from({ length: 40 }, (_, i) => (i * 37) % 11));
    const piece = (source: ByteSource) =>
      fc.oneof(
        bytes.map((b): Piece => ({ bytes: b })),
        bytes.map((b): Piece => ({ length: b.length, make: () => b })),
        bytes.map((b): Piece => ({ length: b.length, make: () => b, parts: () => [...b].map((x) => Uint8Array.of(x)) })),
        fc.tuple(fc.nat(), fc.nat()).map(([x, y]): Piece => {
          const [start, end] = [x % (source.size + 1), y % (source.size + 1)].sort((a, b) => a - b);
          return { source, start, end };
        }),
      );
    const pieces = (source: ByteSource) => fc.array(piece(source), { minLength: 1, maxLength: 6 });
    let known = 0;
    fc.assert(
      fc.property(
        pieces(base).chain((first) => {
          const made = splicedSource(first, "first");
          return fc.tuple(fc.constant(made), pieces(made), fc.nat(), fc.nat(), fc.nat());
        }),
        ([first, more, x, y, z]) => {
          const whole = collect(more);
          // Read from elsewhere, and made of the pieces.
          const second = madeOf(memorySource(whole, "second"), more);
          const [start, end] = [x % (whole.length + 1), y % (whole.length + 1)].sort((a, b) => a - b);
          const from = second.origin?.(start, end);
          if (from !== undefined) {
            known++;
            expect([...from.source.read(from.start, from.start + end - start)]).toEqual([...whole.subarray(start, end)]);
            expect(isSameRange(second, start, from.source, from.start, end - start)).toBe(true);
          }
          for (const other of [first, base]) {
            const at = z % (other.size + 1);
            if (at + end - start > other.size || !isSameRange(second, start, other, at, end - start)) continue;
            expect([...other.read(at, at + end - start)]).toEqual([...whole.subarray(start, end)]);
          }
        },
      ),
      { numRuns: 500 },
    );
    expect(known).toBeGreaterThan(50);
  });

  it("spare the comparison of what the output of a fold took over", () => {
    let reads = 0;
    const content = modelBytes(convNet());
    const take = (start: number, end: number) => {
      reads++;
      return content.slice(start, end);
    };
    const source: ByteSource = { name: "m", size: content.length, read: take };
    const model = read(source);
    const made = read(splicedSource(write(model, plan(model).edits).main, "folded"));
    const before = reads;
    const kept = model.graph.initializers.filter(({ name }) => made.graph.initializers.some((other) => other.name === name));
    const same = kept.filter((tensor) => {
      const other = made.graph.initializers.find(({ name }) => name === tensor.name);
      return other !== undefined && isSameRange(...rangeOf(tensor), ...rangeOf(other), tensor.frame.end - tensor.frame.start);
    });
    expect(same.every((tensor) => samePayload(tensor, tensor))).toBe(true);
    expect(reads).toBe(before);
  });
});

const rangeOf = ({ files, frame }: { files: { main: ByteSource }; frame: { start: number } }): [ByteSource, number] => [
  files.main,
  frame.start,
];
