/** bnfold jobs recalibrate: statistics from data in a store, a level of layers after the other, each in shards. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { anyOf } from "../engine/written.ts";
import { queueUrl } from "../jobs/engine.ts";
import { nextSteps, shardsOf, stepsOf } from "../jobs/flow.ts";
import { isHolder, type Job, nameOf, type Ref } from "../jobs/job.ts";
import { baseOf, folderOf, joinKeys, tidyKey } from "../jobs/keys.ts";
import type { Plan, Run } from "../jobs/runs.ts";
import type { Entry, Store } from "../jobs/store.ts";
import { openModel } from "../node/files.ts";
import { toJson } from "../report/report.ts";
import { plural, printable } from "../report/words.ts";
import { Recalibration } from "../train/index.ts";
import { TEMPORARY } from "./batch.ts";
import { type Line, lineOf } from "./batch-lines.ts";
import { type Command, flag, integer, text, texts, usage, type Values } from "./command.ts";
import { blockOf, openData } from "./data.ts";
import { titleOf } from "./jobs-fold.ts";
import { ALLOWED, recalibrateNames } from "./jobs-options.ts";
import { bring, followed, jobOptions, leave, openSession, type Session, sendOptions } from "./jobs-session.ts";
import { npyHead } from "./npy-rows.ts";
import { statisticsOptions } from "./recalibrate-options.ts";
import { fetched, fetchedModel } from "./stored-files.ts";
import { externalOption } from "./target.ts";
import { note, print } from "./terminal.ts";

const ARRAYS = /\.(npy|npz|pb)$/i;
const DEFAULT_SHARDS = 16;
/** More than the head of any .npy file. */
const HEAD_BYTES = 1 << 16;

type Line2 = Line & {
  readonly recalibration?: {
    readonly output: { readonly file: string; readonly sideFiles: readonly { readonly file: string }[] };
  };
};

interface DataEntry {
  readonly entry: Entry;
  readonly input?: string;
}

/** Files of data in the order of their samples: what --data names, folders opened, lists read. */
async function dataEntries(store: Store, specs: readonly string[]): Promise<DataEntry[]> {
  const out: DataEntry[] = [];
  for (const spec of specs) {
    const [, input, named] = /^([^=/]+)=(.+)$/.exec(spec) ?? [];
    const key = tidyKey(named ?? spec);
    const entry = await store.stat(key);
    if (entry !== undefined && /\.txt$/i.test(key)) out.push(...(await dataEntries(store, await listedIn(store, entry))));
    else if (entry !== undefined) out.push({ entry, ...(input === undefined ? {} : { input }) });
    else {
      const files = (await store.list(`${key}/`)).filter((file) => folderOf(file.key) === key && ARRAYS.test(file.key));
      if (files.length === 0)
        throw new BnfoldError(
          "file",
          `the store ${store.label} has no data "${spec}"`,
          { file: spec },
          "Names are keys of the store: .npy, .npz, .pb, a folder of them, or a .txt list.",
        );
      files.sort((a, b) => a.key.localeCompare(b.key, "en", { numeric: true }));
      out.push(...files.map((file) => ({ entry: file, ...(input === undefined ? {} : { input }) })));
    }
  }
  return out;
}

async function listedIn(store: Store, entry: Entry): Promise<string[]> {
  const text = new TextDecoder().decode(await store.read(entry, 0, entry.size));
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const home = folderOf(entry.key);
  return lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => joinKeys(home, line));
}

/** Reading an array by rows needs its head only; `samples` then. What cannot be read so is fetched whole. */
async function placed(
  store: Store,
  { entry, input }: DataEntry,
  folder: string,
  whole: boolean,
): Promise<{ path: string; samples?: number }> {
  const place = join(folder, baseOf(entry.key));
  if (!store.remote || whole || input !== undefined || !/\.npy$/i.test(entry.key))
    return { path: await fetched(store, entry, place) };
  await mkdir(dirname(place), { recursive: true });
  writeFileSync(place, await store.read(entry, 0, Math.min(entry.size, HEAD_BYTES)));
  truncateSync(place, entry.size);
  const head = npyHead(place);
  return head === undefined ? { path: await fetched(store, entry, place) } : { path: place, samples: head.shape[0] };
}

const ref = ({ key, version }: Entry): Ref => ({ key, version });

/** Those who hold the data. @throws BnfoldError of kind "usage" for what is no name, or given twice. */
function holdersOf(values: Values): string[] {
  const names = texts(values, "holder");
  const bad = names.find((name, i) => !isHolder(name) || names.indexOf(name) !== i);
  if (bad !== undefined) throw usage(`--holder: "${bad}" is no name of small letters, digits and -, or is given twice`);
  return names;
}

/** Everything the steps will read, found out once. */
async function planOf(session: Session, values: Values, scratch: string): Promise<Plan> {
  const { store } = session;
  const key = tidyKey(String(values.model));
  const entry = await store.stat(key);
  if (entry === undefined) throw new BnfoldError("file", `the store ${store.label} has no model "${key}"`, { file: key });
  const opened = openModel((await fetchedModel(store, entry, join(scratch, "in"))).path);
  try {
    const order = flag(values, "at-once") ? "at-once" : "layers";
    const { targets } = new Recalibration(opened.model, {
      order,
      select: anyOf(texts(values, "only")),
      untie: flag(values, "untie"),
    });
    const whole = flag(values, "whole");
    const levels = order === "at-once" ? 1 : new Set(targets.map(({ level }) => level)).size;
    const holders = holdersOf(values);
    if (holders.length > 0) {
      const block = blockOf(opened.model, integer(values, "block", 1), whole);
      return { model: ref(entry), data: [], samples: 0, block, levels, holders };
    }
    const entries = await dataEntries(store, texts(values, "data"));
    const places: { readonly path: string; readonly samples?: number }[] = [];
    for (const [i, data] of entries.entries()) places.push(await placed(store, data, join(scratch, "data", String(i)), whole));
    const specs = entries.map(({ input }, i) => (input === undefined ? places[i].path : `${input}=${places[i].path}`));
    const data = openData(opened.model, specs, { fixed: new Map(), block: integer(values, "block", 1), whole });
    // Rows are counted over all files: by ranges only where each of them says how many it has.
    const counted = places.every(({ samples }) => samples !== undefined);
    return {
      model: ref(entry),
      data: entries.map(({ entry: file, input }, i) => ({
        ...ref(file),
        bytes: file.size,
        ...(input === undefined ? {} : { input }),
        ...(counted ? { samples: places[i].samples } : {}),
      })),
      samples: data.samples,
      block: data.block,
      levels,
    };
  } finally {
    opened.close();
  }
}

async function run(values: Values): Promise<number> {
  const output = text(values, "output");
  const session = await openSession(values);
  const scratch = mkdtempSync(join(tmpdir(), "bnfold-plan-"));
  let plan: Plan;
  try {
    plan = await planOf(session, values, scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const { store, tag, attempts, retries } = session;
  const options = jobOptions(values, recalibrateNames);
  const run = nameOf("run", "recalibrate", tag, plan, options);
  const shards = shardsOf(plan, integer(values, "shards", 1, 100_000) ?? (plan.holders === undefined ? DEFAULT_SHARDS : 1));
  const steps = stepsOf(plan, shards, { run, tag, attempts, retries });
  const jobs: Job[] = steps.flat();
  const title = titleOf("recalibrate", [plan.model.key], options);
  const made: Run = { version: 1, run, kind: "recalibrate", title, tag, created: Date.now(), options, jobs, plan };
  const amount = plan.holders === undefined ? plural(plan.samples, "sample") : `data of ${plan.holders.join(", ")}`;
  note(`${plural(plan.levels, "level")} of layers, ${amount} in blocks of ${plan.block}, ${plural(shards, "shard")} each`);
  const what = {
    next: (done: ReadonlySet<string>) => nextSteps(steps, done),
    parse: (value: unknown) => lineOf(value) as Line2 | undefined,
    isEnd: ({ status }: Line2) => status === "failed",
  };
  const { ended, lines } = await followed(session, values, ALLOWED, "recalibrating", made, what);
  if (ended === "failed") return failed(lines.values());
  if (ended !== "done") return leave(ended, session, run, values);
  return finish(values, store, lines, steps[steps.length - 1][0].id, output);
}

/** The first step that failed says what is wrong with all. */
function failed(lines: Iterable<Line2>): number {
  const [line] = [...lines].filter(({ status }) => status === "failed");
  note(`${line.file} failed: ${line.error?.message ?? ""}`);
  if (line.error?.kind !== "temporary") return line.code;
  note("bnfold jobs retry tries it again");
  return TEMPORARY;
}

async function finish(
  values: Values,
  store: Store,
  lines: ReadonlyMap<string, Line2>,
  last: string,
  output: string | undefined,
): Promise<number> {
  const found = lines.get(last)?.recalibration;
  if (found === undefined)
    throw new BnfoldError("format", "the run has no result", {}, "Remove it from the store, and run the command again.");
  const home = folderOf(found.output.file);
  if (output !== undefined) {
    if (found.output.sideFiles.length > 0 && baseOf(output) !== baseOf(found.output.file))
      note(`the model refers to its side files by name; they lie beside ${printable(output)}`);
    for (const { file } of found.output.sideFiles)
      await bring(store, joinKeys(file), join(dirname(output), file.slice(home.length + 1)));
    await bring(store, joinKeys(found.output.file), output);
  }
  if (flag(values, "json")) print(toJson(found));
  else print(output === undefined ? `result: ${found.output.file} in ${store.label}` : `wrote ${printable(output)}`);
  return 0;
}

export const command: Command = {
  positionals: { model: { type: "string", describe: "Key of a model of the store", demandOption: true } },
  options: {
    ...sendOptions,
    data: {
      array: true,
      type: "string",
      requiresArg: true,
      describe: "Keys of samples: .npy, .npz, .pb, name=file, a folder, or a .txt list",
    },
    holder: {
      array: true,
      type: "string",
      requiresArg: true,
      describe: "In place of --data, names of those who hold the data and run worker --holder: they give moments only",
    },
    output: { alias: "o", requiresArg: true, type: "string", describe: "Also bring the model to this file" },
    shards: {
      requiresArg: true,
      describe: "Parts of the data, for each level of layers (default 16); the result has the same bytes",
    },
    external: externalOption,
    ...statisticsOptions,
    json: { type: "boolean", describe: "Print JSON" },
  },
  examples: [
    ["bnfold jobs recalibrate net.onnx --data images --store /mnt/zoo -o fresh.onnx", "new statistics, on this machine"],
    ["bnfold jobs recalibrate net.onnx --data images --shards 400 --store s3://zoo --queue redis://queue", "on many"],
  ],
  async run(values) {
    const [data, holders] = [texts(values, "data"), texts(values, "holder")];
    if (data.length + holders.length === 0) throw usage("jobs recalibrate needs --data, or --holder");
    if (data.length > 0 && holders.length > 0)
      throw usage("--data is in the store, and --holder is for data that is not", "Give one of them.");
    if (holders.length > 0 && queueUrl(text(values, "queue")) === undefined)
      throw usage("--holder needs --queue", "It is how those who hold data are asked.");
    return run(values);
  },
};
