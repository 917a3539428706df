/**
 *   Conv(Pad(x; p zeros on spatial axes); q)                Conv(x; p + q)
 *   AveragePool(Pad(x; p zeros on spatial axes); q)         AveragePool(x; p + q), zeros counted
 *
 * Exact: a Conv sees zeros beyond the border, and so does an AveragePool that counts them (q is 0, or it counts its own). The Pad is
 * constant, not negative, and the pads behind it are given by numbers; with ceil_mode the last window may reach beyond what is counted.
 */
import { intAttr, intsAttr, stringAttr } from "../../../graph/attributes.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { attribute, makerOf, numbersOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** How many zeros a Pad adds, begin of each axis and then end; undefined where it adds something else, or takes away. */
function zeros(pad: GraphNode, side: Side): readonly number[] | undefined {
  const { record } = pad;
  if (pad.domain !== "" || pad.opType !== "Pad" || stringAttr(record, "mode", "constant") !== "constant") return undefined;
  const old = pad.version < 11;
  const pads = old ? intsAttr(record, record.attributes.has("paddings") ? "paddings" : "pads") : numbersOf(pad.inputs[1], side);
  const fill = old
    ? [record.attributes.get("value")?.f ?? 0]
    : pad.inputs[2] === undefined
      ? [0]
      : numbersOf(pad.inputs[2], side);
  return fill?.[0] !== 0 || pad.inputs[3] !== undefined || pads?.some((p) => p < 0) ? undefined : pads;
}

/** The same on the spatial axes; undefined where there are zeros elsewhere. */
function zerosAround(pad: GraphNode, side: Side): number[] | undefined {
  const pads = zeros(pad, side);
  if (pads === undefined) return undefined;
  const rank = pads.length / 2;
  const outer = [0, 1, rank, rank + 1].every((i) => pads[i] === 0);
  const spatial = [...pads.slice(2, rank), ...pads.slice(rank + 2)];
  return rank < 3 || !outer ? undefined : spatial;
}

/** An AveragePool that counts the zeros it adds, or adds none, and whose windows end where those do. Before opset 7 none were counted. */
const countsZeros = ({ record, version }: GraphNode, pads: readonly number[]): boolean =>
  version >= 7 &&
  intAttr(record, "ceil_mode", 0) === 0 &&
  (intAttr(record, "count_include_pad", 0) !== 0 || pads.every((p) => p === 0));

const padded: Rewrite = (node, side) => {
  const pad = makerOf(node.inputs[0], node);
  const pool = node.opType === "AveragePool";
  if (node.domain !== "" || (node.opType !== "Conv" && !pool) || pad === undefined) return undefined;
  const auto = stringAttr(node.record, "auto_pad", "NOTSET") || "NOTSET";
  const around = auto === "NOTSET" || auto === "VALID" ? zerosAround(pad, side) : undefined;
  if (around === undefined) return undefined;
  const own = (auto === "NOTSET" ? intsAttr(node.record, "pads") : undefined) ?? around.map(() => 0);
  if (around.length !== own.length || (pool && !countsZeros(node, own))) return undefined;
  const attributes = new Map(node.record.attributes).set(
    "pads",
    attribute(node, "pads", { ints: own.map((p, i) => p + around[i]) }),
  );
  attributes.delete("auto_pad");
  if (pool) attributes.set("count_include_pad", attribute(node, "count_include_pad", { i: 1 }));
  return [{ ...node.record, inputs: [pad.record.inputs[0], ...node.record.inputs.slice(1)], attributes }];
};

export const PADDED: Rewriting = { equation: ["Conv(Pad(x)), AveragePool(Pad(x))", "with larger pads"], rewrite: padded };
