/** Parts of the line of a model: what was read, and what went wrong. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { BnfoldError } from "../diag/error.ts";
import { openModel, resolveLocation } from "../node/files.ts";
import type { Line } from "./batch-lines.ts";
import { sha256 } from "./files.ts";
import { explain } from "./terminal.ts";

/** SHA-256 over a model and its side files; null when one cannot be read. */
export async function contentOf(file: string): Promise<string | null> {
  const hash = createHash("sha256");
  try {
    // Reading a pipe would wait for whoever writes to it.
    if (!statSync(file).isFile()) return null;
    hash.update(await sha256(file));
    const opened = openModel(file);
    const locations = new Set(opened.model.externalTensors.map(({ external }) => external?.location ?? ""));
    opened.close();
    for (const location of [...locations].sort()) hash.update(`\0${location}\0${await sha256(resolveLocation(file, location))}`);
    return hash.digest("hex");
  } catch {
    return null;
  }
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

/** What a line says of a failure. */
export function failureOf(thrown: unknown): Pick<Line, "status" | "code" | "error"> {
  const known = explain(thrown);
  const { kind: stays = "internal", hint } = known ?? {};
  const kind = passes(thrown) === undefined ? stays : "temporary";
  const message = known?.message ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return { status: "failed", code: known?.exitCode ?? 70, error: { kind, message, ...(hint === undefined ? {} : { hint }) } };
}

/** What JSON has no number for, as in other reports. */
export const finite = (_key: string, v: unknown): unknown => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v);
