/** A process that folds one model after the other for `batch.ts`, or compares pairs for `verify-many.ts`. A crash in it costs one model, not the run. */
import { createHash } from "node:crypto";
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { openModel, resolveLocation } from "../node/files.ts";
import { tool } from "../report/report.ts";
import type { Line } from "./batch-lines.ts";
import type { Values } from "./command.ts";
import { sha256 } from "./files.ts";
import { EXIT, foldOne } from "./fold-one.ts";
import { Progress } from "./progress.ts";
import { targetOf } from "./target.ts";
import { explain } from "./terminal.ts";
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

/** SHA-256 over a model and its side files; null when one cannot be read. */
async function contentOf(file: string): Promise<string | null> {
  const hash = createHash("sha256");
  try {
    // Reading a pipe would wait for whoever writes to it.
    if (!statSync(file).isFile()) return null;
    hash.update(await sha256(file));
    const opened = openModel(file);
    const locations = new Set(opened.model.externalTensors.map(({ external }) => external?.location ?? ""));
    opened.close();
    for (const location of [...locations].sort()) hash.update(`\0${location}\0${await sha256(resolveLocation(file, location))}`);
    return hash.digest("hex");
  } catch {
    return null;
  }
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
      threads: 1,
    });
    const status = code === EXIT.notEquivalent ? "failed" : "done";
    return { ...base, status, code, seconds: seconds(), report };
  } catch (error) {
    const known = explain(error);
    const { kind = "internal", hint } = known ?? {};
    const message = known?.message ?? (error instanceof Error ? error.message : String(error));
    return {
      ...base,
      status: "failed",
      code: known?.exitCode ?? 70,
      seconds: seconds(),
      error: { kind, message, ...(hint === undefined ? {} : { hint }) },
    };
  }
}

/** Takes jobs until the other side goes away. */
export function work(): Promise<number> {
  return new Promise((resolve) => {
    process.on("disconnect", () => resolve(0));
    // The one who gave the work decides what an interrupt means; a terminal sends it to all.
    process.on("SIGINT", () => undefined);
    process.on("message", (job: Job | Pair) => {
      const work = async () => (job.task === "fold" ? perform(job) : (await import("./verify-many.ts")).performPair(job));
      void work().then((line) => {
        // Nobody listens any more when the one who gave the work was interrupted.
        if (process.connected) process.send?.(JSON.parse(JSON.stringify(line, finite)), undefined, undefined, () => undefined);
      });
    });
  });
}

/** What JSON has no number for, as in other reports. */
const finite = (_key: string, v: unknown): unknown => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v);
