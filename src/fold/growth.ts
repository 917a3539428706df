/**
 * Files that would grow. A constant that others still read is copied for a fold; a batch normalization may cost the copies it needs,
 * folding other affine nodes may not make the file larger than `maxGrowth` allows (default 0).
 *
 * Bytes are those of the edits: what is added, less what goes with it. Folds that have a new constant, or a dropped one, in common
 * stand or fall together (a party): six nodes may pay for one copy that none of them could alone. What other folds save is there to
 * be spent: with b_p the bytes of party p and n those of everything else (normalizations, what goes with them), parties are let in from
 * the cheapest on while
 *
 *   Σ_{p let in, b_p > 0} b_p ≤ maxGrowth + Σ_{b_p < 0} −b_p + max(0, −n).
 *
 * Normalizations that cost more than they save (n > 0) take nothing from the others.
 */
import { allNodes } from "../graph/functions.ts";
import { hasTrait } from "../graph/operators.ts";
import { type DType, dtypeInfo } from "../onnx/dtype.ts";
import type { NodeSpec } from "../onnx/edit.ts";
import type { Model, NodeRecord, SparseTensorRecord, TensorRecord } from "../onnx/records.ts";
import type { ModelEdits } from "../onnx/write.ts";
import { type Refused, refuse } from "../rules/types.ts";
import { nodeKey } from "./describe.ts";
import type { Fold, TensorChange } from "./types.ts";

/** A number of bytes, or a part of the file's size. */
export type MaxGrowth = number | `${number}%`;

/** Bytes of a tensor's numbers. */
export const payloadBytes = ({ dtype, dims }: Pick<TensorChange, "dtype" | "dims">): number =>
  dims.reduce((n, d) => n * d, dtypeInfo(dtype as DType).bits / 8);

/** Name and numbers of a tensor, its shape and its tags: what an initializer takes in a file. */
const bytesOf = (name: string, dtype: DType, dims: readonly number[]): number =>
  name.length + payloadBytes({ dtype, dims }) + 2 * dims.length + 12;

/** What a node without a tensor takes: its names, and a tag and a length for each of them and for itself. */
const spelled = ({ opType, inputs, outputs }: NodeSpec): number =>
  [opType, ...inputs, ...outputs].reduce((n, word) => n + word.length + 2, 4);

const framed = ({ frame }: { readonly frame: NodeRecord["frame"] }): number => frame.end - frame.tagAt;

const nameOf = (tensor: TensorRecord | SparseTensorRecord): string => ("values" in tensor ? tensor.values.name : tensor.name);

const droppedBytes = (tensor: TensorRecord | SparseTensorRecord): number =>
  framed(tensor) + ("values" in tensor ? 0 : (tensor.external?.length ?? 0));

/** Bytes of a model with its side files. */
function sizeOf({ files, externalTensors }: Model): number {
  return externalTensors.reduce((n, { external }) => n + (external?.length ?? 0), files.main.size);
}

/** Affine folds that have constants in common, and what they add to the file together. */
interface Party {
  readonly folds: Set<Fold>;
  bytes: number;
}

/**
 * The folds that make the file larger than they may, by key, each with its reason.
 * @param removed the record of the node of a fold, when it goes
 */
export function growing(
  model: Model,
  folds: readonly Fold[],
  edits: ModelEdits,
  removed: (fold: Fold) => NodeRecord | undefined,
  maxGrowth: MaxGrowth = 0,
): ReadonlyMap<string, Refused> {
  const base = edits.base ?? model;
  const parties = partiesOf(base, folds, edits, removed);
  let left = typeof maxGrowth === "number" ? maxGrowth : (Number.parseFloat(maxGrowth) / 100) * sizeOf(base);
  left += Math.max(0, -parties.rest);
  const held = new Map<string, Refused>();
  for (const { folds: members, bytes } of parties.list().sort((a, b) => a.bytes - b.bytes)) {
    if (bytes <= left) {
      left -= bytes;
      continue;
    }
    const others = members.size === 1 ? "" : ` with ${members.size - 1} ${members.size === 2 ? "other" : "others"}`;
    const more = Math.ceil(bytes);
    const because = `could be folded${others}, but new constants would make the file ${more} bytes larger`;
    for (const { node } of members)
      held.set(nodeKey(node), refuse("would-grow", because, { facts: { bytes: more, nodes: members.size } }));
  }
  return held;
}

/** What is read of tensors that stand in Constant nodes, which have no names of their own. */
function namesOf({ graph, functions }: Model): ReadonlyMap<TensorRecord, string> {
  const names = new Map<TensorRecord, string>();
  for (const { nodes } of [graph, ...functions]) {
    for (const { opType, attributes, outputs } of allNodes(nodes)) {
      const tensor = opType === "Constant" ? attributes.get("value")?.t : undefined;
      if (tensor !== undefined) names.set(tensor, outputs[0]);
    }
  }
  return names;
}

function partiesOf(
  model: Model,
  folds: readonly Fold[],
  edits: ModelEdits,
  removed: (fold: Fold) => NodeRecord | undefined,
): Parties {
  const added = new Map(edits.addTensors.map(({ tensor }) => [tensor.name, bytesOf(tensor.name, tensor.dtype, tensor.dims)]));
  const parties = new Parties();
  for (const { node } of edits.insertNodes) {
    const value = node.attributes?.value;
    if (value === undefined || !("tensor" in value)) {
      parties.charge([], spelled(node));
      continue;
    }
    added.set(node.outputs[0], bytesOf(node.outputs[0], value.tensor.dtype, value.tensor.dims) + 24);
  }
  const resized = edits.replaceTensors.filter(({ dims }) => dims !== undefined);
  const names = resized.length === 0 ? undefined : namesOf(model);
  for (const { tensor, dims = [] } of resized) {
    const [before, after] = [tensor.dims, dims].map((d) => d.reduce((n, k) => n * k, 1));
    added.set(names?.get(tensor) ?? tensor.name, ((after - before) * framed(tensor)) / Math.max(before, 1));
  }
  // What a fold of a normalization needs is paid for; what is left is for others.
  const affine: Fold[] = [];
  for (const fold of folds) {
    if (fold.kind === "affine" && fold.direction !== "merged") {
      affine.push(fold);
      continue;
    }
    const node = removed(fold);
    if (node !== undefined) parties.charge([], -framed(node));
    for (const { to } of changesOf(fold)) {
      parties.charge([], added.get(to) ?? 0);
      added.delete(to);
    }
  }
  /** Who would see a constant go: by its name. */
  const interest = new Map<string, Set<Fold>>();
  const note = (name: string, fold: Fold) => interest.set(name, (interest.get(name) ?? new Set()).add(fold));
  for (const fold of affine) {
    const node = removed(fold);
    const mine = changesOf(fold).filter(({ to }) => added.has(to));
    parties.join(
      fold,
      mine.map(({ to }) => to),
    );
    for (const { from, to } of mine) {
      note(from, fold);
      // Its reader spells the new name.
      if (from !== "") parties.charge([fold], to.length - from.length);
    }
    for (const name of node?.inputs ?? []) note(name, fold);
    if (node !== undefined) parties.charge([fold], -framed(node));
  }
  for (const [name, bytes] of added) parties.charge([name], bytes);
  // What computed a constant goes with it.
  const own = new Set(folds.map(removed));
  for (const node of edits.dropNodes.toSorted((x, y) => y.index - x.index)) {
    if (own.has(node)) continue;
    const folds = new Set(node.outputs.flatMap((name) => [...(interest.get(name) ?? [])]));
    for (const name of node.inputs) for (const fold of folds) note(name, fold);
    parties.charge([...folds], -framed(node));
  }
  for (const tensor of edits.dropTensors) parties.charge([...(interest.get(nameOf(tensor)) ?? [])], -droppedBytes(tensor));
  return parties;
}

/** Changes of a fold; a shift alone changes no weight of a layer, only what is added behind it. */
function changesOf({ into, scaleRange }: Fold): readonly TensorChange[] {
  const shifts = scaleRange[0] === 1 && scaleRange[1] === 1;
  return into.flatMap(({ node, tensors }) =>
    shifts && hasTrait({ domain: "", opType: node.opType }, "layer") ? tensors.filter(({ dims }) => dims.length < 2) : tensors,
  );
}

/** Sets of folds and new constants that are joined as they are met. */
class Parties {
  /** Bytes that concern no party. */
  rest = 0;
  private readonly of = new Map<Fold | string, Party & { readonly keys: (Fold | string)[] }>();

  join(fold: Fold, names: readonly string[]): void {
    let party = this.of.get(fold) ?? { folds: new Set([fold]), bytes: 0, keys: [fold] };
    this.of.set(fold, party);
    for (const name of names) {
      const other = this.of.get(name);
      if (other === party) continue;
      if (other === undefined) {
        party.keys.push(name);
        this.of.set(name, party);
        continue;
      }
      const [large, small] = other.keys.length > party.keys.length ? [other, party] : [party, other];
      for (const member of small.folds) large.folds.add(member);
      for (const key of small.keys) this.of.set(key, large);
      large.keys.push(...small.keys);
      large.bytes += small.bytes;
      party = large;
    }
  }

  /** Bytes that come or go, shared by those who are concerned. */
  charge(keys: readonly (Fold | string)[], bytes: number): void {
    const concerned = keys.flatMap((key) => this.of.get(key) ?? []);
    for (const party of concerned) party.bytes += bytes / concerned.length;
    if (concerned.length === 0) this.rest += bytes;
  }

  list(): Party[] {
    return [...new Set(this.of.values())];
  }
}
