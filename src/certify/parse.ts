/** JSON → certificate: what is not one is said in one sentence. */
import { BnfoldError } from "../diag/error.ts";
import type { Certificate, Conflict, KeptSet, Place, System, Taken } from "./types.ts";
import { FORMAT, LAWS } from "./types.ts";

const SYSTEMS: ReadonlySet<unknown> = new Set<System>(["gain", "sign", "shift", "name"]);

const bad = (where: string, expected: string): BnfoldError =>
  new BnfoldError("format", `not a certificate: ${where} is not ${expected}`, {}, "bnfold fold --certificate writes one.");

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

function fields(value: unknown, where: string): Fields {
  if (!isObject(value)) throw bad(where, "an object");
  return value;
}

function list<T>(value: unknown, where: string, read: (one: unknown, where: string) => T): T[] {
  if (!Array.isArray(value)) throw bad(where, "a list");
  return value.map((one, i) => read(one, `${where}[${i}]`));
}

function text(value: unknown, where: string): string {
  if (typeof value !== "string") throw bad(where, "text");
  return value;
}

function count(value: unknown, where: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw bad(where, "a whole number");
  return value as number;
}

/** A version of something: this program knows one of each. */
function version(value: unknown, where: string, known: number): void {
  if (count(value, where) === known) return;
  const message = `the certificate's ${where} is ${value}, and this version of bnfold knows ${known}`;
  throw new BnfoldError("format", message, {}, "Make the certificate anew with bnfold fold --certificate.");
}

const place = (value: unknown, where: string): Place => {
  const { scope, index, opType, name, output } = fields(value, where);
  return {
    scope: text(scope, `${where}.scope`),
    index: count(index, `${where}.index`),
    opType: text(opType, `${where}.opType`),
    name: text(name, `${where}.name`),
    output: text(output, `${where}.output`),
  };
};

/** @throws BnfoldError of kind "format" when the value is no certificate of this version. */
export function parseCertificate(value: unknown): Certificate {
  const all = fields(value, "it");
  version(all.format, "format", FORMAT);
  version(all.laws, "laws", LAWS);
  const nodes = list(all.nodes, "nodes", place);
  const node = (one: unknown, where: string): number => {
    if (count(one, where) >= nodes.length) throw bad(where, `one of the ${nodes.length} nodes`);
    return one as number;
  };
  const taken = (one: unknown, where: string): Taken => {
    if (!Array.isArray(one) || one.length !== 3) throw bad(where, "a node, a place and a number");
    if (typeof one[2] !== "number" || !Number.isFinite(one[2])) throw bad(`${where}[2]`, "a number");
    return [node(one[0], `${where}[0]`), count(one[1], `${where}[1]`), one[2]];
  };
  const reasoned = (one: unknown, where: string): readonly [number, string] => {
    if (!Array.isArray(one) || one.length !== 2) throw bad(where, "a node and a reason");
    return [node(one[0], `${where}[0]`), text(one[1], `${where}[1]`)];
  };
  const conflict = (one: unknown, where: string): Conflict => {
    const own = fields(one, where);
    if (!SYSTEMS.has(own.system)) throw bad(`${where}.system`, [...SYSTEMS].join(", "));
    if (typeof own.sum !== "number") throw bad(`${where}.sum`, "a number");
    return {
      nodes: list(own.nodes, `${where}.nodes`, node),
      system: own.system as System,
      laws: list(own.laws, `${where}.laws`, taken),
      goes: list(own.goes, `${where}.goes`, taken),
      positive: list(own.positive, `${where}.positive`, taken),
      sum: own.sum,
    };
  };
  const set = (one: unknown, where: string): KeptSet => {
    const own = fields(one, where);
    return {
      nodes: list(own.nodes, `${where}.nodes`, node),
      least: count(own.least, `${where}.least`),
      conflicts: list(own.conflicts, `${where}.conflicts`, conflict),
    };
  };
  return {
    format: FORMAT,
    laws: LAWS,
    sha256: all.sha256 === null ? null : text(all.sha256, "sha256"),
    nodes,
    candidates: count(all.candidates, "candidates"),
    kept: list(all.kept, "kept", reasoned),
    least: count(all.least, "least"),
    sets: list(all.sets, "sets", set),
    apart: list(all.apart, "apart", reasoned),
    assumptions: list(all.assumptions, "assumptions", text),
  };
}
