/** What bnfold run prints: one line a tensor, and tables of where time and memory went. */
import { dtypeInfo } from "../onnx/dtype.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { brief, byteSize, milliseconds, plural, printable } from "../report/words.ts";
import { grid, said } from "./screen.ts";

export interface Summary {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Of the finite elements; null where there is none, and for text. */
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly rms: number | null;
  readonly nan: number;
  readonly infinite: number;
  /** The first elements; integers of 64 bits as text. */
  readonly first: readonly (number | string | null)[];
}

const FIRST = 6;

export function summarise(name: string, { dtype, dims, data }: Tensor): Summary {
  const base = { name, dtype, shape: dims };
  const text = dtypeInfo(dtype).holder === "string";
  let [min, max, sum, squares, count, nan] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0, 0];
  if (!text) {
    for (let i = 0; i < data.length; i++) {
      const v = Number(data[i]);
      if (!Number.isFinite(v)) {
        if (Number.isNaN(v)) nan++;
        continue;
      }
      if (v < min) min = v;
      if (v > max) max = v;
      sum += v;
      squares += v * v;
      count++;
    }
  }
  const first = Array.from({ length: Math.min(FIRST, data.length) }, (_, i) => {
    const v = data[i];
    return typeof v === "bigint" ? String(v) : typeof v === "string" || Number.isFinite(v) ? v : String(v);
  });
  const infinite = text ? 0 : data.length - count - nan;
  if (count === 0) return { ...base, min: null, max: null, mean: null, rms: null, nan, infinite, first };
  return { ...base, min, max, mean: sum / count, rms: Math.sqrt(squares / count), nan, infinite, first };
}

const cell = (value: number | null): string => (value === null ? "" : brief(value));

export function summaryTable(list: readonly Summary[]): string[] {
  const odd = list.some(({ nan, infinite }) => nan + infinite > 0);
  const head = ["name", "type", "shape", "min", "max", "mean", "rms", ...(odd ? ["NaN", "infinite"] : []), "first values"];
  const rows = list.map((s) => [
    printable(s.name),
    s.dtype,
    `[${s.shape.join(", ")}]`,
    ...[s.min, s.max, s.mean, s.rms].map(cell),
    ...(odd ? [String(s.nan), String(s.infinite)] : []),
    s.first.map((v) => (typeof v === "number" ? brief(v) : printable(String(v)).slice(0, 20))).join(" "),
  ]);
  return grid(head, rows, ["l", "l", "l", "r", "r", "r", "r", ...(odd ? (["r", "r"] as const) : []), "l"]);
}

export interface NodeCost {
  readonly name: string;
  readonly operator: string;
  readonly milliseconds: number;
  /** Bytes of its outputs, and of all values held while it ran. */
  readonly outputBytes: number;
  readonly heldBytes: number;
  readonly multiplyAdds: number;
}

export interface Profile {
  readonly milliseconds: number;
  readonly multiplyAdds: number;
  /** The most that values took at once, kernel memory not counted. */
  readonly peakBytes: number;
  readonly nodes: readonly NodeCost[];
}

export function profileOf(nodes: readonly NodeCost[]): Profile {
  return {
    milliseconds: nodes.reduce((sum, node) => sum + node.milliseconds, 0),
    multiplyAdds: nodes.reduce((sum, node) => sum + node.multiplyAdds, 0),
    peakBytes: nodes.reduce((most, node) => Math.max(most, node.heldBytes), 0),
    nodes,
  };
}

const share = (part: number, whole: number): string => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "");
const mega = (count: number): string => (count === 0 ? "" : (count / 1e6).toFixed(count < 1e8 ? 2 : 0));
const speed = (count: number, ms: number): string => (count === 0 || ms === 0 ? "" : (count / ms / 1e6).toFixed(2));
const time = (ms: number): string => ms.toFixed(ms < 10 ? 2 : 1);

function byOperator({ nodes, milliseconds: all }: Profile): string[] {
  const groups = new Map<string, { count: number; ms: number; work: number }>();
  for (const { operator, milliseconds: ms, multiplyAdds } of nodes) {
    const group = groups.get(operator) ?? { count: 0, ms: 0, work: 0 };
    groups.set(operator, { count: group.count + 1, ms: group.ms + ms, work: group.work + multiplyAdds });
  }
  const rows = [...groups]
    .sort(([, a], [, b]) => b.ms - a.ms)
    .map(([name, { count, ms, work }]) => [name, String(count), time(ms), share(ms, all), mega(work), speed(work, ms)]);
  return grid(["operator", "nodes", "ms", "share", "M multiply-adds", "G/s"], rows, ["l", "r", "r", "r", "r", "r"]);
}

function byNode({ nodes, milliseconds: all }: Profile, top: number): string[] {
  const rows = [...nodes]
    .sort((a, b) => b.milliseconds - a.milliseconds)
    .slice(0, top)
    .map(({ name, operator, milliseconds: ms, outputBytes, heldBytes, multiplyAdds }) => [
      printable(name),
      operator,
      time(ms),
      share(ms, all),
      mega(multiplyAdds),
      speed(multiplyAdds, ms),
      byteSize(outputBytes),
      byteSize(heldBytes),
    ]);
  const head = ["node", "operator", "ms", "share", "M multiply-adds", "G/s", "output", "held"];
  return grid(head, rows, ["l", "l", "r", "r", "r", "r", "r", "r"]);
}

export function profileLines(profile: Profile, top: number): string[] {
  const { nodes, milliseconds: ms, multiplyAdds, peakBytes } = profile;
  return [
    ...said(
      `${plural(nodes.length, "node")} in ${milliseconds(ms)}, ${mega(multiplyAdds) || "0"} million multiply-adds, values of ${byteSize(peakBytes)} at most`,
    ),
    "",
    ...byOperator(profile),
    "",
    ...byNode(profile, top),
  ];
}
