/** Where fold writes, and the refusals that protect files which are not meant. */
import { mkdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import type { Options } from "yargs";
import { BnfoldError } from "../diag/error.ts";
import { fileError } from "../node/files.ts";
import type { WriteOptions } from "../onnx/write.ts";
import { flag, text, usage, type Values } from "./command.ts";
import { nearest } from "./suggest.ts";

export interface Target {
  /** File the result is to become; a dry run only borrows its name. */
  readonly path: string;
  readonly dryRun: boolean;
  /** Absent: what suits the folder it goes to (node/save.ts). */
  readonly external?: WriteOptions["external"];
  /** Largest side file, in bytes. */
  readonly sideFileLimit?: number;
  /** File for the certificate. */
  readonly certificate?: string;
}

export const externalOption: Options = {
  requiresArg: true,
  type: "string",
  describe:
    "External tensor data: keep (what is untouched stays in its side file), copy (all of it in one new side file), inline, split[=MB]; default: keep beside the input, copy in another folder",
};

export const mkdirOption: Options = { type: "boolean", describe: "Make the folder of the output when it is not there" };

/** Largest side file of --external split where no size is given, in megabytes: any file system takes 2 GB. */
const SPLIT_MB = 2000;

/** --external keep|copy|inline|split[=MB] */
export function externalOf(values: Values): Pick<Target, "external" | "sideFileLimit"> {
  const written = text(values, "external");
  if (written === undefined) return {};
  const split = /^split(?:=(\d+))?$/.exec(written);
  if (split !== null) {
    const megabytes = Number(split[1] ?? SPLIT_MB);
    if (!(megabytes >= 1 && megabytes <= 1e9)) throw usage(`--external split=MB takes megabytes from 1, got "${split[1]}"`);
    return { external: "split", sideFileLimit: megabytes * 1e6 };
  }
  if (written !== "keep" && written !== "copy" && written !== "inline") {
    const near = nearest(written, ["keep", "copy", "inline", "split"]);
    const meant = near === undefined ? "" : `, did you mean "${near}"?`;
    throw usage(`--external cannot be "${written}"${meant}`, "It is one of keep, copy, inline, split, split=MB.");
  }
  return { external: written };
}

/** The same file, by whatever spelling, symbolic or hard link. */
export function isSameFile(a: string, b: string): boolean {
  if (resolve(a) === resolve(b)) return true;
  const [x, y] = [statSync(a, { throwIfNoEntry: false, bigint: true }), statSync(b, { throwIfNoEntry: false, bigint: true })];
  return x !== undefined && y !== undefined && x.ino === y.ino && x.dev === y.dev;
}

/** What -o says, or the second place of the command. */
export function givenOutput(values: Values): string | undefined {
  const [option, place] = [text(values, "output"), text(values, "output-file")];
  if (option !== undefined && place !== undefined)
    throw usage(`the output is given twice: -o ${option}, and ${place}`, "Leave one of them away.");
  // The second of two names that a pattern of the shell gave may be a model nobody means to lose.
  if (place !== undefined && statSync(place, { throwIfNoEntry: false })?.isFile() === true)
    throw usage(
      `${place} is there already`,
      `To replace it: -o ${place}. For many models give a folder, or a pattern in quotes.`,
    );
  return option ?? place;
}

/** The folder an output goes to is there before anything is computed; --mkdir makes it. */
function requireFolder(folder: string, values: Values): void {
  if (statSync(folder, { throwIfNoEntry: false }) !== undefined) return;
  if (!flag(values, "mkdir"))
    throw new BnfoldError("file", `the output folder ${folder} does not exist`, { file: folder }, "Make it, or pass --mkdir.");
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw fileError(folder, error);
  }
}

/** The file -o names. In a folder that is there it gets the name of the model, as with cp. */
function outputOf(model: string, values: Values): string | undefined {
  const output = givenOutput(values);
  if (output === undefined) return undefined;
  if (statSync(output, { throwIfNoEntry: false })?.isDirectory() === true) return join(output, basename(model));
  const isFolder = output.endsWith("/") || output.endsWith(sep);
  requireFolder(isFolder ? output : dirname(output), values);
  return isFolder ? join(output, basename(model)) : output;
}

export function targetOf(model: string, values: Values): Target {
  const output = outputOf(model, values);
  const [inPlace, dryRun] = [flag(values, "in-place"), flag(values, "dry-run")];
  if (dryRun && inPlace) throw usage("--dry-run and --in-place contradict each other");
  if (inPlace && output !== undefined && !isSameFile(output, model)) {
    throw usage("--in-place writes to the model itself; leave -o away, or leave --in-place away");
  }
  if (!inPlace && !dryRun && output === undefined) throw usage("where to write? -o <file>, --in-place or --dry-run");
  if (!inPlace && output !== undefined && isSameFile(output, model)) {
    throw usage(
      `the output ${output} is the model itself`,
      "Name another file, or pass --in-place to replace it after the check.",
    );
  }
  const certificate = text(values, "certificate");
  if (certificate !== undefined && [model, output].some((other) => other !== undefined && isSameFile(certificate, other)))
    throw usage(`the certificate ${certificate} would overwrite a model`, "Name another file.");
  return { path: output === undefined || inPlace ? model : output, dryRun, ...externalOf(values), certificate };
}
