/** Workers of a run over many models. A crash in one costs one model, not the run. */
import { Crew, Lost } from "../jobs/crew.ts";
import { withNumbers } from "../report/revive.ts";

/** What is told of work on many jobs. */
export interface Told<J, L> {
  onStart(job: J): void;
  onLine(line: L, job: J): void;
  /** The line of a job whose process did not survive it, from how it ended. */
  crashed(job: J, worker: number, how: string): L;
  /** A signal ends the work: said before it does. */
  onStop(): void;
}

/** Does all jobs in order, each by the next of `size` processes that is free. */
export async function performAll<J extends object, L>(
  jobs: readonly J[],
  size: number,
  { onStart, onLine, crashed, onStop }: Told<J, L>,
): Promise<void> {
  const crew = new Crew<J, L>([process.argv[1], "--worker"]);
  // Children end with this process, whatever ends it: without their channel they have nobody to work for.
  const stop = (signal: NodeJS.Signals) => {
    crew.kill("SIGTERM");
    onStop();
    process.removeListener("SIGINT", stop);
    process.removeListener("SIGTERM", stop);
    process.kill(process.pid, signal);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let job = jobs[next++]; job !== undefined; job = jobs[next++]) {
      onStart(job);
      try {
        onLine(withNumbers(await crew.perform(job)), job);
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        onLine(crashed(job, error.worker, error.message), job);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: size }, lane));
  } finally {
    process.removeListener("SIGINT", stop);
    process.removeListener("SIGTERM", stop);
    crew.close();
  }
}
