/** Channels of constant 1 in a second file that somebody else made, rightly and wrongly. */
import { describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import type { TensorRecord } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { NO_EDITS, write } from "../../src/onnx/write.ts";
import { prove, verifyModels } from "../../src/verify/index.ts";
import { narrowed } from "../../src/verify/proof/ones.ts";
import { f, float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { integers, whole } from "../rules/check.ts";

const [C, O] = [2, 3];
const W = whole([C, 2, 3, 3]);
const V = integers(O * C * 9, 9, -3, 3);
const SHIFT = [3, -1.5];
const pads = [1, 0, 1, 2];

interface Net {
  readonly between?: readonly NodeSpec[];
  readonly more?: Readonly<Record<string, TensorSpec>>;
  readonly outputs?: readonly string[];
}

/** Conv → f → + t → Conv. */
const plainNet = ({ between = [node("Relu", ["a"], ["b"])], more = {}, outputs = ["y"] }: Net = {}): ModelSpec => ({
  nodes: [node("Conv", ["x", "w"], ["a"]), ...between, node("Add", ["b", "t"], ["c"]), node("Conv", ["c", "v"], ["y"], { pads })],
  initializers: { w: W, v: float32([O, C, 3, 3], V), t: float32([C, 1, 1], SHIFT), ...more },
  inputs: [{ name: "x", dims: ["N", 2, 6, 7] }],
  outputs: outputs.map((name) => ({ name })),
});

interface Wide extends Net {
  readonly attributes?: NodeSpec["attributes"];
  readonly bias?: number;
  readonly zeros?: (w: number[]) => void;
  readonly taps?: (v: number[]) => void;
}

/** The same with a channel of ones. */
function wideNet({
  between = [node("Relu", ["a"], ["b"])],
  more = {},
  attributes = {},
  bias = 1,
  zeros,
  taps,
  outputs,
}: Wide = {}) {
  const added = new Array<number>(2 * 9).fill(0);
  zeros?.(added);
  const rows = Array.from({ length: O }, (_, o) => {
    const own = V.slice(o * C * 9, (o + 1) * C * 9);
    return [...own, ...Array.from({ length: 9 }, (_, k) => own[k] * SHIFT[0] + own[9 + k] * SHIFT[1])];
  }).flat();
  taps?.(rows);
  return model({
    ...plainNet(),
    nodes: [node("Conv", ["x", "w", "b0"], ["a"]), ...between, node("Conv", ["b", "v"], ["y"], { pads, ...attributes })],
    initializers: {
      w: float32([C + 1, 2, 3, 3], [...Array.from(W.values as number[]), ...added]),
      b0: float32([C + 1], [0, 0, bias]),
      v: float32([O, C + 1, 3, 3], rows),
      ...more,
    },
    outputs: (outputs ?? ["y"]).map((name) => ({ name })),
  });
}

/** Changes the weights of the channel of ones. */
const ones = (to: (v: number) => number) => (rows: number[]) => {
  for (let o = 0; o < O; o++) for (let i = 27 * o + 18; i < 27 * (o + 1); i++) rows[i] = to(rows[i]);
};

describe("a channel of ones in the second file", () => {
  it("is the first file's shift, border and all", () => {
    const proof = prove(model(plainNet()), wideNet());
    expect(proof.outcome, JSON.stringify(proof.regions)).toBe("equal");
    expect(verifyModels(model(plainNet()), wideNet()).outcome).toBe("equivalent");
  });

  it("stands beside the first file's values where the two are run in parts", () => {
    const [verdict, same] = [verifyModels(model(plainNet()), wideNet()), verifyModels(wideNet(), wideNet())];
    expect(verdict.run?.regions?.map(({ value }) => value)).toEqual(["a", "b", "y"]);
    expect(verdict.run?.outcome).toBe("equal");
    expect(same.outcome).toBe("equivalent");
  });

  it("is found behind a normalization and a pool, within the rounding that a file of another tool may have", () => {
    const some = (n: number, seed: number) => Array.from({ length: n }, (_, i) => Math.fround(Math.sin(13 * i + seed)));
    const norm = { g: some(C, 1).map(Math.abs), h: some(C, 2), m: some(C, 3), s: [0.75, 1.5] };
    const first = model({
      ...plainNet(),
      nodes: [
        node("Conv", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("BatchNormalization", ["r", "g", "h", "m", "s"], ["b"], { epsilon: f(1e-5) }),
        node("MaxPool", ["b"], ["c"], { kernel_shape: [2, 2] }),
        node("Conv", ["c", "v"], ["y"], { pads }),
      ],
      initializers: {
        w: float32([C, 2, 3, 3], some(C * 18, 4)),
        v: float32([O, C, 3, 3], some(O * C * 9, 5)),
        ...Object.fromEntries(Object.entries(norm).map(([name, values]) => [name, float32([C], values)])),
      },
    });
    const second = (factor: number) => {
      const { model: made } = folded(first, { constantChannel: true });
      const tensor = made.graph.initializers.find(({ name }) => name === "v");
      const values = asFloat64(decode(tensor as TensorRecord)).slice();
      const tap =
        9 * C + values.slice(9 * C, 9 * (C + 1)).reduce((best, v, i, all) => (Math.abs(v) > Math.abs(all[best]) ? i : best), 0);
      values[tap] = Math.fround(values[tap] * factor);
      const edits = { ...NO_EDITS, replaceTensors: [{ tensor: tensor as TensorRecord, values: () => values }] };
      return read(memorySource(collect(write(made, edits).main), "second.onnx"));
    };
    expect(prove(first, second(1)).outcome).toBe("equal");
    // Four units in the last place of the largest tap.
    expect(prove(first, second(1 + 2 ** -21)).outcome).not.toBe("different");
    expect(prove(first, second(1 + 2 ** -10)).outcome).toBe("different");
  });

  it("is the second file's shift, where the first has it", () => {
    expect(prove(wideNet(), model(plainNet())).outcome).toBe("equal");
  });

  it("is the same in both, and in one of them it may be nothing", () => {
    const silent = wideNet({ taps: ones(() => 0) });
    expect(prove(wideNet(), wideNet()).outcome).toBe("equal");
    expect(prove(silent, silent).outcome).toBe("equal");
    const none = { ...plainNet(), initializers: { ...plainNet().initializers, t: float32([C, 1, 1], [0, 0]) } };
    expect(prove(model(none), silent).outcome).toBe("equal");
  });

  const clip = () => [node("Relu", ["a"], ["r"]), node("Clip", ["r", "", "hi"], ["b"])];
  const clipped = (high: number) => ({ between: clip(), more: { hi: float32([], [high]) } });
  const average = (count: number) => ({
    between: [
      node("Relu", ["a"], ["r"]),
      node("AveragePool", ["r"], ["b"], { kernel_shape: [2, 2], pads: [1, 1, 0, 0], count_include_pad: count }),
    ],
  });
  it.each([
    ["a Clip that admits 1", clipped(4)],
    ["an AveragePool that counts no zeros", average(0)],
  ])("is kept by %s", (_name, one) => {
    expect(prove(model(plainNet(one)), wideNet(one)).outcome).toBe("equal");
  });

  const wrong: Record<string, readonly [first: Net, second: Wide]> = {
    "one tap is off": [{}, { taps: (v) => (v[20] += 0.01) }],
    "the taps of two channels are exchanged": [{}, { taps: (v) => ([v[18], v[45]] = [v[45], v[18]]) }],
    "a weight of another channel is off": [{}, { taps: (v) => (v[3] += 0.01) }],
    "taps are those of the other sign": [{}, { taps: ones((v) => -v) }],
    "pads are others": [{}, { attributes: { pads: [0, 1, 2, 1] } }],
    "the constant is 2": [{}, { bias: 2 }],
    "the constant is next to 1": [{}, { bias: 1 + 2 ** -12 }],
    "the channel is not constant": [{}, { zeros: (w) => (w[4] = 0.25) }],
    "a Clip takes it below 1": [clipped(0.5), clipped(0.5)],
    "zeros are counted in its average": [average(1), average(1)],
    "what keeps it does something else to the others": [clipped(4), clipped(3)],
  };
  it.each(Object.entries(wrong))("is told where %s", (_name, [first, second]) => {
    const [a, b] = [model(plainNet(first)), wideNet(second)];
    expect(prove(a, b).outcome).not.toBe("equal");
    expect(prove(a, b, { foreign: false }).outcome).not.toBe("equal");
    expect(verifyModels(a, b).outcome).toBe("different");
  });

  it("is no more than a channel where an output or another operator shows it", () => {
    const shown = wideNet({ outputs: ["y", "b"] });
    expect(narrowed(shown).values.size).toBe(0);
    expect(prove(model(plainNet({ outputs: ["y", "b"] })), shown).outcome).not.toBe("equal");
    const read = {
      between: [node("Relu", ["a"], ["b"]), node("ReduceMax", ["b", "axis"], ["m"])],
      more: { axis: int64([1], [1]) },
    };
    expect(narrowed(wideNet({ ...read, outputs: ["y", "m"] })).values.size).toBe(0);
  });

  it("is not taken for one where a Conv would read more than there is", () => {
    const spec = wideNet({ attributes: { group: 1, auto_pad: "SAME_UPPER", pads: [] } });
    expect(prove(model(plainNet()), spec).outcome).not.toBe("equal");
  });
});
