/** Where boxes and lines of a small graph go: layered from top to bottom, by dagre. */
import { Graph, layout } from "@dagrejs/dagre";
import type { Layout, LayoutAsk } from "../protocol.ts";

const GAPS = { rankdir: "TB", nodesep: 24, ranksep: 34, edgesep: 14, marginx: 8, marginy: 8 } as const;

export function laidOut({ boxes, lines }: LayoutAsk): Layout {
  const graph = new Graph();
  graph.setGraph({ ...GAPS });
  boxes.forEach(({ width, height }, i) => void graph.setNode(String(i), { width, height }));
  for (const [from, to] of lines) graph.setEdge(String(from), String(to), {});
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  const at = (i: number) => graph.node(String(i)) as { x: number; y: number };
  return {
    width,
    height,
    boxes: boxes.map((_, i) => ({ x: at(i).x, y: at(i).y })),
    lines: lines.map(([from, to]) => {
      const { points } = graph.edge(String(from), String(to)) as { points: { x: number; y: number }[] };
      return points.map(({ x, y }) => ({ x, y }));
    }),
  };
}
