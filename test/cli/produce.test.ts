import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { produce } from "../../src/cli/produce.ts";
import type { Target } from "../../src/cli/target.ts";
import { plan } from "../../src/fold/index.ts";
import { openModel } from "../../src/node/files.ts";
import { isSameRange, memorySource } from "../../src/onnx/source.ts";
import { collect, type Piece } from "../../src/onnx/splice.ts";
import { splicedSource } from "../../src/onnx/spliced.ts";
import { NO_EDITS } from "../../src/onnx/write.ts";
import { float32 } from "../helpers/build.ts";
import { convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const path = writeModel(join(dir, "model.onnx"), convNet());
let count = 0;

function place(dryRun = false): { out: string; target: Target } {
  const inside = join(dir, `place${count++}`);
  mkdirSync(inside);
  const out = join(inside, "out.onnx");
  return { out, target: { path: out, dryRun, external: "keep" } };
}

describe("produce", () => {
  const { model } = openModel(path);
  const { edits } = plan(model);
  const judgeBy = (verdict: boolean) => async () => verdict;

  it("writes nothing when the judge declines, and leaves what was there", async () => {
    const { out, target } = place();
    expect(await produce(model, path, edits, target, judgeBy(false))).toBeUndefined();
    expect(readdirSync(join(out, ".."))).toEqual([]);
    writeFileSync(out, "old");
    await produce(model, path, edits, target, judgeBy(false));
    expect(readdirSync(join(out, ".."))).toEqual(["out.onnx"]);
    expect(readFileSync(out, "utf8")).toBe("old");
  });

  it("takes its own side file for what it is when it writes once more", async () => {
    const { initializers, ...net } = convNet();
    const w = { ...float32([3, 2, 3, 3], []), external: { location: "w.bin", offset: 0, length: 216 } };
    const apart = writeModel(join(dir, "apart.onnx"), { ...net, initializers: { ...initializers, w } });
    writeFileSync(join(dir, "w.bin"), new Uint8Array(new Float32Array(54).fill(0.5).buffer));
    const opened = openModel(apart);
    const { edits: changes } = plan(opened.model);
    const { out, target } = place();
    const judge = async ({ graph, files }: typeof model) =>
      graph.initializers.some(({ external }) => external !== undefined && files.external(external.location).size > 0);
    const write = () => produce(opened.model, apart, changes, { ...target, external: "copy" }, judge);
    const first = await write();
    const files = readdirSync(join(out, "..")).sort();
    expect(files.length).toBe(2);
    expect(await write()).toEqual(first);
    expect(readdirSync(join(out, "..")).sort()).toEqual(files);
    opened.close();
  });

  it("writes nothing when the judge fails", async () => {
    const { out, target } = place();
    const judge = async () => {
      throw new Error("no opinion");
    };
    await expect(produce(model, path, edits, target, judge)).rejects.toThrow("no opinion");
    expect(readdirSync(join(out, ".."))).toEqual([]);
  });

  it("shows the judge the file that gets the name", async () => {
    const { out, target } = place();
    const seen: Uint8Array[] = [];
    const judge = async ({ files: { main } }: typeof model) => {
      seen.push(main.read(0, main.size));
      return true;
    };
    const output = await produce(model, path, edits, target, judge);
    expect(output?.bytes).toBe(seen[0].length);
    expect(readFileSync(out).equals(seen[0])).toBe(true);
    const dry = place(true);
    expect(await produce(model, path, edits, dry.target, judge)).toBeUndefined();
    expect(readFileSync(out).equals(seen[1])).toBe(true);
    expect(readdirSync(join(dry.out, ".."))).toEqual([]);
  });

  it("shows a judge that nothing changes, and what was taken over, without a byte to read", async () => {
    for (const dryRun of [false, true]) {
      await produce(model, path, NO_EDITS, place(dryRun).target, async (result) => {
        const { main } = result.files;
        expect(isSameRange(main, 0, model.files.main, 0, main.size)).toBe(true);
        return true;
      });
    }
  });
});

describe("splicedSource", () => {
  it("reads what the pieces would be written as, at any place", () => {
    const bytes = fc.uint8Array({ maxLength: 9 });
    const piece = fc.oneof(
      bytes.map((b): Piece => ({ bytes: b })),
      bytes.map((b): Piece => ({ length: b.length, make: () => b })),
      bytes.map((b): Piece => ({ source: memorySource(b), start: b.length >> 1, end: b.length })),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.nat(), fc.nat(), (pieces, x, y) => {
        const whole = collect(pieces);
        const source = splicedSource(pieces, "pieces");
        expect(source.size).toBe(whole.length);
        const [start, end] = [x % (whole.length + 1), y % (whole.length + 1)].sort((a, b) => a - b);
        expect([...source.read(start, end)]).toEqual([...whole.subarray(start, end)]);
      }),
    );
    expect(() => splicedSource([], "none").read(0, 1)).toThrow();
  });
});
