/** --format, --report and --fail-on: in which form a command says what it found, and what ends it with a code of its own. */
import { extname } from "node:path";
import type { Options } from "yargs";
import { REASONS } from "../diag/codes.ts";
import { requirePlace, writePieces } from "../node/atomic.ts";
import type { Document } from "../report/document.ts";
import { fails, type Strictness } from "../report/findings.ts";
import { EXTENSIONS, type Format, formatted } from "../report/formats/index.ts";
import { flag, text, texts, usage, type Values } from "./command.ts";
import { nearest } from "./suggest.ts";
import { isSameFile } from "./target.ts";
import { print } from "./terminal.ts";

const FORMATS = ["text", "json", "github", "sarif", "junit", "markdown"] as const;

const LIST = Object.keys(EXTENSIONS).join(", ");

export const formatOptions: Readonly<Record<string, Options>> = {
  format: { requiresArg: true, type: "string", describe: `What is printed: ${FORMATS.join(", ")}` },
  report: {
    array: true,
    requiresArg: true,
    type: "string",
    describe: `Also write a report to this file, in the form its name ends with (${LIST})`,
  },
};

export const failOnOption: Readonly<Record<string, Options>> = {
  "fail-on": {
    array: true,
    requiresArg: true,
    type: "string",
    describe: "Exit code 5 when a node is kept for one of these reasons, written with commas between",
  },
};

/** Where the words of a command go. */
export interface Wanted extends Strictness {
  readonly format: (typeof FORMATS)[number];
  readonly reports: readonly { readonly path: string; readonly format: Format }[];
}

/** The format a file's name asks for. @throws BnfoldError of kind "usage" for an extension nobody writes. */
function formatOfName(path: string): Format {
  const extension = extname(path).toLowerCase();
  const format = (EXTENSIONS as Readonly<Record<string, Format>>)[extension];
  if (format !== undefined) return format;
  const said = extension === "" ? "has no extension" : `ends in ${extension}`;
  throw usage(`the report ${path} ${said}: which form should it have?`, `It is one of ${LIST}.`);
}

function formatGiven(values: Values): Wanted["format"] {
  const written = text(values, "format");
  const json = flag(values, "json");
  if (written === undefined) return json ? "json" : "text";
  const format = FORMATS.find((one) => one === written);
  if (format === undefined) {
    const near = nearest(written, FORMATS);
    throw usage(
      `--format cannot be "${written}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
      `It is one of ${FORMATS.join(", ")}.`,
    );
  }
  if (json && format !== "json") throw usage(`--json and --format ${format} contradict each other`, "Leave one of them away.");
  return format;
}

function reasonsGiven(values: Values): ReadonlySet<string> {
  const known = Object.keys(REASONS);
  const given = texts(values, "fail-on").flatMap((list) => list.split(",").map((one) => one.trim()));
  for (const reason of given) {
    if (known.includes(reason)) continue;
    const near = nearest(reason, known);
    throw usage(
      `--fail-on: there is no reason "${reason}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
      "bnfold explain lists all of them.",
    );
  }
  return new Set(given);
}

/**
 * What the options say, before any work. `models`: files a report may not replace; `makesFolders`: those of reports may be made.
 * @throws BnfoldError of kind "usage"; of kind "file" when a report has no place to go to.
 */
export function wantedOf(values: Values, models: readonly (string | undefined)[] = [], makesFolders = false): Wanted {
  const reports = texts(values, "report").map((path) => {
    if (!makesFolders) requirePlace(path);
    return { path, format: formatOfName(path) };
  });
  const replaced = reports.find(({ path }) => models.some((file) => file !== undefined && isSameFile(path, file)));
  if (replaced !== undefined) throw usage(`the report ${replaced.path} would overwrite a model`, "Name another file.");
  return { format: formatGiven(values), reports, ...strictnessOf(values) };
}

/** What fails a run. @throws BnfoldError of kind "usage" for a reason there is not. */
export const strictnessOf = (values: Values): Strictness => ({ strict: flag(values, "strict"), failOn: reasonsGiven(values) });

/** True when somebody will read hashes of whole files. */
export const wantsHashes = ({ format, reports }: Wanted): boolean =>
  format === "json" || reports.some(({ format: one }) => one === "json" || one === "jsonl");

/** True when a page will be written, which shows more of the model than decisions. */
export const wantsDetails = (values: Values): boolean => texts(values, "report").some((path) => formatOfName(path) === "html");

/** True when the whole screen of one model was asked for, which has pictures of its channels. */
export const wantsPictures = (values: Values): boolean => flag(values, "verbose") && formatGiven(values) === "text";

/** Exit code of nodes that stay: 5 when the options fail one of them. */
export const keptCode = (kept: readonly Parameters<typeof fails>[0][], wanted: Strictness): 0 | 5 =>
  kept.some((one) => fails(one, wanted)) ? 5 : 0;

export async function writeReports(document: Document, wanted: Wanted, code: number): Promise<void> {
  for (const { path, format } of wanted.reports) {
    const said = `${formatted(document, format, { ...wanted, code })}\n`;
    await writePieces(path, [{ bytes: new TextEncoder().encode(said) }], { replaceExisting: true });
  }
}

/** Prints the document in the form asked for: `own` is the text of a person's screen, `json` where it is not the document's own. */
export function say(document: Document, wanted: Wanted, code: number, own: () => string, json?: () => string): void {
  if (wanted.format === "text") print(own());
  else if (wanted.format === "json" && json !== undefined) print(json());
  else print(formatted(document, wanted.format, { ...wanted, code }));
}
