/**
 * A store: where models lie and results go, seen alike by every machine. A folder (a shared mount) or a bucket behind S3's
 * protocol. The store is the truth: what is committed there is done, whatever a queue believes.
 */
import { BnfoldError } from "../diag/error.ts";
import { redacted } from "./redact.ts";

export interface Entry {
  readonly key: string;
  readonly size: number;
  /** Changes when the content does: an ETag, or size and time of change. */
  readonly version: string;
}

export interface Store {
  /** For messages and reports: without anything secret. */
  readonly label: string;
  /** Files are not on this machine: what is read is fetched. */
  readonly remote: boolean;
  /** Keys that begin with `prefix` (a folder and "/", or ""), sorted. Hidden names only when the prefix itself is hidden. */
  list(prefix: string): Promise<Entry[]>;
  /** undefined when there is no such key. */
  stat(key: string): Promise<Entry | undefined>;
  /** Bytes `[start, end)`. @throws BnfoldError of kind "file" when the key is missing or has another version by now. */
  read(entry: Entry, start: number, end: number): Promise<Uint8Array>;
  /** A whole small file; undefined when there is none. @throws BnfoldError of kind "format" when it is larger than `limit`. */
  get(key: string, limit: number): Promise<Uint8Array | undefined>;
  /**
   * Commits bytes under a key: whole or not at all. `durable`: it must outlive a machine that loses power, which costs some
   * milliseconds of a disk; what can be made again from the rest need not.
   */
  put(key: string, bytes: Uint8Array, durable?: boolean): Promise<void>;
  /** Commits bytes only where the key is free; false when it was taken. */
  putNew(key: string, bytes: Uint8Array): Promise<boolean>;
  /** A file on this machine with the content of a key: the file itself in a folder, else a copy at `scratch`. */
  fetch(entry: Entry, scratch: string): Promise<string>;
  /** Where a file that is to become `key` is made: in the store itself, whose writer commits by renaming, or at `scratch`. */
  place(key: string, scratch: string): Promise<string>;
  /** Commits what was made at the place that `place` gave. */
  commit(key: string, file: string): Promise<void>;
  remove(key: string): Promise<void>;
}

/** `s3://bucket/prefix`, or a folder. @throws BnfoldError of kind "usage" or "file". */
export async function openStore(url: string, env: NodeJS.ProcessEnv = process.env): Promise<Store> {
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined) return (await import("./folder-store.ts")).folderStore(url);
  if (scheme === "file") return (await import("./folder-store.ts")).folderStore(new URL(url));
  if (scheme === "s3") return (await import("./s3-store.ts")).s3Store(url, env);
  throw new BnfoldError(
    "usage",
    `--store ${redacted(url)}: there is no store of that kind`,
    {},
    "Give a folder, or s3://bucket/prefix.",
  );
}

export const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(value)}\n`);

/** Largest file of our own that is read whole: the list of a million models. */
const LARGEST = 1 << 28;

/** A file of JSON; undefined when there is none. @throws BnfoldError of kind "format". */
export async function getJson(store: Store, key: string): Promise<unknown> {
  const bytes = await store.get(key, LARGEST);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new BnfoldError("format", "the file holds no JSON", { file: key }, "It was damaged; remove it, and it is made again.");
  }
}
