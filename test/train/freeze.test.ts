import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { isEmpty, write } from "../../src/onnx/write.ts";
import { createSession } from "../../src/run/session.ts";
import { changeBetween, freeze, normLayers } from "../../src/train/index.ts";
import { type AttributeSpec, float32, type ModelSpec, model, modelBytes, node, ref, type TensorSpec } from "../helpers/build.ts";

const X: Tensor = { dtype: "float32", dims: [3, 2, 2, 2], data: Float64Array.from({ length: 24 }, (_, i) => ((i * 7) % 11) - 3) };
const feeds = new Map([["x", X]]);
const bool = (value: number): TensorSpec => ({ dtype: "bool", dims: [], values: [value] });

interface Norm {
  readonly opset: number;
  readonly attributes?: Readonly<Record<string, AttributeSpec>>;
  readonly extra?: readonly string[];
  readonly more?: Partial<ModelSpec>;
}

/** x → Conv 1×1 → BatchNormalization → y. */
function net({ opset, attributes = {}, extra = [], more = {} }: Norm): ModelSpec {
  return {
    nodes: [
      node("Conv", ["x", "w"], ["c"]),
      node("BatchNormalization", ["c", "g", "b", "m", "v"], ["y", ...extra], attributes, { name: "bn" }),
    ],
    initializers: {
      w: float32([2, 2, 1, 1], [1, -1, 0.5, 2]),
      g: float32([2], [1.5, -0.5]),
      b: float32([2], [0.25, 1]),
      m: float32([2], [0.5, -1]),
      v: float32([2], [2, 3]),
    },
    inputs: [{ name: "x", dims: [3, 2, 2, 2] }],
    outputs: [{ name: "y", dims: [3, 2, 2, 2] }],
    opset,
    ...more,
  };
}

function frozen(spec: ModelSpec, dropOutputs = false) {
  const original = model(spec);
  const { data, edits } = freeze(original, { dropOutputs });
  const bytes = collect(write(original, edits).main);
  return { original, data, edits, bytes, result: read(memorySource(bytes)) };
}

const run = (from: Model): Float64Array => asFloat64(createSession(from).run(feeds).get("y") as Tensor);

/** Each operator set's own way, and the same network as an evaluation-mode export writes it. */
const WAYS: [string, Norm, Norm][] = [
  [
    "opset 17, training_mode",
    { opset: 17, attributes: { training_mode: 1 }, extra: ["rm", "rv"] },
    { opset: 17, attributes: { training_mode: 0 } },
  ],
  [
    "opset 14, no further output",
    { opset: 14, attributes: { training_mode: 1 } },
    { opset: 14, attributes: { training_mode: 0 } },
  ],
  ["opset 9, further outputs", { opset: 9, extra: ["rm", "rv", "sm", "sv"] }, { opset: 9 }],
  ["opset 7, some further outputs", { opset: 7, extra: ["rm", "rv"] }, { opset: 7 }],
  ["opset 6, is_test absent", { opset: 6, extra: ["rm", "rv", "sm", "sv"] }, { opset: 6, attributes: { is_test: 1 } }],
  ["opset 6, is_test = 0", { opset: 6, attributes: { is_test: 0 } }, { opset: 6, attributes: { is_test: 1 } }],
];

describe("freeze", () => {
  it.each(WAYS)("%s: becomes, byte for byte, what an evaluation-mode export writes", (_name, training, evaluation) => {
    const before = model(net(training));
    expect(normLayers(before)[0].mode).toBe("training");
    const kept = plan(before).data.kept.find((entry) => entry.kind === "batch-normalization");
    expect(kept?.code).toBe("training-mode");
    const { bytes, result, data } = frozen(net(training));
    expect(bytes).toEqual(modelBytes(net(evaluation)));
    expect(normLayers(result)[0].mode).toBe("inference");
    expect(plan(result).data.folds.length).toBe(1);
    expect(data.frozen.length).toBe(1);
    expect(run(result)).toEqual(run(model(net(evaluation))));
  });

  it("says by how much the numbers change", () => {
    const { original, result } = frozen(net(WAYS[0][1]));
    const [change] = changeBetween(createSession(original), createSession(result), [feeds]);
    const [a, b] = [run(original), run(result)];
    const rms = Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length);
    expect(change.rms).toBeCloseTo(rms, 12);
    expect(change.rms).toBeGreaterThan(0.1);
  });

  it("refuses when a node reads the running statistics, and names it", () => {
    const spec = net({ opset: 17, attributes: { training_mode: 1 }, extra: ["rm", "rv"] });
    const nodes = [...spec.nodes, node("Neg", ["rm"], ["z"], {}, { name: "reader" })];
    const outputs = [...spec.outputs, { name: "z", dims: [2] }];
    expect(() => freeze(model({ ...spec, nodes, outputs }), { dropOutputs: true })).toThrow(/"rm" goes to Neg "reader"/);
  });

  it("drops graph outputs only when asked", () => {
    const norm: Norm = { opset: 17, attributes: { training_mode: 1 }, extra: ["rm", "rv"] };
    const spec = net({
      ...norm,
      more: {
        outputs: [
          { name: "y", dims: [3, 2, 2, 2] },
          { name: "rv", dims: [2] },
        ],
        valueInfos: [{ name: "rm", dims: [2] }],
      },
    });
    expect(() => freeze(model(spec))).toThrow(/an output of the model: "rv"/);
    const { data, result, bytes } = frozen(spec, true);
    expect(data.droppedGraphOutputs).toEqual(["rv"]);
    expect(result.graph.outputs.map(({ name }) => name)).toEqual(["y"]);
    expect(bytes).toEqual(modelBytes(net({ opset: 17, attributes: { training_mode: 0 } })));
    const only = net({ ...norm, more: { outputs: [{ name: "rv", dims: [2] }] } });
    expect(() => freeze(model(only), { dropOutputs: true })).toThrow(/it would have none/);
  });

  it("also ends the training of Dropout, and drops the constant that said so when nobody else reads it", () => {
    const dropout = (inputs: string[], train: TensorSpec | undefined, more: ModelSpec["nodes"] = []): ModelSpec => ({
      nodes: [node("Dropout", inputs, ["y"]), ...more],
      initializers: { ratio: float32([], [0.5]), ...(train === undefined ? {} : { train }) },
      inputs: [{ name: "x", dims: [3, 2, 2, 2] }],
      outputs: [{ name: "y", dims: [3, 2, 2, 2] }],
      opset: 17,
    });
    const { result, bytes } = frozen(dropout(["x", "ratio", "train"], bool(1)));
    expect(bytes).toEqual(modelBytes(dropout(["x", "ratio"], undefined)));
    expect([...run(result)]).toEqual([...asFloat64(X)]);
    const reader = [node("Not", ["train"], ["z"])];
    expect(frozen(dropout(["x", "ratio", "train"], bool(1), reader)).bytes).toEqual(
      modelBytes(dropout(["x", "ratio"], bool(1), reader)),
    );
    expect(isEmpty(freeze(model(dropout(["x", "ratio", "train"], bool(0)))).edits)).toBe(true);
  });

  it("refuses a mode that a function takes from its calls", () => {
    const inner = node("BatchNormalization", ["a", "g", "b", "m", "v"], ["r"], { training_mode: ref("mode") });
    const spec = net({ opset: 17 });
    const call = node("Norm", ["c", "g", "b", "m", "v"], ["y"], { mode: 1 }, { domain: "own" });
    const fn = {
      name: "Norm",
      domain: "own",
      inputs: ["a", "g", "b", "m", "v"],
      outputs: ["r"],
      attributes: ["mode"],
      nodes: [inner],
      opsets: { "": 17 },
    };
    const whole = { ...spec, nodes: [spec.nodes[0], call], opsets: { "": 17, own: 1 }, functions: [fn] };
    expect(() => freeze(model(whole))).toThrow(/calls may differ/);
  });

  it("leaves a model in inference semantics alone", () => {
    const { bytes, edits } = frozen(net({ opset: 17 }));
    expect(isEmpty(edits)).toBe(true);
    expect(bytes).toEqual(modelBytes(net({ opset: 17 })));
  });
});
