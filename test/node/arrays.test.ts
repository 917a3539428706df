import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipSync } from "fflate";
import { afterAll, describe, expect, it } from "vitest";
import { loadInputs, saveNpy } from "../../src/node/arrays.ts";
import { type Tensor, tensor } from "../../src/onnx/tensor.ts";
import { formatNpy, parseNpy, parseNpz } from "../../src/run/npy.ts";
import { parseTensorProto, parseValueProto } from "../../src/run/proto-values.ts";
import { bytesField, float32, int64, intField, model, node, tensorProto, type ValueSpec } from "../helpers/build.ts";

const folder = mkdtempSync(join(tmpdir(), "bnfold-arrays-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, bytes);
  return path;
};

/** A .npy file as NEP 1 describes it, written here without the library under test. */
function npy(descr: string, fortran: boolean, shape: string, data: ArrayBufferView): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran ? "True" : "False"}, 'shape': ${shape}, }`;
  const header = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11, " ")}\n`;
  const out = new Uint8Array(10 + header.length + data.byteLength);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  out.set(new TextEncoder().encode(header), 10);
  out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length);
  return out;
}

const modelOf = (...inputs: ValueSpec[]) =>
  model({ nodes: [node("Identity", [inputs[0].name], ["y"])], inputs, outputs: [{ name: "y" }] });
const list = (t: Tensor) => Array.from(t.data as ArrayLike<number | bigint | string>);

describe(".npy", () => {
  it("reads row-major and Fortran order to the same numbers", () => {
    const c = parseNpy(npy("<f4", false, "(2, 3)", Float32Array.of(1, 2, 3, 4, 5, 6)), "c");
    const fortran = parseNpy(npy("<f4", true, "(2, 3)", Float32Array.of(1, 4, 2, 5, 3, 6)), "f");
    expect(fortran).toEqual(c);
    expect(list(c)).toEqual([1, 2, 3, 4, 5, 6]);
    // Index (i, j, k) of a 2×3×4 array holds 12 i + 4 j + k; Fortran order runs i first.
    const cube: number[] = [];
    for (let k = 0; k < 4; k++) for (let j = 0; j < 3; j++) for (let i = 0; i < 2; i++) cube.push(12 * i + 4 * j + k);
    const read = parseNpy(npy("<i8", true, "(2, 3, 4)", BigInt64Array.from(cube, BigInt)), "cube");
    expect(read.dims).toEqual([2, 3, 4]);
    expect(list(read)).toEqual(Array.from({ length: 24 }, (_, i) => BigInt(i)));
  });

  it("reads every type a tensor can hold", () => {
    expect(parseNpy(npy("<f2", false, "(3,)", Uint16Array.of(0x3c00, 0xc000, 0x7bff)), "h")).toEqual(
      tensor("float16", [3], Float64Array.of(1, -2, 65504)),
    );
    expect(parseNpy(npy("|b1", false, "(2,)", Uint8Array.of(1, 0)), "b")).toEqual(tensor("bool", [2], Uint8Array.of(1, 0)));
    expect(parseNpy(npy("|u1", false, "()", Uint8Array.of(200)), "s")).toEqual(tensor("uint8", [], Uint8Array.of(200)));
    expect(parseNpy(npy("<f8", false, "(0, 3)", new Float64Array(0)), "e").dims).toEqual([0, 3]);
    expect(parseNpy(npy("<c8", true, "(1, 2)", Float32Array.of(1, 2, 3, 4)), "c")).toEqual(
      tensor("complex64", [1, 2], Float64Array.of(1, 2, 3, 4)),
    );
    expect(parseNpy(npy("<U2", false, "(2,)", Uint32Array.of(97, 98, 99, 0)), "t")).toEqual(tensor("string", [2], ["ab", "c"]));
  });

  it("refuses big-endian, records, cut-off files and other files, each in its own words", () => {
    expect(() => parseNpy(npy(">f4", false, "(1,)", Uint8Array.of(0x3f, 0x80, 0, 0)), "big.npy")).toThrow(/big-endian/);
    expect(() => parseNpy(npy("<M8", false, "(1,)", new Float64Array(1)), "date.npy")).toThrow(/not one a tensor can hold/);
    expect(() => parseNpy(npy("<f4", false, "(4,)", Float32Array.of(1)), "cut.npy")).toThrow(/1 elements, expected 4/);
    expect(() => parseNpy(new TextEncoder().encode("hello world"), "x.npy")).toThrow(/not a .npy file/);
  });

  it("writes what it reads", () => {
    const all: Tensor[] = [
      tensor("float32", [2, 2], Float64Array.of(1.5, -0, 3e-40, Infinity)),
      tensor("float16", [2], Float64Array.of(0.5, -65504)),
      tensor("int64", [2], BigInt64Array.of(-(2n ** 62n), 7n)),
      tensor("bool", [2], Uint8Array.of(0, 1)),
      tensor("uint16", [], Uint16Array.of(65535)),
      tensor("float64", [1, 3], Float64Array.of(0.1, 1e300, Number.NaN)),
    ];
    for (const t of all) {
      const back = parseNpy(formatNpy(t), "t");
      expect({ dtype: back.dtype, dims: back.dims }).toEqual({ dtype: t.dtype, dims: t.dims });
      // float32 rounds what is beyond it, as storage does.
      expect(list(back)).toEqual(list(t).map((v) => (t.dtype === "float32" ? Math.fround(v as number) : v)));
    }
    expect(parseNpy(formatNpy(tensor("bfloat16", [1], Float64Array.of(1.5))), "t").dtype).toBe("float32");
    const path = join(folder, "saved.npy");
    saveNpy(path, all[0]);
    expect(loadInputs(modelOf({ name: "x", dims: [2, 2] }), [path]).fixed.get("x")).toMatchObject({ dims: [2, 2] });
  });
});

describe(".npz and .pb", () => {
  const one = npy("<f4", false, "(2,)", Float32Array.of(1, 2));
  const two = npy("<i8", false, "(1,)", BigInt64Array.of(9n));

  it("archives, compressed or not, give their arrays by name", () => {
    for (const level of [0, 6] as const) {
      const arrays = parseNpz(zipSync({ "a.npy": one, "b.npy": two }, { level }), "z");
      expect([...arrays.keys()]).toEqual(["a", "b"]);
      expect(list(arrays.get("b") as Tensor)).toEqual([9n]);
    }
    expect(() => parseNpz(Uint8Array.of(1, 2, 3), "bad.npz")).toThrow(/cannot be read/);
    expect(() => parseNpz(zipSync({ "note.txt": one }), "none.npz")).toThrow(/no .npy/);
  });

  it("TensorProto files, raw and typed", () => {
    for (const encoding of ["raw", "typed"] as const) {
      const t = parseTensorProto(tensorProto("x", { ...int64([2], [5, -6]), encoding }), "x.pb");
      expect(t).toEqual(tensor("int64", [2], BigInt64Array.of(5n, -6n)));
    }
    expect(() => parseTensorProto(new TextEncoder().encode("not a tensor"), "x.pb")).toThrow(/not a TensorProto/);
  });

  it("SequenceProto and OptionalProto files", () => {
    const item = (value: number) => bytesField(3, tensorProto("", float32([1], [value])));
    const sequence = Uint8Array.from([...intField(2, 1), ...item(1), ...item(2)]);
    const type = { kind: "tensor" as const, elemType: 1 };
    expect(parseValueProto(sequence, { kind: "sequence", of: type }, "s.pb")).toMatchObject({
      kind: "sequence",
      items: [{ dims: [1] }, { dims: [1] }],
    });
    expect(parseValueProto(item(4), { kind: "optional", of: type }, "o.pb")).toMatchObject({
      kind: "optional",
      item: { dtype: "float32" },
    });
    expect(parseValueProto(new Uint8Array(0), { kind: "optional", of: type }, "o.pb")).toMatchObject({ item: undefined });
    const nested = Uint8Array.from([...intField(2, 3), ...bytesField(5, sequence)]);
    expect(parseValueProto(nested, { kind: "optional", of: { kind: "sequence", of: type } }, "n.pb")).toMatchObject({
      item: { kind: "sequence", items: [{}, {}] },
    });
  });
});

describe("loadInputs", () => {
  const m = modelOf({ name: "x", dims: ["n", 2] }, { name: "ids", dtype: "int64", dims: [1] });
  const x = npy("<f4", false, "(1, 2)", Float32Array.of(1, 2));
  const ids = npy("<i8", false, "(1,)", BigInt64Array.of(3n));

  it("takes name=file, archives, and names with =", () => {
    const given = loadInputs(m, [`x=${file("a=b.npy", x)}`, `ids=${file("ids.npy", ids)}`]);
    expect([...given.fixed.keys()]).toEqual(["x", "ids"]);
    expect(given.notes).toEqual([]);
    expect([...loadInputs(m, [file("both.npz", zipSync({ "x.npy": x, "ids.npy": ids }))]).fixed.keys()].sort()).toEqual([
      "ids",
      "x",
    ]);
    expect([...loadInputs(m, [`x=${file("single.npz", zipSync({ "arr_0.npy": x }))}`]).fixed.keys()]).toEqual(["x"]);
    expect([...loadInputs(modelOf({ name: "x" }), [file("c=d.npy", x)]).fixed.keys()]).toEqual(["x"]);
  });

  it("takes folders of test data, by position or by name", () => {
    file("m/test_data_set_0/input_0.pb", tensorProto("", float32([1, 2], [1, 2])));
    file("m/test_data_set_0/input_1.pb", tensorProto("", int64([1], [3])));
    file("m/test_data_set_10/x.npy", x);
    file("m/test_data_set_10/ids.npy", ids);
    file("m/test_data_set_2/input_0.pb", tensorProto("", float32([1, 2], [1, 2])));
    file("m/test_data_set_2/input_1.pb", tensorProto("", int64([1], [3])));
    const { given } = loadInputs(m, [join(folder, "m")]);
    expect(given.map((set) => set.name)).toEqual(["test_data_set_0", "test_data_set_2", "test_data_set_10"]);
    expect(given.every((set) => set.feeds.size === 2)).toBe(true);
    file("lack/x.npy", x);
    expect(() => loadInputs(m, [join(folder, "lack")])).toThrow(/no value for "ids"/);
  });

  it("converts float and integer widths with a note, once and rightly", () => {
    const wide = npy("<f8", false, "(1, 2)", Float64Array.of(0.1, 1 + 2 ** -40));
    const { fixed, notes } = loadInputs(m, [
      `x=${file("wide.npy", wide)}`,
      `ids=${file("narrow.npy", npy("<i4", false, "(1,)", Int32Array.of(7)))}`,
    ]);
    expect(list(fixed.get("x") as Tensor)).toEqual([Math.fround(0.1), 1]);
    expect(fixed.get("ids")).toEqual(tensor("int64", [1], BigInt64Array.of(7n)));
    expect(notes).toHaveLength(2);
    expect(notes[0]).toMatch(/float64, converted to float32/);
  });

  it("says what does not fit", () => {
    const wrong = (spec: string, text: RegExp) => expect(() => loadInputs(m, [spec])).toThrow(text);
    wrong(`x=${file("ids.npy", ids)}`, /has shape \[1\], the input takes \[n, 2\]/);
    wrong(`ids=${file("real.npy", npy("<f4", false, "(1,)", Float32Array.of(1)))}`, /holds float32, the input takes int64/);
    wrong(`z=${file("x.npy", x)}`, /no input of the model/);
    wrong(file("x.npy", x), /the model has 2/);
    wrong(`x=${join(folder, "missing.npy")}`, /does not exist/);
    wrong(`x=${file("x.csv", x)}`, /suffix ".csv"/);
    const tooLarge = modelOf({ name: "x", dtype: "int8", dims: [1] });
    expect(() => loadInputs(tooLarge, [`x=${file("big.npy", npy("<i4", false, "(1,)", Int32Array.of(300)))}`])).toThrow(
      /holds int32/,
    );
  });
});
