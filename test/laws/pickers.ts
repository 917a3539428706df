/** Builders of operators that rank elements, write them to places, or raise them to powers. */
import type { Growing, Value } from "./graphs.ts";
import type { Build } from "./operators.ts";

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);
const done = (made: readonly Value[] | undefined): boolean => made !== undefined;
const spelled = (g: Growing, axis: number, rank: number) => (g.opset >= 11 && g.chance(0.2) ? axis - rank : axis);

const extreme: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined) return false;
  const [rank, axis] = [x.dims.length, g.between(1, x.dims.length - 1)];
  const op = g.pick(["ArgMax", "ArgMin", "Hardmax"]);
  if (op === "Hardmax") return done(g.node(op, [x.name], [x.dims], g.chance(0.3) ? {} : { axis: spelled(g, axis, rank) }));
  const keep = g.chance(0.5);
  const out = keep ? x.dims.with(axis, 1) : x.dims.toSpliced(axis, 1);
  const last = g.opset >= 12 && g.chance(0.3) ? { select_last_index: 1 } : {};
  g.whole(op, [x.name], [[], out], { axis: spelled(g, axis, rank), ...(keep ? {} : { keepdims: 0 }), ...last });
  return true;
};

const topK: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined) return false;
  const axis = g.between(1, x.dims.length - 1);
  const k = g.between(1, x.dims[axis]);
  const inputs = g.opset < 10 ? [x.name] : [x.name, g.integers([k])];
  const attributes = { axis, ...(g.opset < 10 ? { k } : g.opset >= 11 && g.chance(0.4) ? { largest: 0 } : {}) };
  const out = x.dims.with(axis, k);
  return done(g.whole("TopK", inputs, [[out], out], attributes));
};

/** Places as constants: the graphs' integer inputs are too small for some axes, and too large for others. */
function places(g: Growing, dims: readonly number[], below: (column: number) => number): string {
  const width = dims[dims.length - 1] ?? 1;
  return g.integers(
    Array.from({ length: size(dims) }, (_, i) => g.between(0, below(i % width) - 1)),
    dims,
  );
}

const alike = (g: Growing, x: Value) =>
  g.some((d, v) => v !== x && d.length === x.dims.length && d.every((e, i) => e === x.dims[i]));

const gatherND: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined || g.symbolic || g.opset < 11) return false;
  const batch = g.opset >= 12 && x.dims.length > 2 && g.chance(0.4) ? 1 : 0;
  const width = g.between(1, Math.min(2, x.dims.length - 1 - batch));
  const lead = [...x.dims.slice(0, batch), ...g.pick([[2], [3], [2, 2]])];
  const indices = places(g, [...lead, width], (column) => x.dims[batch + column]);
  return done(
    g.node("GatherND", [x.name, indices], [[...lead, ...x.dims.slice(batch + width)]], batch === 0 ? {} : { batch_dims: 1 }),
  );
};

const scatterElements: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined || g.symbolic || g.opset < 9) return false;
  const axis = g.between(0, x.dims.length - 1);
  const indices = places(g, x.dims, () => x.dims[axis]);
  const updates = alike(g, x)?.name ?? g.constant(x.dims);
  const reduction = g.opset >= 16 && g.chance(0.15) ? { reduction: "add" } : {};
  const inputs = [x.name, indices, updates];
  const swapped = g.chance(0.3) ? [updates, indices, x.name] : inputs;
  return done(g.node(g.opset >= 11 ? "ScatterElements" : "Scatter", swapped, [x.dims], { axis, ...reduction }));
};

const scatterND: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined || g.symbolic || g.opset < 11) return false;
  const width = g.between(1, Math.min(2, x.dims.length - 1));
  const lead = g.pick([[2], [2, 2]]);
  const rows = [...lead, ...x.dims.slice(width)];
  const z = alike(g, x);
  const from =
    z && g.chance(0.7) ? g.node("GatherND", [z.name, places(g, [...lead, width], (c) => x.dims[c])], [rows]) : undefined;
  const updates = from?.[0].name ?? g.constant(rows);
  return done(g.node("ScatterND", [x.name, places(g, [...lead, width], (c) => x.dims[c]), updates], [x.dims]));
};

/** A pool, at times something on the way, and back to the places it took. */
const unpool: Build = (g) => {
  const x = g.some((d) => d.length >= 3 && d.slice(2).every((e) => e > 1));
  if (x === undefined || g.opset < 9) return false;
  const step = (d: number) => (d % 2 === 0 ? 2 : 1);
  const window = { kernel_shape: x.dims.slice(2).map(() => 2), strides: x.dims.slice(2).map(step) };
  const pooled = x.dims.map((d, i) => (i < 2 ? d : step(d) === 2 ? d / 2 : d - 1));
  const made = g.whole("MaxPool", [x.name], [[pooled], pooled], window);
  if (made === undefined) return false;
  const [p, i] = made;
  const channels = [x.dims[1], ...pooled.slice(2).map(() => 1)];
  const between = g.chance(0.5) ? g.node(g.pick(["Mul", "Add"]), [p.name, g.gains(channels)], [pooled]) : undefined;
  return done(g.node("MaxUnpool", [between?.[0].name ?? p.name, i.name], [x.dims], window));
};

const roiPool: Build = (g) => {
  const x = g.some((d) => d.length === 4);
  if (x === undefined || g.symbolic) return false;
  const count = g.pick([1, 2, x.dims[1]]);
  const corner = () => g.between(0, 5);
  const rois = Array.from({ length: count }, () => [g.between(0, x.dims[0] - 1), corner(), corner(), corner(), corner()]).flat();
  const name = g.name("r");
  g.initializers[name] = { dtype: g.dtype, dims: [count, 5], values: rois };
  const cells = [g.between(1, 3), g.between(1, 3)];
  return done(g.node("MaxRoiPool", [x.name, name], [[count, x.dims[1], ...cells]], { pooled_shape: cells }));
};

const col2Im: Build = (g) => {
  const x = g.some((d) => d.length === 3 && d[1] % 2 === 0);
  if (x === undefined || g.opset < 18) return false;
  const [n, c, length] = x.dims;
  return done(g.node("Col2Im", [x.name, g.integers([length + 1]), g.integers([2])], [[n, c / 2, length + 1]]));
};

/** Powers of what is not near 0, with a gain before and one after them. */
const power: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  const op = g.pick(["Sqrt", "Reciprocal", "Pow", "Pow", "ReduceSumSquare", "ReduceProd", "over"]);
  if (x === undefined || (op === "ReduceProd" && (x.dims[x.dims.length - 1] > 3 || x.dims.length < 3))) return false;
  const channels = [x.dims[1], ...x.dims.slice(2).map(() => 1)];
  const p = g.pick([2, 2, 3, 0.5, -1]);
  const rooted = op === "Sqrt" || (op === "Pow" && p === 0.5);
  const gain = () => {
    const positive = rooted || g.chance(0.5);
    return g.constant(channels, () => (positive ? Math.abs(g.number()) : g.number()) || 1.5, false);
  };
  const away = g.node("Abs", [x.name], [x.dims]);
  const off = away && g.node("Add", [away[0].name, g.constant([], () => 0.5, false)], [x.dims]);
  const scaled = off && g.chance(0.8) ? g.node("Mul", [off[0].name, gain()], [x.dims]) : off;
  if (scaled === undefined) return false;
  const [{ name: from }] = scaled;
  const last = x.dims.length - 1;
  const reduced = () => {
    const since = g.opset >= 18;
    return g.node(op, since ? [from, g.integers([last])] : [from], [x.dims.with(last, 1)], since ? {} : { axes: [last] });
  };
  const made = op.startsWith("Reduce")
    ? reduced()
    : op === "over"
      ? g.node("Div", [g.constant(g.chance(0.5) ? [] : channels), from], [x.dims])
      : g.node(op, op === "Pow" ? [from, g.constant([], () => p, false)] : [from], [x.dims]);
  return done(made && g.chance(0.6) && !op.startsWith("Reduce") ? g.node("Mul", [made[0].name, gain()], [x.dims]) : made);
};

export const pickers: readonly Build[] = [
  ...[extreme, extreme, topK, gatherND, scatterElements, scatterElements, scatterND],
  ...[unpool, roiPool, col2Im, power, power],
];
