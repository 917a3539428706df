import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { decode } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import type { AttributeRecord, GraphRecord } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { NO_EDITS, write } from "../../src/onnx/write.ts";
import { bytesOf, f32, group, len, model, num, vi } from "./bytes.ts";

const tensor = [...len(1, [2, 1]), ...num(2, 1), ...len(8, "w"), ...len(9, bytesOf(Float32Array.of(1, 2)))];
const typed = [...num(1, 2), ...num(2, 10), ...len(8, "h"), ...len(5, [...vi(0x3c00), ...vi(0xc000)])];
const outside = [...num(1, 1), ...num(2, 1), ...len(13, [...len(1, "location"), ...len(2, "f")]), ...num(14, 1)];
const sub = [
  ...len(1, [...len(2, "s"), ...len(4, "Constant"), ...len(5, [...len(1, "value"), ...len(5, tensor), ...num(20, 4)])]),
  ...len(12, len(1, "s")),
];
const branch = [...len(1, "then_branch"), ...len(6, sub), ...num(20, 5)];
const shape = len(2, len(1, [...num(1, 1), ...len(2, [...len(1, num(1, 3)), ...len(1, len(2, "N"))])]));
const small = Uint8Array.from([
  ...model(
    len(1, [...len(1, "x"), ...len(2, "y"), ...len(4, "If"), ...len(5, branch), ...group(50, num(1, 2))]),
    len(1, [
      ...len(1, "x"),
      ...len(4, "F"),
      ...len(5, [...len(1, "a"), ...f32(2, 1)]),
      ...len(5, [...len(1, "b"), ...len(8, [1, 2])]),
    ]),
    len(5, tensor),
    len(5, typed),
    len(5, outside),
    len(11, [...len(1, "x"), ...shape]),
    len(14, [...len(1, "x"), ...len(2, [...len(1, "SCALE"), ...len(2, "h")])]),
    len(15, [...len(1, tensor), ...len(2, typed), ...num(3, 4)]),
  ),
  ...len(25, [
    ...len(1, "f"),
    ...len(4, "a"),
    ...len(5, "b"),
    ...len(7, [...len(1, "a"), ...len(2, "b"), ...len(4, "Relu")]),
    ...len(10, "d"),
  ]),
  ...len(20, [...len(2, sub), ...len(4, [...len(1, "w"), ...len(2, "w")])]),
]);

function decodeAll(graph: GraphRecord): void {
  const attribute = (a: AttributeRecord) => {
    if (a.t) decode(a.t);
    if (a.g) decodeAll(a.g);
  };
  for (const node of graph.nodes) node.attributes.forEach(attribute);
  for (const t of graph.initializers) decode(t);
}

/** Reads, decodes and writes; anything but success or a BnfoldError comes through. */
function exercise(bytes: Uint8Array): boolean {
  try {
    const m = read(memorySource(bytes), { external: () => memorySource(new Uint8Array(4)) });
    expect(Buffer.compare(collect(write(m, NO_EDITS).main), bytes)).toBe(0);
    decodeAll(m.graph);
    collect(write(m, NO_EDITS, { external: "inline" }).main);
    return true;
  } catch (error) {
    if (error instanceof BnfoldError) return false;
    throw error;
  }
}

describe("hostile input", () => {
  it("starts from a model that is fine", () => expect(exercise(small)).toBe(true));

  it("cut off anywhere gives an error, or a model that ends there", () => {
    let fine = 0;
    for (let n = 0; n < small.length; n++) fine += Number(exercise(small.subarray(0, n)));
    // A cut between top-level fields cannot be seen; everywhere else it must be.
    expect(fine).toBeLessThan(4);
  });

  it("with one byte changed never crashes", () => {
    for (let i = 0; i < small.length; i++) {
      for (const b of [0, 1, 0x7f, 0x80, 0xff, small[i] ^ 1, small[i] ^ 0x80]) {
        const bytes = small.slice();
        bytes[i] = b;
        exercise(bytes);
      }
    }
  });

  it("of random bytes never crashes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void exercise(bytes)),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(small.length - 1), fc.uint8Array({ maxLength: 9 })), { minLength: 1, maxLength: 4 }),
        (cuts) => {
          const bytes = [...small];
          for (const [at, put] of cuts) bytes.splice(at % bytes.length, put.length % 4, ...put);
          exercise(Uint8Array.from(bytes));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("that claims huge lengths allocates nothing", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const length of [2 ** 31, 2 ** 40, 2n ** 63n, 2n ** 64n - 1n]) {
      for (const field of [1, 5, 7, 13]) {
        expect(() =>
          read(memorySource(Uint8Array.from([...num(1, 8), ...len(7, [...vi((field << 3) | 2), ...vi(length)])]))),
        ).toThrow(/left in its message/);
      }
    }
    const claimed = [...num(1, 2 ** 40), ...num(2, 1), ...len(9, [0, 0, 0, 0])];
    expect(() => decode(read(memorySource(model(len(5, claimed)))).graph.initializers[0])).toThrow(BnfoldError);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
  });

  it("nested deeply is refused, not recursed into", () => {
    let graph: number[] = len(2, "g");
    for (let i = 0; i < 200; i++) graph = [...len(1, [...len(4, "If"), ...len(5, [...len(1, "then_branch"), ...len(6, graph)])])];
    expect(() => read(memorySource(model(graph)))).toThrow(/nested more than 64 deep/);
    let type: number[] = len(1, num(1, 1));
    for (let i = 0; i < 20000; i++) type = i < 900 ? len(4, len(1, type)) : type;
    expect(exercise(model(len(11, [...len(1, "x"), ...len(2, type)])))).toBe(false);
    const groups = new Uint8Array(1 << 20).fill((9 << 3) | 3);
    expect(() => read(memorySource(Uint8Array.from([...num(1, 8), ...groups])))).toThrow(BnfoldError);
  });

  it("reads groups, wide varints, empty and doubled names", () => {
    const odd = model(
      len(1, [...len(1, ""), ...vi((2 << 3) | 2, 4), ...vi(1, 5), 121, ...len(4, "Relu"), ...group(9, group(9), len(3, "x"))]),
      len(5, tensor),
      len(5, tensor),
      len(5, [...num(1, 0), ...num(2, 1)]),
    );
    const { graph } = read(memorySource(odd));
    expect(graph.nodes[0]).toMatchObject({ inputs: [""], outputs: ["y"], opType: "Relu" });
    expect(graph.initializers.map(({ name }) => name)).toEqual(["w", "w", ""]);
    expect(exercise(odd)).toBe(true);
  });

  it("with a message in two parts is refused: protobuf would merge them", () => {
    const half = tensor.slice(0, 8);
    for (const [twice, what] of [
      [
        len(5, [...len(1, "value"), ...len(5, tensor), ...len(5, half), ...num(20, 4)]),
        /tensor of an attribute is written in two/,
      ],
      [len(5, [...len(1, "b"), ...len(6, sub), ...len(6, sub), ...num(20, 5)]), /graph of an attribute/],
    ] as const)
      expect(() => read(memorySource(model(len(1, [...len(2, "y"), ...len(4, "Constant"), ...twice]))))).toThrow(what);
    const sparse = len(15, [...len(1, tensor), ...len(2, typed), ...len(2, typed), ...num(3, 4)]);
    expect(() => read(memorySource(model(sparse)))).toThrow(/indices of a sparse tensor/);
    expect(() => read(memorySource(Uint8Array.from([...small, ...len(7, [])])))).toThrow(/graph of the model/);
  });

  it("with names that are not text is refused: two of them could become one", () => {
    expect(() => read(memorySource(model(len(1, [...len(1, [0xff]), ...len(4, "Relu")]))))).toThrow(/not UTF-8/);
    const bom = read(memorySource(model(len(1, [...len(1, "\ufeffx"), ...len(4, "Relu")]))));
    expect(bom.graph.nodes[0].inputs).toEqual(["\ufeffx"]);
  });
});
