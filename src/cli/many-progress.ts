/**
 * Progress over many models in other processes: how many are done, which has been under way longest, and about how long the rest
 * takes. A model takes time for itself and for its bytes, t = c · (BASE + bytes): what is done says c.
 */
import { statSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { Progress, roughly, secondsLeft } from "./progress.ts";

/** Bytes that take as long as what every model takes, whatever its size: some tenths of a second. */
const BASE = 4e6;
const REDRAW_MS = 500;
/** Names that exporters give to the file of weights beside a model. */
const BESIDE = ["", ".data", "_data"];

const bytesOf = (file: string): number =>
  BESIDE.reduce((sum, end) => sum + (statSync(`${file}${end}`, { throwIfNoEntry: false })?.size ?? 0), 0);

export class ManyProgress {
  private readonly progress = new Progress();
  private readonly startedAt = performance.now();
  private readonly weights: ReadonlyMap<string, number>;
  private readonly all: number;
  /** Names of what is under way, the oldest first. */
  private readonly active = new Set<string>();
  private weightDone = 0;
  private count = 0;
  /** Seconds of the rest, as they were known at `knownAt`. */
  private known: number | undefined;
  private knownAt = 0;
  private readonly timer: NodeJS.Timeout;

  /** `jobs`: their names, and the files each of them reads. */
  constructor(stage: string, jobs: readonly { readonly name: string; readonly files: readonly string[] }[]) {
    const weigh = (files: readonly string[]) => files.reduce((sum, file) => sum + bytesOf(file), BASE);
    this.weights = new Map(jobs.map(({ name, files }) => [name, weigh(files)]));
    this.all = [...this.weights.values()].reduce((sum, weight) => sum + weight, 0);
    this.progress.begin(stage);
    this.timer = setInterval(() => this.draw(), REDRAW_MS).unref();
  }

  /** How many are done. */
  get done(): number {
    return this.count;
  }

  start(name: string): void {
    this.active.add(name);
    this.draw();
  }

  finish(name: string): void {
    this.active.delete(name);
    this.count++;
    this.weightDone += this.weights.get(name) ?? 0;
    this.knownAt = performance.now();
    this.known = secondsLeft(this.weightDone, this.all, this.knownAt - this.startedAt);
    this.draw();
  }

  end(): void {
    clearInterval(this.timer);
    this.progress.end();
  }

  private draw(): void {
    const [oldest = ""] = this.active;
    // Beyond what was expected nothing is: the next model that is done says more.
    const rest = this.known === undefined ? "" : roughly(this.known - (performance.now() - this.knownAt) / 1000);
    this.progress.step(this.count, this.weights.size, oldest, rest);
  }
}
