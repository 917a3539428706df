/**
 * What the run by regions sees of wrong files when the proof sees nothing: its cuts are those of a proof that takes the wrong file for
 * the right one.
 */
import { finish } from "../../../src/diag/steps.ts";
import type { Model } from "../../../src/onnx/records.ts";
import type { Shared } from "../../../src/verify/cuts.ts";
import { MAX_RATIO } from "../../../src/verify/judge.ts";
import { prove, sharedOf } from "../../../src/verify/proof.ts";
import { type RegionsFound, RegionWitness } from "../../../src/verify/regions.ts";

/** Every value by its name: what a proof claims that accepts whatever it is given. */
const byName = (model: Model): Shared =>
  new Map(model.graph.nodes.flatMap(({ outputs }) => outputs.map((name) => [name, { name }])));

/** `right`: the fold `other` was made wrong from; without it values of one name are taken for the same. */
export function blindRegions(original: Model, other: Model, right?: Model): RegionsFound {
  const known = right && sharedOf(prove(original, right, { foreign: false }));
  return finish(new RegionWitness(original, other, known ?? byName(other), { seed: 1, limit: () => MAX_RATIO }).run());
}
