/** Workers of a run over many models. A crash in one costs one model, not the run. */
import { Crew, Lost } from "../jobs/crew.ts";
import { withNumbers } from "../report/revive.ts";

/**
 * Does all jobs in order, each by the next of `size` processes that is free; `onLine` as each is done. `crashed` makes the line of
 * a job whose process did not survive it, from how it ended.
 */
export async function performAll<J extends object, L>(
  jobs: readonly J[],
  size: number,
  onLine: (line: L) => void,
  crashed: (job: J, worker: number, how: string) => L,
): Promise<void> {
  const crew = new Crew<J, L>([process.argv[1], "--worker"]);
  // Children end with this process, whatever ends it: without their channel they have nobody to work for.
  const stop = (signal: NodeJS.Signals) => {
    crew.kill("SIGTERM");
    process.removeListener("SIGINT", stop);
    process.removeListener("SIGTERM", stop);
    process.kill(process.pid, signal);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let job = jobs[next++]; job !== undefined; job = jobs[next++]) {
      try {
        onLine(withNumbers(await crew.perform(job)));
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        onLine(crashed(job, error.worker, error.message));
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
