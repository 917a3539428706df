/**
 * Mutation testing: each mutant of the sources named is run against the tests of its room that run the code it is in, the quickest
 * first, until one fails. What no test notices is printed, with the score. Which test runs what is seen once (scripts/mutants/ran.ts).
 * Results are kept in .mutants/, by the text of the file, so that an interrupted run goes on where it stopped.
 */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { described, type Mutant, mutantsOf, mutated, parses } from "./mutants/mutate.ts";
import { type Picked, Runs, sourcesIn } from "./mutants/ran.ts";
import { runTests } from "./mutants/vitest.ts";

const USAGE = `usage: npm run mutants -- <file or folder of src>... [--match <text>] [--sample <n>] [--seed <n>] [--jobs <n>] [--budget <s>]
                                                      [--again] [--list]

  --match <re>  only mutants whose line in --list matches
  --sample <n>  so many mutants of each file or folder named, drawn at random; all of them when absent
  --seed <n>    of the draw; 1 when absent
  --jobs <n>    so many at a time; 2 when absent
  --budget <s>  seconds of tests, by the clock of a run without mutants, after which a mutant counts as survived; 60 when absent
  --again       runs those that survived before once more: after a test was written
  --list        print the mutants and run none
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    match: { type: "string" },
    sample: { type: "string" },
    seed: { type: "string" },
    jobs: { type: "string" },
    budget: { type: "string" },
    again: { type: "boolean" },
    list: { type: "boolean" },
  },
});
if (positionals.length === 0) {
  process.stderr.write(USAGE);
  process.exit(2);
}

const root = process.cwd();
const store = join(root, ".mutants");
const survivorsFile = join(root, "test/mutants/survivors.json");

interface Job {
  readonly file: string;
  readonly text: string;
  readonly mutant: Mutant;
  readonly key: string;
}

interface Outcome {
  readonly outcome: "killed" | "survived";
  /** The test that failed. */
  readonly by?: string;
  /** How many tests run the code the mutant is in, and how many of them ran. */
  readonly tests: number;
  readonly ran: number;
}

const roomOf = (file: string) => file.split("/")[1];
const filesOf = (path: string) => (statSync(join(root, path)).isFile() ? [path] : sourcesIn(root, path.replace(/\/$/, "")));

function jobsOf(path: string): Job[] {
  return filesOf(path).flatMap((file) => {
    const text = readFileSync(join(root, file), "utf8");
    return mutantsOf(text).map((mutant) => ({
      file,
      text,
      mutant,
      key: createHash("sha256")
        .update(`${file}\0${text}\0${JSON.stringify(mutant)}`)
        .digest("hex")
        .slice(0, 24),
    }));
  });
}

/** `n` of a list, the same for the same seed: those whose key, hashed with the seed, comes first. */
function sampled(jobs: readonly Job[], n: number, seed: string): Job[] {
  const order = (job: Job) => createHash("sha256").update(`${seed}\0${job.key}`).digest("hex");
  const taken: Job[] = [];
  for (const { job } of jobs.map((j) => ({ job: j, order: order(j) })).sort((a, b) => (a.order < b.order ? -1 : 1)))
    if (taken.length < n && parses(mutated(job.text, job.mutant))) taken.push(job);
  return taken;
}

/** Results of earlier runs. */
function known(): Map<string, Outcome> {
  const found = new Map<string, Outcome>();
  const file = join(store, "results.jsonl");
  if (!existsSync(file)) return found;
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (line === "") continue;
    const { key, ...outcome } = JSON.parse(line) as Outcome & { key: string };
    found.set(key, outcome);
  }
  return found;
}

/** Tests in waves: a few quick ones, which notice most, then the others as far as the budget goes. */
function waves(tests: readonly Picked[], budget: number): Picked[][] {
  const out: [quick: Picked[], rest: Picked[]] = [[], []];
  let ms = 0;
  for (const test of tests) {
    ms += test.ms;
    if (ms > budget && out[0].length > 0) break;
    out[ms <= QUICK || out[0].length === 0 ? 0 : 1].push(test);
  }
  return out.filter((wave) => wave.length > 0);
}
const QUICK = 5_000;

/** Tests by file, the quickest file first. */
function byFile(tests: readonly Picked[]): { file: string; names: string[]; ms: number }[] {
  const files = new Map<string, { file: string; names: string[]; ms: number }>();
  for (const { file, name, ms } of tests) {
    const at = files.get(file) ?? { file, names: [], ms: 0 };
    at.names.push(name);
    at.ms += ms;
    files.set(file, at);
  }
  return [...files.values()].sort((a, b) => a.ms - b.ms);
}

/** What takes this many times as long as without the mutant, start included, does not end. */
const endless = (tests: readonly Picked[]) => 30_000 + 5 * tests.reduce((sum, { ms }) => sum + ms, 0);

async function outcomeOf(runs: Runs, { file, text, mutant, key }: Job): Promise<Outcome> {
  const tests = runs.seeing(file, roomOf(file), { start: mutant.start, end: mutant.end });
  const scratch = join(store, key);
  const replaced = `${scratch}.ts`;
  writeFileSync(replaced, mutated(text, mutant));
  let ran = 0;
  try {
    for (const wave of waves(tests, Number(options.budget ?? 60) * 1000)) {
      const order = { root, replaced: { [join(root, file)]: replaced }, tests: byFile(wave) };
      const came = await runTests(order, scratch, endless(wave), true);
      ran += wave.length;
      if (came.failed !== undefined) return { outcome: "killed", by: came.failed, tests: tests.length, ran };
    }
    return { outcome: "survived", tests: tests.length, ran };
  } finally {
    rmSync(replaced, { force: true });
  }
}

const pattern = options.match === undefined ? undefined : new RegExp(options.match);
const lineOf = ({ file, text, mutant }: Job) => `${file} ${mutant.kind} ${described(text, mutant)}`;
const results = known();
const chosen = positionals.flatMap((path) => {
  const all = jobsOf(path).filter((job) => pattern === undefined || pattern.test(lineOf(job)));
  return options.sample === undefined ? all : sampled(all, Number(options.sample), options.seed ?? "1");
});
const say = (line: string) => process.stderr.write(`${line}\n`);

async function runAll(): Promise<void> {
  const queue = chosen.filter(({ key }) => {
    const before = results.get(key);
    return before === undefined || (options.again === true && before.outcome === "survived");
  });
  const runs = new Runs(root, store);
  if (queue.length > 0) for (const room of new Set(queue.map(({ file }) => roomOf(file)))) await runs.of(room, say);
  let done = chosen.length - queue.length;
  async function work(): Promise<void> {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      const outcome = await outcomeOf(runs, job);
      results.set(job.key, outcome);
      appendFileSync(join(store, "results.jsonl"), `${JSON.stringify({ key: job.key, ...outcome, file: job.file })}\n`);
      const how = outcome.by === undefined ? `${outcome.ran} of ${outcome.tests} tests` : outcome.by;
      say(`${++done}/${chosen.length} ${outcome.outcome} ${lineOf(job)}    (${how})`);
    }
  }
  await Promise.all(Array.from({ length: Number(options.jobs ?? 2) }, work));
}

function report(): void {
  const reasons = (existsSync(survivorsFile) ? JSON.parse(readFileSync(survivorsFile, "utf8")) : {}) as Record<
    string,
    Record<string, string>
  >;
  /** Listed survivors are named by what changes and the line it is in, not by where: lines move. */
  const nameOf = ({ text, mutant }: Job) => described(text, mutant).replace(/^line \d+: /, "");
  const lines: string[] = [];
  let [killed, unexplained] = [0, 0];
  for (const file of [...new Set(chosen.map((job) => job.file))]) {
    const own = chosen.filter((job) => job.file === file);
    const left = own.filter(({ key }) => results.get(key)?.outcome === "survived");
    killed += own.length - left.length;
    lines.push(`${file}: ${own.length - left.length} of ${own.length} killed`);
    for (const job of left) {
      const why = reasons[file]?.[nameOf(job)];
      if (why === undefined) unexplained++;
      lines.push(
        `  ${why === undefined ? "SURVIVED" : "survived"} ${job.mutant.kind} ${described(job.text, job.mutant)}${why === undefined ? "" : `    because ${why}`}`,
      );
    }
  }
  const percent = ((100 * killed) / Math.max(1, chosen.length)).toFixed(1);
  lines.push(
    `${chosen.length} mutants (seed ${options.seed ?? "1"}), ${killed} killed (${percent} %), ${chosen.length - killed} survived, ${unexplained} of them without a reason in test/mutants/survivors.json`,
  );
  process.stdout.write(`${lines.join("\n")}\n`);
  process.exitCode = unexplained > 0 ? 1 : 0;
}

mkdirSync(store, { recursive: true });
if (options.list === true) process.stdout.write(chosen.map((job) => `${lineOf(job)}\n`).join(""));
else {
  await runAll();
  report();
}
