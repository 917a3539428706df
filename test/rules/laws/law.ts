/**
 * A law on numbers: the operator is run as it is and as the step of a rule says, both by the executor, and the two must agree. By the
 * definitions in src/rules/types.ts, with f the operator, f' the operator after the step and p the maps the step hands on:
 *
 *   back      f'(p ⊙ x) = by ⊙ f(x)          forward   f(by ⊙ x) = p ⊙ f'(x)          (shifts with + for ⊙)
 *
 * Nothing of the planner, the patch or the proof takes part: maps are multiplied out here, and the new operator is put together here.
 */
import type { Spread } from "../../../src/affine/spread.ts";
import { Facts } from "../../../src/graph/facts.ts";
import { type GraphNode, viewOf } from "../../../src/graph/view.ts";
import { Constants } from "../../../src/laws/constants.ts";
import { Draft } from "../../../src/laws/draft.ts";
import { decode } from "../../../src/onnx/codec.ts";
import type { DType } from "../../../src/onnx/dtype.ts";
import { allocate, asFloat64, type Tensor } from "../../../src/onnx/tensor.ts";
import {
  isRefused,
  type Kind,
  type Move,
  type NodeState,
  type Param,
  type RuleNode,
  type Step,
} from "../../../src/rules/types.ts";
import { createSession } from "../../../src/run/session.ts";
import { type AttributeSpec, f, is, type ModelSpec, model, type TensorSpec, type ValueSpec } from "../../helpers/build.ts";
import { evaluateAll } from "../../ops/evaluate.ts";
import { type Case, type Fed, type Open, type Operand, wholes } from "./subject.ts";

export type Direction = "back" | "forward";
type Tensors = readonly (Tensor | undefined)[];

/** Numbers in the array of their type, as an executor holds them. */
function stored(dtype: DType, numbers: Float64Array): Tensor["data"] {
  const data = allocate(dtype, numbers.length);
  for (let i = 0; i < numbers.length; i++) data[i] = numbers[i];
  return data;
}

const product = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);
const isFloat = (t: Tensor | undefined): boolean => t?.dtype.startsWith("float") === true;

/** The numbers of an operand in the `seed`-th probe. */
function probe({ open, values = "any" }: Open, seed: number): Tensor {
  const whole = wholes(product(open), seed);
  const data = whole.map((v) =>
    values === "any" ? v : values === "positive" ? 2 ** ((v / 2) | 0) : v === 0 ? 2 : Math.sign(v) * 2 ** (Math.abs(v) - 2),
  );
  return { dtype: "float64", dims: open, data: Float64Array.from(data) };
}

/** An operator in its surroundings: what a rule is asked, and the numbers it works on, one list of operands a probe. */
export interface Scene {
  readonly op: string;
  readonly version: number;
  readonly it: Case;
  readonly at: RuleNode;
  readonly probes: readonly Tensors[];
  /** Outputs on each probe. */
  readonly outputs: readonly Tensors[];
  isComputed(index: number): boolean;
}

const isOpen = (o: Operand): o is Open => typeof o !== "string" && "open" in o;
const isFed = (o: Operand): o is Fed => typeof o !== "string" && "fed" in o;
const outputCount = ({ outputs = 1 }: Case): number => outputs;

const namesOf = ({ inputs }: Case): string[] =>
  inputs.map((o, i) => (typeof o === "string" ? o : isOpen(o) || isFed(o) ? `x${i}` : `c${i}`));

/** What is fed to a case in the `seed`-th probe. */
export function feedsOf(it: Case, seed: number): Map<string, Tensor> {
  const names = namesOf(it);
  const feeds = new Map<string, Tensor>(
    Object.entries(it.computed ?? {}).map(([name, open], i) => [name, probe({ open }, 50 * seed + i)]),
  );
  for (const [i, o] of it.inputs.entries()) {
    if (isOpen(o)) feeds.set(names[i], probe(o, 10 * seed + i));
    else if (isFed(o))
      feeds.set(names[i], decode(model({ nodes: [], initializers: { fed: o.fed }, outputs: [] }).graph.initializers[0]));
  }
  return feeds;
}

/** A case as a model at one version, its real numbers in `dtype`. */
export function specOf(op: string, version: number, it: Case, dtype: "float64" | "float32" = "float64"): ModelSpec {
  const names = namesOf(it);
  const initializers: Record<string, TensorSpec> = { ...it.constants };
  const told = (dims: readonly number[]): Pick<ValueSpec, "dims"> =>
    it.shapes === undefined ? { dims } : it.shapes === "ranks" ? { dims: dims.map(() => undefined) } : {};
  const inputs: ValueSpec[] = Object.entries(it.computed ?? {}).map(([name, dims]) => ({ name, dtype, ...told(dims) }));
  for (const [i, o] of it.inputs.entries()) {
    if (isOpen(o)) inputs.push({ name: names[i], dtype, ...told(o.open) });
    else if (isFed(o)) inputs.push({ name: names[i], dtype: o.fed.dtype, ...told(o.fed.dims) });
    else if (typeof o !== "string") initializers[names[i]] = o.dtype === "float64" ? { ...o, dtype } : o;
  }
  const made = Array.from({ length: outputCount(it) }, (_, i) => `y${i}`);
  return {
    opset: version,
    nodes: [...(it.before ?? []), { op, inputs: names, outputs: made, attributes: it.attributes }],
    initializers,
    inputs,
    outputs: made.slice(0, it.read ?? made.length).map((name) => ({ name })),
  };
}

/** Sets a case up at one version. */
export function scene(op: string, version: number, it: Case): Scene {
  const names = namesOf(it);
  const whole = model(specOf(op, version, it));
  const view = viewOf(whole);
  const facts = new Facts(view);
  const constants = new Constants(view, facts);
  const own = view.nodes.find((n) => n.outputs[0]?.name === "y0") as GraphNode;
  const constant = new Map(whole.graph.initializers.map((t) => [t.name, decode(t)]));
  const probes = [1, 2].map((seed): Tensors => {
    const feeds = feedsOf(it, seed);
    const known = new Map<string, Tensor>([...constant, ...feeds]);
    if (it.before !== undefined) {
      const watch = (name: string, value: unknown) => void known.set(name, value as Tensor);
      createSession(whole, { mode: "float64" }).run(feeds, { watch });
    }
    return names.map((name) => known.get(name));
  });
  const bare = { op, version, it, at: new Draft(facts, constants).at(own), probes };
  const plain: Scene = {
    ...bare,
    outputs: [],
    isComputed: (i) => names[i] !== "" && own.inputs[i] !== undefined && !constants.has(own.inputs[i]),
  };
  return { ...plain, outputs: probes.map((values) => run(plain, values)) };
}

/** The operator as it is. */
function run({ op, version, it }: Scene, values: Tensors): Tensors {
  return evaluateAll(op, version, values, it.attributes, { outputs: outputCount(it) });
}

/** The operator after a step. */
function runAfter({ version, it, at }: Scene, state: NodeState, values: Tensors): Tensors {
  const tensor = ({ dims, values: numbers }: Param): Tensor => ({ dtype: "float64", dims, data: numbers() });
  const operands = [...values];
  for (const i of state.dropped ?? []) operands[i] = undefined;
  for (const [i, param] of state.params) operands[i] = tensor(param);
  for (const [i, { dtype, dims, values: numbers }] of state.codes ?? [])
    operands[i] = { dtype, dims, data: stored(dtype, numbers()) };
  const attributes: Record<string, AttributeSpec> =
    state.opType === "Gemm" && at.node.opType !== "Gemm" ? {} : { ...it.attributes };
  for (const [name, change] of Object.entries(state.attributes)) {
    if ("float" in change) attributes[name] = f(change.float);
    else if ("ints" in change) attributes[name] = is(change.ints);
    else attributes[name] = "int" in change ? BigInt(change.int) : change.string;
  }
  const made = evaluateAll(state.opType, version, Array.from(operands), attributes, { outputs: outputCount(it) });
  return state.bias === undefined
    ? made
    : [moved(made[0], { dims: state.bias.dims, data: state.bias.values() }, "shift"), ...made.slice(1)];
}

/** A tensor under a map, multiplied out; the map may be of lower rank, as a bias is. */
function moved(t: Tensor | undefined, by: Spread | undefined, kind: Kind): Tensor | undefined {
  if (t === undefined || by === undefined) return t;
  const dims = [...new Array<number>(t.dims.length - by.dims.length).fill(1), ...by.dims];
  if (dims.some((d, a) => d !== 1 && d !== t.dims[a]))
    throw new Error(`a map of shape [${by.dims}] on a tensor of shape [${t.dims}]`);
  const data = asFloat64(t).slice();
  const factor = (k: number): number => {
    let [rest, at, step] = [k, 0, 1];
    for (let a = dims.length - 1; a >= 0; a--) {
      const index = rest % t.dims[a];
      rest = (rest - index) / t.dims[a];
      if (dims[a] > 1) at += index * step;
      step *= dims[a];
    }
    return by.data[at];
  };
  for (let k = 0; k < data.length; k++) data[k] = kind === "scale" ? data[k] * factor(k) : data[k] + factor(k);
  return { ...t, data };
}

/** How two outputs differ; undefined when they do not. */
function difference(got: Tensor | undefined, want: Tensor | undefined, roundings: number): string | undefined {
  if (want === undefined || got === undefined) return got === want ? undefined : "one of two outputs is missing";
  if (String(got.dims) !== String(want.dims)) return `the shape is [${got.dims}] instead of [${want.dims}]`;
  const [v, w] = [got, want].map((t) =>
    isFloat(t) ? asFloat64(t as Tensor) : Float64Array.from(t.data as ArrayLike<number | bigint>, Number),
  );
  const largest = w.reduce((m, e) => (Number.isFinite(e) ? Math.max(m, Math.abs(e)) : m), 0);
  const bound = roundings * 2 ** -53 * largest;
  const at = w.findIndex((e, k) => !(e === v[k] || Object.is(e, v[k]) || Math.abs(e - v[k]) <= bound));
  return at < 0 ? undefined : `element ${at} is ${v[at]} instead of ${w[at]}`;
}

/** What a step gets wrong; undefined when its law holds on every probe. */
function wrong(s: Scene, kind: Kind, direction: Direction, by: readonly (Spread | undefined)[], step: Step): string | undefined {
  const { it, probes, at } = s;
  const state = step.state ?? at.state;
  const read = it.read ?? outputCount(it);
  for (const [p, values] of probes.entries()) {
    const [inward, outward] = direction === "back" ? [step.pass, by] : [by, step.pass];
    const mappedInputs = values.map((value, i) => moved(value, inward[i], kind));
    const old = direction === "back" ? s.outputs[p] : run(s, mappedInputs);
    const next = runAfter(s, state, direction === "back" ? mappedInputs : values);
    for (let j = 0; j < read; j++) {
      const [got, want] =
        direction === "back" ? [next[j], moved(old[j], outward[j], kind)] : [moved(next[j], outward[j], kind), old[j]];
      const said = difference(got, want, it.roundings ?? 0);
      if (said !== undefined) return `output ${j}, probe ${p}: ${said}`;
    }
  }
  return undefined;
}

/** The outcome of one move: refused, or every step checked. */
export function checkMove(
  s: Scene,
  move: Move,
  kind: Kind,
  direction: Direction,
  by: readonly (Spread | undefined)[],
): "refused" | "holds" | { readonly wrong: string } {
  if (isRefused(move)) return "refused";
  for (const step of move) {
    const said = wrong(s, kind, direction, by, step);
    if (said !== undefined) return { wrong: said };
  }
  return "holds";
}

/** What changes although the operator is said not to notice a map on input `index`. */
export function noticed(s: Scene, index: number, kind: Kind, by: Spread): string | undefined {
  for (const [p, values] of s.probes.entries()) {
    const next = run(
      s,
      values.map((value, i) => (i === index ? moved(value, by, kind) : value)),
    );
    for (const [j, want] of s.outputs[p].entries()) {
      const said = difference(next[j], want, s.it.roundings ?? 0);
      if (said !== undefined) return `output ${j}, probe ${p}: ${said}`;
    }
  }
  return undefined;
}

/** Positions of the operands, or outputs, that a map may stand on, with their shapes. */
export function places(s: Scene, direction: Direction): { readonly index: number; readonly dims: readonly number[] }[] {
  const list = direction === "back" ? s.outputs[0].slice(0, s.it.read ?? outputCount(s.it)) : s.probes[0];
  return list.flatMap((t, index) =>
    t !== undefined && isFloat(t) && (direction === "back" || s.isComputed(index)) ? [{ index, dims: t.dims }] : [],
  );
}
