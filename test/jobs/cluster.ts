/** Commands and workers as processes of their own, for tests that end them. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { bin } from "../cli/bnfold.ts";

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<{
    readonly code: number | null;
    readonly signal: string | null;
    readonly stdout: string;
    readonly stderr: string;
  }>;
  stderr(): string;
}

type Env = Readonly<Record<string, string>>;

/** What a test that failed leaves behind ends with the tests. */
const live = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of live) killGroup({ child });
});

/** Begins a command. `detached`: in a process group of its own, which can be ended as one. */
export function begin(args: readonly string[], env: Env = {}, program = bin): Running {
  const { NO_COLOR: _a, FORCE_COLOR: _b, BNFOLD_QUEUE: _c, BNFOLD_STORE: _d, ...rest } = process.env;
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...rest, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  live.add(child);
  child.once("exit", () => live.delete(child));
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const ended = new Promise<Awaited<Running["ended"]>>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended, stderr: () => stderr };
}

export const run = (args: readonly string[], env: Env = {}): Running["ended"] => begin(args, env).ended;

/** Ends a process and its children at once, as a machine that loses power does. */
export function killGroup({ child }: Pick<Running, "child">): void {
  try {
    process.kill(-(child.pid as number), "SIGKILL");
  } catch {
    // It has ended.
  }
}

export async function until(what: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
    if (await what()) return;
    await wait(25);
  }
  throw new Error("it did not happen in time");
}

/** Relative paths and SHA-256 of all files below a folder. */
export function contents(folder: string, only: (name: string) => boolean = () => true): Map<string, string> {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
  const files = names.filter((name) => only(name) && statSync(join(folder, name)).isFile()).sort();
  return new Map(
    files.map((name) => [
      name,
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex"),
    ]),
  );
}

/** Names of what a run has committed. */
export function doneIn(store: string): string[] {
  const runs = join(store, ".bnfold", "runs");
  const names = existsSync(runs) ? readdirSync(runs) : [];
  return names.flatMap((name) => {
    const done = join(runs, name, "done");
    return existsSync(done) ? readdirSync(done) : [];
  });
}
