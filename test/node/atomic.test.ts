import { spawn, spawnSync } from "node:child_process";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { writeFiles, writePieces } from "../../src/node/atomic.ts";
import { fileError, fileSource } from "../../src/node/files.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect, type Piece } from "../../src/onnx/splice.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bnfold-atomic-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const bytes = (...xs: number[]): Piece => ({ bytes: Uint8Array.from(xs) });
const failed = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    expect(error).toBeInstanceOf(BnfoldError);
    return `${(error as BnfoldError).kind}: ${(error as BnfoldError).message}`;
  }
  return "fine";
};

describe("a file that is a whole copy", () => {
  const copyOf = (name: string) => {
    const file = join(dir, name);
    const size = statSync(file).size;
    return { file, size };
  };

  it("has the bytes of the other, and permissions of its own", async () => {
    const big = new Uint8Array(3_000_001).map((_, i) => i * 5);
    writeFileSync(join(dir, "in"), big, { mode: 0o400 });
    const whole = { path: join(dir, "copy"), pieces: [{ bytes: big }], copyOf: copyOf("in") };
    await writeFiles([whole, { path: join(dir, "main"), pieces: [bytes(1)] }]);
    expect(Buffer.compare(readFileSync(join(dir, "copy")), big)).toBe(0);
    expect(statSync(join(dir, "copy")).mode & 0o777).toBe(0o666 & ~process.umask());
    // A file that is there keeps its place and permissions.
    await writeFiles([whole], { replaceExisting: true });
    expect(readdirSync(dir).sort()).toEqual(["copy", "in", "main"]);
  });

  it("leaves nothing when it fails, or when another one does", async () => {
    writeFileSync(join(dir, "in"), "abc");
    const whole = { path: join(dir, "copy"), pieces: [bytes(97, 98, 99)], copyOf: copyOf("in") };
    const boom: Piece = {
      length: 1,
      make: () => {
        throw new BnfoldError("model", "boom");
      },
    };
    expect(await failed(writeFiles([whole, { path: join(dir, "main"), pieces: [boom] }]))).toBe("model: boom");
    expect(await failed(writeFiles([{ ...whole, copyOf: { file: join(dir, "in"), size: 4 } }]))).toMatch(
      /^file: .*changed while/,
    );
    rmSync(join(dir, "in"));
    expect(await failed(writeFiles([whole]))).toMatch(/^file: .*does not exist/);
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe("writePieces", () => {
  it("writes copies, bytes and lazy pieces, small and larger than its buffer", async () => {
    const big = new Uint8Array(11_000_003).map((_, i) => i * 7);
    writeFileSync(join(dir, "in"), big);
    const source = fileSource(join(dir, "in"));
    const pieces: Piece[] = [
      bytes(1, 2),
      { source, start: 5, end: 9_000_001 },
      { length: 3, make: () => Uint8Array.of(7, 8, 9) },
      { length: big.length, make: () => big },
      { source: memorySource(big), start: 1, end: 6_000_000 },
      bytes(),
      { bytes: big.subarray(3, 5_000_000) },
    ];
    await writePieces(join(dir, "out"), pieces);
    expect(Buffer.compare(readFileSync(join(dir, "out")), collect(pieces))).toBe(0);
    expect(readdirSync(dir).sort()).toEqual(["in", "out"]);
    source.close();
  });

  it("replaces a file only when it is told to, even the one it reads", async () => {
    const path = join(dir, "f");
    writeFileSync(path, Uint8Array.of(1, 2, 3), { mode: 0o640 });
    const source = fileSource(path);
    const pieces: Piece[] = [{ source, start: 1, end: 3 }, bytes(9)];
    expect(await failed(writePieces(path, pieces))).toMatch(/^file.*exists already/);
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    await writePieces(path, pieces, { replaceExisting: true });
    expect([...readFileSync(path)]).toEqual([2, 3, 9]);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    source.close();
  });

  it("follows a link to the file it names", async () => {
    writeFileSync(join(dir, "real"), "old");
    symlinkSync("real", join(dir, "link"));
    symlinkSync("nothing", join(dir, "dangling"));
    await writePieces(join(dir, "link"), [bytes(65)], { replaceExisting: true });
    expect(readFileSync(join(dir, "real"), "utf8")).toBe("A");
    expect(lstatSync(join(dir, "link")).isSymbolicLink()).toBe(true);
    expect(await failed(writePieces(join(dir, "dangling"), [], { replaceExisting: true }))).toMatch(/^file.*link/);
  });

  it("leaves nothing behind when it fails", async () => {
    mkdirSync(join(dir, "folder"));
    writeFileSync(join(dir, "old"), "old");
    const boom: Piece = {
      length: 1,
      make: () => {
        throw new BnfoldError("model", "boom");
      },
    };
    const replaceExisting = true;
    expect(await failed(writePieces(join(dir, "folder"), [], { replaceExisting }))).toMatch(/^file.*a folder/);
    expect(await failed(writePieces(join(dir, "none", "f"), [bytes(1)]))).toMatch(/^file: ".*none" does not exist/);
    expect(await failed(writePieces(join(dir, "old", "f"), [bytes(1)]))).toMatch(/^file.*not a folder/);
    expect(await failed(writePieces("/dev/null", [bytes(1)], { replaceExisting }))).toMatch(/^file.*a device/);
    expect(await failed(writePieces("/proc/f", [bytes(1)]))).toMatch(/^file/);
    expect(await failed(writePieces(join(dir, "x".repeat(300)), [bytes(1)]))).toMatch(/^file.*too long/);
    expect(await failed(writePieces(join(dir, "old"), [bytes(1), boom], { replaceExisting }))).toBe("model: boom");
    expect(
      await failed(
        writeFiles([
          { path: join(dir, "a"), pieces: [bytes(1)] },
          { path: join(dir, "b"), pieces: [boom] },
        ]),
      ),
    ).toBe("model: boom");
    expect(readFileSync(join(dir, "old"), "utf8")).toBe("old");
    expect(readdirSync(dir).sort()).toEqual(["folder", "old"]);
  });

  it("takes new files back when a later rename fails", async () => {
    const late: Piece = {
      length: 1,
      make: () => {
        // The target turns into a folder while the pieces are written: its rename must fail.
        mkdirSync(join(dir, "b"));
        return Uint8Array.of(1);
      },
    };
    expect(
      await failed(
        writeFiles([
          { path: join(dir, "a"), pieces: [bytes(1)] },
          { path: join(dir, "b"), pieces: [late] },
        ]),
      ),
    ).toMatch(/^file/);
    expect(readdirSync(dir)).toEqual(["b"]);
  });

  /** A program of its own that writes 4000 lazy pieces of 8 MB to dir/out, printing a dot for each. */
  async function program(): Promise<string> {
    const script = join(dir, "run.mjs");
    const atomic = fileURLToPath(new URL("../../src/node/atomic.ts", import.meta.url));
    const contents = `import { writePieces } from ${JSON.stringify(atomic)};
      const make = () => { process.stdout.write("."); return new Uint8Array(8e6); };
      const pieces = Array.from({ length: 4000 }, () => ({ length: 8e6, make }));
      await writePieces(${JSON.stringify(join(dir, "out"))}, pieces).catch((e) => { console.log(e.kind, e.message); process.exit(e.exitCode); });`;
    await build({
      stdin: { contents, resolveDir: dir, loader: "ts" },
      ...{ bundle: true, platform: "node", format: "esm", outfile: script, logLevel: "silent" },
    });
    return script;
  }

  it("leaves nothing behind when the system takes no more bytes", async () => {
    const script = await program();
    // A limit on the size of files (20 MB) stands in for a disk that is full: the write fails midway.
    const child = spawnSync("bash", ["-c", `ulimit -f 20000; exec "${process.execPath}" "${script}"`], { encoding: "utf8" });
    expect(child.stdout).toMatch(/^\.+file ".*out" is larger than the file system allows/);
    expect(child.status).toBe(4);
    expect(readdirSync(dir)).toEqual(["run.mjs"]);
    expect(fileError("f", Object.assign(new Error("x"), { code: "ENOSPC" })).message).toBe('"f" does not fit: the disk is full');
  });

  it.each(["SIGINT", "SIGTERM"] as const)("cleans up on %s and dies of it", async (signal) => {
    const child = spawn(process.execPath, [await program()], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.stdout.resume();
    const end = new Promise((resolve) => child.once("exit", (_code, by) => resolve(by)));
    child.kill(signal);
    expect(await end).toBe(signal);
    expect(readdirSync(dir)).toEqual(["run.mjs"]);
  });
});
