import { describe, expect, it } from "vitest";
import { foldChecked, type Sink } from "../../src/engine/fold.ts";
import { previewOf } from "../../src/engine/preview.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { write } from "../../src/onnx/write.ts";
import { verifyModels } from "../../src/verify/index.ts";
import { convNet } from "../cli/bnfold.ts";
import { modelBytes } from "../helpers/build.ts";
import { blocks, chain } from "../verify/nets.ts";

const open = () => read(memorySource(modelBytes(convNet()), "model.onnx"));

describe("foldChecked", () => {
  it("folds and checks in memory, and tells every stage", async () => {
    const model = open();
    const stages: string[] = [];
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const result = await foldChecked(model, { onProgress: (stage) => void (stages.at(-1) === stage || stages.push(stage)) });
    clearInterval(timer);
    expect(result.accepted).toBe(true);
    expect(result.report.verdict.outcome).toBe("equivalent");
    expect(stages.slice(0, 4)).toEqual(["planning", "writing", "proof", "float64"]);
    const folded = read(memorySource(collect(result.written?.main ?? [])));
    expect(verifyModels(model, folded).outcome).toBe("equivalent");
    expect(result.report.output).toMatchObject({ file: "model.onnx (folded)", bytes: folded.files.main.size, sideFiles: [] });
  });

  it("its timings are the time it takes", async () => {
    const since = performance.now();
    const { report } = await foldChecked(open());
    const wall = performance.now() - since;
    const { planMs, proofMs, runMs, writeMs, readMs } = report.timings;
    const sum = readMs + planMs + proofMs + runMs + writeMs;
    expect(sum).toBeLessThanOrEqual(wall);
    expect(wall - sum).toBeLessThan(0.1 * wall + 20);
    for (const part of [planMs, proofMs, runMs, writeMs]) expect(part).toBeGreaterThan(0);
  });

  it("leaves out what is not shown right, and keeps the rest", async () => {
    const model = chain(blocks("float32", 1), "float32", false);
    // The sink spoils one weight of the first attempt.
    let attempts = 0;
    const sink: Sink = async (edits, judge) => {
      attempts++;
      const [first, ...rest] = edits.replaceTensors;
      const spoiled = { ...first, values: () => Float64Array.from(first.values() as Float64Array, (x) => 1.5 * x) };
      const made = attempts === 1 ? { ...edits, replaceTensors: [spoiled, ...rest] } : edits;
      const result = previewOf(model, write(model, made), "folded");
      return (await judge(result))
        ? { file: "f", bytes: result.files.main.size, sha256: null, sideFiles: [], totalBytes: 1 }
        : undefined;
    };
    const all = await foldChecked(model);
    const result = await foldChecked(model, { sink });
    expect(attempts).toBeGreaterThan(1);
    expect(result.accepted).toBe(true);
    expect(result.written).toBeUndefined();
    expect(result.plan.folds.length).toBeLessThan(all.plan.folds.length);
    expect(result.plan.kept.map(({ code }) => code)).toContain("not-proven");
  });

  it("can be called off in every stage", async () => {
    for (const wanted of ["planning", "writing", "proof", "float64"]) {
      const abort = new AbortController();
      const seen: string[] = [];
      const work = foldChecked(open(), {
        signal: abort.signal,
        onProgress: (stage) => {
          seen.push(stage);
          if (stage === wanted) abort.abort(new Error(`enough of ${wanted}`));
        },
      });
      await expect(work).rejects.toThrow(`enough of ${wanted}`);
      expect(seen.at(-1)).toBe(wanted);
    }
    await expect(foldChecked(open(), { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });

  it("does not check where nobody asks", async () => {
    const { accepted, report } = await foldChecked(open(), { check: false });
    expect([accepted, report.verdict.outcome, report.timings.runMs]).toEqual([true, "not-checked", 0]);
  });
});
