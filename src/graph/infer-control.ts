/**
 * What comes out of If, Loop and Scan, from what their bodies make. A branch or a number of rounds is not known here, so of two
 * possible results only what they share is.
 * ONNX If 1, 11, 13…; Loop 1, 11, 13…; Scan 9, 11… (of opset 8, with its batch axis, nothing is inferred).
 */
import { intAttr, intsAttr } from "./attributes.ts";
import { type Dim, type Shape, sameDim } from "./dims.ts";
import { type At, type Fact, type Infer, norm } from "./inference.ts";
import type { Scope } from "./view.ts";

const UNKNOWN: Fact = { dtype: 0, shape: undefined };

/** Facts of what a body makes, in order. */
const made = ({ facts }: At, body: Scope | undefined): Fact[] => {
  if (body === undefined || !("initializers" in body.record)) return [];
  return body.record.outputs.map(({ name }) => facts.of(body.resolve(name)));
};

/** What holds whichever of the two it is. */
function either(a: Fact, b: Fact, unknown: () => Dim): Fact {
  const dtype = a.dtype === b.dtype ? a.dtype : 0;
  if (a.shape === undefined || b.shape?.length !== a.shape.length) return { dtype, shape: undefined };
  const other: Shape = b.shape;
  return { dtype, shape: a.shape.map((d, i) => (sameDim(d, other[i]) ? d : unknown())) };
}

/** A symbol of a body says nothing outside it: it may be another size in every round. */
const outside = (shape: Shape | undefined, unknown: () => Dim): Shape | undefined =>
  shape?.map((d) => (typeof d === "number" ? d : unknown()));

export const branches: Infer = (at) => {
  const [a, b] = at.node.bodies.map((body) => made(at, body));
  const chosen = at.facts.numbers(at.node.inputs[0])?.[0];
  const taken = [...at.node.record.attributes.keys()].filter((name) => name.endsWith("_branch"));
  if (chosen !== undefined) return taken[0] === (chosen === 0 ? "else_branch" : "then_branch") ? a : b;
  return a?.map((fact, i) => either(fact, b?.[i] ?? UNKNOWN, at.unknown));
};

export const loop: Infer = (at) => {
  const [, ...results] = made(at, at.node.bodies[0]);
  const carried = Math.max(0, at.node.inputs.length - 2);
  return results.map((fact, i) => {
    if (i < carried) return either(at.facts.of(at.node.inputs[i + 2]), fact, at.unknown);
    const inner = outside(fact.shape, at.unknown);
    return { dtype: fact.dtype, shape: inner && [at.unknown(), ...inner] };
  });
};

export const scan: Infer = (at) => {
  const { node, facts } = at;
  if (node.version < 9) return undefined;
  const sequences = intAttr(node.record, "num_scan_inputs", 0);
  const states = node.inputs.length - sequences;
  const first = facts.shape(node.inputs[states]);
  const length = first?.[norm(intsAttr(node.record, "scan_input_axes")?.[0] ?? 0, first.length)];
  const axes = intsAttr(node.record, "scan_output_axes");
  return made(at, node.bodies[0]).map((fact, i) => {
    if (i < states) return either(facts.of(node.inputs[i]), fact, at.unknown);
    const inner = outside(fact.shape, at.unknown);
    if (inner === undefined) return { dtype: fact.dtype, shape: undefined };
    const axis = norm(axes?.[i - states] ?? 0, inner.length + 1);
    return { dtype: fact.dtype, shape: [...inner.slice(0, axis), length ?? at.unknown(), ...inner.slice(axis)] };
  });
};
