/**
 * The training side: conventions, frozen and training-mode models, fresh statistics, what the parameters say.
 * @module
 */
export {
  type Channel,
  type ChannelInspection,
  type ChannelReport,
  type Distribution,
  inspectChannels,
  type PruningSummary,
  type WrittenReport,
} from "./channels.ts";
export * from "./conventions.ts";
export { BuiltInEngine, type BuiltInOptions, type Engine, type Feeds, type Pass } from "./engine.ts";
export { CHANNEL_FLAGS, type ChannelFlag } from "./flags.ts";
export * from "./freeze.ts";
export { FADING_END, fadingCurve, type HalfLife, halfLife } from "./half-life.ts";
export { layerName, type NormLayer, normLayers, type Parameter } from "./layers.ts";
export { blockMoments, type ChannelLayout, type Moments, mergeMoments, type Subtree, varianceOf } from "./moments.ts";
export {
  formatMoments,
  type LayerMoments,
  type MomentsFile,
  type MomentsHeader,
  mergeMomentsFiles,
  momentsFile,
  parseMoments,
  useMoments,
} from "./moments-file.ts";
export * from "./momentum.ts";
export * from "./recalibrate.ts";
export * from "./rewrite.ts";
export type { SkippedLayer, Statistics, Target } from "./targets.ts";
export { type WrittenNorm, writtenAs, writtenNorms } from "./written-norms.ts";
