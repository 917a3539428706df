/** External data in every place a tensor may stand, in every mode, through a whole fold and a move to another folder. */
import { createHash } from "node:crypto";
import {
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { plan } from "../../src/fold/index.ts";
import { openModel } from "../../src/node/files.ts";
import { saveModel, writeBeside } from "../../src/node/save.ts";
import { decode, decodeSparse } from "../../src/onnx/codec.ts";
import type { Model, TensorRecord } from "../../src/onnx/records.ts";
import { sideFileUse } from "../../src/onnx/side-files.ts";
import { NO_EDITS, type WriteOptions } from "../../src/onnx/write.ts";
import { neededFiles } from "../../src/report/report.ts";
import { prove } from "../../src/verify/proof.ts";
import { type Bytes, bytesOf, len, model as modelOf, num } from "../onnx/bytes.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bnfold-external-"));
  for (const name of ["in/sub", "out"]) mkdirSync(join(dir, name), { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const C = 24;
const weights = Float32Array.from({ length: C * C * 9 }, (_, i) => Math.sin(i + 1));
const table = Float32Array.from({ length: 600 }, (_, i) => Math.cos(i));

interface Place {
  readonly location: string;
  readonly offset?: number;
  readonly length?: number;
  readonly checksum?: string;
}

const entry = (key: string, value: string | number) => len(13, [...len(1, key), ...len(2, String(value))]);
const outside = (name: string, dims: readonly number[], place: Place, type = 1): Bytes => [
  ...dims.flatMap((d) => num(1, d)),
  ...num(2, type),
  ...len(8, name),
  ...Object.entries(place).flatMap(([key, value]) => entry(key, value)),
  ...num(14, 1),
];
const inside = (name: string, data: Float32Array): Bytes => [
  ...num(1, data.length),
  ...num(2, 1),
  ...len(8, name),
  ...len(9, bytesOf(data)),
];
const node = (op: string, inputs: readonly string[], outputs: readonly string[], ...attributes: Bytes[]): Bytes =>
  len(1, [
    ...inputs.flatMap((x) => len(1, x)),
    ...outputs.flatMap((y) => len(2, y)),
    ...len(3, outputs[0]),
    ...len(4, op),
    ...attributes.flatMap((a) => len(5, a)),
  ]);
const graphAttribute = (name: string, content: Bytes): Bytes => [...len(1, name), ...len(6, content), ...num(20, 5)];
const value = (field: number, name: string, dims: readonly number[], type = 1): Bytes =>
  len(field, [
    ...len(1, name),
    ...len(
      2,
      len(1, [
        ...num(1, type),
        ...len(
          2,
          dims.flatMap((d) => len(1, num(1, d))),
        ),
      ]),
    ),
  ]);

/**
 * x → Conv (w: a.bin, at 64) → BatchNormalization → + c (a Constant, its tensor in sub/b.bin, without length) → If, whose branches
 * add tables of their own (one shares c's bytes) → + the sparse initializer s (values in a.bin, indices inside).
 */
function write(place: Partial<Record<"w" | "c", Place>> = {}): string {
  const branch = (name: string, at: Place): Bytes => [
    ...node("Add", ["shifted", name], [`${name}_sum`]),
    ...len(2, name),
    ...len(5, outside(name, [1, C, 5, 5], at)),
    ...value(12, `${name}_sum`, [1, C, 5, 5]),
  ];
  const c = { location: "sub/b.bin", offset: 8, ...place.c };
  const graph = [
    node("Conv", ["x", "w"], ["conv"]),
    node("BatchNormalization", ["conv", "scale", "bias", "mean", "var"], ["norm"]),
    node("Constant", [], ["c"], [...len(1, "value"), ...len(5, outside("", [1, C, 5, 5], c)), ...num(20, 4)]),
    node("Max", ["norm", "c"], ["shifted"]),
    node(
      "If",
      ["flag"],
      ["picked"],
      graphAttribute("then_branch", branch("t", { location: "sub/b.bin", offset: 8, length: 2400 })),
      graphAttribute("else_branch", branch("e", { location: "sub/../sub/b.bin".replace("sub/../", "./"), offset: 8 })),
    ),
    // No map, as Max above is none: it would go into the branches.
    node("Max", ["picked", "s"], ["y"]),
    len(2, "g"),
    len(5, outside("w", [C, C, 3, 3], { location: "a.bin", offset: 64, length: weights.byteLength, ...place.w })),
    ...["scale", "bias", "mean", "var"].map((name, k) =>
      len(
        5,
        inside(
          name,
          Float32Array.from({ length: C }, (_, i) => k + 1 + i / 8),
        ),
      ),
    ),
    len(15, [
      ...len(1, outside("s", [2], { location: "a.bin", offset: 8 })),
      ...len(2, [...num(1, 2), ...num(2, 7), ...len(8, "s_at"), ...len(9, bytesOf(BigInt64Array.of(3n, 7n)))]),
      ...[1, C, 5, 5].flatMap((d) => num(3, d)),
    ]),
    value(11, "x", [1, C, 7, 7]),
    value(11, "flag", [], 9),
    value(12, "y", [1, C, 5, 5]),
  ];
  const path = join(dir, "in/m.onnx");
  writeFileSync(path, modelOf(...graph));
  writeFileSync(
    join(dir, "in/a.bin"),
    Uint8Array.from([...new Uint8Array(8), ...bytesOf(Float32Array.of(5, 6)), ...new Uint8Array(48), ...bytesOf(weights)]),
  );
  writeFileSync(join(dir, "in/sub/b.bin"), Uint8Array.from([...new Uint8Array(8), ...bytesOf(table)]));
  return path;
}

/** Every tensor a model keeps outside its initializers: attribute, both branches, sparse values. */
function others(model: Model): number[][] {
  const numbers = (tensor: TensorRecord | undefined) => Array.from(decode(tensor as TensorRecord).data as Float64Array);
  const [constant, branch] = ["Constant", "If"].map((op) => model.graph.nodes.find(({ opType }) => opType === op));
  return [
    numbers(constant?.attributes.get("value")?.t),
    ...["then_branch", "else_branch"].map((name) => numbers(branch?.attributes.get(name)?.g?.initializers[0])),
    Array.from(decodeSparse(model.graph.sparseInitializers[0]).data as Float64Array).filter((v) => v !== 0),
  ];
}

async function fold(path: string, out: string, options: Omit<WriteOptions, "sideFileName"> = {}) {
  const opened = openModel(path);
  try {
    const { edits, data } = plan(opened.model);
    expect(data.folds.map(({ node }) => node.opType)).toContain("BatchNormalization");
    return await saveModel(opened.model, writeBeside(opened.model, edits, out, options), out, {
      modelPath: path,
      replaceExisting: true,
    });
  } finally {
    opened.close();
  }
}

const files = (folder: string) =>
  readdirSync(join(dir, folder), { recursive: true, encoding: "utf8" })
    .filter((f) => statSync(join(dir, folder, f)).isFile())
    .sort();

/** The output, moved to another folder while the input is gone, is proven to be the input. */
function expectWhole(out: string): Model["externalTensors"] {
  renameSync(join(dir, "out"), join(dir, "moved"));
  cpSync(join(dir, "in"), join(dir, "kept"), { recursive: true });
  rmSync(join(dir, "in"), { recursive: true });
  const [a, b] = [openModel(join(dir, "kept/m.onnx")), openModel(join(dir, "moved", out))];
  expect(b.model.graph.nodes.some(({ opType }) => opType === "BatchNormalization")).toBe(false);
  expect(prove(a.model, b.model, { foreign: false }).outcome).toBe("equal");
  const [, ...rest] = others(b.model);
  const [, ...same] = others(a.model);
  expect(rest).toEqual(same);
  const tensors = b.model.externalTensors;
  a.close();
  b.close();
  return tensors;
}

const places = (tensors: Model["externalTensors"]) => tensors.map(({ external }) => `${external?.location}@${external?.offset}`);

describe("external data", () => {
  it("keep: changed tensors in a new file, the rest where they were", async () => {
    const path = write();
    const before = ["a.bin", "sub/b.bin"].map((name) => readFileSync(join(dir, "in", name)));
    const saved = await fold(path, join(dir, "out/n.onnx"), { external: "keep" });
    expect(saved.sideFiles.map(({ how }) => how).sort()).toEqual(["copied", "copied", "written"]);
    expect(files("out")).toEqual(["a.bin", "n.onnx", "n.onnx.bnfold.data", "sub/b.bin"]);
    expect(["a.bin", "sub/b.bin"].map((name) => readFileSync(join(dir, "in", name)))).toEqual(before);
    const found = places(expectWhole("n.onnx"));
    expect(found.filter((place) => place.startsWith("n.onnx.bnfold.data@")).length).toBeGreaterThan(0);
    expect(found).toContain("./sub/b.bin@8");
  });

  it("copy: one file of its own, shared bytes once, aligned", async () => {
    const saved = await fold(write(), join(dir, "out/n.onnx"), { external: "copy" });
    expect(saved.sideFiles.map(({ how }) => how)).toEqual(["written"]);
    expect(files("out")).toEqual(["n.onnx", "n.onnx.data"]);
    const tensors = expectWhole("n.onnx");
    for (const { external } of tensors) expect((external?.offset ?? 1) % 8).toBe(0);
  });

  it("inline: no side file", async () => {
    expect((await fold(write(), join(dir, "out/n.onnx"), { external: "inline" })).sideFiles).toEqual([]);
    expect(files("out")).toEqual(["n.onnx"]);
    expect(expectWhole("n.onnx")).toEqual([]);
  });

  it("split: files of a size, with what was inside the model", async () => {
    const saved = await fold(write(), join(dir, "out/n.onnx"), { external: "split", sideFileLimit: 4000 });
    expect(files("out")).toEqual(
      ["n.onnx", ...saved.sideFiles.map(({ path }) => path.slice(join(dir, "out").length + 1))].sort(),
    );
    expect(saved.sideFiles.length).toBeGreaterThan(1);
    // Only a payload that is larger by itself makes a file outgrow the limit.
    const sizes = saved.sideFiles.map(({ path }) => statSync(path).size);
    expect(sizes.filter((size) => size > 4000)).toEqual([weights.byteLength]);
    expectWhole("n.onnx");
  });

  it("split takes large initializers out of a model that has them inside", async () => {
    await fold(write(), join(dir, "out/all.onnx"), { external: "inline" });
    const opened = openModel(join(dir, "out/all.onnx"));
    const { edits } = plan(opened.model);
    const saved = await saveModel(
      opened.model,
      writeBeside(opened.model, edits, join(dir, "out/n.onnx"), { external: "split" }),
      join(dir, "out/n.onnx"),
      {
        modelPath: join(dir, "out/all.onnx"),
      },
    );
    opened.close();
    expect(saved.bytes).toBeLessThan(weights.byteLength);
    const now = openModel(join(dir, "out/n.onnx"));
    expect(now.model.graph.initializers.filter(({ external }) => external !== undefined).map(({ name }) => name)).toEqual(["w"]);
    now.close();
    expectWhole("n.onnx");
  });

  it("by default: one side file in another folder, shared ones beside the input", async () => {
    const path = write();
    const [beside, elsewhere] = [join(dir, "in/n.onnx"), join(dir, "out/n.onnx")];
    expect((await fold(path, beside)).sideFiles.map(({ how }) => how).sort()).toEqual(["kept", "kept", "written"]);
    expect((await fold(path, elsewhere)).sideFiles.map(({ how }) => how)).toEqual(["written"]);
    expect(files("out")).toEqual(["n.onnx", "n.onnx.data"]);
    // Again: the file is its own.
    expect((await fold(path, elsewhere)).sideFiles.map(({ how }) => how)).toEqual(["kept"]);
    expectWhole("n.onnx");
  });

  it("counts what is used of a side file once, however it is spelt and however often it is read", () => {
    const opened = openModel(write());
    expect(sideFileUse(opened.model)).toEqual([
      { location: "sub/b.bin", usedBytes: table.byteLength },
      { location: "a.bin", usedBytes: weights.byteLength + 8 },
    ]);
    const own = { file: "m.onnx", bytes: 100, sha256: null };
    const there = (location: string) => (location === "a.bin" ? { file: "in/a.bin", bytes: 5000 } : undefined);
    expect(neededFiles(opened.model, own, there)).toEqual({
      sideFiles: [{ file: "in/a.bin", bytes: 5000, sha256: null, usedBytes: weights.byteLength + 8 }],
      totalBytes: 5100,
      missing: ["sub/b.bin"],
    });
    opened.close();
  });

  it("in another folder, the name of the input's side file is free", async () => {
    const path = write({ w: { location: "m.onnx.data" } });
    cpSync(join(dir, "in/a.bin"), join(dir, "in/m.onnx.data"));
    await fold(path, join(dir, "out/m.onnx"));
    expect(files("out")).toEqual(["m.onnx", "m.onnx.data"]);
    expectWhole("m.onnx");
  });

  it("with nothing to change the model keeps its bytes, and takes its side files along as they are", async () => {
    const path = write();
    const opened = openModel(path);
    const saved = await saveModel(opened.model, NO_EDITS, join(dir, "out/m.onnx"));
    opened.close();
    expect(saved.sideFiles.map(({ how }) => how)).toEqual(["copied", "copied"]);
    for (const name of ["m.onnx", "a.bin", "sub/b.bin"])
      expect(readFileSync(join(dir, "out", name)).equals(readFileSync(join(dir, "in", name))), name).toBe(true);
  });

  it("never replaces a side file that is there, and finds its own again", async () => {
    const path = write();
    const out = join(dir, "out/n.onnx");
    writeFileSync(join(dir, "out/n.onnx.bnfold.data"), "another model's");
    await fold(path, out, { external: "keep" });
    expect(files("out")).toEqual(["a.bin", "n.onnx", "n.onnx.bnfold.2.data", "n.onnx.bnfold.data", "sub/b.bin"]);
    expect(readFileSync(join(dir, "out/n.onnx.bnfold.data"), "utf8")).toBe("another model's");
    const again = await fold(path, out, { external: "keep" });
    expect(again.sideFiles.map(({ how }) => how)).toEqual(["kept", "kept", "kept"]);
    expect(files("out")).toHaveLength(5);
  });
});

describe("what a model says of its side files is checked", () => {
  const failure = (path: string): string => {
    const opened = openModel(path);
    try {
      for (const tensor of opened.model.externalTensors) decode(tensor);
      return "fine";
    } catch (error) {
      expect(error).toBeInstanceOf(BnfoldError);
      return (error as Error).message;
    } finally {
      opened.close();
    }
  };

  it("places and sizes, before anything is allocated", () => {
    expect(failure(write())).toBe("fine");
    for (const [w, what] of [
      [{ location: "a.bin", offset: 2 ** 50 }, /has only/],
      [{ location: "a.bin", offset: 80 }, /has only/],
      [{ location: "a.bin", length: 4 }, /expected/],
      [{ location: "a.bin", length: 2 ** 52 }, /expected/],
    ] as const)
      expect(failure(write({ w })), JSON.stringify(w)).toMatch(what);
    expect(() => failure(write({ w: { location: "a.bin", offset: -1 } }))).toThrow(/whole number/);
    expect(() => failure(write({ w: { location: "" } }))).toThrow(/no location/);
  });

  it("SHA-1 of the file", () => {
    write();
    const checksum = createHash("sha1")
      .update(readFileSync(join(dir, "in/a.bin")))
      .digest("hex");
    expect(failure(write({ w: { location: "a.bin", checksum } }))).toBe("fine");
    expect(failure(write({ w: { location: "a.bin", checksum: checksum.toUpperCase() } }))).toBe("fine");
    expect(
      failure(write({ w: { location: "a.bin", checksum: checksum.replace(/^./, (d) => (d === "0" ? "1" : "0")) } })),
    ).toMatch(/SHA-1/);
  });

  it("SHA-1 of a file that nothing reads, when it is asked for", () => {
    const path = write({ w: { location: "a.bin", checksum: "0".repeat(40) } });
    const opened = openModel(path);
    const seen: string[] = [];
    expect(() => opened.verifyChecksums((done, total, location) => seen.push(`${done}/${total} ${location}`))).toThrow(/SHA-1/);
    const { size } = statSync(join(dir, "in/a.bin"));
    expect(seen).toEqual([`${size}/${size} a.bin`]);
    opened.close();
    const none = openModel(write());
    none.verifyChecksums();
    none.close();
  });

  it("hostile paths, for reading", () => {
    writeFileSync(join(dir, "secret"), new Uint8Array(1 << 16));
    symlinkSync("../secret", join(dir, "in/link"));
    symlinkSync("..", join(dir, "in/up"));
    linkSync(join(dir, "secret"), join(dir, "in/hard"));
    for (const location of [
      "../secret",
      "/etc/passwd",
      join(dir, "secret"),
      "sub/../../secret",
      "link",
      "up/secret",
      "hard",
      "C:\\x",
      "C:x",
      "..\\secret",
      "a.bin\0",
      "nul",
      "COM1.bin",
      "sub",
      ".",
    ])
      expect(failure(write({ w: { location } })), location).toMatch(/external data|folder/);
  });

  it("hostile paths, for writing", async () => {
    const path = write();
    // A folder of the output leads elsewhere: the copy of sub/b.bin must not follow it.
    mkdirSync(join(dir, "elsewhere"));
    symlinkSync("../elsewhere", join(dir, "out/sub"));
    await expect(fold(path, join(dir, "out/n.onnx"), { external: "keep" })).rejects.toThrow(/outside the output's folder/);
    expect(readdirSync(join(dir, "elsewhere"))).toEqual([]);
    expect(readdirSync(join(dir, "out"))).toEqual(["sub"]);
    rmSync(join(dir, "out/sub"));
    // A side file of the output that is a link is not written through.
    writeFileSync(join(dir, "victim"), "mine");
    symlinkSync("../victim", join(dir, "out/n.onnx.bnfold.data"));
    await fold(path, join(dir, "out/n.onnx"));
    expect(readFileSync(join(dir, "victim"), "utf8")).toBe("mine");
  });

  it("a model that is a link has its side files beside the file it leads to", () => {
    write();
    mkdirSync(join(dir, "store/sub"), { recursive: true });
    for (const name of ["m.onnx", "a.bin", "sub/b.bin"]) {
      renameSync(join(dir, "in", name), join(dir, "store", name));
      symlinkSync(join(dir, "store", name), join(dir, "in", name));
    }
    expect(failure(join(dir, "in/m.onnx"))).toBe("fine");
  });
});
