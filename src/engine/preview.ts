/** A model that is not written yet, read from the pieces it would be written from. */
import type { Steps } from "../diag/steps.ts";
import { read } from "../onnx/read.ts";
import type { Model } from "../onnx/records.ts";
import { pieceParts } from "../onnx/splice.ts";
import { splicedSource } from "../onnx/spliced.ts";
import type { Written } from "../onnx/write.ts";

/** The model that `written` would be as a file called `name`, without writing it: payloads are made when they are read. */
export function previewOf(original: Model, written: Written, name: string): Model {
  const fresh = new Map(written.sideFiles.map(({ location, pieces }) => [location, splicedSource(pieces, location)]));
  return read(splicedSource(written.main, name), {
    external: (location) => fresh.get(location) ?? original.files.external(location),
  });
}

/**
 * Makes every payload once, a part at a time, so that what would fail while writing fails now.
 * @throws LateRefusal when a number does not fit the type it is stored in.
 */
export function* rehearse({ main, sideFiles }: Written): Steps<void> {
  for (const piece of [...main, ...sideFiles.flatMap(({ pieces }) => pieces)]) {
    if (!("make" in piece)) continue;
    for (const _ of pieceParts(piece)) yield;
  }
}
