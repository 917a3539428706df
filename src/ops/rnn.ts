/**
 * RNN, GRU and LSTM of every opset. Per direction and place, x the input, h the hidden state, c the cell, ⊙ elementwise:
 *
 *   RNN    h ← f(W·x + R·h + b)
 *   GRU    z = f(W_z·x + R_z·h + b_z),  r = f(W_r·x + R_r·h + b_r)
 *          ĥ = g(W_h·x + R_h·(r ⊙ h) + b_h), or with linear_before_reset g(W_h·x + Wb_h + r ⊙ (R_h·h + Rb_h))
 *          h ← (1 − z) ⊙ ĥ + z ⊙ h
 *   LSTM   i = f(W_i·x + R_i·h + p_i ⊙ c + b_i),  f likewise (1 − i when input_forget),  ĉ = g(W_c·x + R_c·h + b_c)
 *          c ← f ⊙ c + i ⊙ ĉ,  o = f(W_o·x + R_o·h + p_o ⊙ c + b_o),  h ← o ⊙ h(c)
 *
 * `clip` bounds the argument of every activation, as the text of the operators says (ONNX Runtime leaves that of LSTM's h
 * alone). A sequence shorter than the tensor leaves zeros in Y behind its end and its
 * last state in Y_h; reversed, it begins at its own end. `layout` 1 puts the batch first.
 * Activation parameters: one per activation, or one per activation that takes such a parameter, in order.
 */
import { multiply } from "../kernels/index.ts";
import { asFloat64, asNumbers, type Tensor } from "../onnx/tensor.ts";
import { GATES } from "./activation.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

type Scalar = (x: number) => number;

/** What one direction works with; arrays are this direction's part. */
interface Cell {
  readonly hidden: number;
  /** gates·hidden × hidden. */
  readonly r: Float64Array;
  /** Recurrent bias, gates·hidden: added by the cell only where it may not be added beforehand. */
  readonly rb: Float64Array;
  /** LSTM peepholes i, o, f. */
  readonly peephole: Float64Array | undefined;
  readonly f: readonly Scalar[];
  readonly flag: boolean;
}

/** One place: `pre` holds W·x with its biases; h and c are updated in place. */
type Step = (cell: Cell, pre: Float64Array, h: Float64Array, c: Float64Array, scratch: Float64Array) => void;

/** out[j] += Σ_k r[row + j, k]·h[k] for j < n. */
function addProduct(r: Float64Array, row: number, n: number, h: Float64Array, out: Float64Array, to: number): void {
  const size = h.length;
  for (let j = 0, at = row * size; j < n; j++) {
    let sum = 0;
    for (let k = 0; k < size; k++) sum += r[at++] * h[k];
    out[to + j] += sum;
  }
}

const stepRnn: Step = ({ r, hidden, f }, pre, h) => {
  addProduct(r, 0, hidden, h, pre, 0);
  for (let j = 0; j < hidden; j++) h[j] = f[0](pre[j]);
};

const stepGru: Step = ({ r, rb, hidden: n, f, flag }, pre, h, _c, scratch) => {
  addProduct(r, 0, 2 * n, h, pre, 0);
  for (let j = 0; j < 2 * n; j++) pre[j] = f[0](pre[j]);
  scratch.fill(0);
  if (flag) {
    addProduct(r, 2 * n, n, h, scratch, 0);
    for (let j = 0; j < n; j++) pre[2 * n + j] += pre[n + j] * (scratch[j] + rb[2 * n + j]);
  } else {
    for (let j = 0; j < n; j++) scratch[j] = pre[n + j] * h[j];
    addProduct(r, 2 * n, n, scratch, pre, 2 * n);
  }
  for (let j = 0; j < n; j++) h[j] = (1 - pre[j]) * f[1](pre[2 * n + j]) + pre[j] * h[j];
};

const stepLstm: Step = ({ r, hidden: n, f, flag, peephole: p }, pre, h, c) => {
  addProduct(r, 0, 4 * n, h, pre, 0);
  for (let j = 0; j < n; j++) {
    const old = c[j];
    const input = f[0](pre[j] + (p === undefined ? 0 : p[j] * old));
    const forget = flag ? 1 - input : f[0](pre[2 * n + j] + (p === undefined ? 0 : p[2 * n + j] * old));
    c[j] = forget * old + input * f[1](pre[3 * n + j]);
    h[j] = f[0](pre[n + j] + (p === undefined ? 0 : p[n + j] * c[j])) * f[2](c[j]);
  }
};

interface Kind {
  readonly gates: number;
  readonly activations: readonly string[];
  readonly step: Step;
  /** Attribute that switches the variant. */
  readonly flag?: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  RNN: { gates: 1, activations: ["Tanh"], step: stepRnn },
  GRU: { gates: 3, activations: ["Sigmoid", "Tanh"], step: stepGru, flag: "linear_before_reset" },
  LSTM: { gates: 4, activations: ["Sigmoid", "Tanh", "Tanh"], step: stepLstm, flag: "input_forget" },
};

/** The activations of all directions, in order, each behind the clip. */
function activationsOf(context: OpContext, { activations }: Kind, directions: number): Scalar[] {
  const names = context.strings("activations") ?? new Array<readonly string[]>(directions).fill(activations).flat();
  if (names.length < activations.length * directions)
    throw context.fail(`${names.length} activations for ${directions} directions`);
  const gates = names.map((name) => {
    const gate = GATES[name.toLowerCase()];
    if (gate === undefined) throw context.fail(`"${name}" is no activation of a recurrent operator`);
    return gate;
  });
  const parameters = (attribute: string, key: "alpha" | "beta"): number[] => {
    const given = context.floats(attribute) ?? [];
    let next = 0;
    return gates.map((gate, i) => {
      const fallback = gate[key];
      if (fallback === undefined) return 0;
      return given[given.length === gates.length ? i : next++] ?? fallback;
    });
  };
  const alphas = parameters("activation_alpha", "alpha");
  const betas = parameters("activation_beta", "beta");
  const clip = context.attribute("clip")?.f;
  return gates.map((gate, i) => {
    const fn = gate.make(alphas[i], betas[i]);
    return clip === undefined ? fn : (x) => fn(Math.max(-clip, Math.min(clip, x)));
  });
}

/** Bias of the input product per gate row: W's and, where it may be added early, R's. */
function inputBias(b: Float64Array, rows: number, hidden: number, late: boolean): Float64Array {
  return b.slice(0, rows).map((v, j) => (late && j >= 2 * hidden ? v : v + b[rows + j]));
}

function recurrent(context: OpContext, kind: Kind, inputs: readonly (Tensor | undefined)[]): Tensor[] {
  const [x, w, r, b, lengths, h0, c0, peepholes] = inputs as [Tensor, Tensor, Tensor, ...(Tensor | undefined)[]];
  const direction = context.string("direction", "forward");
  const directions = direction === "bidirectional" ? 2 : 1;
  const batchFirst = context.int("layout", 0) !== 0;
  const [length, batch] = batchFirst ? [x.dims[1], x.dims[0]] : x.dims;
  const size = x.dims[2];
  const hidden = r.dims[2];
  const rows = kind.gates * hidden;
  const wanted = [directions, rows, size];
  if (w.dims.join() !== wanted.join() || r.dims[0] !== directions || r.dims[1] !== rows) {
    throw context.fail(`W and R do not fit ${directions} direction(s) of ${rows} gate rows`);
  }
  const flag = kind.flag !== undefined && context.int(kind.flag, 0) !== 0;
  const late = flag && kind.step === stepGru;
  const fns = activationsOf(context, kind, directions);
  const steps = lengths === undefined ? new Array<number>(batch).fill(length) : asNumbers(lengths);
  const state = (t: Tensor | undefined) =>
    t === undefined ? new Float64Array(directions * batch * hidden) : Float64Array.from(asFloat64(t));
  const [hs, cs] = [state(h0), state(c0)];
  const y = new Float64Array(length * directions * batch * hidden);
  const [data, ws, rs] = [asFloat64(x), asFloat64(w), asFloat64(r)];
  const scratch = new Float64Array(hidden);
  for (let d = 0; d < directions; d++) {
    const bias = b === undefined ? new Float64Array(2 * rows) : asFloat64(b).subarray(d * 2 * rows, (d + 1) * 2 * rows);
    const cell: Cell = {
      hidden,
      r: rs.subarray(d * rows * hidden, (d + 1) * rows * hidden),
      rb: bias.subarray(rows),
      peephole: peepholes && asFloat64(peepholes).subarray(d * 3 * hidden, (d + 1) * 3 * hidden),
      f: fns.slice(d * kind.activations.length, (d + 1) * kind.activations.length),
      flag,
    };
    const pre = new Float64Array(length * batch * rows);
    const start = { data: inputBias(bias, rows, hidden, late), per: "column" } as const;
    const weights = { data: ws, base: d * rows * size, row: 1, column: size };
    multiply(length * batch, rows, size, { data, base: 0, row: size, column: 1 }, weights, pre, 0, start);
    const backward = direction === "reverse" || d === 1;
    for (let n = 0; n < batch; n++) {
      const at = (batchFirst ? n * directions + d : d * batch + n) * hidden;
      const h = hs.subarray(at, at + hidden);
      const c = cs.subarray(at, at + hidden);
      for (let s = 0; s < steps[n]; s++) {
        const t = backward ? steps[n] - 1 - s : s;
        const row = batchFirst ? n * length + t : t * batch + n;
        kind.step(cell, pre.subarray(row * rows, (row + 1) * rows), h, c, scratch);
        y.set(h, (batchFirst ? row * directions + d : (t * directions + d) * batch + n) * hidden);
      }
    }
  }
  const { dtype } = x;
  const dims = batchFirst ? [batch, length, directions, hidden] : [length, directions, batch, hidden];
  const last = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden];
  return [
    { dtype, dims, data: y },
    { dtype, dims: last, data: hs },
    { dtype, dims: last, data: cs },
  ];
}

export const rnnOps: readonly OpDef[] = Object.entries(KINDS).map(([type, kind]) =>
  tensorOp(type, 1, 3, (context, ...inputs) => recurrent(context, kind, inputs).slice(0, type === "LSTM" ? 3 : 2)),
);
