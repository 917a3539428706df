/**
 * Keys: the names of files in a store. Plain names with "/" between them, relative to the store's prefix. Whatever comes out of a
 * queue or a model is checked here before it becomes a path or a URL: no key leads out of the store.
 */
import { BnfoldError } from "../diag/error.ts";

/** Longest key; what S3 takes. */
const MAX_BYTES = 1024;

/** Control characters, which no name needs. */
const CONTROL = /\p{Cc}/u;

/** @throws BnfoldError of kind "usage" when a key is not a plain relative path. */
export function requireKey(key: unknown): string {
  const bad = (why: string): BnfoldError =>
    new BnfoldError(
      "usage",
      `the key ${JSON.stringify(key)} ${why}`,
      {},
      "Keys are plain names with / between them, below the store.",
    );
  if (typeof key !== "string" || key === "") throw bad("is no name");
  if (Buffer.byteLength(key) > MAX_BYTES) throw bad(`is longer than ${MAX_BYTES} bytes`);
  if (CONTROL.test(key)) throw bad("holds a control character");
  if (key.includes("\\")) throw bad("holds a backslash");
  if (key.startsWith("/") || /^[A-Za-z]:/.test(key)) throw bad("is absolute");
  if (key.split("/").some((part) => part === "" || part === "." || part === "..")) throw bad("leads out of its folder");
  return key;
}

/** A key as the person wrote it: `./models/a.onnx`, `models/`. */
export const tidyKey = (written: string): string => requireKey(written.replace(/^(?:\.\/+)+/, "").replace(/\/+$/, ""));

/** Joined keys, checked. */
export const joinKeys = (...parts: readonly string[]): string => requireKey(parts.filter((part) => part !== "").join("/"));

/** The folder a key is in; "" at the top. */
export const folderOf = (key: string): string => key.slice(0, Math.max(0, key.lastIndexOf("/")));

export const baseOf = (key: string): string => key.slice(key.lastIndexOf("/") + 1);

/** Where everything that is not the person's lies. Hidden, so that no search for models finds results. */
export const OWN = ".bnfold";
