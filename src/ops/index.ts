/** The registry: every operator the executor knows, one line a family. */
import type { OpDef } from "./define.ts";

const families: readonly (readonly OpDef[])[] = [];

const byName = new Map<string, OpDef[]>();
for (const op of families.flat()) {
  const key = `${op.domain ?? ""}:${op.type}`;
  const list = byName.get(key);
  if (list === undefined) byName.set(key, [op]);
  else list.push(op);
}
for (const list of byName.values()) list.sort((a, b) => b.since - a.since);

/** The implementation for a node: the newest whose `since` is not above `version`; undefined when there is none. */
export function operator(domain: string, type: string, version: number): OpDef | undefined {
  return byName.get(`${domain}:${type}`)?.find((op) => op.since <= version);
}
