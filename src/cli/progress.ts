/**
 * Progress on stderr. Most work is synchronous, so nothing here waits for a timer: a terminal shows the stage as it begins
 * and a bar as it goes; elsewhere a stage that took longer than half a second leaves one plain line.
 */
import { performance } from "node:perf_hooks";
import { shorten } from "../report/layout.ts";
import { milliseconds, printable } from "../report/words.ts";
import { channel } from "./terminal.ts";

const SLOW_MS = 500;
const REDRAW_MS = 100;
const BAR = 24;
/** Characters of a name that still say something. */
const LEAST_NAME = 8;
/** An estimate is told once this much of the work, in this time, says how fast it goes. */
const [KNOWN_MS, KNOWN_PART] = [2000, 0.1];

/** Seconds that are left of a stage; undefined where that is not yet known, or all is done. */
export function secondsLeft(done: number, total: number, spentMs: number): number | undefined {
  if (spentMs < KNOWN_MS || !(done >= KNOWN_PART * total) || done >= total) return undefined;
  return (spentMs * (total - done)) / done / 1000;
}

/** Time that is left in words, as rough as it is known; nothing where it is next to nothing. */
export function roughly(seconds: number): string {
  if (seconds < 1) return "";
  if (seconds < 90) return `about ${Math.round(seconds > 20 ? 5 * Math.round(seconds / 5) : seconds)} s left`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min left` : `about ${Math.round(minutes / 60)} h left`;
}

export const left = (done: number, total: number, spentMs: number): string => roughly(secondsLeft(done, total, spentMs) ?? 0);

export class Progress {
  private stage = "";
  private startedAt = 0;
  private drawnAt = 0;
  /** A stage that begins anew, as a proof that looks again, is one more pass: it never goes back without a word. */
  private pass = 1;
  private passAt = 0;
  private done = 0;
  private readonly terminal: boolean;
  private readonly told = channel().onProgress;

  /** `quiet`: says nothing, for work whose progress another one shows. */
  constructor(private readonly quiet = false) {
    this.terminal = !quiet && this.told === undefined && process.stderr.isTTY === true;
  }

  /** Begins a stage, ends the one before. */
  begin(stage: string): void {
    this.end();
    this.stage = stage;
    this.startedAt = performance.now();
    [this.pass, this.passAt, this.done] = [1, this.startedAt, 0];
    this.told?.(stage, 0, 0);
    this.draw(stage);
  }

  /** `done` of `total` steps of the stage; `part` names what is being done, `rest` says what is left where the steps do not. */
  step(done: number, total: number, part = "", rest?: string): void {
    const now = performance.now();
    if (done < this.done) [this.pass, this.passAt] = [this.pass + 1, now];
    this.done = done;
    if (now - this.drawnAt < REDRAW_MS || now - this.startedAt < SLOW_MS) return;
    if (this.told !== undefined) {
      this.drawnAt = now;
      this.told(this.stage, done, total);
    }
    const filled = total > 0 ? Math.min(BAR, Math.floor((BAR * done) / total)) : 0;
    const name = this.pass === 1 ? this.stage : `${this.stage}, pass ${this.pass}`;
    const bar = `${name} [${"=".repeat(filled)}${" ".repeat(BAR - filled)}] ${done}/${total}`;
    this.draw([bar, rest ?? left(done, total, now - this.passAt)].filter((word) => word !== "").join(" "), part);
  }

  /** Ends the stage and returns how long it took, in milliseconds. */
  end(): number {
    if (this.stage === "") return 0;
    const spent = performance.now() - this.startedAt;
    if (this.terminal) process.stderr.write("\r\u001b[K");
    else if (spent > SLOW_MS && !this.quiet && this.told === undefined)
      process.stderr.write(`bnfold: ${this.stage}, ${milliseconds(spent)}\n`);
    this.stage = "";
    return spent;
  }

  /** One line, however narrow the terminal: the name of what is being done gives way first. */
  private draw(line: string, part = ""): void {
    if (!this.terminal) return;
    this.drawnAt = performance.now();
    const width = Math.max(20, process.stderr.columns ?? 80) - 1;
    const room = width - line.length - 2;
    const named = part === "" || room < LEAST_NAME ? line : `${line}  ${shorten(printable(part), room)}`;
    process.stderr.write(`\r\u001b[K${named.slice(0, width)}`);
  }
}

/** Stages told one by one, on a display of stages. */
export function stagesOn(progress: Progress): (stage: string, done: number, total: number) => void {
  let current = "";
  return (stage, done, total) => {
    if (stage !== current) progress.begin(stage);
    current = stage;
    progress.step(done, total);
  };
}
