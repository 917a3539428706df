/**
 * Which nodes are diagonal affine maps with constant coefficients, y = scale ⊙ x + shift, and with which coefficients.
 *   BatchNormalization (inference)   scale = γ/√(v + ε), shift = β − μ·scale      ONNX 1, 6, 7, 9, 14, 15
 *   x + c, c + x                     (1, c)        x − c  (1, −c)       c − x  (−1, c)
 *   x · c, c · x                     (c, 0)        x / c  (1/c, 0)      −x     (−1, 0)
 * c / x is not affine. A constant that would broadcast x to a larger shape is not a map of x.
 */
import { normalMap } from "../affine/normal.ts";
import { along, invert, map, operand, type Spread, simplify, uniform } from "../affine/spread.ts";
import { floatAttr, intAttr } from "../graph/attributes.ts";
import type { Facts } from "../graph/facts.ts";
import { hasTrait } from "../graph/operators.ts";
import { type GraphNode, type GraphValue, UNDETERMINED } from "../graph/view.ts";
import { dtypeOf, isStorageFloat } from "../onnx/dtype.ts";
import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { laidOver } from "../rules/legacy.ts";
import { isInference, readExtraOutput } from "../rules/mode.ts";
import { isRefused, type Refused, refuse } from "../rules/types.ts";
import type { Constants } from "./constants.ts";

/**
 * A BatchNormalization, or another constant affine operator (Mul, Add, Sub, Div, Neg); with the option `norms` also a
 * normalization by statistics of the data, whose gain and shift leave while it stays, and a weight that constants compute.
 */
export type AffineKind = "batch-normalization" | "affine" | "norm" | "weight";

/** What is known of a value: along its channels or the same everywhere. */
export interface Magnitude {
  readonly mean: Spread;
  readonly deviation: Spread;
}

export interface Candidate {
  readonly node: GraphNode;
  readonly kind: AffineKind;
  /** Position of the mapped input. */
  readonly input: number;
  readonly scale: Spread;
  readonly shift: Spread;
  /** False when the input's size along the map is not proven: then only a producer of proven size may absorb it. */
  readonly proven: boolean;
  readonly notes: readonly string[];
  /** What the statistics of a batch normalization say of its output: mean β, deviation |γ|. */
  readonly statistics?: Magnitude;
}

export interface Rejected {
  readonly node: GraphNode;
  readonly kind: AffineKind;
  readonly refusal: Refused;
}

/** Gains beyond this are reported: they amplify whatever rounding the weight itself carries. */
const LARGE_GAIN = 1e4;

/** A position table of a transformer is a constant operand too, but nobody folds a map with a million numbers. */
const MAX_NUMBERS = 2 ** 17;

/**
 * The map a node is; a rejection when it looks like one but is not; undefined when it is something else.
 * @param most Operands of more numbers are tables, and no map.
 */
export function candidateOf(
  node: GraphNode,
  facts: Facts,
  constants: Constants,
  most = MAX_NUMBERS,
): Candidate | Rejected | undefined {
  if (node.domain !== "") return undetermined(node);
  if (node.opType === "BatchNormalization") {
    const found = batchNormalization(node, facts, constants);
    return isRefused(found) ? { node, kind: "batch-normalization", refusal: found } : found;
  }
  return hasTrait(node, "affine") ? arithmetic(node, facts, constants, most) : undefined;
}

/** The input that the map of a node would be applied to, if it is one: nothing is read for that. */
export function dataInput(node: GraphNode, constants: Constants): number | undefined {
  if (node.domain !== "") return undefined;
  if (node.opType === "BatchNormalization") return 0;
  if (!hasTrait(node, "affine")) return undefined;
  const open = node.inputs.flatMap((value, i) => (value !== undefined && constants.has(value) ? [] : [i]));
  return open.length === 1 ? open[0] : undefined;
}

/** A batch normalization whose attributes its function's calls give, or that may be a function of that name. */
function undetermined(node: GraphNode): Rejected | undefined {
  if (node.record.domain !== "" || node.opType !== "BatchNormalization") return undefined;
  const open = [...node.record.attributes.values()].find(({ refAttrName }) => refAttrName !== "");
  const refusal =
    node.domain === UNDETERMINED.open
      ? refuse("parameter-not-constant", `takes its ${open?.name} from the calls of its function`)
      : refuse("operator-blocks", "may be the operator, or the model's own function of that name");
  return { node, kind: "batch-normalization", refusal };
}

/** A parameter vector of a BatchNormalization, with the reason when it cannot be had. */
function vector(node: GraphNode, index: number, name: string, constants: Constants): Tensor | Refused {
  const value = node.inputs[index];
  if (value === undefined) return refuse("malformed-graph", `lacks its ${name}`);
  const blocked = constants.blocked(value);
  if (blocked !== undefined) {
    const code = blocked.refused === "weight-not-constant" ? "parameter-not-constant" : blocked.refused;
    return refuse(code, `${blocked.because} (its ${name})`, { value });
  }
  const tensor = constants.tensor(value);
  if (!isStorageFloat(tensor.dtype)) return refuse("parameter-shape", `has a ${name} of type ${tensor.dtype}`, { value });
  return tensor;
}

function batchNormalization(node: GraphNode, facts: Facts, constants: Constants): Candidate | Refused {
  const x = node.inputs[0];
  if (x === undefined || node.outputs[0] === undefined) return refuse("malformed-graph", "lacks its input or output");
  if (!isInference(node)) return refuse("training-mode", trainingReason(node));
  const extra = readExtraOutput(node);
  if (extra !== undefined)
    return refuse("extra-outputs-used", `has another output, "${extra.name}", that is read`, { value: extra });
  const tensors: Tensor[] = [];
  for (const [i, name] of ["scale", "B", "mean", "var"].entries()) {
    const tensor = vector(node, i + 1, name, constants);
    if (isRefused(tensor)) return tensor;
    if (i > 0 && (tensor.dims.length !== tensors[0].dims.length || tensor.dims.some((d, a) => d !== tensors[0].dims[a]))) {
      return refuse(
        "parameter-shape",
        `has a ${name} of shape [${tensor.dims.join(", ")}] beside a scale of shape [${tensors[0].dims.join(", ")}]`,
        { value: node.inputs[i + 1] },
      );
    }
    tensors.push(tensor);
  }
  const rank = facts.rank(x);
  if (rank === undefined) return refuse("shape-unknown", `has an input "${x.name}" of unknown rank`, { value: x });
  return coefficients(node, facts, rank, tensors);
}

function trainingReason(node: GraphNode): string {
  if (node.version >= 14) return "has training_mode=1: it normalizes with batch statistics";
  if (node.version < 7) return "has is_test=0 (the default of this opset): it normalizes with batch statistics";
  return "has outputs for running statistics, which in this opset means it normalizes with batch statistics";
}

function coefficients(node: GraphNode, facts: Facts, rank: number, tensors: readonly Tensor[]): Candidate | Refused {
  const [gamma, beta, mean, variance] = tensors.map(asFloat64);
  const { dims } = tensors[0];
  const epsilon = floatAttr(node.record, "epsilon", Math.fround(1e-5));
  const { scale, shift } = normalMap(gamma, beta, mean, variance, epsilon);
  let large = 0;
  for (let c = 0; c < gamma.length; c++) {
    if (
      !(variance[c] + epsilon > 0) ||
      !Number.isFinite(variance[c]) ||
      !Number.isFinite(scale[c]) ||
      !Number.isFinite(shift[c])
    ) {
      return refuse(
        "parameter-not-finite",
        `has scale ${gamma[c]}, B ${beta[c]}, mean ${mean[c]}, variance ${variance[c]} with epsilon ${epsilon} on channel ${c}, which makes no finite gain and shift`,
        {
          facts: { channel: c, scale: gamma[c], bias: beta[c], mean: mean[c], variance: variance[c], epsilon },
        },
      );
    }
    if (Math.abs(scale[c]) > Math.abs(scale[large])) large = c;
  }
  const spatial = node.version < 9 && intAttr(node.record, "spatial", 1) === 0;
  const full = spatial || dims.length !== 1;
  if (full ? !spatial || dims.length !== rank - 1 : rank === 0 || (rank === 1 && gamma.length !== 1)) {
    const by = spatial ? "spatial=0 and parameters" : "parameters";
    return refuse("parameter-shape", `has ${by} of shape [${dims.join(", ")}] for an input of rank ${rank}`);
  }
  const channels = facts.size(node.inputs[0], 1);
  if (!full && channels !== undefined && channels !== gamma.length && rank > 1) {
    return refuse("parameter-shape", `has ${gamma.length} parameters for ${channels} channels`, {
      facts: { channels, parameters: gamma.length },
    });
  }
  const spread = (data: Float64Array): Spread =>
    simplify(full ? { dims: [1, ...dims], data } : rank === 1 ? uniform(1, data[0]) : along(rank, 1, data));
  const notes =
    Math.abs(scale[large] ?? 0) > LARGE_GAIN
      ? [
          `gain ${scale[large].toPrecision(4)} on channel ${large} (variance ${variance[large]}): it amplifies the weight's own rounding`,
        ]
      : [];
  const dead = scale.filter((s) => s === 0).length;
  if (dead > 0) notes.push(`${dead} of ${scale.length} channels have gain 0 and become constant`);
  const statistics = { mean: spread(beta), deviation: spread(gamma.map(Math.abs)) };
  return {
    node,
    kind: "batch-normalization",
    input: 0,
    scale: spread(scale),
    shift: spread(shift),
    proven: true,
    notes,
    statistics,
  };
}

function arithmetic(node: GraphNode, facts: Facts, constants: Constants, most: number): Candidate | Rejected | undefined {
  const { opType, inputs } = node;
  const output = node.outputs[0];
  if (output === undefined || constants.has(output)) return undefined;
  const dtype = dtypeOf(facts.of(output).dtype || facts.of(inputs[0]).dtype);
  if (dtype !== undefined && !isStorageFloat(dtype)) return undefined;
  const none = { node, kind: "affine" as const, notes: [] };
  if (opType === "Neg") {
    const rank = facts.rank(inputs[0]);
    return rank === undefined
      ? undefined
      : { ...none, input: 0, scale: uniform(rank, -1), shift: uniform(rank, 0), proven: true };
  }
  if (inputs.length !== 2 || inputs[0] === undefined || inputs[1] === undefined) return undefined;
  const input = dataInput(node, constants);
  if (input === undefined || (opType === "Div" && input === 1)) return undefined;
  const [c, x] = [inputs[1 - input] as GraphValue, inputs[input] as GraphValue];
  const constantType = dtypeOf(facts.of(c).dtype);
  if (constantType === undefined || !isStorageFloat(constantType)) return undefined;
  const rank = facts.rank(x);
  if (rank === undefined)
    return { ...none, refusal: refuse("shape-unknown", `has an input "${x.name}" of unknown rank`, { value: x }) };
  if (rank < (facts.rank(c) ?? 0))
    return { ...none, refusal: refuse("broadcast-grows", "has a constant of higher rank than its input") };
  if (!isSmall(facts, c, most)) return undefined;
  const constant = constants.tensor(c);
  if (constant.data.length > most) return undefined;
  const dims = laidOver(binary(node), constant.dims, rank);
  // Before opset 7 the first operand has the shape of the result.
  if (dims === undefined || (input === 1 && node.version < 7 && constant.dims.length !== rank)) return undefined;
  const spread = operand(asFloat64(constant), dims, rank) as Spread;
  const shape = facts.shape(x);
  const grows = spread.dims.findIndex((d, axis) => d !== 1 && typeof shape?.[axis] === "number" && shape[axis] !== d);
  if (grows >= 0)
    return {
      ...none,
      refusal: refuse("broadcast-grows", `broadcasts axis ${grows} of its input from ${shape?.[grows]} to ${spread.dims[grows]}`),
    };
  const wide = dims.findIndex((d, i) => d !== 1 && shape?.[i] === 1);
  if (wide >= 0) return { ...none, refusal: refuse("broadcast-grows", `broadcasts its input to ${dims[wide]} along one axis`) };
  // A constant that is the same everywhere still stretches an axis that may turn out to be 1.
  const open = dims.findIndex((d, i) => d !== 1 && shape?.[i] !== d && spread.dims[i] === 1);
  if (open >= 0)
    return {
      ...none,
      refusal: refuse("shape-unknown", `may broadcast its input to ${dims[open]} along an axis of unknown size`, {
        value: x,
      }),
    };
  const proven = dims.every((d, i) => d === 1 || shape?.[i] === d);
  const [scale, shift] = mapOf(opType, 1 - input, spread);
  if (!scale.data.every(Number.isFinite) || !shift.data.every(Number.isFinite)) {
    return {
      ...none,
      refusal: refuse("parameter-not-finite", "has a constant that is not finite (or divides by zero)", { value: c }),
    };
  }
  return { ...none, input, scale, shift, proven };
}

/** False when the shape alone says it is too large. */
const isSmall = (facts: Facts, c: GraphValue, most: number): boolean =>
  (facts.shape(c)?.reduce<number>((n, d) => n * (typeof d === "number" ? d : 1), 1) ?? 0) <= most;

const binary = ({ version, record }: GraphNode) => ({ version, int: (name: string, or: number) => intAttr(record, name, or) });

function mapOf(opType: string, constantAt: number, c: Spread): [scale: Spread, shift: Spread] {
  const rank = c.dims.length;
  const [one, zero] = [uniform(rank, 1), uniform(rank, 0)];
  if (opType === "Mul") return [c, zero];
  if (opType === "Div") return [invert(c), zero];
  if (opType === "Sub") return constantAt === 1 ? [one, map(c, (v) => -v)] : [uniform(rank, -1), c];
  return [one, c];
}
