/** The training side: conventions, frozen and training-mode models, fresh statistics, what the parameters say. */
export * from "./channels.ts";
export * from "./conventions.ts";
export { BuiltInEngine, type BuiltInOptions, type Engine, type Feeds, type Pass } from "./engine.ts";
export * from "./freeze.ts";
export * from "./half-life.ts";
export { layerName, type NormLayer, normLayers, type Parameter } from "./layers.ts";
export * from "./moments.ts";
export * from "./moments-file.ts";
export * from "./momentum.ts";
export * from "./recalibrate.ts";
export * from "./rewrite.ts";
export type { SkippedLayer, Statistics, Target } from "./targets.ts";
