/** What two models say of themselves: versions, producer, metadata, inputs and outputs, side files. */
import type { Model, ValueInfoRecord } from "../onnx/records.ts";
import { FIELD } from "../onnx/schema.ts";
import { entry } from "../onnx/small.ts";
import { fieldsOf } from "../onnx/wire.ts";
import { typeText } from "./attributes.ts";
import type { FactChange, InterfaceChange } from "./types.ts";

const M = FIELD.model;
const utf8 = new TextDecoder();

function said(model: Model): Map<string, string> {
  const facts = new Map<string, string>();
  const put = (what: string, value: string): void => {
    if (value !== "") facts.set(what, value);
  };
  put("IR version", String(model.irVersion));
  put("producer", [model.producerName, model.producerVersion].filter((part) => part !== "").join(" "));
  put("domain", model.domain);
  for (const [domain, version] of model.opsets) put(`operator set ${domain === "" ? "ai.onnx" : domain}`, String(version));
  const { main } = model.files;
  for (const { number, start, end, wire } of fieldsOf(main, model.frame)) {
    if (number === M.docString && wire === 2) put("description", utf8.decode(main.read(start, end)));
    if (number === M.metadataProps && wire === 2) {
      const { key, value } = entry(main.read(start, end));
      facts.set(`metadata ${key}`, value);
    }
  }
  return facts;
}

export function factChanges(a: Model, b: Model): FactChange[] {
  const [x, y] = [said(a), said(b)];
  return [...new Set([...x.keys(), ...y.keys()])]
    .filter((what) => x.get(what) !== y.get(what))
    .map((what) => {
      const [p, q] = [x.get(what), y.get(what)];
      return { what, ...(p === undefined ? {} : { a: p }), ...(q === undefined ? {} : { b: q }) };
    });
}

/** By name; where both have names the other has not, by place. */
function sideChanges(side: "input" | "output", p: readonly ValueInfoRecord[], q: readonly ValueInfoRecord[]): InterfaceChange[] {
  const out: InterfaceChange[] = [];
  const theirs = new Map(q.map((value, i) => [value.name, i]));
  const mine = new Set(p.map(({ name }) => name));
  const used = new Set<number>();
  p.forEach((value, i) => {
    const here = typeText(value.type);
    let at = theirs.get(value.name);
    const renamed = at === undefined && i < q.length && !mine.has(q[i].name);
    if (renamed) at = i;
    if (at === undefined) return void out.push({ side, change: "removed", name: value.name, a: here });
    used.add(at);
    const there = typeText(q[at].type);
    if (renamed) out.push({ side, change: "renamed", name: value.name, now: q[at].name });
    else if (at !== i) out.push({ side, change: "moved", name: value.name, a: String(i), b: String(at) });
    if (here !== there) out.push({ side, change: "changed", name: value.name, a: here, b: there });
  });
  q.forEach((value, i) => {
    if (!used.has(i)) out.push({ side, change: "added", name: value.name, b: typeText(value.type) });
  });
  return out;
}

/** Inputs that are initializers, too, as old files list them, are constants. */
function inputsOf({ graph }: Model): ValueInfoRecord[] {
  const constants = new Set([
    ...graph.initializers.map(({ name }) => name),
    ...graph.sparseInitializers.map(({ values }) => values.name),
  ]);
  return graph.inputs.filter(({ name }) => !constants.has(name));
}

export const interfaceChanges = (a: Model, b: Model): InterfaceChange[] => [
  ...sideChanges("input", inputsOf(a), inputsOf(b)),
  ...sideChanges("output", a.graph.outputs, b.graph.outputs),
];

export function sideFileChanges(a: Model, b: Model): { added: string[]; removed: string[] } {
  const [x, y] = [a, b].map(
    ({ externalTensors }) => new Set(externalTensors.flatMap(({ external }) => external?.location ?? [])),
  );
  return { added: [...y].filter((file) => !x.has(file)).sort(), removed: [...x].filter((file) => !y.has(file)).sort() };
}
