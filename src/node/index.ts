/**
 * bnfold with files: opening and saving models, arrays as inputs.
 * @module
 */
export { type DataSet, type GivenInputs, loadInputs, saveNpy, saveNpz } from "./arrays.ts";
export { type OutputFile, type Temporary, type WriteFileOptions, writeFiles } from "./atomic.ts";
export { externalResolver, type FileSource, fileSource, type OpenModel, openModel } from "./files.ts";
export { peakMemory } from "./peak.ts";
export { chooseSideFile, type Saved, type SaveOptions, saveModel, writeBeside } from "./save.ts";
export { type Threads, useThreads } from "./threads.ts";
