/** External tensor data: the place in a side file, checked against that file and against dims before a byte is read. */
import { BnfoldError } from "../diag/error.ts";
import type { ExternalData, TensorRecord } from "./records.ts";
import type { ByteSource } from "./source.ts";
import { type Piece, pieceLength } from "./splice.ts";

export interface ExternalSpan {
  readonly source: ByteSource;
  readonly start: number;
  readonly end: number;
}

/**
 * Where the `expected` bytes of an external tensor are. A missing length means as many bytes as dims ask for.
 * @throws BnfoldError when the side file is missing, too short, or the written length disagrees with dims.
 */
export function checkedExternal(record: TensorRecord, expected: number): ExternalSpan {
  const { location, offset, length } = record.external as ExternalData;
  const place = { file: record.files.main.name, byte: record.frame.start, tensor: record.name };
  if (length !== undefined && length !== expected) {
    throw new BnfoldError(
      "model",
      `tensor "${record.name}": its external data "${location}" is said to have ${length} bytes, expected ${expected} for dims [${record.dims}]`,
      place,
    );
  }
  const source = record.files.external(location);
  if (offset + expected > source.size) {
    throw new BnfoldError(
      "model",
      `tensor "${record.name}": its external data is bytes ${offset} to ${offset + expected} of "${location}", which has only ${source.size}`,
      place,
      "The side file was cut off or belongs to another model; copy it again.",
    );
  }
  return { source, start: offset, end: offset + expected };
}

/**
 * Payloads in a side file begin at multiples of a page, so that a runtime can map each into memory; large ones at multiples of
 * 64 KiB, the step in which Windows maps; those of less than a page at multiples of a cache line. Where the files of the model lay
 * payloads closer than that, the fresh one does: it shall not be larger than they are.
 */
const PAGE = 4096;
const WINDOWS_STEP = 65536;
const LARGE = 1 << 20;
const LINE = 64;
/** Closest payloads lie: the largest element. */
const ELEMENT = 16;

type Sizes = "large" | "paged" | "small";
const STEP: Readonly<Record<Sizes, number>> = { large: WINDOWS_STEP, paged: PAGE, small: LINE };
const sizesOf = (length: number): Sizes => (length >= LARGE ? "large" : length >= PAGE ? "paged" : "small");

/** Multiples of how many bytes payloads of a length begin at, in a side file that takes the place of those of these tensors. */
export function stepsLike(tensors: readonly TensorRecord[]): (length: number) => number {
  const steps = { ...STEP };
  for (const { external } of tensors) {
    if (external?.length === undefined) continue;
    const sizes = sizesOf(external.length);
    while (steps[sizes] > ELEMENT && external.offset % steps[sizes] !== 0) steps[sizes] /= 2;
  }
  return (length) => steps[sizesOf(length)];
}

/** Where a payload went. */
export interface Stored {
  readonly location: string;
  readonly offset: number;
}

interface SideFile {
  readonly location: string;
  readonly pieces: Piece[];
  size: number;
}

/** Fresh side files, filled payload by payload. */
export class SideFiles {
  readonly files: SideFile[] = [];
  /** Copied spans by where they come from: tensors that share bytes go on sharing them. */
  private readonly copied = new Map<string, Stored>();

  /**
   * `nameOf(k)` is the name of file k (from 1), as the model is to spell it. A new file begins when one would outgrow `limit`;
   * a single payload larger than that gets a file to itself. `stepOf` is what offsets of payloads of a length are multiples of.
   */
  constructor(
    private readonly nameOf: (k: number) => string,
    private readonly stepOf: (length: number) => number,
    private readonly limit = Number.POSITIVE_INFINITY,
  ) {}

  /** Appends a payload at the next aligned offset. */
  add(payload: Piece): Stored {
    const length = pieceLength(payload);
    const step = this.stepOf(length);
    let file = this.files.at(-1);
    const gapAfter = (size: number) => (step - (size % step)) % step;
    if (file === undefined || (file.size > 0 && file.size + gapAfter(file.size) + length > this.limit)) {
      file = { location: this.nameOf(this.files.length + 1), pieces: [], size: 0 };
      this.files.push(file);
    }
    const gap = gapAfter(file.size);
    if (gap > 0) file.pieces.push({ bytes: new Uint8Array(gap) });
    const offset = file.size + gap;
    file.pieces.push(payload);
    file.size = offset + length;
    return { location: file.location, offset };
  }

  /** The same for bytes of the file at location `key`, once however often they are asked for. */
  copy(span: ExternalSpan, key: string): Stored {
    const plain = key.split("/").filter((part) => part !== "" && part !== ".");
    const whole = `${span.start}:${span.end}:${plain.join("/")}`;
    const there = this.copied.get(whole) ?? this.add(span);
    this.copied.set(whole, there);
    return there;
  }
}
