/** What is drawn of a graph: two graphs as one, the map of the whole, the part around a node, and where boxes go. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cellsOf, ranks } from "../../site/src/graph/map.ts";
import { type Mark, nearby, netOf } from "../../site/src/graph/net.ts";
import type { DrawnGraph, DrawnNode, GraphPair } from "../../site/src/protocol.ts";
import { drawn, drawnPair } from "../../site/src/worker/graph.ts";
import { laidOut } from "../../site/src/worker/layout.ts";
import { memorySource, plan, previewOf, read, write } from "../../src/index.ts";
import { float32, model as modelOf } from "../helpers/build.ts";
import { root } from "./server.ts";

const node = (name: string, index: number): DrawnNode => ({
  ...{ kind: "node", scope: "", index, opType: "Op", name, output: name, constants: [] },
});

/** Nodes by name; edges as "a b". */
const graphOf = (names: string, edges: string): DrawnGraph => {
  const list = names.split(" ");
  return {
    nodes: list.map(node),
    edges: edges
      .split(",")
      .filter((edge) => edge !== "")
      .map((edge) => edge.split(" "))
      .map(([from, to]) => ({ from: list.indexOf(from), to: list.indexOf(to), value: from })),
  };
};

const named = (pair: GraphPair, marks: ReadonlyMap<number, Mark> = new Map()) => {
  const net = netOf(pair, marks);
  const name = (i: number) => net.nodes[i].node.name;
  return {
    net,
    nodes: net.nodes.map(({ node: { name: of }, side, mark }) => [of, side, mark]),
    edges: net.edges.map(({ from, to, side }) => `${name(from)} ${name(to)} ${side}`).sort(),
  };
};

/** A graph without circles: each node reads some before it. */
const acyclic = fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 60 }).map(
  (lists): DrawnGraph => ({
    nodes: lists.map((_, i) => node(`n${i}`, i)),
    edges: lists.flatMap((reads, to) =>
      to === 0 ? [] : [...new Set(reads.map((n) => n % to))].map((from) => ({ from, to, value: `n${from}` })),
    ),
  }),
);

describe("two graphs laid over each other", () => {
  it("are one where they are the same, and say whose each node and edge is", () => {
    const before = graphOf("conv norm relu", "conv norm,norm relu");
    const after = graphOf("conv relu more", "conv relu,relu more");
    const { nodes, edges } = named({ before, after, pairs: [[0, 0], [2, 1]] }, new Map([[1, "folded"]])); // biome-ignore format: pairs
    expect(nodes).toEqual([
      ["conv", "both", undefined],
      ["norm", "before", "folded"],
      ["relu", "both", undefined],
      ["more", "after", "added"],
    ]);
    expect(edges).toEqual(["conv norm before", "conv relu after", "norm relu before", "relu more after"]);
  });

  it("mark what is gone, and nothing where there is one graph only", () => {
    const before = graphOf("a b", "a b");
    expect(named({ before, after: graphOf("a", ""), pairs: [[0, 0]] }).nodes[1]).toEqual(["b", "before", "removed"]);
    expect(named({ before, pairs: [] }).nodes).toEqual([
      ["a", "before", undefined],
      ["b", "before", undefined],
    ]);
  });

  it("take over what folding made of an exported network: every node that is left has its counterpart", () => {
    const model = read(memorySource(new Uint8Array(readFileSync(`${root}/fixtures/models/resnet-ts9/model.onnx`))));
    const { edits, data } = plan(model);
    const { before, after, pairs } = drawnPair(model, previewOf(model, write(model, edits), "folded"));
    expect(pairs.length).toBe(after?.nodes.length);
    expect(new Set(pairs.map(([p]) => p)).size).toBe(pairs.length);
    for (const [p, q] of pairs) expect(after?.nodes[q].opType).toBe(before.nodes[p].opType);
    const gone = netOf({ before, after, pairs }, new Map()).nodes.filter(({ mark }) => mark === "removed");
    expect(gone.filter(({ node: { opType } }) => opType === "BatchNormalization").length).toBe(data.folds.length);
  });
});

describe("what is drawn of a model", () => {
  it("hangs bodies on the node that holds them, and inputs and outputs on who reads and makes them", () => {
    const dims = [2];
    const body = { outputs: [{ name: "t", dims }], nodes: [{ op: "Neg", name: "inner", inputs: ["x"], outputs: ["t"] }] };
    const model = modelOf({
      inputs: [{ name: "x", dims }],
      outputs: [{ name: "y", dims }],
      initializers: { c: { dtype: "bool", dims: [], values: [1] }, w: float32([2], [1, 2]) },
      nodes: [
        { op: "If", name: "choice", inputs: ["c"], outputs: ["i"], attributes: { then_branch: body, else_branch: body } },
        { op: "Add", name: "sum", inputs: ["i", "w"], outputs: ["y"] },
      ],
    });
    const { nodes, edges } = drawn(model);
    const name = (i: number) => `${nodes[i].kind === "node" ? "" : `${nodes[i].kind} `}${nodes[i].name}`;
    expect(edges.map(({ from, to }) => `${name(from)} > ${name(to)}`).sort()).toEqual([
      "choice > sum",
      "inner > choice",
      "inner > choice",
      "input x > inner",
      "input x > inner",
      "sum > output y",
    ]);
    expect(nodes.find((one) => one.name === "sum")?.constants).toEqual([{ name: "w", dims: [2] }]);
  });
});

describe("the map", () => {
  it("has a cell of its own for each node, in the order of what is computed", () => {
    fc.assert(
      fc.property(acyclic, fc.integer({ min: 1, max: 12 }), (before, columns) => {
        const net = netOf({ before, pairs: [] }, new Map());
        const { at, rows, columns: used } = cellsOf(net, columns);
        expect(new Set(at.map(({ column, row }) => `${column} ${row}`)).size).toBe(before.nodes.length);
        for (const { column, row } of at) expect([column < used, used <= columns, row < rows]).toEqual([true, true, true]);
        const rank = ranks(net);
        for (const { from, to } of before.edges) expect(rank[from]).toBeLessThan(rank[to]);
      }),
    );
  });

  it("ends where two graphs together close a circle", () => {
    const before = graphOf("a b", "a b");
    const after = graphOf("a b", "b a");
    const net = netOf({ before, after, pairs: [[0, 0], [1, 1]] }, new Map()); // biome-ignore format: pairs
    expect(cellsOf(net, 4).at.length).toBe(2);
  });

  it("puts ten thousand nodes on a screen's width", () => {
    const size = 10_000;
    const nodes = Array.from({ length: size }, (_, i) => node(`n${i}`, i));
    const edges = nodes.slice(1).map((_, i) => ({ from: i, to: i + 1, value: "v" }));
    const { rows, columns } = cellsOf(netOf({ before: { nodes, edges }, pairs: [] }, new Map()), 140);
    expect(columns).toBe(140);
    expect(rows).toBe(2 * Math.ceil(size / 140));
  });
});

describe("the part around a node", () => {
  it("reaches as many edges as it is told, and says how many neighbours it leaves out", () => {
    const before = graphOf("a b c d e", "a b,b c,c d,d e");
    const { net } = named({ before, pairs: [] });
    const near = nearby(net, [2], 1, 60);
    expect([...near.nodes].sort()).toEqual([1, 2, 3]);
    expect([...near.hidden].sort()).toEqual([
      [1, 1],
      [3, 1],
    ]);
    expect(nearby(net, [2], 9, 60).nodes.length).toBe(5);
  });

  it("keeps to its limit, the start first", () => {
    fc.assert(
      fc.property(acyclic, fc.nat(), fc.integer({ min: 1, max: 20 }), (before, n, most) => {
        const net = netOf({ before, pairs: [] }, new Map());
        const start = n % before.nodes.length;
        const { nodes } = nearby(net, [start], 8, most);
        expect([nodes[0], nodes.length <= most, new Set(nodes).size]).toEqual([start, true, nodes.length]);
      }),
    );
  });
});

describe("the layout", () => {
  it("lets no two boxes touch, and joins them by lines that begin and end at them", () => {
    fc.assert(
      fc.property(acyclic, (graph) => {
        const boxes = graph.nodes.map(({ index }) => ({ width: 60 + 10 * (index % 5), height: 30 }));
        const found = laidOut({ boxes, lines: graph.edges.map(({ from, to }) => [from, to] as const) });
        const inside = (i: number, x: number, y: number, room: number) =>
          Math.abs(x - found.boxes[i].x) <= boxes[i].width / 2 + room &&
          Math.abs(y - found.boxes[i].y) <= boxes[i].height / 2 + room;
        found.boxes.forEach((p, i) => {
          for (let k = i + 1; k < boxes.length; k++) {
            const q = found.boxes[k];
            const apart = Math.abs(p.x - q.x) >= (boxes[i].width + boxes[k].width) / 2 - 1e-6 || Math.abs(p.y - q.y) >= 30 - 1e-6;
            expect(apart).toBe(true);
          }
        });
        found.lines.forEach((points, i) => {
          const [first, last] = [points[0], points[points.length - 1]];
          const { from, to } = graph.edges[i];
          expect([inside(from, first.x, first.y, 1e-6), inside(to, last.x, last.y, 1e-6)]).toEqual([true, true]);
        });
      }),
      { numRuns: 40 },
    );
  });
});
