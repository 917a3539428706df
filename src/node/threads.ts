/** Puts the heavy kernels on several threads of this process. Results keep every bit. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { assemble, createWasm, THREAD_SOURCE, useBackend } from "../kernels/index.ts";

/** Threads that compute for the executor. */
export interface Threads {
  /** Threads computing, the caller's included. */
  readonly size: number;
  /** Ends the others; the kernels then run on the caller's thread. */
  stop(): Promise<void>;
}

/**
 * Starts `size` − 1 threads, by default as many as the machine has processors for, and makes the executor use them. They do not
 * keep the process alive. With one thread, or where WebAssembly SIMD is missing, nothing changes.
 */
export function useThreads(size: number = availableParallelism()): Threads {
  const workers: Worker[] = [];
  const team =
    size < 2
      ? undefined
      : assemble(size, (recruit) => {
          const source = `const recruit = require("node:worker_threads").workerData;${THREAD_SOURCE}`;
          const worker = new Worker(source, { eval: true, workerData: recruit });
          worker.unref();
          workers.push(worker);
        });
  if (team === undefined) return { size: 1, stop: async () => undefined };
  useBackend(createWasm(team));
  return {
    size: team.size,
    async stop() {
      useBackend(undefined);
      await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
    },
  };
}
