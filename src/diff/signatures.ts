/**
 * What a node is, without its name: numbers that two nodes of two models share exactly when they look the same from where one
 * looks. Three ways to look, from close to far:
 *
 *   content   operator, attributes, and a sample of each constant
 *   shape     operator, attributes, type and dims of each constant
 *   operator  operator, and which inputs are constant
 *
 * and four distances: the node alone; its neighbours up to a radius; everything above it (`up`, the chain of its producers to the
 * inputs); everything below it (`down`, its readers to the outputs). Each is one pass over the nodes, n nodes in O(n + edges).
 */
import type { GraphNode, GraphValue, Scope } from "../graph/view.ts";
import { payloadSpan } from "../onnx/codec.ts";
import { dtypeOf } from "../onnx/dtype.ts";
import type { TensorRecord } from "../onnx/records.ts";
import { attributeKey, tensorText } from "./attributes.ts";

export type Look = "content" | "shape" | "operator";

/** Texts as small numbers, the same for the same text: shared by both models, exact. */
export class Interner {
  private readonly known = new Map<string, number>();

  of(text: string): number {
    let id = this.known.get(text);
    if (id === undefined) {
      id = this.known.size;
      this.known.set(text, id);
    }
    return id;
  }
}

/** Bytes of a payload that tell it from others of its shape. */
const SAMPLE = 64;

function sampleOf(tensor: TensorRecord): string {
  if (tensor.dataType === 8 || dtypeOf(tensor.dataType) === undefined) return "";
  try {
    const span = payloadSpan(tensor);
    if (span === undefined) return "";
    return span.source.read(span.start, Math.min(span.end, span.start + SAMPLE)).join(",");
  } catch {
    // Told where the tensor is compared.
    return "";
  }
}

export interface Signatures {
  readonly own: Int32Array;
  readonly up: Int32Array;
  readonly down: Int32Array;
  /** Neighbours up to four edges away, and one edge away. */
  readonly wide: Int32Array;
  readonly near: Int32Array;
}

/** A scope's nodes in an order that has producers first; nodes of a cycle last. */
export function ordered(scope: Scope): GraphNode[] {
  return [...scope.nodes].sort((a, b) => a.order - b.order || a.record.index - b.record.index);
}

const isConstant = (value: GraphValue): boolean =>
  value.producer === undefined && (value.initializer ?? value.sparse) !== undefined;

function constantText(value: GraphValue, look: Look): string {
  if (look === "operator") return "constant";
  const tensor = value.initializer ?? value.sparse?.values;
  if (tensor === undefined) return "constant";
  const shape = `${value.sparse === undefined ? "" : "sparse "}${tensorText({ dataType: tensor.dataType, dims: value.sparse?.dims ?? tensor.dims })}`;
  return look === "shape" ? shape : `${shape} ${sampleOf(tensor)}`;
}

/** An input that no node of the scope makes: a constant, an input of the graph, or a value from outside. */
function leafText(value: GraphValue | undefined, scope: Scope, look: Look): string {
  if (value === undefined) return "-";
  if (isConstant(value)) return constantText(value, look);
  if (value.scope !== scope) return look === "operator" ? "outer" : `outer ${value.name}`;
  return value.isInput ? "input" : "?";
}

function ownText(node: GraphNode, look: Look): string {
  const { record } = node;
  const head = `${record.domain}:${record.opType}:${record.overload}`;
  const leaves = node.inputs.map((value) =>
    value?.producer !== undefined && value.producer.scope === node.scope ? "*" : leafText(value, node.scope, look),
  );
  if (look === "operator") return `${head}|${leaves.length}`;
  const attributes = [...record.attributes.values()]
    .map((attribute) => {
      const sample = look === "content" && attribute.t !== undefined ? sampleOf(attribute.t) : "";
      return `${attribute.name}=${attributeKey(attribute)}${sample}`;
    })
    .sort();
  return `${head}|${leaves.join(";")}|${node.outputs.length}|${attributes.join(";")}`;
}

/** Signatures of a scope's nodes, by their place in `nodes`. */
export function signatures(nodes: readonly GraphNode[], look: Look, interner: Interner): Signatures {
  const place = new Map(nodes.map((node, i) => [node, i]));
  const own = Int32Array.from(nodes, (node) => interner.of(`${look}|${ownText(node, look)}`));
  const up = new Int32Array(nodes.length);
  const down = new Int32Array(nodes.length);
  const producers = nodes.map((node) =>
    node.inputs.map((value) => (value?.producer === undefined ? undefined : place.get(value.producer))),
  );
  for (let i = 0; i < nodes.length; i++) {
    const from = nodes[i].inputs.map((value, k) => {
      const at = producers[i][k];
      return at === undefined || at >= i ? "" : `${up[at]}.${value?.outputIndex}`;
    });
    up[i] = interner.of(`up ${own[i]} ${from.join(",")}`);
  }
  const readers = nodes.map((node) =>
    node.outputs.flatMap((value, k) =>
      (value?.uses ?? []).flatMap(({ node: user, index }) => {
        const at = place.get(user);
        return at === undefined ? [] : [{ at, edge: `${k}>${index}` }];
      }),
    ),
  );
  for (let i = nodes.length - 1; i >= 0; i--) {
    const to = readers[i].map(({ at, edge }) => (at <= i ? "" : `${edge}:${down[at]}`)).sort();
    const outputs = nodes[i].outputs.map((value) => (value?.isOutput ? "o" : "")).join("");
    down[i] = interner.of(`down ${own[i]} ${outputs} ${to.join(",")}`);
  }
  const widen = (inner: Int32Array): Int32Array =>
    Int32Array.from(nodes, (_node, i) => {
      const from = producers[i].map((at) => (at === undefined ? "" : inner[at]));
      const to = readers[i].map(({ at, edge }) => `${edge}:${inner[at]}`).sort();
      return interner.of(`near ${inner[i]} ${from.join(",")} ${to.join(",")}`);
    });
  const near = widen(own);
  return { own, up, down, near, wide: widen(widen(widen(near))) };
}
