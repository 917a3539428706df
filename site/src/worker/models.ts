/** Models that were dropped, opened; the last few are kept. */
import { BnfoldError } from "../../../src/diag/error.ts";
import { read } from "../../../src/onnx/read.ts";
import type { Model } from "../../../src/onnx/records.ts";
import type { ByteSource } from "../../../src/onnx/source.ts";
import type { ModelFiles } from "../protocol.ts";
import { operatorsOf } from "./operators.ts";
import { blobSource } from "./source.ts";

const KEPT = 2;
const open = new Map<string, Model>();

const plainPath = (path: string): string =>
  path
    .replaceAll("\\", "/")
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");

export const baseName = (path: string): string => plainPath(path).split("/").at(-1) ?? path;

const folderOf = (path: string): string => plainPath(path).split("/").slice(0, -1).join("/");

/** The dropped file a location means: below the model's folder, or, where the browser told no folders, the one of that name. */
export function sideFile(model: ModelFiles, location: string): ModelFiles["sides"][number] | undefined {
  const folder = folderOf(model.path);
  const wanted = plainPath(`${folder}/${location}`);
  const exact = model.sides.find(({ path }) => plainPath(path) === wanted);
  if (exact !== undefined || location.split(/[\\/]/).includes("..")) return exact;
  const named = model.sides.filter(({ path }) => !plainPath(path).includes("/") && path === baseName(location));
  return named.length === 1 ? named[0] : undefined;
}

export async function openModel(files: ModelFiles): Promise<Model> {
  const known = open.get(files.key);
  if (known !== undefined) return known;
  const sides = new Map<string, ByteSource>();
  const external = (location: string): ByteSource => {
    const there = sides.get(location);
    if (there !== undefined) return there;
    const found = sideFile(files, location);
    if (found === undefined)
      throw new BnfoldError(
        "file",
        `the model keeps weights in a side file, "${location}", which did not come with it`,
        { file: location },
        `Drop the model and "${baseName(location)}" together, or the folder that holds both.`,
      );
    const source = blobSource(found.file, location);
    sides.set(location, source);
    return source;
  };
  const model = read(blobSource(files.main, baseName(files.path)), { external });
  await operatorsOf(model);
  open.set(files.key, model);
  for (const key of [...open.keys()].slice(0, Math.max(0, open.size - KEPT))) open.delete(key);
  return model;
}

/** Side files a model names that did not come with it. */
export function missingSides(files: ModelFiles, model: Model): string[] {
  const locations = new Set(model.externalTensors.map(({ external }) => external?.location ?? ""));
  return [...locations].filter((location) => sideFile(files, location) === undefined);
}
