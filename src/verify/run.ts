/**
 * What is run of two files. Where the proof shows them equal and nobody asks for more, only the parts that differ, each on its own
 * (regions.ts); else, or where such a part cannot be cut out, the whole networks (witness.ts). Where a part differs, the whole is run
 * too, and the part once more on what the first file gives it: it is different if it differs there as well.
 */
import { inputError } from "../diag/error.ts";
import { finish, type Steps } from "../diag/steps.ts";
import type { GraphNode } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import type { Value } from "../ops/define.ts";
import type { Region, Shared } from "./cuts.ts";
import type { Sample } from "./inputs.ts";
import { limitBy, limitOf, MAX_RATIO } from "./judge.ts";
import { type RegionsFound, RegionWitness } from "./regions.ts";
import { plain, variantSteps } from "./runs.ts";
import type { Proof, RegionRun, Witness } from "./types.ts";
import { type WitnessOptions, witnessSteps } from "./witness.ts";

export interface RunOptions extends WitnessOptions {
  /** Run the whole networks, whatever the proof says. Asked for as well by `samples`, inputs of one's own, or an observer. */
  readonly fullRun?: boolean;
}

/** The run of two files of which `proof` was found; `shared`: the values it found the same. */
export const runOf = (...given: Parameters<typeof runSteps>): Witness => finish(runSteps(...given));

/** The same in steps. */
export function* runSteps(
  a: Model,
  b: Model,
  proof: Proof | undefined,
  shared: Shared | undefined,
  options: RunOptions,
): Steps<Witness> {
  const limit = limitOf(proof);
  const { fullRun = false, samples, fixed, given, observe } = options;
  const asked = fullRun || samples !== undefined || observe !== undefined || (fixed?.size ?? 0) + (given?.length ?? 0) > 0;
  // Where nothing is proven, what is run is all there is.
  const thorough = proof?.outcome !== "equal";
  if (asked || thorough || shared === undefined)
    return yield* witnessSteps(a, b, { limit, thorough, different: proof?.outcome === "different", ...options });
  const regions = new RegionWitness(a, b, shared, {
    seed: options.seed ?? 1,
    shapes: options.shapes,
    limit: limitsOf(proof),
    onProgress: options.onProgress,
  });
  const found = yield* regions.run();
  if (found.outcome === "unable") {
    const whole = yield* witnessSteps(a, b, { limit, ...options, samples: 1, storage: false });
    const because = `the whole networks were run: ${found.reason}`;
    return { ...whole, reason: whole.reason === undefined ? because : `${because}; ${whole.reason}` };
  }
  if (found.outcome === "equal")
    return { outcome: "equal", samples: [], regions: found.runs, ...(limit === MAX_RATIO ? {} : { limit }) };
  return yield* weighed(a, b, regions, found, { limit, ...options });
}

/** Three times the worst coefficient found in a region: its operators are named like those of the proof. */
function limitsOf(proof: Proof): (nodes: readonly GraphNode[]) => number {
  const worst = new Map<string, number>();
  for (const { nodes, worstHalfUlps } of proof.regions)
    for (const name of nodes) worst.set(name, Math.max(worst.get(name) ?? 0, worstHalfUlps));
  return (nodes) => {
    const most = nodes.reduce((n, { record, outputs }) => {
      const name = record.name || (outputs.find((value) => value !== undefined)?.name ?? "");
      return Math.max(n, worst.get(name) ?? 0);
    }, 0);
    return limitBy(most);
  };
}

/** What regions that differ on made-up values come to. */
function* weighed(
  a: Model,
  b: Model,
  regions: RegionWitness,
  found: RegionsFound & { outcome: "different" },
  options: RunOptions,
): Steps<Witness> {
  const samples: Sample[] = [];
  const whole = yield* witnessSteps(a, b, { different: true, ...options, observe: (sample) => samples.push(sample) });
  if (whole.outcome === "different") return { ...whole, regions: found.runs };
  const runs = new Map(found.runs.map((run) => [run.value, run]));
  let first: { region: Region; run: RegionRun } | undefined;
  const [sample] = samples;
  for (const region of found.open) {
    const run = sample === undefined ? undefined : yield* onGiven(a, regions, region, sample, options.seed ?? 1);
    if (run === undefined || !run.ok) first ??= { region, run: run ?? (runs.get(region.target.b.name) as RegionRun) };
    if (run !== undefined) runs.set(region.target.b.name, run);
  }
  const list = [...runs.values()];
  if (first === undefined) {
    const because = `${found.open.length} changed parts differ on made-up values only, which the first file does not give them`;
    return { ...whole, regions: list, reason: whole.reason === undefined ? because : `${whole.reason}; ${because}` };
  }
  const { region, run } = first;
  const guilty = region.nodesB[region.nodesB.length - 1];
  return {
    ...whole,
    outcome: "different",
    regions: list,
    firstDifference: {
      value: run.value,
      node: `${guilty.record.name || guilty.record.outputs[0]} (${guilty.opType})`,
      channel: undefined,
      maxDifference: run.maxDifference,
      sample: run.inputs.join(", "),
      between: region.nodesB.map(({ record }) => record.name || record.outputs[0]),
      agreeing: region.inputs.map((cut) => ({ value: cut.b.name, maxDifference: 0 })),
    },
  };
}

/** A region on the values the first file computes on a sample; undefined where those cannot be had. */
function* onGiven(a: Model, regions: RegionWitness, region: Region, sample: Sample, seed: number): Steps<RegionRun | undefined> {
  const values = new Map<string, Value>(sample.feeds);
  const wanted = region.inputs.flatMap((cut) => (cut.a.producer === undefined ? [] : [cut.a.name]));
  try {
    if (wanted.length > 0)
      for (const [name, value] of yield* variantSteps(plain(a), sample.feeds, { seed, only: wanted })) values.set(name, value);
    return yield* regions.onValues(region, values);
  } catch (error) {
    inputError(error);
    return undefined;
  }
}
