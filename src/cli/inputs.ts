/** --input, --shape, --samples, --seed: what a person says about a model's inputs. */
import type { Options } from "yargs";
import type { Model } from "../onnx/records.ts";
import type { RunOptions } from "../verify/index.ts";
import { integer, texts, usage, type Values } from "./command.ts";

/** What one sample needs. */
export const sampleOptions: Readonly<Record<string, Options>> = {
  seed: { requiresArg: true, describe: "Seed of the generated inputs (default 1)" },
  input: {
    array: true,
    type: "string",
    requiresArg: true,
    describe: "Value of an input: name=file.npy, .npz or .pb; a file.npz of several; a folder of ONNX test data",
  },
  shape: {
    array: true,
    type: "string",
    requiresArg: true,
    describe: "Size of an open input: name=1,3,224,224 (-1 leaves an axis open)",
  },
};

export const inputOptions: Readonly<Record<string, Options>> = {
  samples: { requiresArg: true, describe: "Number of generated inputs (default 4)" },
  ...sampleOptions,
};

/** What to run of two files. */
export const runOptions: Readonly<Record<string, Options>> = {
  "full-run": {
    type: "boolean",
    describe: "Run the whole models in float64 on 4 generated inputs, not only what differs, although the proof shows it equal",
  },
  ...inputOptions,
  samples: { requiresArg: true, describe: "The same on this number of generated inputs" },
};

export const activationsOption: Options = {
  array: true,
  type: "string",
  requiresArg: true,
  describe: "Samples on which ranges of activations are measured, which then count, too: what recalibrate --data takes",
};

export type GivenInputs = Pick<RunOptions, "samples" | "seed" | "shapes" | "fixed" | "given" | "fullRun"> & {
  readonly notes: readonly string[];
};

/** `name=1,3,224,224`. The last "=" counts: names may hold one, sizes do not. */
function shapeOf(written: string, names: readonly string[]): [name: string, dims: number[]] {
  const at = written.lastIndexOf("=");
  const known = `Inputs of the model: ${names.join(", ") || "none"}.`;
  if (at <= 0) throw usage(`--shape is written name=1,3,224,224, got "${written}"`, known);
  const [name, sizes] = [written.slice(0, at), written.slice(at + 1)];
  if (!names.includes(name)) throw usage(`--shape: the model has no input "${name}"`, known);
  const scalar = sizes.trim() === "";
  const dims = scalar ? [] : sizes.split(",").map((size) => (/^\s*(-1|\d+)\s*$/.test(size) ? Number(size) : Number.NaN));
  if (!dims.every((dim) => Number.isSafeInteger(dim))) {
    throw usage(`--shape ${name}: expected sizes such as 1,3,224,224, got "${sizes}"`, "-1 leaves an axis open.");
  }
  return [name, dims];
}

/** What the options say, checked against the model's inputs. */
export async function givenInputs(values: Values, model: Model): Promise<GivenInputs> {
  const names = model.graph.inputs.map((input) => input.name);
  const shapes = new Map(texts(values, "shape").map((written) => shapeOf(written, names)));
  const inputs = texts(values, "input");
  const loaded = inputs.length === 0 ? { notes: [] } : (await import("../node/arrays.ts")).loadInputs(model, inputs);
  const fullRun = values["full-run"] === true;
  return {
    fullRun,
    samples: integer(values, "samples", 1, 10_000),
    seed: integer(values, "seed", 0, 2 ** 32 - 1),
    shapes,
    ...loaded,
  };
}
