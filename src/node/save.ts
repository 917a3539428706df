/**
 * A written model with all the files it needs. Side files that untouched tensors still refer to are copied along when the
 * output goes to another folder; a file that is there and differs is never overwritten.
 */
import { existsSync, lstatSync, mkdirSync, realpathSync, rmdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import type { ExternalData, Model } from "../onnx/records.ts";
import type { ByteSource } from "../onnx/source.ts";
import { type Piece, pieceParts, piecesLength } from "../onnx/splice.ts";
import { isEmpty, type ModelEdits, type WriteOptions, type Written, write } from "../onnx/write.ts";
import { type OutputFile, type WriteFileOptions, writeFiles } from "./atomic.ts";
import { fileError, fileSource, isBelow, locationParts } from "./files.ts";
import { tidy } from "./litter.ts";

/** Options of `saveModel`. */
export interface SaveOptions extends WriteFileOptions, Omit<WriteOptions, "external" | "sideFileName"> {
  /**
   * External tensors, as for `write`. Default: "keep" beside the input, and where nothing is edited; "copy" in another folder, so
   * that the output has one side file with just what it needs.
   */
  readonly external?: WriteOptions["external"];
  /** Path the model was read from. Default: the file its source is of; without one the output counts as being in another folder. */
  readonly modelPath?: string;
}

/** What was written, and what the output refers to. */
export interface Saved {
  readonly path: string;
  readonly bytes: number;
  /** Every side file the output refers to, by the path it has on disk. */
  readonly sideFiles: readonly { readonly path: string; readonly how: "written" | "copied" | "kept" }[];
}

const locations = (model: Model): string[] => model.externalTensors.map(({ external }) => (external as ExternalData).location);

const samePlace = (location: string): string => locationParts(location).join("/").toLowerCase();

/** Names in the output's folder that its fresh side files must not have. Elsewhere, and with none kept, the model's are free. */
const takenNames = (model: Model, outPath: string, free = false): Set<string> =>
  new Set(free ? [] : locations(model).map(samePlace)).add(basename(outPath).toLowerCase());

/**
 * Name for the fresh side file of `outPath`: "<name>.bnfold.data", numbered while the model itself refers to a file of that name.
 * @throws BnfoldError when a name that was asked for is taken by the model, or is no plain file name.
 */
export function chooseSideFile(model: Model, outPath: string, asked?: string): string {
  const taken = takenNames(model, outPath);
  if (asked !== undefined) {
    if (taken.has(samePlace(asked))) {
      throw new BnfoldError("usage", `the side file cannot be "${asked}": the model or the output already has that name`, {
        file: asked,
      });
    }
    return asked;
  }
  for (let i = 1; ; i++) {
    const name = `${basename(outPath)}.bnfold${i === 1 ? "" : `.${i}`}.data`;
    if (!taken.has(name.toLowerCase())) return name;
  }
}

/**
 * The model with its edits made, its fresh side files under names that nothing in the output's folder has: a file that is
 * there may be another model's, and is never replaced, unless its bytes are the same.
 */
export function writeBeside(
  model: Model,
  edits: ModelEdits,
  outPath: string,
  options: Pick<SaveOptions, "external" | "sideFileLimit" | "modelPath"> = {},
): Written {
  const folder = realFolder(outPath);
  tidy(folder);
  const moved = isMoved(options.modelPath ?? pathOf(model), folder);
  const { external = moved && !isEmpty(edits) ? "copy" : "keep", sideFileLimit } = options;
  const taken = takenNames(model, outPath, moved && external !== "keep");
  const stem = `${basename(outPath)}${external === "keep" ? ".bnfold" : ""}`;
  for (let i = 1; ; i++) {
    const number = i === 1 ? "" : `.${i}`;
    const sideFileName = (k: number) => `${stem}${number}${k === 1 ? "" : `-${k}`}.data`;
    const written = write(model, edits, { external, sideFileLimit, sideFileName });
    const free = ({ location, pieces }: Written["sideFiles"][number]): boolean => {
      if (taken.has(location.toLowerCase())) return false;
      const path = join(folder, location);
      return lstatSync(path, { throwIfNoEntry: false }) === undefined || samePieces(path, pieces);
    };
    if (written.sideFiles.every(free)) return written;
  }
}

/** True where the output goes to another folder than the model was read from, or the model was read from none. */
const isMoved = (modelPath: string | undefined, folder: string): boolean =>
  modelPath === undefined || realFolder(modelPath) !== folder;

/** True when a file holds the bytes of these pieces. Stops at the first difference. */
function samePieces(path: string, pieces: readonly Piece[]): boolean {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile() || statSync(path).size !== piecesLength(pieces)) return false;
  const there = fileSource(path);
  try {
    let at = 0;
    for (const piece of pieces) {
      for (const part of pieceBlocks(piece)) {
        if (Buffer.compare(there.read(at, at + part.length), part) !== 0) return false;
        at += part.length;
      }
    }
    return true;
  } finally {
    there.close();
  }
}

/** The bytes of a piece, a few at a time. */
function* pieceBlocks(piece: Piece): Generator<Uint8Array> {
  if (!("source" in piece)) {
    yield* pieceParts(piece);
    return;
  }
  for (let at = piece.start; at < piece.end; at += BLOCK) yield piece.source.read(at, Math.min(piece.end, at + BLOCK));
}

const BLOCK = 1 << 20;

function realFolder(path: string): string {
  try {
    return realpathSync(dirname(resolve(path)));
  } catch (error) {
    throw fileError(dirname(path), error);
  }
}

/** Equal contents, compared piece by piece; stops at the first difference. */
function sameBytes(a: ByteSource, b: ByteSource): boolean {
  if (a.size !== b.size) return false;
  for (let at = 0; at < a.size; at += BLOCK) {
    const end = Math.min(a.size, at + BLOCK);
    if (Buffer.compare(a.read(at, end), b.read(at, end)) !== 0) return false;
  }
  return true;
}

function isSame(path: string, source: ByteSource): boolean {
  const there = fileSource(path);
  try {
    return sameBytes(there, source);
  } finally {
    there.close();
  }
}

/** Where a location is below the output's folder; folders on the way are made and noted. */
function placeFor(folder: string, location: string, made: string[]): string {
  const path = join(folder, ...locationParts(location));
  try {
    const first = mkdirSync(dirname(path), { recursive: true });
    for (let dir = dirname(path); first !== undefined && dir.length >= first.length; dir = dirname(dir)) made.push(dir);
    const real = realpathSync(dirname(path));
    if (real !== folder && !isBelow(real, folder)) {
      throw new BnfoldError("file", `"${path}" would lie outside the output's folder, through a link`, { file: path });
    }
  } catch (error) {
    throw fileError(path, error);
  }
  return path;
}

/** A path with its links resolved as far as it exists. */
const realIfThere = (path: string): string => (existsSync(path) ? realpathSync(path) : path);

/** Refuses outputs that would destroy a file the input or the output needs. The input itself may only be replaced by the model. */
function refuseOverwrite(outPath: string, folder: string, written: Written, model: Model, inputPath: string | undefined): void {
  const inputFolder = inputPath === undefined ? folder : realFolder(inputPath);
  const needed = new Map<string, string>();
  for (const location of locations(model)) {
    // Of another folder's files of these names, those that the output goes on using are looked at when they are copied.
    for (const home of written.keptFiles.length > 0 ? [folder, inputFolder] : [inputFolder])
      needed.set(realIfThere(join(home, ...locationParts(location))), `the model's side file "${location}"`);
  }
  const out = realIfThere(join(folder, basename(outPath)));
  const refuse = (path: string, what: string) => {
    throw new BnfoldError("usage", `nothing can be written to "${path}": it is ${what}`, { file: path }, "Give another name.");
  };
  const lost = needed.get(out);
  if (lost !== undefined) refuse(outPath, lost);
  if (inputPath !== undefined) needed.set(realIfThere(join(inputFolder, basename(inputPath))), "the input");
  needed.set(out, "the output");
  for (const { location } of written.sideFiles) {
    const path = realIfThere(join(folder, ...locationParts(location)));
    const taken = needed.get(path);
    if (taken !== undefined) refuse(path, taken);
  }
}

/** The file a model was read from, where its source is one. */
function pathOf({ files }: Model): string | undefined {
  const { path } = files.main as Partial<{ path: unknown }>;
  return typeof path === "string" ? path : undefined;
}

/**
 * Writes a model with its edits made, and its side files, together: side files take their place first, the model last. `written`
 * may be what `write` or `writeBeside` made of the edits, or the edits.
 * @throws BnfoldError of kind "file" or "usage"; nothing is left behind then.
 */
export async function saveModel(
  model: Model,
  given: Written | ModelEdits,
  outPath: string,
  more: SaveOptions = {},
): Promise<Saved> {
  const written = "main" in given ? given : writeBeside(model, given, outPath, more);
  const options = { ...more, modelPath: more.modelPath ?? pathOf(model) };
  const folder = realFolder(outPath);
  // What a killed run left half done goes before anything is taken for being there.
  tidy(folder);
  refuseOverwrite(outPath, folder, written, model, options.modelPath);
  const moved = isMoved(options.modelPath, folder);
  const sideFiles: { path: string; how: "written" | "copied" | "kept" }[] = [];
  const copies: OutputFile[] = [];
  const made: string[] = [];
  try {
    // One file may be spelt in several ways.
    const kept = new Map(written.keptFiles.map((location) => [locationParts(location).join("/"), location]));
    for (const location of kept.values()) {
      const path = moved ? placeFor(folder, location, made) : join(folder, ...locationParts(location));
      const source = moved ? model.files.external(location) : undefined;
      const copy = source !== undefined && !existsSync(path);
      if (source !== undefined && !copy && !isSame(path, source)) {
        throw new BnfoldError(
          "file",
          `"${path}" exists and differs from the side file the model needs under that name`,
          { file: path },
          "Write to another folder, or keep all weights inside the model.",
        );
      }
      if (copy && source !== undefined) copies.push(wholeCopy(path, source));
      sideFiles.push({ path, how: copy ? "copied" : "kept" });
    }
    const fresh: OutputFile[] = [];
    for (const { location, pieces } of written.sideFiles) {
      const path = placeFor(folder, location, made);
      const there = existsSync(path);
      if (there && !samePieces(path, pieces)) {
        throw new BnfoldError("file", `"${path}" exists and may belong to another model`, { file: path }, "Give another name.");
      }
      if (!there) fresh.push({ path, pieces });
      sideFiles.push({ path, how: there ? "kept" : "written" });
    }
    await writeFiles([...copies, ...fresh, { path: outPath, pieces: written.main }], options);
  } catch (error) {
    for (const dir of made.sort((a, b) => b.length - a.length)) removeFolder(dir);
    throw error;
  }
  return { path: outPath, bytes: statSync(outPath).size, sideFiles };
}

/** A source that is a file is copied by the system. */
function wholeCopy(path: string, source: ByteSource): OutputFile {
  const pieces = [{ source, start: 0, end: source.size }];
  return "path" in source && typeof source.path === "string"
    ? { path, pieces, copyOf: { file: source.path, size: source.size } }
    : { path, pieces };
}

function removeFolder(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // Somebody put a file into it meanwhile: it is theirs now.
  }
}
