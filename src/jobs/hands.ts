/** What a worker does with a job: hands it to a child process, and says what became of it. It never computes itself, so that its word to the queue is never late. */
import { BnfoldError } from "../diag/error.ts";
import { tool } from "../report/report.ts";
import { type Crew, Lost } from "./crew.ts";
import type { Hands, Outcome, Tries } from "./engine.ts";
import { holderOf, type Job, requireJob } from "./job.ts";
import { doneKey } from "./layout.ts";
import { doneLine } from "./runs.ts";
import { bytesOf, type Store } from "./store.ts";

/** What a child is given. */
export interface Task {
  readonly task: "stored";
  /** URL or folder of the store. */
  readonly store: string;
  /** The name it must have. */
  readonly storeId: string;
  readonly job: Job;
  /** Folder of this task alone, for copies; made and removed by the child. */
  readonly scratch: string;
  /** What a holder of data lets its own jobs read: on no other machine, and in no job. */
  readonly data?: readonly string[];
}

export type Answer =
  | { readonly kind: "done"; readonly next: readonly Job[]; readonly failed: boolean }
  | { readonly kind: "later"; readonly why: string; readonly here: boolean };

export interface HandsOptions {
  readonly store: Store;
  readonly storeUrl: string;
  readonly storeId: string;
  readonly crew: Crew<Task, Answer>;
  readonly tag: string;
  /** Options a job may have. */
  readonly allowed: ReadonlySet<string>;
  readonly scratch: (id: string) => string;
  /** Does what its holder alone can do, and nothing else. */
  readonly holder?: { readonly name: string; readonly data: readonly string[] };
  /** Ends what is under way and hands it back. */
  readonly signal?: AbortSignal;
  readonly onOutcome?: (job: Job, outcome: Outcome) => void;
}

export const fileOf = (job: Job): string =>
  "file" in job ? job.file : `${job.kind} ${job.level}.${job.index}${job.holder === undefined ? "" : ` of ${job.holder}`}`;

/** The line of a job that no process could do. */
function failedLine(job: Job, code: number, kind: string, message: string): object {
  const error = { kind, message };
  return {
    version: 1,
    tool: tool(),
    file: fileOf(job),
    status: "failed",
    code,
    content: null,
    settings: job.run,
    seconds: 0,
    worker: 0,
    error,
  };
}

const times = (n: number): string => (n === 1 ? "once" : `${n} times`);

export class StoreHands implements Hands {
  constructor(private readonly options: HandsOptions) {}

  async perform(data: unknown, tries: Tries): Promise<Outcome> {
    const { allowed, tag, onOutcome } = this.options;
    const job = requireJob(data, allowed);
    if (job.tag !== tag)
      throw new BnfoldError(
        "usage",
        `the job ${job.id} is for bnfold ${job.tag}, this is ${tag}: their bytes may differ`,
        {},
        "Use the same version everywhere.",
      );
    const [whose, own] = [holderOf(job), this.options.holder?.name];
    if (whose !== own)
      throw new BnfoldError("usage", `the job ${job.id} is for ${whose ?? "workers without --holder"}, this is ${own ?? "none"}`);
    const outcome = await this.once(job, tries);
    onOutcome?.(job, outcome);
    return outcome;
  }

  private async once(job: Job, tries: Tries): Promise<Outcome> {
    const { crew, storeUrl, storeId, scratch, signal, holder } = this.options;
    if (tries.lost >= job.attempts) {
      const done = await this.isDone(job);
      if (done instanceof Error) return { kind: "later", why: done.message, here: false };
      if (!done) return this.fail(job, 70, "crash", `its process or its worker did not survive it, ${times(tries.lost)}`);
    }
    try {
      const task: Task = { task: "stored", store: storeUrl, storeId, job, scratch: scratch(job.id), data: holder?.data };
      const answer = await crew.perform(task, signal);
      if (answer.kind === "done") return { kind: "done", next: answer.next };
      if (tries.later >= job.retries) return this.fail(job, 75, "temporary", `${answer.why} (tried ${times(tries.later + 1)})`);
      return answer;
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      if (error.fate === "stopped") return { kind: "back" };
      const what =
        error.fate === "crash" ? `the process that did it ${error.message}: out of memory, or a defect of bnfold` : error.message;
      if (tries.lost + 1 < job.attempts) return { kind: "lost", why: what };
      return this.fail(job, 70, error.fate, `${what} (tried ${times(tries.lost + 1)})`);
    }
  }

  /** Whether a worker did it whose word did not reach the queue; why the store does not say. */
  private async isDone(job: Job): Promise<boolean | Error> {
    try {
      return (await doneLine(this.options.store, job.run, job.id)) !== undefined;
    } catch (error) {
      return error as Error;
    }
  }

  /** Given up: that is a result too, and stands in the store with the others. */
  private async fail(job: Job, code: number, kind: string, message: string): Promise<Outcome> {
    try {
      await this.options.store.put(doneKey(job.run, job.id), bytesOf(failedLine(job, code, kind, message)));
      return { kind: "done", next: [] };
    } catch (error) {
      return { kind: "later", why: (error as Error).message, here: false };
    }
  }
}
