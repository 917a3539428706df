/**
 * ONNX Runtime as the engine of a recalibration (ort.ts). For each pass the model is written with the statistics so far and
 * with the values wanted as outputs.
 */
import { BnfoldError } from "../diag/error.ts";
import { viewOf } from "../graph/view.ts";
import { isFloat } from "../onnx/dtype.ts";
import { insertAt } from "../onnx/edit.ts";
import { lengthDelimited, textField } from "../onnx/put.ts";
import { read } from "../onnx/read.ts";
import type { Model } from "../onnx/records.ts";
import { FIELD } from "../onnx/schema.ts";
import { memorySource } from "../onnx/source.ts";
import { collect, splice } from "../onnx/splice.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { NO_EDITS, write } from "../onnx/write.ts";
import { isTensor } from "../ops/define.ts";
import type { Engine, Feeds } from "../train/index.ts";
import { statisticsEdits } from "../train/targets.ts";
import { fromOrt, loadOrt, type Ort, type OrtSession, type OrtTensor, ortVersion, toOrt } from "./ort.ts";

/** Feeds as ONNX Runtime takes them. */
function ortTensor(ort: Ort, name: string, tensor: Tensor): OrtTensor {
  const made = toOrt(ort, tensor);
  if (made !== undefined) return made;
  throw new BnfoldError(
    "usage",
    `input "${name}" has the type ${tensor.dtype}, which is not passed to ONNX Runtime`,
    { tensor: name },
    "Leave --engine away.",
  );
}

/** What ONNX Runtime complains about is the model, not a defect of this program. */
async function said<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw new BnfoldError(
      "operator",
      `ONNX Runtime cannot run the model: ${(error as Error).message}`,
      {},
      "Leave --engine away: the built-in executor may.",
    );
  }
}

/** The model's bytes with further values as outputs of its graph. */
function withOutputs(bytes: Uint8Array, names: readonly string[]): Uint8Array {
  const model = read(memorySource(bytes));
  const known = new Set([...model.graph.outputs, ...model.graph.inputs].map(({ name }) => name));
  const { graph } = model;
  const edits = names
    .filter((name) => !known.has(name))
    .map((name) => insertAt(graph.frame, graph.frame.end, lengthDelimited(FIELD.graph.output, textField(1, name))));
  return collect(splice(model.files.main, model.frame, edits));
}

export async function openOnnxRuntime(model: Model): Promise<Engine> {
  const ort = await loadOrt("leave --engine away: the built-in executor needs nothing.");
  const view = viewOf(model);
  let session: OrtSession | undefined;
  const close = async () => {
    await session?.release();
    session = undefined;
  };
  return {
    label: `onnxruntime ${ortVersion(ort)}`.trim(),
    async pass(statistics, wanted) {
      await close();
      const written = write(model, { ...NO_EDITS, ...statisticsEdits(model, view, statistics) }, { external: "inline" });
      const bytes = withOutputs(collect(written.main), wanted);
      const created = await said(ort.InferenceSession.create(bytes, { logSeverityLevel: 3 }));
      session = created;
      const inputs = new Set(model.graph.inputs.map(({ name }) => name));
      return async (_block, feeds: () => Feeds) => {
        const given = feeds();
        const taken: Record<string, OrtTensor> = {};
        for (const [name, value] of given) if (isTensor(value)) taken[name] = ortTensor(ort, name, value);
        const fetches = wanted.filter((name) => !inputs.has(name));
        const results = fetches.length === 0 ? {} : await said(created.run(taken, fetches));
        return new Map(
          wanted.map((name) => [name, inputs.has(name) ? (given.get(name) as Tensor) : floats(name, results[name])]),
        );
      };
    },
    close,
  };
}

/** Statistics are taken of floats only. */
function floats(name: string, value: OrtTensor): Tensor {
  const tensor = fromOrt(value);
  if (tensor !== undefined && isFloat(tensor.dtype)) return tensor;
  throw new BnfoldError("operator", `ONNX Runtime gives "${name}" as ${value.type}`, { tensor: name });
}
