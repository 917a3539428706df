/** Workers of a run over many models. A crash in one costs one model, not the run. */
import { type ChildProcess, fork } from "node:child_process";
import { withNumbers } from "../report/revive.ts";

/** Processes that take one job after the other. */
export class Crew<J extends object, L> {
  private readonly workers = new Set<ChildProcess>();
  private next = 0;
  private open = 0;
  private fail: (error: unknown) => void = () => undefined;

  constructor(
    private readonly jobs: readonly J[],
    private readonly onLine: (line: L) => void,
    /** The line of a job whose process did not survive it. */
    private readonly crashed: (job: J, worker: number, how: string) => L,
  ) {}

  async run(size: number): Promise<void> {
    // Workers end with this process, whatever ends it: without their channel they have nobody to work for.
    const stop = (signal: NodeJS.Signals) => {
      for (const worker of this.workers) worker.kill("SIGTERM");
      process.removeListener("SIGINT", stop);
      process.removeListener("SIGTERM", stop);
      process.kill(process.pid, signal);
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
    try {
      await new Promise<void>((resolve, reject) => {
        this.fail = reject;
        for (let i = 0; i < size; i++) this.hire(resolve);
      });
    } finally {
      process.removeListener("SIGINT", stop);
      process.removeListener("SIGTERM", stop);
      for (const worker of this.workers) worker.disconnect();
    }
  }

  /** A new process, and its first job. */
  private hire(finish: () => void): void {
    const worker = fork(process.argv[1], ["--worker"], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      execArgv: process.execArgv,
    });
    this.workers.add(worker);
    let job: J | undefined;
    const give = (): void => {
      job = this.jobs[this.next++];
      if (job === undefined) {
        if (this.open === 0) finish();
        return;
      }
      this.open++;
      worker.send(job);
    };
    const done = (line: L): void => {
      job = undefined;
      this.open--;
      try {
        this.onLine(line);
      } catch (error) {
        this.fail(error);
      }
    };
    worker.on("message", (line: L) => {
      done(withNumbers(line));
      give();
    });
    worker.on("error", (error) => this.fail(error));
    worker.on("exit", (code, signal) => {
      this.workers.delete(worker);
      if (job === undefined) return;
      done(this.crashed(job, worker.pid ?? 0, signal ?? `code ${code}`));
      this.hire(finish);
    });
    give();
  }
}
