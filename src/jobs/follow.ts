/**
 * Brings a run to its end by looking at the store: what is done is read, what is not done and not in the queue is added again.
 * Nothing is remembered between two looks that the store could not say, so that looking may stop and begin anew at any time.
 */
import { setTimeout as wait } from "node:timers/promises";
import { BnfoldError } from "../diag/error.ts";
import { Absence, backoffMs, isPassing } from "./absence.ts";
import type { Counts, Engine } from "./engine.ts";
import type { Job } from "./job.ts";
import { doneKey } from "./layout.ts";
import { doneIds, doneLine, isCancelled } from "./runs.ts";
import type { Store } from "./store.ts";

export interface Look<L> {
  readonly lines: ReadonlyMap<string, L>;
  /** Jobs that may run now and are not done. */
  readonly open: number;
  /** undefined while the queue does not answer. */
  readonly counts: Counts | undefined;
}

export interface FollowOptions<L> {
  readonly store: Store;
  readonly engine: Engine;
  readonly run: string;
  /** What may run now, given what is done. */
  readonly next: (done: ReadonlySet<string>) => readonly Job[];
  /** Ids that belong to the run. */
  readonly wanted: ReadonlySet<string>;
  readonly parse: (value: unknown) => L | undefined;
  /** A line after which there is nothing more to do. */
  readonly isEnd?: (line: L) => boolean;
  readonly onLook?: (look: Look<L>) => void;
  readonly onTrouble?: (message: string) => void;
  /** Milliseconds after which an engine that does not answer is given up; default: never. */
  readonly patience?: number;
  /** Stops looking; the work goes on where it is. */
  readonly signal?: AbortSignal;
}

export type Ended = "done" | "failed" | "cancelled" | "detached";

/** Milliseconds between two looks at the least; a look that takes long is not made often. */
const LOOK_MS = 250;
const PART = 10;
const LONGEST_MS = 60_000;
/** Lines read at the same time. */
const LANES = 16;
/** Looks in a row that must find jobs missing in the queue: one that was just taken is nowhere for a moment. */
const MISSED = 2;

async function readNew<L>(options: FollowOptions<L>, ids: Iterable<string>, lines: Map<string, L>): Promise<void> {
  const { store, run, wanted, parse } = options;
  const fresh = [...ids].filter((id) => wanted.has(id) && !lines.has(id));
  const lane = async (): Promise<void> => {
    for (let id = fresh.pop(); id !== undefined; id = fresh.pop()) {
      const line = parse(await doneLine(store, run, id));
      if (line !== undefined) lines.set(id, line);
      // Cut off when a machine went down: as if it were not there.
      else await store.remove(doneKey(run, id));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** What a store says that does not answer, and a mount that is away. */
const passes = (error: unknown): boolean =>
  isPassing(error) || (error instanceof BnfoldError && error.kind === "file" && error.cause !== undefined);

/** @throws BnfoldError of kind "temporary" when the engine has not answered for too long. */
export async function follow<L>(
  options: FollowOptions<L>,
): Promise<{ readonly ended: Ended; readonly lines: ReadonlyMap<string, L> }> {
  const { store, engine, run, next, isEnd, onLook, onTrouble, signal } = options;
  const lines = new Map<string, L>();
  const absence = new Absence(`the queue ${engine.label}`, options.patience ?? Number.POSITIVE_INFINITY, (text) =>
    onTrouble?.(text),
  );
  let [missed, unanswered, before] = [MISSED, 0, 0];
  for (;;) {
    const start = performance.now();
    const gone = absence.failure("The jobs go on when it is back; the same command attaches again.");
    if (gone !== undefined) throw gone;
    try {
      await readNew(options, await doneIds(store, run), lines);
      if (isEnd !== undefined && [...lines.values()].some(isEnd)) return { ended: "failed", lines };
      const open = next(new Set(lines.keys()));
      if (open.length === 0) return { ended: "done", lines };
      if (await isCancelled(store, run)) return { ended: "cancelled", lines };
      const counts = await asked(engine, absence);
      unanswered = counts === undefined ? unanswered + 1 : 0;
      onLook?.({ lines, open: open.length, counts });
      // Another run may share the queue: then it holds more, and what it lacks shows when that one is done.
      if (counts !== undefined) missed = counts.waiting + counts.active < open.length ? missed + 1 : 0;
      if (counts !== undefined && missed >= MISSED) {
        await engine.add(open);
        missed = 0;
      }
    } catch (error) {
      if (!passes(error)) throw error;
      unanswered++;
      onTrouble?.((error as Error).message);
    }
    // One look that took long, because it had to wait for somebody, says nothing of the next.
    const now = performance.now() - start;
    const pause = unanswered > 0 ? backoffMs(unanswered - 1) : Math.min(LONGEST_MS, PART * Math.min(before, now));
    before = unanswered > 0 ? 0 : now;
    await wait(Math.max(LOOK_MS, pause), undefined, { signal }).catch(() => undefined);
    if (signal?.aborted === true) return { ended: "detached", lines };
  }
}

async function asked(engine: Engine, absence: Absence): Promise<Counts | undefined> {
  try {
    const counts = await engine.counts();
    absence.seen();
    return counts;
  } catch (error) {
    absence.missed((error as Error).message);
    return undefined;
  }
}
