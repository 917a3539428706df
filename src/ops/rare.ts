/**
 * Operators of which most networks have none: a program that is loaded over a network can do without them until a model asks for one
 * (ops/index.ts, `register`).
 */
import { attentionOps } from "./attention.ts";
import { contributedOps } from "./contributed.ts";
import { controlOps } from "./control.ts";
import type { OpDef } from "./define.ts";
import { detOps } from "./det.ts";
import { einsumOps } from "./einsum.ts";
import { gridOps } from "./gridsample.ts";
import { indexingOps } from "./indexing.ts";
import { lossOps } from "./loss.ts";
import { mlLinearOps } from "./mllinear.ts";
import { mlSvmOps } from "./mlsvm.ts";
import { mlTableOps } from "./mltables.ts";
import { mlTreeOps } from "./mltrees.ts";
import { optimizerOps } from "./optimizer.ts";
import { optionalOps } from "./optional.ts";
import { quantizeOps } from "./quantize.ts";
import { randomOps } from "./random.ts";
import { resizeOps } from "./resize.ts";
import { rnnOps } from "./rnn.ts";
import { roiOps } from "./roialign.ts";
import { rotaryOps } from "./rotary.ts";
import { sequenceOps } from "./sequence.ts";
import { signalOps } from "./signal.ts";
import { statefulOps } from "./stateful.ts";
import { textOps } from "./text.ts";
import { tfidfOps } from "./tfidf.ts";

export const rareOps: readonly OpDef[] = [
  ...attentionOps,
  ...contributedOps,
  ...controlOps,
  ...quantizeOps,
  ...resizeOps,
  ...indexingOps,
  ...detOps,
  ...einsumOps,
  ...gridOps,
  ...lossOps,
  ...mlLinearOps,
  ...mlSvmOps,
  ...mlTableOps,
  ...mlTreeOps,
  ...optimizerOps,
  ...optionalOps,
  ...randomOps,
  ...rnnOps,
  ...roiOps,
  ...rotaryOps,
  ...sequenceOps,
  ...signalOps,
  ...statefulOps,
  ...textOps,
  ...tfidfOps,
];
