/** What the jobs of a store have in common: files brought here and results brought there, and which errors pass. */
import { dirname, join, relative } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import type { Ref } from "../jobs/job.ts";
import { baseOf, folderOf, joinKeys } from "../jobs/keys.ts";
import type { Store } from "../jobs/store.ts";
import { locationParts, openModel } from "../node/files.ts";
import type { OutputFacts } from "../report/report.ts";
import { speakingTo } from "./terminal.ts";

/** A file of the store on this machine, and how to call it in a report. */
export interface Fetched {
  readonly path: string;
  readonly names: readonly (readonly [path: string, name: string])[];
}

/** @throws BnfoldError of kind "file" when it is gone, or has changed since the job was made. */
export async function fetched(store: Store, ref: Ref, place: string): Promise<string> {
  const entry = await store.stat(ref.key);
  if (entry === undefined || entry.version !== ref.version) {
    const what = entry === undefined ? "is not in the store any more" : "has changed since the job was made";
    throw new BnfoldError("file", `"${ref.key}" ${what}`, { file: ref.key }, "Run the command again: it lists the files anew.");
  }
  return store.fetch(entry, place);
}

/** A model with its side files. */
export async function fetchedModel(store: Store, ref: Ref, folder: string): Promise<Fetched> {
  const path = await fetched(store, ref, join(folder, baseOf(ref.key)));
  const names: [string, string][] = [[path, ref.key]];
  // In a folder they are where they belong.
  if (path !== join(folder, baseOf(ref.key))) return { path, names };
  const { model, close } = openModel(path);
  const locations = new Set(model.externalTensors.map(({ external }) => external?.location ?? ""));
  close();
  for (const location of locations) {
    const parts = locationParts(location);
    const key = joinKeys(folderOf(ref.key), ...parts);
    const entry = await store.stat(key);
    if (entry === undefined)
      throw new BnfoldError(
        "file",
        `external data: "${key}" is not in the store`,
        { file: key },
        "Put the model's side files beside it.",
      );
    const place = join(folder, ...parts);
    if (place === path) throw new BnfoldError("model", "the model names itself as its external data", { file: ref.key });
    names.push([await store.fetch(entry, place), key]);
  }
  return { path, names };
}

/** The same data with paths of this machine replaced by the names people know. */
export function renamed<T>(value: T, names: readonly (readonly [path: string, name: string])[]): T {
  const longest = [...names].sort(([a], [b]) => b.length - a.length);
  const walk = (v: unknown): unknown => {
    if (typeof v === "string") return longest.reduce((text, [path, name]) => text.replaceAll(path, name), v);
    if (Array.isArray(v)) return v.map(walk);
    if (typeof v !== "object" || v === null) return v;
    return Object.fromEntries(Object.entries(v).map(([key, entry]) => [key, walk(entry)]));
  };
  return walk(value) as T;
}

/** Everything a result consists of, the model last. */
export async function commitOutput(store: Store, folder: string, output: OutputFacts): Promise<void> {
  const home = dirname(output.file);
  for (const { file } of [...output.sideFiles, output])
    await store.commit(joinKeys(folder, ...relative(home, file).split(/[\\/]/)), file);
}

/** What a command prints, kept. */
export async function spoken(run: () => Promise<number>): Promise<{ code: number; out: string }> {
  let out = "";
  const code = await speakingTo(
    {
      out: (text) => {
        out += text;
      },
      err: () => undefined,
      onProgress: () => undefined,
    },
    run,
  );
  return { code, out };
}

/** System errors that pass, and whether this machine is what hinders. */
const PASSING: Readonly<Record<string, boolean>> = {
  ...{ ENOSPC: true, EDQUOT: true, EFBIG: true, EMFILE: true, ENFILE: true, ENOMEM: true, EROFS: true },
  ...{ EIO: false, ESTALE: false, EBUSY: false, EAGAIN: false, ETIMEDOUT: false, ECONNRESET: false, EHOSTDOWN: false },
};

/** Whether an error passes; undefined for one that stays. */
export function passes(error: unknown): { readonly here: boolean } | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof BnfoldError && at.kind === "temporary") return { here: false };
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string" && code in PASSING) return { here: PASSING[code] };
  }
  return undefined;
}
