/** The registry: every operator the executor knows, one line a family. Families that few networks have are in rare.ts. */

import { activationOps } from "./activation.ts";
import { arithmeticOps } from "./arithmetic.ts";
import { batchnormOps } from "./batchnorm.ts";
import { castOps } from "./cast.ts";
import { constantOps } from "./constant.ts";
import { convOps } from "./conv.ts";
import type { OpDef } from "./define.ts";
import { elementwiseOps } from "./elementwise.ts";
import { gatherOps } from "./gather.ts";
import { gemmOps } from "./gemm.ts";
import { logicOps } from "./logic.ts";
import { matmulOps } from "./matmul.ts";
import { normalizationOps } from "./normalization.ts";
import { poolOps } from "./pool.ts";
import { rareOps } from "./rare.ts";
import { reduceOps } from "./reduce.ts";
import { shapeOps } from "./shape.ts";
import { sliceOps } from "./slice.ts";
import { softmaxOps } from "./softmax.ts";

const families: readonly (readonly OpDef[])[] = [
  castOps,
  normalizationOps,
  batchnormOps,
  softmaxOps,
  reduceOps,
  activationOps,
  elementwiseOps,
  logicOps,
  arithmeticOps,
  sliceOps,
  shapeOps,
  gatherOps,
  constantOps,
  convOps,
  matmulOps,
  gemmOps,
  poolOps,
];

const byName = new Map<string, OpDef[]>();

/** Adds operators to those the executor knows, once: what a program loads later, when a model asks for it. */
export function register(ops: readonly OpDef[]): void {
  for (const op of ops) {
    const key = `${op.domain ?? ""}:${op.type}`;
    const list = byName.get(key) ?? [];
    if (list.includes(op)) continue;
    list.push(op);
    byName.set(key, list);
    list.sort((p, q) => q.since - p.since);
  }
}
register(families.flat());
register(rareOps);

/** Every operator: its domain, type, and the opset versions from which its semantics here differ, ascending. */
export function operators(): { readonly domain: string; readonly type: string; readonly since: readonly number[] }[] {
  return [...byName.values()]
    .map((list) => ({ domain: list[0].domain ?? "", type: list[0].type, since: list.map((op) => op.since).reverse() }))
    .sort((a, b) => (a.domain === b.domain ? (a.type < b.type ? -1 : 1) : a.domain < b.domain ? -1 : 1));
}

/** The implementation for a node: the newest whose `since` is not above `version`; undefined when there is none. */
export function operator(domain: string, type: string, version: number): OpDef | undefined {
  return byName.get(`${domain}:${type}`)?.find((op) => op.since <= version);
}
