/**
 * Programs whose bytes could differ do not work together. Each has a queue of its own, so that no job can reach the wrong one;
 * here it is told, before somebody waits for what never comes.
 */
import { BnfoldError } from "../diag/error.ts";
import { persist } from "../jobs/absence.ts";
import { type BullEngine, bullEngine } from "../jobs/bullmq-engine.ts";
import type { Counts } from "../jobs/engine.ts";
import { queueName, tagsOf } from "../jobs/runs.ts";
import type { Session } from "./jobs-session.ts";

/** The first other program that has used the store and whose queue is as asked. */
async function otherWith(
  { store, tag, id, patience }: Session,
  url: string,
  wanted: (counts: Counts) => boolean,
  holder?: string,
): Promise<string | undefined> {
  for (const other of await tagsOf(store)) {
    if (other === tag) continue;
    const engine = await bullEngine(url, {
      name: (whose) => queueName(id, other, whose),
      onError: () => undefined,
      holders: [holder],
      patience: patience.first,
    });
    const counts = await persist(patience.first, () => engine.counts()).finally(() => engine.close());
    if (wanted(counts)) return other;
  }
  return undefined;
}

const mixed = (what: string, other: string, own: string): BnfoldError =>
  new BnfoldError(
    "usage",
    `${what} bnfold ${other}, this is ${own}: their bytes may differ`,
    {},
    "Install the same version, on the same version of Node, everywhere.",
  );

/** For a worker: jobs that another program put there, while there are none for this one. @throws BnfoldError of kind "usage". */
export async function refuseForeignJobs(session: Session, url: string, own: BullEngine, holder?: string): Promise<void> {
  const { waiting, active } = await persist(session.patience.first, () => own.counts());
  if (waiting + active > 0) return;
  const other = await otherWith(session, url, (counts) => counts.waiting > 0, holder);
  if (other !== undefined) throw mixed("the jobs in this queue are for", other, session.tag);
}

/** For a command: workers of another program, while there are none of this one. @throws BnfoldError of kind "usage". */
export async function refuseForeignWorkers(session: Session, url: string, own: BullEngine): Promise<void> {
  // A server that does not say who works says nothing against it.
  const { workers: mine } = await persist(session.patience.first, () => own.counts());
  if (mine?.length !== 0) return;
  const other = await otherWith(session, url, ({ workers }) => workers !== undefined && workers.length > 0);
  if (other !== undefined) throw mixed("the workers at this queue are of", other, session.tag);
}
