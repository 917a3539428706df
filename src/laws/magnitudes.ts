/**
 * How large the values of a model are, from its constants alone, as the file has them before anything is folded.
 *
 *   a batch normalization   its input has mean μ and deviation √(v + ε), its output mean β and deviation |γ|
 *   a constant y = s·x + t  y = (0, 1) where nothing else is known of it, so that x lies near −t/s with deviation 1/|s|
 *   between them            mean(y) = s·mean(x) + t, deviation(y) = |s|·deviation(x), whichever of the two is known
 *
 * And which values are exact: what callers feed, and what only moves, selects or halves and doubles it. All others were rounded
 * when they were computed, which no fold can make worse.
 */
import { combine, every, map, plus, type Spread, times, uniform } from "../affine/spread.ts";
import type { Facts } from "../graph/facts.ts";
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { type DType, dtypeOf, isFloat } from "../onnx/dtype.ts";
import type { Candidate, Magnitude } from "./candidates.ts";

/** E[v²] = mean² + deviation². */
export const power = ({ mean, deviation }: Magnitude): Spread => combine(mean, deviation, (m, d) => m * m + d * d);

/** The magnitude of y = s ⊙ x + t. */
export const mappedMagnitude = ({ mean, deviation }: Magnitude, scale: Spread, shift: Spread): Magnitude => ({
  mean: plus(times(mean, scale), shift),
  deviation: combine(deviation, scale, (d, s) => d * Math.abs(s)),
});

/** The magnitude of x where that of y = s ⊙ x + t is known. A gain of zero says nothing of x: as large as y. */
export const unmapped = ({ mean, deviation }: Magnitude, scale: Spread, shift: Spread): Magnitude => ({
  mean: combine(
    combine(mean, shift, (m, t) => m - t),
    scale,
    (m, s) => (s === 0 ? m : m / s),
  ),
  deviation: combine(deviation, scale, (d, s) => (s === 0 ? d : d / Math.abs(s))),
});

/** Operators whose numbers are among those they are given. */
const selects = (node: GraphNode): boolean => hasTrait(node, "moves", "fills", "casts", "chooses");

/** Longest chain that is followed. */
const FAR = 64;

const powerOfTwo = (v: number): boolean => v !== 0 && Math.abs(v) === 2 ** Math.round(Math.log2(Math.abs(v)));

export class Magnitudes {
  private readonly inputs = new Map<GraphNode, readonly (GraphValue | undefined)[]>();
  private readonly producers = new Map<GraphValue, GraphNode>();
  private readonly readers = new Map<GraphValue, GraphNode[]>();
  private readonly maps = new Map<GraphNode, Candidate | undefined>();
  /** Values that no longer hold what the file says: a map passed them. */
  private readonly moved = new Set<GraphValue>();

  /** `affine`: the map a node is in the file. */
  constructor(
    view: GraphView,
    private readonly facts: Facts,
    private readonly affine: (node: GraphNode) => Candidate | undefined,
  ) {
    for (const node of view.nodes) {
      this.inputs.set(node, [...node.inputs]);
      for (const output of node.outputs) if (output !== undefined) this.producers.set(output, node);
      for (const input of node.inputs) {
        if (input === undefined) continue;
        const list = this.readers.get(input);
        if (list === undefined) this.readers.set(input, [node]);
        else list.push(node);
      }
    }
  }

  /** A map passed the value: what it holds is no longer known. */
  move(value: GraphValue): void {
    this.moved.add(value);
  }

  /** Mean and deviation of a value, when constants say them. */
  of(value: GraphValue | undefined): Magnitude | undefined {
    if (value === undefined || this.moved.has(value)) return undefined;
    return this.upstream(value, FAR) ?? this.downstream(value, FAR);
  }

  /** True of a value that all who read it, at once or behind what selects from it, take as a type. */
  isCast(value: GraphValue | undefined, dtype: DType, far = FAR): boolean {
    const readers = value === undefined || far === 0 ? [] : (this.readers.get(value) ?? []);
    return (
      readers.length > 0 &&
      value?.isOutput !== true &&
      readers.every((node) => {
        const [output] = node.outputs;
        if (node.opType === "Cast" && dtypeOf(this.facts.of(output).dtype) === dtype) return true;
        return selects(node) && this.isCast(output, dtype, far - 1);
      })
    );
  }

  /** Not rounded when it was computed, as far as one can see. */
  isExact(value: GraphValue | undefined, far = FAR): boolean {
    if (value === undefined || far === 0) return false;
    const producer = this.producers.get(value);
    if (producer === undefined) return true;
    const inputs = this.inputs.get(producer) ?? [];
    if (producer.domain !== "") return false;
    if (producer.opType === "Cast" && inputs[0] !== undefined) {
      const type = dtypeOf(this.facts.of(inputs[0]).dtype);
      if (type !== undefined && !isFloat(type)) return true;
    }
    const found = this.mapOf(producer);
    if (found !== undefined) return this.isExactMap(found, inputs[found.input], far);
    return selects(producer) && inputs.some((input) => this.isData(input) && this.isExact(input, far - 1));
  }

  private isData(value: GraphValue | undefined): boolean {
    return value !== undefined && value.initializer === undefined && value.sparse === undefined;
  }

  /** Halving and doubling are exact, and so is taking from near numbers what they have in common. */
  private isExactMap({ scale, shift }: Candidate, x: GraphValue | undefined, far: number): boolean {
    if (!every(scale, powerOfTwo) || !this.isExact(x, far - 1)) return false;
    if (every(shift, (t) => t === 0)) return true;
    const from = x && this.of(x);
    if (from === undefined) return false;
    const [before, after] = [
      power(
        mappedMagnitude(
          from,
          scale,
          map(shift, () => 0),
        ),
      ),
      power(mappedMagnitude(from, scale, shift)),
    ];
    return every(
      combine(before, after, (a, b) => a - b),
      (v) => v >= 0,
    );
  }

  private mapOf(node: GraphNode): Candidate | undefined {
    if (!this.maps.has(node)) this.maps.set(node, this.affine(node));
    return this.maps.get(node);
  }

  private normReading(value: GraphValue): Magnitude | undefined {
    for (const node of this.readers.get(value) ?? []) {
      if (node.opType !== "BatchNormalization" || this.inputs.get(node)?.[0] !== value) continue;
      const found = this.mapOf(node);
      if (found?.statistics !== undefined) return unmapped(found.statistics, found.scale, found.shift);
    }
    return undefined;
  }

  private upstream(value: GraphValue, far: number): Magnitude | undefined {
    const known = this.normReading(value);
    const producer = this.producers.get(value);
    const found = producer && this.mapOf(producer);
    if (known !== undefined || found === undefined || far === 0) return known;
    if (found.statistics !== undefined) return found.statistics;
    const x = this.inputs.get(found.node)?.[found.input];
    const from = x && this.upstream(x, far - 1);
    return from && mappedMagnitude(from, found.scale, found.shift);
  }

  private downstream(value: GraphValue, far: number): Magnitude | undefined {
    const known = this.normReading(value);
    if (known !== undefined || far === 0) return known;
    for (const node of this.readers.get(value) ?? []) {
      const found = this.mapOf(node);
      const y = node.outputs[0];
      if (found === undefined || this.inputs.get(node)?.[found.input] !== value) {
        const through = this.through(node, value, far);
        if (through !== undefined) return through;
        continue;
      }
      const rank = found.scale.dims.length;
      const to = (y && this.downstream(y, far - 1)) ?? { mean: uniform(rank, 0), deviation: uniform(rank, 1) };
      if (to.mean.dims.length === rank) return unmapped(to, found.scale, found.shift);
    }
    return undefined;
  }

  /** Behind an operator that only moves numbers: one pair of numbers for the whole value, for axes may have changed places. */
  private through(node: GraphNode, value: GraphValue, far: number): Magnitude | undefined {
    if (!selects(node) || this.inputs.get(node)?.[0] !== value) return undefined;
    const [output] = node.outputs;
    const to = output && this.downstream(output, far - 1);
    if (to === undefined) return undefined;
    const rank = this.facts.rank(value);
    if (rank === to.mean.dims.length && hasTrait(node, "inPlace")) return to;
    return rank === undefined ? undefined : { mean: alike(to.mean, rank), deviation: alike(to.deviation, rank) };
  }
}

/** The root of the mean square, everywhere, with the sign of most. */
function alike({ data }: Spread, rank: number): Spread {
  let [squares, sum] = [0, 0];
  for (const v of data) {
    squares += v * v;
    sum += v;
  }
  return uniform(rank, (sum < 0 ? -1 : 1) * Math.sqrt(squares / data.length));
}
