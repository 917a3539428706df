/** Two files: what the verifier says of them, and what differs between them as files. */
import { diffModels } from "../../../src/diff/index.ts";
import type { OnStage } from "../../../src/engine/fold.ts";
import type { Model } from "../../../src/onnx/records.ts";
import { modelFacts } from "../../../src/report/report.ts";
import { verifyModelsAsync } from "../../../src/verify/index.ts";
import type { FoldOptions, ModelFiles, Verified } from "../protocol.ts";
import { baseName, openModel } from "./models.ts";
import { allOperators } from "./operators.ts";
import { runOptionsOf } from "./options.ts";
import { startThreads } from "./threads.ts";

const factsOf = (files: ModelFiles, model: Model) =>
  modelFacts(model, { file: baseName(files.path), bytes: files.main.size, sha256: null });

export interface Pair {
  readonly a: ModelFiles;
  readonly b: ModelFiles;
}

export async function verified(pair: Pair, options: FoldOptions, wantsBisection: boolean, told: OnStage): Promise<Verified> {
  startThreads();
  await allOperators();
  const [a, b] = [await openModel(pair.a), await openModel(pair.b)];
  const given = runOptionsOf(options, a);
  const verdict = await verifyModelsAsync(a, b, {
    ...given,
    run: !options.noRun,
    assumeConstant: options.assumeConstant,
    onProgress: told,
  });
  told("bisection", 0, 0);
  const { bisect } = await import("../../../src/engine/bisect.ts");
  const bisection = wantsBisection && verdict.outcome === "different" ? bisect(a, b, verdict, given) : undefined;
  told("comparing files", 0, 0);
  return {
    verdict,
    a: factsOf(pair.a, a),
    b: factsOf(pair.b, b),
    difference: diffModels(a, b, { onProgress: (done, total) => told("comparing files", done, total) }),
    ...(bisection === undefined ? {} : { bisection }),
  };
}
