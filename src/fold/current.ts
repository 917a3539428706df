/** The map of an affine node as the draft has it: what earlier folds moved into its constants counts. */
import { normalMap } from "../affine/normal.ts";
import { invert, negate, simplify } from "../affine/spread.ts";
import type { Candidate } from "../laws/candidates.ts";
import type { Draft } from "../laws/draft.ts";
import { laidOver } from "../rules/legacy.ts";
import { type Param, type Refused, refuse } from "../rules/types.ts";

/** The candidate with what earlier folds moved into it. */
export function currentMap(found: Candidate, draft: Draft): Candidate | Refused {
  const state = draft.state(found.node);
  if (state.params.size === 0) return found;
  if (state.grown === true) return refuse("broadcast-grows", "broadcasts its input along a map that has gone into its constant");
  const at = draft.at(found.node);
  const numbers: Float64Array[] = [];
  if (found.kind === "batch-normalization") {
    for (const i of [1, 2, 3, 4]) {
      numbers.push((at.param(i) as Param).values());
    }
    const [gamma, beta, mean, variance] = numbers;
    const epsilon = at.float("epsilon", Math.fround(1e-5));
    const { scale, shift } = normalMap(gamma, beta, mean, variance, epsilon);
    const dims = found.scale.dims.map((_, axis) => (axis === 1 || found.scale.dims.length === 1 ? scale.length : 1));
    return { ...found, scale: { dims, data: scale }, shift: { dims, data: shift } };
  }
  return { ...found, ...operandMap(found, draft) };
}

/** Scale and shift of an arithmetic node whose constant was changed. */
function operandMap(found: Candidate, draft: Draft): Pick<Candidate, "scale" | "shift"> {
  const index = 1 - found.input;
  const param = draft.state(found.node).params.get(index);
  if (param === undefined) return found;
  const rank = found.scale.dims.length;
  const dims = laidOver(draft.at(found.node), param.dims, rank) as number[];
  const c = simplify({ dims, data: param.values() });
  const { opType } = found.node;
  if (opType === "Mul") return { scale: c, shift: found.shift };
  if (opType === "Div") return { scale: invert(c), shift: found.shift };
  return { scale: found.scale, shift: opType === "Sub" && index === 1 ? negate(c) : c };
}
