/** bnfold run: computes a model with the reference executor, on inputs of the user's or generated ones. */
import { mkdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { nameMatcher } from "../engine/written.ts";
import { saveNpy, saveNpz } from "../node/arrays.ts";
import { requirePlace } from "../node/atomic.ts";
import { fileError } from "../node/files.ts";
import { isFloat } from "../onnx/dtype.ts";
import type { Model } from "../onnx/records.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { isTensor, type NumericMode, type Value } from "../ops/define.ts";
import { toJson, tool } from "../report/report.ts";
import { milliseconds, plural, printable } from "../report/words.ts";
import { createSession } from "../run/session.ts";
import { generateInputs, type Sample } from "../verify/inputs.ts";
import { type Command, flag, integer, text, texts, usage, type Values } from "./command.ts";
import { hashed, openInput } from "./files.ts";
import { type GivenInputs, givenInputs, sampleOptions } from "./inputs.ts";
import { Progress } from "./progress.ts";
import { type NodeCost, type Profile, profileLines, profileOf, type Summary, summarise, summaryTable } from "./run-text.ts";
import { said } from "./screen.ts";
import { nearest } from "./suggest.ts";
import { isSameFile } from "./target.ts";
import { note, print, stdoutStyle } from "./terminal.ts";
import { startThreads } from "./threads.ts";

interface Choices {
  readonly mode: NumericMode;
  readonly profile: boolean;
  readonly top: number;
  /** Inner values to show and save, in the graph's order. */
  readonly dumped: readonly string[];
  readonly seed: number;
}

interface Ran {
  readonly sample: Sample;
  readonly milliseconds: number;
  readonly outputs: ReadonlyMap<string, Tensor>;
  readonly dumped: ReadonlyMap<string, Tensor>;
  readonly profile: Profile | undefined;
}

/** Tensors in a value: a sequence's items are `name[0]`, `name[1]`, … */
function* tensorsIn(name: string, value: Value | undefined): Generator<[string, Tensor]> {
  if (value === undefined) return;
  if (isTensor(value)) yield [name, value];
  else if (value.kind === "optional") yield* tensorsIn(name, value.item);
  else for (const [i, item] of value.items.entries()) yield* tensorsIn(`${name}[${i}]`, item);
}

const flat = (values: Iterable<[string, Value]>): Map<string, Tensor> =>
  new Map([...values].flatMap(([name, value]) => [...tensorsIn(name, value)]));

/** Names of inner values that `patterns` mean. @throws BnfoldError of kind "usage" for a pattern that means none. */
function dumpedNames(model: Model, patterns: readonly string[]): string[] {
  const all = model.graph.nodes.flatMap((node) => node.outputs.filter((name) => name !== ""));
  const chosen = new Set<string>();
  for (const pattern of patterns) {
    const found = all.filter(nameMatcher(pattern));
    const near = nearest(pattern, all);
    if (found.length === 0) {
      throw usage(
        `--dump: no value computed in the main graph matches "${pattern}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
        'The pattern is for whole names; * stands for any characters: --dump "*" takes everything.',
      );
    }
    for (const name of found) chosen.add(name);
  }
  return all.filter((name) => chosen.has(name));
}

function runSample(model: Model, sample: Sample, choices: Choices, progress: Progress): Ran {
  const outputs = model.graph.outputs.map(({ name }) => name);
  const only = [...new Set([...outputs, ...choices.dumped])];
  const costs: NodeCost[] = [];
  const session = createSession(model, {
    mode: choices.mode,
    seed: choices.seed,
    only,
    onNode({ node, done, total, outputBytes, milliseconds: ms, multiplyAdds, heldBytes }) {
      const name = node.name || node.outputs.find((output) => output !== "") || `#${node.index}`;
      progress.step(done, total, printable(`${node.opType} ${name}`));
      if (!choices.profile) return;
      const operator = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
      costs.push({
        name,
        operator,
        milliseconds: ms,
        outputBytes: outputBytes(),
        heldBytes: heldBytes(),
        multiplyAdds,
      });
    },
  });
  progress.begin(`run ${sample.kind}`);
  const start = performance.now();
  const values = session.run(sample.feeds);
  const spent = performance.now() - start;
  progress.end();
  const pick = (names: readonly string[]) => flat(names.map((name) => [name, values.get(name) as Value]));
  return {
    sample,
    milliseconds: spent,
    outputs: pick(outputs),
    dumped: pick(choices.dumped.filter((name) => !outputs.includes(name))),
    profile: choices.profile ? profileOf(costs) : undefined,
  };
}

/** Runs the data sets given, or one generated sample; sizes nobody gave are guessed until the model takes them. */
function runAll(model: Model, given: GivenInputs, choices: Choices, progress: Progress): Ran[] {
  const sets = given.given ?? [];
  if (sets.length > 0) {
    return sets.map(({ name, feeds }) =>
      runSample(model, { kind: name, seed: choices.seed, feeds: new Map([...feeds, ...(given.fixed ?? [])]) }, choices, progress),
    );
  }
  let failure: unknown;
  for (let attempt = 0; ; attempt++) {
    const made = generateInputs(model, { samples: 1, seed: given.seed, shapes: given.shapes, fixed: given.fixed, attempt });
    if (made === undefined) throw failure;
    try {
      return [runSample(model, made[0], choices, progress)];
    } catch (error) {
      progress.end();
      // An unknown operator or a file that cannot be read does not depend on sizes.
      if (!(error instanceof BnfoldError) || error.kind !== "model") throw error;
      failure ??= error;
    }
  }
}

/** Floats of a float64 run keep their doubles; in storage mode, and for every other type, the declared type is kept. */
const asSaved = (tensor: Tensor, mode: NumericMode): Tensor =>
  mode === "float64" && isFloat(tensor.dtype) ? { ...tensor, dtype: "float64" } : tensor;

/** Names of values as names of files, different ones for different values whatever the file system folds together. */
function fileNames(names: Iterable<string>): Map<string, string> {
  const taken = new Set<string>();
  const out = new Map<string, string>();
  for (const name of names) {
    const base = name.replace(/[^A-Za-z0-9._[\]-]+/g, "_").replace(/^\.+/, "_") || "_";
    let file = base;
    for (let i = 2; taken.has(file.toLowerCase()); i++) file = `${base}_${i}`;
    taken.add(file.toLowerCase());
    out.set(name, file);
  }
  return out;
}

const allOf = (ran: Ran): Map<string, Tensor> => new Map([...ran.outputs, ...ran.dumped]);

/** Writes what was computed; gives the files. Several data sets go to folders, or archive entries, of their names. */
function save(target: string, runs: readonly Ran[], mode: NumericMode): string[] {
  const prefix = (ran: Ran) => (runs.length > 1 ? `${ran.sample.kind}/` : "");
  if (extname(target).toLowerCase() === ".npz") {
    const arrays = runs.flatMap((ran) =>
      [...allOf(ran)].map(([name, tensor]): [string, Tensor] => [prefix(ran) + name, asSaved(tensor, mode)]),
    );
    saveNpz(target, new Map(arrays));
    return [target];
  }
  return runs.flatMap((ran) => {
    const folder = join(target, prefix(ran));
    try {
      mkdirSync(folder, { recursive: true });
    } catch (error) {
      throw fileError(folder, error);
    }
    const names = fileNames(allOf(ran).keys());
    return [...allOf(ran)].map(([name, tensor]) => {
      const file = join(folder, `${names.get(name)}.npy`);
      saveNpy(file, asSaved(tensor, mode));
      return file;
    });
  });
}

/** @throws BnfoldError of kind "usage" when the target is neither a folder nor an archive. */
function checkTarget(target: string | undefined, model: string): void {
  if (target === undefined) return;
  if (isSameFile(target, model)) throw usage(`the output ${target} is the model itself`, "Name a folder or a file.npz.");
  const there = statSync(target, { throwIfNoEntry: false });
  if (extname(target).toLowerCase() === ".npz") {
    if (there?.isDirectory()) throw usage(`the output ${target} is a folder named like an archive`);
    requirePlace(target);
  } else if (there !== undefined && !there.isDirectory()) {
    throw usage(`the output ${target} is a file`, "Name a folder (a .npy a tensor) or a file.npz.");
  }
}

const summaries = (tensors: ReadonlyMap<string, Tensor>): Summary[] => [...tensors].map(([name, t]) => summarise(name, t));

function lines(file: string, runs: readonly Ran[], saved: readonly string[], choices: Choices, threads: number): string[] {
  const section = (title: string, tensors: ReadonlyMap<string, Tensor>) =>
    tensors.size === 0 ? [] : [title, "", ...summaryTable(summaries(tensors)), ""];
  const how = `${choices.mode === "float64" ? "float64" : "storage precision"}, ${plural(threads, "thread")}`;
  return [
    ...said(`${printable(file)}  ${how}`).map((line) => stdoutStyle("bold", line)),
    "",
    ...runs.flatMap((ran) => [
      ...(runs.length > 1 ? [stdoutStyle("bold", printable(ran.sample.kind)), ""] : []),
      ...section("inputs", flat(ran.sample.feeds)),
      ...section("outputs", ran.outputs),
      ...section("inner values", ran.dumped),
      ...(ran.profile === undefined ? [] : [...profileLines(ran.profile, choices.top), ""]),
    ]),
    ...saved.map((path) => `wrote ${printable(path)}`),
    `time: ${milliseconds(runs.reduce((sum, ran) => sum + ran.milliseconds, 0))}`,
  ];
}

async function run(values: Values): Promise<number> {
  const path = String(values.model);
  const target = text(values, "output");
  checkTarget(target, path);
  const asked = integer(values, "threads", 1, 64);
  const { model, facts, close } = openInput(path);
  const given = await givenInputs(values, model);
  const choices: Choices = {
    mode: flag(values, "storage") ? "storage" : "float64",
    profile: flag(values, "profile"),
    top: integer(values, "top", 1) ?? 15,
    dumped: dumpedNames(model, texts(values, "dump")),
    seed: given.seed ?? 1,
  };
  for (const line of given.notes) note(line);
  const threads = startThreads(model, asked);
  const runs = runAll(model, given, choices, new Progress());
  void threads.stop();
  const saved = target === undefined ? [] : save(target, runs, choices.mode);
  if (flag(values, "json")) {
    const report = runs.map((ran) => ({
      name: ran.sample.kind,
      inputs: summaries(flat(ran.sample.feeds)),
      outputs: summaries(ran.outputs),
      dumped: summaries(ran.dumped),
      runMs: ran.milliseconds,
      profile: ran.profile ?? null,
    }));
    const { mode, seed } = choices;
    print(
      toJson({ version: 1, tool: tool(), model: await hashed(facts), mode, seed, threads: threads.size, runs: report, saved }),
    );
  } else {
    print(lines(path, runs, saved, choices, threads.size).join("\n"));
  }
  close();
  return 0;
}

export const command: Command = {
  positionals: { model: { type: "string", describe: "ONNX file", demandOption: true } },
  options: {
    output: { alias: "o", type: "string", requiresArg: true, describe: "Folder for a .npy a tensor, or one file.npz" },
    dump: {
      array: true,
      type: "string",
      requiresArg: true,
      describe: "Also show and save inner values whose name matches (* and ? as wildcards)",
    },
    profile: { type: "boolean", describe: "Show time, memory and multiply-adds of the nodes" },
    top: { requiresArg: true, describe: "Nodes in the profile's list (default 15)" },
    storage: { type: "boolean", describe: "Round each result to its declared type, as a runtime does, in place of float64" },
    threads: { requiresArg: true, describe: "Threads computing (default: all processors for a model of some size)" },
    ...sampleOptions,
    json: { type: "boolean", describe: "Print JSON" },
  },
  examples: [
    ["bnfold run model.onnx", "on generated inputs, with a summary of the outputs"],
    ["bnfold run model.onnx --input x=photo.npy -o results", "on data of your own, outputs as .npy"],
    ['bnfold run model.onnx --dump "*/conv1/*" --profile', "inner values, and where the time goes"],
  ],
  run,
};
