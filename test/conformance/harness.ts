/**
 * ONNX's own node tests: a folder per case with model.onnx and test_data_set_N/{input,output}_K.pb. Each model runs in storage
 * mode and must give the stored outputs within the tolerances of ONNX's test runner: |got − expected| ≤ 1e-7 + 1e-3·|expected|,
 * NaN equal to NaN, integers, booleans and strings exact.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decode } from "../../src/onnx/codec.ts";
import { type DType, dtypeInfo } from "../../src/onnx/dtype.ts";
import { intField, concat as join8, lengthDelimited } from "../../src/onnx/put.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model, TypeInfo } from "../../src/onnx/records.ts";
import { type ByteSource, memorySource } from "../../src/onnx/source.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { Cursor } from "../../src/onnx/wire.ts";
import { isTensor, type Value } from "../../src/ops/define.ts";
import { describe } from "../../src/run/context.ts";
import { createSession } from "../../src/run/session.ts";

export interface CaseResult {
  readonly name: string;
  readonly operator: string;
  /** "shape-only": a random operator whose expected numbers no seed fixes; type, shape and range are compared. */
  readonly status: "passed" | "shape-only" | "failed";
  readonly reason?: string;
  readonly milliseconds: number;
}

interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** Where ONNX's own backend test of its reference evaluator departs from the default. */
const overrides: readonly (readonly [RegExp, Partial<Tolerance>])[] = [
  [/^test_dft(_axis|_inverse)?(_opset19)?$/, { atol: 1e-6 }],
  [/^test_celu_bfloat16_expanded$/, { rtol: 1e-2, atol: 1e-2 }],
];

/**
 * One unit in the last place: the summation order is free, so the last bit of a narrow result is too. Two units where one side
 * rounded after every step and the other did not: function bodies, and attention.
 */
const unit: Partial<Record<DType, number>> = { bfloat16: 2 ** -7, float16: 2 ** -10 };

const random = /^test_bernoulli/;

function toleranceOf(name: string, dtype: DType): Tolerance {
  const found = overrides.find(([pattern]) => pattern.test(name))?.[1];
  const units = (unit[dtype] ?? 0) * (/_expanded|^test_attention/.test(name) ? 2 : 1);
  return { rtol: Math.max(found?.rtol ?? 1e-3, units), atol: found?.atol ?? 1e-7 };
}

/** A serialized TensorProto as numbers: wrapped as the initializer of an otherwise empty model. */
function parseTensor(bytes: Uint8Array): Tensor {
  const graph = lengthDelimited(7, lengthDelimited(5, bytes));
  const opset = lengthDelimited(8, intField(2, 1));
  return decode(read(memorySource(join8([intField(1, 8), opset, graph]))).graph.initializers[0]);
}

/** Field numbers of the values in a SequenceProto (there repeated) and in an OptionalProto. */
const VALUE_FIELDS = {
  sequence: { tensor: 3, sequence: 5, optional: 7 },
  optional: { tensor: 3, sequence: 5, optional: 7 },
} as const;

function parseNested(bytes: Uint8Array, kind: "sequence" | "optional"): Value {
  const at = new Cursor(memorySource(bytes));
  const items: Value[] = [];
  const fields = VALUE_FIELDS[kind];
  while (at.field(bytes.length)) {
    if (at.number === 1 || at.number === 2) continue;
    const end = at.pos;
    const content = bytes.slice(at.start, at.end);
    if (at.number === fields.tensor) items.push(parseTensor(content));
    else if (at.number === fields.sequence) items.push(parseNested(content, "sequence"));
    else if (at.number === fields.optional) items.push(parseNested(content, "optional"));
    else throw new Error(`field ${at.number} of a ${kind} value is not one the harness reads`);
    at.pos = end;
  }
  return kind === "sequence" ? { kind, items } : { kind, item: items[0] };
}

function parseValue(bytes: Uint8Array, type: TypeInfo): Value {
  if (type.kind === "sequence" || type.kind === "optional") return parseNested(bytes, type.kind);
  return parseTensor(bytes);
}

function loadValues(folder: string, prefix: string, types: readonly { name: string; type: TypeInfo }[]): Map<string, Value> {
  const values = new Map<string, Value>();
  types.forEach(({ name, type }, i) => {
    const file = join(folder, `${prefix}_${i}.pb`);
    if (existsSync(file)) values.set(name, parseValue(new Uint8Array(readFileSync(file)), type));
  });
  return values;
}

function close(got: number, want: number, { rtol, atol }: Tolerance): boolean {
  if (Object.is(got, want) || got === want) return true;
  if (Number.isNaN(got) || Number.isNaN(want)) return Number.isNaN(got) && Number.isNaN(want);
  if (!Number.isFinite(got) || !Number.isFinite(want)) return false;
  return Math.abs(got - want) <= atol + rtol * Math.abs(want);
}

function compareTensors(name: string, got: Tensor, want: Tensor): string | undefined {
  if (got.dtype !== want.dtype || got.dims.join() !== want.dims.join()) return `got ${describe(got)}, expected ${describe(want)}`;
  if (got.data.length !== want.data.length) return `got ${got.data.length} numbers, expected ${want.data.length}`;
  const { holder } = dtypeInfo(want.dtype);
  const tolerance = toleranceOf(name, want.dtype);
  let wrong = 0;
  let first = "";
  for (let i = 0; i < want.data.length; i++) {
    const [g, w] = [got.data[i], want.data[i]];
    let same = g === w;
    if (random.test(name)) same = Number(g) === 0 || Number(g) === 1;
    else if (holder === "float" || holder === "complex") same = close(g as number, w as number, tolerance);
    if (!same && wrong++ === 0) first = `at ${i}: got ${String(g)}, expected ${String(w)}`;
  }
  return wrong === 0 ? undefined : `${wrong} of ${want.data.length} elements differ, ${first}`;
}

export function compareValues(name: string, got: Value | undefined, want: Value): string | undefined {
  if (isTensor(want))
    return got !== undefined && isTensor(got) ? compareTensors(name, got, want) : `got ${describe(got)}, expected a tensor`;
  if (got === undefined || isTensor(got) || got.kind !== want.kind) return `got ${describe(got)}, expected ${describe(want)}`;
  if (want.kind === "optional" && got.kind === "optional") {
    if (want.item === undefined) return got.item === undefined ? undefined : `got ${describe(got)}, expected an empty optional`;
    return compareValues(name, got.item, want.item);
  }
  if (want.kind !== "sequence" || got.kind !== "sequence") return "kinds differ";
  if (want.items.length !== got.items.length) return `got ${got.items.length} items, expected ${want.items.length}`;
  for (let i = 0; i < want.items.length; i++) {
    const wrong = compareValues(name, got.items[i], want.items[i]);
    if (wrong !== undefined) return `item ${i}: ${wrong}`;
  }
  return undefined;
}

/** The folders of cases under `root`, at any depth, as paths from there. */
export function listCases(root: string): string[] {
  const found: string[] = [];
  const look = (path: string): void => {
    for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
      if (!entry.isDirectory() || entry.name.startsWith("test_data_set_")) continue;
      const inner = path === "" ? entry.name : `${path}/${entry.name}`;
      if (existsSync(join(root, inner, "model.onnx"))) found.push(inner);
      else look(inner);
    }
  };
  look("");
  return found.sort();
}

function operatorOf(model: Model, name: string): string {
  const { nodes } = model.graph;
  if (nodes.length === 1) return (nodes[0].domain === "" ? "" : `${nodes[0].domain}.`) + nodes[0].opType;
  return name.includes("expanded") ? "(function bodies)" : "(graphs)";
}

/** A case's model, and what it is fed and shall give. */
export function openCase(root: string, path: string) {
  const folder = join(root, path);
  const sources = new Map<string, ByteSource>();
  const source = (file: string) => {
    const known = sources.get(file) ?? memorySource(new Uint8Array(readFileSync(join(folder, file))), file);
    sources.set(file, known);
    return known;
  };
  const model = read(source("model.onnx"), { external: source });
  const sets = readdirSync(folder)
    .filter((entry) => entry.startsWith("test_data_set_"))
    .map((set) => ({
      feeds: loadValues(join(folder, set), "input", model.graph.inputs),
      expected: loadValues(join(folder, set), "output", model.graph.outputs),
    }));
  return { model, sets };
}

/** Runs the case at a path from `root`; never throws. Its name is that of its folder. */
export function runCase(root: string, path: string): CaseResult {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const begin = performance.now();
  let operator = "(unreadable)";
  const result = (status: CaseResult["status"], reason?: string): CaseResult => ({
    name,
    operator,
    status,
    reason,
    milliseconds: performance.now() - begin,
  });
  try {
    const { model, sets } = openCase(root, path);
    operator = operatorOf(model, name);
    const session = createSession(model, { mode: "storage" });
    if (sets.length === 0) return result("failed", "the case has no data");
    for (const { feeds, expected } of sets) {
      const outputs = session.run(feeds);
      for (const [output, want] of expected) {
        const wrong = compareValues(name, outputs.get(output), want);
        if (wrong !== undefined) return result("failed", `output ${output}: ${wrong}`);
      }
    }
    return result(random.test(name) ? "shape-only" : "passed");
  } catch (error) {
    return result("failed", error instanceof Error ? error.message : String(error));
  }
}
