/** Folders in which a process keeps the copies its jobs work on, and those that killed ones left. */
import { readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const OWN = /^bnfold-(\d+)-/;
/** A container that shares the folder has processes nobody sees here: only what is older than a day is left over. */
const LEFT_OVER_MS = 86_400_000;

/** Where copies of this process's jobs go, by job. */
export const scratchOf = (folder: string | undefined): ((id: string) => string) => {
  const home = folder ?? tmpdir();
  return (id) => join(home, `bnfold-${process.pid}-${id}`);
};

/** Removes what processes that are no more have left in a folder. What cannot be looked at or removed stays: it is somebody else's. */
export async function sweepScratch(folder: string | undefined, now = Date.now()): Promise<void> {
  const home = folder ?? tmpdir();
  for (const name of await readdir(home).catch(() => [])) {
    const pid = Number(OWN.exec(name)?.[1]);
    if (Number.isNaN(pid) || isRunning(pid)) continue;
    const path = join(home, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isDirectory() !== true || now - stats.mtimeMs < LEFT_OVER_MS) continue;
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Anything else, as a process of another user, is one.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
