/** What a file declares of values inside may be wrong: it decides nothing, and is said. */
import { describe, expect, it } from "vitest";
import { verifyModels } from "../../src/verify/index.ts";
import { prove } from "../../src/verify/proof.ts";
import { float32, int64, type ModelSpec, model, node, type ValueSpec } from "../helpers/build.ts";

/** x → an operator nobody here knows, or none → Reshape to `to` → MatMul. */
function net(to: readonly number[], valueInfos: readonly ValueSpec[], custom: boolean): ModelSpec {
  return {
    opsets: { "": 17, custom: 1 },
    nodes: [
      ...(custom ? [node("Blur", ["x"], ["v"], {}, { domain: "custom" })] : [node("Relu", ["x"], ["v"])]),
      node("Reshape", ["v", "to"], ["r"]),
      node("MatMul", ["r", "w"], ["y"]),
    ],
    initializers: { to: int64([to.length], to), w: float32([4, 2], [1, 2, 3, 4, 5, 6, 7, 8]) },
    inputs: [{ name: "x", dims: [2, 8] }],
    outputs: [{ name: "y", dims: ["m", 2] }],
    valueInfos,
  };
}

describe("what files declare of values inside", () => {
  const known = [{ name: "v", dims: [2, 8] }];

  it("does not show two shapes equal where no operator gives the shape", () => {
    // Both are [4, 4] of a value of 16 elements, and not of any other.
    const [a, b] = [model(net([-1, 4], known, true)), model(net([4, -1], known, true))];
    expect(prove(a, b).outcome).toBe("not-decided");
    expect(prove(a, model(net([-1, 4], [], true))).outcome).toBe("equal");
  });

  it("is not needed where operators give it, and does not stand in the way where it is wrong", () => {
    for (const infos of [[], known, [{ name: "v", dims: [4, 4] }], [{ name: "r", dims: [3, 5] }]]) {
      expect(prove(model(net([-1, 4], infos, false)), model(net([4, -1], [], false))).outcome).toBe("equal");
      expect(prove(model(net([-1, 4], infos, false)), model(net([2, -1], infos, false))).outcome).not.toBe("equal");
    }
  });

  it("is said where it contradicts what operators give", () => {
    const wrong = model(net([-1, 4], [{ name: "v", dims: [7, 8] }], false));
    const right = model(net([4, -1], [], false));
    const first = verifyModels(wrong, right, { run: false });
    expect(first.outcome).toBe("equivalent");
    expect(first.summary).toContain('the first file declares "v" as [7, 8] where its operators make [2, 8]');
    expect(verifyModels(wrong, wrong, { run: false }).summary).toContain('both files declare "v" as [7, 8]');
    expect(verifyModels(right, right, { run: false }).summary).not.toContain("declare");
  });
});
