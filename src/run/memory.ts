/**
 * Memory of values that nobody reads any more, used again: a result written over a dying input needs no new pages, and neither
 * does one that takes the place of an earlier value of the same length.
 *
 * An array is "owned" while exactly one value of the main graph holds it. That is known only of arrays that operators marked
 * `owns` made (define.ts); as soon as any other node, or a subgraph, sees an owned array it is owned no more.
 */
import { backend } from "../kernels/index.ts";
import { isTensor, type Value } from "../ops/define.ts";

/** Bytes of idle arrays kept at most. */
const IDLE = 64 * 2 ** 20;

export class Memory {
  private owned = new WeakSet<object>();
  /** Oldest first. */
  private idle: Float64Array[] = [];
  private idleBytes = 0;

  /** An idle array of `n` numbers with whatever they were, or a new one. */
  take(n: number): Float64Array {
    const at = this.idle.findLastIndex((array) => array.length === n);
    if (at < 0) return new Float64Array(n);
    const [array] = this.idle.splice(at, 1);
    this.idleBytes -= array.byteLength;
    return array;
  }

  isOwned(data: object): boolean {
    return this.owned.has(data);
  }

  own(value: Value | undefined): void {
    if (isTensor(value) && value.data instanceof Float64Array) this.owned.add(value.data);
  }

  /** The value may live on in places that are not watched. */
  disown(value: Value | undefined): void {
    if (value === undefined) return;
    if (isTensor(value)) this.owned.delete(value.data);
    else if (value.kind === "sequence") for (const item of value.items) this.disown(item);
    else this.disown(value.item);
  }

  /** The value is gone: its array is idle if it was owned. */
  release(value: Value | undefined): void {
    if (!isTensor(value) || !(value.data instanceof Float64Array)) return;
    if (!this.owned.delete(value.data)) {
      backend().settle(value.data);
      return;
    }
    backend().drop(value.data);
    const { data } = value;
    if (data.byteLength > IDLE || data.byteLength !== data.buffer.byteLength) return;
    this.idle.push(data);
    this.idleBytes += data.byteLength;
    while (this.idleBytes > IDLE) this.idleBytes -= (this.idle.shift() as Float64Array).byteLength;
  }
}
