/**
 * Einsum 12, 28: y[output labels] = Σ over the other labels of the product of the operands. A label repeated in one operand walks
 * its diagonal; "…" stands for broadcast axes; without "->" the output has the ellipsis and then, in alphabetical order, the
 * labels that occur once.
 *
 * Float operands are taken two at a time: labels nobody needs later are summed at once, the pair becomes a batch of matrix
 * products. Integers are summed directly, exactly.
 */
import { multiply } from "../kernels/index.ts";
import { allocate, asFloat64, type BigArray, type IntArray, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

/** An operand as labelled axes over memory; repeated labels have been joined into one axis. */
interface Labelled {
  readonly labels: readonly string[];
  readonly data: Tensor["data"];
  readonly strides: ReadonlyMap<string, number>;
}

interface Equation {
  readonly operands: readonly Labelled[];
  readonly output: readonly string[];
  readonly size: ReadonlyMap<string, number>;
}

/** Axes an ellipsis stands for get the labels "0", "1", … counted from the last, so operands of different rank align. */
function expandTerm(context: OpContext, term: string, rank: number): string[] {
  const parts = term.split("...");
  const named = parts.join("").length;
  if (parts.length > 2 || (parts.length === 1 && named !== rank) || named > rank) {
    throw context.fail(`the term "${term}" does not fit ${rank} axes`);
  }
  const hidden = Array.from({ length: rank - named }, (_, i) => String(rank - named - 1 - i));
  return parts.length === 1 ? [...term] : [...parts[0], ...hidden, ...parts[1]];
}

function parse(context: OpContext, equation: string, tensors: readonly Tensor[]): Equation {
  const [left, right] = equation.replace(/\s/g, "").split("->");
  const terms = left.split(",");
  if (terms.length !== tensors.length)
    throw context.fail(`the equation "${equation}" has ${terms.length} operands, the node ${tensors.length}`);
  const size = new Map<string, number>();
  const count = new Map<string, number>();
  const operands = tensors.map((tensor, n): Labelled => {
    const labels = expandTerm(context, terms[n], tensor.dims.length);
    const strides = new Map<string, number>();
    const steps = stridesOf(tensor.dims);
    labels.forEach((label, axis) => {
      const d = tensor.dims[axis];
      const known = size.get(label);
      if (known !== undefined && known !== d && known !== 1 && d !== 1)
        throw context.fail(`"${label}" stands for ${known} and ${d}`);
      size.set(label, known === undefined || known === 1 ? d : known);
      count.set(label, (count.get(label) ?? 0) + 1);
      strides.set(label, (strides.get(label) ?? 0) + (d === 1 ? 0 : steps[axis]));
    });
    return { labels: [...new Set(labels)], data: tensor.data, strides };
  });
  const hidden = [...size.keys()].filter((label) => /\d/.test(label)).sort((a, b) => Number(b) - Number(a));
  const once = [...size.keys()].filter((label) => !/\d/.test(label) && count.get(label) === 1).sort();
  const output = right === undefined ? [...hidden, ...once] : right.includes("...") ? spread(right, hidden) : [...right];
  for (const label of output) if (!size.has(label)) throw context.fail(`the output label "${label}" is not in the inputs`);
  return { operands, output, size };
}

function spread(term: string, hidden: readonly string[]): string[] {
  const [before, after] = term.split("...");
  return [...before, ...hidden, ...after];
}

/** The operand dense in the order of `labels`; labels it does not have are stretched. The rest is summed. */
function arrange(operand: Labelled, labels: readonly string[], size: ReadonlyMap<string, number>): Float64Array {
  const summed = operand.labels.filter((label) => !labels.includes(label));
  const all = [...labels, ...summed];
  const dims = all.map((label) => size.get(label) as number);
  const steps = all.map((label) => operand.strides.get(label) ?? 0);
  const inner = sizeOf(dims.slice(labels.length));
  const out = new Float64Array(sizeOf(dims.slice(0, labels.length)));
  const data = operand.data as Float64Array;
  const index = new Array<number>(dims.length).fill(0);
  let at = 0;
  for (let o = 0; o < out.length; o++) {
    let sum = 0;
    for (let i = 0; i < inner; i++) {
      sum += data[at];
      for (let axis = dims.length - 1; axis >= 0; axis--) {
        at += steps[axis];
        if (++index[axis] < dims[axis]) break;
        at -= steps[axis] * dims[axis];
        index[axis] = 0;
      }
    }
    out[o] = sum;
  }
  return out;
}

function dense(labels: readonly string[], data: Float64Array, size: ReadonlyMap<string, number>): Labelled {
  const steps = stridesOf(labels.map((label) => size.get(label) as number));
  return { labels, data, strides: new Map(labels.map((label, i) => [label, steps[i]])) };
}

/** Product of two operands over the labels not in `keep`: a matrix product for each batch of shared, kept labels. */
function pair(a: Labelled, b: Labelled, keep: ReadonlySet<string>, size: ReadonlyMap<string, number>): Labelled {
  const inA = new Set(a.labels);
  const inB = new Set(b.labels);
  const batch = a.labels.filter((label) => inB.has(label) && keep.has(label));
  const inner = a.labels.filter((label) => inB.has(label) && !keep.has(label));
  const rows = a.labels.filter((label) => !inB.has(label) && keep.has(label));
  const columns = b.labels.filter((label) => !inA.has(label) && keep.has(label));
  const extent = (labels: readonly string[]): number => labels.reduce((n, label) => n * (size.get(label) as number), 1);
  const [m, n, k, batches] = [extent(rows), extent(columns), extent(inner), extent(batch)];
  const left = arrange(a, [...batch, ...rows, ...inner], size);
  const right = arrange(b, [...batch, ...inner, ...columns], size);
  const out = new Float64Array(batches * m * n);
  for (let p = 0; p < batches; p++) {
    const x = { data: left, base: p * m * k, row: k, column: 1 };
    multiply(m, n, k, x, { data: right, base: p * k * n, row: n, column: 1 }, out, p * m * n);
  }
  return dense([...batch, ...rows, ...columns], out, size);
}

function floatSum({ operands, output, size }: Equation): Float64Array {
  let result = operands[0];
  for (let i = 1; i < operands.length; i++) {
    const keep = new Set([...output, ...operands.slice(i + 1).flatMap((operand) => operand.labels)]);
    result = pair(result, operands[i], keep, size);
  }
  return arrange(result, output, size);
}

/** Every output is Σ Π as bigint; the typed array keeps the low bits. */
function exactSum({ operands, output, size }: Equation, out: BigArray | IntArray): void {
  const all = [...output, ...[...size.keys()].filter((label) => !output.includes(label))];
  const dims = all.map((label) => size.get(label) as number);
  const inner = sizeOf(dims.slice(output.length));
  const big = out instanceof BigInt64Array || out instanceof BigUint64Array;
  const steps = operands.map((operand) => all.map((label) => operand.strides.get(label) ?? 0));
  for (let o = 0; o < out.length; o++) {
    let sum = 0n;
    for (let i = 0; i < inner; i++) {
      const at = new Array<number>(operands.length).fill(0);
      for (let rest = o * inner + i, axis = dims.length - 1; axis >= 0; axis--) {
        const digit = rest % dims[axis];
        rest = (rest - digit) / dims[axis];
        for (let p = 0; p < at.length; p++) at[p] += digit * steps[p][axis];
      }
      sum += operands.reduce((product, operand, p) => product * BigInt(operand.data[at[p]] as number | bigint), 1n);
    }
    if (big) (out as BigArray)[o] = sum;
    else (out as IntArray)[o] = Number(BigInt.asIntN(32, sum));
  }
}

function einsum(context: OpContext, ...tensors: Tensor[]): Tensor[] {
  const equation = parse(context, context.string("equation", ""), tensors);
  const { dtype } = tensors[0];
  const dims = equation.output.map((label) => equation.size.get(label) as number);
  if (tensors[0].data instanceof Float64Array || tensors[0].data instanceof Float32Array) {
    const operands = equation.operands.map((operand, i) => ({ ...operand, data: asFloat64(tensors[i]) }));
    return [{ dtype, dims, data: floatSum({ ...equation, operands }) }];
  }
  const data = allocate(dtype, sizeOf(dims)) as BigArray | IntArray;
  exactSum(equation, data);
  return [{ dtype, dims, data }];
}

export const einsumOps: readonly OpDef[] = [tensorOp("Einsum", 12, 1, einsum)];
