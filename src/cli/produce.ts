/** Edits → a checked file. The temporary file is read back and judged; it gets its name only when the judge accepts. */
import { lstatSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { paced } from "../diag/steps.ts";
import type { Judge } from "../engine/fold.ts";
import { previewOf, rehearse } from "../engine/preview.ts";
import type { Temporary } from "../node/atomic.ts";
import { externalResolver, type FileSource, fileSource } from "../node/files.ts";
import { saveModel, writeBeside } from "../node/save.ts";
import { read } from "../onnx/read.ts";
import type { Model } from "../onnx/records.ts";
import type { ByteSource } from "../onnx/source.ts";
import { madeOf } from "../onnx/spliced.ts";
import type { ModelEdits } from "../onnx/write.ts";
import type { OutputFacts } from "../report/report.ts";
import { outputOnDisk } from "./files.ts";
import type { Target } from "./target.ts";

/** Undoes a write that the judge declined. */
class Declined extends Error {}

/** Writes the model with its edits made where it belongs; undefined when nothing was written: a dry run, or the judge declined. */
export async function produce(
  model: Model,
  modelPath: string,
  edits: ModelEdits,
  target: Target,
  judge: Judge,
): Promise<OutputFacts | undefined> {
  const { external, sideFileLimit } = target;
  const written = writeBeside(model, edits, target.path, { external, sideFileLimit, modelPath });
  if (target.dryRun) {
    await paced(rehearse(written));
    await judge(previewOf(model, written, target.path));
    return undefined;
  }
  let result = model;
  const beforeRename = async (files: readonly Temporary[]) => {
    const opened = openTemporary(model, target.path, files);
    try {
      result = opened.model;
      if (!(await judge(result))) throw new Declined("not accepted");
    } finally {
      opened.close();
    }
  };
  try {
    const saved = await saveModel(model, written, target.path, { replaceExisting: true, modelPath, beforeRename });
    return outputOnDisk(result, target.path, saved.bytes);
  } catch (error) {
    if (error instanceof Declined) return undefined;
    throw error;
  }
}

/**
 * The model at `path` while its files still have temporary names; files that are not written anew are where they were. What they
 * took over from the input they say, so that a comparison with it does not read that.
 */
function openTemporary(input: Model, path: string, files: readonly Temporary[]): { model: Model; close(): void } {
  const folder = dirname(path);
  const open: { close(): void }[] = [];
  const temporary = new Map<string, Temporary>();
  for (const file of files) temporary.set(relative(folder, file.path).replaceAll("\\", "/"), file);
  const there = externalResolver(path);
  open.push(there);
  const source = (file: Temporary, name: string) => {
    const opened = madeOf(fileSource(file.temporary, name), file.pieces);
    open.push(opened);
    return opened;
  };
  const fresh = new Map<string, ByteSource>();
  const external = (location: string): ByteSource => {
    const key = join(location).replaceAll("\\", "/");
    const file = temporary.get(key);
    if (file === undefined) return inputs(input, location, there(location) as FileSource);
    let found = fresh.get(key);
    if (found === undefined) {
      found = source(file, location);
      fresh.set(key, found);
    }
    return found;
  };
  const close = () => {
    for (const entry of open) entry.close();
  };
  try {
    const main = files[files.length - 1];
    return { model: read(source(main, path), { external }), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** A side file that is kept: where it is the input's own, the input's source of it. */
function inputs(input: Model, location: string, there: FileSource): ByteSource {
  if (!input.externalTensors.some(({ external }) => external?.location === location)) return there;
  const own = input.files.external(location) as Partial<FileSource> & ByteSource;
  if (own.path === undefined) return there;
  const [p, q] = [own.path, there.path].map((path) => lstatSync(path, { bigint: true }));
  return p.dev === q.dev && p.ino === q.ino && p.ino !== 0n ? own : there;
}
