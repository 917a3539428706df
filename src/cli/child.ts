/** A process that does one task after the other for `batch.ts`, or `verify-many.ts`, or for a worker. A crash in it costs one model, not the run. */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Task } from "../jobs/hands.ts";
import { tool } from "../report/report.ts";
import type { Line } from "./batch-lines.ts";
import type { Values } from "./command.ts";
import { sha256 } from "./files.ts";
import { EXIT, foldOne } from "./fold-one.ts";
import { contentOf, failureOf, finite } from "./line-parts.ts";
import { Progress } from "./progress.ts";
import { targetOf } from "./target.ts";
import type { Pair } from "./verify-many.ts";

export interface Job {
  readonly task: "fold";
  readonly file: string;
  /** Name in the report. */
  readonly name: string;
  /** undefined on a dry run. */
  readonly output: string | undefined;
  readonly values: Values;
  readonly settings: string;
  readonly previous: Line | undefined;
}

/** True when every file an earlier line says it wrote is there with those bytes. */
async function isThere({ report }: Line): Promise<boolean> {
  if (report?.output == null) return false;
  for (const { file, sha256: hash } of [report.output, ...report.output.sideFiles]) {
    if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true || (await sha256(file)) !== hash) return false;
  }
  return true;
}

async function perform({ file, name, output, values, settings, previous }: Job): Promise<Line> {
  const start = performance.now();
  const content = await contentOf(file);
  const base = { version: 1, tool: tool(), file: name, content, settings, worker: process.pid } as const;
  const same = previous?.status === "done" && content !== null && previous.content === content && previous.settings === settings;
  if (previous !== undefined && same && (await isThere(previous))) return { ...previous, resumed: true };
  const seconds = () => Math.round(performance.now() - start) / 1000;
  try {
    if (output !== undefined) mkdirSync(dirname(output), { recursive: true });
    const own = { ...values, model: file, output, "output-file": undefined } as Values;
    const { report, code } = await foldOne(own, file, targetOf(file, own), {
      progress: new Progress(true),
      hash: true,
      many: true,
      threads: 1,
    });
    const status = code === EXIT.notEquivalent ? "failed" : "done";
    return { ...base, status, code, seconds: seconds(), report };
  } catch (error) {
    return { ...base, seconds: seconds(), ...failureOf(error) };
  }
}

/** Takes jobs until the other side goes away. */
export function work(): Promise<number> {
  return new Promise((resolve) => {
    process.on("disconnect", () => resolve(0));
    // The one who gave the work decides what an interrupt means; a terminal sends it to all.
    process.on("SIGINT", () => undefined);
    const answer = async (task: Job | Pair | Task): Promise<unknown> => {
      if (task.task === "fold") return perform(task);
      if (task.task === "verify") return (await import("./verify-many.ts")).performPair(task);
      return (await import("./stored.ts")).performStored(task);
    };
    process.on("message", (task: Job | Pair | Task) => {
      void answer(task).then((said) => {
        // Nobody listens any more when the one who gave the work was interrupted.
        if (process.connected) process.send?.(JSON.parse(JSON.stringify(said, finite)), undefined, undefined, () => undefined);
      });
    });
  });
}
