/** A model that is not written yet, read from the pieces it would be written from. */
import { read } from "../onnx/read.ts";
import type { Model } from "../onnx/records.ts";
import { splicedSource } from "../onnx/spliced.ts";
import type { Written } from "../onnx/write.ts";

export function previewOf(original: Model, written: Written, name: string): Model {
  const fresh = new Map(written.sideFiles.map(({ location, pieces }) => [location, splicedSource(pieces, location)]));
  return read(splicedSource(written.main, name), {
    external: (location) => fresh.get(location) ?? original.files.external(location),
  });
}
