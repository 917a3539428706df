/**
 *   LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization of x with γ, β      γ ⊙ n(x) + β
 *
 * where n has ones and zeros for γ and β. Exact over the reals; γ and β are stored as they were.
 */
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { asFloat64 } from "../../../onnx/tensor.ts";
import { inner, make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Statistics of the data alone; what is learned of gain and shift stands behind them, as it would in a file that spells it out. */
const bared: Rewrite = (node, { facts, constants }) => {
  const grouped = hasTrait(node, "grouped");
  if (node.domain !== "" || (!grouped && node.opType !== "LayerNormalization" && node.opType !== "RMSNormalization"))
    return undefined;
  // Before opset 7 a Mul does not broadcast a gain along its channels (before 5 no Reshape takes a shape).
  if (node.version < 7) return undefined;
  const [x, gamma, beta] = node.inputs;
  if (gamma === undefined || !constants.has(gamma) || (beta !== undefined && !constants.has(beta))) return undefined;
  const all = (value: GraphValue, number: number) => asFloat64(constants.tensor(value)).every((v) => v === number);
  if (all(gamma, 1) && (beta === undefined || (grouped && all(beta, 0)))) return undefined;
  const name = (part: string) => inner(node, part);
  const [xName, gammaName, betaName] = node.record.inputs;
  // Numbers that make ones and zeros of the parameter's own type and shape.
  const zeros = make(node, "Sub", [gammaName, gammaName], name("zeros"));
  const ones = make(node, "Exp", [name("zeros")], name("ones"));
  const [rank, channels, size] = [facts.rank(x), facts.size(x, 1), facts.size(gamma, 0)];
  const parts: NodeRecord[] = [zeros, ones];
  /** A parameter in the shape in which it multiplies or adds. */
  const along = (parameter: string, part: string): string | undefined => {
    if (!grouped) return parameter;
    if (rank === undefined || size === undefined) return undefined;
    const shape = (label: string, ints: readonly number[]) => {
      parts.push(make(node, "Constant", [], name(`${part}/${label}`), { value_ints: { ints } }));
      return name(`${part}/${label}`);
    };
    const step = (opType: string, from: string, label: string, ints: readonly number[]) => {
      parts.push(make(node, opType, [from, shape(`${label}/shape`, ints)], name(`${part}/${label}`)));
      return name(`${part}/${label}`);
    };
    const places = new Array<number>(rank - 2).fill(1);
    const perGroup = node.opType === "GroupNormalization" && node.version < 21;
    if (!perGroup) return step("Reshape", parameter, "channels", [size, ...places]);
    if (channels === undefined) return undefined;
    const column = step("Reshape", parameter, "column", [size, 1]);
    return step("Reshape", step("Expand", column, "groups", [size, channels / size]), "channels", [channels, ...places]);
  };
  const [gain, shift] = [along(gammaName, "gain"), beta && along(betaName, "shift")];
  if (gain === undefined || (beta !== undefined && shift === undefined)) return undefined;
  const [core, scaled] = [name("core"), shift === undefined ? outputOf(node) : name("scaled")];
  const { record } = node;
  const inputs = grouped ? [xName, name("ones"), name("zeros")] : [xName, name("ones")];
  parts.push({ ...record, inputs, outputs: [core, ...record.outputs.slice(1)] }, make(node, "Mul", [core, gain], scaled));
  if (shift !== undefined) parts.push(make(node, "Add", [scaled, shift], outputOf(node)));
  return parts;
};

export const BARED: Rewriting = { equation: ["norm(x; γ, β)", "γ ⊙ norm(x; 1, 0) + β"], rewrite: bared };
