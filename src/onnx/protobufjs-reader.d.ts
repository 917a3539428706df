/** The part of protobufjs that reads the wire, without the rest of it: what `small.ts` uses. */
declare module "protobufjs/src/reader.js" {
  export default class Reader {
    constructor(bytes: Uint8Array);
    readonly buf: Uint8Array;
    readonly len: number;
    pos: number;
    tag(): number;
    uint32(): number;
    int32(): number;
    string(): string;
    /** Steps over a varint, or over `length` bytes. */
    skip(length?: number): this;
    skipType(wire: number, depth: number, field: number): this;
  }
}
