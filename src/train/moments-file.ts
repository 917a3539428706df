/**
 * Moments on their way between machines: a JSON text that holds, for each layer, either its total over all data or the
 * subtrees of the blocks that were seen. Doubles are written as the shortest decimals that name them, so nothing is lost. A file
 * says nothing of shards: merged files are the same bytes in whatever parts, and in whatever order, they were made.
 */
import { BnfoldError } from "../diag/error.ts";
import { gaps, joinSubtrees, type Moments, type Subtree, totalMoments } from "./moments.ts";
import type { Recalibration } from "./recalibrate.ts";
import type { Target } from "./targets.ts";

/** What must agree before moments may be merged or used. */
export interface MomentsHeader {
  /** SHA-256 of the model file. */
  readonly model: string;
  /** Samples in all data, and how many make a block. */
  readonly samples: number;
  readonly block: number;
  /** Blocks there are, where they are more than the samples fill: each of several holders of data ends with a shorter one. */
  readonly blocks?: number;
  readonly order: "layers" | "at-once";
  readonly variance: "population" | "unbiased";
  /** Arithmetic the values were computed in. */
  readonly engine: string;
}

/** A layer's moments in a file: all of them (`total`), or of some blocks (`parts`). */
export interface LayerMoments {
  /** First output of the layer. */
  readonly output: string;
  readonly channels: number;
  readonly total?: Moments;
  readonly parts?: readonly Subtree[];
}

export interface MomentsFile extends MomentsHeader {
  readonly layers: readonly LayerMoments[];
}

const FORMAT = "bnfold-moments";
const VERSION = 1;

export const blocksOf = ({ samples, block, blocks }: Pick<MomentsHeader, "samples" | "block" | "blocks">): number =>
  blocks ?? Math.ceil(samples / block);

const headerOf = ({ model, samples, block, blocks, order, variance, engine }: MomentsHeader): MomentsHeader => ({
  ...{ model, samples, block },
  ...(blocks === undefined ? {} : { blocks }),
  ...{ order, variance, engine },
});

const plainMoments = ({ count, mean, m2 }: Moments) => ({ count, mean: [...mean], m2: [...m2] });

/** The text of a file: one line per layer. */
export function formatMoments(file: MomentsFile): string {
  const head = JSON.stringify({ format: FORMAT, version: VERSION, ...headerOf(file) });
  const lines = file.layers.map(({ output, channels, total, parts = [] }) =>
    JSON.stringify(
      total !== undefined
        ? { output, channels, total: plainMoments(total) }
        : { output, channels, parts: parts.map((part) => ({ level: part.level, index: part.index, ...plainMoments(part) })) },
    ),
  );
  return `${head.slice(0, -1)},"layers":[\n${lines.join(",\n")}\n]}\n`;
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const areNumbers = (value: unknown, n: number): value is number[] =>
  Array.isArray(value) && value.length === n && value.every((v) => typeof v === "number" && Number.isFinite(v));

/** @throws BnfoldError of kind "format" when the text is not one that `formatMoments` wrote. */
export function parseMoments(text: string, file: string): MomentsFile {
  const bad = (message: string): BnfoldError =>
    new BnfoldError(
      "format",
      `the file does not hold moments: ${message}`,
      { file },
      "bnfold recalibrate --moments writes such files.",
    );
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw bad((error as Error).message);
  }
  if (!isObject(json) || json.format !== FORMAT) throw bad(`it has no "format": "${FORMAT}"`);
  if (json.version !== VERSION) throw bad(`it is of version ${json.version}, expected ${VERSION}`);
  const { model, samples, block, blocks, order, variance, engine, layers } = json;
  if (typeof model !== "string" || typeof engine !== "string") throw bad("it does not name its model or engine");
  if (!isCount(samples) || !isCount(block) || block < 1) throw bad("it does not count its samples");
  if (blocks !== undefined && !isCount(blocks)) throw bad("it does not count its blocks");
  if (order !== "layers" && order !== "at-once") throw bad(`its order is ${JSON.stringify(order)}`);
  if (variance !== "population" && variance !== "unbiased") throw bad(`its variance is ${JSON.stringify(variance)}`);
  if (!Array.isArray(layers)) throw bad("it has no layers");
  const moments = (value: unknown, channels: number): Moments => {
    if (!isObject(value) || !isCount(value.count) || !areNumbers(value.mean, channels) || !areNumbers(value.m2, channels)) {
      throw bad("a layer has no count, mean and m2 of its size");
    }
    return { count: value.count, mean: Float64Array.from(value.mean), m2: Float64Array.from(value.m2) };
  };
  const read = layers.map((layer: unknown): LayerMoments => {
    if (!isObject(layer) || typeof layer.output !== "string" || !isCount(layer.channels))
      throw bad("a layer has no name or size");
    const { output, channels } = layer;
    if (layer.total !== undefined) return { output, channels, total: moments(layer.total, channels) };
    if (!Array.isArray(layer.parts)) throw bad(`layer "${output}" has neither total nor parts`);
    const parts = layer.parts.map((part: unknown): Subtree => {
      if (!isObject(part) || !isCount(part.level) || !isCount(part.index) || part.level > 52) throw bad("a part has no place");
      return { level: part.level, index: part.index, ...moments(part, channels) };
    });
    return { output, channels, parts };
  });
  return { ...headerOf({ model, samples, block, blocks, order, variance, engine }), layers: read };
}

const HEADER = ["model", "samples", "block", "blocks", "order", "variance", "engine"] as const;

/** @throws BnfoldError of kind "usage" naming the first thing two headers disagree about. */
export function requireSame(a: MomentsHeader, b: MomentsHeader, nameA: string, nameB: string): void {
  for (const field of HEADER) {
    if (a[field] === b[field]) continue;
    throw new BnfoldError(
      "usage",
      `the moments do not belong together: ${field} is ${a[field]} in ${nameA} and ${b[field]} in ${nameB}`,
      {
        file: nameB,
      },
    );
  }
}

const sameMoments = (a: Moments, b: Moments): boolean =>
  a.count === b.count && a.mean.every((v, c) => Object.is(v, b.mean[c])) && a.m2.every((v, c) => Object.is(v, b.m2[c]));

/** A layer whose every block is there has a total; one that misses some keeps its parts. */
function settle(layer: LayerMoments, blocks: number): LayerMoments {
  const { output, channels, parts } = layer;
  if (parts === undefined) return layer;
  const joined = joinSubtrees(parts);
  if (joined.length === 0 || gaps(joined, blocks).length > 0) return { output, channels, parts: joined };
  return { output, channels, total: totalMoments(joined, blocks) };
}

/** Shards as one. @throws BnfoldError of kind "usage" when they do not belong together or overlap. */
export function mergeMomentsFiles(files: readonly { readonly name: string; readonly file: MomentsFile }[]): MomentsFile {
  const [first] = files;
  if (first === undefined) throw new BnfoldError("usage", "there are no moments to merge");
  const layers = new Map<string, LayerMoments>();
  for (const { name, file } of files) {
    requireSame(first.file, file, first.name, name);
    for (const layer of file.layers) {
      const known = layers.get(layer.output);
      layers.set(layer.output, known === undefined ? layer : both(known, layer, name));
    }
  }
  const blocks = blocksOf(first.file);
  const settled = [...layers.values()].map((layer) => settle(layer, blocks));
  settled.sort((a, b) => (a.output < b.output ? -1 : a.output > b.output ? 1 : 0));
  return { ...headerOf(first.file), layers: settled };
}

function both(a: LayerMoments, b: LayerMoments, name: string): LayerMoments {
  const { output, channels } = a;
  const conflict = (what: string) => new BnfoldError("usage", `layer "${output}" ${what} in ${name}`, { file: name });
  if (channels !== b.channels) throw conflict(`has ${b.channels} channels, not ${channels},`);
  if (a.total !== undefined && b.total !== undefined) {
    if (sameMoments(a.total, b.total)) return a;
    throw conflict("has another total");
  }
  // With more shards than blocks, some have seen none.
  const [isEmptyA, isEmptyB] = [a.parts?.length === 0, b.parts?.length === 0];
  if (isEmptyA || isEmptyB) return isEmptyA ? b : a;
  if (a.total !== undefined || b.total !== undefined) throw conflict("is finished in one file and has parts");
  return { output, channels, parts: [...(a.parts ?? []), ...(b.parts ?? [])] };
}

/** What a recalibration has so far: totals of finished layers, and the parts of a pass over some blocks. */
export function momentsFile(
  header: MomentsHeader,
  recalibration: Recalibration,
  parts: ReadonlyMap<Target, readonly Subtree[]> = new Map(),
): MomentsFile {
  const layers = recalibration.targets.flatMap((target): LayerMoments[] => {
    const { key: output, channels } = target;
    const total = recalibration.momentsOf(target);
    if (total !== undefined) return [{ output, channels, total }];
    const some = parts.get(target);
    return some === undefined ? [] : [{ output, channels, parts: some }];
  });
  return mergeMomentsFiles([{ name: "", file: { ...header, layers } }]);
}

/** Gives a recalibration the totals a file holds. @throws BnfoldError when the file is for other layers, or lacks some blocks. */
export function useMoments(recalibration: Recalibration, file: MomentsFile, name: string): void {
  const byKey = new Map(recalibration.targets.map((target) => [target.key, target]));
  for (const { output, total, parts = [] } of file.layers) {
    const target = byKey.get(output);
    if (target === undefined) {
      throw new BnfoldError("usage", `the moments have a layer "${output}" that is not to be recalibrated here`, { file: name });
    }
    if (total === undefined) {
      const missing = gaps(parts, blocksOf(file)).map(([a, b]) => (a === b ? `${a}` : `${a} to ${b}`));
      throw new BnfoldError(
        "usage",
        `the moments of layer "${output}" lack blocks ${missing.join(", ")} of ${blocksOf(file)}`,
        { file: name },
        "Merge the files of every shard: bnfold moments merge.",
      );
    }
    recalibration.set(target, total);
  }
}
