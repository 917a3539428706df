/** What the laws of the rules are checked on: one operator, its operands, its attributes, and the versions it has them in. */
import { float64, int64, type NodeSpec, type TensorSpec } from "../../helpers/build.ts";

/** A computed operand of float64. */
export interface Open {
  readonly open: readonly number[];
  /** Default "any": small whole numbers of both signs and zero. */
  readonly values?: "any" | "positive" | "nonzero";
}

/** An operand that holds these numbers, which nobody knows before the model runs. */
export interface Fed {
  readonly fed: TensorSpec;
}

/** A computed operand, a constant, the name of a value that `before` makes, or "" for an absent one. */
export type Operand = Open | Fed | TensorSpec | string;

export interface Case {
  readonly inputs: readonly Operand[];
  readonly attributes?: NodeSpec["attributes"];
  /** Default 1. */
  readonly outputs?: number;
  /** How many of the outputs, from the first, somebody reads. Default: all. */
  readonly read?: number;
  /** First and last version of the operator that has this form. */
  readonly from?: number;
  readonly until?: number;
  /** Operators in front, and what they read. */
  readonly before?: readonly NodeSpec[];
  readonly constants?: Readonly<Record<string, TensorSpec>>;
  readonly computed?: Readonly<Record<string, readonly number[]>>;
  /**
   * Roundings, in float64 and relative to the largest number of an output, by which the two sides may lie apart: the terms of its longest sum
   * and what is done to each. Default 0: all numbers are dyadic and small, so that nothing rounds.
   */
  readonly roundings?: number;
  /** Only some of the maps are tried: for forms that differ in sizes alone. */
  readonly few?: boolean;
  /** What the model says of the shapes of its inputs. Default: all. */
  readonly shapes?: "ranks" | "nothing";
}

export interface Subject {
  readonly op: string;
  /** Versions in which ONNX defined the operator again. */
  readonly versions: readonly number[];
  readonly cases: readonly Case[];
}

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);

/** Small whole numbers, the same for the same seed. */
export function wholes(n: number, seed: number, low = -4, high = 4): number[] {
  let state = (seed * 2654435761) >>> 0 || 1;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + Math.floor((state / 2 ** 32) * (high - low + 1));
  });
}

export const x = (...open: number[]): Open => ({ open });
export const positive = (...open: number[]): Open => ({ open, values: "positive" });
export const nonzero = (...open: number[]): Open => ({ open, values: "nonzero" });
/** A constant: the values given, or small whole numbers. */
export const c = (dims: readonly number[], values?: readonly number[]): TensorSpec =>
  float64(dims, values ?? wholes(size(dims), 7 + dims.length, -3, 3));
/** A constant of powers of two of both signs: what is divided by it stays exact. */
export const powers = (...dims: number[]): TensorSpec =>
  float64(
    dims,
    Array.from({ length: size(dims) }, (_, i) => [2, -0.5, 4, 1, -1, 0.25][(i * 5 + dims.length) % 6]),
  );
export const ints = (...values: number[]): TensorSpec => int64([values.length], values);
export const bools = (...values: number[]): TensorSpec => ({ dtype: "bool", dims: [values.length], values });

export const subject = (op: string, versions: readonly number[], ...cases: Case[]): Subject => ({ op, versions, cases });
/** The same cases for several operators. */
export const alike = (ops: string, versions: readonly number[], ...cases: Case[]): Subject[] =>
  ops.split(" ").map((op) => ({ op, versions, cases }));

/** The versions a case is written for. */
export const versionsOf = ({ versions }: Subject, { from = 1, until = Number.POSITIVE_INFINITY }: Case): number[] =>
  versions.filter((v) => v >= from && v <= until);

/** A case in a line. */
export function labelOf(op: string, { inputs, attributes = {}, outputs = 1, read = outputs }: Case): string {
  const operand = (o: Operand) =>
    typeof o === "string"
      ? o || "-"
      : "open" in o
        ? `[${o.open}]${o.values?.[0] ?? ""}`
        : "fed" in o
          ? `${o.fed.dtype}[${o.fed.dims}] fed`
          : `${o.dtype === "float64" ? "c" : o.dtype}[${o.dims}]`;
  const attribute = (value: unknown): string =>
    typeof value === "object" && value !== null && "value" in value ? String(value.value) : String(value);
  const list = Object.entries(attributes).map(([name, value]) => `${name}=${attribute(value)}`);
  return [`${op}(${inputs.map(operand).join(", ")})`, ...list, ...(outputs === 1 ? [] : [`${read} of ${outputs} outputs`])].join(
    " ",
  );
}
