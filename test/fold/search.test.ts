/**
 * The search does not depend on luck: the order of the nodes in the file changes nothing, and folding some nodes first, in any
 * order, hardly ever ends with fewer nodes than one plan. Constant nodes do not count: which of two norms survives decides
 * whether its parameters are the ones in a Constant. `BNFOLD_SEARCH` graphs are tried (default 400).
 */
import { describe, expect, it } from "vitest";
import { type PlanData, plan } from "../../src/fold/index.ts";
import { randomOf } from "../../src/verify/random.ts";
import { type ModelSpec, model, node } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { grow } from "../laws/graphs.ts";
import { batchNorm, check, operators, whole } from "../rules/check.ts";

const count = Number(process.env.BNFOLD_SEARCH ?? 400);
const size = ({ after }: PlanData): number => after.nodes - (after.operators.Constant ?? 0);

/** Small graphs with their plan and a way to shuffle lists. */
function* graphs() {
  for (let seed = 1; seed <= count; seed++) {
    const { spec } = grow(seed);
    if (spec.outputs.length === 0) continue;
    const random = randomOf(seed, "search");
    const shuffled = <T>(list: readonly T[]): T[] =>
      list
        .map((item) => ({ item, key: random.uniform() }))
        .sort((a, b) => a.key - b.key)
        .map(({ item }) => item);
    yield { seed, spec, data: plan(model(spec), FREE).data, shuffled };
  }
}

/** The graph under other names. */
function renamed(spec: ModelSpec): ModelSpec {
  const to = (name: string) => (name === "" ? "" : `${[...name].reverse().join("")}_`);
  const values = <T extends { readonly name: string }>(list: readonly T[] | undefined) =>
    list?.map((value) => ({ ...value, name: to(value.name) }));
  return {
    ...spec,
    nodes: spec.nodes.map((n) => ({ ...n, name: undefined, inputs: n.inputs.map(to), outputs: n.outputs.map(to) })),
    initializers: Object.fromEntries(Object.entries(spec.initializers ?? {}).map(([name, t]) => [to(name), t])),
    inputs: values(spec.inputs),
    outputs: values(spec.outputs) ?? [],
  };
}

/** What is searched is the fewest nodes, whatever they cost in bytes. */
const FREE = { maxGrowth: Number.POSITIVE_INFINITY };

describe("the search", () => {
  it("ends with as many nodes whatever their order and names", { timeout: 300_000 }, () => {
    const worse: string[] = [];
    for (const { seed, spec, data, shuffled } of graphs()) {
      const plain = spec.nodes.every((n) =>
        Object.values(n.attributes ?? {}).every((a) => typeof a !== "object" || !("nodes" in a)),
      );
      const others = [
        { ...spec, nodes: shuffled(spec.nodes) },
        ...(plain ? [renamed(spec), renamed({ ...spec, nodes: shuffled(spec.nodes) })] : []),
      ];
      for (const other of others) {
        const found = size(plan(model(other), FREE).data);
        if (found !== size(data)) worse.push(`seed ${seed}: ${size(data)} nodes, in another order ${found}`);
      }
    }
    expect(worse).toEqual([]);
  });

  it("ends with as few nodes as when some are folded first", { timeout: 300_000 }, () => {
    const worse: string[] = [];
    let tried = 0;
    for (const { seed, spec, data, shuffled } of graphs()) {
      const names = [...data.folds, ...data.kept].map(({ node: { name, output } }) => name || output);
      if (names.length < 2 || names.length > 8) continue;
      tried++;
      for (let i = 0; i < 3; i++) {
        const order = shuffled(names).slice(0, 3);
        const before = order.reduce((m, name) => folded(m, { ...FREE, only: (n) => n === name }).model, model(spec));
        const found = size(plan(before, FREE).data);
        if (found < size(data)) worse.push(`seed ${seed}: ${size(data)} nodes, with ${order} first ${found}`);
      }
    }
    expect(tried).toBeGreaterThan(count / 4);
    expect(worse.length, worse.join("\n")).toBeLessThanOrEqual(Math.ceil(tried / 200));
  });
});

describe("nodes that only go together", () => {
  const image = [1, 5, 4, 4];
  const weights = { w: whole([5, 5, 1, 1]) };
  const [first, second] = [batchNorm("c", "n", 5), batchNorm("c", "m", 5)];
  const net = (nodes: ModelSpec["nodes"], initializers: ModelSpec["initializers"], outputs = ["y"]): ModelSpec => ({
    nodes,
    initializers: { ...weights, ...initializers },
    inputs: [{ name: "x", dims: image }],
    outputs: outputs.map((name) => ({ name })),
  });
  const conv = node("Conv", ["x", "w"], ["c"]);
  const ends = [node("Relu", ["n"], ["r"]), node("Sigmoid", ["m"], ["s"]), node("Add", ["r", "s"], ["y"])];

  it("two readers of one value that ask the same", () => {
    const done = check(net([conv, first.node, second.node, ...ends], { ...first.initializers, ...second.initializers }), {
      folds: 2,
    });
    expect(operators(done)).toEqual(["Conv", "Relu", "Sigmoid", "Add"]);
  });

  it("one of two that ask for different maps, or whose names are both outputs", () => {
    const other = batchNorm("c", "m", 5, { gain: [1, 2, 4, 1, 2] });
    const different = net([conv, first.node, other.node, ...ends], { ...first.initializers, ...other.initializers });
    const done = check(different, { folds: 1, refused: "other-reader" });
    expect(operators(done).filter((type) => type === "BatchNormalization")).toHaveLength(1);
    const named = net([conv, first.node, second.node], { ...first.initializers, ...second.initializers }, ["n", "m"]);
    check(named, { folds: 1 });
  });

  it("one name is an output", () => {
    const spec = net([conv, first.node, second.node, ...ends], { ...first.initializers, ...second.initializers }, ["m", "y"]);
    check(spec, { folds: 2 });
    check({ ...spec, outputs: [{ name: "n" }, { name: "y" }] }, { folds: 2 });
  });

  it("a sum all of whose operands carry one gain", () => {
    const branches = ["a", "b", "d"].flatMap((name) => [
      node("Sigmoid", ["x"], [`${name}1`]),
      node("Mul", [`${name}1`, "k"], [name]),
    ]);
    const sum = [...branches, node("Sum", ["a", "b", "d"], ["t"]), node("Conv", ["t", "w"], ["y"])];
    const done = check(net(sum, { k: { ...whole([5, 1, 1]), values: [2, 0.5, 4, 1, -2] } }), { folds: 3, tolerance: 1e-12 });
    expect(operators(done).filter((type) => type === "Mul")).toEqual([]);
  });
});
