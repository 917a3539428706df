/**
 * The fewest affine nodes a small network can be left with, by trying every set of them. With v_old = a·v_new + b on each channel of
 * each value, a set can go when three systems hold: exponents of |a| and the shifts b over the rationals, signs of a over GF(2). Gains
 * are powers of two and shifts dyadic, so that all of it is exact modulo a prime. Nothing here knows how src/ does it.
 */
import { type Random, randomOf } from "../../src/verify/random.ts";
import { float64, int64, type ModelSpec, type NodeSpec, type TensorSpec } from "../helpers/build.ts";

/** y = s·x + t on each channel. */
export interface Affine {
  readonly op: "BatchNormalization" | "Mul" | "Add" | "Neg" | "Sub";
  readonly s: readonly number[];
  readonly t: readonly number[];
}

interface Step {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly affine?: Affine;
  /** A layer that pads with zeros, a mean that counts them. */
  readonly padded?: boolean;
}

export interface Network {
  readonly spec: ModelSpec;
  readonly steps: readonly Step[];
  readonly channels: ReadonlyMap<string, number>;
  readonly input: string;
  readonly outputs: readonly string[];
}

/** One channel of a value. */
type Place = string;
const place = (value: string, channel: number): Place => `${value}:${channel}`;

/** Σ coefficient·unknown = constant. */
interface Row {
  readonly terms: readonly (readonly [at: Place, by: number])[];
  readonly is: number;
}

/** The largest prime below 2^26: products stay whole. A system that is not consistent looks so to it once in 67 million. */
const PRIME = 67108859;

/** A dyadic number modulo p. */
function residue(x: number, p: number): number {
  let [whole, halves] = [x, 0];
  for (; !Number.isInteger(whole); halves++) whole *= 2;
  let r = ((whole % p) + p) % p;
  for (; halves > 0; halves--) r = r % 2 === 0 ? r / 2 : (r + p) / 2;
  return r;
}

function inverse(x: number, p: number): number {
  let [r, next, s, t] = [p, x, 0, 1];
  while (next !== 0) {
    const q = Math.floor(r / next);
    [r, next] = [next, r - q * next];
    [s, t] = [t, s - q * t];
  }
  return ((s % p) + p) % p;
}

/** Gauss: true when rows hold at once, modulo p. Unknowns that are zero have been left out. */
function consistent(rows: readonly Row[], p: number): boolean {
  const held: { readonly pivot: Place; readonly row: Map<Place, number>; readonly is: number }[] = [];
  for (const { terms, is } of rows) {
    const row = new Map<Place, number>();
    for (const [at, by] of terms) row.set(at, ((row.get(at) ?? 0) + residue(by, p)) % p);
    let right = residue(is, p);
    for (const other of held) {
      const factor = row.get(other.pivot) ?? 0;
      if (factor === 0) continue;
      for (const [at, by] of other.row) row.set(at, ((((row.get(at) ?? 0) - factor * by) % p) + p) % p);
      right = (((right - factor * other.is) % p) + p) % p;
    }
    const pivot = [...row].find(([, by]) => by !== 0);
    if (pivot === undefined) {
      if (right !== 0) return false;
      continue;
    }
    const one = inverse(pivot[1], p);
    const scaled = [...row].flatMap(([at, by]): [Place, number][] => (by === 0 ? [] : [[at, (by * one) % p]]));
    held.push({ pivot: pivot[0], row: new Map(scaled), is: (right * one) % p });
  }
  return true;
}

/** Equations of exponents, of signs and of shifts. */
interface Systems {
  readonly exponents: Row[];
  readonly signs: Row[];
  readonly shifts: Row[];
}

const free = (): Systems => ({ exponents: [], signs: [], shifts: [] });

function systemsOf({ steps, channels, input, outputs }: Network, gone: ReadonlySet<Step>): Systems {
  const made = free();
  const gain = (x: Place, y: Place, by = 1): void => {
    made.exponents.push({
      terms: [
        [x, 1],
        [y, -1],
      ],
      is: Math.log2(Math.abs(by)),
    });
    made.signs.push({
      terms: [
        [x, 1],
        [y, 1],
      ],
      is: by < 0 ? 1 : 0,
    });
  };
  const shift = (is: number, ...terms: [Place, number][]): void => void made.shifts.push({ terms, is });
  const positive = (x: Place): void => void made.signs.push({ terms: [[x, 1]], is: 0 });
  const ground = (value: string): void => {
    for (let c = 0; c < (channels.get(value) as number); c++) {
      made.exponents.push({ terms: [[place(value, c), 1]], is: 0 });
      positive(place(value, c));
      shift(0, [place(value, c), 1]);
    }
  };
  for (const value of [input, ...outputs]) ground(value);
  for (const step of steps) {
    const { op, inputs, outputs: results, affine } = step;
    const size = channels.get(results[0]) as number;
    if (op === "Concat" || op === "Split") {
      const parts = op === "Concat" ? inputs : results;
      const whole = op === "Concat" ? results[0] : inputs[0];
      let at = 0;
      for (const part of parts)
        for (let c = 0; c < (channels.get(part) as number); c++, at++) {
          gain(place(part, c), place(whole, at));
          shift(0, [place(part, c), 1], [place(whole, at), -1]);
        }
      continue;
    }
    if (op === "Conv" || op === "MatMul" || op === "Gemm") {
      if (step.padded === true) for (let c = 0; c < (channels.get(inputs[0]) as number); c++) shift(0, [place(inputs[0], c), 1]);
      continue;
    }
    if (op === "Sigmoid") {
      for (const value of [...inputs, ...results]) ground(value);
      continue;
    }
    for (let c = 0; c < size; c++) {
      const [y, ...xs] = [results[0], ...inputs].map((value) => place(value, c));
      if (affine !== undefined) {
        const [s, t] = [affine.s[c], affine.t[c]];
        if (gone.has(step)) {
          gain(y, xs[0], s);
          shift(t, [y, 1], [xs[0], -s]);
        } else if (op === "Mul") shift(0, [y, 1], [xs[0], -s]);
        else if (op !== "BatchNormalization") {
          gain(y, xs[0]);
          if (op === "Neg") shift(0, [y, 1], [xs[0], 1]);
        }
        continue;
      }
      for (const x of xs) gain(y, x);
      if (op === "Relu" || op === "MaxPool") positive(y);
      if (op === "Relu" || step.padded === true) for (const x of [y, ...xs]) shift(0, [x, 1]);
      else shift(0, [y, 1], ...xs.map((x, i): [Place, number] => [x, op === "Sub" && i === 1 ? 1 : -1]));
    }
  }
  return made;
}

/** The values that become one when nodes go have at most one name that has to stay. */
function namesFit({ input, outputs }: Network, gone: ReadonlySet<Step>): boolean {
  const into = new Map([...gone].map(({ inputs, outputs: [y] }) => [y, inputs[0]]));
  const ends = [input, ...outputs].map((value) => {
    let at = value;
    for (let next = into.get(at); next !== undefined; next = into.get(at)) at = next;
    return at;
  });
  return new Set(ends).size === ends.length;
}

/** True when a set of affine nodes can go. */
export function canGo(network: Network, gone: ReadonlySet<Step>): boolean {
  const { exponents, signs, shifts } = systemsOf(network, gone);
  return namesFit(network, gone) && consistent(signs, 2) && consistent(exponents, PRIME) && consistent(shifts, PRIME);
}

/** How many affine nodes have to stay at the least. */
export function fewest(network: Network): { readonly kept: number; readonly all: number } {
  const list = network.steps.filter(({ affine }) => affine !== undefined);
  const sets = Array.from({ length: 2 ** list.length }, (_, bits) => list.filter((_step, i) => (bits >> i) % 2 === 1));
  sets.sort((p, q) => q.length - p.length);
  const best = sets.find((set) => canGo(network, new Set(set))) as Step[];
  return { kept: list.length - best.length, all: list.length };
}

/** A network under construction: [N, C, 4, 4], or [N, C]. */
class Growing {
  readonly random: Random;
  readonly steps: Step[] = [];
  readonly nodes: NodeSpec[] = [];
  readonly initializers: Record<string, TensorSpec> = {};
  readonly channels = new Map<string, number>();
  readonly flat: boolean;
  private count = 0;

  constructor(seed: number) {
    this.random = randomOf(seed, "gauge network");
    this.flat = this.random.uniform() < 0.3;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)];
  }

  chance(p: number): boolean {
    return this.random.uniform() < p;
  }

  /** How long the parts of a Split are. */
  parts(sizes: readonly number[]): string {
    const name = `k${++this.count}`;
    this.initializers[name] = int64([sizes.length], sizes);
    return name;
  }

  private constant(dims: readonly number[], values: readonly number[]): string {
    const name = `k${++this.count}`;
    this.initializers[name] = float64(dims, values);
    return name;
  }

  private numbers(count: number, list: readonly number[]): number[] {
    return Array.from({ length: count }, () => this.pick(list));
  }

  step(
    step: Omit<Step, "outputs">,
    sizes: readonly number[],
    more: readonly string[] = [],
    attributes: NodeSpec["attributes"] = {},
    constantFirst = false,
  ): string {
    const outputs = sizes.map(() => `v${++this.count}`);
    for (const [i, name] of outputs.entries()) this.channels.set(name, sizes[i]);
    this.steps.push({ ...step, outputs });
    const inputs = constantFirst ? [...more, ...step.inputs] : [...step.inputs, ...more];
    this.nodes.push({ op: step.op, inputs, outputs, attributes });
    return outputs[0];
  }

  layer(x: string): string {
    const [size, made] = [this.channels.get(x) as number, 1 + this.random.below(3)];
    const weights = (n: number) => this.numbers(n, [-2, -1, 1, 2, 3]);
    if (this.flat) {
      const op = this.pick(["MatMul", "Gemm"]);
      return this.step({ op, inputs: [x] }, [made], [this.constant([size, made], weights(size * made))]);
    }
    const padded = this.chance(0.4);
    const kernel = padded ? 3 : 1;
    const w = this.constant([made, size, kernel, kernel], weights(made * size * kernel * kernel));
    const pads = new Array<number>(4).fill(padded ? 1 : 0);
    return this.step({ op: "Conv", inputs: [x], padded }, [made], [w], { pads });
  }

  affine(x: string): string {
    const size = this.channels.get(x) as number;
    const op: Affine["op"] = this.chance(0.75) ? "BatchNormalization" : this.pick(["Mul", "Add", "Mul", "Add", "Neg", "Sub"]);
    const gains = this.chance(0.5) ? [1, 2, 0.5, 1] : [1, -1, 2, -2, 0.5];
    // A Sub takes its input from a constant.
    const one = { Add: 1, Neg: -1, Sub: -1, Mul: 0, BatchNormalization: 0 }[op];
    const s = one !== 0 ? new Array<number>(size).fill(one) : this.numbers(size, gains);
    const t =
      op === "Mul" || op === "Neg" || this.chance(0.25)
        ? new Array<number>(size).fill(0)
        : this.numbers(size, [0, 0.25, -0.5, 0.5]);
    const step = { op, inputs: [x], affine: { op, s, t } };
    if (op === "Neg") return this.step(step, [size]);
    if (op !== "BatchNormalization") {
      const dims = this.flat ? [size] : [size, 1, 1];
      return this.step(step, [size], [this.constant(dims, op === "Mul" ? s : t)], {}, op === "Sub");
    }
    const [zeros, ones] = [new Array<number>(size).fill(0), new Array<number>(size).fill(1)];
    const operands = [s, t, zeros, ones].map((values) => this.constant([size], values));
    return this.step(step, [size], operands, { epsilon: { kind: "float", value: 0 } });
  }

  pool(x: string): string {
    const size = this.channels.get(x) as number;
    const op = this.pick(["Relu", "Relu", "Relu", "Identity", ...(this.flat ? [] : ["MaxPool", "AveragePool"])]);
    if (op === "Relu" || op === "Identity") return this.step({ op, inputs: [x] }, [size]);
    const padded = op === "AveragePool" && this.chance(0.5);
    const attributes = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], ...(padded ? { count_include_pad: 1 } : {}) };
    return this.step({ op, inputs: [x], padded }, [size], [], attributes);
  }
}

/** A random network of at most `most` affine nodes. */
export function networkOf(seed: number, most = 8): Network {
  const g = new Growing(seed);
  g.channels.set("x", 2);
  let latest = g.layer("x");
  const values = ["x", latest];
  const some = () => (g.chance(0.65) ? latest : g.pick(values.slice(-6)));
  for (let i = 4 + g.random.below(12), affines = 0; i > 0; i--) {
    const x = some();
    const size = g.channels.get(x) as number;
    const kind = g.random.uniform();
    const alike = values.filter((v) => g.channels.get(v) === size);
    if (kind < 0.4 && affines < most) {
      latest = g.affine(x);
      affines++;
    } else if (kind < 0.6) latest = g.layer(x);
    else if (kind < 0.75) latest = g.pool(x);
    else if (kind < 0.9 && alike.length > 0) {
      const others = g.chance(0.2) ? [g.pick(alike), g.pick(alike)] : [g.pick(alike)];
      const op = others.length > 1 ? "Sum" : g.pick(["Add", "Add", "Sub"]);
      latest = g.step({ op, inputs: [x, ...others] }, [size]);
    } else if (kind < 0.95) {
      const y = g.pick(values.slice(-6));
      const whole = size + (g.channels.get(y) as number);
      if (whole <= 5) latest = g.step({ op: "Concat", inputs: [x, y] }, [whole], [], { axis: 1 });
    } else if (size > 1 && kind < 0.985) {
      latest = g.step({ op: "Split", inputs: [x] }, [1, size - 1], [g.parts([1, size - 1])], { axis: 1 });
      values.push(g.steps[g.steps.length - 1].outputs[1]);
    } else latest = g.step({ op: "Sigmoid", inputs: [x] }, [size]);
    if (!values.includes(latest)) values.push(latest);
  }
  return finished(g, values);
}

/** What nobody reads is an output; at times something else is, too. */
function finished(g: Growing, values: readonly string[]): Network {
  const read = new Set(g.steps.flatMap(({ inputs }) => inputs));
  const outputs = values.filter((value) => value !== "x" && (!read.has(value) || g.chance(0.03)));
  const dims = (value: string) => (g.flat ? ["N", g.channels.get(value)] : ["N", g.channels.get(value), 4, 4]);
  const spec: ModelSpec = {
    opset: 18,
    nodes: g.nodes,
    initializers: g.initializers,
    inputs: [{ name: "x", dtype: "float64", dims: dims("x") }],
    outputs: outputs.map((name) => ({ name, dtype: "float64", dims: dims(name) })),
  };
  return { spec, steps: g.steps, channels: g.channels, input: "x", outputs };
}
