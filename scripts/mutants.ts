/**
 * Mutation testing: each mutant of the sources named is run against the tests next to it. What no test notices is printed, with the score.
 * Results are kept in .mutants/, by the text of the file, so that an interrupted run goes on where it stopped.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { described, type Mutant, mutantsOf, mutated } from "./mutants/mutate.ts";
import { type Stage, stagesOf } from "./mutants/tests.ts";

const USAGE = `usage: npm run mutants -- <file or folder of src>... [--match <text>] [--sample <n>] [--seed <n>] [--jobs <n>] [--list]

  --match <re>  only mutants whose line in --list matches
  --sample <n>  so many mutants of each file or folder named, drawn at random; all of them when absent
  --seed <n>    of the draw; 1 when absent
  --jobs <n>    so many at a time; 2 when absent
  --list        print the mutants and run none
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    match: { type: "string" },
    sample: { type: "string" },
    seed: { type: "string" },
    jobs: { type: "string" },
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

type Outcome = "killed" | "survived";

function filesOf(path: string): string[] {
  if (statSync(join(root, path)).isFile()) return [path];
  return readdirSync(join(root, path), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.includes("assembly"))
    .map((name) => `${path.replace(/\/$/, "")}/${name}`)
    .sort();
}

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
  return jobs
    .map((job) => ({ job, order: order(job) }))
    .sort((a, b) => (a.order < b.order ? -1 : 1))
    .slice(0, n)
    .map(({ job }) => job);
}

/** Results of earlier runs. */
function known(): Map<string, Outcome> {
  const found = new Map<string, Outcome>();
  const file = join(store, "results.jsonl");
  if (!existsSync(file)) return found;
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (line === "") continue;
    const { key, outcome } = JSON.parse(line) as { key: string; outcome: Outcome };
    found.set(key, outcome);
  }
  return found;
}

/** A stage takes longer than this when a mutant never ends. */
const LONGEST = 240_000;

/** Runs the tests of a stage with the mutant in place; true when they fail, or do not end. */
function notices(stage: Stage, { file, text, mutant, key }: Job): Promise<boolean> {
  const replaced = join(store, `${key}.ts`);
  writeFileSync(replaced, mutated(text, mutant));
  const args = ["run", "--config", "scripts/mutants/vitest.config.ts", "--bail", "1", "--reporter", "dot", ...stage.files];
  if (stage.named !== undefined) args.push("-t", stage.named);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), ...args], {
      cwd: root,
      env: { ...process.env, ...stage.env, BNFOLD_MUTANT: `${join(root, file)}\n${replaced}` },
      stdio: "ignore",
      detached: true,
    });
    const timer = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, "SIGKILL"), LONGEST);
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      resolve(code !== 0);
    });
  });
}

async function outcomeOf(job: Job): Promise<Outcome> {
  for (const stage of stagesOf(root, job.file)) if (await notices(stage, job)) return "killed";
  return "survived";
}

const pattern = options.match === undefined ? undefined : new RegExp(options.match);
const lineOf = ({ file, text, mutant }: Job) => `${file} ${mutant.kind} ${described(text, mutant)}`;
const results = known();
const chosen = positionals.flatMap((path) => {
  const all = jobsOf(path).filter((job) => pattern === undefined || pattern.test(lineOf(job)));
  return options.sample === undefined ? all : sampled(all, Number(options.sample), options.seed ?? "1");
});
mkdirSync(store, { recursive: true });
if (options.list === true) {
  for (const job of chosen) process.stdout.write(`${lineOf(job)}\n`);
  process.exit(0);
}

const queue = chosen.filter(({ key }) => !results.has(key));
let done = chosen.length - queue.length;
async function work(): Promise<void> {
  for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
    const outcome = await outcomeOf(job);
    results.set(job.key, outcome);
    appendFileSync(join(store, "results.jsonl"), `${JSON.stringify({ key: job.key, outcome, file: job.file })}\n`);
    process.stderr.write(
      `${++done}/${chosen.length} ${outcome} ${job.file} ${job.mutant.kind} ${described(job.text, job.mutant)}\n`,
    );
  }
}
await Promise.all(Array.from({ length: Number(options.jobs ?? 2) }, work));

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
  const left = own.filter(({ key }) => results.get(key) === "survived");
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
  `${chosen.length} mutants, ${killed} killed (${percent} %), ${chosen.length - killed} survived, ${unexplained} of them without a reason in test/mutants/survivors.json`,
);
process.stdout.write(`${lines.join("\n")}\n`);
process.exitCode = unexplained > 0 ? 1 : 0;
