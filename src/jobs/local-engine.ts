/** The engine without a server: jobs are done by children of this process, and forgotten with it. */
import { setTimeout as wait } from "node:timers/promises";
import { type Counts, type Engine, type Hands, pauseMs, type Tries } from "./engine.ts";
import type { Job } from "./job.ts";

export class LocalEngine implements Engine {
  readonly label = "this machine";
  private readonly waiting = new Map<string, { readonly job: Job; readonly tries: Tries }>();
  private readonly active = new Set<string>();
  private closed = false;

  constructor(
    private readonly hands: Hands,
    private readonly jobs: number,
    private readonly onError: (error: Error) => void,
  ) {}

  async add(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs)
      if (!this.waiting.has(job.id) && !this.active.has(job.id)) this.waiting.set(job.id, { job, tries: { lost: 0, later: 0 } });
    this.begin();
  }

  async counts(): Promise<Counts> {
    return { waiting: this.waiting.size, active: this.active.size, workers: [this.label] };
  }

  async remove(jobs: readonly Job[]): Promise<void> {
    for (const { id } of jobs) this.waiting.delete(id);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.waiting.clear();
  }

  private begin(): void {
    while (!this.closed && this.active.size < this.jobs) {
      const [first] = this.waiting;
      if (first === undefined) return;
      const [id, { job, tries }] = first;
      this.waiting.delete(id);
      this.active.add(id);
      void this.one(job, tries)
        .catch(this.onError)
        .finally(() => {
          this.active.delete(id);
          this.begin();
        });
    }
  }

  private async one(job: Job, tries: Tries): Promise<void> {
    const outcome = await this.hands.perform(job, tries);
    if (this.closed || outcome.kind === "back") return;
    if (outcome.kind === "done") {
      await this.add(outcome.next);
      return;
    }
    if (outcome.kind === "later") await wait(pauseMs(tries.later), undefined, { ref: true });
    const next = outcome.kind === "lost" ? { ...tries, lost: tries.lost + 1 } : { ...tries, later: tries.later + 1 };
    if (!this.closed) this.waiting.set(job.id, { job, tries: next });
  }
}
