/**
 * Operators of ONNX that are functions, as their bodies in the operator specification.
 *
 *   GroupNormalization(x; γ, β) 21 with groups of channels as rows r: d = r − mean(r), γ · d / √(mean(r²) − mean(r)² + ε) + β
 *   LayerNormalization(x; γ, β; axis a)   over axes a …, d = x − mean(x): γ · d / √(mean(d²) + ε) + β, in float32
 *   RMSNormalization(x; γ; axis a), SimplifiedLayerNormalization of ONNX Runtime      the same with d = x and β = 0
 *   InstanceNormalization(x; γ, β)        the same over the axes behind the channels, γ and β along these
 *
 * Exact over the reals. Only where one file has more of the operator than the other: a runtime or an optimizer wrote its body out.
 */
import { intAttr } from "../../../graph/attributes.ts";
import { Body } from "./body.ts";
import type { Rewrite, Rewriting } from "./rewriting.ts";

const grouped: Rewrite = (node) => {
  if (node.domain !== "" || node.opType !== "GroupNormalization" || node.version < 21) return undefined;
  const { record } = node;
  const [x, gamma, beta] = record.inputs;
  const groups = intAttr(record, "num_groups", 0);
  const epsilon = record.attributes.get("epsilon")?.f ?? Math.fround(1e-5);
  const body = new Body(node);
  const stash = { to: { i: intAttr(record, "stash_type", 1) } };
  const real = body.step("x", "Cast", [x], stash);
  const [n, c, plane] = [
    body.step("n", "Shape", [x], { start: { i: 0 }, end: { i: 1 } }),
    body.step("c", "Shape", [x], { start: { i: 1 }, end: { i: 2 } }),
    body.step("plane", "Shape", [x], { start: { i: 2 } }),
  ];
  const count = body.list("groups", [groups]);
  const size = body.step("size", "Div", [c, count]);
  const shape = body.step("shape", "Concat", [n, count, size, plane], { axis: { i: 0 } });
  const rows = body.list("rows", [0, 0, -1]);
  const flat = body.step("flat", "Reshape", [body.step("grouped", "Reshape", [real, shape]), rows]);
  const mean = (part: string, of: string) => body.step(part, "ReduceMean", [of, body.list(`${part}/axes`, [2])]);
  const average = mean("mean", flat);
  const squares = mean("squares", body.step("square", "Mul", [flat, flat]));
  const variance = body.step("variance", "Sub", [squares, body.step("squared", "Mul", [average, average])]);
  const small = body.step(
    "epsilon",
    "Cast",
    [body.step("epsilon/float", "Constant", [], { value_float: { f: epsilon } })],
    stash,
  );
  const deviation = body.step("deviation", "Sqrt", [body.step("open", "Add", [variance, small])]);
  const normal = body.step("normal", "Div", [body.step("centred", "Sub", [flat, average]), deviation]);
  const whole = body.step("whole", "Shape", [real]);
  const channels = body.step("channels", "Reshape", [body.step("back", "Reshape", [normal, whole]), rows]);
  const along = body.list("along", [1, -1, 1]);
  const typed = body.step("typed", "CastLike", [channels, gamma]);
  const scaled = body.step("scaled", "Mul", [body.step("gamma", "Reshape", [gamma, along]), typed]);
  const biased = body.step("biased", "Add", [scaled, body.step("beta", "Reshape", [beta, along])]);
  return body.last("Reshape", [biased, whole]);
};

const FLOAT = 1;

/** (x − mean) / √(variance + ε) over axes. */
function normal(body: Body, x: string, axes: readonly number[], epsilon: number, version: number): string {
  const operand = version >= 18;
  const over = operand ? body.list("axes", axes) : undefined;
  const mean = (part: string, of: string) =>
    over === undefined
      ? body.step(part, "ReduceMean", [of], { axes: { ints: axes } })
      : body.step(part, "ReduceMean", [of, over]);
  const centred = body.step("centred", "Sub", [x, mean("mean", x)]);
  const variance = mean("variance", body.step("square", "Mul", [centred, centred]));
  const small = body.step("epsilon", "Constant", [], { value_float: { f: epsilon } });
  return body.step("normal", "Div", [centred, body.step("deviation", "Sqrt", [body.step("open", "Add", [variance, small])])]);
}

const written: Rewrite = (node, { facts }) => {
  const { record, domain, opType, version } = node;
  const layer = opType === "LayerNormalization";
  if (domain !== "" || (!layer && opType !== "InstanceNormalization") || version < 7) return undefined;
  const [rank, size] = [facts.rank(node.inputs[0]), facts.size(node.inputs[1], 0)];
  if (rank === undefined || facts.of(node.inputs[0]).dtype !== FLOAT || record.outputs.slice(1).some((name) => name !== ""))
    return undefined;
  const first = layer ? intAttr(record, "axis", -1) : 2;
  const axes = Array.from({ length: rank }, (_, i) => i).slice(first);
  if (axes.length === 0 || (!layer && size === undefined)) return undefined;
  const body = new Body(node);
  const [x, gamma, beta] = record.inputs;
  const core = normal(body, x, axes, record.attributes.get("epsilon")?.f ?? Math.fround(1e-5), version);
  const along = layer ? undefined : body.list("along", [size as number, ...axes.map(() => 1)]);
  const laid = (part: string, of: string) => (along === undefined ? of : body.step(part, "Reshape", [of, along]));
  const gain = laid("gamma", gamma);
  if (!beta) return body.last("Mul", [core, gain]);
  return body.last("Add", [body.step("scaled", "Mul", [core, gain]), laid("beta", beta)]);
};

/** ONNX Runtime has its own in no domain of its own. */
const rooted: Rewrite = (node, { facts }) => {
  const { record, opType, version } = node;
  if (node.domain !== "" || (opType !== "RMSNormalization" && opType !== "SimplifiedLayerNormalization") || version < 7)
    return undefined;
  const rank = facts.rank(node.inputs[0]);
  if (rank === undefined || facts.of(node.inputs[0]).dtype !== FLOAT || record.outputs.slice(1).some((name) => name !== ""))
    return undefined;
  const axes = Array.from({ length: rank }, (_, i) => i).slice(intAttr(record, "axis", -1));
  const body = new Body(node);
  const [x, gamma] = record.inputs;
  const small = body.number("epsilon", record.attributes.get("epsilon")?.f ?? Math.fround(1e-5));
  const square = body.step("square", "Mul", [x, x]);
  const mean =
    version >= 18
      ? body.step("mean", "ReduceMean", [square, body.list("axes", axes)])
      : body.step("mean", "ReduceMean", [square], { axes: { ints: axes } });
  const root = body.step("root", "Sqrt", [body.step("open", "Add", [mean, small])]);
  return body.last("Mul", [body.step("normal", "Div", [x, root]), gamma]);
};

export const FUNCTIONS: readonly Rewriting[] = [
  { equation: ["GroupNormalization(x; γ, β)", "its function body"], rewrite: grouped, where: ["GroupNormalization"] },
  {
    equation: ["LayerNormalization, InstanceNormalization", "γ · (x − mean) / √(variance + ε) + β"],
    rewrite: written,
    where: ["LayerNormalization", "InstanceNormalization"],
  },
  {
    equation: ["RMSNormalization, SimplifiedLayerNormalization", "γ · x / √(mean(x²) + ε)"],
    rewrite: rooted,
    where: ["RMSNormalization", "SimplifiedLayerNormalization"],
  },
];
