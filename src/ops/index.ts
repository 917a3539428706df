/** The registry: every operator the executor knows, one line a family. */

import { activationOps } from "./activation.ts";
import { arithmeticOps } from "./arithmetic.ts";
import { attentionOps } from "./attention.ts";
import { batchnormOps } from "./batchnorm.ts";
import { castOps } from "./cast.ts";
import { constantOps } from "./constant.ts";
import { contributedOps } from "./contributed.ts";
import { controlOps } from "./control.ts";
import { convOps } from "./conv.ts";
import type { OpDef } from "./define.ts";
import { detOps } from "./det.ts";
import { einsumOps } from "./einsum.ts";
import { elementwiseOps } from "./elementwise.ts";
import { gatherOps } from "./gather.ts";
import { gemmOps } from "./gemm.ts";
import { gridOps } from "./gridsample.ts";
import { indexingOps } from "./indexing.ts";
import { logicOps } from "./logic.ts";
import { lossOps } from "./loss.ts";
import { matmulOps } from "./matmul.ts";
import { mlLinearOps } from "./mllinear.ts";
import { mlSvmOps } from "./mlsvm.ts";
import { mlTableOps } from "./mltables.ts";
import { mlTreeOps } from "./mltrees.ts";
import { normalizationOps } from "./normalization.ts";
import { optimizerOps } from "./optimizer.ts";
import { optionalOps } from "./optional.ts";
import { poolOps } from "./pool.ts";
import { quantizeOps } from "./quantize.ts";
import { randomOps } from "./random.ts";
import { reduceOps } from "./reduce.ts";
import { resizeOps } from "./resize.ts";
import { rnnOps } from "./rnn.ts";
import { roiOps } from "./roialign.ts";
import { rotaryOps } from "./rotary.ts";
import { sequenceOps } from "./sequence.ts";
import { shapeOps } from "./shape.ts";
import { signalOps } from "./signal.ts";
import { sliceOps } from "./slice.ts";
import { softmaxOps } from "./softmax.ts";
import { statefulOps } from "./stateful.ts";
import { textOps } from "./text.ts";
import { tfidfOps } from "./tfidf.ts";

const families: readonly (readonly OpDef[])[] = [
  mlSvmOps,
  mlLinearOps,
  tfidfOps,
  mlTreeOps,
  mlTableOps,
  optimizerOps,
  rnnOps,
  detOps,
  signalOps,
  einsumOps,
  statefulOps,
  rotaryOps,
  attentionOps,
  randomOps,
  textOps,
  optionalOps,
  sequenceOps,
  controlOps,
  contributedOps,
  quantizeOps,
  castOps,
  roiOps,
  gridOps,
  resizeOps,
  normalizationOps,
  batchnormOps,
  lossOps,
  softmaxOps,
  reduceOps,
  activationOps,
  elementwiseOps,
  logicOps,
  arithmeticOps,
  sliceOps,
  shapeOps,
  indexingOps,
  gatherOps,
  constantOps,
  convOps,
  matmulOps,
  gemmOps,
  poolOps,
];

const byName = new Map<string, OpDef[]>();
for (const op of families.flat()) {
  const key = `${op.domain ?? ""}:${op.type}`;
  const list = byName.get(key);
  if (list === undefined) byName.set(key, [op]);
  else list.push(op);
}
for (const list of byName.values()) list.sort((a, b) => b.since - a.since);

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
