/**
 * The steps of a recalibration, read off the store: shards of a level of layers, the merge of the level, the next level, the model.
 * A pure function of what is there, so that whoever looks, a worker that has just done a step or a command that attaches again,
 * comes to the same jobs with the same names.
 */

import type { StepJob } from "./job.ts";
import { doneKey } from "./layout.ts";
import type { Plan } from "./runs.ts";
import type { Store } from "./store.ts";

export type Template = Pick<StepJob, "run" | "tag" | "attempts" | "retries">;

const step = (template: Template, kind: StepJob["kind"], level: number, index: number, of: number, holder?: string): StepJob => ({
  ...{ v: 1, kind, run: template.run, tag: template.tag, attempts: template.attempts, retries: template.retries },
  ...{ id: `${kind}-${template.run.slice(-32)}-${level}-${index}-${of}`, level, index, of },
  ...(holder === undefined ? {} : { holder }),
});

/** Shards a level is cut into: no more than there are blocks; as many for each holder of data. */
export const shardsOf = ({ samples, block, holders }: Plan, asked: number): number =>
  holders === undefined ? Math.min(asked, Math.ceil(samples / block)) : asked * holders.length;

/** Steps in order; those of one entry may run at the same time. */
export function stepsOf(plan: Plan, shards: number, template: Template): StepJob[][] {
  const { holders } = plan;
  const whose = (i: number) => holders?.[Math.floor((i * holders.length) / shards)];
  const counts = holders?.map((holder, i) => step(template, "count", 0, i + 1, shards, holder));
  const levels = Array.from({ length: plan.levels }, (_, i) => i + 1).flatMap((level) => [
    Array.from({ length: shards }, (_, i) => step(template, "shard", level, i + 1, shards, whose(i))),
    [step(template, "merge", level, 1, shards)],
  ]);
  return [...(counts === undefined ? [] : [counts]), ...levels, [step(template, "apply", plan.levels, 1, shards)]];
}

/** The jobs that are next; none when all is done, or when a step has failed for good. */
export function nextSteps(steps: readonly (readonly StepJob[])[], done: ReadonlySet<string>): StepJob[] {
  for (const group of steps) {
    const open = group.filter(({ id }) => !done.has(id));
    if (open.length > 0) return open;
  }
  return [];
}

/** What a step that is done lets begin, by asking for the steps of its own level only. */
export async function stepsAfter(store: Store, plan: Plan, job: StepJob): Promise<StepJob[]> {
  const steps = stepsOf(plan, job.of, job);
  const at = steps.findIndex((group) => group.some(({ id }) => id === job.id));
  if (at < 0 || at + 1 >= steps.length) return [];
  // By name, not by listing: a folder that is shared may be listed as it was a moment ago.
  const there = await Promise.all(steps[at].map(async ({ run, id }) => (await store.stat(doneKey(run, id))) !== undefined));
  return there.every((yes) => yes) ? steps[at + 1] : [];
}
