/** What the two files promise to the outside, before anything is computed: inputs with defaults, outputs, operator sets, validity. */
import { dimText, type Shape } from "../graph/dims.ts";
import { allNodes } from "../graph/functions.ts";
import { readNames, violations } from "../graph/violations.ts";
import { decode, decodeSparse } from "../onnx/codec.ts";
import { dtypeOf } from "../onnx/dtype.ts";
import { samePayload } from "../onnx/pieces.ts";
import type { Model, TypeInfo, ValueInfoRecord } from "../onnx/records.ts";
import type { Tensor } from "../onnx/tensor.ts";
import type { Contradicted } from "./proof/prover.ts";
import { requiredInputs } from "./shapes.ts";

export interface Finding {
  /**
   * "different": the second file cannot take the first one's place. "doubt": whether it can is for each runtime to say. "note":
   * it can, but says something else about itself.
   */
  readonly weight: "different" | "doubt" | "note";
  readonly message: string;
}

function typeText(type: TypeInfo): string {
  if (type.kind === "sequence" || type.kind === "optional")
    return `${type.kind}(${type.of === undefined ? "?" : typeText(type.of)})`;
  if (type.kind !== "tensor" && type.kind !== "sparse") return type.kind;
  const shape = type.shape === undefined ? "" : ` [${type.shape.map((d) => d ?? "?").join(", ")}]`;
  return `${dtypeOf(type.elemType ?? 0) ?? `type ${type.elemType}`}${shape}`;
}

/** The weight of a difference of declared types; undefined when there is none. */
function typeWeight(a: TypeInfo, b: TypeInfo): "different" | "note" | undefined {
  if (a.kind === "unknown" || b.kind === "unknown") return a.kind === b.kind ? undefined : "note";
  if (a.kind !== b.kind || a.elemType !== b.elemType) return "different";
  if (a.of !== undefined && b.of !== undefined) return typeWeight(a.of, b.of);
  const [x, y] = [a.shape, b.shape];
  if (x === undefined || y === undefined) return x === y ? undefined : "note";
  if (x.length !== y.length) return "different";
  if (x.some((d, i) => typeof d === "number" && typeof y[i] === "number" && d !== y[i])) return "different";
  return x.some((d, i) => d !== y[i]) ? "note" : undefined;
}

function compareLists(
  what: "input" | "output",
  a: readonly ValueInfoRecord[],
  b: readonly ValueInfoRecord[],
  optional: ReadonlySet<string>,
): Finding[] {
  const findings: Finding[] = [];
  const others = new Map(b.map((value) => [value.name, value]));
  for (const value of a) {
    const other = others.get(value.name);
    if (other === undefined) {
      const weight = what === "input" && optional.has(value.name) ? "note" : "different";
      findings.push({ weight, message: `${what} "${value.name}" is missing from the second file` });
      continue;
    }
    const weight = typeWeight(value.type, other.type);
    if (weight !== undefined) {
      findings.push({
        weight,
        message: `${what} "${value.name}" is ${typeText(value.type)} in the first file, ${typeText(other.type)} in the second`,
      });
    }
  }
  const known = new Set(a.map((value) => value.name));
  for (const { name } of b) {
    if (!known.has(name)) {
      const weight = what === "output" || optional.has(name) ? "note" : "different";
      findings.push({ weight, message: `${what} "${name}" is only in the second file` });
    }
  }
  const common = (list: readonly ValueInfoRecord[]) =>
    list.map((value) => value.name).filter((name) => known.has(name) && others.has(name));
  if (common(a).join("\0") !== common(b).join("\0"))
    findings.push({
      weight: "note",
      message: `the ${what}s are in another order (${common(b).join(", ")}): callers that pass them by position get others`,
    });
  return findings;
}

/** The numbers an input has where a caller gives none. */
function defaultOf({ graph }: Model, name: string): Tensor | undefined {
  const tensor = graph.initializers.find((one) => one.name === name);
  if (tensor !== undefined) return decode(tensor, { keepStorage: true });
  const sparse = graph.sparseInitializers.find(({ values }) => values.name === name);
  return sparse && decodeSparse(sparse);
}

/** Inputs that callers may leave out: where they do, each file takes its own default. */
function compareDefaults(a: Model, b: Model): Finding[] {
  // Before IR version 4 every initializer is listed as an input and stays a constant.
  if (a.irVersion < 4 && b.irVersion < 4) return [];
  const read = new Set([a, b].flatMap(({ graph }) => [...readNames(graph)]));
  const others = new Set(b.graph.inputs.map(({ name }) => name));
  return a.graph.inputs.flatMap(({ name }): Finding[] => {
    if (!others.has(name)) return [];
    const stored = [a, b].map(({ graph }) => graph.initializers.find((one) => one.name === name));
    if (stored[0] !== undefined && stored[1] !== undefined && samePayload(stored[0], stored[1])) return [];
    const [x, y] = [defaultOf(a, name), defaultOf(b, name)];
    if (x === undefined && y === undefined) return [];
    const weight = read.has(name) ? "different" : "note";
    if (x === undefined || y === undefined)
      return [
        { weight: "note", message: `input "${name}" has a default in only the ${x === undefined ? "second" : "first"} file` },
      ];
    const message = `the default of input "${name}" is another`;
    if (x.dtype !== y.dtype || x.dims.join() !== y.dims.join())
      return [{ weight, message: `${message}: ${x.dtype} [${x.dims}] in the first file, ${y.dtype} [${y.dims}] in the second` }];
    for (let i = 0; i < x.data.length; i++) {
      if (Object.is(x.data[i], y.data[i])) continue;
      return [
        { weight, message: `${message}: at [${indexOf(i, x.dims)}] ${x.data[i]} in the first file, ${y.data[i]} in the second` },
      ];
    }
    return [];
  });
}

function indexOf(flat: number, dims: readonly number[]): number[] {
  let rest = flat;
  return dims.map((d, i) => {
    const inner = dims.slice(i + 1).reduce((n, size) => n * size, 1);
    const at = Math.floor(rest / inner) % d;
    rest -= at * inner;
    return at;
  });
}

/** What ONNX's checker would refuse in one of the files and not in the other; `otherSets`: they use a domain in two versions. */
function compareValidity(a: Model, b: Model, otherSets: boolean): Finding[] {
  const [mine, theirs] = [violations(a), violations(b)];
  const [before, after] = [mine, theirs].map((list) => new Set(list.map(({ rule }) => rule)));
  return [
    ...theirs
      .filter(({ rule }) => !before.has(rule))
      .map(
        ({ weight, message }): Finding => ({
          weight: weight === "broken" ? "different" : "doubt",
          message: `the second file is not valid: ${message}`,
        }),
      ),
    ...theirs
      .filter(({ rule }) => before.has(rule))
      .map(({ message }): Finding => ({ weight: "note", message: `neither file is valid: ${message}` })),
    ...mine
      .filter(({ rule }) => !after.has(rule))
      .map(
        // Of what no runtime can load, another operator set says something that the first file does not.
        ({ weight, message }): Finding => ({
          weight: weight === "broken" && otherSets ? "doubt" : "note",
          message: `the first file is not valid: ${message}`,
        }),
      ),
  ];
}

/** Domains that one of the files imports and one of them uses: tools import domains that nothing uses. */
function usedDomains(a: Model, b: Model): string[] {
  const bodies = [a, b].flatMap(({ graph, functions }) => [graph, ...functions]);
  const used = new Set(bodies.flatMap(({ nodes }) => [...allNodes(nodes)].map(({ domain }) => domain)));
  return [...new Set([...a.opsets.keys(), ...b.opsets.keys()])].filter((domain) => used.has(domain));
}

/** What callers may feed. Before IR 4 every initializer is listed among the inputs, and is none. */
const inputsOf = (model: Model): readonly ValueInfoRecord[] => (model.irVersion < 4 ? requiredInputs(model) : model.graph.inputs);

export function compareFaces(a: Model, b: Model): Finding[] {
  const required = new Set([...requiredInputs(a), ...requiredInputs(b)].map((input) => input.name));
  const optional = new Set(
    [...a.graph.inputs, ...b.graph.inputs].map((input) => input.name).filter((name) => !required.has(name)),
  );
  const domains = usedDomains(a, b).filter((domain) => a.opsets.get(domain) !== b.opsets.get(domain));
  const findings = [
    ...compareLists("input", inputsOf(a), inputsOf(b), optional),
    ...compareLists("output", a.graph.outputs, b.graph.outputs, optional),
    ...compareDefaults(a, b),
    ...compareValidity(a, b, domains.length > 0),
  ];
  for (const domain of domains) {
    const [x, y] = [a.opsets.get(domain), b.opsets.get(domain)];
    const name = domain === "" ? "ai.onnx" : domain;
    findings.push({
      weight: "note",
      message: `operator set ${name}: version ${x ?? "none"} in the first file, ${y ?? "none"} in the second`,
    });
  }
  return findings;
}

/** Contradictions that are named; the others are counted. */
const NAMED = 3;

const shapeText = (shape: Shape): string => `[${shape.map(dimText).join(", ")}]`;

/** What files declare of values inside and their operators do not give: said, and never used. */
export function declaredNotes(list: readonly Contradicted[]): Finding[] {
  const files = new Map<string, Set<string>>();
  for (const { value, declared, inferred, file } of list) {
    const text = `"${value.name}" as ${shapeText(declared)} where its operators make ${shapeText(inferred)}`;
    files.set(text, (files.get(text) ?? new Set()).add(file));
  }
  const who = (of: ReadonlySet<string>) => (of.size > 1 ? "both files declare" : `the ${[...of][0]} file declares`);
  const found = [...files].map(([text, of]) => `${who(of)} ${text}`);
  if (found.length === 0) return [];
  const more = found.length > NAMED ? `, and so of ${found.length - NAMED} more` : "";
  return [{ weight: "note", message: `${found.slice(0, NAMED).join("; ")}${more}: what is declared of it decides nothing` }];
}
