/**
 * Where side files may be. A location is a relative path of plain names with "/" between them; the file it leads to, links
 * resolved, is a regular file below the model's folder, links resolved, and none of its names (hard links) is elsewhere.
 */
import { type Dirent, existsSync, lstatSync, readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { FEW_FILES } from "./few-files.ts";

const reasons: Record<string, readonly [string, string | undefined]> = {
  ENOENT: ["does not exist", "Check the path."],
  ENOTDIR: ["does not exist: a part of the path is a file, not a folder", "Check the path."],
  EACCES: ["may not be accessed", "Check the permissions of the file and its folder."],
  EPERM: ["may not be accessed", "Check the permissions of the file and its folder."],
  EISDIR: ["is a folder", "Give a file."],
  ELOOP: ["is a link that leads in a circle", "Give the file itself."],
  ENAMETOOLONG: ["has too long a name", "Give a shorter one."],
  ENOSPC: ["does not fit: the disk is full", "Free some space or write to another disk."],
  EDQUOT: ["does not fit: the disk quota is used up", "Free some space or write to another disk."],
  EROFS: ["is on a read-only file system", "Write somewhere else."],
  EFBIG: ["is larger than the file system allows", "Write to another disk."],
  EBUSY: ["is in use", "Close what uses it."],
  EIO: ["cannot be used: the device reported an error", undefined],
  EMFILE: [`cannot be opened: ${FEW_FILES.what}`, FEW_FILES.hint],
  ENFILE: [`cannot be opened: ${FEW_FILES.what} in the whole system`, FEW_FILES.hint],
};

/** What the system's error means for a file, and what to do; undefined for one that says it best itself. */
export const systemError = (code: string): readonly [what: string, hint: string | undefined] | undefined => reasons[code];

/** An error of the system, said as what is wrong with the file. */
export function fileError(path: string, error: unknown): BnfoldError {
  if (error instanceof BnfoldError) return error;
  const { code = "", message } = error as NodeJS.ErrnoException;
  const [what, hint] = reasons[code] ?? [`cannot be used (${message})`, undefined];
  const said = new BnfoldError("file", `"${path}" ${what}`, { file: path }, hint);
  said.cause = error;
  return said;
}

/** Refuses everything but regular files, before it is opened: a pipe would wait for ever. */
export function requireRegular(path: string, stats: Stats): void {
  if (stats.isFile()) return;
  const kind = stats.isDirectory() ? "a folder" : stats.isFIFO() ? "a pipe" : stats.isSocket() ? "a socket" : "a device";
  throw new BnfoldError("file", `"${path}" is ${kind}, expected a file`, { file: path });
}

function badLocation(location: string, why: string): BnfoldError {
  return new BnfoldError(
    "file",
    `external data "${location}" ${why}; side files must lie in the model's folder`,
    { file: location },
    "If you trust the model, put the file into its folder and correct the location in the model.",
  );
}

/** Names that Windows keeps for devices, in every folder and with any suffix. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)/i;

/** The parts of a location. @throws BnfoldError when it is not a plain relative path. */
export function locationParts(location: string): string[] {
  if (location.includes("\0")) throw badLocation(location.replaceAll("\0", "\\0"), "holds a NUL character");
  if (location.includes("\\")) throw badLocation(location, "holds a backslash");
  if (location.startsWith("/") || /^[A-Za-z]:/.test(location)) throw badLocation(location, "is an absolute path");
  const parts = location.split("/").filter((part) => part !== "" && part !== ".");
  if (process.platform === "win32" && parts.some((part) => /[:<>"|?*]|[. ]$/.test(part))) {
    throw badLocation(location, "is no name on this system");
  }
  if (parts.some((part) => DEVICE.test(part))) throw badLocation(location, "names a device");
  if (parts.includes("..")) throw badLocation(location, "leads out of the folder");
  if (parts.length === 0) throw badLocation(location, "names no file");
  return parts;
}

/** True when `path` is below `folder`, both with their links resolved. */
export const isBelow = (path: string, folder: string): boolean => path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

/**
 * The file behind a location of the model at `modelPath`, checked. A model that is a link itself, as in package stores, may
 * have its side files beside the file it leads to.
 */
export function resolveLocation(modelPath: string, location: string): string {
  const folder = dirname(resolve(modelPath));
  const path = join(folder, ...locationParts(location));
  let real: string;
  const homes: string[] = [];
  try {
    real = realpathSync(path);
    homes.push(realpathSync(folder));
  } catch (error) {
    const { message, hint } = fileError(path, error);
    throw new BnfoldError(
      "file",
      `external data: ${message}`,
      { file: path },
      hint === "Check the path." ? "Copy the model's side files along with it." : hint,
    );
  }
  if (existsSync(modelPath)) homes.push(dirname(realpathSync(modelPath)));
  const home = homes.find((candidate) => isBelow(real, candidate));
  if (home === undefined) throw badLocation(location, `is a link to "${real}"`);
  const stats = statSync(real);
  requireRegular(path, stats);
  if (stats.nlink > 1 && namesBelow(home, stats) < stats.nlink) {
    throw badLocation(location, `is a hard link to a file that has a name outside the folder`);
  }
  return real;
}

/** Entries looked at in search of the other names of a file. */
const MAX_ENTRIES = 100_000;

/** How many names of a file lie in a folder and the folders below it. */
function namesBelow(folder: string, file: Stats): number {
  let [found, seen] = [0, 0];
  const open = [folder];
  for (let at = open.pop(); at !== undefined && seen < MAX_ENTRIES && found < file.nlink; at = open.pop()) {
    let entries: Dirent[];
    try {
      entries = readdirSync(at, { withFileTypes: true });
    } catch {
      continue;
    }
    for (const entry of entries) {
      seen++;
      const path = join(at, entry.name);
      if (entry.isDirectory()) open.push(path);
      else if (entry.isFile()) {
        const stats = lstatSync(path, { throwIfNoEntry: false });
        if (stats?.ino === file.ino && stats.dev === file.dev) found++;
      }
    }
  }
  return found;
}
