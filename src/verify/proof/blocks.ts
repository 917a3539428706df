/**
 * Rows of a large layer a block at a time: B = k ⊙ A + d is asked of each row by itself, so a member of A's class that fits every
 * block fits the whole, and neither file's numbers need be in memory at once. Where none fits, the rows are looked at whole, to say
 * what is wrong or to find another map.
 *
 * Only where rows stand in the file one after the other (convolutions), under factors that follow the elements (rules/stream.ts).
 */
import { fillFrom, type Stream, streamOf } from "../../rules/stream.ts";
import { fits, type RowMap, type StoredRows } from "./fit.ts";
import { zeroRows } from "./linear.ts";
import type { Linear, Rows, Tolerance } from "./rows.ts";

/** Layers up to this many coefficients are compared at once. */
const WHOLE = 1 << 20;
/** Coefficients of a block, of each file. */
const BLOCK = 1 << 18;

interface RowBlocks {
  readonly rows: Rows;
  readonly stream: Stream;
}

function rowBlocks(linear: Linear): RowBlocks | undefined {
  const stream = linear.inOrder === true ? streamOf(linear.weight.values) : undefined;
  if (stream === undefined || stream.length <= WHOLE) return undefined;
  const rows = linear.rowsOf(new Float64Array(0), linear.bias?.values());
  return { rows: { ...rows, width: stream.length / rows.count }, stream };
}

export interface Blocks {
  readonly count: number;
  readonly axis: number;
  readonly coefficients: number;
  /** The largest error in half-ulps when all rows fit; undefined when one does not. */
  fit(by: RowMap, tolerance: Tolerance): number | undefined;
}

/**
 * A's and B's rows in blocks; undefined when they have to be compared at once. `plain`: B's operator as it stands in the file,
 * where maps of its inputs went into `mine`. `open`: what a block's biases may be off, `gain`: its coefficients.
 */
export function blocksOf(
  theirs: Linear,
  mine: Linear,
  plain: Linear,
  b: Pick<StoredRows, "node">,
  open: (rows: Rows) => Float64Array | undefined,
  gain: number,
): Blocks | undefined {
  const [first, second, stored] = [rowBlocks(theirs), rowBlocks(mine), rowBlocks(plain)];
  if (first === undefined || second === undefined || stored === undefined || mine.dequantized === true) return undefined;
  const { count, width, axis } = first.rows;
  if ([second, stored].some(({ rows }) => rows.count !== count || rows.width !== width)) return undefined;
  const each = Math.max(1, Math.floor(BLOCK / width));
  const [x, y, z] = [0, 1, 2].map((i) => new Float64Array(i === 2 && plain === mine ? 0 : each * width));
  const part = ({ rows, stream }: RowBlocks, from: number, to: number, into: Float64Array): Rows => {
    const weights = into.subarray(0, (to - from) * width);
    fillFrom(stream, from * width, weights);
    return { ...rows, count: to - from, weights, bias: rows.bias.subarray(from, to) };
  };
  return {
    count,
    axis,
    coefficients: count * width + (mine.bias === undefined ? 0 : count),
    fit({ k, d, terms, open: openMap }, tolerance) {
      let worst = 0;
      for (let from = 0; from < count; from += each) {
        const to = Math.min(count, from + each);
        const [a, rows] = [part(first, from, to, x), part(second, from, to, y)];
        // Channels that are constant are a matter of the whole.
        if (zeroRows(a).length > 0) return undefined;
        const was = plain === mine ? rows : part(stored, from, to, z);
        const own = {
          rows,
          stored: was,
          dtype: mine.weight.dtype,
          biasType: mine.bias?.dtype,
          node: b.node,
          open: open(rows),
          gain,
        };
        const of = (x: Float64Array) => x.subarray(from, to);
        const by = {
          ...{ k: of(k), d: of(d), terms: of(terms) },
          ...(openMap === undefined ? {} : { open: { k: of(openMap.k), d: of(openMap.d) } }),
        };
        const found = fits(a, own, by, tolerance);
        if (!("worst" in found)) return undefined;
        worst = Math.max(worst, found.worst);
      }
      return worst;
    },
  };
}
