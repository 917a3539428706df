/** Regions of the kernels' memory, first fit. The memory grows when no gap is wide enough and never shrinks. */

const PAGE = 65536;
/** Regions start at multiples of this: threads that write to different ones share no cache line. */
const LINE = 64;
/** Below it stand the fields of a job and what else has a fixed place. */
const START = 1024;
/** Largest memory asked for. */
const LIMIT = 3 * 2 ** 30;

interface Gap {
  at: number;
  end: number;
}

export class Heap {
  /** Ascending, never touching one another. The last one ends where memory may grow to. */
  private readonly gaps: Gap[] = [{ at: START, end: LIMIT }];
  private readonly sizes = new Map<number, number>();
  private views: { doubles: Float64Array; singles: Float32Array; ints: Int32Array };

  constructor(private readonly memory: WebAssembly.Memory) {
    this.views = this.look();
  }

  /** Byte address of a new region; undefined when there is no room for it. */
  take(bytes: number): number | undefined {
    const size = Math.max(LINE, Math.ceil(bytes / LINE) * LINE);
    const index = this.gaps.findIndex(({ at, end }) => end - at >= size);
    if (index < 0) return undefined;
    const gap = this.gaps[index];
    const { at } = gap;
    if (!this.reach(at + size)) return undefined;
    gap.at += size;
    if (gap.at === gap.end) this.gaps.splice(index, 1);
    this.sizes.set(at, size);
    return at;
  }

  /** Gives a region back. */
  free(at: number): void {
    const end = at + (this.sizes.get(at) as number);
    this.sizes.delete(at);
    let index = this.gaps.findIndex((gap) => gap.at >= end);
    if (index < 0) index = this.gaps.length;
    const before = this.gaps[index - 1];
    const after = this.gaps[index];
    const joinsBefore = before !== undefined && before.end === at;
    const joinsAfter = after !== undefined && after.at === end;
    if (joinsBefore && joinsAfter) {
      before.end = after.end;
      this.gaps.splice(index, 1);
    } else if (joinsBefore) before.end = end;
    else if (joinsAfter) after.at = at;
    else this.gaps.splice(index, 0, { at, end });
  }

  get doubles(): Float64Array {
    return this.current().doubles;
  }

  get singles(): Float32Array {
    return this.current().singles;
  }

  get ints(): Int32Array {
    return this.current().ints;
  }

  private reach(end: number): boolean {
    const have = this.memory.buffer.byteLength;
    if (end <= have) return true;
    try {
      this.memory.grow(Math.ceil((end - have) / PAGE));
    } catch {
      return false;
    }
    return true;
  }

  /** Views of the whole memory: growing takes the old ones away. */
  private current() {
    if (this.views.doubles.buffer !== this.memory.buffer) this.views = this.look();
    return this.views;
  }

  private look() {
    const { buffer } = this.memory;
    return { doubles: new Float64Array(buffer), singles: new Float32Array(buffer), ints: new Int32Array(buffer) };
  }
}

/** Regions taken for one job and given back together. */
export class Scratch {
  private readonly taken: number[] = [];
  /** Some region could not be had: the others must not be used. */
  failed = false;

  constructor(private readonly heap: Heap) {}

  take(bytes: number): number {
    const at = this.heap.take(bytes);
    if (at === undefined) {
      this.failed = true;
      return 0;
    }
    this.taken.push(at);
    return at;
  }

  end(): void {
    for (const at of this.taken.splice(0)) this.heap.free(at);
  }
}
