/**
 * `bnfold fold --no-check` beside `cp` of the same files, in turns in one run: wall time and peak memory (the system's own count,
 * /usr/bin/time) on generated models of 500 MB, 3 GB and 10 GB.
 *
 *   npm run bench -- size [--sizes 500,3000,10000] [--kinds vgg,resnet] [--storage inline,external,copy] [--runs 3]
 *                         [--folder /tmp] [--dense] [--check] [--prove]
 *
 *   vgg      a tenth of the bytes belongs to convolutions that are folded, as in VGG16, the rest to layers that stay
 *   resnet   every byte belongs to a convolution that is folded
 *   two      two convolutions of 9 MB are folded, the rest stays
 *
 *   inline     all in one file. Beyond 2 GiB no ONNX runtime reads that; bnfold does
 *   external   weights in a side file, output in another folder: the old side file goes along, what changed goes to a new one
 *   copy       the same with --external copy: the output has one side file of its own
 *
 * Payloads that stay are holes in the generated files unless --dense is given (then they are noise); `cp --sparse=never` and bnfold
 * write them out in full. --keep leaves the files. --prove also folds with the proof, and how much longer that takes than without, and once more with the
 * run of what changed as well; bound: the proof reads what changed, and takes at most a second beyond that.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { build as Build } from "esbuild";
import { generate, Sink } from "./generate.ts";

const write = (line: string): void => void process.stdout.write(`${line}\n`);
const megabytes = 1e6;

/** Bounds: wall time over cp's, the start-up of the command taken off; peak memory. */
const RATIO = 1.3;
const PEAK = 150;

interface Measured {
  readonly seconds: number;
  /** Megabytes; undefined where /usr/bin/time is missing. */
  readonly peak: number | undefined;
}

const hasTime = spawnSync("/usr/bin/time", ["-f", "%M", "true"]).status === 0;

function measure(command: string, args: readonly string[], cwd: string): Measured {
  // What earlier runs still have to write would be charged to this one.
  spawnSync("sync");
  const log = join(cwd, "time.txt");
  const start = performance.now();
  const run = hasTime
    ? spawnSync("/usr/bin/time", ["-o", log, "-f", "%M", command, ...args], { cwd, encoding: "utf8" })
    : spawnSync(command, args, { cwd, encoding: "utf8" });
  const seconds = (performance.now() - start) / 1000;
  if (run.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${run.stderr}${run.stdout}`);
  return { seconds, peak: hasTime ? (Number(readFileSync(log, "utf8").trim()) * 1024) / megabytes : undefined };
}

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    sizes: { type: "string", default: "500,3000,10000" },
    kinds: { type: "string", default: "vgg,resnet" },
    storage: { type: "string", default: "inline,external,copy" },
    runs: { type: "string", default: "3" },
    folder: { type: "string", default: tmpdir() },
    dense: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    prove: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
  },
});

const folder = mkdtempSync(join(resolve(values.folder), "bnfold-size-"));
let good = true;

/** The command line, bundled as it is in the package. */
async function bundle(): Promise<string> {
  // esbuild looks for its program beside itself, so it cannot be bundled.
  const { build } = createRequire(resolve("package.json"))("esbuild") as { build: typeof Build };
  const outdir = join(folder, "cli");
  await build({
    entryPoints: { cli: "src/cli/main.ts" },
    ...{
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node20.19",
      minifySyntax: true,
      minifyWhitespace: true,
    },
    mainFields: ["module", "main"],
    loader: { ".wasm": "binary" },
    outdir,
    outExtension: { ".js": ".mjs" },
    banner: { js: 'import { createRequire as benchRequire } from "node:module"; const require = benchRequire(import.meta.url);' },
    logLevel: "warning",
  });
  const bin = join(folder, "bnfold.mjs");
  const sink = new Sink(bin);
  sink.put(
    new TextEncoder().encode('import { main } from "./cli/cli.mjs";\nprocess.exitCode = await main(process.argv.slice(2));\n'),
  );
  sink.close();
  return bin;
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const cells = (list: readonly string[]): string =>
  list.map((cell, i) => (i === 0 ? cell.padEnd(28) : cell.padStart(11))).join("");

function compare(bin: string, kind: string, size: number, storage: string, [startUp, bare]: readonly [number, number]): void {
  const dir = mkdtempSync(join(folder, "m-"));
  const out = join(dir, "out");
  const files = generate(dir, kind, size * megabytes, storage !== "inline", values.dense);
  const bytes = files.reduce((n, file) => n + statSync(file).size, 0);
  const fold = [
    bin,
    "fold",
    files[0],
    "-o",
    join(out, "model.onnx"),
    ...(storage === "inline" ? [] : ["--external", storage === "copy" ? "copy" : "keep"]),
  ];
  const times: { cp: number[]; fold: number[]; peak: number } = { cp: [], fold: [], peak: 0 };
  for (let run = 0; run < Number(values.runs); run++) {
    for (const command of run % 2 === 0 ? ["cp", "fold"] : ["fold", "cp"]) {
      rmSync(out, { recursive: true, force: true });
      mkdirSync(out);
      if (command === "cp") times.cp.push(measure("cp", ["--sparse=never", ...files, out], dir).seconds);
      else {
        const { seconds, peak } = measure(process.execPath, [...fold, "--no-check"], dir);
        times.fold.push(seconds);
        times.peak = Math.max(times.peak, peak ?? 0);
      }
    }
  }
  const [cp, mine] = [median(times.cp), median(times.fold)];
  const [ratio, strict] = [startUp, bare].map((start) => (mine - start) / cp);
  const name = `${kind} ${storage} ${(bytes / megabytes).toFixed(0)} MB`;
  if (process.env.BNFOLD_DEBUG === "1") write(JSON.stringify(times));
  write(cells([name, cp.toFixed(2), mine.toFixed(2), ratio.toFixed(2), strict.toFixed(2), `${times.peak.toFixed(0)} MB`]));
  good &&= ratio <= RATIO && times.peak <= PEAK;
  if (values.prove) proven(fold, out, dir, mine);
  if (!values.keep) rmSync(dir, { recursive: true, force: true });
}

/** The same fold with the proof, and with the run: `plain` seconds without. */
function proven(fold: readonly string[], out: string, dir: string, plain: number): void {
  for (const [what, more] of [
    ["proof", ["--no-run"]],
    ["proof and run", []],
  ] as const) {
    const found = Array.from({ length: Number(values.runs) }, () => {
      rmSync(out, { recursive: true, force: true });
      mkdirSync(out);
      return measure(process.execPath, [...fold, ...more], dir);
    });
    const seconds = median(found.map((one) => one.seconds));
    const peak = Math.max(...found.map((one) => one.peak ?? 0));
    write(cells([`  with ${what}`, "", seconds.toFixed(2), `+${(seconds - plain).toFixed(2)} s`, "", `${peak.toFixed(0)} MB`]));
  }
}

try {
  const bin = await bundle();
  const tiny = mkdtempSync(join(folder, "m-"));
  const [model] = generate(tiny, "resnet", 1, false, true);
  mkdirSync(join(tiny, "out"));
  const small = Array.from({ length: 5 }, () =>
    measure(process.execPath, [bin, "fold", model, "-o", join(tiny, "out/m.onnx"), "--no-check"], tiny),
  );
  const startUp = median(small.map(({ seconds }) => seconds));
  const bare = median(Array.from({ length: 5 }, () => measure(process.execPath, ["-e", "0"], tiny).seconds));
  write(
    `start-up: node ${bare.toFixed(3)} s, bnfold on ${(statSync(model).size / megabytes).toFixed(0)} MB ${startUp.toFixed(3)} s`,
  );
  write(
    `peak memory on that: ${small[0].peak?.toFixed(0)} MB; median of ${values.runs} runs in turns; seconds\nratio: fold over cp, the start-up on a small model taken off; strict: only node's taken off\n`,
  );
  write(cells(["model", "cp", "fold", "ratio", "strict", "peak"]));
  for (const size of values.sizes.split(",")) {
    for (const kind of values.kinds.split(",")) {
      for (const storage of values.storage.split(",")) compare(bin, kind, Number(size), storage, [startUp, bare]);
    }
  }
} finally {
  if (values.keep) write(`kept in ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
if (values.check && !good) process.exitCode = 1;
