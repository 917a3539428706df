/** Every command by name: the table that the parser, the help, completion and the man page are made of. */
import type { Entry, ExitCode } from "./table.ts";

type Managing = Exclude<keyof typeof import("./jobs-manage.ts"), "default">;

const managing = (name: Managing) => async () => ({ command: (await import("./jobs-manage.ts"))[name] });

/** Every command, loaded when it is called. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  fold: { describe: "Fold batch normalization into neighbouring weights", exits: [1, 5, 6, 75], load: () => import("./fold.ts") },
  verify: { describe: "Decide whether two files compute the same function", exits: [1, 5, 6], load: () => import("./verify.ts") },
  equalize: {
    describe: "Even out ranges of channels by powers of two, for a quantiser",
    exits: [1],
    load: () => import("./equalize.ts"),
  },
  certify: { describe: "Check a certificate that no fewer nodes can stay", exits: [1], load: () => import("./certify.ts") },
  inspect: { describe: "Show operators, and what fold would do", exits: [5, 6], load: () => import("./inspect.ts") },
  diff: { describe: "Show what changed between two files", exits: [1], load: () => import("./diff.ts") },
  run: { describe: "Run a model in float64 and show or save what it computes", load: () => import("./run.ts") },
  momentum: { describe: "Momentum, epsilon and variance between frameworks", load: () => import("./momentum.ts") },
  freeze: { describe: "Give a training-mode model inference semantics", load: () => import("./freeze.ts") },
  recalibrate: { describe: "Compute running statistics anew from data", load: () => import("./recalibrate.ts") },
  report: { describe: "Merge reports of shards, or show one in another form", exits: [6, 75], load: () => import("./report.ts") },
  explain: { describe: "Show the page of a reason or an exit code", load: () => import("./explain.ts") },
  moments: { describe: "Merge the shards of a recalibration", load: () => import("./moments.ts") },
  "jobs fold": {
    describe: "Fold the models of a store, on many machines",
    exits: [5, 6, 75],
    load: () => import("./jobs-fold.ts"),
  },
  "jobs verify": { describe: "Compare pairs of models of a store", exits: [1, 5, 6, 75], load: () => import("./jobs-verify.ts") },
  "jobs recalibrate": {
    describe: "Compute running statistics anew, in shards",
    exits: [75],
    load: () => import("./jobs-recalibrate.ts"),
  },
  "jobs status": { describe: "What a store and a queue have to do", exits: [75], load: managing("statusCommand") },
  "jobs retry": { describe: "Try again what failed", exits: [75], load: managing("retryCommand") },
  "jobs cancel": { describe: "Take what waits out of a queue", exits: [75], load: managing("cancelCommand") },
  completion: { describe: "Print what makes a shell complete bnfold's words", load: () => import("./completion.ts") },
  worker: { describe: "Take jobs out of a queue", exits: [75], load: () => import("./worker.ts") },
};

export const EXIT_CODES: readonly ExitCode[] = [
  [0, "done", true],
  [1, "not shown: files equivalent, or a certificate; diff --exit-code: there are changes"],
  [2, "wrong usage", true],
  [3, "not a model that can be read", true],
  [4, "file system", true],
  [5, "--strict or --fail-on, and a node was kept that may not be, or is in training mode"],
  [6, "of many models, some failed"],
  [75, "not done, for a reason that passes: the same command again"],
];
