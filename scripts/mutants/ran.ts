/**
 * Which test runs which parts of the sources: every test file is run once with a note in each part, and its answer kept in
 * .mutants/ran/ until the file or anything it imports changes. What no test runs, no test notices.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Part, partAround, partsOf, traced } from "./parts.ts";
import { runTests } from "./vitest.ts";

/** A test and the parts it ran, by source, a bit each in base64. A test without a name is the loading of its file. */
export interface Ran {
  readonly file: string;
  readonly name: string;
  readonly ms: number;
  readonly ok: boolean;
  readonly parts: Readonly<Record<string, string>>;
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
const PLANNER = ["test/rules", "test/fold", "test/laws", "test/verify", "test/certify", "test/report/reasons.test.ts"];
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

interface Source {
  readonly text: string;
  readonly parts: readonly Part[];
  readonly first: number;
}
type Read = Ran & { readonly bits: ReadonlyMap<string, Uint8Array> };

export class Runs {
  readonly #root: string;
  readonly #folder: string;
  readonly #sources = new Map<string, Source>();
  /** By test file. */
  readonly #ran = new Map<string, readonly Read[]>();

  constructor(root: string, store: string) {
    this.#root = root;
    this.#folder = join(store, "ran");
    mkdirSync(this.#folder, { recursive: true });
    let first = 0;
    for (const file of sourcesIn(root, "src")) {
      const text = readFileSync(join(root, file), "utf8");
      const parts = partsOf(text);
      this.#sources.set(file, { text, parts, first });
      first += parts.length;
    }
  }

  /** Runs the test files of a room that were not yet. Tests that fail as they are can tell nothing and are left out. */
  async of(room: string, say: (line: string) => void): Promise<void> {
    const files = testFiles(this.#root, room);
    const places = new Map(files.map((file) => [file, join(this.#folder, `${hashOf(...closure(this.#root, file))}.jsonl`)]));
    const at = (file: string) => places.get(file) as string;
    await this.#trace(
      files.filter((file) => !existsSync(at(file))),
      at,
      say,
    );
    for (const file of files) {
      if (this.#ran.has(file)) continue;
      const ran = linesOf(at(file)).map((r) => ({
        ...r,
        bits: new Map(Object.entries(r.parts).map(([source, bits]) => [source, new Uint8Array(Buffer.from(bits, "base64"))])),
      }));
      for (const { ok, name } of ran) if (!ok) say(`left out, it fails without a mutant: ${file} ${name}`);
      this.#ran.set(file, ran);
    }
  }

  async #trace(files: readonly string[], at: (file: string) => string, say: (line: string) => void): Promise<void> {
    if (files.length === 0) return;
    say(`seeing which parts of the sources the tests of ${files.length} files run`);
    const folder = join(this.#folder, "traced");
    mkdirSync(folder, { recursive: true });
    const replaced: Record<string, string> = {};
    for (const [file, { text, first }] of this.#sources) {
      const to = join(folder, `${hashOf(file)}.ts`);
      writeFileSync(to, traced(text, first));
      replaced[join(this.#root, file)] = to;
    }
    const sources = [...this.#sources].map(([file, { parts, first }]) => ({ file, first, parts: parts.length }));
    for (const group of inGroups(files, 8)) {
      const into = join(folder, "now.jsonl");
      writeFileSync(into, "");
      const order = { root: this.#root, replaced, tests: group.map((file) => ({ file })), trace: { sources, into } };
      await runTests(order, join(folder, "now"), 1_800_000, false);
      const lines = linesOf(into);
      for (const file of group)
        writeFileSync(at(file), lines.flatMap((line) => (line.file === file ? [`${JSON.stringify(line)}\n`] : [])).join(""));
      say(`  ${group.join(" ")}`);
    }
    rmSync(folder, { recursive: true });
  }

  /**
   * Tests that run the part of a source around a stretch of it. Of what runs when files are loaded they are all those that run anything
   * of the file, or, for a file of tables only, all there are, those first that are named after what stands there.
   */
  seeing(file: string, room: string, stretch: Part): Picked[] {
    const source = this.#sources.get(file);
    if (source === undefined) throw new Error(`${file} is no source`);
    const own = partAround(source.parts, stretch);
    const hit = ({ bits }: Read, part: number) => (((bits.get(file)?.[part >> 3] ?? 0) >> (part & 7)) & 1) === 1;
    const any = ({ bits }: Read) => bits.has(file);
    const tests = testFiles(this.#root, room).flatMap((name) => this.#ran.get(name) ?? []);
    const real = tests.filter(({ name, ok }) => name !== "" && ok && !CLOCKED.test(name));
    const near = real.filter((ran) => (own === undefined ? any(ran) : hit(ran, own)));
    // What ran while a file was loaded may matter to each of its tests.
    const loading = new Set(
      own === undefined ? [] : tests.filter((ran) => ran.name === "" && hit(ran, own)).map((ran) => ran.file),
    );
    const far = real.filter((ran) => loading.has(ran.file) && !near.includes(ran) && any(ran));
    const chosen = own === undefined ? named(near.length > 0 ? near : real, lineAround(source.text, stretch)) : [near, far];
    return chosen
      .flatMap((list) => list.sort((a, b) => a.ms - b.ms))
      .map(({ file: from, name, ms }) => ({ file: from, name, ms }));
  }
}

/** The whole lines a stretch is in. */
function lineAround(text: string, { start, end }: Part): string {
  const to = text.indexOf("\n", end);
  return text.slice(text.lastIndexOf("\n", start - 1) + 1, to < 0 ? undefined : to);
}

/** Tests of a table: first those that are named after something in the row. */
function named(tests: readonly Read[], line: string): Read[][] {
  const wordsOf = (text: string) => (text.match(/[A-Za-z]\w{2,}/g) ?? []).map((word) => word.toLowerCase());
  const words = new Set(wordsOf(line));
  const first = tests.filter(({ name }) => wordsOf(name).some((word) => words.has(word)));
  return [first, tests.filter((test) => !first.includes(test))];
}

function inGroups<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

const linesOf = (file: string): Ran[] =>
  readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Ran]));

/** A file and all it imports, their texts. */
function closure(root: string, file: string): string[] {
  const seen = new Map<string, string>();
  const visit = (path: string): void => {
    if (seen.has(path) || !existsSync(join(root, path))) return;
    const text = readFileSync(join(root, path), "utf8");
    seen.set(path, text);
    for (const [, to] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+\.ts)"/g)) visit(join(dirname(path), to));
  };
  visit(file);
  return [...seen].sort(([a], [b]) => (a < b ? -1 : 1)).flat();
}
