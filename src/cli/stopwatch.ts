import { performance } from "node:perf_hooks";

/** Milliseconds between laps. */
export class Stopwatch {
  private last = performance.now();

  lap(): number {
    const now = performance.now();
    const spent = now - this.last;
    this.last = now;
    // Microseconds are enough for a report.
    return Math.round(spent * 1000) / 1000;
  }
}
