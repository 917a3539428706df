/** Control flow: If, Loop, Scan (opset 8, and 9 on), SequenceMap. */
import { dtypeOf } from "../onnx/dtype.ts";
import type { GraphRecord } from "../onnx/records.ts";
import { asNumbers, int64s, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import { blank, lanes, normalizeAxis, strided, transpose, withDims } from "./broadcast.ts";
import { type Body, isTensor, type OpContext, type OpDef, type SequenceValue, type Value } from "./define.ts";
import { concat } from "./shape.ts";

const truth = (value: Value): boolean => isTensor(value) && Boolean(value.data[0]);

const flag = (value: boolean): Tensor => ({ dtype: "bool", dims: [], data: Uint8Array.of(Number(value)) });

function graphOf(context: OpContext): GraphRecord {
  const graph = context.attribute("body")?.g;
  if (graph === undefined) throw context.fail("the graph attribute body is missing");
  return graph;
}

/** The slices stacked along a new axis 0; without any, an empty tensor of the type the body declares. */
function stack(context: OpContext, slices: readonly Value[], graph: GraphRecord, output: number): Tensor {
  if (slices.length === 0) {
    const { elemType, shape } = graph.outputs[output].type;
    const dims = [0, ...(shape ?? []).map((d) => (typeof d === "number" ? d : 0))];
    const dtype = dtypeOf(elemType ?? 1) ?? "float32";
    return { dtype, dims, data: blank(dtype, 0) };
  }
  const tensors = slices.map((slice) => {
    if (!isTensor(slice)) throw context.fail(`scan output ${output} of the body is no tensor`);
    return withDims(slice, [1, ...slice.dims]);
  });
  const [first] = tensors;
  if (tensors.some(({ dims }) => dims.join() !== first.dims.join()))
    throw context.fail("a scan output changes its shape between iterations");
  return concat(tensors, 0);
}

function loop(context: OpContext, inputs: readonly (Value | undefined)[]): (Value | undefined)[] {
  const graph = graphOf(context);
  const body = context.body("body");
  const [count, initial, ...state] = inputs;
  let carried: (Value | undefined)[] = state;
  const limit = count !== undefined && isTensor(count) ? asNumbers(count)[0] : Number.POSITIVE_INFINITY;
  let go = initial === undefined || truth(initial);
  const scans: Value[][] = Array.from({ length: graph.outputs.length - 1 - state.length }, () => []);
  for (let i = 0; go && i < limit; i++) {
    const [next, ...rest] = body([int64s([i], []), flag(go), ...carried]);
    go = truth(next);
    carried = rest.slice(0, state.length);
    scans.forEach((list, k) => {
      list.push(rest[state.length + k]);
    });
  }
  return [...carried, ...scans.map((list, k) => stack(context, list, graph, 1 + state.length + k))];
}

/** Slice i along an axis, that axis gone. */
function sliceAt(input: Tensor, axis: number, i: number): Tensor {
  const strides = stridesOf(input.dims);
  const without = <T>(list: readonly T[]) => list.filter((_, k) => k !== axis);
  return strided(input, without(input.dims), without(strides), i * strides[axis]);
}

interface ScanPlan {
  readonly body: Body;
  readonly graph: GraphRecord;
  readonly states: number;
  readonly axes: readonly number[];
  readonly directions: readonly number[];
  readonly outputAxes: readonly number[];
  readonly outputDirections: readonly number[];
}

function scanOnce(
  context: OpContext,
  plan: ScanPlan,
  states: readonly Value[],
  scanned: readonly Tensor[],
  length: number,
): Value[] {
  const { body, graph } = plan;
  let carried = [...states];
  const lists: Value[][] = Array.from({ length: graph.outputs.length - plan.states }, () => []);
  for (let i = 0; i < length; i++) {
    const slices = scanned.map((t, k) => sliceAt(t, plan.axes[k], plan.directions[k] ? length - 1 - i : i));
    const outputs = body([...carried, ...slices]);
    carried = outputs.slice(0, plan.states);
    lists.forEach((list, k) => {
      list.push(outputs[plan.states + k]);
    });
  }
  const stacked = lists.map((list, k) => {
    const tensor = stack(context, plan.outputDirections[k] ? list.reverse() : list, graph, plan.states + k);
    const axis = normalizeAxis(plan.outputAxes[k], tensor.dims.length);
    if (axis === 0) return tensor;
    const perm = tensor.dims.map((_, i) => i).slice(1);
    perm.splice(axis, 0, 0);
    return transpose(tensor, perm);
  });
  return [...carried, ...stacked];
}

function scanPlan(context: OpContext, inputs: readonly Value[], directionsName: string): ScanPlan {
  const graph = graphOf(context);
  const scans = context.int("num_scan_inputs", 0);
  const states = inputs.length - scans;
  const outputs = graph.outputs.length - states;
  if (scans < 1 || states < 0 || outputs < 0) throw context.fail(`num_scan_inputs is ${scans} for ${inputs.length} inputs`);
  const given = context.ints("scan_input_axes") ?? new Array<number>(scans).fill(0);
  const zeros = () => new Array<number>(outputs).fill(0);
  return {
    body: context.body("body"),
    graph,
    states,
    axes: given.map((axis, k) => normalizeAxis(axis, (inputs[states + k] as Tensor).dims.length)),
    directions: context.ints(directionsName) ?? new Array<number>(scans).fill(0),
    outputAxes: context.ints("scan_output_axes") ?? zeros(),
    outputDirections: context.ints("scan_output_directions") ?? zeros(),
  };
}

function tensorsOnly(context: OpContext, inputs: readonly (Value | undefined)[]): Tensor[] {
  return inputs.map((input, i) => {
    if (input === undefined || !isTensor(input)) throw context.fail(`input ${i} is no tensor`);
    return input;
  });
}

function scan(context: OpContext, inputs: readonly (Value | undefined)[]): Value[] {
  const tensors = tensorsOnly(context, inputs);
  const plan = scanPlan(context, tensors, "scan_input_directions");
  const scanned = tensors.slice(plan.states);
  const length = scanned[0].dims[plan.axes[0]];
  if (scanned.some((t, k) => t.dims[plan.axes[k]] !== length)) throw context.fail("the scanned inputs differ in length");
  return scanOnce(context, plan, tensors.slice(0, plan.states), scanned, length);
}

/** Opset 8: everything has a batch axis 0, the scan runs along axis 1, each sequence has a length, short ones end in zeros. */
function scanBatched(context: OpContext, [given, ...rest]: readonly (Value | undefined)[]): Value[] {
  const tensors = tensorsOnly(context, rest);
  const plan = { ...scanPlan(context, tensors, "directions"), axes: tensors.map(() => 0) };
  const [batch, longest] = tensors[tensors.length - 1].dims;
  const lengths = given === undefined ? new Array<number>(batch).fill(longest) : asNumbers(given as Tensor);
  const perBatch = lengths.map((length, b) => {
    const own = tensors.map((t) => sliceAt(t, 0, b));
    const outputs = scanOnce(context, plan, own.slice(0, plan.states), own.slice(plan.states), length) as Tensor[];
    return outputs.map((t, k) => (k < plan.states ? t : lengthened(t, longest)));
  });
  return plan.graph.outputs.map((_, k) =>
    concat(
      perBatch.map((outputs) => withDims(outputs[k], [1, ...outputs[k].dims])),
      0,
    ),
  );
}

function lengthened(tensor: Tensor, n: number): Tensor {
  const rest = tensor.dims.slice(1);
  const missing = n - tensor.dims[0];
  if (missing <= 0) return tensor;
  const zeros = blank(tensor.dtype, missing * sizeOf(rest));
  if (lanes(tensor.dtype) * missing * sizeOf(rest) === 0) return withDims(tensor, [n, ...rest]);
  return concat([tensor, { dtype: tensor.dtype, dims: [missing, ...rest], data: zeros }], 0);
}

/** The body over the items of the first sequence; further sequences step along, tensors are given whole each time. */
function sequenceMap(context: OpContext, inputs: readonly (Value | undefined)[]): Value[] {
  const body = context.body("body");
  const graph = graphOf(context);
  const [first] = inputs;
  if (first === undefined || isTensor(first) || first.kind !== "sequence") throw context.fail("input 0 is no sequence");
  const results = first.items.map((_, i) =>
    body(
      inputs.map((input) => {
        if (input === undefined || isTensor(input) || input.kind !== "sequence") return input;
        if (input.items.length !== first.items.length) throw context.fail("the sequences differ in length");
        return input.items[i];
      }),
    ),
  );
  return graph.outputs.map(({ type }, k): SequenceValue => ({ kind: "sequence", items: results.map((r) => r[k]), of: type }));
}

export const controlOps: readonly OpDef[] = [
  {
    type: "If",
    since: 1,
    run(context, [condition]) {
      if (condition === undefined || !isTensor(condition)) throw context.fail("the condition is no tensor");
      return context.body(truth(condition) ? "then_branch" : "else_branch")([]);
    },
  },
  { type: "Loop", since: 1, run: loop },
  { type: "Scan", since: 8, run: scanBatched },
  { type: "Scan", since: 9, run: scan },
  { type: "SequenceMap", since: 17, run: sequenceMap },
];
