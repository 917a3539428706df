/** A model exported in training mode, given inference semantics before it is folded: made in memory, from the file's bytes. */
import type { Model } from "../onnx/records.ts";
import { isEmpty, write } from "../onnx/write.ts";
import { type FreezeData, freeze } from "../train/freeze.ts";
import { previewOf } from "./preview.ts";

export interface Frozen {
  readonly model: Model;
  readonly frozen: FreezeData["frozen"];
}

/** Why a certificate is not made of a model that was frozen, and what to do. */
export const FROZEN_CERTIFICATE = [
  "--certificate speaks of the file, and --freeze changes it first",
  "Freeze it with bnfold freeze, then fold that.",
] as const;

/** The model itself where nothing in it trains. @throws BnfoldError where it cannot be frozen. */
export function frozenFirst(model: Model, dropOutputs: boolean): Frozen {
  const { data, edits } = freeze(model, { dropOutputs });
  if (isEmpty(edits)) return { model, frozen: [] };
  return { model: previewOf(model, write(model, edits), model.files.main.name), frozen: data.frozen };
}
