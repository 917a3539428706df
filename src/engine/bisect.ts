/**
 * Which operators make the second file different? Each operator with a counterpart of its name in a reference is a suspect when
 * its numbers are not the counterpart's; the reference is the first file, or the first file folded here, since after a right
 * fold the numbers are no longer the first file's. The reference's numbers are put into the second file, and the result is
 * judged against the first file as any second file is. When all of them together repair it, a smallest set that does is
 * searched (QuickXplain, Junker 2004) and each of its members is then left out once, to show that it is needed.
 *
 * What is claimed: with the numbers of these operators replaced the files agree, and with any one of them left as it is they do
 * not. Nothing is assumed of the others, nor that the set is the only one.
 */
import { plan } from "../fold/index.ts";
import { storedRecord } from "../graph/stored.ts";
import { type GraphNode, type GraphView, viewOf } from "../graph/view.ts";
import { decode } from "../onnx/codec.ts";
import { read } from "../onnx/read.ts";
import type { Model, TensorRecord } from "../onnx/records.ts";
import { memorySource } from "../onnx/source.ts";
import { collect } from "../onnx/splice.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { type ModelEdits, NO_EDITS, write } from "../onnx/write.ts";
import { prove } from "../verify/proof.ts";
import type { Bisection, GuiltyNodes, Verdict } from "../verify/types.ts";
import { type WitnessOptions, witness } from "../verify/witness.ts";

/** Options of `bisect`. */
export interface BisectOptions extends WitnessOptions {
  /** True (default) when the second file was made by another tool. */
  readonly foreign?: boolean;
}

/** Numbers of the second file, the reference's in their place, and the operators that read them. */
interface Suspect {
  readonly nodes: readonly GraphNode[];
  readonly tensors: readonly { readonly mine: TensorRecord; readonly theirs: Tensor }[];
}

/** True when the second file with these suspects replaced passes. */
type Repairs = (suspects: readonly Suspect[]) => boolean;

/**
 * Whose numbers make `b` different from `a`.
 * @param verdict What `verifyModels` said of the two; anything but "different" has nothing to separate.
 * @param options As given to `verifyModels`, so that the mixed files are judged as these two were.
 * @returns A smallest set of operators whose numbers, replaced by those of their counterparts, make the files agree, or why no
 *   such set was found. The models are not changed.
 * @throws BnfoldError when inputs the user gave do not fit the model.
 */
export function bisect(a: Model, b: Model, verdict: Verdict, options: BisectOptions = {}): Bisection {
  if (verdict.outcome !== "different") return none("the files are not different");
  const judge = judgeOf(a, verdict, options);
  if (judge === undefined) return none("neither the run nor the proof says that an operator differs");
  const named = namedIn(verdict);
  let suspected = 0;
  for (const reference of references(a)) {
    const all = suspectsOf(viewOf(reference.model), viewOf(b));
    const first = all.filter(({ nodes }) => nodes.some((node) => named.has(nameOf(node))));
    suspected = Math.max(suspected, all.length);
    const repairs: Repairs = (suspects) => judge.passes(replaced(b, suspects));
    for (const list of first.length === 0 || first.length === all.length ? [all] : [first, all]) {
      if (list.length === 0 || !repairs(list)) continue;
      const guilty = smallest(list, repairs);
      return {
        outcome: "found",
        judgedBy: judge.by,
        guilty: guilty.map(describe),
        reference: reference.name,
        suspected: list.length,
        trials: judge.trials(),
      };
    }
  }
  const reason =
    suspected === 0
      ? "no operator of the second file has a counterpart of its name, type and shapes with other numbers"
      : `the numbers of all ${suspected} operators that have a counterpart of their name do not repair it: the files differ in how they are built`;
  return { outcome: "not-separated", judgedBy: judge.by, guilty: [], suspected, trials: judge.trials(), reason };
}

const none = (reason: string): Bisection => ({ outcome: "not-separated", guilty: [], suspected: 0, trials: 0, reason });

interface Judge {
  readonly by: "run" | "proof";
  passes(model: Model): boolean;
  trials(): number;
}

/** The run where it sees the difference; the proof where only it does. */
function judgeOf(a: Model, { run, proof }: Verdict, options: BisectOptions): Judge | undefined {
  let trials = 0;
  const by = run?.outcome === "different" ? "run" : proof?.outcome === "different" ? "proof" : undefined;
  if (by === undefined) return undefined;
  const { onProgress, observe: _, ...inputs } = options;
  return {
    by,
    trials: () => trials,
    passes(model) {
      onProgress?.("bisection", trials++, 0);
      if (by === "proof") return prove(a, model, { foreign: options.foreign }).outcome === "equal";
      return witness(a, model, { ...inputs, storage: false }).outcome === "equal";
    },
  };
}

/** Names of what the verdict does not find right. */
function namedIn({ proof, run }: Verdict): Set<string> {
  const regions = proof?.regions.filter(({ outcome }) => outcome !== "equal") ?? [];
  const first = run?.firstDifference;
  return new Set([
    ...regions.flatMap(({ nodes, value }) => [...nodes, value]),
    ...(first === undefined ? [] : [first.value, ...(first.between ?? [])]),
  ]);
}

function* references(a: Model): Generator<{ readonly name: GuiltyReference; readonly model: Model }> {
  yield { name: "first file", model: a };
  yield { name: "first file folded", model: remade(a, plan(a).edits) };
}

type GuiltyReference = NonNullable<Bisection["reference"]>;

function remade(model: Model, edits: ModelEdits): Model {
  return read(memorySource(collect(write(model, edits, { external: "inline" }).main), model.files.main.name));
}

function replaced(b: Model, suspects: readonly Suspect[]): Model {
  const tensors = suspects.flatMap((suspect) => suspect.tensors);
  const replaceTensors = tensors.map(({ mine, theirs }) => ({ tensor: mine, dims: theirs.dims, values: () => theirs.data }));
  return remade(b, { ...NO_EDITS, replaceTensors });
}

const nameOf = (node: GraphNode): string => node.record.name || node.record.outputs[0];
const keyOf = (node: GraphNode, name: string): string => `${node.scope.path}\0${node.domain}\0${node.opType}\0${name}`;

/** Operators by name; of several of one name, or without one, by first output. */
function byName(view: GraphView): Map<string, GraphNode | undefined> {
  const found = new Map<string, GraphNode | undefined>();
  for (const node of view.nodes) {
    for (const name of new Set([`node ${node.record.name}`, `value ${node.record.outputs[0]}`])) {
      const key = keyOf(node, name);
      found.set(key, found.has(key) ? undefined : node);
    }
  }
  return found;
}

/** Operators whose numbers are not those of their counterpart; those that share a tensor stand or fall together. */
function suspectsOf(reference: GraphView, b: GraphView): Suspect[] {
  const twins = byName(reference);
  const groups = new Map<TensorRecord, { nodes: Set<GraphNode>; theirs: Tensor }>();
  for (const node of b.nodes) {
    const twin =
      (node.record.name === "" ? undefined : twins.get(keyOf(node, `node ${node.record.name}`))) ??
      twins.get(keyOf(node, `value ${node.record.outputs[0]}`));
    for (const [i, value] of node.inputs.entries()) {
      const [mine, other] = [storedRecord(value), storedRecord(twin?.inputs[i])];
      if (mine === undefined || other === undefined || mine.dataType !== other.dataType) continue;
      const known = groups.get(mine);
      if (known !== undefined) {
        known.nodes.add(node);
        continue;
      }
      const theirs = decode(other);
      if (differs(decode(mine), theirs)) groups.set(mine, { nodes: new Set([node]), theirs });
    }
  }
  return united([...groups].map(([mine, { nodes, theirs }]) => ({ nodes: [...nodes], tensors: [{ mine, theirs }] })));
}

/** False also where the shapes differ: such numbers cannot take each other's place. */
function differs({ dims, data }: Tensor, other: Tensor): boolean {
  if (dims.length !== other.dims.length || dims.some((d, i) => d !== other.dims[i])) return false;
  return Array.prototype.some.call(data, (x: number | bigint | string, i: number) => !Object.is(x, other.data[i]));
}

/** One suspect per operator, and one for operators that read a tensor in common. */
function united(list: readonly Suspect[]): Suspect[] {
  const found: Suspect[] = [];
  for (const suspect of list) {
    const near = found.filter(({ nodes }) => nodes.some((node) => suspect.nodes.includes(node)));
    const whole = [...near, suspect];
    for (const other of near) found.splice(found.indexOf(other), 1);
    found.push({
      nodes: [...new Set(whole.flatMap(({ nodes }) => nodes))],
      tensors: whole.flatMap(({ tensors }) => tensors),
    });
  }
  return found;
}

/** A set that repairs and of which every member is needed. */
function smallest(all: readonly Suspect[], repairs: Repairs): readonly Suspect[] {
  let found = explained([], false, all, repairs);
  // Where faults make up for each other the search may end beside the mark: all is the set that is known to repair.
  if (!repairs(found)) found = all;
  for (let i = 0; i < found.length; ) {
    const without = found.filter((_, k) => k !== i);
    if (without.length > 0 && repairs(without)) found = without;
    else i++;
  }
  return found;
}

/** QuickXplain: what of `list` is needed beside `base`, by halves. */
function explained(base: readonly Suspect[], changed: boolean, list: readonly Suspect[], repairs: Repairs): readonly Suspect[] {
  if (changed && repairs(base)) return [];
  if (list.length === 1) return list;
  const half = list.length >> 1;
  const [left, right] = [list.slice(0, half), list.slice(half)];
  const second = explained([...base, ...left], true, right, repairs);
  const first = explained([...base, ...second], second.length > 0, left, repairs);
  return [...first, ...second];
}

const describe = ({ nodes, tensors }: Suspect): GuiltyNodes => ({
  nodes: nodes.map(nameOf),
  operators: nodes.map(({ opType }) => opType),
  tensors: tensors.map(({ mine }) => mine.name),
});
