/**
 * Reports read back from JSON, of this version and of older ones. Fields that were added later are absent there, and nothing here
 * asks for them; a report of a format version that is not known is refused.
 */
import { BnfoldError } from "../diag/error.ts";
import type { Document, FoldLine, InspectLine, VerifyLine } from "./document.ts";

/** Fields that hold numbers, and may hold one that JSON cannot write. Others of such a text are names. */
const NUMBERS = new Set([
  ...[
    "worstHalfUlps",
    "largest",
    "scale",
    "expected",
    "got",
    "maxDifference",
    "rmsDifference",
    "rounding",
    "ratio",
    "rms",
    "max",
    "limit",
  ],
  ...["storageErrorBefore", "storageErrorAfter", "scaleRange", "shiftRange", "bitsLost", "before", "after", "gain", "shift"],
]);
const SPECIAL: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

/** The same value with the numbers JSON has no word for. */
export function withNumbers<T>(value: T, key = ""): T {
  if (typeof value === "string") return (NUMBERS.has(key) && Object.hasOwn(SPECIAL, value) ? SPECIAL[value] : value) as T;
  if (Array.isArray(value)) return value.map((one) => withNumbers(one, key)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withNumbers(inner, name)])) as T;
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const has = (value: Fields, ...names: readonly string[]): boolean => names.every((name) => isObject(value[name]));

function refuse(file: string, what: string, hint = "Reports are what --json prints and --report writes."): never {
  throw new BnfoldError("format", what, { file }, hint);
}

type Single = Extract<Document, { readonly report: unknown }>;

/** What a value is a report of; undefined for a line of many. */
function single(value: Fields): Single["kind"] | undefined {
  if (Array.isArray(value.folds) && Array.isArray(value.kept) && has(value, "input", "verdict", "operators", "timings"))
    return "fold";
  if (has(value, "a", "b", "diff")) return "diff";
  if (has(value, "a", "b", "verdict")) return "verify";
  if (Array.isArray(value.batchNormalizations) && has(value, "model", "operators")) return "inspect";
  return undefined;
}

const isLine = (value: Fields): boolean => typeof value.file === "string" && typeof value.status === "string";

/** What a line is about: by its report, or by the words only one kind has. */
function kindOfLine(value: Fields): "folds" | "verifies" | "inspects" {
  const kind = isObject(value.report) ? single(value.report) : undefined;
  if (kind !== undefined) return ({ fold: "folds", verify: "verifies", diff: "verifies", inspect: "inspects" } as const)[kind];
  if ("missing" in value || value.status === "equivalent") return "verifies";
  return "settings" in value ? "folds" : value.code === undefined || "seconds" in value ? "verifies" : "inspects";
}

function checked(value: unknown, file: string): Fields {
  if (!isObject(value)) return refuse(file, "this is JSON, but not a report");
  if (value.version !== 1) {
    const newer = typeof value.version === "number" && value.version > 1;
    return newer
      ? refuse(file, `a report of version ${value.version}; this bnfold reads version 1`, "Use a newer bnfold.")
      : refuse(file, "this is JSON, but not a report of bnfold");
  }
  return withNumbers(value);
}

const KINDS = ["folds", "verifies", "inspects"] as const;

function linesOf(values: readonly Fields[], file: string, said?: unknown): Document {
  const stray = values.find((value) => !isLine(value));
  if (stray !== undefined) return refuse(file, "a line of it is no line of a report of many models");
  const kinds = new Set(values.map(kindOfLine));
  // A failure alone does not say of what: it goes with the others.
  const kind =
    KINDS.find((one) => one === said) ??
    [...kinds].find((one) => values.some((value) => kindOfLine(value) === one && isObject(value.report))) ??
    [...kinds][0];
  return { kind, lines: values as unknown as readonly (FoldLine & VerifyLine & InspectLine)[] };
}

/**
 * The document of a report's text: one object of JSON, or a line for each of many models. Of many the lines come as they are
 * written; a last line that was cut off by a kill is left out.
 * @throws BnfoldError of kind "format".
 */
export function reviveReport(text: string, file: string): Document {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch {
    whole = undefined;
  }
  if (whole !== undefined) {
    const value = checked(whole, file);
    const kind = single(value);
    if (kind !== undefined) return { kind, report: value } as unknown as Document;
    if (Array.isArray(value.lines))
      return linesOf(
        value.lines.map((line) => checked(line, file)),
        file,
        value.kind,
      );
    return isLine(value) ? linesOf([value], file) : refuse(file, "a report of bnfold, but of no kind that is shown here");
  }
  const values = text.split("\n").flatMap((line, i, all): unknown[] => {
    if (line.trim() === "") return [];
    try {
      return [JSON.parse(line)];
    } catch {
      return i === all.length - 1 ? [] : refuse(file, `line ${i + 1} is not JSON`);
    }
  });
  if (values.length === 0) return refuse(file, "there is no report in it");
  return linesOf(
    values.map((value) => checked(value, file)),
    file,
  );
}
