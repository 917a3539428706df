import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { decode, decodeSparse, encodeField, encodeLike, encodeRaw } from "../../src/onnx/codec.ts";
import { type DType, dtypeInfo } from "../../src/onnx/dtype.ts";
import { encodeFloat } from "../../src/onnx/float.ts";
import { read, readTensor } from "../../src/onnx/read.ts";
import type { TensorRecord } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { type Bytes, bytesOf, f32, f64, len, model, num, vi } from "./bytes.ts";

const code = (dtype: DType) => dtypeInfo(dtype).code;

/** A record of a TensorProto whose bytes lie at an odd offset, so that nothing can lean on alignment. */
function record(dtype: DType | number, dims: readonly (number | bigint)[], ...payload: Bytes[]): TensorRecord {
  const head = [...len(8, "t"), ...dims.flatMap((d) => num(1, d)), ...num(2, typeof dtype === "number" ? dtype : code(dtype))];
  const bytes = Uint8Array.from([0, ...head, ...payload.flat()]);
  return readTensor(memorySource(bytes.subarray(1)));
}

const values = (r: TensorRecord) => Array.from(decode(r).data as ArrayLike<unknown>);
const raw = (array: ArrayBufferView | Bytes): number[] => len(9, ArrayBuffer.isView(array) ? bytesOf(array) : array);

describe("raw_data", () => {
  it("holds the plain types", () => {
    expect(values(record("float32", [2], raw(Float32Array.of(1.5, -0.1))))).toEqual([1.5, Math.fround(-0.1)]);
    expect(values(record("float64", [2], raw(Float64Array.of(0.1, -Infinity))))).toEqual([0.1, -Infinity]);
    expect(values(record("int8", [2], raw(Int8Array.of(-128, 127))))).toEqual([-128, 127]);
    expect(values(record("uint8", [2], raw(Uint8Array.of(0, 255))))).toEqual([0, 255]);
    expect(values(record("int16", [2], raw(Int16Array.of(-32768, 5))))).toEqual([-32768, 5]);
    expect(values(record("uint16", [1], raw(Uint16Array.of(65535))))).toEqual([65535]);
    expect(values(record("int32", [2], raw(Int32Array.of(-(2 ** 31), 7))))).toEqual([-(2 ** 31), 7]);
    expect(values(record("uint32", [1], raw(Uint32Array.of(2 ** 32 - 1))))).toEqual([2 ** 32 - 1]);
    expect(values(record("int64", [2], raw(BigInt64Array.of(-1n, 2n ** 62n))))).toEqual([-1n, 2n ** 62n]);
    expect(values(record("uint64", [1], raw(BigUint64Array.of(2n ** 64n - 1n))))).toEqual([2n ** 64n - 1n]);
    expect(values(record("bool", [3], raw(Uint8Array.of(0, 1, 7))))).toEqual([0, 1, 1]);
    expect(values(record("complex64", [1], raw(Float32Array.of(1, -2))))).toEqual([1, -2]);
    expect(values(record("complex128", [1], raw(Float64Array.of(1, -2))))).toEqual([1, -2]);
    expect(values(record("float16", [3], raw(Uint16Array.of(0x3c00, 0xc000, 0x0001))))).toEqual([1, -2, 2 ** -24]);
    expect(values(record("bfloat16", [3], raw(Uint16Array.of(0x3f80, 0xc000, 0x0001))))).toEqual([1, -2, 2 ** -133]);
  });

  it("holds narrow elements, packed from the low bits up", () => {
    expect(values(record("uint4", [3], raw([0x21, 0x0f])))).toEqual([1, 2, 15]);
    expect(values(record("int4", [3], raw([0x98, 0x07])))).toEqual([-8, -7, 7]);
    expect(values(record("uint2", [5], raw([0b11100100, 0b01])))).toEqual([0, 1, 2, 3, 1]);
    expect(values(record("int2", [4], raw([0b11100100])))).toEqual([0, 1, -2, -1]);
    expect(values(record("float4e2m1", [3], raw([0xf2, 0x01])))).toEqual([1, -6, 0.5]);
    // 6-bit codes 1, 2, 3, 63 as one stream of bits: 000001 | 000010 << 6 | 000011 << 12 | 111111 << 18.
    expect(values(record("float6e2m3", [4], raw([0x81, 0x30, 0xfc])))).toEqual([0.125, 0.25, 0.375, -7.5]);
    expect(values(record("float6e2m3", [1], raw([0x01])))).toEqual([0.125]);
    expect(values(record("float6e3m2", [1], raw([0x1f, 0, 0])))).toEqual([28]);
    expect(values(record("float8e4m3fn", [3], raw([0x38, 0x7e, 0xfe])))).toEqual([1, 448, -448]);
    expect(values(record("float8e4m3fnuz", [2], raw([0x40, 0x80])))).toEqual([1, NaN]);
    expect(values(record("float8e5m2", [2], raw([0x3c, 0xfc])))).toEqual([1, -Infinity]);
    expect(values(record("float8e5m2fnuz", [2], raw([0x40, 0x7f])))).toEqual([1, 57344]);
    expect(values(record("float8e8m0", [3], raw([127, 0, 255])))).toEqual([1, 2 ** -127, NaN]);
  });
});

describe("typed fields", () => {
  it("are read packed, single, and mixed", () => {
    const packed = len(4, bytesOf(Float32Array.of(1, 2)));
    expect(values(record("float32", [3], packed, f32(4, 3)))).toEqual([1, 2, 3]);
    expect(values(record("float64", [3], f64(10, 1), len(10, bytesOf(Float64Array.of(2, 3)))))).toEqual([1, 2, 3]);
    expect(values(record("int64", [3], num(7, -5), len(7, [...vi(2 ** 40), ...vi(-(2n ** 63n))])))).toEqual([
      -5n,
      2n ** 40n,
      -(2n ** 63n),
    ]);
    expect(values(record("uint64", [1], num(11, 2n ** 64n - 1n)))).toEqual([2n ** 64n - 1n]);
    expect(values(record("uint32", [2], len(11, [...vi(2 ** 32 - 1), ...vi(7)])))).toEqual([2 ** 32 - 1, 7]);
    expect(values(record("int32", [3], num(5, -1), len(5, [...vi(2 ** 31 - 1), ...vi(5, 4)])))).toEqual([-1, 2 ** 31 - 1, 5]);
    expect(values(record("complex64", [1], len(4, bytesOf(Float32Array.of(1, -2)))))).toEqual([1, -2]);
    expect(values(record("complex128", [1], f64(10, 1), f64(10, -2)))).toEqual([1, -2]);
  });

  it("carry small types in int32_data", () => {
    const int32 = (...xs: number[]) =>
      len(
        5,
        xs.flatMap((x) => vi(x)),
      );
    expect(values(record("int8", [2], int32(-128, 127)))).toEqual([-128, 127]);
    expect(values(record("uint8", [2], int32(255, 1)))).toEqual([255, 1]);
    expect(values(record("int16", [2], int32(-2, 3)))).toEqual([-2, 3]);
    expect(values(record("uint16", [1], int32(65535)))).toEqual([65535]);
    expect(values(record("bool", [2], int32(1, 0)))).toEqual([1, 0]);
    expect(values(record("float16", [2], int32(0x3c00, 0xc000)))).toEqual([1, -2]);
    expect(values(record("bfloat16", [2], int32(0x3f80, 0xc000)))).toEqual([1, -2]);
    expect(values(record("float8e5m2", [2], int32(0x3c, 0xbc)))).toEqual([1, -1]);
    expect(values(record("float8e8m0", [1], int32(128)))).toEqual([2]);
    expect(values(record("uint4", [3], int32(0x21, 0x0f)))).toEqual([1, 2, 15]);
    expect(values(record("int4", [3], int32(0x98, 0x07)))).toEqual([-8, -7, 7]);
    expect(values(record("int2", [5], int32(0b11100100, 2)))).toEqual([0, 1, -2, -1, -2]);
    expect(values(record("float4e2m1", [1], int32(7)))).toEqual([6]);
    expect(values(record("float6e2m3", [5], int32(1, 2, 3, 63, 4)))).toEqual([0.125, 0.25, 0.375, -7.5, 0.5]);
  });

  it("carry strings, empty and non-ASCII ones too", () => {
    expect(values(record("string", [3], len(6, "a"), len(6, ""), len(6, "\ufeffß")))).toEqual(["a", "", "\ufeffß"]);
    expect(values(record("string", [1], len(6, "")))).toEqual([""]);
  });
});

describe("payload and dims", () => {
  it("may both be empty", () => {
    for (const dtype of ["float32", "int64", "int4", "string", "float6e3m2"] as const) {
      expect(values(record(dtype, [0, 3]))).toEqual([]);
      expect(values(record(dtype, [0]))).toEqual([]);
    }
    expect(values(record("float32", [0], len(4, [])))).toEqual([]);
    expect(values(record("float32", [], raw(Float32Array.of(3))))).toEqual([3]);
    expect(values(record("float32", [0, 2 ** 50, 2 ** 50]))).toEqual([]);
  });

  it("are compared before anything is allocated", () => {
    const bad: [TensorRecord, RegExp][] = [
      [record("float32", [2 ** 40], raw([0, 0, 0, 0])), /4 bytes, expected 4398046511104 .*float32/],
      [record("float32", [2 ** 32, 2 ** 32]), /make/],
      [record("int64", [2 ** 47], len(7, vi(1))), /1 entries, expected 140737488355328/],
      [record("string", [2 ** 40], len(6, "a")), /1 entries, expected/],
      [record("float32", [-1]), /-1/],
      [record("float32", [2n ** 63n - 1n]), /expected whole numbers/],
      [record("float32", [3], raw([0, 0, 0, 0])), /4 bytes, expected 12/],
      [record("float32", [3]), /0 bytes, expected 12/],
      [record("int4", [3], raw([1])), /1 bytes, expected 2/],
      [record("float32", [1], len(5, vi(1))), /int32_data, expected float_data/],
      [record("uint32", [1], len(5, vi(1))), /int32_data, expected uint64_data/],
      [record("float32", [1], raw([0, 0, 0, 0]), f32(4, 1)), /both raw_data and float_data/],
      [record("string", [1], raw([65])), /raw_data/],
      [record("int32", [1], len(5, [0x80])), /entries/],
      [record("int32", [1], len(5, [1, 0x80])), /cut off/],
      [record("int32", [1], len(5, [...Array(11).fill(0x80), 1])), /ten bytes/],
      [record("float32", [1], num(4, 1)), /wire type 0/],
      [record(0, [1]), /element type 0/],
      [record(99, [1]), /element type 99/],
    ];
    for (const [r, message] of bad) {
      expect(() => decode(r)).toThrow(message);
      expect(() => decode(r)).toThrow(BnfoldError);
    }
  });

  it("must be in one typed field", () => {
    expect(() => record("float32", [2], f32(4, 1), num(5, 1))).toThrow(/at once/);
    expect(values(record("float32", [1], f32(4, 1), len(5, [])))).toEqual([1]);
    expect(values(record("float32", [1], len(5, []), f32(4, 1)))).toEqual([1]);
  });
});

describe("keepStorage", () => {
  it("keeps float32 as it is and never gives away memory of the file", () => {
    const bytes = Uint8Array.from([...num(1, 2), ...num(2, 1), ...raw(Float32Array.of(1, 2))]);
    const r = readTensor(memorySource(bytes));
    const { data } = decode(r, { keepStorage: true });
    expect(data).toEqual(Float32Array.of(1, 2));
    (data as Float32Array)[0] = 9;
    expect(decode(r).data).toEqual(Float64Array.of(1, 2));
  });
});

describe("external data", () => {
  const side = memorySource(Uint8Array.from([9, 9, 9, 9, ...bytesOf(Float32Array.of(1, 2))]), "side");
  const external = (entries: Record<string, string>) => {
    const tensor = [...num(1, 2), ...num(2, 1), ...len(8, "w"), ...num(14, 1)];
    for (const [key, value] of Object.entries(entries)) tensor.push(...len(13, [...len(1, key), ...len(2, value)]));
    return read(memorySource(model(len(5, tensor))), { external: () => side }).graph.initializers[0];
  };
  it("is found by offset, with and without a length", () => {
    expect(values(external({ location: "s", offset: "4", length: "8" }))).toEqual([1, 2]);
    expect(values(external({ location: "s", offset: "4" }))).toEqual([1, 2]);
  });
  it("is checked against the side file first", () => {
    expect(() => decode(external({ location: "s", offset: "8" }))).toThrow(/bytes 8 to 16 of "s", which has only 12/);
    expect(() => decode(external({ location: "s", offset: "4", length: "4" }))).toThrow(/said to have 4 bytes, expected 8/);
    expect(() => decode(external({ location: "s", offset: String(2 ** 52) }))).toThrow(BnfoldError);
    for (const offset of ["-1", "1e3", "0x10", "99999999999999999999"])
      expect(() => external({ location: "s", offset })).toThrow(BnfoldError);
    expect(() => external({ offset: "0" })).toThrow(/no location/);
  });
});

describe("sparse tensors", () => {
  const sparse = (dims: number[], indexDims: number[], indices: bigint[], ...own: Bytes[]) => {
    const index = [...indexDims.flatMap((d) => num(1, d)), ...num(2, 7), ...raw(BigInt64Array.from(indices))];
    const content = [...len(1, own.flat()), ...len(2, index), ...dims.flatMap((d) => num(3, d))];
    return read(memorySource(model(len(15, content)))).graph.sparseInitializers[0];
  };
  const two = [...num(1, 2), ...num(2, 1), ...raw(Float32Array.of(5, 6))];
  it("are written out, indices linear or per axis", () => {
    expect(decodeSparse(sparse([2, 3], [2], [1n, 5n], two))).toEqual({
      dtype: "float32",
      dims: [2, 3],
      data: Float64Array.of(0, 5, 0, 0, 0, 6),
    });
    expect(decodeSparse(sparse([2, 3], [2, 2], [0n, 1n, 1n, 2n], two)).data).toEqual(Float64Array.of(0, 5, 0, 0, 0, 6));
    const complex = [...num(1, 1), ...num(2, 14), ...raw(Float32Array.of(1, 2))];
    expect(decodeSparse(sparse([2], [1], [1n], complex)).data).toEqual(Float64Array.of(0, 0, 1, 2));
  });
  it("are refused with indices outside dims, and when they are too large", () => {
    expect(() => decodeSparse(sparse([2, 3], [2], [1n, 6n], two))).toThrow(/index 6/);
    expect(() => decodeSparse(sparse([2, 3], [2, 2], [0n, 3n, 0n, 0n], two))).toThrow(/index 3/);
    expect(() => decodeSparse(sparse([2, 3], [2], [-1n, 0n], two))).toThrow(/index -1/);
    expect(() => decodeSparse(sparse([2, 3], [1], [1n], two))).toThrow(/expected \[2\]/);
    expect(() => decodeSparse(sparse([2 ** 20, 2 ** 20], [2], [0n, 1n], two))).toThrow(/most/);
  });
});

describe("encode", () => {
  const samples: Partial<Record<DType, fc.Arbitrary<number | bigint>>> = {
    float32: fc.float(),
    float64: fc.double(),
    float16: fc.double(),
    bfloat16: fc.double(),
    float8e4m3fn: fc.double(),
    float8e5m2fnuz: fc.double(),
    float8e4m3fnuz: fc.double(),
    float8e5m2: fc.double(),
    float8e8m0: fc.double(),
    float4e2m1: fc.double(),
    float6e2m3: fc.double(),
    float6e3m2: fc.double(),
    complex64: fc.float(),
    complex128: fc.double(),
    bool: fc.integer({ min: 0, max: 1 }),
    int8: fc.integer({ min: -128, max: 127 }),
    uint8: fc.integer({ min: 0, max: 255 }),
    int16: fc.integer({ min: -32768, max: 32767 }),
    uint16: fc.integer({ min: 0, max: 65535 }),
    int32: fc.integer(),
    uint32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    int4: fc.integer({ min: -8, max: 7 }),
    uint4: fc.integer({ min: 0, max: 15 }),
    int2: fc.integer({ min: -2, max: 1 }),
    uint2: fc.integer({ min: 0, max: 3 }),
    int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  };

  it("undoes decode, in raw_data and in the typed field, packed or not", () => {
    for (const [dtype, element] of Object.entries(samples) as [DType, fc.Arbitrary<number | bigint>][]) {
      const width = dtypeInfo(dtype).holder === "complex" ? 2 : 1;
      fc.assert(
        fc.property(fc.array(element, { maxLength: 9 }), (list) => {
          const data = list.slice(0, list.length - (list.length % width));
          const big = dtypeInfo(dtype).holder === "big";
          const array = big
            ? (dtype === "int64" ? BigInt64Array : BigUint64Array).from(data as bigint[])
            : Float64Array.from(data as number[]);
          const bytes = encodeRaw(dtype, array);
          const first = record(dtype, [data.length / width], raw([...bytes]));
          const now = decode(first);
          for (const packed of [true, false]) {
            const typed = record(dtype, [data.length / width], [...encodeField(dtype, now.data, packed)]);
            expect(decode(typed).data).toEqual(now.data);
            if (packed && typed.typed !== undefined && data.length > 0) {
              const { start, end } = typed.typed.parts[0];
              expect(encodeLike(typed, now.data)).toEqual(typed.files.main.read(start, end));
            }
          }
          expect(encodeLike(first, now.data)).toEqual(bytes);
        }),
        { numRuns: 60 },
      );
    }
  });

  it("writes every element type into its typed field as protobuf does, packed or not, however long", () => {
    const fields: Partial<Record<DType, number>> = { int64: 7, uint32: 11, uint64: 11 };
    for (const [dtype, element] of Object.entries(samples) as [DType, fc.Arbitrary<number | bigint>][]) {
      const { bits, holder } = dtypeInfo(dtype);
      if (dtype.startsWith("complex") || dtype === "float32" || dtype === "float64") continue;
      fc.assert(
        fc.property(fc.array(element, { minLength: 1, maxLength: 70 }), (list) => {
          const array =
            holder === "big"
              ? (dtype === "int64" ? BigInt64Array : BigUint64Array).from(list as bigint[])
              : Float64Array.from(list as number[]);
          const bytes = encodeRaw(dtype, array);
          // The entries of onnx.proto: whole elements as int32 (sign-extended) or 64 bits, halves as their pattern, narrower ones by the byte.
          const patterns = bits === 16 ? Array.from(new Uint16Array(bytes.slice().buffer)) : Array.from(bytes);
          const six = dtype === "float6e2m3" || dtype === "float6e3m2" ? dtype : undefined;
          const whole = holder !== "float" && bits >= 8 ? list : patterns;
          const entries = six === undefined ? whole : list.map((v) => encodeFloat(six, Number(v)));
          const field = fields[dtype] ?? 5;
          expect(Array.from(encodeField(dtype, array, true)), dtype).toEqual(
            len(
              field,
              entries.flatMap((v) => vi(v)),
            ),
          );
          expect(Array.from(encodeField(dtype, array, false)), dtype).toEqual(entries.flatMap((v) => num(field, v)));
          for (const packed of [true, false]) {
            const typed = record(dtype, [list.length], [...encodeField(dtype, array, packed)]);
            expect(encodeRaw(dtype, decode(typed).data)).toEqual(bytes);
          }
        }),
        { numRuns: 40 },
      );
    }
  });

  it("refuses what an integer type cannot hold", () => {
    for (const [dtype, x] of [
      ["int8", 128],
      ["uint4", -1],
      ["int32", 0.5],
      ["int64", 0.5],
      ["uint64", -1],
      ["bool", 2],
    ] as const) {
      expect(() => encodeRaw(dtype, Float64Array.of(x)), dtype).toThrow(BnfoldError);
    }
    expect(() => encodeRaw("string", ["a"])).toThrow(BnfoldError);
  });

  it("keeps strings", () => {
    const r = record("string", [2], [...encodeField("string", ["ß", ""], false)]);
    expect(values(r)).toEqual(["ß", ""]);
  });
});
