/** Messages that lack fields others have, or have them in ways nobody writes; what is malformed in them is told. */
import { runInNewContext } from "node:vm";
import onnxProto from "onnx-proto";
import { describe, expect, it } from "vitest";
import { decode, decodeSparse } from "../../src/onnx/codec.ts";
import { samePayload } from "../../src/onnx/pieces.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { type ModelEdits, NO_EDITS, write } from "../../src/onnx/write.ts";
import { type Bytes, bytesOf, f32, len, model, num, vi } from "./bytes.ts";

const { onnx } = onnxProto;
const open = (bytes: Uint8Array): Model => read(memorySource(bytes));
const edited = (from: Uint8Array, edits: (m: Model) => Partial<ModelEdits>): Uint8Array => {
  const before = open(from);
  return collect(write(before, { ...NO_EDITS, ...edits(before) }).main);
};
/** As a reader that is not ours has it. */
const foreign = (bytes: Uint8Array) => onnx.ModelProto.decode(bytes).graph;
const text = (bytes: Uint8Array | null | undefined): string => new TextDecoder().decode(bytes ?? undefined);
const numbers = (m: Model, name: string): Tensor => decode(m.graph.initializers.find((t) => t.name === name) as never);

const node = (op: string, ...rest: Bytes[]) => len(1, [...len(1, "x"), ...len(2, "y"), ...len(4, op), ...rest.flat()]);
const tensor = (...fields: Bytes[]) => len(5, fields.flat());
const io = [...len(11, len(1, "x")), ...len(12, len(1, "y"))];

describe("an attribute", () => {
  const with1 = (...attribute: Bytes[]) => model(node("Elu", len(5, attribute.flat())), io);
  const set = (value: object) => (m: Model) => ({ rewriteNodes: [{ node: m.graph.nodes[0], set: value as never }] });
  it("that has a name alone gets its value and its type", () => {
    const bytes = edited(with1(len(1, "alpha")), set({ alpha: { float: 0.5 } }));
    const [alpha] = foreign(bytes)?.node?.[0].attribute ?? [];
    expect([alpha.name, alpha.f, alpha.type]).toEqual(["alpha", 0.5, onnx.AttributeProto.AttributeType.FLOAT]);
    expect(open(bytes).graph.nodes[0].attributes.get("alpha")?.f).toBe(0.5);
  });

  it("that has a value and no name gets one when it is given another value", () => {
    const bytes = edited(with1(f32(2, 1), num(20, 1)), set({ "": { float: 0.5 } }));
    const [alpha] = foreign(bytes)?.node?.[0].attribute ?? [];
    expect([alpha.name, alpha.f]).toEqual(["", 0.5]);
    const empty = edited(with1([]), set({ "": { int: 3 } }));
    expect(Number(foreign(empty)?.node?.[0].attribute?.[0].i)).toBe(3);
  });

  it("keeps its list packed or not, as it was", () => {
    const unpacked = edited(with1(len(1, "v"), f32(7, 1), f32(7, 2), num(20, 6)), set({ v: { floats: [3, 4, 5] } }));
    expect(foreign(unpacked)?.node?.[0].attribute?.[0].floats).toEqual([3, 4, 5]);
    expect(Buffer.from(unpacked).includes(Buffer.from([...f32(7, 3), ...f32(7, 4)]))).toBe(true);
    const packed = edited(
      with1(len(1, "v"), len(7, [...bytesOf(Float32Array.of(1, 2))]), num(20, 6)),
      set({ v: { floats: [3, 4] } }),
    );
    expect(Buffer.from(packed).includes(Buffer.from(len(7, bytesOf(Float32Array.of(3, 4)))))).toBe(true);
  });

  it("may become a tensor of text", () => {
    const bytes = edited(
      with1(len(1, "v"), f32(2, 1), num(20, 1)),
      set({ v: { tensor: { dtype: "string", dims: [2], values: ["a", "bc"] } } }),
    );
    expect(foreign(bytes)?.node?.[0].attribute?.[0].t?.stringData?.map(text)).toEqual(["a", "bc"]);
  });
});

describe("a node", () => {
  it("without a type or names gets them", () => {
    const bytes = edited(model(len(1, []), io), (m) => ({
      rewriteNodes: [{ node: m.graph.nodes[0], opType: "Relu", inputs: ["x"], outputs: ["y"] }],
    }));
    const [made] = foreign(bytes)?.node ?? [];
    expect([made.opType, made.input, made.output]).toEqual(["Relu", ["x"], ["y"]]);
  });

  it("of the domain ai.onnx is one of ONNX's own", () => {
    expect(open(model(node("Relu", len(7, "ai.onnx")), io)).graph.nodes[0].domain).toBe("");
  });
});

describe("a tensor", () => {
  const raw = (...xs: number[]) => len(9, bytesOf(Float32Array.from(xs)));
  const replaced = (field: Bytes, values: () => Tensor["data"], dims?: number[]) =>
    edited(model(field, io), (m) => ({
      replaceTensors: [{ tensor: m.graph.initializers[0], values: Object.assign(values), dims }],
    }));

  it("takes new dims where each stood by itself, more of them and fewer", () => {
    const apart = tensor(num(1, 2), num(1, 2), num(2, 1), len(8, "w"), raw(1, 2, 3, 4));
    for (const dims of [[4], [1, 4, 1]]) {
      const bytes = replaced(apart, () => Float64Array.of(5, 6, 7, 8), dims);
      expect(foreign(bytes)?.initializer?.[0].dims?.map(Number)).toEqual(dims);
      expect([...numbers(open(bytes), "w").data]).toEqual([5, 6, 7, 8]);
    }
    // A scalar has none.
    const scalar = replaced(tensor(num(2, 1), len(8, "w"), raw(1)), () => Float64Array.of(2), [1, 1]);
    expect(foreign(scalar)?.initializer?.[0].dims?.map(Number)).toEqual([1, 1]);
  });

  it("of text takes other text, also where there was none", () => {
    const some = tensor(num(1, 2), num(2, 8), len(6, "a"), len(6, "b"), len(8, "w"));
    expect(numbers(open(replaced(some, () => ["c", "d"])), "w").data).toEqual(["c", "d"]);
    const none = tensor(num(1, 0), num(2, 8), len(8, "w"));
    expect(numbers(open(replaced(none, () => ["c"], [1])), "w").data).toEqual(["c"]);
    const added = edited(model(some, io), (m) => ({
      addTensors: [{ graph: m.graph, tensor: { name: "t", dtype: "string", dims: [1], values: () => ["e"] } }],
    }));
    expect(numbers(open(added), "t").data).toEqual(["e"]);
  });

  it("like one without a name and a type has both", () => {
    const bytes = edited(model(tensor(num(1, 1)), io), (m) => ({
      addTensors: [
        {
          graph: m.graph,
          tensor: { name: "t", dtype: "float32", dims: [2], like: m.graph.initializers[0], values: () => Float64Array.of(1, 2) },
        },
      ],
    }));
    const made = foreign(bytes)?.initializer?.[1];
    expect([made?.name, made?.dataType, made?.dims?.map(Number)]).toEqual(["t", 1, [2]]);
    expect([...numbers(open(bytes), "t").data]).toEqual([1, 2]);
  });

  it("of complex numbers holds two for each", () => {
    const make = (count: number) => () =>
      edited(model(tensor(num(1, 1), num(2, 1), len(8, "w"), raw(1)), io), (m) => ({
        addTensors: [
          {
            graph: m.graph,
            tensor: { name: "t", dtype: "complex64", dims: [2], values: () => new Float64Array(count).fill(1.5) },
          },
        ],
      }));
    expect([...numbers(open(make(4)()), "t").data]).toEqual([1.5, 1.5, 1.5, 1.5]);
    expect(make(2)).toThrow('tensor "t": got 2 numbers, expected 4');
  });

  it("that is not as dims say is told", () => {
    const bad =
      (...fields: Bytes[]) =>
      () =>
        numbers(open(model(tensor(num(1, 2), ...fields, len(8, "w")), io)), "w");
    expect(bad(num(2, 1), len(4, bytesOf(Float32Array.of(1))))).toThrow(/"w"/);
    expect(bad(num(2, 1), len(9, [1, 2, 3]))).toThrow(/"w"/);
    expect(bad(num(2, 8), len(9, [1, 2]))).toThrow("strings cannot be in raw_data");
    expect(bad(num(2, 8), len(6, "a"))).toThrow("string_data has 1 entries, expected 2");
    expect(bad(num(2, 8), num(6, 1), num(6, 2))).toThrow("string_data is written with wire type 0");
    expect(bad(num(2, 1), len(4, [1, 2, 3]))).toThrow();
  });

  it("is compared with another by its bytes, which tell of text and of other lengths nothing", () => {
    const of = (...fields: Bytes[]) => open(model(tensor(num(1, 2), ...fields), io)).graph.initializers[0];
    const two = of(num(2, 1), raw(1, 2));
    expect(samePayload(two, of(num(2, 1), len(4, bytesOf(Float32Array.of(1, 2)))))).toBe(true);
    expect(samePayload(two, of(num(2, 1), f32(4, 1), f32(4, 2)))).toBe(false);
    expect(samePayload(of(num(2, 8), len(6, "a"), len(6, "b")), of(num(2, 8), len(6, "a"), len(6, "b")))).toBe(false);
    for (const [code, bytes] of [
      [9, [0, 1]],
      [22, [0x21]],
    ] as const) {
      expect(samePayload(of(num(2, code), len(9, bytes)), of(num(2, code), len(9, bytes)))).toBe(true);
      expect(
        samePayload(
          of(num(2, code), len(9, bytes)),
          of(
            num(2, code),
            len(
              9,
              bytes.map((b) => b ^ 1),
            ),
          ),
        ),
      ).toBe(false);
    }
  });
});

describe("a sparse tensor", () => {
  const sparse = (values: Bytes, indices: Bytes, dims: number) => {
    const graph = len(15, [...len(1, [...values, ...len(8, "s")]), ...len(2, indices), ...num(3, dims)]);
    return open(model(graph, io)).graph.sparseInitializers[0];
  };
  const at = (...list: number[]) => [
    ...num(1, list.length),
    ...num(2, 7),
    ...len(
      7,
      list.flatMap((v) => vi(v)),
    ),
  ];
  it("may be of text, or of complex numbers", () => {
    const words = [...num(1, 2), ...num(2, 8), ...len(6, "a"), ...len(6, "b")];
    expect(decodeSparse(sparse(words, at(0, 2), 3)).data).toEqual(["a", "", "b"]);
    const complex = [...num(1, 1), ...num(2, 14), ...len(9, bytesOf(Float32Array.of(1, 2)))];
    expect([...decodeSparse(sparse(complex, at(1), 2)).data]).toEqual([0, 0, 1, 2]);
  });

  it("has indices of 64 bits, inside its dims", () => {
    const value = [...num(1, 1), ...num(2, 1), ...len(9, bytesOf(Float32Array.of(1)))];
    const short = [...num(1, 1), ...num(2, 6), ...len(5, [1])];
    expect(() => decodeSparse(sparse(value, short, 3))).toThrow("sparse indices are int32, expected int64");
    expect(() => decodeSparse(sparse(value, at(3), 3))).toThrow("sparse index 3 is outside 0 to 2");
    expect(() => decodeSparse(sparse(value, at(0, 1), 3))).toThrow("sparse indices have dims [2]");
  });
});

describe("numbers that are written wrongly", () => {
  const endless = new Array<number>(11).fill(0xff);
  it.each<[string, Bytes, RegExp]>([
    ["a varint without an end", [...vi(99 << 3), ...endless, 0], /a varint is longer than ten bytes/],
    [
      "one in a packed list",
      tensor([...vi((1 << 3) | 2), 12, ...endless, 0], num(2, 1), len(8, "w")),
      /a varint is longer than ten bytes/,
    ],
    [
      "a list of floats of three bytes",
      node("Elu", len(5, [...len(1, "v"), ...len(7, [1, 2, 3]), ...num(20, 6)])),
      /not a multiple of four bytes/,
    ],
  ])("%s", (_name, part, said) => {
    expect(() => {
      const m = open(model(part, io));
      return [m.graph.nodes.map(({ attributes }) => attributes.get("v")?.floats), m.graph.initializers.map(({ dims }) => dims)];
    }).toThrow(said);
  });
});

describe("bytes in memory", () => {
  it("may be those of another realm, or any array of bytes", () => {
    const bytes = model(node("Relu"), io);
    const other = (kind: string) => runInNewContext(`${kind}.from(list)`, { list: [...bytes] });
    for (const given of [
      bytes.slice().buffer,
      new Uint8ClampedArray(bytes),
      other("Uint8Array"),
      other("Uint8ClampedArray"),
      runInNewContext("Uint8Array.from(list).buffer", { list: [...bytes] }),
    ])
      expect(open(memorySource(given).read(0, bytes.length)).graph.nodes[0].opType).toBe("Relu");
    const shared = new SharedArrayBuffer(bytes.length);
    new Uint8Array(shared).set(bytes);
    expect(memorySource(shared as never).read(0, 4)).toEqual(bytes.subarray(0, 4));
    for (const given of ["text", 3, new Float32Array(2), undefined])
      expect(() => memorySource(given as never)).toThrow(expect.objectContaining({ kind: "usage" }));
  });

  it("are not read beyond their end", () => {
    const source = memorySource(Uint8Array.of(1, 2, 3), "s");
    for (const [from, to] of [
      [-1, 2],
      [0, 4],
      [2, 1],
    ])
      expect(() => source.read(from, to)).toThrow(/outside the file/);
  });
});
