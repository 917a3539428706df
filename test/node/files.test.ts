import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { externalResolver, fileSource, openModel } from "../../src/node/files.ts";
import { decode } from "../../src/onnx/codec.ts";
import { bytesOf, len, model, num } from "../onnx/bytes.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bnfold-files-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const kindOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(BnfoldError);
    return `${(error as BnfoldError).kind}: ${(error as BnfoldError).message}`;
  }
  return "fine";
};

describe("fileSource", () => {
  it("reads any range, as fresh memory", () => {
    const path = join(dir, "f");
    writeFileSync(path, Uint8Array.of(1, 2, 3, 4));
    const source = fileSource(path);
    const bytes = source.read(1, 3);
    expect([...bytes]).toEqual([2, 3]);
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
    expect(bytes.buffer.byteLength).toBe(2);
    expect(source.read(4, 4)).toHaveLength(0);
    expect(kindOf(() => source.read(2, 5))).toMatch(/^format.*outside/);
    source.close();
    source.close();
    expect(kindOf(() => source.read(0, 1))).toMatch(/^file.*closed/);
  });

  it("reads beyond 4 GiB", () => {
    const path = join(dir, "sparse");
    writeFileSync(path, "");
    truncateSync(path, 5 * 2 ** 30);
    execFileSync("dd", [`of=${path}`, "bs=1", `seek=${5 * 2 ** 30 - 3}`, "conv=notrunc", "status=none"], { input: "end" });
    const source = fileSource(path);
    expect(source.size).toBe(5 * 2 ** 30);
    expect(Buffer.from(source.read(source.size - 4, source.size)).toString("latin1")).toBe("\0end");
    source.close();
  });

  it("says what is wrong with a path", () => {
    expect(kindOf(() => fileSource(join(dir, "none")))).toMatch(/^file.*does not exist/);
    expect(kindOf(() => fileSource(dir))).toMatch(/^file.*a folder/);
    expect(kindOf(() => fileSource("/dev/zero"))).toMatch(/^file.*a device/);
    execFileSync("mkfifo", [join(dir, "pipe")]);
    expect(kindOf(() => fileSource(join(dir, "pipe")))).toMatch(/^file.*a pipe/);
    symlinkSync("loop", join(dir, "loop"));
    expect(kindOf(() => fileSource(join(dir, "loop")))).toMatch(/^file.*circle/);
  });

  it.skipIf(process.getuid?.() === 0)("says when a file may not be read", () => {
    const path = join(dir, "locked");
    writeFileSync(path, "x");
    chmodSync(path, 0);
    expect(kindOf(() => fileSource(path))).toMatch(/^file.*may not be accessed/);
  });

  it("notices a file that shrinks", () => {
    const path = join(dir, "f");
    writeFileSync(path, new Uint8Array(100));
    const source = fileSource(path);
    truncateSync(path, 10);
    expect(kindOf(() => source.read(0, 50))).toMatch(/^file.*shorter/);
    source.close();
  });
});

describe("externalResolver", () => {
  const resolve = (location: string): string => {
    const external = externalResolver(join(dir, "in", "model.onnx"));
    try {
      return kindOf(() => external(location).read(0, 1));
    } finally {
      external.close();
    }
  };

  beforeEach(() => {
    mkdirSync(join(dir, "in", "sub"), { recursive: true });
    mkdirSync(join(dir, "inside-too"));
    for (const name of ["secret", "in/w", "in/sub/w", "inside-too/w", "in/a:b"]) writeFileSync(join(dir, name), "x");
  });

  it("finds files in the folder", () => {
    expect(["w", "./w", "sub/w", "sub//w", "sub/./w"].map(resolve)).toEqual(new Array(5).fill("fine"));
    symlinkSync("sub/w", join(dir, "in", "link"));
    symlinkSync(join(dir, "in", "sub"), join(dir, "in", "linked"));
    linkSync(join(dir, "in", "sub", "w"), join(dir, "in", "hard"));
    expect(["link", "linked/w", "hard"].map(resolve)).toEqual(new Array(3).fill("fine"));
  });

  it("finds nothing outside it", () => {
    symlinkSync("../secret", join(dir, "in", "out"));
    symlinkSync("..", join(dir, "in", "up"));
    symlinkSync("../inside-too", join(dir, "in", "beside"));
    const cases = [
      "../secret",
      "sub/../../secret",
      "sub/..",
      "..",
      ".",
      "",
      "/etc/passwd",
      join(dir, "in", "w"),
      "out",
      "up/secret",
      "beside/w",
    ];
    const tricks = ["C:\\w", "C:w", "..\\secret", "sub\\w", "w\0", "\\\\server\\w", "file:///etc/passwd"];
    for (const location of [...cases, ...tricks]) expect(resolve(location), location).toMatch(/^file: /);
    expect(resolve("sub")).toMatch(/^file.*a folder/);
    expect(resolve("none")).toMatch(/^file.*does not exist/);
  });

  it("opens each file once", () => {
    const external = externalResolver(join(dir, "in", "model.onnx"));
    expect(external("w")).toBe(external("w"));
    external.close();
  });
});

describe("openModel", () => {
  it("reads a model and its side file", () => {
    const entry = (key: string, value: string) => len(13, [...len(1, key), ...len(2, value)]);
    const bytes = model(len(5, [...num(1, 1), ...num(2, 1), ...len(8, "w"), ...entry("location", "w.bin"), ...num(14, 1)]));
    writeFileSync(join(dir, "m.onnx"), bytes);
    writeFileSync(join(dir, "w.bin"), Uint8Array.from(bytesOf(Float32Array.of(7))));
    const opened = openModel(join(dir, "m.onnx"));
    expect(decode(opened.model.graph.initializers[0]).data).toEqual(Float64Array.of(7));
    opened.close();
    rmSync(join(dir, "w.bin"));
    const again = openModel(join(dir, "m.onnx"));
    expect(kindOf(() => decode(again.model.graph.initializers[0]))).toMatch(/^file: external data.*does not exist/);
    again.close();
  });

  it("closes the file when it is no model", () => {
    const path = join(dir, "m.onnx");
    writeFileSync(path, "hello");
    expect(kindOf(() => openModel(path))).toMatch(/^format.*text file/);
  });
});
