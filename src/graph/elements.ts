/** Elements of small integer tensors: the arithmetic exporters put around Shape. */
import { intAttr, intsAttr } from "./attributes.ts";
import { type Dim, divide, multiply, product, sameShape } from "./dims.ts";
import type { KnownFacts } from "./inference.ts";
import type { GraphNode } from "./view.ts";

/** TensorProto.DataType. */
const [INT32, INT64] = [6, 7];

type Elements = readonly (Dim | undefined)[];

const both = (a: Elements, b: Elements, f: (x: Dim, y: Dim) => Dim | undefined): Elements | undefined => {
  const n = a.length === b.length ? a.length : a.length === 1 ? b.length : b.length === 1 ? a.length : -1;
  if (n < 0) return undefined;
  return Array.from({ length: n }, (_, i) => {
    const [x, y] = [a[a.length === 1 ? 0 : i], b[b.length === 1 ? 0 : i]];
    return x === undefined || y === undefined ? undefined : f(x, y);
  });
};

/** Element by element, when neither operand is spread over axes of its own. */
function pairs(
  node: GraphNode,
  facts: KnownFacts,
  a: Elements | undefined,
  b: Elements | undefined,
  f: (x: Dim, y: Dim) => Dim | undefined,
): Elements | undefined {
  const flat = node.inputs.every((value) => (facts.rank(value) ?? 2) <= 1);
  const alike = sameShape(facts.shape(node.inputs[0]), facts.shape(node.inputs[1]));
  return a && b && (flat || alike || a.length === 1 || b.length === 1) ? both(a, b, f) : undefined;
}

const number = (f: (x: number, y: number) => number) => (x: Dim, y: Dim) =>
  typeof x === "number" && typeof y === "number" ? f(x, y) : undefined;

const rules: Record<string, (node: GraphNode, facts: KnownFacts, inputs: (Elements | undefined)[]) => Elements | undefined> = {
  Constant: (node) => {
    const { attributes } = node.record;
    const ints = attributes.get("value_ints");
    if (ints !== undefined) return ints.ints.map(Number);
    const int = attributes.get("value_int");
    return int === undefined ? undefined : [Number(int.i ?? 0n)];
  },
  Shape: (node, facts) => {
    const shape = facts.shape(node.inputs[0]);
    return shape?.slice(...range(intAttr(node.record, "start", 0), intAttr(node.record, "end", shape.length), shape.length));
  },
  Size: (node, facts) => {
    const shape = facts.shape(node.inputs[0]);
    return shape && [product(shape)];
  },
  Identity: (_n, _f, [x]) => x,
  Cast: (_n, _f, [x]) => x,
  Squeeze: (_n, _f, [x]) => x,
  Unsqueeze: (_n, _f, [x]) => x,
  Reshape: (_n, _f, [x]) => x,
  Concat: (node, facts, inputs) =>
    facts.rank(node.inputs[0]) === 1 && inputs.every((e, i) => e !== undefined || facts.size(node.inputs[i], 0) !== undefined)
      ? inputs.flatMap((e, i) => e ?? new Array<undefined>(facts.size(node.inputs[i], 0) as number).fill(undefined))
      : undefined,
  Gather: (node, facts, [x]) => {
    const indices = facts.numbers(node.inputs[1]);
    return facts.rank(node.inputs[0]) === 1 && x !== undefined ? indices?.map((i) => x[i < 0 ? i + x.length : i]) : undefined;
  },
  Slice: (node, facts, [x]) => {
    if (x === undefined || facts.rank(node.inputs[0]) !== 1) return undefined;
    const list = (index: number, name: string) =>
      node.inputs[index] === undefined ? intsAttr(node.record, name) : facts.numbers(node.inputs[index]);
    const [starts, ends, step] = [list(1, "starts"), list(2, "ends"), list(4, "steps")?.[0] ?? 1];
    if (starts?.length !== 1 || ends?.length !== 1 || step !== 1) return undefined;
    return x.slice(...range(starts[0], ends[0], x.length));
  },
  Mul: (node, facts, [a, b]) => pairs(node, facts, a, b, multiply),
  Div: (node, facts, [a, b]) => {
    const whole = [INT32, INT64].includes(facts.of(node.inputs[0]).dtype);
    return pairs(node, facts, a, b, (x, y) => divide(x, y) ?? (whole ? number((p, q) => Math.trunc(p / q))(x, y) : undefined));
  },
  Add: (node, facts, [a, b]) =>
    pairs(
      node,
      facts,
      a,
      b,
      number((x, y) => x + y),
    ),
  Sub: (node, facts, [a, b]) =>
    pairs(
      node,
      facts,
      a,
      b,
      number((x, y) => x - y),
    ),
  ReduceProd: (node, facts, [x]) => {
    const all = x?.every((e) => e !== undefined) && facts.rank(node.inputs[0]) === 1;
    return all ? [product(x as Dim[])] : undefined;
  },
};

function range(start: number, end: number, length: number): [number, number] {
  const clamp = (i: number) => Math.min(Math.max(i < 0 ? i + length : i, 0), length);
  return [clamp(start), clamp(end)];
}

export function inferElements(node: GraphNode, facts: KnownFacts): Elements | undefined {
  if (node.domain !== "") return undefined;
  return rules[node.opType]?.(
    node,
    facts,
    node.inputs.map((value) => facts.elements(value)),
  );
}
