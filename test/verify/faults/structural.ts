/** Folds that are wrong whatever the numbers: into, past or beside something they must not pass. */
import type { Model } from "../../../src/onnx/records.ts";
import { f, model, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import type { Stored } from "./nets.ts";
import { rounded } from "./round.ts";

export interface StructuralFault {
  readonly kind: string;
  readonly original: Model;
  readonly wrong: Model;
}

const GAMMA = [1.5, -0.75, 0.5, 1.25];
const BETA = [0.25, -0.5, 0.125, 0.75];
const MEAN = [0.5, -0.25, 0.375, -0.5];
const VARIANCE = [0.5, 2, 1.25, 0.75];
const GAIN = GAMMA.map((g, c) => g / Math.sqrt(VARIANCE[c] + Math.fround(1e-5)));
const SHIFT = BETA.map((b, c) => b - MEAN[c] * GAIN[c]);

/** Numbers that look random and are the same everywhere. */
const numbers = (n: number, from: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(1 + from + i * 1.7) / 2);

interface Draft {
  readonly nodes: readonly NodeSpec[];
  readonly tensors: Readonly<Record<string, readonly [dims: readonly number[], values: readonly number[]]>>;
}

export function structuralFaults(dtype: Stored): StructuralFault[] {
  const made = ({ nodes, tensors }: Draft): Model => {
    const initializers: Record<string, TensorSpec> = {};
    for (const [name, [dims, values]] of Object.entries(tensors))
      initializers[name] = { dtype, dims, values: values.map((v) => rounded(dtype, v)) };
    initializers.pads = { dtype: "int64", dims: [8], values: [0n, 0n, 1n, 1n, 0n, 0n, 1n, 1n] };
    return model({ nodes, initializers, inputs: [{ name: "x", dtype, dims: ["n", 4, 6, 6] }], outputs: [{ name: "y", dtype }] });
  };
  const statistics = { gamma: [[4], GAMMA], beta: [[4], BETA], mean: [[4], MEAN], variance: [[4], VARIANCE] } as const;
  const norm = (x: string, y: string) =>
    node("BatchNormalization", [x, "gamma", "beta", "mean", "variance"], [y], { epsilon: f(1e-5) });
  const W = numbers(4 * 4 * 9, 0).map((w) => rounded(dtype, w));
  const b = numbers(4, 7).map((v) => rounded(dtype, v));
  const plain = { W: [[4, 4, 3, 3], W], b: [[4], b] } as const;
  const scaled = { W: [[4, 4, 3, 3], W.map((w, i) => w * GAIN[Math.floor(i / 36)])] } as const;
  const folded = { ...scaled, b: [[4], b.map((v, c) => v * GAIN[c] + SHIFT[c])] } as const;
  const onlyShift = { b: [[4], b.map((v, c) => v + SHIFT[c])] } as const;
  const conv = (x: string, y: string, pads = 1) => node("Conv", [x, "W", "b"], [y], { pads: new Array(4).fill(pads) });
  const cases: StructuralFault[] = [];
  const add = (kind: string, original: Draft, wrong: Draft) => cases.push({ kind, original: made(original), wrong: made(wrong) });
  const between = (kind: string, crossed: (x: string, y: string) => NodeSpec) =>
    add(
      kind,
      { nodes: [conv("x", "c"), crossed("c", "r"), norm("r", "y")], tensors: { ...plain, ...statistics } },
      { nodes: [conv("x", "c"), crossed("c", "y")], tensors: folded },
    );
  between("Relu crossed", (x, y) => node("Relu", [x], [y]));
  between("LeakyRelu crossed", (x, y) => node("LeakyRelu", [x], [y], { alpha: f(0.125) }));
  between("Sigmoid crossed", (x, y) => node("Sigmoid", [x], [y]));
  between("max pool crossed by negative gains", (x, y) => node("MaxPool", [x], [y], { kernel_shape: [2, 2] }));
  between("padded average pool crossed by a shift", (x, y) =>
    node("AveragePool", [x], [y], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }),
  );
  between("padding with zeros crossed by a shift", (x, y) => node("Pad", [x, "pads"], [y]));
  // Before a convolution that pads with zeros: right inside, wrong at the border.
  const before = W.map((w, i) => w * GAIN[Math.floor(i / 9) % 4]);
  const drawn = b.map((v, o) => v + W.slice(o * 36, o * 36 + 36).reduce((sum, w, i) => sum + w * SHIFT[Math.floor(i / 9)], 0));
  add(
    "shift drawn through a padding border",
    { nodes: [norm("x", "n"), conv("n", "y")], tensors: { ...plain, ...statistics } },
    { nodes: [conv("x", "y")], tensors: { W: [[4, 4, 3, 3], before], b: [[4], drawn] } },
  );
  add(
    "normalization dropped",
    { nodes: [conv("x", "c"), norm("c", "y")], tensors: { ...plain, ...statistics } },
    { nodes: [conv("x", "y")], tensors: plain },
  );
  add(
    "normalization folded and kept",
    { nodes: [conv("x", "c"), norm("c", "y")], tensors: { ...plain, ...statistics } },
    { nodes: [conv("x", "c"), norm("c", "y")], tensors: { ...folded, ...statistics } },
  );
  add(
    "a second reader of the convolution forgotten",
    {
      nodes: [conv("x", "c"), norm("c", "n"), node("Relu", ["c"], ["r"]), node("Add", ["n", "r"], ["y"])],
      tensors: { ...plain, ...statistics },
    },
    { nodes: [conv("x", "n"), node("Relu", ["n"], ["r"]), node("Add", ["n", "r"], ["y"])], tensors: folded },
  );
  add(
    "only one branch of a sum scaled",
    {
      nodes: [conv("x", "c"), node("Add", ["c", "x"], ["s"]), norm("s", "n"), node("Relu", ["n"], ["y"])],
      tensors: { ...plain, ...statistics },
    },
    { nodes: [conv("x", "c"), node("Add", ["c", "x"], ["n"]), node("Relu", ["n"], ["y"])], tensors: folded },
  );
  add(
    "gain forgotten, shift folded",
    { nodes: [conv("x", "c"), norm("c", "y")], tensors: { ...plain, ...statistics } },
    { nodes: [conv("x", "y")], tensors: { ...plain, ...onlyShift } },
  );
  add(
    "shift lost with the bias input",
    { nodes: [conv("x", "c"), norm("c", "y")], tensors: { ...plain, ...statistics } },
    { nodes: [node("Conv", ["x", "W"], ["y"], { pads: [1, 1, 1, 1] })], tensors: scaled },
  );
  add(
    "other pads",
    { nodes: [conv("x", "c"), norm("c", "y")], tensors: { ...plain, ...statistics } },
    { nodes: [node("Conv", ["x", "W", "b"], ["y"], { pads: [0, 0, 2, 2] })], tensors: folded },
  );
  add(
    "gain moved behind the activation",
    { nodes: [conv("x", "c"), norm("c", "n"), node("Relu", ["n"], ["r"]), conv("r", "y")], tensors: { ...plain, ...statistics } },
    {
      nodes: [conv("x", "c"), node("Relu", ["c"], ["r"]), node("Conv", ["r", "V", "b"], ["y"], { pads: [1, 1, 1, 1] })],
      tensors: { ...plain, ...onlyShift, V: [[4, 4, 3, 3], before] },
    },
  );
  return cases;
}
