/** Pieces of an output: bytes at hand, a stretch of the source, or made when they are written, whole or part by part. */
import { expect, it } from "vitest";
import { memorySource } from "../../src/onnx/source.ts";
import { collect, type Piece, pieceBytes, pieceLength, pieceParts, piecesLength } from "../../src/onnx/splice.ts";

const bytes = (...list: number[]) => Uint8Array.from(list);
const read = (piece: Piece) => [...pieceParts(piece)].map((part) => [...part]);
const whole: Piece = { length: 3, make: () => bytes(4, 5, 6) };
const parted: Piece = {
  length: 3,
  make: () => bytes(4, 5, 6),
  *parts() {
    yield bytes(4);
    yield bytes(5, 6);
  },
};

it("come in the parts they are made in", () => {
  expect(read(parted)).toEqual([[4], [5, 6]]);
  expect([...pieceBytes(parted)]).toEqual([4, 5, 6]);
});

it.each<[string, Piece, number[]]>([
  ["bytes at hand", { bytes: bytes(1, 2) }, [1, 2]],
  ["a stretch of the source", { source: memorySource(bytes(0, 7, 8, 9), "x"), start: 1, end: 3 }, [7, 8]],
  ["what is made whole", whole, [4, 5, 6]],
])("otherwise in one: %s", (_name, piece, expected) => {
  expect(read(piece)).toEqual([expected]);
  expect(pieceLength(piece)).toBe(expected.length);
});

it("follow one another", () => {
  const all: Piece[] = [{ bytes: bytes(1, 2) }, parted, whole];
  expect([...collect(all)]).toEqual([1, 2, 4, 5, 6, 4, 5, 6]);
  expect(piecesLength(all)).toBe(8);
});

it("that are not as long as they said are an error", () => {
  expect(() => pieceBytes({ ...whole, length: 2 } as Piece)).toThrow("a payload of 2 bytes came out as 3");
  expect(() => read({ ...parted, length: 4 } as Piece)).toThrow("a payload of 4 bytes came out as 3");
});
