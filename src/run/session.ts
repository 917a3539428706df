/** The reference executor: a model as a function from inputs to outputs, in double or in storage precision. */
import { BnfoldError } from "../diag/error.ts";
import { finish, type Pace, paced, type Steps } from "../diag/steps.ts";
import type { Model, NodeRecord, ValueInfoRecord } from "../onnx/records.ts";
import type { Tensor } from "../onnx/tensor.ts";
import type { NumericMode, Value } from "../ops/define.ts";
import { checkFeeds } from "./feeds.ts";
import { constantsOf, Interpreter, Library, missing, type Scope, settle, type Watcher } from "./interpreter.ts";
import { Memory } from "./memory.ts";
import { captures, nodeName, plan } from "./plan.ts";
import { roundValue } from "./values.ts";
import { bytesOf, multiplyAdds } from "./work.ts";

/** What `onNode` is told after each node. */
export interface NodeEvent {
  readonly node: NodeRecord;
  /** Nodes finished, this one included, of `total`. */
  readonly done: number;
  readonly total: number;
  /** Their numbers may have been written over by the outputs'. */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
  /** Bytes of the outputs. Asking for this, and not for the outputs, lets the kernels keep them in their own memory. */
  outputBytes(): number;
  readonly milliseconds: number;
  /** Multiply-adds of the node, where it is a sum of products (work.ts). */
  readonly multiplyAdds: number;
  /** Bytes of all values held while the node ran: its inputs and outputs, what later nodes read, and constants in use. */
  heldBytes(): number;
}

/** Options of `createSession`. */
export interface SessionOptions {
  /** Default "float64". */
  readonly mode?: NumericMode;
  /** Seed of the random operators that carry none themselves. Default 0. */
  readonly seed?: number;
  /** Replaces initializers of the main graph, by name. */
  readonly constants?: ReadonlyMap<string, Tensor>;
  /** Called after each node of the main graph. What it is given holds during the call: memory is used again. */
  readonly onNode?: (event: NodeEvent) => void;
  /** Values wanted (outputs or inner values) in place of the graph's outputs; nodes they do not need are not run. */
  readonly only?: readonly string[];
}

/** Options of one run. */
export interface RunOptions {
  /** Called with each value a node of the main graph computes, in running order. */
  readonly watch?: (name: string, value: Value) => void;
}

/** A model ready to run, as often as wanted. */
export interface Session {
  /** Inputs a caller must feed: the graph's inputs without those an initializer gives. */
  readonly inputs: readonly ValueInfoRecord[];
  readonly outputs: readonly ValueInfoRecord[];
  /** @throws BnfoldError when the feeds do not fit or a node cannot be computed. */
  run(feeds: ReadonlyMap<string, Value>, options?: RunOptions): Map<string, Value>;
  /** The same in steps, one node each (diag/steps.ts). */
  steps(feeds: ReadonlyMap<string, Value>, options?: RunOptions): Steps<Map<string, Value>>;
  /** The same, giving way to the event loop between nodes. */
  runAsync(feeds: ReadonlyMap<string, Value>, options?: RunOptions & Pace): Promise<Map<string, Value>>;
}

/** Bytes of decoded constants kept from one run to the next. */
const KEPT = 256 * 2 ** 20;

/** Constants decoded once from the moment `keep` says so: a session that runs once needs no memory for that. */
function keeper(keep: () => boolean): (key: unknown, decode: () => Tensor) => Tensor {
  const kept = new Map<unknown, Tensor>();
  let bytes = 0;
  return (key, decode) => {
    const known = kept.get(key);
    if (known !== undefined) return known;
    const tensor = decode();
    if (keep() && bytes + bytesOf([tensor]) <= KEPT) {
      kept.set(key, tensor);
      bytes += bytesOf([tensor]);
    }
    return tensor;
  };
}

/**
 * Plans a model for running.
 * @throws BnfoldError of kind "model" when the graph has a cycle or reads a value nobody gives.
 */
export function createSession(model: Model, options: SessionOptions = {}): Session {
  const { graph } = model;
  const mode = options.mode ?? "float64";
  let runs = 0;
  const keep = keeper(() => runs > 1);
  const constants = new Map([...constantsOf(graph, options.constants)].map(([name, decode]) => [name, () => keep(name, decode)]));
  for (const name of options.constants?.keys() ?? []) {
    if (!graph.initializers.some((t) => t.name === name) && !graph.sparseInitializers.some((t) => t.values.name === name)) {
      throw new BnfoldError("usage", `the constant "${name}" to replace is no initializer of the graph`, { tensor: name });
    }
  }
  const wanted = options.only ?? graph.outputs.map(({ name }) => name);
  const library = new Library(model);
  const { steps, needs } = plan(graph.nodes, wanted);
  const memory = new Memory();
  const inputNames = new Set(graph.inputs.map(({ name }) => name));
  for (const [name, reader] of needs) if (!inputNames.has(name) && !constants.has(name)) throw missing(name, reader);

  const session: Session = {
    inputs: graph.inputs.filter(({ name }) => !constants.has(name)),
    outputs: graph.outputs,
    run: (feeds, given) => finish(session.steps(feeds, given)),
    runAsync: (feeds, given = {}) => paced(session.steps(feeds, given), given),
    *steps(feeds, { watch } = {}) {
      checkFeeds(feeds, graph.inputs, new Set(constants.keys()), (name) => needs.has(name));
      runs++;
      const values = new Map<string, Value | undefined>();
      for (const { name, type } of graph.inputs) {
        const fed = feeds.get(name);
        if (fed !== undefined) values.set(name, mode === "storage" ? roundValue(fed) : fed);
        else if (type.kind === "optional") values.set(name, { kind: "optional", item: undefined, of: type.of });
      }
      const scope: Scope = {
        values,
        constants,
        parent: undefined,
        attributes: new Map(),
        opsets: model.opsets,
        path: "",
        calls: 0,
      };
      const interpreter = new Interpreter(library, mode, options.seed ?? 0, memory, keep);
      let done = 0;
      let since = 0;
      const watcher: Watcher = {
        before() {
          since = performance.now();
        },
        after(node, inputs, outputs) {
          done++;
          const milliseconds = performance.now() - since;
          options.onNode?.({
            node,
            done,
            total: steps.length,
            get inputs() {
              inputs.forEach(settle);
              return inputs;
            },
            get outputs() {
              outputs.forEach(settle);
              return outputs;
            },
            outputBytes: () => bytesOf(outputs),
            milliseconds,
            multiplyAdds: multiplyAdds(node, inputs, outputs),
            heldBytes: () => bytesOf(values.values()),
          });
          if (watch !== undefined) {
            node.outputs.forEach((name, i) => {
              const value = outputs[i];
              if (name !== "" && value !== undefined) watch(name, value);
            });
          }
        },
      };
      // Whoever watches may keep what it sees.
      try {
        yield* interpreter.runSteps(scope, steps, watcher, watch === undefined);
      } finally {
        // Wanted values are read now; after an error nobody holds what the kernels do.
        for (const value of values.values()) settle(value);
      }
      const results = new Map<string, Value>();
      for (const name of wanted) {
        const value = interpreter.get(scope, name);
        if (value === undefined) throw new BnfoldError("model", `the value "${name}" was not computed`, { tensor: name });
        results.set(name, value);
      }
      return results;
    },
  };
  return session;
}

export interface RunNodeOptions {
  readonly mode?: NumericMode;
  readonly seed?: number;
  /** The model the node is from: its functions and operator sets. */
  readonly model?: Pick<Model, "functions" | "opsets">;
}

const libraries = new WeakMap<object, Library>();

function libraryOf(model: RunNodeOptions["model"]): Library {
  const known = model === undefined ? undefined : libraries.get(model);
  const library = known ?? new Library(model);
  if (model !== undefined) libraries.set(model, library);
  return library;
}

/**
 * Evaluates one node outside a session.
 * @param version Version of the node's domain in force.
 * @throws BnfoldError when the operator is unknown, captures values from around, or cannot be computed.
 */
export function runNode(
  node: NodeRecord,
  version: number,
  inputs: readonly (Value | undefined)[],
  options: RunNodeOptions = {},
): (Value | undefined)[] {
  const captured = captures(node);
  if (captured.length > 0) {
    throw new BnfoldError("model", `the node takes "${captured[0]}" from the graph around it and cannot be evaluated alone`, {
      node: nodeName(node),
    });
  }
  const values = new Map<string, Value | undefined>();
  node.inputs.forEach((name, i) => {
    if (name !== "") values.set(name, inputs[i]);
  });
  const opsets = new Map(options.model?.opsets).set(node.domain, version);
  const scope: Scope = { values, constants: new Map(), parent: undefined, attributes: new Map(), opsets, path: "", calls: 0 };
  const interpreter = new Interpreter(libraryOf(options.model), options.mode ?? "float64", options.seed ?? 0);
  finish(interpreter.runSteps(scope, [{ node, frees: [] }]));
  return node.outputs.map((name) => (name === "" ? undefined : scope.values.get(name)));
}
