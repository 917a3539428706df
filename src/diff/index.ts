/**
 * What changed between two ONNX models: nodes by structure (match.ts), their attributes and inputs, constants by their numbers,
 * bodies of control flow and functions, and what the files say of themselves. Nothing is run: whether both compute the same is
 * asked of `verifyModels`.
 */
import { finish, type Steps } from "../diag/steps.ts";
import { countNodes, nameOf, refOf } from "../fold/describe.ts";
import { functionLabel, graphsOf } from "../graph/functions.ts";
import type { NodeRef } from "../graph/node-ref.ts";
import { type GraphNode, type GraphValue, type GraphView, type Scope, viewOf } from "../graph/view.ts";
import type { AttributeRecord, Model } from "../onnx/records.ts";
import { attributeKey, attributeText } from "./attributes.ts";
import { factChanges, interfaceChanges, sideFileChanges } from "./facts.ts";
import { Matching, matchScopes } from "./match.ts";
import { type Constant, tensorDifference, tensorRef } from "./tensors.ts";
import type { InterfaceChange, ModelDiff, NodeChange, TensorDifference } from "./types.ts";

export type * from "./types.ts";

/** Options of `diffModels`. */
export interface DiffOptions {
  /** Told after each constant that was compared. */
  readonly onProgress?: (done: number, total: number) => void;
}

const constantsOf = (scope: Scope): GraphValue[] =>
  [...scope.values.values()].filter((value) => value.producer === undefined && (value.initializer ?? value.sparse) !== undefined);

const asConstant = (value: GraphValue): Constant => ({
  ...{ scope: value.scope.path, name: value.name },
  ...(value.sparse === undefined ? { dense: value.initializer } : { sparse: value.sparse }),
});

/** One comparison of two models. */
class Comparison {
  readonly matching = new Matching();
  /** Scopes that belong together; the second one's values are asked for by those of the first. */
  private readonly scopes = new Map<Scope, Scope>();
  private readonly paired = new Map<GraphValue, GraphValue>();
  private readonly pairedBack = new Map<GraphValue, GraphValue>();
  readonly changed: NodeChange[] = [];
  private renamedValues = 0;

  pairScopes(first: Scope, second: Scope): void {
    this.scopes.set(first, second);
    matchScopes(first, second, this.matching);
    for (const node of first.nodes) {
      const partner = this.matching.forward.get(node);
      if (partner === undefined || partner.scope !== second) continue;
      for (const [body, other] of bodies(node, partner)) this.pairScopes(body, other);
    }
  }

  private pairValues(p: GraphValue, q: GraphValue): boolean {
    const [x, y] = [this.paired.get(p), this.pairedBack.get(q)];
    if (x !== undefined || y !== undefined) return x === q && y === p;
    this.paired.set(p, q);
    this.pairedBack.set(q, p);
    if (p.name !== q.name) this.renamedValues++;
    return true;
  }

  /** Inputs of graphs by name, else by place; outputs of paired nodes by place. */
  private pairMade(): void {
    for (const [first, second] of this.scopes) {
      const names = (scope: Scope) => scope.record.inputs.map((entry) => (typeof entry === "string" ? entry : entry.name));
      const [p, q] = [names(first), names(second)];
      const theirs = new Set(q);
      p.forEach((name, i) => {
        const partner = theirs.has(name) ? name : q[i] !== undefined && !p.includes(q[i]) ? q[i] : undefined;
        const [x, y] = [first.values.get(name), partner === undefined ? undefined : second.values.get(partner)];
        if (x !== undefined && y !== undefined && x.initializer === undefined && y.initializer === undefined)
          this.pairValues(x, y);
      });
    }
    for (const [a, b] of this.matching.forward) {
      for (let k = 0; k < Math.min(a.outputs.length, b.outputs.length); k++) {
        const [p, q] = [a.outputs[k], b.outputs[k]];
        if (p !== undefined && q !== undefined) this.pairValues(p, q);
      }
    }
  }

  /** Constants that paired nodes read in one place; then those of one name. */
  private pairConstants(): void {
    const isOne = (value: GraphValue | undefined): value is GraphValue =>
      value !== undefined && value.producer === undefined && (value.initializer ?? value.sparse) !== undefined;
    const read = [...this.matching.forward].flatMap(([a, b]) =>
      a.inputs.flatMap((p, k): [GraphValue, GraphValue][] => {
        const q = b.inputs[k];
        return isOne(p) && isOne(q) ? [[p, q]] : [];
      }),
    );
    // A name both have is the better partner where a constant is read in several places.
    for (const [p, q] of read) if (p.name === q.name) this.pairValues(p, q);
    for (const [p, q] of read) this.pairValues(p, q);
    for (const [first, second] of this.scopes) {
      for (const p of constantsOf(first)) {
        const q = second.values.get(p.name);
        if (isOne(q) && !this.paired.has(p) && !this.pairedBack.has(q)) this.pairValues(p, q);
      }
    }
  }

  private compareNodes(a: GraphNode, b: GraphNode): void {
    const inputs = Array.from({ length: Math.max(a.inputs.length, b.inputs.length) }, (_, index) => {
      const [p, q] = [a.inputs[index], b.inputs[index]];
      return { index, p, q, names: [a.record.inputs[index] ?? "", b.record.inputs[index] ?? ""] as const };
    }).filter(({ p, q, names }) =>
      p === undefined || q === undefined ? p !== q || names[0] !== names[1] : this.paired.get(p) !== q,
    );
    const attributes = attributeChanges(a, b);
    const count = a.outputs.filter((value) => value !== undefined).length;
    const now = b.outputs.filter((value) => value !== undefined).length;
    if (inputs.length + attributes.length === 0 && count === now) return;
    this.changed.push({
      ...{ node: refOf(a), now: refOf(b), attributes },
      inputs: inputs.map(({ index, p, q, names }) => {
        const made = p?.name === q?.name && p !== undefined && q !== undefined ? { made: [makerOf(p), makerOf(q)] as const } : {};
        return { index, a: names[0] || null, b: names[1] || null, ...made };
      }),
      ...(count === now ? {} : { outputs: [count, now] as const }),
    });
  }

  compare(): void {
    this.pairMade();
    this.pairConstants();
    for (const scope of this.scopes.keys()) {
      for (const a of scope.nodes) {
        const b = this.matching.forward.get(a);
        if (b !== undefined) this.compareNodes(a, b);
      }
    }
  }

  /** Outputs of paired graphs that another node makes. */
  sources(): InterfaceChange[] {
    const made = (scope: Scope, name: string) => {
      const value = scope.resolve(name);
      const by = value?.producer;
      return { value, by: by === undefined ? (value === undefined ? "nothing" : `"${name}" itself`) : nameOf(by) };
    };
    return [...this.scopes].flatMap(([first, second]) => {
      const names = (scope: Scope) => scope.record.outputs.map((entry) => (typeof entry === "string" ? entry : entry.name));
      const [p, q] = [names(first), names(second)];
      return p.flatMap((name, i): InterfaceChange[] => {
        const partner = first.kind !== "subgraph" && q.includes(name) ? name : q[i];
        if (partner === undefined) return [];
        const [x, y] = [made(first, name), made(second, partner)];
        if (x.value !== undefined && this.paired.get(x.value) === y.value) return [];
        const place = first.path === "" ? name : `${first.path}/${name}`;
        return [{ side: "output", change: "source", name: place, a: x.by, b: y.by }];
      });
    });
  }

  *constants(): Generator<[GraphValue, GraphValue]> {
    for (const [p, q] of this.paired) if ((p.initializer ?? p.sparse) !== undefined && p.producer === undefined) yield [p, q];
  }

  has(value: GraphValue): boolean {
    return this.paired.has(value) || this.pairedBack.has(value);
  }

  /** Names of constants and of what nodes make that are others now. */
  renamed(): ModelDiff["renamed"] {
    const tensors = [...this.constants()].filter(([p, q]) => p.name !== q.name).length;
    const nodes = [...this.matching.forward].filter(([a, b]) => a.record.name !== b.record.name).length;
    return { nodes, tensors, values: this.renamedValues - tensors };
  }

  reordered(): boolean {
    return [...this.scopes.keys()].some((scope) => {
      let last = -1;
      for (const node of scope.nodes) {
        const index = this.matching.forward.get(node)?.record.index;
        if (index === undefined) continue;
        if (index < last) return true;
        last = index;
      }
      return false;
    });
  }
}

const makerOf = ({ producer, initializer, sparse }: GraphValue): string =>
  producer !== undefined ? nameOf(producer) : (initializer ?? sparse) !== undefined ? "a constant" : "an input";

/** Bodies of two nodes that stand at the same attribute. */
function bodies(a: GraphNode, b: GraphNode): [Scope, Scope][] {
  const named = (node: GraphNode) => {
    const names = [...node.record.attributes.values()].flatMap((attribute) =>
      graphsOf(attribute).map((_, i) => `${attribute.name} ${i}`),
    );
    return new Map(names.map((name, i) => [name, node.bodies[i]]));
  };
  const theirs = named(b);
  return [...named(a)].flatMap(([name, body]): [Scope, Scope][] => {
    const other = theirs.get(name);
    return other === undefined ? [] : [[body, other]];
  });
}

/** Tensors inside an attribute, compared by their numbers. */
function tensorText(p: AttributeRecord, q: AttributeRecord): string | undefined {
  const lists = [p, q].map(({ t, tensors }) => (t === undefined ? tensors : [t]));
  const sparse = [p.sparseTensor, q.sparseTensor];
  const pairs: [Constant, Constant][] = lists[0].flatMap((x, i): [Constant, Constant][] =>
    lists[1][i] === undefined
      ? []
      : [
          [
            { scope: "", name: "", dense: x },
            { scope: "", name: "", dense: lists[1][i] },
          ],
        ],
  );
  if (sparse[0] !== undefined && sparse[1] !== undefined)
    pairs.push([
      { scope: "", name: "", sparse: sparse[0] },
      { scope: "", name: "", sparse: sparse[1] },
    ]);
  const differences = pairs.flatMap(([x, y]) => tensorDifference(x, y) ?? []);
  const [first] = differences;
  if (first === undefined) return undefined;
  const { numbers } = first;
  return numbers === undefined ? "" : `${numbers.differing} of ${numbers.elements} elements differ, by up to ${numbers.largest}`;
}

function attributeChanges(a: GraphNode, b: GraphNode): NodeChange["attributes"] {
  const [x, y] = [a.record.attributes, b.record.attributes];
  return [...new Set([...x.keys(), ...y.keys()])].flatMap((name) => {
    const [p, q] = [x.get(name), y.get(name)];
    if (p === undefined || q === undefined)
      return [{ name, ...(p === undefined ? {} : { a: attributeText(p) }), ...(q === undefined ? {} : { b: attributeText(q) }) }];
    if (attributeKey(p) !== attributeKey(q)) return [{ name, a: attributeText(p), b: attributeText(q) }];
    const inside = tensorText(p, q);
    if (inside === undefined) return [];
    return [{ name, a: attributeText(p), b: inside === "" ? attributeText(q) : `${attributeText(q)}, ${inside}` }];
  });
}

const functionsOf = (view: GraphView): Map<string, Scope> =>
  new Map(
    view.scopes.flatMap((scope) =>
      scope.kind === "function" ? [[functionLabel(scope.record as Parameters<typeof functionLabel>[0]), scope]] : [],
    ),
  );

/** Nodes of two models paired: those of their graphs, and of functions that both have. */
function paired(x: GraphView, y: GraphView): Comparison {
  const found = new Comparison();
  found.pairScopes(x.main, y.main);
  const theirs = functionsOf(y);
  for (const [name, scope] of functionsOf(x)) {
    const other = theirs.get(name);
    if (other !== undefined) found.pairScopes(scope, other);
  }
  return found;
}

/** Which node of `a` has which one of `b` as its counterpart; nodes without one are in no pair. Samples of constants are read. */
export const nodePairs = (a: Model, b: Model): (readonly [NodeRef, NodeRef])[] =>
  [...paired(viewOf(a), viewOf(b)).matching.forward].map(([p, q]) => [refOf(p), refOf(q)]);

/**
 * What changed from `a` to `b`. Constants are read in parts, both models' one after the other.
 * @throws BnfoldError when a constant cannot be read.
 */
export const diffModels = (a: Model, b: Model, options: DiffOptions = {}): ModelDiff => finish(diffSteps(a, b, options));

/** The same in steps (diag/steps.ts), a constant each. */
export function* diffSteps(a: Model, b: Model, options: DiffOptions = {}): Steps<ModelDiff> {
  const [x, y] = [viewOf(a), viewOf(b)];
  const found = paired(x, y);
  found.compare();
  const [mine, theirs] = [functionsOf(x), functionsOf(y)];
  const pairs = [...found.constants()];
  const differences: TensorDifference[] = [];
  for (const [i, [p, q]] of pairs.entries()) {
    yield;
    const difference = tensorDifference(asConstant(p), asConstant(q));
    if (difference !== undefined) differences.push(difference);
    options.onProgress?.(i + 1, pairs.length);
  }
  const [before, after] = [x, y].map((view) => view.scopes.flatMap(constantsOf));
  const all = [x, y].map((view) => view.scopes.flatMap((scope) => scope.nodes));
  const lone = (values: readonly GraphValue[]) =>
    values.filter((value) => !found.has(value)).map((value) => tensorRef(asConstant(value)));
  const [p, q] = [countNodes(x, 0), countNodes(y, 0)];
  const parts = {
    facts: factChanges(a, b),
    interface: [...interfaceChanges(a, b), ...found.sources()],
    functions: {
      added: [...theirs.keys()].filter((name) => !mine.has(name)),
      removed: [...mine.keys()].filter((name) => !theirs.has(name)),
    },
    nodes: {
      ...{ before: p.nodes, after: q.nodes, matched: found.matching.forward.size },
      added: all[1].filter((node) => !found.matching.backward.has(node)).map(refOf),
      removed: all[0].filter((node) => !found.matching.forward.has(node)).map(refOf),
      changed: found.changed,
    },
    tensors: { before: before.length, after: after.length, added: lone(after), removed: lone(before), changed: differences },
    operators: { before: p.operators, after: q.operators },
    sideFiles: sideFileChanges(a, b),
  };
  const { nodes, tensors, sideFiles } = parts;
  const counted = [
    parts.facts,
    parts.interface,
    parts.functions.added,
    parts.functions.removed,
    nodes.added,
    nodes.removed,
    nodes.changed,
  ];
  const more = [tensors.added, tensors.removed, tensors.changed, sideFiles.added, sideFiles.removed];
  const changes = [...counted, ...more].reduce((n, list) => n + list.length, 0);
  return { changes, ...parts, renamed: found.renamed(), reordered: found.reordered() };
}
