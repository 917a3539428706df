/** Right folds that are hard to tell from wrong ones: tiny variances, cancellation, large activations, coarse rounding. */
import type { Model } from "../../../src/onnx/records.ts";
import { type Block, blocks, chain, type Fault } from "../nets.ts";
import { foldOf } from "./cases.ts";
import { Net, SHAPES, type Stored } from "./nets.ts";
import { rounded } from "./round.ts";

export interface HardFold {
  readonly name: string;
  readonly original: Model;
  readonly folded: Model;
  /** Made as another tool makes it: every step rounded. */
  readonly foreign: boolean;
}

const HARD: Readonly<Record<string, (block: Block, dtype: Stored) => void>> = {
  "tiny variances": (block, dtype) => {
    block.variance = block.variance.map((v) => v * (dtype === "float16" ? 1e-6 : 1e-12));
  },
  cancellation: (block, dtype) => {
    const large = dtype === "float16" ? 30 : 1000;
    block.b = block.b.map((b) => large + b);
    block.mean = block.mean.map((m) => large + m);
  },
  "activations of 1e4": (block) => {
    block.gamma = block.gamma.map((g) => 100 * g);
    block.beta = block.beta.map((b) => 1e3 * b);
  },
  "dead channels": (block) => {
    block.gamma = block.gamma.map((g, c) => (c % 2 === 0 ? 0 : g * 1e-4));
  },
  "gains near one": (block) => {
    block.gamma.fill(1);
    block.variance.fill(1);
  },
};

/** s, W s and s (b − μ) + β with each operation rounded to the storage type, in the order of the usual formula. */
const staged =
  (dtype: Stored): Fault =>
  (block, folded) => {
    const r = (x: number) => rounded(dtype, x);
    const epsilon = r(Math.fround(1e-5));
    const gain = block.gamma.map((g, c) => r(g / r(Math.sqrt(r(block.variance[c] + epsilon)))));
    const per = folded.W.length / block.out;
    folded.W = block.W.map((w, i) => r(w * gain[Math.floor(i / per)]));
    folded.b = block.b.map((b, c) => r(r(r(b - block.mean[c]) * gain[c]) + block.beta[c]));
  };

export function hardFolds(dtype: Stored): HardFold[] {
  const list: HardFold[] = [];
  for (const [name, change] of Object.entries(HARD)) {
    const net = blocks(dtype, 11, [3, 6, 6, 4], (block) => change(block, dtype));
    const original = chain(net, dtype, false, { batch: "n" });
    list.push({ name: `${name}, ${dtype}`, original, folded: foldOf(original).model, foreign: false });
    list.push({
      name: `${name}, ${dtype}, each step rounded`,
      original,
      folded: chain(net, dtype, true, { batch: "n", fault: staged(dtype) }),
      foreign: true,
    });
  }
  for (const [shape, make] of Object.entries(SHAPES)) {
    const original = make(new Net(dtype, 21, 30, (u) => (dtype === "float16" ? 0.05 : 1e-3) * (0.2 + u), 3));
    list.push({ name: `${shape}, large means, ${dtype}`, original, folded: foldOf(original).model, foreign: false });
  }
  return list;
}
