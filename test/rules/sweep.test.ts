/**
 * Every operator here next to every affine map there is room for: constants of all broadcast shapes, before and after, of
 * either sign. Whatever the plan folds must run to the same numbers and be proven; nothing is said about what it folds.
 */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { write } from "../../src/onnx/write.ts";
import { createSession } from "../../src/run/session.ts";
import { prove } from "../../src/verify/index.ts";
import { f, float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { floats, integers, whole } from "./check.ts";

interface Subject {
  readonly name: string;
  readonly make: (input: string, output: string) => NodeSpec;
  readonly constants: Readonly<Record<string, TensorSpec>>;
  readonly opset: number;
  /** Nothing passes it. */
  readonly idle?: boolean;
}

type Attributes = NodeSpec["attributes"];
const of = (
  op: string,
  others: string[] = [],
  constants: Record<string, TensorSpec> = {},
  attributes: Attributes = {},
  opset = 21,
): Subject => ({
  name: `${op} ${opset}`,
  make: (input, output) => node(op, [input, ...others], [output], attributes),
  constants,
  opset,
});
const with2 = (subject: Subject, make: Subject["make"]): Subject => ({ ...subject, make });

const bool4: TensorSpec = { dtype: "bool", dims: [4], values: [1, 0, 1, 1] };
const square = { u: whole([4, 4], 2) };
const cube = { u: whole([4, 4, 4], 2) };
const gb = (n: number) => ({ g: whole([n], 11), b: whole([n], 12) });
const einsum = (equation: string, constants: Record<string, TensorSpec>) => of("Einsum", ["u"], constants, { equation });
const grid = {
  v: float32(
    [4, 4, 4, 2],
    integers(128, 4).map((v) => v / 5),
  ),
};
const rois = { r: float32([4, 4], [0, 0, 3, 3, 1, 0, 2, 2, 0, 1, 2, 3, 1, 1, 3, 3]), i: int64([4], [0, 2, 1, 3]) };
const slices = { from: int64([2], [1, 0]), to: int64([2], [3, 4]), axes: int64([2], [2, -1]) };

/** All work on [4, 4, 4, 4]: no length tells one axis from another. */
const subjects: readonly Subject[] = [
  of("InstanceNormalization", ["g", "b"], gb(4)),
  of("GroupNormalization", ["g", "b"], gb(4), { num_groups: 2 }),
  of("GroupNormalization", ["g", "b"], gb(2), { num_groups: 2 }, 20),
  of("LayerNormalization", ["g", "b"], gb(4)),
  of("LayerNormalization", ["g"], { g: whole([4, 4], 11) }, { axis: 2 }),
  of("LayerNormalization", ["g", "b"], { g: whole([4, 4, 4], 11), b: whole([4, 1, 4], 12) }, { axis: 1 }),
  of("RMSNormalization", ["g"], gb(4), {}, 23),
  of("LpNormalization", [], {}, { axis: 1 }),
  of("LpNormalization", [], {}, { p: 1 }),
  of("MeanVarianceNormalization"),
  of("MeanVarianceNormalization", [], {}, { axes: [1, -1] }),
  of("Softmax", [], {}, { axis: 2 }),
  of("Softmax", [], {}, { axis: 2 }, 11),
  of("LogSoftmax"),
  of("ReduceLogSumExp", ["axes"], { axes: int64([1], [-2]) }, { keepdims: 0 }),
  of("Trilu"),
  of("GatherElements", ["i"], { i: int64([4, 4, 4, 4], integers(256, 5, 0, 3)) }, { axis: 1 }),
  of("ReverseSequence", ["n"], { n: int64([4], [1, 4, 2, 3]) }, { time_axis: 0, batch_axis: 1 }),
  of("Compress", ["k"], { k: bool4 }, { axis: 1 }),
  { ...of("Compress", ["k"], { k: bool4 }), idle: true },
  of("CenterCropPad", ["size"], { size: int64([4], [4, 3, 5, 4]) }),
  of("GlobalLpPool"),
  of("HardSigmoid"),
  of("Celu"),
  of("Shrink", [], {}, { bias: f(0.5) }),
  with2(of("Mean"), (x, y) => node("Mean", [x, x, x], [y])),
  of("Mean", ["q"], { q: whole([4, 1, 4], 3) }),
  einsum("abcd,cde->abe", cube),
  einsum("abcd,be->aecd", square),
  einsum("...cd,ce->...ed", square),
  with2(einsum("", square), (x, y) => node("Einsum", [x, x, "u"], [y], { equation: "abcd,abce,ae->abd" })),
  of("GridSample", ["v"], grid, { padding_mode: "border", align_corners: 1 }),
  of("RoiAlign", ["r", "i"], rois, { output_height: 4, output_width: 4, sampling_ratio: 2 }),
  of("Resize", ["", "scales"], { scales: float32([4], [1, 1, 1.5, 1]) }, { mode: "cubic" }),
  of("Resize", ["", "", "sizes"], { sizes: int64([4], [4, 4, 2, 4]) }, { mode: "nearest" }),
  of("MatMul", ["u"], cube),
  with2(of("MatMul", [], cube), (x, y) => node("MatMul", ["u", x], [y])),
  { ...of("MatMul", ["u"], { u: whole([4], 2) }), idle: true },
  of("Slice", ["from", "to", "axes"], slices),
  of("PRelu", ["p"], { p: whole([4, 1, 1], 3) }),
  of("PRelu", ["p"], { p: float32([4, 1, 1], [0.5, 2, 4, 0.25]) }),
  of("PRelu", ["p"], { p: float32([1], [0.5]) }),
  of("LeakyRelu", [], {}, { alpha: f(0.5) }),
  of("Concat", ["q"], { q: whole([4, 2, 4, 4], 6) }, { axis: 1 }),
  of("TopK", ["k"], { k: int64([1], [4]) }, { axis: 1 }),
  of("Hardmax", [], {}, { axis: 1 }),
  of("Hardmax", [], {}, { axis: 2 }, 11),
  of("ReduceMax", ["axes"], { axes: int64([1], [1]) }),
  of("ReduceMin", ["axes"], { axes: int64([1], [2]) }, { keepdims: 0 }),
  of("Clip", ["low", "high"], { low: float32([], [-2]), high: float32([], [3]) }),
  of("Max", ["low"], { low: float32([], [-2]) }),
  of("GatherND", ["i"], { i: int64([4, 4, 1], integers(16, 5, 0, 3)) }, { batch_dims: 1 }),
  of("GatherND", ["i"], { i: int64([4, 4, 2], integers(32, 5, 0, 3)) }),
  of("ScatterElements", ["i", "q"], { i: int64([4, 4, 4, 4], integers(256, 5, 0, 3)), q: whole([4, 4, 4, 4], 6) }, { axis: 1 }),
  with2(of("ScatterElements", ["i"], { i: int64([4, 4, 4, 4], integers(256, 5, 0, 3)) }), (x, y) =>
    node("ScatterElements", [x, "i", x], [y], { axis: 2 }),
  ),
  of("ScatterND", ["i", "q"], { i: int64([4, 2], integers(8, 5, 0, 3)), q: whole([4, 4, 4], 6) }),
  of(
    "MaxRoiPool",
    ["r"],
    { r: float32([4, 5], [0, 0, 0, 3, 3, 1, 1, 0, 2, 2, 3, 0, 1, 2, 3, 2, 1, 1, 3, 3]) },
    { pooled_shape: [4, 4] },
  ),
  of("ReduceSumSquare", ["axes"], { axes: int64([1], [-1]) }),
  of("ReduceProd", ["axes"], { axes: int64([1], [-1]) }),
  of("Pow", ["p"], { p: float32([], [2]) }),
  of("Pow", ["p"], { p: float32([], [-1]) }),
  of("Reciprocal"),
  of("Sqrt"),
];
const shapes = [[], [4], [4, 1], [4, 1, 1], [4, 1, 1, 1], [4, 4, 1], [3, 1, 1], [6, 1, 1], [1, 4, 1, 4]];

const affine = (op: string, x: string, y: string): NodeSpec =>
  op === "from" ? node("Sub", ["map", x], [y]) : node(op, [x, "map"], [y]);

function* nets({ make, constants, opset }: Subject): Generator<{ label: string; spec: ModelSpec }> {
  for (const dims of shapes) {
    const size = dims.reduce((n, d) => n * d, 1);
    for (const op of ["Mul", "Add", "from", "Div"]) {
      for (const sign of [1, -1]) {
        const values = Array.from({ length: size }, (_, i) => [2, 0.5 * sign, 4, 1, 3 * sign, 8][(i + (size >> 3)) % 6]);
        const initializers = { ...constants, map: float32(dims, values), weight: whole([4, 4, 1, 1], 9) };
        const sides = {
          before: [node("Relu", ["x"], ["c"]), affine(op, "c", "o"), make("o", "y")],
          between: [node("Relu", ["x"], ["c"]), affine(op, "c", "o"), make("o", "m"), node("Conv", ["m", "weight"], ["y"])],
          after: [node("Conv", ["x", "weight"], ["c"]), make("c", "o"), affine(op, "o", "y")],
        };
        for (const [side, nodes] of Object.entries(sides)) {
          const spec = { opset, irVersion: 10, nodes, initializers, inputs: [floats("x", [4, 4, 4, 4])], outputs: [floats("y")] };
          yield { label: `${op} [${dims}] ${sign} ${side}`, spec };
        }
      }
    }
  }
}

/** What a folded model gets wrong; undefined when nothing, "" when nothing was folded. */
function complaint(spec: ModelSpec, feeds: Map<string, Tensor>): string | undefined {
  const before = model(spec);
  const run = (m: typeof before) => createSession(m, { mode: "float64" }).run(feeds).get("y") as Tensor;
  let expected: Tensor;
  try {
    expected = run(before);
  } catch {
    // Shapes that do not broadcast make no model.
    return "";
  }
  const { data, edits } = plan(before);
  if (data.folds.length === 0) return "";
  const after = read(memorySource(collect(write(before, edits).main), "after.onnx"));
  const [v, w] = [asFloat64(expected), asFloat64(run(after))];
  if (v.length !== w.length) return "another size";
  const largest = v.reduce((m, e) => Math.max(m, Math.abs(e) || 0), 1e-3);
  const worst = v.reduce(
    (m, e, i) => (Object.is(e, w[i]) ? m : Math.max(m, Number.isNaN(e - w[i]) ? Infinity : Math.abs(e - w[i]))),
    0,
  );
  if (worst > 1e-6 * largest) return `off by ${worst} of ${largest}`;
  const proof = prove(before, after, { foreign: false });
  return proof.outcome === "equal" ? undefined : `${proof.outcome}: ${proof.regions.flatMap((r) => r.reason ?? [])}`;
}

describe("an affine map of any shape next to", () => {
  const feeds = new Map<string, Tensor>([
    ["x", { dtype: "float32", dims: [4, 4, 4, 4], data: Float32Array.from(integers(256, 77)) }],
  ]);
  for (const subject of subjects) {
    it(`${subject.name} [${Object.keys(subject.constants)}]`, () => {
      const complaints: string[] = [];
      let folded = 0;
      for (const { label, spec } of nets(subject)) {
        const said = complaint(spec, feeds);
        if (said === undefined) folded++;
        else if (said !== "") complaints.push(`${label}: ${said}`);
      }
      expect(complaints).toEqual([]);
      expect(folded > 0).toBe(subject.idle !== true);
    });
  }
});
