/**
 * What the WebAssembly kernels share: a team of threads, regions of its memory, the arrays held there, and the ways into it. An array is
 * held while a region has its true elements (types.ts, `Backend`).
 */
import type { FloatArray } from "../onnx/tensor.ts";
import { Heap, type Scratch } from "./heap.ts";
import type { Team } from "./team.ts";
import type { Frame } from "./types.ts";

/** Where the fields of a job stand: any address will do. */
const JOB = 64;
const FRAME = 2;
/** Elements staged for framing (2 MB). */
const STAGED = 1 << 18;
/** Arrays below this many elements are not worth holding. */
const WORTH_HOLDING = 2048;

/** A tile of outputs of the kernels: packed rows and columns come in such groups. */
export const ROWS = 3;
export const COLUMNS = 6;

export const round = (n: number, step: number): number => Math.ceil(n / step) * step;

/** Work, in multiply-adds or the like, that is worth sharing between threads. */
export const SHARED = 1 << 19;

/** The regions a part of x is loaded into. */
export interface Input {
  /** Where the part's first element will be. */
  readonly at: number;
  load(from: number, length: number): void;
}

export class Lane {
  readonly heap: Heap;
  private readonly held = new Map<object, number>();

  constructor(readonly team: Team) {
    this.heap = new Heap(team.memory);
  }

  /** Runs a job in `tasks` parts. */
  run(fields: readonly number[], tasks: number): void {
    this.heap.ints.set(fields, JOB / 4);
    this.team.run(JOB, tasks);
  }

  /** Things in one task, a multiple of `step`: all of them when a thread of its own does not pay. */
  share(things: number, work: number, step = 1): number {
    const { size } = this.team;
    return size === 1 || work < SHARED ? round(things, step) : Math.max(step, round(Math.ceil(things / (2 * size)), step));
  }

  /** Address of the region that holds an array. */
  at(data: object): number | undefined {
    return this.held.get(data);
  }

  hold(out: Float64Array): number | undefined {
    const known = this.held.get(out);
    if (known !== undefined || out.length < WORTH_HOLDING) return known;
    const at = this.heap.take(8 * out.length);
    if (at !== undefined) this.held.set(out, at);
    return at;
  }

  settle(data: object): void {
    const at = this.held.get(data);
    if (at === undefined) return;
    const out = data as Float64Array;
    out.set(this.heap.doubles.subarray(at / 8, at / 8 + out.length));
    this.drop(data);
  }

  drop(data: object): void {
    const at = this.held.get(data);
    if (at === undefined) return;
    this.held.delete(data);
    this.heap.free(at);
  }

  putDoubles(at: number, data: FloatArray, from = 0, length = data.length): void {
    this.heap.doubles.set(from === 0 && length === data.length ? data : data.subarray(from, from + length), at / 8);
  }

  /** Regions for parts of x of at most `length` elements, framed if there is a frame. */
  input(scratch: Scratch, x: FloatArray, frame: Frame | undefined, length: number): Input {
    const held = this.held.get(x);
    if (frame === undefined) {
      if (held !== undefined) return new Held(held);
      const at = scratch.take(8 * length);
      return { at, load: (from, count) => this.putDoubles(at, x, from, count) };
    }
    const { planes, rows, rowLength, plane, rowAt } = frame;
    const size = rows * rowLength;
    const at = scratch.take(8 * planes * plane);
    const rowsAt = scratch.take(4 * rows);
    const step = held === undefined ? Math.max(1, Math.min(planes, Math.floor(STAGED / Math.max(1, size)))) : planes;
    const stage = held === undefined ? scratch.take(8 * step * size) : 0;
    return {
      at,
      load: (from) => {
        this.heap.ints.set(rowAt, rowsAt / 4);
        for (let p = 0; p < planes; p += step) {
          const count = Math.min(step, planes - p);
          if (held === undefined) this.putDoubles(stage, x, from + p * size, count * size);
          const source = held === undefined ? stage : held + 8 * from;
          const each = this.share(count, 4 * count * plane);
          const fields = [
            FRAME,
            source,
            at + 8 * p * plane,
            count,
            rows,
            8 * rowLength,
            8 * plane,
            rowsAt,
            each,
            frame.lowest ? 1 : 0,
          ];
          this.run(fields, Math.ceil(count / each));
        }
      },
    };
  }
}

/** An array that is in the memory already: a part is an address in it. */
class Held implements Input {
  at: number;

  constructor(private readonly base: number) {
    this.at = base;
  }

  load(from: number): void {
    this.at = this.base + 8 * from;
  }
}
