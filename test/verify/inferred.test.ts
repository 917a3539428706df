/**
 * Two files without a word of how the second was made: what became of the first file's values is read off the coefficients alone, in streams
 * and where channels are lost, whichever of the two is called the first.
 */
import { describe, expect, it } from "vitest";
import { uniform } from "../../src/affine/spread.ts";
import { finish } from "../../src/diag/steps.ts";
import { prove } from "../../src/verify/index.ts";
import { carriedSlack } from "../../src/verify/proof/carry.ts";
import { sideOf } from "../../src/verify/proof/classes.ts";
import { Budget } from "../../src/verify/proof/effect.ts";
import { Prover } from "../../src/verify/proof/prover.ts";
import { OWN } from "../../src/verify/proof/rows.ts";
import { sharedOf } from "../../src/verify/proof.ts";
import { float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { batchNorm, floats } from "../rules/check.ts";

const C = 6;
const BLOCKS = 4;
const series = (dims: readonly number[], seed: number): TensorSpec =>
  float32(
    dims,
    Array.from({ length: dims.reduce((n, d) => n * d, 1) }, (_, i) => Math.fround(Math.sin(seed + 1.7 * i))),
  );

/** Blocks that each add a layer behind a norm and a Relu to what came in; a gain of zero in every norm. */
function stream(): ModelSpec {
  const nodes: NodeSpec[] = [node("Conv", ["x", "w"], ["s0"])];
  const initializers: Record<string, TensorSpec> = { w: series([C, 3, 1, 1], 1) };
  for (let i = 0; i <= BLOCKS; i++) {
    const gain = Array.from({ length: C }, (_, c) => (c === i ? 0 : Math.fround(1 + 0.3 * Math.sin(i + c))));
    const norm = batchNorm(`s${i}`, `n${i}`, C, { gain });
    Object.assign(initializers, norm.initializers, { [`w${i}`]: series([C, C, 1, 1], i + 2) });
    nodes.push(norm.node, node("Relu", [`n${i}`], [`r${i}`]), node("Conv", [`r${i}`, `w${i}`], [i === BLOCKS ? "y" : `c${i}`]));
    if (i < BLOCKS) nodes.push(node("Add", [`s${i}`, `c${i}`], [`s${i + 1}`]));
  }
  return { nodes, initializers, inputs: [floats("x", ["N", 3, 4, 4])], outputs: [{ name: "y" }] };
}

const changed = (spec: ModelSpec, name: string, at: number, by: number): ModelSpec => {
  const tensor = (spec.initializers as Record<string, TensorSpec>)[name];
  const values = (tensor.values as number[]).map((v, i) => (i === at ? v + by : v));
  return { ...spec, initializers: { ...spec.initializers, [name]: { ...tensor, values } } };
};

describe("a stream whose norms have gains of zero", () => {
  const before = stream();
  const after = folded(model(before));

  it("is equal to its fold, and the fold to it, without gauges", () => {
    expect(after.data.folds.length).toBeGreaterThan(BLOCKS);
    for (const foreign of [true, false]) expect(prove(model(before), after.model, { foreign }).outcome).toBe("equal");
    const back = prove(after.model, model(before));
    expect(back.outcome).toBe("equal");
    // What both have is told by the names of the second.
    const named = new Set(before.nodes.flatMap(({ outputs }) => outputs)).add("x");
    const shared = [...(sharedOf(back)?.keys() ?? [])];
    expect(shared.length).toBeGreaterThan(0);
    expect(shared.filter((name) => !named.has(name))).toEqual([]);
  });

  it.each([
    ["w2", 0],
    ["w2", 35],
    ["w4", 1],
    ["w", 4],
  ])("is not with a number of %s off, either way round", (name, at) => {
    const other = model(changed(before, name, at, 2 ** -10));
    expect([prove(other, after.model).outcome, prove(after.model, other).outcome]).not.toContain("equal");
  });
});

describe("claims that are too much work", () => {
  it("are not decided, and hidden: no run says whether they matter", () => {
    const [a, b] = [stream(), changed(stream(), "w2", 0, 2 ** -10)].map((spec) => sideOf(model(spec)));
    const look = new Prover(a, b, OWN);
    expect(finish(look.walk()).outcome).toBe("different");
    expect(look.settled(new Budget()).outcome).toBe("different");
    const spent = new Budget();
    spent.spend(2 ** 40);
    const { outcome, regions } = look.settled(spent);
    expect(outcome).toBe("not-decided");
    expect(regions.find(({ hidden }) => hidden)?.reason).toContain("too long to evaluate");
  });
});

describe("what rounding leaves open of several inputs", () => {
  it("adds up, whatever the signs and whichever is the larger", () => {
    const by = (slack: number) => {
      const [one, zero] = [uniform(1, 1), uniform(1, 0)];
      return { scale: one, shift: zero, slackScale: zero, slackShift: uniform(1, slack), identity: false };
    };
    const signs = [1, -1];
    // A Sub: each shift passes on its own, the second turned.
    const open = carriedSlack([by(3), by(5)], 0, (maps) => ({
      scale: [],
      shift: [maps.map((m, i) => (m === undefined ? 0 : signs[i] * m.shift.data[0])).reduce((p, q) => p + q)].map((v) =>
        uniform(1, v),
      ),
    }));
    expect(open.shift.data[0]).toBe(8);
  });
});
