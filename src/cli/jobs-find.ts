/** Which models of a store a folder, a pattern or a name stands for. */
import { BnfoldError } from "../diag/error.ts";
import { tidyKey } from "../jobs/keys.ts";
import type { Entry, Store } from "../jobs/store.ts";
import { globMatcher } from "./batch-files.ts";

export interface Named {
  /** Below the folder that all have in common. */
  readonly file: string;
  readonly entry: Entry;
}

const WILD = /[*?]/;

/** Models of a folder (*.onnx below it), of a pattern, or one. @throws BnfoldError of kind "file" when there is none. */
export async function findStored(store: Store, written: string): Promise<Named[]> {
  const whole = written === "." || written === "" || written === "/";
  const key = whole ? "" : tidyKey(written);
  const parts = key.split("/");
  const wild = parts.findIndex((part) => WILD.test(part));
  const one = wild < 0 && !whole ? await store.stat(key) : undefined;
  if (one !== undefined) return [{ file: parts[parts.length - 1], entry: one }];
  const base = wild < 0 ? parts : parts.slice(0, wild);
  const prefix = base.join("/") === "" ? "" : `${base.join("/")}/`;
  const matches = wild < 0 ? (file: string) => file.toLowerCase().endsWith(".onnx") : globMatcher(parts.slice(wild).join("/"));
  const found = (await store.list(prefix)).map((entry) => ({ file: entry.key.slice(prefix.length), entry }));
  const models = found.filter(({ file }) => matches(file));
  if (models.length === 0)
    throw new BnfoldError(
      "file",
      `the store ${store.label} has no model "${written}"`,
      { file: written },
      "Names are keys of the store; models end in .onnx.",
    );
  return models;
}
