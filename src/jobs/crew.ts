/**
 * Child processes that take one task after the other. Whatever happens to one of them, a crash, too much memory or too long a
 * time, costs its task and nothing else; the next task gets a new process.
 */
import { type ChildProcess, execFile, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

export type Fate = "crash" | "memory" | "time" | "stopped";

/** A task whose process did not survive it. */
export class Lost extends Error {
  constructor(
    readonly fate: Fate,
    message: string,
    /** Process that did it. */
    readonly worker: number,
  ) {
    super(message);
  }
}

export interface Limits {
  /** Bytes of a process: its resident set. */
  readonly memory?: number;
  /** Of one task. */
  readonly seconds?: number;
}

/** How often a process is looked at. */
const LOOK_MS = 200;
/** Milliseconds between asking a process to end and ending it. */
const LEAVE_MS = 2_000;

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

/** Resident bytes of a process; undefined where nobody says. */
async function residentBytes(pid: number): Promise<number | undefined> {
  try {
    if (process.platform === "linux") {
      const [, kilobytes] = /^VmRSS:\s*(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
      return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
    }
    const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", String(pid)]);
    return Number(stdout) * 1024;
  } catch {
    return undefined;
  }
}

interface Member {
  readonly process: ChildProcess;
  /** Why it was ended, when this side ended it. */
  fate?: { readonly fate: Fate; readonly message: string };
}

export class Crew<Task extends object, Answer> {
  private readonly idle: Member[] = [];
  private readonly all = new Set<Member>();
  private closed = false;

  /** `program`: what a process runs, and its arguments. */
  constructor(
    private readonly program: readonly [file: string, ...args: string[]],
    private readonly limits: Limits = {},
  ) {}

  /** Processes there are. */
  get size(): number {
    return this.all.size;
  }

  /** Does a task in a process of its own. @throws Lost when the process did not survive it, or was stopped. */
  async perform(task: Task, signal?: AbortSignal): Promise<Answer> {
    if (this.closed || signal?.aborted === true) throw new Lost("stopped", "stopped before it began", 0);
    const member = this.idle.pop() ?? this.hire();
    const { process: child } = member;
    const pid = child.pid ?? 0;
    const watch = this.watch(member);
    const stop = (): void => this.end(member, "stopped", "stopped");
    signal?.addEventListener("abort", stop);
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        child.once("message", (message) => resolve(message as Answer));
        child.once("error", (error) => reject(new Lost("crash", error.message, pid)));
        child.once("exit", (code, how) => {
          const { fate, message } = member.fate ?? { fate: "crash", message: `ended with ${how ?? `code ${code}`}` };
          reject(new Lost(fate, message, pid));
        });
        child.send(task, (error) => {
          // An exit says more, and comes too.
          if (error !== null) setTimeout(() => reject(new Lost("crash", error.message, pid)), LEAVE_MS);
        });
      });
      await this.release(member);
      return answer;
    } catch (error) {
      this.dismiss(member);
      throw error;
    } finally {
      clearInterval(watch);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Ends what is idle now, and what is at work at once. */
  close(): void {
    this.closed = true;
    for (const member of this.all) this.dismiss(member);
  }

  /** A signal for every process. */
  kill(signal: NodeJS.Signals): void {
    for (const { process: child } of this.all) child.kill(signal);
  }

  private hire(): Member {
    const [file, ...args] = this.program;
    const child = fork(file, args, { stdio: ["ignore", "ignore", "inherit", "ipc"], execArgv: process.execArgv });
    const member: Member = { process: child };
    this.all.add(member);
    child.on("exit", () => this.dismiss(member));
    return member;
  }

  /** Back among the idle ones, unless it holds much of what the next task may need. */
  private async release(member: Member): Promise<void> {
    const { process: child } = member;
    for (const name of ["message", "error"]) child.removeAllListeners(name);
    child.removeAllListeners("exit").on("exit", () => this.dismiss(member));
    child.on("error", () => this.dismiss(member));
    const { memory } = this.limits;
    const heavy = memory !== undefined && ((await residentBytes(child.pid ?? 0)) ?? 0) > memory / 2;
    if (heavy || this.closed) this.dismiss(member);
    else if (this.all.has(member)) this.idle.push(member);
  }

  private dismiss(member: Member): void {
    this.all.delete(member);
    const at = this.idle.indexOf(member);
    if (at >= 0) this.idle.splice(at, 1);
    const { process: child } = member;
    // Without its channel it has nobody to work for, and leaves; one that computes does not notice, and is ended.
    if (child.connected) child.disconnect();
    if (child.exitCode === null && child.signalCode === null) {
      const later = setTimeout(() => child.kill("SIGKILL"), LEAVE_MS);
      child.once("exit", () => clearTimeout(later));
    }
  }

  private end(member: Member, fate: Fate, message: string): void {
    member.fate ??= { fate, message };
    member.process.kill("SIGKILL");
  }

  private watch(member: Member): NodeJS.Timeout {
    const { memory, seconds } = this.limits;
    const start = performance.now();
    let looking = false;
    return setInterval(async () => {
      if (seconds !== undefined && performance.now() - start > 1000 * seconds)
        this.end(member, "time", `not done after ${seconds} s, the time limit`);
      if (memory === undefined || looking) return;
      looking = true;
      const used = (await residentBytes(member.process.pid ?? 0)) ?? 0;
      looking = false;
      if (used > memory) this.end(member, "memory", `more memory than the limit of ${megabytes(memory)}`);
    }, LOOK_MS);
  }
}
