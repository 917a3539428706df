/** The most memory this process has held. */
import { readFileSync } from "node:fs";

/**
 * Peak resident memory of this process, in bytes. Linux counts it for the program (VmHWM); what getrusage says (ru_maxrss) includes
 * the process that started it, up to the moment the program took over, and is the answer only where there is no other.
 */
export function peakMemory(): number {
  try {
    const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // Another system.
  }
  return process.resourceUsage().maxRSS * 1024;
}
