/**
 * Which test runs which parts of the sources: every test file is run once with a note in each part, and its answer kept in
 * .mutants/ran-<sources>/ until a source, a helper or the file itself changes. What no test runs, no test notices.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Part, partAround, partsOf, traced } from "./parts.ts";
import { runTests } from "./vitest.ts";

/** A test and the parts it ran, a bit each, in base64. A test without a name is the loading of its file. */
export interface Ran {
  readonly file: string;
  readonly name: string;
  readonly ms: number;
  readonly ok: boolean;
  readonly parts: string;
}

export interface Picked {
  readonly file: string;
  readonly name: string;
  readonly ms: number;
}

const hashOf = (...texts: string[]) => {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(text).update("\0");
  return hash.digest("hex").slice(0, 20);
};

export function sourcesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.includes("assembly"))
    .map((name) => `${folder}/${name}`)
    .sort();
}

/** Test files that start processes, or take too long, see no mutant. */
const SLOW = /scaling|faults\.test|bisect/;
/** Tests that go by the clock may fail for other reasons than the mutant. */
const CLOCKED = /grows no faster/;
const PLANNER = ["test/rules", "test/fold", "test/laws", "test/verify", "test/report/reasons.test.ts"];
/** Where tests of a room stand, when not in its own folder only. */
const POOLS: Readonly<Record<string, readonly string[]>> = {
  rules: PLANNER,
  laws: PLANNER,
  fold: PLANNER,
  verify: PLANNER,
  affine: ["test/affine", ...PLANNER],
  graph: ["test/graph", ...PLANNER],
  onnx: ["test/onnx", "test/fold/lossless.test.ts", "test/node/save.test.ts", "test/node/external.test.ts"],
};

function testFiles(root: string, room: string): string[] {
  return (POOLS[room] ?? [`test/${room}`])
    .flatMap((path) => (path.endsWith(".ts") ? [path] : sourcesIn(root, path)))
    .filter((name) => name.endsWith(".test.ts") && !SLOW.test(name));
}

export class Runs {
  readonly #root: string;
  readonly #folder: string;
  /** By source: its parts, and the number of the first one. */
  readonly #sources = new Map<string, { readonly parts: readonly Part[]; readonly first: number; readonly text: string }>();
  readonly #total: number;
  /** By test file. */
  readonly #ran = new Map<string, readonly (Ran & { readonly bits: Uint8Array })[]>();

  constructor(root: string, store: string) {
    this.#root = root;
    let first = 0;
    const hash: string[] = [];
    for (const file of sourcesIn(root, "src")) {
      const text = readFileSync(join(root, file), "utf8");
      const parts = partsOf(text);
      this.#sources.set(file, { parts, first, text });
      first += parts.length;
      hash.push(file, text);
    }
    this.#total = first;
    for (const file of sourcesIn(root, "test").filter((name) => !name.endsWith(".test.ts")))
      hash.push(file, readFileSync(join(root, file), "utf8"));
    this.#folder = join(store, `ran-${hashOf(...hash)}`);
    mkdirSync(this.#folder, { recursive: true });
  }

  /** Runs the test files of a room that were not yet. Tests that fail as they are can tell nothing and are left out. */
  async of(room: string, say: (line: string) => void): Promise<void> {
    const files = testFiles(this.#root, room);
    const at = (file: string) => join(this.#folder, `${hashOf(file, readFileSync(join(this.#root, file), "utf8"))}.jsonl`);
    const missing = files.filter((file) => !existsSync(at(file)));
    if (missing.length > 0) say(`seeing which parts of the sources the tests of ${missing.length} files run`);
    const replaced: Record<string, string> = {};
    if (missing.length > 0)
      for (const [file, { text, first }] of this.#sources) {
        const to = join(this.#folder, `${hashOf(file)}.ts`);
        writeFileSync(to, traced(text, first));
        replaced[join(this.#root, file)] = to;
      }
    for (const group of inGroups(missing, 8)) {
      const into = join(this.#folder, "now.jsonl");
      writeFileSync(into, "");
      const order = { root: this.#root, replaced, tests: group.map((file) => ({ file })), trace: { parts: this.#total, into } };
      await runTests(order, join(this.#folder, "now"), 1_800_000, false);
      const lines = readFileSync(into, "utf8")
        .split("\n")
        .filter((line) => line !== "");
      for (const file of group)
        writeFileSync(at(file), lines.filter((line) => (JSON.parse(line) as Ran).file === file).join("\n"));
      say(`  ${group.join(" ")}`);
    }
    for (const file of files) {
      if (this.#ran.has(file)) continue;
      const lines = readFileSync(at(file), "utf8")
        .split("\n")
        .filter((line) => line !== "");
      const ran = lines
        .map((line) => JSON.parse(line) as Ran)
        .map((r) => ({ ...r, bits: new Uint8Array(Buffer.from(r.parts, "base64")) }));
      for (const { ok, name } of ran) if (!ok) say(`left out, it fails without a mutant: ${file} ${name}`);
      this.#ran.set(file, ran);
    }
  }

  /**
   * Tests that run the part of a source around a stretch of it. Of what runs when files are loaded they are all those that run anything
   * of the file, or, for a file of tables only, all there are.
   */
  seeing(file: string, room: string, stretch: Part): Picked[] {
    const source = this.#sources.get(file);
    if (source === undefined) throw new Error(`${file} is no source`);
    const own = partAround(source.parts, stretch);
    const hit = ({ bits }: { bits: Uint8Array }, part: number) =>
      ((bits[(source.first + part) >> 3] >> ((source.first + part) & 7)) & 1) === 1;
    const any = (ran: { bits: Uint8Array }) => source.parts.some((_, i) => hit(ran, i));
    const tests = testFiles(this.#root, room).flatMap((name) => this.#ran.get(name) ?? []);
    const real = tests.filter(({ name, ok }) => name !== "" && ok && !CLOCKED.test(name));
    const near = real.filter((ran) => (own === undefined ? any(ran) : hit(ran, own)));
    // What ran while a file was loaded may matter to each of its tests.
    const loading = new Set(
      own === undefined ? [] : tests.filter((ran) => ran.name === "" && hit(ran, own)).map((ran) => ran.file),
    );
    const far = real.filter((ran) => loading.has(ran.file) && !near.includes(ran) && any(ran));
    const chosen = near.length + far.length > 0 || own !== undefined ? [near, far] : [real];
    return chosen
      .flatMap((list) => list.sort((a, b) => a.ms - b.ms))
      .map(({ file: from, name, ms }) => ({ file: from, name, ms }));
  }
}

function inGroups<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}
