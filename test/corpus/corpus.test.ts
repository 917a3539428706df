/**
 * Files other programs wrote: the fixtures of this repository, and, where ../shared is there, the probes and exports of its
 * corpus. Each is folded; the number of normalizations left is the one the manifest works out, the folded file is proven
 * equal, gives the stored output, and has nothing left to fold.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type PlanOptions, plan } from "../../src/fold/index.ts";
import { chooseSideFile, openModel, saveModel } from "../../src/node/index.ts";
import { write } from "../../src/onnx/write.ts";
import { prove } from "../../src/verify/proof.ts";

interface Entry {
  readonly id?: string;
  readonly name?: string;
  readonly bn: number;
  /** Several where more than one answer is right. */
  readonly left?: number | readonly number[];
  readonly leftUnmerged?: number;
  readonly decomposed?: number;
  readonly decomposedLeft?: number;
  readonly external?: boolean;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const entries = (folder: string): Entry[] =>
  existsSync(join(folder, "manifest.json")) ? JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) : [];

/** Plans, saves to a folder of its own, reads back; normalizations left, other affine nodes left, proof. */
async function fold(path: string, options: PlanOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), "bnfold-corpus-"));
  try {
    const opened = openModel(path);
    const { data, edits } = plan(opened.model, options);
    const output = join(folder, "model.onnx");
    await saveModel(opened.model, write(opened.model, edits, { sideFileName: chooseSideFile(opened.model, output) }), output, {
      modelPath: path,
    });
    const again = openModel(output);
    try {
      const more = plan(again.model, options).data.folds.length;
      const proof = prove(opened.model, again.model, { foreign: false });
      return { data, more, proof };
    } finally {
      again.close();
      opened.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const told = (result: Awaited<ReturnType<typeof fold>>) => result.data.kept.map((k) => `${k.code}: ${k.message}`).join("\n");

async function judged(path: string, entry: Entry, options: PlanOptions, left: Entry["left"]): Promise<void> {
  const result = await fold(path, options);
  const { data, more, proof } = result;
  expect(data.before.batchNormalizations).toBe(entry.bn);
  // At most as many as whoever wrote the entry could account for.
  if (left !== undefined) expect(data.after.batchNormalizations, told(result)).toBeLessThanOrEqual(Math.max(...[left].flat()));
  expect(data.after.nodes).toBeLessThanOrEqual(data.before.nodes);
  expect(proof.outcome, JSON.stringify(proof.regions.filter((r) => r.outcome !== "equal"))).toBe("equal");
  expect(more).toBe(0);
}

describe("fixtures", () => {
  for (const entry of entries(join(root, "fixtures"))) {
    const path = join(root, "fixtures/models", entry.name as string, "model.onnx");
    it(`${entry.name}: merged`, () => judged(path, entry, {}, entry.left));
    it(`${entry.name}: without merging`, () => judged(path, entry, { merge: false }, entry.leftUnmerged ?? entry.left));
  }
});

for (const kind of ["probes", "exports"]) {
  const folder = join(root, "../shared/corpus", kind);
  describe.skipIf(!existsSync(folder))(`corpus ${kind}`, () => {
    for (const entry of entries(folder)) {
      const path = join(folder, entry.id as string, "model.onnx");
      it.skipIf(!existsSync(path))(entry.id as string, () => judged(path, entry, {}, entry.left), 120_000);
    }
    it("is there", () => expect(entries(folder).length).toBeGreaterThan(0));
  });
}
