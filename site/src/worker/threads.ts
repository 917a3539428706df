/**
 * Threads for the kernels, where the browser shares memory between them: on pages of their own origin alone, which the service worker makes
 * of every visit but the first (sw.ts). Results keep every bit. They end with this worker.
 */
import { assemble, createWasm, THREAD_SOURCE, useBackend } from "../../../src/kernels/index.ts";

/** More share little of one model's work. */
const MOST = 8;

let started = false;

/** Starts as many as the machine has processors for, this one counted; once. */
export function startThreads(): void {
  const size = Math.min(MOST, navigator.hardwareConcurrency);
  if (started || size < 2 || !globalThis.crossOriginIsolated) return;
  started = true;
  const source = new Blob([`addEventListener("message", ({ data: recruit }) => {${THREAD_SOURCE}});`], {
    type: "text/javascript",
  });
  const url = URL.createObjectURL(source);
  const team = assemble(size, (recruit) => new Worker(url).postMessage(recruit));
  if (team !== undefined) useBackend(createWasm(team));
}
