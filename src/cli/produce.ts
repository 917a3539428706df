/** Edits → a checked file. The temporary file is read back and judged; it gets its name only when the judge accepts. */
import { dirname, join, relative } from "node:path";
import type { Temporary } from "../node/atomic.ts";
import { externalResolver, fileSource } from "../node/files.ts";
import { saveModel, writeBeside } from "../node/save.ts";
import { read } from "../onnx/read.ts";
import type { Model } from "../onnx/records.ts";
import type { ByteSource } from "../onnx/source.ts";
import type { ModelEdits } from "../onnx/write.ts";
import type { OutputFacts } from "../report/report.ts";
import { sizeOfFile } from "./files.ts";
import { preview, rehearse } from "./preview.ts";
import type { Target } from "./target.ts";

export interface Produced<T> {
  readonly judged: T;
  /** Absent when nothing was written: a dry run, or the judge declined. */
  readonly output: OutputFacts | undefined;
}

interface Judge<T> {
  /** Decides about the model as it would be written; `same` compares its bytes with the input's. */
  judge(result: Model, same: () => boolean): T;
  accepts(judged: T): boolean;
}

/** Undoes a write that the judge declined. */
class Declined extends Error {}

export async function produce<T>(
  model: Model,
  modelPath: string,
  edits: ModelEdits,
  target: Target,
  judge: Judge<T>,
): Promise<Produced<T>> {
  const written = writeBeside(model, edits, target.path, { external: target.external, sideFileLimit: target.sideFileLimit });
  if (target.dryRun) {
    rehearse(written);
    const result = preview(model, written, target.path);
    return { judged: judge.judge(result, () => sameBytes(result.files.main, model.files.main)), output: undefined };
  }
  let judged: { value: T } | undefined;
  const beforeRename = (files: readonly Temporary[]) => {
    const opened = openTemporary(target.path, files);
    try {
      judged = { value: judge.judge(opened.model, () => sameBytes(opened.model.files.main, model.files.main)) };
      if (!judge.accepts(judged.value)) throw new Declined("not accepted");
    } finally {
      opened.close();
    }
  };
  try {
    const saved = await saveModel(model, written, target.path, { replaceExisting: true, modelPath, beforeRename });
    const side = saved.sideFiles.map(({ path }) => ({ file: path, bytes: sizeOfFile(path), sha256: null }));
    return {
      judged: (judged as { value: T }).value,
      output: { file: target.path, bytes: saved.bytes, sha256: null, sideFiles: side },
    };
  } catch (error) {
    if (error instanceof Declined && judged !== undefined) return { judged: judged.value, output: undefined };
    throw error;
  }
}

/** The model at `path` while its files still have temporary names; files that are not written anew are where they were. */
function openTemporary(path: string, files: readonly Temporary[]): { model: Model; close(): void } {
  const folder = dirname(path);
  const open: { close(): void }[] = [];
  const temporary = new Map<string, string>();
  for (const file of files) temporary.set(relative(folder, file.path).replaceAll("\\", "/"), file.temporary);
  const there = externalResolver(path);
  open.push(there);
  const source = (file: string, name: string) => {
    const opened = fileSource(file, name);
    open.push(opened);
    return opened;
  };
  const fresh = new Map<string, ByteSource>();
  const external = (location: string): ByteSource => {
    const key = join(location).replaceAll("\\", "/");
    const file = temporary.get(key);
    if (file === undefined) return there(location);
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
    return { model: read(source(main.temporary, path), { external }), close };
  } catch (error) {
    close();
    throw error;
  }
}

function sameBytes(a: ByteSource, b: ByteSource): boolean {
  if (a.size !== b.size) return false;
  const step = 1 << 20;
  for (let at = 0; at < a.size; at += step) {
    const end = Math.min(a.size, at + step);
    if (Buffer.compare(a.read(at, end), b.read(at, end)) !== 0) return false;
  }
  return true;
}
