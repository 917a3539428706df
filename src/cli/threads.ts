/** Threads for the heavy kernels, where a model is big enough to gain from them. */
import { type Threads, useThreads } from "../node/threads.ts";
import type { Model } from "../onnx/records.ts";

/** Below this many bytes a model runs faster than threads start. */
const SMALL_MODEL = 1 << 18;

/** Bytes of the model, side files included. */
function sizeOf(model: Model): number {
  return model.files.main.size + model.externalTensors.reduce((n, { external }) => n + (external?.length ?? 0), 0);
}

/** `asked` threads; by default all processors for a model of some size, else the caller's alone. */
export function startThreads(model: Model, asked?: number): Threads {
  return useThreads(asked ?? (sizeOf(model) < SMALL_MODEL ? 1 : undefined));
}
