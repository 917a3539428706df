/** Options of statistics that name no file of any machine: a job may carry them to another one, and `jobs recalibrate` has all of them. */
import type { Options } from "yargs";

export const statisticsOptions: Readonly<Record<string, Options>> = {
  only: { array: true, type: "string", requiresArg: true, describe: "Only layers whose name matches (* and ? as wildcards)" },
  untie: { type: "boolean", describe: "Give layers that share all their tensors statistics of their own" },
  "at-once": { type: "boolean", describe: "One pass in the model as it is, not layer after layer" },
  unbiased: { type: "boolean", describe: "Variance by N - 1 in place of N" },
  block: { requiresArg: true, describe: "Samples per block (default 8, or the batch size the model fixes)" },
  whole: { type: "boolean", describe: "Each file is one sample, fed as it is" },
  engine: {
    choices: ["bnfold", "onnxruntime"],
    requiresArg: true,
    describe: "What runs the model (onnxruntime-node when installed)",
  },
  memory: { requiresArg: true, describe: "GB for values kept between passes (default 1)" },
};
