/**
 * What a constant that the file computes may differ by, element by element, when it is evaluated step by step in the file's own
 * types (as exporters and other tools do) and not in float64. With x ± e known of the operands of a step, and u the unit roundoff of
 * its result's type, a running error analysis (Higham, Accuracy and Stability of Numerical Algorithms, §3.3) gives for y = f(x)
 *
 *   what only moves numbers      e, moved
 *   element by element           Σᵢ max |f(x ± eᵢ) − y|  +  u·|y|          4 u·|y| where f is no basic operation
 *   BatchNormalization           the same with 4 u·Σ|terms|, f(|x|, |γ|, |β|, −|μ|, σ²)
 *   sums of n products           f(|x| + e) − f(|x|)  +  (4 + √n) u·f(|x| + e)       for it is a sum of products of |x|
 *   any other                    4 max |f(x ± e) − y| over four draws of signs  +  4 |f in storage − y|  +  8 u·(|y| + rms y)
 *
 * √n: roundings add up like a random walk (Higham and Mary, 2019). Stored numbers have no budget, nor have integers; nor has what a basic
 * operation makes of exact numbers where the type holds it: that rounds nothing. What decides (Floor, Round) jumps where e is not 0, and rounds
 * nothing itself: without the last two rules half of a zero point would be a whole step off once it is rounded down.
 */

import { BnfoldError, inputError } from "../../diag/error.ts";
import { hasTrait } from "../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import type { Constants } from "../../laws/constants.ts";
import { halfUlp, isStorageFloat, STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";
import { roundTo } from "../../onnx/float.ts";
import { asFloat64, type Tensor } from "../../onnx/tensor.ts";
import { isTensor } from "../../ops/define.ts";
import { computed } from "../../run/constant.ts";
import { randomOf } from "../random.ts";

/** An operand of a step: a tensor, and what its elements may be off. */
interface Operand {
  readonly tensor: Tensor;
  readonly open: Float64Array | undefined;
}

/** A step, and what it gives for other operands. */
interface Step {
  readonly node: GraphNode;
  readonly operands: readonly (Operand | undefined)[];
  readonly run: (change: (operand: Operand, index: number) => Tensor, storage?: boolean) => Float64Array;
  readonly result: Float64Array;
  readonly type: StorageFloat;
}

export class Budgets {
  private readonly known = new Map<GraphValue, Float64Array | undefined>();

  constructor(private readonly constants: Constants) {}

  /** What each element may be off; undefined for numbers that stand in the file. */
  of(value: GraphValue | undefined): Float64Array | undefined {
    if (value === undefined || !this.isComputed(value)) return undefined;
    const open = [value];
    while (open.length > 0) {
      const next = open[open.length - 1];
      const waiting = (next.producer?.inputs ?? []).filter(
        (v): v is GraphValue => v !== undefined && !this.known.has(v) && this.isComputed(v),
      );
      if (waiting.length > 0 && !this.known.has(next)) open.push(...waiting);
      else {
        open.pop();
        if (!this.known.has(next)) this.known.set(next, this.made(next));
      }
    }
    return this.known.get(value);
  }

  private isComputed(value: GraphValue): boolean {
    const { producer } = value;
    return producer !== undefined && producer.opType !== "Constant" && this.constants.has(value);
  }

  private made(value: GraphValue): Float64Array | undefined {
    try {
      const step = this.step(value);
      const open = step && budgetOf(step);
      // A number that is none allows nothing.
      return open?.some((e) => e > 0) ? open.map((e) => (Number.isFinite(e) ? e : 0)) : undefined;
    } catch (error) {
      inputError(error);
      return undefined;
    }
  }

  private step(value: GraphValue): Step | undefined {
    const node = value.producer as GraphNode;
    const { dtype: type, data } = this.constants.tensor(value);
    if (node.domain !== "" || !isStorageFloat(type)) return undefined;
    const operands = node.inputs.map((input): Operand | undefined => {
      if (input === undefined || !this.constants.has(input)) return undefined;
      return { tensor: this.constants.tensor(input), open: this.known.get(input) };
    });
    if (operands.some((operand, i) => operand === undefined && node.inputs[i] !== undefined)) return undefined;
    const run: Step["run"] = (change, storage = false) => {
      const given = operands.map((operand, i) => operand && change(operand, i));
      const made = computed(node.record, node.version, given, storage ? { mode: "storage" } : {})[value.outputIndex];
      if (made === undefined || !isTensor(made)) throw new BnfoldError("model", `"${value.name}" is not a tensor`);
      return asFloat64(made);
    };
    return { node, operands, run, result: asFloat64({ dtype: type, dims: [], data }), type };
  }
}

function budgetOf(step: Step): Float64Array | undefined {
  const { node, operands } = step;
  const exact = operands.every((operand) => operand?.open === undefined);
  const moves = hasTrait(node, "moves", "fills") || (node.opType === "Cast" && !narrows(step)) || isWhole(step);
  if (moves)
    return exact || isWhole(step) ? undefined : step.run(({ tensor, open }) => numbers(tensor, (_, i) => open?.[i] ?? 0));
  if (hasTrait(node, "basic") || node.opType === "Cast")
    return elementwise(step, (y, e) => (e === 0 && roundTo(step.type, y) === y ? 0 : halfUlp(y, step.type)));
  if (hasTrait(node, "function")) return elementwise(step, (y) => 4 * halfUlp(y, step.type));
  if (node.opType === "BatchNormalization") return normalized(step);
  if (hasTrait(node, "sums")) return summed(step);
  return sampled(step);
}

/** Results that depend on shapes and integers alone are what they are. */
const isWhole = ({ operands }: Step): boolean => operands.every((operand) => operand === undefined || !isReal(operand.tensor));

const isReal = ({ dtype }: Tensor): boolean => isStorageFloat(dtype);

/** A Cast to fewer digits. */
function narrows({ operands, type }: Step): boolean {
  const from = operands[0]?.tensor.dtype;
  return from === undefined || !isStorageFloat(from) || STORAGE_FLOATS[type].unitRoundoff > STORAGE_FLOATS[from].unitRoundoff;
}

/** A tensor of reals with other elements; any other as it is. */
function numbers(tensor: Tensor, change: (v: number, i: number) => number): Tensor {
  return isReal(tensor) ? { ...tensor, data: asFloat64(tensor).map(change) } : tensor;
}

const larger = (most: Float64Array, x: Float64Array, y: Float64Array): void => {
  for (let i = 0; i < most.length; i++) {
    const e = Math.abs(x[i] - y[i]);
    // A root of less than nothing says no more than the other side does.
    if (e > most[i]) most[i] = e;
  }
};

/** Σᵢ max |f(x ± eᵢ) − y|; one value at several places is moved at all of them. */
function moved({ node, operands, run, result }: Step): Float64Array {
  const total = new Float64Array(result.length);
  for (const value of new Set(node.inputs)) {
    const open = operands[node.inputs.indexOf(value)]?.open;
    if (open === undefined) continue;
    const most = new Float64Array(result.length);
    for (const sign of [-1, 1]) {
      const by = (v: number, i: number) => v + sign * open[i];
      larger(
        most,
        run(({ tensor }, index) => (node.inputs[index] === value ? numbers(tensor, by) : tensor)),
        result,
      );
    }
    for (let i = 0; i < total.length; i++) total[i] += most[i];
  }
  return total;
}

function elementwise(step: Step, rounding: (y: number, e: number) => number): Float64Array {
  const open = moved(step);
  return open.map((e, i) => e + rounding(step.result[i], e));
}

function normalized(step: Step): Float64Array {
  const terms = step.run(({ tensor }, i) => (i === 4 ? tensor : numbers(tensor, (v) => (i === 3 ? -1 : 1) * Math.abs(v))));
  const { unitRoundoff } = STORAGE_FLOATS[step.type];
  // A variance that lies lower than epsilon is known to u of epsilon, which the terms hold already.
  return moved(step).map((e, i) => e + 4 * unitRoundoff * terms[i]);
}

function summed(step: Step): Float64Array {
  const { operands, result, type, run } = step;
  const plain = run(({ tensor }) => numbers(tensor, Math.abs));
  const wide = run(({ tensor, open }) => numbers(tensor, (v, i) => Math.abs(v) + (open?.[i] ?? 0)));
  const sizes = operands.flatMap((operand) =>
    operand !== undefined && isReal(operand.tensor) ? [operand.tensor.data.length] : [],
  );
  const [first, second = result.length] = sizes;
  const terms = Math.max(1, second === result.length ? first / result.length : Math.sqrt((first * second) / result.length));
  const { unitRoundoff } = STORAGE_FLOATS[type];
  return wide.map((w, i) => w - plain[i] + (4 + Math.sqrt(terms)) * unitRoundoff * w);
}

function sampled({ node, operands, run, result, type }: Step): Float64Array {
  const most = new Float64Array(result.length);
  if (operands.some((operand) => operand?.open !== undefined)) {
    for (let draw = 0; draw < 4; draw++) {
      const drawn = run(({ tensor, open }, index) => {
        const random = randomOf(draw, node.inputs[index]?.name ?? "");
        return open === undefined ? tensor : numbers(tensor, (v, i) => v + (random.uniform() < 0.5 ? -1 : 1) * open[i]);
      });
      larger(most, drawn, result);
    }
  }
  const rounded = new Float64Array(result.length);
  larger(
    rounded,
    run(({ tensor }) => tensor, true),
    result,
  );
  const { unitRoundoff } = STORAGE_FLOATS[type];
  const rms = Math.sqrt(result.reduce((sum, y) => sum + y * y, 0) / Math.max(1, result.length));
  const steps = hasTrait(node, "decides") ? 0 : 8 * unitRoundoff;
  return most.map((e, i) => 4 * (e + rounded[i]) + steps * (Math.abs(result[i]) + rms));
}
