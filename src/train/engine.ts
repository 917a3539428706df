/**
 * What computes the values that statistics are taken of, and the built-in one: the executor in float64.
 *
 * Layer after layer means a pass over the data for each level of layers. The built-in engine keeps, for each block, the values
 * that the rest of the network still reads, so that a pass continues where the last one ended; when they would take more memory
 * than allowed, the next pass begins at the inputs. Both give the same bits.
 */
import type { Model, NodeRecord } from "../onnx/records.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { captures } from "../run/plan.ts";
import { createSession } from "../run/session.ts";
import { constantsFor, type Statistics, type Target, withOwnStatistics } from "./targets.ts";

/** A model's inputs, by name. */
export type Feeds = ReadonlyMap<string, Value>;

/** One pass over the data: a block's number and its inputs → the values asked for. */
export type Pass = (block: number, feeds: () => Feeds) => Promise<ReadonlyMap<string, Tensor>>;

/** What runs a model for `Recalibration`. */
export interface Engine {
  /** How its arithmetic is called in files: results of different engines are not mixed. */
  readonly label: string;
  /** `statistics`: final ones so far; layers without keep what the file has. */
  pass(statistics: ReadonlyMap<Target, Statistics>, wanted: readonly string[]): Promise<Pass>;
  /** Gives back what the engine holds. */
  close(): Promise<void>;
}

/** Options of `BuiltInEngine`. */
export interface BuiltInOptions {
  /** Bytes the values kept between passes may take. Default 1 GiB; 0 keeps nothing. */
  readonly memory?: number;
}

const bytesOf = (value: Value): number => {
  if (!isTensor(value)) return Number.POSITIVE_INFINITY;
  return "byteLength" in value.data ? value.data.byteLength : Number.POSITIVE_INFINITY;
};

/** The executor as an engine: float64, and what a pass has computed is kept for the next one, as far as there is memory. */
export class BuiltInEngine implements Engine {
  readonly label = "float64";
  private readonly model: Model;
  private readonly memory: number;
  /** Nodes that need not run again: what others read of them is kept. */
  private finished = new Set<NodeRecord>();
  private kept = new Map<number, Map<string, Value>>();

  constructor(model: Model, targets: readonly Target[], options: BuiltInOptions = {}) {
    this.model = withOwnStatistics(model, targets);
    this.memory = options.memory ?? 2 ** 30;
  }

  async pass(statistics: ReadonlyMap<Target, Statistics>, wanted: readonly string[]): Promise<Pass> {
    const { graph } = this.model;
    const { finished, kept } = this;
    const ran = this.ancestors(wanted);
    const after = new Set([...finished, ...ran]);
    const frontier = this.frontier(after);
    const held = finished.size === 0 ? [] : this.frontier(finished);
    const frame = graph.frame;
    const inputs = held.map((name) => ({ frame, name, type: { kind: "unknown" as const } }));
    const nodes = graph.nodes.filter((node) => !finished.has(node));
    const model = { ...this.model, graph: { ...graph, nodes, inputs: [...graph.inputs, ...inputs] } };
    const have = new Set(held);
    const only = [...new Set([...wanted, ...frontier])].filter((name) => !have.has(name));
    const session = createSession(model, { constants: constantsFor(statistics), only });
    const next = new Map<number, Map<string, Value>>();
    let used = 0;
    this.finished = after;
    this.kept = next;
    return async (block, feeds) => {
      const before = kept.get(block) ?? new Map<string, Value>();
      const results = session.run(new Map([...feeds(), ...before]));
      const value = (name: string): Value => (results.get(name) ?? before.get(name)) as Value;
      const keep = new Map(frontier.map((name) => [name, value(name)]));
      kept.delete(block);
      for (const entry of keep.values()) used += bytesOf(entry);
      if (used <= this.memory) next.set(block, keep);
      else {
        next.clear();
        this.finished = new Set();
      }
      return new Map(wanted.map((name) => [name, value(name) as Tensor]));
    };
  }

  async close(): Promise<void> {
    this.kept = new Map();
    this.finished = new Set();
  }

  /** Unfinished nodes that `wanted` needs. */
  private ancestors(wanted: readonly string[]): Set<NodeRecord> {
    const by = new Map<string, NodeRecord>();
    for (const node of this.model.graph.nodes) for (const output of node.outputs) if (output !== "") by.set(output, node);
    const out = new Set<NodeRecord>();
    const todo = [...wanted];
    for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
      const node = by.get(name);
      if (node === undefined || out.has(node) || this.finished.has(node)) continue;
      out.add(node);
      for (const input of [...node.inputs, ...captures(node)]) todo.push(input);
    }
    return out;
  }

  /** Values of `done` nodes that other nodes, or the graph's outputs, read. */
  private frontier(done: ReadonlySet<NodeRecord>): string[] {
    const { graph } = this.model;
    const read = new Set(graph.outputs.map(({ name }) => name));
    for (const node of graph.nodes) {
      if (!done.has(node)) for (const name of [...node.inputs, ...captures(node)]) read.add(name);
    }
    return [...done].flatMap((node) => node.outputs.filter((name) => name !== "" && read.has(name)));
  }
}
