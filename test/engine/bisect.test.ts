/** Whose numbers make two files different: faults put in by hand are named, and nothing else is. */
import { describe, expect, it } from "vitest";
import { bisect } from "../../src/engine/bisect.ts";
import { verifyModels } from "../../src/verify/index.ts";
import { float32, type ModelSpec, model, node } from "../helpers/build.ts";
import { blocks, chain, type Fault } from "../verify/nets.ts";

const list = blocks("float32", 3, [3, 8, 8, 8, 8, 6]);
const original = chain(list, "float32", false);
const options = { samples: 2 };

/** One weight of each of these blocks is off. */
const spoil =
  (...which: readonly number[]): Fault =>
  (_block, folded, i) => {
    if (which.includes(i)) folded.W[7] += 0.05;
  };

function bisected(a: typeof original, b: typeof original) {
  return bisect(a, b, verifyModels(a, b, options), options);
}
const guiltyNodes = (result: ReturnType<typeof bisect>) => result.guilty.flatMap(({ nodes }) => nodes).sort();

describe("--bisect", () => {
  it.each([[[2]], [[0, 3]], [[1, 2, 4]]])("names the wrong folds %j, beside the first file folded", (which) => {
    const result = bisected(original, chain(list, "float32", true, { fault: spoil(...which) }));
    expect(result).toMatchObject({ outcome: "found", reference: "first file folded", judgedBy: "run" });
    expect(guiltyNodes(result)).toEqual(which.map((i) => `conv${i}`));
    expect(result.guilty.map(({ tensors }) => tensors)).toEqual(which.map((i) => [`W${i}`]));
  });

  it("names the numbers that differ from the first file's own", () => {
    const right = chain(list, "float32", true);
    const result = bisected(right, chain(list, "float32", true, { fault: spoil(1, 3) }));
    expect(result).toMatchObject({ outcome: "found", reference: "first file", suspected: 2 });
    expect(guiltyNodes(result)).toEqual(["conv1", "conv3"]);
  });

  it("leaves out what differs and does no harm", () => {
    // The last bit of other weights is a difference, but not the one.
    const fault: Fault = (_block, folded, i) => {
      if (i === 2) folded.W[7] += 0.05;
      else folded.W[3] = Math.fround(folded.W[3] * (1 + 2 ** -23));
    };
    const right = chain(list, "float32", true);
    const result = bisect(
      right,
      chain(list, "float32", true, { fault }),
      verifyModels(right, chain(list, "float32", true, { fault }), { ...options, prove: false }),
      options,
    );
    expect(result.suspected).toBeGreaterThanOrEqual(1);
    expect(guiltyNodes(result)).toEqual(["conv2"]);
  });

  it("does not tell apart what shares a tensor", () => {
    const spec = (w: number): ModelSpec => ({
      nodes: [
        node("MatMul", ["x", "w"], ["h"], {}, { name: "one" }),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "w"], ["y"], {}, { name: "two" }),
      ],
      initializers: { w: float32([2, 2], [w, 0.5, -0.25, 1]) },
      inputs: [{ name: "x", dtype: "float32", dims: [4, 2] }],
      outputs: [{ name: "y", dtype: "float32", dims: [4, 2] }],
    });
    const result = bisected(model(spec(1)), model(spec(1.5)));
    expect(result.guilty).toEqual([{ nodes: ["one", "two"], operators: ["MatMul", "MatMul"], tensors: ["w"] }]);
  });

  it("says so when numbers are not what differs", () => {
    const spec = (op: string): ModelSpec => ({
      nodes: [node("MatMul", ["x", "w"], ["h"], {}, { name: "one" }), node(op, ["h"], ["y"], {}, { name: "act" })],
      initializers: { w: float32([2, 2], [1, 0.5, -0.25, 1]) },
      inputs: [{ name: "x", dtype: "float32", dims: [4, 2] }],
      outputs: [{ name: "y", dtype: "float32", dims: [4, 2] }],
    });
    const result = bisected(model(spec("Relu")), model(spec("Sigmoid")));
    expect(result).toMatchObject({ outcome: "not-separated", guilty: [] });
    expect(result.reason).toContain("counterpart");
    expect(bisected(original, original)).toMatchObject({ outcome: "not-separated", trials: 0 });
  });
});

describe("the first difference", () => {
  it("comes with what still agrees before it", () => {
    const right = chain(list, "float32", true);
    const { run } = verifyModels(right, chain(list, "float32", true, { fault: spoil(2) }), options);
    expect(run?.firstDifference).toMatchObject({
      ...{ value: "n2", sample: "normal", between: ["conv2"] },
      agreeing: [{ value: "r1", maxDifference: 0 }],
    });
  });
  it("goes back over values that mean something else now", () => {
    const { run } = verifyModels(original, chain(list, "float32", true, { fault: spoil(2) }), options);
    const { between, agreeing } = run?.firstDifference ?? {};
    expect(between).toEqual(["conv2"]);
    expect(agreeing?.map(({ value }) => value)).toEqual(["r1"]);
    expect(agreeing?.[0].maxDifference).toBeGreaterThan(0);
    expect(agreeing?.[0].maxDifference).toBeLessThan(1e-5);
  });
});
