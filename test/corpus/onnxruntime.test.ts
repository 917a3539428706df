/**
 * ONNX Runtime, its optimizations off, as another reader and another executor: it loads every folded fixture, and gives for it
 * what it gives for the original. Where its package is not installed the tests are skipped.
 *
 * The bound: a sum of n products computed with unit roundoff u is the exact sum for data moved relatively by about √n·u
 * (Higham & Mary 2019; roundings are as good as independent). e is the root mean square change of the float64 outputs when all
 * stored floats and inputs are moved by random parts of that; the two results may then lie 3·√(e_a² + e_b²) apart.
 */
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { fromOrt, loadOrt, type Ort, toOrt } from "../../src/cli/ort.ts";
import { SETTINGS } from "../../src/cli/second.ts";
import { plan } from "../../src/fold/index.ts";
import { openModel } from "../../src/node/index.ts";
import { dtypeOf, isFloat, isStorageFloat, STORAGE_FLOATS } from "../../src/onnx/dtype.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { NO_EDITS, write } from "../../src/onnx/write.ts";
import { isTensor, type Value } from "../../src/ops/define.ts";
import { rmsDistance } from "../../src/verify/compare.ts";
import { generateInputs } from "../../src/verify/inputs.ts";
import { longestSum } from "../../src/verify/judge.ts";
import { relativeDraw } from "../../src/verify/noise.ts";
import { randomOf } from "../../src/verify/random.ts";
import { plain, runVariant } from "../../src/verify/runs.ts";

const models = fileURLToPath(new URL("../../fixtures/models", import.meta.url));
const installed = (() => {
  try {
    return createRequire(import.meta.url).resolve("onnxruntime-node") !== "";
  } catch {
    return false;
  }
})();

type Values = ReadonlyMap<string, Value>;

/** The largest unit roundoff of the types a model stores. */
function roundoff({ graph }: Model): number {
  const types = graph.initializers.map(({ dataType }) => dtypeOf(dataType)).filter((type) => type !== undefined);
  return Math.max(...types.filter(isStorageFloat).map((type) => STORAGE_FLOATS[type].unitRoundoff), 2 ** -24);
}

function movedRun(model: Model, feeds: Values, relative: number): Values {
  const moved = [...feeds].map(([name, value]): [string, Value] => {
    if (!isTensor(value) || !isFloat(value.dtype)) return [name, value];
    const random = randomOf(1, "input", name);
    return [name, { ...value, data: asFloat64(value).map((x) => x * (1 + relative * (2 * random.uniform() - 1))) }];
  });
  return runVariant(relativeDraw(model, relative, 1), new Map(moved), { seed: 1 });
}

/** The outputs of a model file; a message where an operator or type is not implemented there. */
async function ortRun(
  ort: Ort,
  bytes: Uint8Array,
  list: readonly Values[],
  names: readonly string[],
): Promise<Values[] | string> {
  const session = await ort.InferenceSession.create(bytes, SETTINGS).catch((error: Error) => {
    if (/Could not find an implementation|NOT_IMPLEMENTED|not implemented/i.test(error.message)) return error.message;
    throw error;
  });
  if (typeof session === "string") return session;
  const all: Values[] = [];
  for (const feeds of list) {
    const taken = session.inputNames.map((name) => [name, toOrt(ort, feeds.get(name) as Tensor)]);
    const results = await session.run(Object.fromEntries(taken), names);
    all.push(new Map(names.map((name) => [name, fromOrt(results[name]) as Tensor])));
  }
  await session.release();
  return all;
}

describe.skipIf(!installed)("ONNX Runtime and the folded fixtures", () => {
  for (const name of readdirSync(models).filter((entry) => existsSync(join(models, entry, "model.onnx")))) {
    it(name, async ({ skip }) => {
      const { model, close } = openModel(join(models, name, "model.onnx"));
      const ort = await loadOrt("skip these tests");
      const bytesOf = (edits = NO_EDITS) => collect(write(model, edits, { external: "inline" }).main);
      const after = bytesOf(plan(model).edits);
      const b = read(memorySource(after));
      const list = generateInputs(model, { samples: 2 }).map(({ feeds }) => feeds);
      const names = model.graph.outputs.map((output) => output.name);
      const [x, y] = [await ortRun(ort, bytesOf(), list, names), await ortRun(ort, after, list, names)];
      if (typeof x === "string") {
        // Whatever it cannot run before the fold it cannot run after it.
        expect(y).toBeTypeOf("string");
        close();
        return skip(x);
      }
      if (typeof y === "string") throw new Error(`the original loads, the fold does not: ${y}`);
      // Batch statistics are no constants: nothing folds, and the two files compute the same bits.
      const training = model.graph.nodes.some((node) => (node.attributes.get("training_mode")?.i ?? 0n) !== 0n);
      list.forEach((feeds, i) => {
        const relative = Math.sqrt(longestSum(model, feeds)) * roundoff(model);
        const change = (of: Model, output: string) =>
          rmsDistance(
            runVariant(plain(of), feeds, { seed: 1 }).get(output) as Value,
            movedRun(of, feeds, relative).get(output) as Value,
          );
        for (const output of names) {
          const distance = rmsDistance(x[i].get(output) as Value, y[i].get(output) as Value);
          const bound = training ? 0 : 3 * Math.hypot(change(model, output), change(b, output));
          expect(distance).toBeLessThanOrEqual(bound);
        }
      });
      close();
    });
  }
});
