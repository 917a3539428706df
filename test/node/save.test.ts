import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { type OpenModel, openModel } from "../../src/node/files.ts";
import { chooseSideFile, saveModel } from "../../src/node/save.ts";
import { decode } from "../../src/onnx/codec.ts";
import { type ModelEdits, NO_EDITS, type Written, write } from "../../src/onnx/write.ts";
import { bytesOf, len, model, num } from "../onnx/bytes.ts";

let dir = "";
let opened: OpenModel;
const entry = (key: string, value: string) => len(13, [...len(1, key), ...len(2, value)]);
const tensor = (name: string, location: string) =>
  len(5, [...num(1, 1), ...num(2, 1), ...len(8, name), ...entry("location", location), ...num(14, 1)]);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bnfold-save-"));
  for (const name of ["in/sub", "out"]) mkdirSync(join(dir, name), { recursive: true });
  writeFileSync(join(dir, "in/m.onnx"), model(tensor("a", "a.bin"), tensor("b", "sub/b.bin")));
  writeFileSync(join(dir, "in/a.bin"), Uint8Array.from(bytesOf(Float32Array.of(1))));
  writeFileSync(join(dir, "in/sub/b.bin"), Uint8Array.from(bytesOf(Float32Array.of(2))));
  opened = openModel(join(dir, "in/m.onnx"));
});
afterEach(() => {
  opened.close();
  rmSync(dir, { recursive: true, force: true });
});

const change = (): ModelEdits => ({
  ...NO_EDITS,
  replaceTensors: [{ tensor: opened.model.graph.initializers[0], values: () => Float64Array.of(5) }],
});
const written = (out: string, edits = change()): Written =>
  write(opened.model, edits, { sideFileName: chooseSideFile(opened.model, out) });
const save = (out: string, w: Written, replaceExisting = false) =>
  saveModel(opened.model, w, out, { modelPath: opened.path, replaceExisting });
const numbers = (path: string): number[] => {
  const now = openModel(path);
  const all = now.model.graph.initializers.map((t) => (decode(t).data as Float64Array)[0]);
  now.close();
  return all;
};
const files = (folder: string) => readdirSync(join(dir, folder), { recursive: true, encoding: "utf8" }).sort();
const failed = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    expect(error).toBeInstanceOf(BnfoldError);
    return (error as BnfoldError).message;
  }
  return "fine";
};

describe("saveModel", () => {
  it("beside the input: shares the side files it did not touch", async () => {
    const out = join(dir, "in/n.onnx");
    const saved = await save(out, written(out));
    expect(saved.sideFiles.map(({ how }) => how)).toEqual(["kept", "written"]);
    expect(files("in")).toEqual(["a.bin", "m.onnx", "n.onnx", "n.onnx.bnfold.data", "sub", "sub/b.bin"]);
    expect(numbers(out)).toEqual([5, 2]);
    expect(numbers(opened.path)).toEqual([1, 2]);
  });

  it("in another folder: takes along what the output needs, and no more", async () => {
    const out = join(dir, "out/n.onnx");
    const saved = await save(out, written(out));
    expect(saved.sideFiles.map(({ how }) => how)).toEqual(["copied", "written"]);
    expect(files("out")).toEqual(["n.onnx", "n.onnx.bnfold.data", "sub", "sub/b.bin"]);
    expect(numbers(out)).toEqual([5, 2]);
    expect(saved.bytes).toBe(readFileSync(out).length);
    // Again, with replacement: side files that are there with the same bytes stay.
    expect((await save(out, written(out), true)).sideFiles.map(({ how }) => how)).toEqual(["kept", "kept"]);
    expect(await failed(save(out, written(out)))).toMatch(/exists already/);
  });

  it("never overwrites a side file that differs, and leaves nothing then", async () => {
    mkdirSync(join(dir, "out/sub"));
    writeFileSync(join(dir, "out/sub/b.bin"), "mine");
    const out = join(dir, "out/n.onnx");
    expect(await failed(save(out, written(out), true))).toMatch(/exists and differs/);
    expect(files("out")).toEqual(["sub", "sub/b.bin"]);
    expect(readFileSync(join(dir, "out/sub/b.bin"), "utf8")).toBe("mine");
  });

  it("takes folders it made away again when it fails", async () => {
    rmSync(join(dir, "in/a.bin"));
    const out = join(dir, "out/n.onnx");
    expect(await failed(save(out, write(opened.model, NO_EDITS)))).toMatch(/does not exist/);
    const w: Written = {
      ...written(out),
      main: [
        {
          length: 1,
          make: () => {
            throw new BnfoldError("model", "boom");
          },
        },
      ],
    };
    expect(await failed(save(out, w))).toBe("boom");
    expect(files("out")).toEqual([]);
  });

  it("in place: the input's own side files live on", async () => {
    await save(opened.path, written(opened.path), true);
    expect(numbers(opened.path)).toEqual([5, 2]);
    opened.close();
    opened = openModel(opened.path);
    // A second time: the first side file is now the input's, so the new one gets another name.
    expect(chooseSideFile(opened.model, opened.path)).toBe("m.onnx.bnfold.2.data");
    await save(opened.path, written(opened.path), true);
    expect(numbers(opened.path)).toEqual([5, 2]);
  });

  it("refuses an output that is one of the side files", async () => {
    for (const name of ["in/a.bin", "in/sub/b.bin", "out/a.bin"]) {
      expect(await failed(save(join(dir, name), written(join(dir, name), NO_EDITS), true))).toMatch(
        /it is the model's side file/,
      );
    }
    expect([...readFileSync(join(dir, "in/a.bin"))]).toEqual(bytesOf(Float32Array.of(1)));
    for (const [sideFileName, what] of [
      ["m.onnx", "the input"],
      ["n.onnx", "the output"],
      ["sub/b.bin", "side file"],
    ]) {
      const w = write(opened.model, change(), { sideFileName });
      expect(await failed(save(join(dir, "in/n.onnx"), w, true))).toContain(what);
    }
    expect(numbers(opened.path)).toEqual([1, 2]);
  });

  it("writes one file when everything is inline", async () => {
    const out = join(dir, "out/n.onnx");
    const saved = await save(out, write(opened.model, change(), { external: "inline" }));
    expect(saved.sideFiles).toEqual([]);
    expect(files("out")).toEqual(["n.onnx"]);
    expect(numbers(out)).toEqual([5, 2]);
  });
});

describe("chooseSideFile", () => {
  it("keeps off names that are in use", () => {
    expect(chooseSideFile(opened.model, join(dir, "out/n.onnx"))).toBe("n.onnx.bnfold.data");
    expect(chooseSideFile(opened.model, join(dir, "n.onnx"), "w.data")).toBe("w.data");
    for (const name of ["a.bin", "A.bin", "./sub/b.bin", "n.onnx"]) {
      expect(() => chooseSideFile(opened.model, join(dir, "n.onnx"), name), name).toThrow(/already has that name/);
    }
    for (const name of ["../w", "/w", "a\\b"])
      expect(() => chooseSideFile(opened.model, join(dir, "n.onnx"), name), name).toThrow(BnfoldError);
  });
});
