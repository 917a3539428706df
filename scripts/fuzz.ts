/**
 * Random trials for as long as told, each from a seed that is printed with what fails:
 *
 *   bytes   fixtures with a few bytes changed, lengths and varints among them: whatever happens is a result or a BnfoldError
 *   graphs  random graphs (test/laws): the fold computes the same in float64, and is never called different
 *   edits   one thing changed in a graph (test/laws/edits.ts), beside it or its fold: the two are called equal only where their float64
 *           runs agree
 *
 * A failure is made as small as it stays one (fewer edits; fewer nodes) and written to a folder: the model, and a text that says what failed.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BnfoldError } from "../src/diag/error.ts";
import { plan } from "../src/fold/index.ts";
import { read } from "../src/onnx/read.ts";
import type { Model } from "../src/onnx/records.ts";
import { memorySource } from "../src/onnx/source.ts";
import { collect } from "../src/onnx/splice.ts";
import { asFloat64 } from "../src/onnx/tensor.ts";
import { write } from "../src/onnx/write.ts";
import { isTensor } from "../src/ops/define.ts";
import { createSession } from "../src/run/session.ts";
import { verifyModels } from "../src/verify/index.ts";
import { prove } from "../src/verify/proof.ts";
import { type Random, randomOf } from "../src/verify/random.ts";
import { type GraphSpec, type ModelSpec, model, modelBytes, type NodeSpec } from "../test/helpers/build.ts";
import { folded } from "../test/helpers/fold.ts";
import { EDITS } from "../test/laws/edits.ts";
import { feedsOf } from "../test/laws/feeds.ts";
import { grow, show } from "../test/laws/graphs.ts";

const KINDS = ["bytes", "graphs", "edits"] as const;
type Kind = (typeof KINDS)[number];

const { values: options } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    kinds: { type: "string", default: KINDS.join() },
    out: { type: "string", default: ".fuzz" },
  },
});
const kinds = options.kinds.split(",").filter((name): name is Kind => (KINDS as readonly string[]).includes(name));
if (kinds.length === 0 || !(Number(options.minutes) > 0)) {
  process.stderr.write("usage: npm run fuzz -- [--minutes <n>] [--seed <n>] [--kinds bytes,graphs,edits] [--out <folder>]\n");
  process.exit(2);
}

interface Failure {
  readonly why: string;
  readonly bytes: Uint8Array;
  readonly text: string;
}

const models = join(process.cwd(), "fixtures/models");
const LARGEST = 40_000;
const fixtures = readdirSync(models)
  .map((name) => join(models, name, "model.onnx"))
  .filter((file) => existsSync(file))
  .map((file) => new Uint8Array(readFileSync(file)))
  .filter(({ length }) => length < LARGEST);

type Edit = (bytes: Uint8Array) => Uint8Array;

/** One change of a file's bytes: of a byte, a length, a stretch taken out or doubled, the end cut off. */
function editOf(random: Random, length: number): Edit {
  const [at, span, kind, value] = [random.below(length), 1 + random.below(16), random.below(6), random.below(256)];
  if (kind === 0) return (b) => b.map((v, i) => (i === at ? value : v));
  if (kind === 1) return (b) => b.map((v, i) => (i === at ? v ^ (1 << (value & 7)) : v));
  if (kind === 2) return (b) => Uint8Array.from([...b.subarray(0, at), ...b.subarray(at + span)]);
  if (kind === 3) return (b) => Uint8Array.from([...b.subarray(0, at + span), ...b.subarray(at)]);
  if (kind === 4) return (b) => b.slice(0, Math.max(1, at));
  // A varint that says more than there is.
  return (b) => Uint8Array.from([...b.subarray(0, at), 0xff, 0xff, 0xff, value | 0x80, 0x0f, ...b.subarray(at + 1)]);
}

/** What is wrong with how a file is taken; undefined when it is a result or one clear error. */
function mishandled(bytes: Uint8Array): string | undefined {
  try {
    const before = read(memorySource(bytes, "fuzz.onnx"), {
      external: () => {
        throw new BnfoldError("file", "there are no side files here");
      },
    });
    const { edits } = plan(before);
    const after = read(memorySource(collect(write(before, edits).main), "folded.onnx"));
    prove(before, after, { foreign: false });
    return undefined;
  } catch (error) {
    return error instanceof BnfoldError ? undefined : String((error as Error).stack);
  }
}

function bytesTrial(seed: number): Failure | undefined {
  const random = randomOf(seed, "bytes");
  const start = fixtures[random.below(fixtures.length)];
  let edits = Array.from({ length: 1 + random.below(4) }, () => editOf(random, start.length));
  const apply = (list: readonly Edit[]) => list.reduce<Uint8Array>((bytes, edit) => edit(bytes), start);
  if (mishandled(apply(edits)) === undefined) return undefined;
  for (let i = edits.length - 1; i >= 0 && edits.length > 1; i--) {
    const fewer = edits.filter((_, k) => k !== i);
    if (mishandled(apply(fewer)) !== undefined) edits = fewer;
  }
  const bytes = apply(edits);
  return { why: mishandled(bytes) as string, bytes, text: `${edits.length} edits of a fixture of ${start.length} bytes` };
}

/** Largest difference of two models' outputs in float64, as a part of the largest number that occurs. */
function difference(a: Model, b: Model, spec: ModelSpec, seed: number): number {
  const feeds = feedsOf(spec, seed);
  let largest = 1;
  const watch = (_name: string, value: unknown) => {
    if (isTensor(value as never) && (value as { dtype: string }).dtype.startsWith("float"))
      for (const v of asFloat64(value as never)) if (Number.isFinite(v)) largest = Math.max(largest, Math.abs(v));
  };
  const [x, y] = [a, b].map((m) => createSession(m, { mode: "float64" }).run(feeds, { watch }));
  let worst = 0;
  for (const [name, value] of x) {
    const other = y.get(name);
    if (!isTensor(value) || other === undefined || !isTensor(other)) continue;
    const [v, w] = [asFloat64(value), asFloat64(other)];
    if (v.length !== w.length) return Number.POSITIVE_INFINITY;
    for (let i = 0; i < v.length; i++) if (!Object.is(v[i], w[i])) worst = Math.max(worst, Math.abs(v[i] - w[i]) || 0);
  }
  return worst / largest;
}

/** Rounding of float64 and of what a graph's own storage type leaves, as test/laws allows it. */
const BOUND = { float64: 1e-11, float32: 1e-4, float16: 0.25 } as const;

/** What is wrong with the fold of a graph. */
function misfolded(spec: ModelSpec, dtype: keyof typeof BOUND, seed: number): string | undefined {
  try {
    const before = model(spec);
    const after = folded(before).model;
    const off = difference(before, after, spec, seed);
    if (off > BOUND[dtype]) return `the fold is off by ${off} of the largest number`;
    return prove(before, after, { foreign: false }).outcome === "different"
      ? "a fold that computes the same is called different"
      : undefined;
  } catch (error) {
    return String((error as Error).stack);
  }
}

/** What a node reads, the values its bodies take from outside among them. */
function readBy(node: NodeSpec): string[] {
  const bodies = Object.values(node.attributes ?? {}).filter(
    (value): value is GraphSpec => typeof value === "object" && !Array.isArray(value) && "nodes" in value,
  );
  return [
    ...node.inputs,
    ...bodies.flatMap(({ nodes, outputs }) => [...nodes.flatMap(readBy), ...outputs.map(({ name }) => name)]),
  ];
}

/** The nodes that lead to one value, with that value as the output. */
function cut(spec: ModelSpec, name: string): ModelSpec {
  const needed = new Set([name]);
  const nodes = spec.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((output) => needed.has(output))) return false;
    for (const name of readBy(node)) needed.add(name);
    return true;
  });
  return {
    ...spec,
    nodes: nodes.reverse(),
    outputs: [spec.outputs.find((o) => o.name === name) ?? { name, dtype: spec.outputs[0].dtype }],
  };
}

/** The smallest part of a graph, made of what leads to one value, that fails as well. */
function smallest(spec: ModelSpec, fails: (part: ModelSpec) => boolean): ModelSpec {
  const parts = spec.nodes.flatMap((node) => node.outputs.map((name) => cut(spec, name)));
  return parts.sort((a, b) => a.nodes.length - b.nodes.length).find(fails) ?? spec;
}

function graphsTrial(seed: number): Failure | undefined {
  const { spec, dtype } = grow(seed);
  if (spec.outputs.length === 0 || misfolded(spec, dtype, seed) === undefined) return undefined;
  const part = smallest(spec, (one) => misfolded(one, dtype, seed) !== undefined);
  return { why: misfolded(part, dtype, seed) as string, bytes: modelBytes(part), text: show(part) };
}

/** What makes two functions different for certain, beyond rounding of the storage type. */
const DIFFERENT = { float64: 1e-9, float32: 1e-5 } as const;

/** Edits that were made, and those whose effect on some input shows. */
const tried = new Map<string, { made: number; real: number; called: number }>();

/** The largest difference that the edit makes on a few inputs; undefined where one of the two cannot be run. */
function effect(spec: ModelSpec, other: ModelSpec, seed: number): number | undefined {
  try {
    return Math.max(...[0, 1, 2, 3].map((i) => difference(model(spec), model(other), spec, seed + i)));
  } catch (error) {
    if (error instanceof BnfoldError) return undefined;
    throw error;
  }
}

function edited(spec: ModelSpec, dtype: keyof typeof DIFFERENT, random: Random, seed: number): Failure | undefined {
  const kinds = Object.keys(EDITS);
  const kind = kinds[random.below(kinds.length)];
  const other = EDITS[kind](spec, random);
  // Digits are lost in the files' own precision; a run in float64 has them all.
  const off = kind === "digits" ? Number.POSITIVE_INFINITY : other && effect(spec, other, seed);
  if (other === undefined || off === undefined) return undefined;
  const count = tried.get(kind) ?? { made: 0, real: 0, called: 0 };
  tried.set(kind, count);
  count.made++;
  if (!(off > DIFFERENT[dtype])) return undefined;
  count.real++;
  // The wrong file as it is, or the right one's fold beside the wrong one: in either the numbers of one file answer for those of the other.
  const [first, second] = random.below(2) === 0 ? [model(other), folded(model(spec)).model] : [model(spec), model(other)];
  const outcomes = [false, true].map((run) => verifyModels(first, second, { run }).outcome);
  if (outcomes.includes("different")) count.called++;
  if (!outcomes.includes("equivalent")) return undefined;
  return {
    why: `${kind}: called equal ${outcomes[0] === "equivalent" ? "by the proof" : "by the run"}, and off by ${off}`,
    bytes: modelBytes(other),
    text: `${show(other)}\n\nbeside\n\n${show(spec)}`,
  };
}

function editsTrial(seed: number): Failure | undefined {
  const { spec, dtype } = grow(seed);
  if (dtype === "float16" || spec.outputs.length === 0) return undefined;
  return edited(spec, dtype, randomOf(seed, "edits"), seed);
}

const TRIALS: Readonly<Record<Kind, (seed: number) => Failure | undefined>> = {
  bytes: bytesTrial,
  graphs: graphsTrial,
  edits: editsTrial,
};

const first = Number(options.seed);
process.stdout.write(`seed ${first}\n`);
const share = (Number(options.minutes) * 60_000) / kinds.length;
let failures = 0;
for (const kind of kinds) {
  const end = performance.now() + share;
  let [count, found] = [0, 0];
  for (; performance.now() < end && found < 20; count++) {
    const seed = first + count;
    let failure: Failure | undefined;
    try {
      failure = TRIALS[kind](seed);
    } catch (error) {
      failure = { why: `the trial itself: ${(error as Error).stack}`, bytes: new Uint8Array(0), text: "" };
    }
    if (failure === undefined) continue;
    found++;
    mkdirSync(options.out, { recursive: true });
    writeFileSync(join(options.out, `${kind}-${seed}.onnx`), failure.bytes);
    writeFileSync(join(options.out, `${kind}-${seed}.txt`), `${failure.why}\n\n${failure.text}\n`);
    process.stdout.write(`FAILED ${kind} ${seed}: ${failure.why.split("\n")[0]}\n`);
  }
  failures += found;
  process.stdout.write(`${kind}: ${count} trials, ${found} failures${found > 0 ? `, written to ${options.out}` : ""}\n`);
}
for (const [kind, { made, real, called }] of tried)
  process.stdout.write(`edits, ${kind}: ${made} run, ${real} compute something else, ${called} of them called different\n`);
process.exitCode = failures > 0 ? 1 : 0;
