/**
 * Atomic writing: everything goes to temporary files beside the targets; when all are complete, each takes its place with one
 * rename, the last file last. A failure or a signal before that leaves the folder as it was; a process that is killed leaves
 * temporary files, which the next run takes away (litter.ts). Where a file is replaced, all contents reach the disk before
 * the first rename, so that a crash of the machine cannot leave less than there was.
 */
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  type Stats,
  writeSync,
} from "node:fs";
import { chmod, copyFile, type FileHandle, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { nextTurn } from "../diag/steps.ts";
import { fillBytes } from "../onnx/source.ts";
import { type Piece, pieceLength, pieceParts } from "../onnx/splice.ts";
import { fileError, requireRegular } from "./files.ts";
import { guarded } from "./guard.ts";
import { noteUndo, remove, temporaryIn, tidy } from "./litter.ts";

/** A whole file on disk. */
export interface WholeFile {
  readonly file: string;
  readonly size: number;
}

/** A file to write. */
export interface OutputFile {
  readonly path: string;
  readonly pieces: readonly Piece[];
  /** A file that holds the same bytes: copied as a whole, beside the writing of the others. */
  readonly copyOf?: WholeFile;
}

/** Options of `writeFiles`. */
export interface WriteFileOptions {
  /** Replace files that exist. Default: that is an error. */
  readonly replaceExisting?: boolean;
  /** Called when every temporary file is complete, before the first takes its place. What it throws undoes everything. */
  readonly beforeRename?: (files: readonly Temporary[]) => void | Promise<void>;
}

/** A complete file that does not have its name yet. */
export interface Temporary {
  readonly path: string;
  readonly temporary: string;
  /** What it was made of. */
  readonly pieces: readonly Piece[];
}

/** Bytes copied at a time: few enough to stay in a processor's cache between the read and the write. */
const CHUNK = 1 << 19;
/** Made bytes from here on are written as they are, not gathered first. */
const LARGE = 1 << 16;
/** Milliseconds after which signals get their turn: the writes themselves do not wait for anything. */
const TURN_MS = 25;

/** Output gathered in one buffer that is used again and again. */
class Output {
  private readonly buffer = new Uint8Array(CHUNK);
  private filled = 0;
  private turnedAt = performance.now();

  constructor(private readonly fd: number) {}

  async put(piece: Piece): Promise<void> {
    if ("source" in piece) {
      for (let at = piece.start; at < piece.end; ) {
        if (this.filled === CHUNK) await this.flush();
        const length = Math.min(piece.end - at, CHUNK - this.filled);
        fillBytes(piece.source, this.buffer.subarray(this.filled, this.filled + length), at);
        this.filled += length;
        at += length;
      }
      return;
    }
    for (const part of pieceParts(piece)) {
      if (part.length > CHUNK - this.filled || part.length >= LARGE) await this.flush();
      if (part.length >= LARGE) await this.all(part);
      else {
        this.buffer.set(part, this.filled);
        this.filled += part.length;
      }
    }
  }

  private async all(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done, Math.min(bytes.length - done, 2 ** 30));
    if (performance.now() - this.turnedAt < TURN_MS) return;
    await nextTurn();
    this.turnedAt = performance.now();
  }

  async flush(): Promise<void> {
    if (this.filled > 0) await this.all(this.buffer.subarray(0, this.filled));
    this.filled = 0;
  }
}

interface Target {
  readonly path: string;
  readonly temporary: string;
  /** What is there now. */
  readonly old: Stats | undefined;
}

/** Where a file goes: a link is followed to the file it names, so that it stays a link. */
function targetOf(path: string, replaceExisting: boolean): Target {
  let real = path;
  let old: Stats | undefined;
  try {
    old = lstatSync(path);
    if (old.isSymbolicLink()) {
      real = realpathSync(path);
      old = lstatSync(real);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw fileError(path, error);
    if (old !== undefined) throw new BnfoldError("file", `"${path}" is a link to a file that does not exist`, { file: path });
  }
  if (old !== undefined) {
    requireRegular(path, old);
    if (!replaceExisting) {
      throw new BnfoldError("file", `"${path}" exists already`, { file: path }, "Give another name, or allow it to be replaced.");
    }
  }
  return { path: real, temporary: temporaryIn(dirname(real)), old };
}

/** Refuses a place where no file could be written. @throws BnfoldError of kind "file". */
export function requirePlace(path: string): void {
  const { path: real } = targetOf(path, true);
  const folder = dirname(real);
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw fileError(folder, error);
  }
}

async function fill({ path, temporary, old }: Target, pieces: readonly Piece[], live: Set<string>, sync: boolean): Promise<void> {
  let file: FileHandle | undefined;
  try {
    live.add(temporary);
    file = await open(temporary, "wx", old === undefined ? 0o666 : old.mode & 0o777);
    if (old !== undefined) await file.chmod(old.mode & 0o7777);
    const output = new Output(file.fd);
    for (const piece of pieces) if (pieceLength(piece) > 0) await output.put(piece);
    await output.flush();
    if (sync) await file.sync();
    await file.close();
  } catch (error) {
    await file?.close().catch(() => undefined);
    throw writeError(path, error);
  }
}

/** The file as a copy of one that is there: the system makes it, without a copy of its data where it knows how. */
async function copy({ path, temporary }: Target, { file, size }: WholeFile, live: Set<string>, sync: boolean): Promise<void> {
  try {
    live.add(temporary);
    await copyFile(file, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    // Made anew, not with the permissions of the other.
    await chmod(temporary, 0o666 & ~process.umask());
    if ((await stat(temporary)).size !== size) throw new BnfoldError("file", `"${file}" changed while it was copied`, { file });
    if (!sync) return;
    const made = await open(temporary, "r+");
    await made.sync().finally(() => made.close());
  } catch (error) {
    throw writeError(path, error);
  }
}

function writeError(path: string, error: unknown): unknown {
  const { syscall, code } = error as NodeJS.ErrnoException;
  return syscall === undefined ? error : fileError(code === "ENOENT" ? dirname(path) : path, error);
}

/** Makes renames in a folder last. Not every system lets a folder be opened; then there is nothing to do. */
function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // As said above.
  }
}

/** The renames, in order and with nothing in between, so that no signal is handled among them. */
function switchAll(targets: readonly Target[], live: Set<string>): void {
  const last = targets[targets.length - 1];
  const created = targets.slice(0, -1).filter(({ old }) => old === undefined);
  const note = created.length === 0 ? undefined : noteUndo(last.temporary, created);
  if (note !== undefined) live.add(note);
  for (const { path, temporary, old } of targets) {
    try {
      renameSync(temporary, path);
    } catch (error) {
      throw fileError(path, error);
    }
    live.delete(temporary);
    if (old === undefined) live.add(path);
  }
  live.clear();
  if (note !== undefined) remove(note);
}

/**
 * Writes several files that belong together: all temporaries first, then the renames in the order given. If a rename
 * fails, files that are new are taken away again. The last file decides: until it has its name, nothing has happened.
 * @throws BnfoldError of kind "file"; nothing is left behind then.
 */
export async function writeFiles(files: readonly OutputFile[], options: WriteFileOptions = {}): Promise<void> {
  const targets = files.map(({ path }) => targetOf(path, options.replaceExisting ?? false));
  const folders = new Set(targets.map(({ path }) => dirname(path)));
  folders.forEach(tidy);
  const replaces = targets.some(({ old }) => old !== undefined);
  const live = new Set<string>();
  await guarded(live, async () => {
    const copies: Promise<void>[] = [];
    try {
      for (const [i, target] of targets.entries()) {
        const { copyOf } = files[i];
        if (copyOf === undefined || target.old !== undefined) continue;
        const copying = copy(target, copyOf, live, replaces);
        copying.catch(() => undefined);
        copies.push(copying);
      }
      for (const [i, target] of targets.entries()) {
        if (files[i].copyOf === undefined || target.old !== undefined) await fill(target, files[i].pieces, live, replaces);
      }
      await Promise.all(copies);
      await options.beforeRename?.(
        targets.map(({ temporary }, i) => ({ path: files[i].path, temporary, pieces: files[i].pieces })),
      );
      switchAll(targets, live);
      if (replaces) folders.forEach(syncFolder);
    } finally {
      await Promise.allSettled(copies);
      live.forEach(remove);
    }
  });
}

/** Writes one file. */
export function writePieces(path: string, pieces: readonly Piece[], options: WriteFileOptions = {}): Promise<void> {
  return writeFiles([{ path, pieces }], options);
}
