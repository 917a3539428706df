/** What was dropped, pasted or picked → models with their side files, and old reports. Folders are walked, zip archives opened. */
import type { ModelFiles } from "./protocol.ts";
import { unzip } from "./zip.ts";

export interface Given {
  /** With the folders it came in, as far as the browser tells. */
  readonly path: string;
  readonly file: Blob;
}

interface Batch {
  readonly models: readonly ModelFiles[];
  readonly reports: readonly Given[];
  /** Archives that could not be opened, and why. */
  readonly problems: readonly string[];
}

let keys = 0;

const isModel = ({ path }: Given): boolean => /\.onnx$/i.test(path);
const isReport = ({ path }: Given): boolean => /\.(json|jsonl)$/i.test(path);
/** Files that lie beside models in folders and are nothing of theirs. */
const isLitter = ({ path }: Given): boolean =>
  /(^|\/)(\.|__MACOSX\/|README|LICENSE)|\.(md|txt|py|yaml|yml|npz|npy|pb)$/i.test(path);

/** A file as a model of its own. */
export const modelOf = (path: string, main: Blob): ModelFiles => ({ key: `model-${++keys}`, path, main, sides: [] });

/**
 * Sorts files. Where there are .onnx files, they are the models and the rest lies beside them; else each file is taken for a model,
 * and what it really is will be said.
 */
export async function sortFiles(given: readonly Given[]): Promise<Batch> {
  const problems: string[] = [];
  const files: Given[] = [];
  for (const entry of given) {
    if (!/\.zip$/i.test(entry.path)) files.push(entry);
    else
      try {
        files.push(...(await unzip(entry.file)).map(({ name, blob }) => ({ path: name, file: blob })));
      } catch (error) {
        problems.push(`${entry.path}: ${error instanceof Error ? error.message : String(error)}`);
      }
  }
  const models = files.filter(isModel);
  const reports = files.filter(isReport);
  const rest = files.filter((entry) => !isModel(entry) && !isReport(entry));
  const taken = models.length > 0 ? models : rest.length > 1 ? rest.filter((entry) => !isLitter(entry)) : rest;
  const sides = models.length > 0 ? rest : [];
  return {
    models: taken.map(({ path, file }) => ({
      ...modelOf(path, file),
      sides: sides.map((side) => ({ path: side.path, file: side.file })),
    })),
    // Configuration files lie beside models in downloaded folders: alone, a JSON text is a report.
    reports: taken.length > 0 ? [] : reports,
    problems,
  };
}

export const fromList = (list: FileList | readonly File[]): Given[] =>
  [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

const fileOf = (entry: FileSystemFileEntry): Promise<File> => new Promise((resolve, reject) => entry.file(resolve, reject));

/** The reader gives a hundred entries at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const out: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return out;
    out.push(...some);
  }
}

async function walk(entry: FileSystemEntry): Promise<Given[]> {
  if (entry.isFile) return [{ path: entry.fullPath.replace(/^\//, ""), file: await fileOf(entry as FileSystemFileEntry) }];
  const inside = await entriesOf(entry as FileSystemDirectoryEntry);
  return (await Promise.all(inside.map(walk))).flat();
}

/** Files of a drop or a paste, folders included. */
export async function fromTransfer(data: DataTransfer): Promise<Given[]> {
  // The list is emptied when this turn of the event loop ends.
  const entries = [...data.items]
    .filter(({ kind }) => kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = await Promise.all(
    entries.map(async (entry) => (entry === null ? [] : entry instanceof File ? fromList([entry]) : walk(entry))),
  );
  return found.flat();
}
