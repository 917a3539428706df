/**
 * What a run that was killed leaves behind, and how the next run takes it away.
 *
 * Temporary files are called .bnfold-<system>-<process>-<random>.tmp, in the folder of the file they are to become. <system>
 * stands for the machine and the process namespace, so that a process number that means nothing here is never judged. A file
 * whose process has ended is litter. While several files take their names, an .undo file of the same form lists the ones that
 * are new, by place, device and inode: if the last of the files is still under its temporary name when the process is gone, the
 * switch did not happen, and those are taken back.
 */
import { createHash, randomBytes } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join, relative } from "node:path";
import { locationParts } from "./files.ts";

function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

let known: string | undefined;

/** This machine and process namespace, in eight digits. */
function system(): string {
  known ??= createHash("sha256")
    .update(
      `${hostname()}\0${textOf(() => readFileSync("/etc/machine-id", "utf8"))}\0${textOf(() => readlinkSync("/proc/self/ns/pid"))}`,
    )
    .digest("hex")
    .slice(0, 8);
  return known;
}

const NAME = /^\.bnfold-([0-9a-f]{8})-(\d+)-[0-9a-f]{12}\.(tmp|undo)$/;

/** A name in `folder` that nobody else has. */
export const temporaryIn = (folder: string, kind: "tmp" | "undo" = "tmp"): string =>
  join(folder, `.bnfold-${system()}-${process.pid}-${randomBytes(6).toString("hex")}.${kind}`);

export const remove = (path: string): void => rmSync(path, { force: true });

interface Undo {
  /** Temporary name, in this folder, of the file that takes its place last. */
  readonly last: string;
  readonly created: readonly { readonly location: string; readonly dev: string; readonly ino: string }[];
}

const identity = (path: string) => {
  const { dev, ino } = lstatSync(path, { bigint: true });
  return { dev: String(dev), ino: String(ino) };
};

/** Notes, beside the temporary file `last`, which new files appear before it. Returns the path of the note. */
export function noteUndo(last: string, created: readonly { readonly path: string; readonly temporary: string }[]): string {
  const folder = dirname(last);
  const undo: Undo = {
    last: relative(folder, last),
    created: created.map(({ path, temporary }) => ({
      location: relative(folder, path).replaceAll("\\", "/"),
      ...identity(temporary),
    })),
  };
  const path = temporaryIn(folder, "undo");
  writeFileSync(path, JSON.stringify(undo), { flag: "wx" });
  return path;
}

/** Takes back the new files of a switch that did not happen. Only the very files that were noted. */
function undo(folder: string, name: string): void {
  const { last, created } = JSON.parse(readFileSync(join(folder, name), "utf8")) as Undo;
  if (!NAME.test(last) || lstatSync(join(folder, last), { throwIfNoEntry: false }) === undefined) return;
  for (const { location, dev, ino } of created) {
    const path = join(folder, ...locationParts(location));
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) continue;
    const now = identity(path);
    if (now.dev === dev && now.ino === ino) remove(path);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Removes what ended runs left in a folder. Never fails: what cannot be removed stays. */
export function tidy(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return;
  }
  const dead = names.flatMap((name) => {
    const [, tag, pid, kind] = NAME.exec(name) ?? [];
    return tag === system() && Number(pid) !== process.pid && !isRunning(Number(pid)) ? [{ name, kind }] : [];
  });
  for (const { name, kind } of dead.sort((a, b) => (a.kind < b.kind ? 1 : -1))) {
    try {
      if (kind === "undo") undo(folder, name);
      remove(join(folder, name));
    } catch {
      // Somebody else's by permission, or damaged: it does no harm.
    }
  }
}
