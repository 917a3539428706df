/**
 * Rows of a layer a block at a time: B = k ⊙ A + d is asked of each row by itself, so a member of A's class that fits every block
 * fits the whole, and neither file's numbers need be in memory at once. Where none fits, the rows are looked at whole, to say what
 * is wrong or to find another map.
 *
 * Only where rows stand in the file one by one (linear.ts), under factors that follow the elements (rules/stream.ts). Stored float32
 * under a gain per row, which is most of what folds change, is compared as it is read (singles.ts); other numbers where rows follow
 * one another.
 */
import { fillFrom, type Stream } from "../../rules/stream.ts";
import { biasesFit, fits, type RowMap, type StoredRows } from "./fit.ts";
import { zeroRows } from "./linear.ts";
import { openBias } from "./row-maps.ts";
import type { Layout, Linear, Rows, Tolerance } from "./rows.ts";
import { type Stored32, singlesFit } from "./singles.ts";

/** Layers up to this many coefficients are compared at once. */
const WHOLE = 1 << 12;
/** Coefficients of a block, of each file: what stays in a processor's cache. */
const BLOCK = 1 << 16;

/** What blocks of doubles are read into, over and over: A's, B's, and B's as stored. */
const scratch = [new Float64Array(0), new Float64Array(0), new Float64Array(0)];

interface RowBlocks {
  /** Without their weights. */
  readonly rows: Rows;
  /** What gives the weights, and how they stand in the file. */
  readonly stream: Stream;
  readonly layout: Layout;
}

const TURNED = { rows: "columns", columns: "rows" } as const;

function rowBlocks(linear: Linear): RowBlocks | undefined {
  if (linear.layout === undefined) return undefined;
  const { stream: own, turned } = linear.weight.values;
  const stream = own ?? turned;
  if (stream === undefined || stream.length <= WHOLE) return undefined;
  const rows = linear.rowsOf(new Float64Array(0), linear.bias?.values());
  const layout = own === undefined ? TURNED[linear.layout] : linear.layout;
  return { rows: { ...rows, width: stream.length / rows.count }, stream, layout };
}

const stored32 = ({ layout, stream }: RowBlocks): Stored32 | undefined =>
  stream.factors.length > 0 || stream.read32 === undefined ? undefined : { layout, read: stream.read32 };

export interface Blocks {
  readonly count: number;
  readonly axis: number;
  readonly coefficients: number;
  /** The largest error in half-ulps when all rows fit; undefined when one does not. */
  fit(by: RowMap, tolerance: Tolerance): number | undefined;
}

/** What is open of the input of B's operator: of its shift, and, relatively, of its gain. */
interface Open {
  readonly shift: number;
  readonly gain: number;
}

/**
 * A's and B's rows in blocks; undefined when they have to be compared at once. `plain`: B's operator as it stands in the file,
 * where maps of its inputs went into `mine`.
 */
export function blocksOf(
  theirs: Linear,
  mine: Linear,
  plain: Linear,
  { node }: Pick<StoredRows, "node">,
  open: Open,
): Blocks | undefined {
  const [first, second, stored] = [theirs, mine, plain].map(rowBlocks);
  if (first === undefined || second === undefined || stored === undefined || mine.dequantized === true) return undefined;
  const { count, width, axis } = first.rows;
  if ([second, stored].some(({ rows }) => rows.count !== count || rows.width !== width)) return undefined;
  const own = { dtype: mine.weight.dtype, biasType: mine.bias?.dtype, node, gain: open.gain };
  const isPlain = plain === mine && open.shift === 0 && open.gain === 0;
  const [x32, y32] = isPlain ? [first, second].map(stored32) : [];

  const part = ({ rows, stream }: RowBlocks, { from, to }: Range, i: number): Rows => {
    const length = (to - from) * width;
    if (scratch[i].length < length) scratch[i] = new Float64Array(length);
    const weights = scratch[i].subarray(0, length);
    fillFrom(stream, from * width, weights);
    return { ...biasesOf(rows, { from, to }), weights };
  };
  const inDouble = (range: Range, by: RowMap, tolerance: Tolerance): number | undefined => {
    const [a, rows] = [part(first, range, 0), part(second, range, 1)];
    // Channels that are constant are a matter of the whole.
    if (zeroRows(a).length > 0) return undefined;
    const was = plain === mine ? rows : part(stored, range, 2);
    const found = fits(a, { ...own, rows, stored: was, open: openBias(rows, open.shift) }, by, tolerance);
    return "worst" in found ? found.worst : undefined;
  };
  const each = Math.max(1, Math.floor(BLOCK / width));
  return {
    count,
    axis,
    coefficients: count * width + (mine.bias === undefined ? 0 : count),
    fit(by, tolerance) {
      // What files of other tools are judged by needs the norms of their rows (fit.ts).
      if (x32 !== undefined && y32 !== undefined && by.open === undefined && !tolerance.foreign) {
        const worst = singlesFit(x32, y32, first.rows, by.k, tolerance.weight);
        const units = biasesFit(first.rows, { ...own, rows: second.rows, stored: second.rows }, by, tolerance);
        return worst === undefined || units === undefined ? undefined : Math.max(worst, units);
      }
      if ([first, second, stored].some(({ layout }) => layout !== "rows")) return undefined;
      let worst = 0;
      for (let from = 0; from < count; from += each) {
        const range = { from, to: Math.min(count, from + each) };
        const found = inDouble(range, mapOf(by, range), tolerance);
        if (found === undefined) return undefined;
        worst = Math.max(worst, found);
      }
      return worst;
    },
  };
}

interface Range {
  readonly from: number;
  readonly to: number;
}

const biasesOf = (rows: Rows, { from, to }: Range): Rows => ({ ...rows, count: to - from, bias: rows.bias.subarray(from, to) });

function mapOf({ k, d, terms, open }: RowMap, { from, to }: Range): RowMap {
  const of = (x: Float64Array) => x.subarray(from, to);
  const rest = open === undefined ? {} : { open: { k: of(open.k), d: of(open.d) } };
  return { k: of(k), d: of(d), terms: of(terms), ...rest };
}
