/** A store that is a folder, such as a mount that all machines share. Files are read where they are and committed by a rename. */
import { randomBytes } from "node:crypto";
import { constants, type Dirent } from "node:fs";
import { type FileHandle, link, lstat, mkdir, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BnfoldError } from "../diag/error.ts";
import { fileError, isBelow } from "../node/files.ts";
import { joinKeys, OWN, requireKey } from "./keys.ts";
import type { Entry, Store } from "./store.ts";

/** Files on their way; what a killed process left there goes after a day. */
const TEMPORARY = joinKeys(OWN, "tmp");
const LITTER_MS = 86_400_000;

const isMissing = (error: unknown): boolean => ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");

/** Done as well as the file system allows: a rename must not become known before what it names. */
async function synced(path: string): Promise<void> {
  const file = await open(path, "r");
  await file.sync().finally(() => file.close());
}

class FolderStore implements Store {
  readonly remote = false;

  constructor(
    readonly label: string,
    /** Links resolved. */
    private readonly root: string,
  ) {}

  /**
   * The path of a key. Links are followed, and refused where they lead out of the folder.
   * @throws BnfoldError of kind "file".
   */
  private async path(key: string): Promise<string> {
    const path = join(this.root, ...requireKey(key).split("/"));
    // What is not there yet cannot be a link; the nearest folder above it can.
    for (let at = path; at !== this.root; at = dirname(at)) {
      let real: string;
      try {
        real = await realpath(at);
      } catch (error) {
        if (!isMissing(error)) throw fileError(path, error);
        if ((await lstat(at).catch(() => undefined))?.isSymbolicLink()) throw this.outside(key);
        continue;
      }
      if (!isBelow(real, this.root)) throw this.outside(key);
      break;
    }
    return path;
  }

  private outside(key: string): BnfoldError {
    return new BnfoldError(
      "file",
      `"${key}" is a link that leads out of the store`,
      { file: key },
      "Put the file itself into the store.",
    );
  }

  async list(prefix: string): Promise<Entry[]> {
    const found: Entry[] = [];
    const shown = prefix.split("/").some((part) => part.startsWith("."));
    const walk = async (folder: string, below: string): Promise<void> => {
      let entries: Dirent[];
      try {
        entries = await readdir(folder, { withFileTypes: true });
      } catch (error) {
        if (isMissing(error)) return;
        throw fileError(folder, error);
      }
      for (const entry of entries) {
        const key = below === "" ? entry.name : `${below}/${entry.name}`;
        if (entry.name.startsWith(".") && !shown) continue;
        if (entry.isDirectory()) await walk(join(folder, entry.name), key);
        else {
          const known = await this.stat(key).catch(() => undefined);
          if (known !== undefined) found.push(known);
        }
      }
    };
    const below = prefix.replace(/\/$/, "");
    await walk(below === "" ? this.root : await this.path(below), below);
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async stat(key: string): Promise<Entry | undefined> {
    const path = await this.path(key);
    try {
      const stats = await stat(path, { bigint: true });
      if (!stats.isFile()) return undefined;
      return { key, size: Number(stats.size), version: `${stats.size}-${stats.mtimeNs}` };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw fileError(path, error);
    }
  }

  async read({ key }: Entry, start: number, end: number): Promise<Uint8Array> {
    const path = await this.path(key);
    let file: FileHandle | undefined;
    try {
      file = await open(path, "r");
      const bytes = new Uint8Array(end - start);
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
        if (bytesRead === 0) throw new BnfoldError("file", `"${key}" ends before byte ${end}`, { file: key, byte: start + done });
        done += bytesRead;
      }
      return bytes;
    } catch (error) {
      throw fileError(path, error);
    } finally {
      await file?.close();
    }
  }

  async get(key: string, limit: number): Promise<Uint8Array | undefined> {
    const entry = await this.stat(key);
    if (entry === undefined) return undefined;
    if (entry.size > limit)
      throw new BnfoldError("format", `the file has ${entry.size} bytes, at most ${limit} are read`, { file: key });
    return this.read(entry, 0, entry.size);
  }

  async put(key: string, bytes: Uint8Array, durable = true): Promise<void> {
    await this.made(key, bytes, rename, durable);
  }

  async putNew(key: string, bytes: Uint8Array): Promise<boolean> {
    try {
      // A second name fails where the first is taken; a rename would replace it.
      await this.made(key, bytes, link);
      return true;
    } catch (error) {
      if ((error as { cause?: NodeJS.ErrnoException }).cause?.code === "EEXIST") return false;
      throw error;
    }
  }

  private async made(
    key: string,
    bytes: Uint8Array,
    name: (from: string, to: string) => Promise<void>,
    durable = true,
  ): Promise<void> {
    const path = await this.place(key);
    const temporary = join(await this.folder(TEMPORARY), randomBytes(12).toString("hex"));
    try {
      const file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o666);
      try {
        await file.writeFile(bytes);
        if (durable) await file.sync();
      } finally {
        await file.close();
      }
      await name(temporary, path);
    } catch (error) {
      const known = fileError(path, error);
      known.cause = error;
      throw known;
    } finally {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }

  private async folder(key: string): Promise<string> {
    const path = await this.path(key);
    try {
      await mkdir(path, { recursive: true });
    } catch (error) {
      throw fileError(path, error);
    }
    return path;
  }

  async fetch({ key, version }: Entry): Promise<string> {
    const now = await this.stat(key);
    if (now === undefined)
      throw new BnfoldError(
        "file",
        `"${key}" is not in the store`,
        { file: key },
        "Run the command again: it lists the models anew.",
      );
    if (now.version !== version)
      throw new BnfoldError("file", `"${key}" has changed since the job was made`, { file: key }, "Run the command again.");
    return this.path(key);
  }

  async place(key: string): Promise<string> {
    const path = await this.path(key);
    try {
      await mkdir(dirname(path), { recursive: true });
    } catch (error) {
      throw fileError(path, error);
    }
    // Again: the folders are there now.
    return this.path(key);
  }

  async commit(key: string, file: string): Promise<void> {
    const path = await this.place(key);
    try {
      await synced(file);
      if (resolve(file) !== path) await rename(file, path);
    } catch (error) {
      throw fileError(path, error);
    }
  }

  async remove(key: string): Promise<void> {
    const path = await this.path(key);
    try {
      await rm(path, { force: true });
    } catch (error) {
      throw fileError(path, error);
    }
  }

  /** Takes away what killed processes left half written. */
  async tidy(): Promise<void> {
    const folder = await this.path(TEMPORARY);
    for (const name of await readdir(folder).catch(() => [] as string[])) {
      const path = join(folder, name);
      const stats = await stat(path).catch(() => undefined);
      if (stats !== undefined && Date.now() - stats.mtimeMs > LITTER_MS) await rm(path, { force: true }).catch(() => undefined);
    }
  }
}

/** @throws BnfoldError of kind "file" when the folder is not there. */
export async function folderStore(given: string | URL): Promise<Store> {
  const path = typeof given === "string" ? resolve(given) : fileURLToPath(given);
  let root: string;
  try {
    root = await realpath(path);
    if (!(await stat(root)).isDirectory()) throw new BnfoldError("file", `the store "${path}" is no folder`, { file: path });
  } catch (error) {
    throw fileError(path, error);
  }
  const store = new FolderStore(path, root);
  await store.tidy();
  return store;
}
