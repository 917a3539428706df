/** Files of a command: models that are read, and what a report says of files. */
import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { openModel, resolveLocation } from "../node/files.ts";
import type { Model } from "../onnx/records.ts";
import {
  type FileFacts,
  type ModelFacts,
  modelFacts,
  neededFiles,
  type OutputFacts,
  type SideFileAt,
  type SideFileFacts,
} from "../report/report.ts";
import { trainingNodes } from "../train/freeze.ts";
import type { Progress } from "./progress.ts";
import { isSameFile } from "./target.ts";

export interface OpenedModel {
  readonly model: Model;
  readonly facts: ModelFacts;
  /** Side files are what the model says of them. */
  verifyChecksums(progress: Progress): void;
  close(): void;
}

/** Side files beside a model, looked at but not opened: a missing one is told when it is needed. */
const sideFilesBeside =
  (file: string): SideFileAt =>
  (location) => {
    try {
      return { file: join(dirname(file), location), bytes: statSync(resolveLocation(file, location)).size };
    } catch {
      return undefined;
    }
  };

function factsOnDisk(model: Model, file: string): ModelFacts {
  const own = { file, bytes: model.files.main.size, sha256: null };
  const facts = modelFacts(model, own, neededFiles(model, own, sideFilesBeside(file)));
  const training = trainingNodes(model);
  return training === undefined ? facts : { ...facts, training };
}

/** What a report says of a model that was written. */
export function outputOnDisk(model: Model, file: string, bytes: number): OutputFacts {
  const own = { file, bytes, sha256: null };
  return { ...own, ...neededFiles(model, own, sideFilesBeside(file)) };
}

export function openInput(file: string): OpenedModel {
  const opened = openModel(file);
  const { model } = opened;
  return {
    model,
    facts: factsOnDisk(model, file),
    verifyChecksums(progress) {
      progress.begin("checksums");
      const megabytes = (bytes: number) => Math.round(bytes / 1e6);
      opened.verifyChecksums((done, total, location) => progress.step(megabytes(done), megabytes(total), `MB of ${location}`));
      progress.end();
    },
    close: () => opened.close(),
  };
}

/** SHA-256 of a file in one pass of small reads, as lower-case hexadecimal. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest("hex");
}

/** The same facts with the hash filled in, those of side files too; `known` are files hashed before. */
export async function hashedAll<T extends FileFacts & { readonly sideFiles: readonly SideFileFacts[] }>(
  facts: T,
  known: readonly FileFacts[] = [],
): Promise<T> {
  const sideFiles: SideFileFacts[] = [];
  for (const side of facts.sideFiles) {
    const same = known.find(({ file, sha256: hash }) => hash !== null && isSameFile(file, side.file));
    sideFiles.push(same === undefined ? await hashed(side) : { ...side, sha256: same.sha256 });
  }
  return { ...(await hashed(facts)), sideFiles };
}

/** The same facts with the hash filled in. */
export async function hashed<T extends FileFacts>(facts: T, path = facts.file): Promise<T> {
  return { ...facts, sha256: await sha256(path) };
}
