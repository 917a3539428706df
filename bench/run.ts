/**
 * Forward passes of whole models, batch 1, in turns in one run: bnfold in float64 (all threads), onnx.reference in float32 (NumPy, its
 * own threads) and ONNX Runtime in float32 on one thread. The best of the passes counts: a shared machine only ever adds time.
 *
 *   npm run bench -- run [--runs n] [--threads n] [--only name] [--check] [model.onnx ...]
 *
 * Python with onnx is BNFOLD_PYTHON or python3; models come from bench/models.py (torchvision, or plain onnx without torch) unless given. ONNX Runtime is the
 * npm package onnxruntime-node where it is installed, else Python's. --check fails where a ratio is above its bound.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { openModel } from "../src/node/files.ts";
import { useThreads } from "../src/node/threads.ts";
import { asFloat64, type Tensor } from "../src/onnx/tensor.ts";
import { isTensor } from "../src/ops/define.ts";
import { parseNpy } from "../src/run/npy.ts";
import { createSession } from "../src/run/session.ts";

/** bnfold's float64 time over onnx.reference's float32 time, at most. */
const BOUNDS: Readonly<Record<string, number>> = {
  resnet50: 0.35,
  mobilenet_v2: 0.25,
  densenet121: 0.25,
  r3d_18: 0.25,
  dcgan: 0.25,
};

/** MB a process running the model may take at most. */
const MEMORY: Readonly<Record<string, number>> = { resnet50: 400 };

const write = (line: string): void => void process.stdout.write(`${line}\n`);

/** Answers of the Python side, one line each. */
class Python {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;

  constructor(python: string) {
    this.child = spawn(python, [resolve("bench/reference.py")], { stdio: ["pipe", "pipe", "inherit"] }) as never;
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** Milliseconds of one pass; undefined where the engine is missing. */
  async pass(engine: "reference" | "runtime", model: string): Promise<number | undefined> {
    this.child.stdin.write(`${engine}\t${model}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error("the Python side ended");
    return value === "missing" ? undefined : Number(value);
  }

  end(): void {
    this.child.stdin.end();
  }
}

interface OrtModule {
  InferenceSession: { create(path: string, options: object): Promise<{ run(feeds: object): Promise<unknown> }> };
  Tensor: new (type: string, data: Float32Array, dims: readonly number[]) => unknown;
}

/** One pass of onnxruntime-node; undefined when the package is not installed. */
async function runtimeOf(model: string, name: string, x: Tensor): Promise<(() => Promise<number>) | undefined> {
  let ort: OrtModule;
  try {
    ort = createRequire(join(process.cwd(), "package.json"))("onnxruntime-node") as OrtModule;
  } catch {
    return undefined;
  }
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const feeds = { [name]: new ort.Tensor("float32", Float32Array.from(asFloat64(x)), x.dims) };
  return async () => {
    const start = performance.now();
    await session.run(feeds);
    return performance.now() - start;
  };
}

const best = (times: readonly number[]): number => Math.min(...times);

/** Largest difference over the largest magnitude. */
function difference(got: Tensor, want: Tensor): number {
  const [a, b] = [asFloat64(got), asFloat64(want)];
  const scale = b.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0) / scale;
}

async function measure(python: Python, file: string, runs: number): Promise<boolean> {
  const name = basename(file, ".onnx");
  const times = { ours: [] as number[], reference: [] as number[], runtime: [] as number[] };
  times.reference.push((await python.pass("reference", file)) as number);
  const x = parseNpy(new Uint8Array(readFileSync(`${file}.x.npy`)), "x");
  const opened = openModel(file);
  const session = createSession(opened.model);
  const feeds = new Map([[session.inputs[0].name, x]]);
  const runtime = await runtimeOf(file, session.inputs[0].name, x);
  let y: Tensor | undefined;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    const [value] = session.run(feeds).values();
    times.ours.push(performance.now() - start);
    if (isTensor(value)) y = value;
    times.reference.push((await python.pass("reference", file)) as number);
    const spent = runtime === undefined ? await python.pass("runtime", file) : await runtime();
    if (spent !== undefined) times.runtime.push(spent);
  }
  opened.close();
  const [ours, reference] = [best(times.ours), best(times.reference)];
  const bound = BOUNDS[name];
  const off = y === undefined ? Number.NaN : difference(y, parseNpy(new Uint8Array(readFileSync(`${file}.y.npy`)), "y"));
  const cells = [
    ours.toFixed(0),
    reference.toFixed(0),
    (ours / reference).toFixed(3),
    bound === undefined ? "" : `<= ${bound}`,
    times.runtime.length === 0 ? "-" : best(times.runtime).toFixed(1),
    times.runtime.length === 0 ? "-" : (ours / best(times.runtime)).toFixed(1),
    off.toExponential(1),
  ];
  write(name.padEnd(16) + cells.map((cell) => cell.padStart(12)).join(""));
  if (!(off < 1e-2)) write(`  ${name}: the outputs differ too much to compare times`);
  return (bound === undefined || ours / reference <= bound) && off < 1e-2;
}

/**
 * Largest resident size of a fresh process that runs the built command line, in MB; undefined without dist/. From /proc where there is one:
 * resource usage also counts the process that was forked, this one, before it became another.
 */
function peakMemory(file: string): number | undefined {
  const main = resolve("dist/cli.js");
  if (!existsSync(main)) return undefined;
  const script = `import { existsSync, readFileSync } from "node:fs";
    const status = "/proc/self/status";
    const peak = () => existsSync(status) ? /VmHWM:\\s*(\\d+)/.exec(readFileSync(status, "utf8"))[1] : process.resourceUsage().maxRSS;
    process.on("exit", () => process.stderr.write("peak " + peak()));
    const { main } = await import(${JSON.stringify(main)}); process.exitCode = await main(["run", ${JSON.stringify(file)}, "--json"]);`;
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  const found = /peak (\d+)/.exec(stderr);
  // The system counts in units of 1,024 bytes.
  return found === null ? undefined : (Number(found[1]) * 1024) / 1e6;
}

const { values, positionals } = parseArgs({
  args: process.argv.slice(3),
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    threads: { type: "string" },
    only: { type: "string", multiple: true },
    check: { type: "boolean", default: false },
  },
});

const pythonName = process.env.BNFOLD_PYTHON ?? "python3";
if (spawnSync(pythonName, ["-c", "import onnx.reference"], { stdio: "ignore" }).status !== 0) {
  write(`${pythonName} has no onnx: nothing to compare with. Set BNFOLD_PYTHON to a Python that has it.`);
  process.exit(values.check ? 1 : 0);
}
const threads = useThreads(values.threads === undefined ? undefined : Number(values.threads));
const folder = mkdtempSync(join(tmpdir(), "bnfold-bench-"));
const python = new Python(pythonName);
let good = true;
try {
  let files = positionals.map((file) => resolve(file));
  if (files.length === 0) {
    const names = values.only ?? Object.keys(BOUNDS);
    const made = spawnSync(pythonName, [resolve("bench/models.py"), folder, ...names], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    files = names.map((name) => join(folder, `${name}.onnx`)).filter((file) => existsSync(file));
    if (made.status !== 0) write("bench/models.py could not write every model.");
  }
  write(
    `float64 on ${threads.size} ${threads.size === 1 ? "thread" : "threads"}; milliseconds, best of ${values.runs} passes in turns\n`,
  );
  const heads = ["bnfold", "reference", "ratio", "bound", "runtime", "ratio", "difference"];
  write("model".padEnd(16) + heads.map((head) => head.padStart(12)).join(""));
  for (const file of files) good = (await measure(python, file, Number(values.runs))) && good;
  for (const file of files.filter((path) => basename(path, ".onnx") in MEMORY)) {
    const [name, peak] = [basename(file, ".onnx"), peakMemory(file)];
    if (peak === undefined) continue;
    write(`\npeak memory of a process running ${name}: ${peak.toFixed(0)} MB (<= ${MEMORY[name]})`);
    good = peak <= MEMORY[name] && good;
  }
} finally {
  python.end();
  rmSync(folder, { recursive: true, force: true });
  await threads.stop();
}
if (values.check && !good) process.exitCode = 1;
