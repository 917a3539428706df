/** The cases of the laws as float32, as fixtures/operators.json has their results. */
import { createHash } from "node:crypto";
import { modelBytes } from "../helpers/build.ts";
import { feedsOf, specOf } from "../rules/laws/law.ts";
import { type Case, labelOf } from "../rules/laws/subject.ts";

/** A case whose attributes name float32 where they name float64. */
export function inFloat32(it: Case): Case {
  const to = it.attributes?.to;
  if (to === undefined) return it;
  return { ...it, attributes: { ...it.attributes, to: to === 11 ? 1 : "FLOAT" } };
}

/** The name a case has in the fixture: what it is, and a hash of its constants and inputs. */
export function keyOf(op: string, raw: Case): string {
  const it = inFloat32(raw);
  const feeds = [...feedsOf(it, 1)].map(([name, t]) => [name, t.dims, Array.from(t.data as ArrayLike<number>)]);
  const bytes = modelBytes({ ...specOf(op, 0, it, "float32"), irVersion: 9 });
  const hash = createHash("sha256").update(bytes).update(JSON.stringify(feeds)).digest("hex").slice(0, 6);
  return `${labelOf(op, raw)} #${hash}`;
}
