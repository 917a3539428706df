/**
 * One engine, the same bytes and the same verdict wherever it runs: the command line on a path, the library on memory, and the library
 * on slices of a Blob loaded into blocks. Side files too. python/tests/test_places.py holds Python to the command line.
 * Needs dist/, which `npm test` builds first.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { foldChecked } from "../../src/engine/fold.ts";
import { read } from "../../src/onnx/read.ts";
import { type ByteSource, memorySource } from "../../src/onnx/source.ts";
import { collect, type Piece } from "../../src/onnx/splice.ts";
import { splicedSource } from "../../src/onnx/spliced.ts";
import { toJson } from "../../src/report/report.ts";
import { bin, root } from "../cli/bnfold.ts";

/** SHA-256 by file name, and what was said of them. */
interface Made {
  readonly files: Readonly<Record<string, string>>;
  readonly verdict: unknown;
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function byCommand(path: string): Promise<Made> {
  const folder = mkdtempSync(join(tmpdir(), "bnfold-places-"));
  try {
    const args = [bin, "fold", path, "-o", join(folder, "model.onnx"), "--json"];
    const told = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, args, { maxBuffer: 1 << 28 }, (error, stdout, stderr) =>
        error === null ? resolve(stdout) : reject(new Error(stderr)),
      );
    });
    const files = readdirSync(folder).sort();
    return {
      files: Object.fromEntries(files.map((name) => [name, hashOf(readFileSync(join(folder, name)))])),
      verdict: JSON.parse(told).verdict,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The library on sources that `open` makes of the bytes of a file. */
async function byLibrary(
  path: string,
  open: (bytes: Uint8Array<ArrayBuffer>, name: string) => Promise<ByteSource>,
): Promise<Made> {
  const load = (name: string) => open(new Uint8Array(readFileSync(join(dirname(path), name))), name);
  const main = await load("model.onnx");
  const sides = new Map<string, ByteSource>();
  // Asynchronous sources are loaded before: which there are, the structure tells.
  const locations = new Set(read(main).externalTensors.flatMap(({ external }) => external?.location ?? []));
  for (const location of locations) sides.set(location, await load(location));
  const model = read(main, { external: (location) => sides.get(location) as ByteSource });
  const sideFileName = (k: number) => `model.onnx${k === 1 ? "" : `-${k}`}.data`;
  const { report, written } = await foldChecked(model, { write: { external: "copy", sideFileName } });
  const parts: [string, readonly Piece[]][] = [["model.onnx", written?.main ?? []]];
  for (const { location, pieces } of written?.sideFiles ?? []) parts.push([location, pieces]);
  return {
    files: Object.fromEntries(parts.map(([name, pieces]) => [name, hashOf(collect([...pieces]))])),
    verdict: JSON.parse(toJson(report)).verdict,
  };
}

/** No power of two, so that tensors lie across blocks. */
const SLICE = 30_011;

async function slices(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<ByteSource> {
  const blob = new Blob([bytes]);
  const blocks: Piece[] = [];
  const slice = Math.max(SLICE, Math.ceil(blob.size / 500));
  for (let at = 0; at < blob.size; at += slice)
    blocks.push({ bytes: new Uint8Array(await blob.slice(at, at + slice).arrayBuffer()) });
  return splicedSource(blocks, name);
}

async function same(path: string): Promise<void> {
  const [command, memory, sliced] = await Promise.all([
    byCommand(path),
    byLibrary(path, async (bytes, name) => memorySource(bytes, name)),
    byLibrary(path, slices),
  ]);
  expect(memory).toEqual(command);
  expect(sliced).toEqual(command);
  expect((command.verdict as { outcome: string }).outcome).toBe("equivalent");
}

for (const folder of ["fixtures/models", "../shared/corpus/probes", "../shared/corpus/exports"]) {
  const place = join(root, folder);
  const names = existsSync(place) ? readdirSync(place).filter((name) => existsSync(join(place, name, "model.onnx"))) : [];
  if (names.length === 0) console.warn(`${folder} is not there: its models are left out`);
  describe.skipIf(names.length === 0)(`the same bytes and verdict everywhere: ${folder}`, { timeout: 300_000 }, () => {
    it.each(names)("%s", (name) => same(join(place, name, "model.onnx")));
  });
}
