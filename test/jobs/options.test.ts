/** Options of a command and of its jobs are one table: what a command can make, its jobs can. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hereOptions, madeOptions } from "../../src/cli/fold-options.ts";
import { ALLOWED, foldNames, recalibrateNames, verifyNames } from "../../src/cli/jobs-options.ts";
import { requireJob } from "../../src/jobs/job.ts";
import { bnfold, convNet, folder } from "../cli/bnfold.ts";
import { type ModelSpec, modelBytes, node } from "../helpers/build.ts";
import { contents } from "./cluster.ts";
import { isModel } from "./zoo.ts";

const dir = folder();

/** Options a command's help lists. */
const optionsOf = (command: string): string[] => {
  const [shown] = bnfold([...command.split(" "), "--help"])
    .stdout.split("\nOptions:")[1]
    .split("\nExamples:");
  return [...shown.matchAll(/^ +(?:-[a-z], )?--([a-z][a-z-]*)/gm)].map(([, name]) => name);
};

/** What a command says, how much, and in what form, and how many there are to do it: nothing a job could do otherwise. */
const TOLD = [
  "help",
  "version",
  "config",
  "print-config",
  "format",
  "report",
  "json",
  "verbose",
  "quiet",
  "jobs",
  "resume",
  "shard",
];
/** Files of the machine the command is given at. */
const FILES = {
  fold: Object.keys(hereOptions),
  verify: ["input"],
  recalibrate: ["data", "output", "in-place", "dry-run", "mkdir", "input", "moments", "from-moments"],
};

describe.each([
  ["fold", foldNames],
  ["verify", verifyNames],
  ["recalibrate", recalibrateNames],
] as const)("%s", (command, names) => {
  it("has no option that its jobs have not, but those that name files of a machine", () => {
    const made = optionsOf(command).filter((name) => !TOLD.includes(name) && !FILES[command].includes(name));
    expect([...names].sort()).toEqual(made.sort());
    const sent = optionsOf(`jobs ${command}`);
    expect(names.filter((name) => !sent.includes(name))).toEqual([]);
  });
});

it("no option stands in both tables, and none that names a file may be in a job", () => {
  expect(Object.keys(hereOptions).filter((name) => name in madeOptions)).toEqual([]);
  const base = { v: 1, kind: "fold", id: "fold-0", run: "run-0", tag: "t", attempts: 1, retries: 1, file: "m.onnx" };
  const job = { ...base, model: { key: "m.onnx", version: "1" } };
  for (const name of Object.keys(hereOptions))
    expect(() => requireJob({ ...job, options: { [name]: "/etc/passwd" } }, ALLOWED)).toThrow("its option");
  expect(requireJob({ ...job, options: { freeze: true } }, ALLOWED)).toMatchObject({ kind: "fold" });
});

/** A normalization in training mode in front of one that nothing takes. */
function trained(): ModelSpec {
  const net = convNet({ kept: true });
  const nodes = net.nodes.map((one) =>
    one.name === "norm" ? { ...one, attributes: { ...one.attributes, training_mode: 1 } } : one,
  );
  return { ...net, nodes: [...nodes, node("Relu", ["z"], ["end"], {}, { name: "end" })] };
}

describe("a job makes what the command makes with", () => {
  const store = join(dir, "store");
  mkdirSync(join(store, "zoo"), { recursive: true });
  writeFileSync(join(store, "zoo/plain.onnx"), modelBytes(convNet({ kept: true })));
  writeFileSync(join(store, "zoo/trained.onnx"), modelBytes(trained()));
  it.each([
    [["--freeze"]],
    [["--equalize", "--bn-to-conv"]],
    [["--max-bits-lost", "0", "--relu-to-max", "--norms", "--partial"]],
    [["--skip", "norm", "--no-check"]],
  ])("%j", (options) => {
    const [here, there] = ["here", "there"].map((which) => join(dir, `${which}${options.join("")}`));
    const alone = bnfold(["fold", join(store, "zoo"), "-o", here, ...options]);
    const sent = bnfold(["jobs", "fold", "zoo", "--store", store, "-o", there, ...options]);
    expect(sent.code, sent.stderr).toBe(alone.code);
    expect(contents(there, isModel).size).toBe(2);
    expect(contents(there, isModel)).toEqual(contents(here, isModel));
  });
});
