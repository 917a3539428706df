/** Files of a command: models that are read, and what a report says of files. */
import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { openModel } from "../node/files.ts";
import type { Model } from "../onnx/records.ts";
import { type FileFacts, type ModelFacts, modelFacts } from "../report/report.ts";
import type { Progress } from "./progress.ts";

export interface OpenedModel {
  readonly model: Model;
  readonly facts: ModelFacts;
  /** Side files are what the model says of them. */
  verifyChecksums(progress: Progress): void;
  close(): void;
}

export function openInput(file: string): OpenedModel {
  const opened = openModel(file);
  const { model } = opened;
  return {
    model,
    facts: modelFacts(model, { file, bytes: model.files.main.size, sha256: null }),
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

/** The same facts with the hash filled in. */
export async function hashed<T extends FileFacts>(facts: T, path = facts.file): Promise<T> {
  return { ...facts, sha256: await sha256(path) };
}

export const sizeOfFile = (file: string): number => statSync(file).size;
