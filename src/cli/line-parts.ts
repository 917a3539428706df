/** Parts of the line of a model: what was read, and what went wrong. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
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

/** What a line says of a failure. */
export function failureOf(thrown: unknown): Pick<Line, "status" | "code" | "error"> {
  const known = explain(thrown);
  const { kind = "internal", hint } = known ?? {};
  const message = known?.message ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return { status: "failed", code: known?.exitCode ?? 70, error: { kind, message, ...(hint === undefined ? {} : { hint }) } };
}

/** What JSON has no number for, as in other reports. */
export const finite = (_key: string, v: unknown): unknown => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v);
