/** What a region is run with: graphs cut out of a model, and its folded constants, which draws move. */
import type { Steps } from "../diag/steps.ts";
import type { GraphNode } from "../graph/view.ts";
import { decode } from "../onnx/codec.ts";
import { dtypeOf, halfUlps, type StorageFloat } from "../onnx/dtype.ts";
import type { Model, TensorRecord } from "../onnx/records.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { readsOf } from "./cuts.ts";
import { type Stored, streamOf } from "./noise.ts";
import type { Random } from "./random.ts";
import type { Feeds } from "./runs.ts";

/** A model by name, to cut graphs out of. */
export class Parts {
  private readonly stored = new Map<string, TensorRecord>();

  constructor(private readonly model: Model) {
    for (const record of model.graph.initializers) this.stored.set(record.name, record);
  }

  /** The model of some nodes, with given values as its inputs. */
  cut(nodes: readonly GraphNode[], feeds: Feeds, output: string): Model {
    const { graph } = this.model;
    const { frame } = graph;
    const unknown = (name: string) => ({ frame, name, type: { kind: "unknown" as const } });
    const read = new Set(nodes.flatMap((node) => readsOf(node).map(({ name }) => name)));
    const initializers = [...read].flatMap((name) => this.stored.get(name) ?? []);
    const sparseInitializers = graph.sparseInitializers.filter(({ values }) => read.has(values.name));
    return {
      ...this.model,
      graph: {
        ...graph,
        nodes: nodes.map(({ record }) => record),
        inputs: [...feeds.keys()].map(unknown),
        outputs: [unknown(output)],
        initializers,
        sparseInitializers,
        valueInfos: [],
      },
    };
  }
}

/**
 * Folded constants decoded once, for the run and for its draws, which move them in place and back; those that a session cannot
 * replace stand apart. Until the first draw they are as they are stored.
 */
export class Decoded {
  readonly constants = new Map<string, Tensor>();
  readonly inner: readonly Stored[];
  private readonly main: readonly Stored[];

  constructor(folded: readonly Stored[]) {
    this.main = folded.filter(({ value }) => value.scope.kind === "main" && value.initializer !== undefined);
    this.inner = folded.filter((entry) => !this.main.includes(entry));
    for (const { value, record } of this.main) this.constants.set(value.name, decode(record, { keepStorage: true }));
  }

  /** What `run` gives with the constants moved by a draw. */
  *drawn<T>(seed: number, draw: number, run: () => Steps<T>): Steps<T> {
    const moved = this.main.map((one) => {
      const stored = this.constants.get(one.value.name) as Tensor;
      const tensor = { ...stored, data: asFloat64(stored) };
      this.constants.set(one.value.name, tensor);
      return new Moved(tensor, one.record, streamOf(one, seed, "region", draw));
    });
    try {
      return yield* run();
    } finally {
      for (const one of moved) one.undo();
    }
  }
}

/** Rows of at least this many numbers are moved at one in `SPARSE` places. */
const WIDE = 64;
const SPARSE = 8;

/**
 * A constant to which was added, in place, what rounding may do to it. In long rows one number of each eight is moved, by √8
 * times as much: sums over a row then vary by the same, at an eighth of the cost.
 */
class Moved {
  private readonly at: Uint32Array;
  private readonly before: Float64Array;
  private readonly values: Float64Array;

  constructor({ dims, data }: Tensor, record: TensorRecord, random: Random) {
    const values = data as Float64Array;
    const table = halfUlps(dtypeOf(record.dataType) as StorageFloat);
    const high = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
    const step = dims.length > 1 && sizeOf(dims.slice(1)) >= WIDE ? SPARSE : 1;
    const size = Math.sqrt(step);
    const count = Math.ceil(values.length / step);
    this.values = values;
    this.at = new Uint32Array(count);
    this.before = new Float64Array(count);
    for (let k = 0; k < count; k++) {
      const at = Math.min(values.length - 1, k * step + (step === 1 ? 0 : random.below(step)));
      this.at[k] = at;
      this.before[k] = values[at];
      values[at] += size * random.signed() * table[(high[2 * at + 1] >>> 20) & 0x7ff];
    }
  }

  undo(): void {
    for (let k = this.at.length - 1; k >= 0; k--) this.values[this.at[k]] = this.before[k];
  }
}
