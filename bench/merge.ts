/**
 * Latency in ONNX Runtime before and after merging, batch 1, float32: networks in the manner of RepVGG and MobileOne made
 * here, and timm's mobileone_s0 with the framework's own reparameterised export beside it where Python has timm. The files are measured in
 * turns and the best pass of each counts: a shared machine only ever adds time. The runtime optimises all of them as far as it can, with as
 * many threads as it chooses unless --threads says otherwise.
 *
 *   npm run bench -- merge [--runs n] [--threads n] [--only name] [--check]
 *
 * Needs the npm package onnxruntime-node (from here or from the folder BNFOLD_ORT names). Python is BNFOLD_PYTHON or python3. --check fails
 * where mobileone_s0 gains less than 5 times, or is not within 10 % of the framework's own export.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { plan } from "../src/fold/index.ts";
import { read } from "../src/onnx/read.ts";
import { memorySource } from "../src/onnx/source.ts";
import { collect } from "../src/onnx/splice.ts";
import { write } from "../src/onnx/write.ts";
import { prove } from "../src/verify/proof.ts";
import { randomOf } from "../src/verify/random.ts";
import { f, modelBytes, type NodeSpec, node, type TensorSpec } from "../test/helpers/build.ts";

const LEAST_GAIN = 5;
const MOST_OVER_FRAMEWORK = 1.1;

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    runs: { type: "string", default: "60" },
    threads: { type: "string", default: "0" },
    only: { type: "string" },
    check: { type: "boolean", default: false },
  },
});
const runs = Number(values.runs);
const print = (line: string): void => void process.stdout.write(`${line}\n`);

interface Ort {
  readonly InferenceSession: {
    create(path: string, options: object): Promise<{ run(feeds: object): Promise<Record<string, { data: Float32Array }>> }>;
  };
  readonly Tensor: new (type: string, data: Float32Array, dims: readonly number[]) => unknown;
}

/** A network of blocks with parallel branches, written as an exporter would that folds nothing. */
class Network {
  readonly nodes: NodeSpec[] = [];
  readonly initializers: Record<string, TensorSpec> = {};
  private readonly random = randomOf(1, "merge");

  private constant(dims: readonly number[], low: number, high: number): string {
    const name = `c${Object.keys(this.initializers).length}`;
    const size = dims.reduce((n, d) => n * d, 1);
    this.initializers[name] = {
      dtype: "float32",
      dims,
      values: Float32Array.from({ length: size }, () => low + (high - low) * this.random.uniform()),
    };
    return name;
  }

  op(type: string, inputs: readonly string[], attributes: NodeSpec["attributes"] = {}): string {
    const output = `v${this.nodes.length}`;
    this.nodes.push(node(type, inputs, [output], attributes, { name: `${type}_${this.nodes.length}` }));
    return output;
  }

  norm(x: string, channels: number): string {
    const [gamma, beta, mean, variance] = [
      [0.5, 1.5],
      [-0.1, 0.1],
      [-0.1, 0.1],
      [0.5, 1.5],
    ].map(([low, high]) => this.constant([channels], low, high));
    return this.op("BatchNormalization", [x, gamma, beta, mean, variance], { epsilon: f(1e-5) });
  }

  convNorm(x: string, [inputs, outputs]: readonly [number, number], k: number, stride: number, group: number): string {
    const size = Math.sqrt(3 / ((inputs / group) * k * k));
    const weight = this.constant([outputs, inputs / group, k, k], -size, size);
    const pad = (k - 1) / 2;
    return this.norm(
      this.op("Conv", [x, weight], { kernel_shape: [k, k], pads: [pad, pad, pad, pad], strides: [stride, stride], group }),
      outputs,
    );
  }

  /** `wide` convolutions of one size, a small one, and the normalized input where sizes agree; then ReLU. */
  block(x: string, channels: readonly [number, number], { k = 3, wide = 1, stride = 1, group = 1, small = true }): string {
    const branches = Array.from({ length: wide }, () => this.convNorm(x, channels, k, stride, group));
    if (small && k > 1) branches.push(this.convNorm(x, channels, 1, stride, group));
    if (stride === 1 && channels[0] === channels[1]) branches.push(this.norm(x, channels[0]));
    return this.op("Relu", [branches.reduce((sum, branch) => this.op("Add", [sum, branch]))]);
  }

  bytes(x: string, size: number): Uint8Array {
    this.nodes.push(node("GlobalAveragePool", [x], ["y"]));
    const inputs = [{ name: "x", dims: [1, 3, size, size] }];
    return modelBytes({ opset: 17, nodes: this.nodes, initializers: this.initializers, inputs, outputs: [{ name: "y" }] });
  }
}

/** Stages of dense 3x3, 1x1 and identity, as in RepVGG. */
function repVgg(): Uint8Array {
  const net = new Network();
  let [x, channels] = ["x", 3];
  for (const [width, blocks] of [
    [48, 1],
    [48, 2],
    [96, 4],
    [192, 8],
  ]) {
    for (let i = 0; i < blocks; i++) {
      x = net.block(x, [channels, width], { stride: i === 0 ? 2 : 1 });
      channels = width;
    }
  }
  return net.bytes(x, 224);
}

/** Depthwise and pointwise blocks with four copies of each convolution, as in MobileOne. */
function mobileOne(): Uint8Array {
  const net = new Network();
  let x = net.block("x", [3, 48], { stride: 2, wide: 4 });
  let channels = 48;
  for (const [width, blocks] of [
    [48, 2],
    [128, 6],
    [256, 8],
  ]) {
    for (let i = 0; i < blocks; i++) {
      x = net.block(x, [channels, channels], { wide: 4, stride: i === 0 ? 2 : 1, group: channels });
      x = net.block(x, [channels, width], { k: 1, wide: 4 });
      channels = width;
    }
  }
  return net.bytes(x, 224);
}

const conv = (list: Readonly<Record<string, number>>): string =>
  `${list.Conv ?? 0} Conv of ${Object.values(list).reduce((n, v) => n + v, 0)} nodes`;

/** Folds a file into another; what became of it, in words. */
function foldFile(from: string, to: string): string {
  const before = read(memorySource(new Uint8Array(readFileSync(from)), from));
  const start = performance.now();
  const { data, edits } = plan(before);
  const bytes = collect(write(before, edits).main);
  const planned = performance.now() - start;
  writeFileSync(to, bytes);
  const { outcome } = prove(before, read(memorySource(bytes, to)), { foreign: false });
  return `${conv(data.before.operators)} -> ${conv(data.after.operators)}; ${data.merges.length} regions merged in ${Math.round(planned)} ms; proof: ${outcome}`;
}

/** Best milliseconds of each file, measured in turns, and the largest difference of outputs to the first. */
async function measure(ort: Ort, files: readonly string[], size: number): Promise<{ best: number[]; error: number }> {
  const random = randomOf(2, "input");
  const data = Float32Array.from({ length: 3 * size * size }, () => 2 * random.uniform() - 1);
  const feeds = { x: new ort.Tensor("float32", data, [1, 3, size, size]) };
  const threads = Number(values.threads);
  const options = { graphOptimizationLevel: "all", ...(threads > 0 ? { intraOpNumThreads: threads, interOpNumThreads: 1 } : {}) };
  const sessions = await Promise.all(files.map((file) => ort.InferenceSession.create(file, options)));
  const best = files.map(() => Number.POSITIVE_INFINITY);
  const outputs: Float32Array[] = [];
  for (let i = 0; i < runs; i++) {
    // Forward and back, so that none always comes after the same one.
    for (const k of i % 2 === 0 ? files.keys() : [...files.keys()].reverse()) {
      const session = sessions[k];
      // The pass before fills the caches with this model's weights, as in a service that runs one model.
      await session.run(feeds);
      const start = performance.now();
      outputs[k] = (await session.run(feeds)).y.data;
      best[k] = Math.min(best[k], performance.now() - start);
    }
  }
  const largest = outputs[0].reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const error = Math.max(...outputs.map((out) => out.reduce((m, v, i) => Math.max(m, Math.abs(v - outputs[0][i])), 0))) / largest;
  return { best, error };
}

const folder = mkdtempSync(join(tmpdir(), "bnfold-merge-"));
let failed = false;
try {
  const require = createRequire(join(resolve(process.env.BNFOLD_ORT ?? "."), "package.json"));
  const ort = require("onnxruntime-node") as Ort;
  const file = (name: string): string => join(folder, name);
  writeFileSync(file("repvgg-like.onnx"), repVgg());
  writeFileSync(file("mobileone-like.onnx"), mobileOne());
  const python = process.env.BNFOLD_PYTHON ?? "python3";
  const exported = spawnSync(python, [resolve("bench/merge.py"), folder], { encoding: "utf8" });
  const names = ["repvgg-like", "mobileone-like"];
  if (exported.status === 0) names.push("mobileone_s0");
  else
    print(
      `mobileone_s0 left out: ${python} has no torch with timm (${exported.stderr?.trim().split("\n").at(-1) ?? exported.error?.message})`,
    );
  for (const name of names.filter((n) => values.only === undefined || n === values.only)) {
    const [before, after, deployed] = [`${name}.onnx`, `${name}-merged.onnx`, `${name}-deployed.onnx`].map(file);
    print(`${name}: ${foldFile(before, after)}`);
    const real = name === "mobileone_s0";
    const { best, error } = await measure(ort, real ? [before, after, deployed] : [before, after], 224);
    const [gain, over] = [best[0] / best[1], best[1] / best[2]];
    const own = real ? `, the framework's own export ${best[2].toFixed(2)} ms (merged is ${over.toFixed(3)} of it)` : "";
    print(
      `  before ${best[0].toFixed(2)} ms, merged ${best[1].toFixed(2)} ms: ${gain.toFixed(1)} times faster${own}; outputs within ${error.toExponential(1)}`,
    );
    if (values.check && real && (gain < LEAST_GAIN || over > MOST_OVER_FRAMEWORK)) failed = true;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed) {
  print(`mobileone_s0 must gain ${LEAST_GAIN} times and stay within ${MOST_OVER_FRAMEWORK} of the framework's own export`);
  process.exitCode = 1;
}
