/** Which tests stand next to a source file: the nearest first, the others when those notice nothing. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Stage {
  readonly files: readonly string[];
  /** Only tests whose full name matches. */
  readonly named?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Tests that start processes or load whole networks see no mutant, or take too long for one. */
const SLOW = /scaling|faults\.test|random-graphs|bisect/;

function inFolder(root: string, folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".test.ts") && !SLOW.test(name))
    .map((name) => `${folder}/${name}`)
    .sort();
}

/** Operators whose rule a file of src/rules states; undefined for what all of them use. */
function operatorsOf(text: string): string[] | undefined {
  const named = [...text.matchAll(/type: "(\w+)"/g)].map((m) => m[1]);
  const together = [...text.matchAll(/alike\("([\w ]+)"/g)].flatMap((m) => m[1].split(" "));
  const listed = [...text.matchAll(/\.\.\.\[((?:"\w+",? ?)+)\]\.map\(\(type\)/g)].flatMap((m) => m[1].match(/\w+/g) ?? []);
  const all = [...named, ...together, ...listed];
  return all.length === 0 ? undefined : all;
}

const LAWS = "test/rules/laws.test.ts";
const RANDOM: Stage = { files: ["test/laws/random-graphs.test.ts"], env: { BNFOLD_RANDOM: "300" } };

/** The stages for a source file, run one after the other until one fails. */
export function stagesOf(root: string, file: string): Stage[] {
  const room = file.split("/")[1];
  const others = inFolder(root, "test/rules").filter((name) => name !== LAWS);
  if (room === "rules") {
    const operators = operatorsOf(readFileSync(join(root, file), "utf8"));
    const named = operators && `numbers: (${operators.join("|")})$`;
    return [{ files: [LAWS], named }, { files: [...others, "test/fold/guards.test.ts", "test/fold/norms.test.ts"] }, RANDOM];
  }
  if (room === "affine")
    return [
      { files: inFolder(root, "test/affine") },
      { files: ["test/fold/merge.test.ts", "test/verify/proof.test.ts", ...others] },
      RANDOM,
    ];
  if (room === "fold")
    return [{ files: inFolder(root, "test/fold") }, { files: [...others, "test/report/reasons.test.ts"] }, RANDOM];
  if (room === "verify")
    return [{ files: inFolder(root, "test/verify") }, { files: [...others, ...inFolder(root, "test/fold")] }, RANDOM];
  if (room === "onnx")
    return [
      { files: inFolder(root, "test/onnx") },
      { files: ["test/fold/lossless.test.ts", "test/node/save.test.ts", "test/node/external.test.ts"] },
    ];
  if (room === "laws")
    return [{ files: ["test/fold/gauges.test.ts", "test/fold/guards.test.ts"] }, { files: [...others, LAWS] }, RANDOM];
  const own = { files: inFolder(root, `test/${room}`) };
  // Rows of the table of operators are read everywhere.
  return file.startsWith("src/graph/operators")
    ? [own, { files: [LAWS, ...others, "test/verify/proof.test.ts"] }, RANDOM]
    : [own];
}
