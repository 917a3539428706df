/** Protobuf wire format, writing: varints, tags and length-delimited fields. */
import { WIRE } from "./wire.ts";

/** A varint of a number (whole, below 2^53, not negative) or of the 64-bit pattern of a bigint; minimal, or padded to `width`. */
export function varint(value: number | bigint, width = 1): Uint8Array {
  const out: number[] = [];
  if (typeof value === "bigint") {
    let rest = BigInt.asUintN(64, value);
    for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
    out.push(Number(rest));
  } else {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80);
    out.push(rest);
  }
  while (out.length < width) {
    out[out.length - 1] |= 0x80;
    out.push(0);
  }
  return Uint8Array.from(out);
}

export const fieldTag = (field: number, wire: number): Uint8Array => varint(field * 8 + wire);

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Tag and length of a length-delimited field. */
export const header = (field: number, length: number): Uint8Array => concat([fieldTag(field, WIRE.bytes), varint(length)]);

export const lengthDelimited = (field: number, content: Uint8Array): Uint8Array =>
  concat([header(field, content.length), content]);

const utf8 = new TextEncoder();

export const textField = (field: number, text: string): Uint8Array => lengthDelimited(field, utf8.encode(text));

export const intField = (field: number, value: number | bigint): Uint8Array =>
  concat([fieldTag(field, WIRE.varint), varint(BigInt(value))]);

export function floatField(field: number, value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setFloat32(0, value, true);
  return concat([fieldTag(field, WIRE.fixed32), out]);
}
