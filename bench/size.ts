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
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { build as Build } from "esbuild";
import { concat, header, intField, lengthDelimited, textField } from "../src/onnx/put.ts";

const write = (line: string): void => void process.stdout.write(`${line}\n`);
const megabytes = 1e6;

/** Bounds: wall time over cp's, the start-up of the command taken off; peak memory. */
const RATIO = 1.3;
const PEAK = 150;

const CHANNELS = 512;
const WIDE = 4096;

/** A file written front to back, with holes. */
class Sink {
  size = 0;
  private readonly fd: number;

  constructor(path: string) {
    this.fd = openSync(path, "w");
  }

  put(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done, bytes.length - done, this.size + done);
    this.size += bytes.length;
  }

  skip(bytes: number): void {
    this.size += bytes;
  }

  close(): void {
    ftruncateSync(this.fd, this.size);
    closeSync(this.fd);
  }
}

const noise = new Float32Array(1 << 20);
for (let i = 0, x = 1; i < noise.length; i++) {
  x = (Math.imul(x, 1664525) + 1013904223) | 0;
  noise[i] = (x / 2 ** 31) * 0.05;
}
const noiseBytes = new Uint8Array(noise.buffer);

interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly touched: boolean;
}

const bytesOf = (dims: readonly number[]): number => 4 * dims.reduce((n, d) => n * d, 1);

function payload(sink: Sink, { dims, touched }: Weight, dense: boolean): void {
  let left = bytesOf(dims);
  if (!touched && !dense) {
    sink.skip(left);
    return;
  }
  for (; left > 0; left -= noiseBytes.length) sink.put(noiseBytes.subarray(0, Math.min(left, noiseBytes.length)));
}

const node = (op: string, inputs: readonly string[], output: string, ...more: Uint8Array[]): Uint8Array =>
  lengthDelimited(
    1,
    concat([...inputs.map((x) => textField(1, x)), textField(2, output), textField(3, output), textField(4, op), ...more]),
  );
const ints = (name: string, values: readonly number[]): Uint8Array =>
  lengthDelimited(5, concat([textField(1, name), ...values.map((v) => intField(8, v)), intField(20, 7)]));

const value = (field: number, name: string, dims: readonly number[]): Uint8Array => {
  const shape = concat(dims.map((d) => lengthDelimited(1, intField(1, d))));
  const type = lengthDelimited(1, concat([intField(1, 1), lengthDelimited(2, shape)]));
  return lengthDelimited(field, concat([textField(1, name), lengthDelimited(2, type)]));
};

const head = ({ name, dims }: Weight): Uint8Array =>
  concat([...dims.map((d) => intField(1, d)), intField(2, 1), textField(8, name)]);

/** [Conv, BatchNormalization, Relu] × convolutions, a pool, and fully connected layers. */
function plan(kind: string, total: number): { nodes: Uint8Array; weights: Weight[]; vectors: string[] } {
  const one = bytesOf([CHANNELS, CHANNELS, 3, 3]);
  const convolutions = kind === "two" ? 2 : Math.max(1, Math.round((kind === "vgg" ? 0.1 * total : total) / one));
  const layers = kind !== "resnet" ? Math.round((total - convolutions * one) / bytesOf([WIDE, WIDE])) : 0;
  const [nodes, weights, vectors]: [Uint8Array[], Weight[], string[]] = [[], [], []];
  let x = "x";
  for (let i = 0; i < convolutions; i++) {
    weights.push({ name: `w${i}`, dims: [CHANNELS, CHANNELS, 3, 3], touched: true });
    const params = ["scale", "shift", "mean", "var"].map((name) => `${name}${i}`);
    vectors.push(...params);
    nodes.push(node("Conv", [x, `w${i}`], `c${i}`, ints("kernel_shape", [3, 3]), ints("pads", [1, 1, 1, 1])));
    nodes.push(node("BatchNormalization", [`c${i}`, ...params], `n${i}`), node("Relu", [`n${i}`], `r${i}`));
    x = `r${i}`;
  }
  nodes.push(node("GlobalAveragePool", [x], "pool"), node("Flatten", ["pool"], "flat"));
  x = "flat";
  for (let i = 0; i < layers; i++) {
    weights.push({ name: `f${i}`, dims: i === 0 ? [CHANNELS, WIDE] : [WIDE, WIDE], touched: false });
    nodes.push(node("MatMul", [x, `f${i}`], `m${i}`), node("Relu", [`m${i}`], `s${i}`));
    x = `s${i}`;
  }
  nodes.push(node("Identity", [x], "y"));
  return { nodes: concat(nodes), weights, vectors };
}

/** Writes a model of about `total` bytes; returns its files. */
function generate(folder: string, kind: string, total: number, external: boolean, dense: boolean): string[] {
  const { nodes, weights, vectors } = plan(kind, total);
  const path = join(folder, "model.onnx");
  const files = external ? [path, join(folder, "model.onnx.data")] : [path];
  const side = external ? new Sink(files[1]) : undefined;
  const width = kind === "resnet" ? CHANNELS : WIDE;
  const small = vectors.map((name, i) => {
    const data = new Uint8Array(
      noise.slice(i, i + CHANNELS).map((v, k) => (name.startsWith("var") ? 1 + v : v + (k % 2 ? 0.9 : -1.1))).buffer,
    );
    return lengthDelimited(5, concat([head({ name, dims: [CHANNELS], touched: true }), lengthDelimited(9, data)]));
  });
  const entries = weights.map((weight) => {
    const length = bytesOf(weight.dims);
    if (side === undefined) return { weight, bytes: concat([head(weight), header(9, length)]), length };
    side.skip((4096 - (side.size % 4096)) % 4096);
    const entry = (key: string, text: string) => lengthDelimited(13, concat([textField(1, key), textField(2, text)]));
    const place = [entry("location", "model.onnx.data"), entry("offset", String(side.size)), entry("length", String(length))];
    payload(side, weight, dense);
    return { weight, bytes: concat([head(weight), ...place, intField(14, 1)]), length: 0 };
  });
  side?.close();
  const faces = concat([value(11, "x", [1, CHANNELS, 4, 4]), value(12, "y", [1, width])]);
  const tensors = entries.reduce(
    (n, { bytes, length }) => n + header(5, bytes.length + length).length + bytes.length + length,
    0,
  );
  const smallBytes = concat(small);
  const graph = nodes.length + textField(2, "g").length + tensors + smallBytes.length + faces.length;
  const sink = new Sink(path);
  sink.put(
    concat([
      intField(1, 8),
      lengthDelimited(8, concat([textField(1, ""), intField(2, 17)])),
      header(7, graph),
      nodes,
      textField(2, "g"),
    ]),
  );
  for (const { weight, bytes, length } of entries) {
    sink.put(concat([header(5, bytes.length + length), bytes]));
    if (side === undefined) payload(sink, weight, dense);
  }
  sink.put(concat([smallBytes, faces]));
  sink.close();
  return files;
}

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
