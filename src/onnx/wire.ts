/**
 * Protobuf wire format over a `ByteSource`: tags, varints, lengths and the frames they open.
 * Only structure is read; a payload is skipped, whatever its size. Positions are plain numbers (exact to 2^53).
 * Wire format: https://protobuf.dev/programming-guides/encoding/
 */
import { BnfoldError } from "../diag/error.ts";
import type { ByteSource } from "./source.ts";

/** Half-open range of byte positions. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A length-delimited message: its content is `[start, end)`; its tag begins at `tagAt` inside `parent`. */
export interface Frame extends Span {
  /** Position of the field's tag; equal to `start` for the root. */
  readonly tagAt: number;
  readonly parent: Frame | undefined;
}

export const WIRE = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

/** Bytes read at a time where the walk goes on, and where it arrives from elsewhere: behind a payload a few fields follow. */
const WINDOW = 1 << 16;
const GLANCE = 1 << 11;
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const strictUtf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** A read head over a source with a small window, so that a walk over a file costs few reads and no payload. */
export class Cursor {
  private window: Uint8Array;
  private buffer = new Uint8Array(0);
  private base = 0;
  /** Absolute position of the next byte. */
  pos = 0;
  /** Set by `field()`. */
  number = 0;
  wire = 0;
  /** Position of the tag of the current field. */
  tagAt = 0;
  /** Content of the current field (for a length-delimited one, without the length). */
  start = 0;
  end = 0;

  constructor(readonly source: ByteSource) {
    this.window = new Uint8Array(0);
  }

  private fail(message: string, at = this.pos): never {
    throw new BnfoldError("format", message, { file: this.source.name, byte: at });
  }

  private byte(limit: number): number {
    if (this.pos >= limit) this.fail(`a field runs past the end of its message at byte ${limit}`);
    let at = this.pos - this.base;
    if (at < 0 || at >= this.window.length) {
      const goesOn = at === this.window.length && at > 0;
      this.base = this.pos;
      this.window = this.look(this.pos + Math.min(this.source.size - this.pos, goesOn ? WINDOW : GLANCE));
      at = 0;
    }
    this.pos++;
    return this.window[at];
  }

  /**
   * The next bytes, up to `end` or where a payload would have to be computed, in the memory of the last window where the source
   * allows: nobody keeps a window.
   */
  private look(end: number): Uint8Array {
    const { source, pos } = this;
    // The next byte is wanted, whatever it costs.
    const length = Math.max(1, (source.ready?.(pos, end) ?? end) - pos);
    if (source.readInto === undefined) return source.read(pos, pos + length);
    if (this.buffer.length < length) this.buffer = new Uint8Array(length);
    const window = this.buffer.subarray(0, length);
    source.readInto(window, pos);
    return window;
  }

  /** An unsigned varint below 2^53; larger ones come back as their nearest double (only lengths and tags use this). */
  private uint(limit: number): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const b = this.byte(limit);
      value += (b & 0x7f) * scale;
      if (b < 0x80) return value;
      scale *= 128;
    }
    return this.fail("a varint is longer than ten bytes");
  }

  /** Moves to the next field before `limit`; false at the limit. Fills number, wire, tagAt, start, end and steps over the content. */
  field(limit: number): boolean {
    if (this.pos >= limit) return false;
    this.tagAt = this.pos;
    const tag = this.uint(limit);
    this.wire = tag % 8;
    this.number = (tag - this.wire) / 8;
    if (this.number === 0 || this.number >= 2 ** 29) this.fail(`${this.number} is not a protobuf field number`, this.tagAt);
    this.skipContent(limit);
    return true;
  }

  private skipContent(limit: number): void {
    this.start = this.pos;
    switch (this.wire) {
      case WIRE.varint:
        while (this.byte(limit) >= 0x80)
          if (this.pos - this.start > 9) this.fail("a varint is longer than ten bytes", this.start);
        break;
      case WIRE.fixed64:
        this.pos += 8;
        break;
      case WIRE.fixed32:
        this.pos += 4;
        break;
      case WIRE.bytes: {
        const length = this.uint(limit);
        this.start = this.pos;
        if (length > limit - this.pos) {
          this.fail(
            `field ${this.number} says it is ${length} bytes long but only ${limit - this.pos} are left in its message`,
            this.tagAt,
          );
        }
        this.pos += length;
        break;
      }
      case WIRE.groupStart:
        this.skipGroup(limit);
        return;
      default:
        this.fail(`wire type ${this.wire} does not exist or ends a group that never began`, this.tagAt);
    }
    if (this.pos > limit) this.fail(`field ${this.number} runs past the end of its message at byte ${limit}`, this.tagAt);
    this.end = this.pos;
  }

  /** Groups left protobuf long ago, but an unknown field may still be one: step over it whole, without recursion. */
  private skipGroup(limit: number): void {
    const { number, tagAt, start } = this;
    const open = [number];
    while (open.length > 0) {
      this.tagAt = this.pos;
      const tag = this.uint(limit);
      this.wire = tag % 8;
      this.number = (tag - this.wire) / 8;
      if (this.number === 0 || this.number >= 2 ** 29) this.fail(`${this.number} is not a protobuf field number`, this.tagAt);
      if (this.wire === WIRE.groupStart) open.push(this.number);
      else if (this.wire !== WIRE.groupEnd) this.skipContent(limit);
      else if (open.pop() !== this.number) this.fail(`a group is closed by the end of group ${this.number}`, this.tagAt);
    }
    this.end = this.pos;
    this.number = number;
    this.wire = WIRE.groupStart;
    this.tagAt = tagAt;
    this.start = start;
  }

  /** Bytes of a span, from the window when they are there. */
  bytes(start: number, end: number): Uint8Array {
    const from = start - this.base;
    if (from >= 0 && end - this.base <= this.window.length) return this.window.subarray(from, end - this.base);
    return this.source.read(start, end);
  }

  /** The current field as a frame inside `parent`. */
  frame(parent: Frame): Frame {
    this.expect(WIRE.bytes);
    return { start: this.start, end: this.end, tagAt: this.tagAt, parent };
  }

  private expect(wire: number): void {
    if (this.wire !== wire) this.fail(`field ${this.number} has wire type ${this.wire}, expected ${wire}`, this.tagAt);
  }

  /** The current field as text that may be shown but never written back. */
  text(): string {
    this.expect(WIRE.bytes);
    return this.start === this.end ? "" : utf8.decode(this.bytes(this.start, this.end));
  }

  /** The current field as a name: exactly the text in the file, or an error. Two names must never become one. */
  string(): string {
    this.expect(WIRE.bytes);
    if (this.start === this.end) return "";
    try {
      return strictUtf8.decode(this.bytes(this.start, this.end));
    } catch {
      return this.fail(`field ${this.number} should be text but is not UTF-8`, this.start);
    }
  }

  /** The current length-delimited field, copied: it may outlive the window. */
  blob(): Uint8Array {
    this.expect(WIRE.bytes);
    return this.bytes(this.start, this.end).slice();
  }

  /** The current varint field as a signed 64-bit integer. */
  int64(): bigint {
    this.expect(WIRE.varint);
    return readVarints(this.bytes(this.start, this.end))[0];
  }

  /** The current varint field as a signed number (int32, or an int64 known to be small). */
  int(): number {
    return Number(this.int64());
  }

  /** The current fixed32 field as a float. */
  float(): number {
    this.expect(WIRE.fixed32);
    return view(this.bytes(this.start, this.end)).getFloat32(0, true);
  }

  /** Appends the current field, packed or not, to a list of signed 64-bit integers. */
  pushInt64(list: bigint[]): void {
    if (this.wire === WIRE.varint) list.push(this.int64());
    else {
      this.expect(WIRE.bytes);
      for (const v of readVarints(this.bytes(this.start, this.end))) list.push(v);
    }
  }

  /** Appends the current field, packed or not, to a list of floats. */
  pushFloat(list: number[]): void {
    if (this.wire === WIRE.fixed32) list.push(this.float());
    else {
      this.expect(WIRE.bytes);
      if ((this.end - this.start) % 4 !== 0) this.fail("a packed float list is not a multiple of four bytes", this.tagAt);
      const data = view(this.bytes(this.start, this.end));
      for (let i = 0; i < data.byteLength; i += 4) list.push(data.getFloat32(i, true));
    }
  }
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Every varint in `bytes`, as signed 64-bit integers. Values below 2^31 take the short road. */
export function readVarints(bytes: Uint8Array): bigint[] {
  const out: bigint[] = [];
  for (let i = 0; i < bytes.length; ) {
    let low = 0;
    let shift = 0;
    let value: bigint | undefined;
    for (;;) {
      if (i >= bytes.length) throw new BnfoldError("format", "a varint is cut off");
      const b = bytes[i++];
      if (value === undefined && shift < 28) low += (b & 0x7f) << shift;
      else value = (value ?? BigInt(low)) + (BigInt(b & 0x7f) << BigInt(shift));
      shift += 7;
      if (b < 0x80) break;
      if (shift > 63) throw new BnfoldError("format", "a varint is longer than ten bytes");
    }
    out.push(value === undefined ? BigInt(low) : BigInt.asIntN(64, value));
  }
  return out;
}

/** One field of a message: where its tag, its content and its end are. */
export interface Field extends Span {
  readonly number: number;
  readonly wire: number;
  readonly tagAt: number;
}

/** The fields of a message in file order, not walked into. */
export function fieldsOf(source: ByteSource, frame: Frame): Field[] {
  const at = new Cursor(source);
  at.pos = frame.start;
  const out: Field[] = [];
  while (at.field(frame.end)) out.push({ number: at.number, wire: at.wire, tagAt: at.tagAt, start: at.start, end: at.end });
  return out;
}

/** The root frame of a source: the whole file as one message. */
export function rootFrame(source: ByteSource): Frame {
  return { start: 0, end: source.size, tagAt: 0, parent: undefined };
}
