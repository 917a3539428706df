/**
 * What operators mean in their operator set. Two nodes of one type in different operator sets mean the same when no version
 * between changed what the operator computes (CHANGES), their attributes agree, each left out standing for the default of its
 * own version (schemas.ts) or, in a version that does not know it, for what that version does (IMPLIED), and their operands
 * do, whether a version takes them as attributes or as inputs (`movedFrom`). Read from ONNX's change logs, every pair of
 * neighbouring versions of every operator.
 */
import { type Default, type OperatorSchema, schemaOf, versionsOf } from "./schemas.ts";

/** Where both versions do the same although the operator was changed: decided by whoever knows shapes and constants. */
export type Unless =
  /** The axis is the last one. */
  | "last-axis"
  /** Output sizes are rounded down. */
  | "no-ceiling"
  /** The slope is one number. */
  | "one-slope"
  /** The node does not train. */
  | "inference";

export interface Change {
  readonly types: string;
  readonly since: number;
  readonly because: string;
  readonly unless?: Unless;
  readonly domain?: string;
}

export const CHANGES: readonly Change[] = [
  {
    types: "Softmax LogSoftmax Hardmax",
    since: 13,
    because: "goes over one axis, where it went over all axes from that one on",
    unless: "last-axis",
  },
  {
    types: "PRelu",
    since: 7,
    because: "broadcasts its slope from the last axis, where it took one slope per channel",
    unless: "one-slope",
  },
  {
    types: "Resize",
    since: 11,
    because: "says which coordinates and which neighbour it takes, where it did not",
  },
  { types: "GroupNormalization", since: 21, because: "has one scale and bias per channel, where it had one per group" },
  { types: "OneHot", since: 11, because: "counts negative indices from the end, where they gave no entry at all" },
  { types: "Scan", since: 9, because: "has no batch axis and no sequence lengths any more" },
  { types: "Tile", since: 6, because: "repeats along all axes, where it did along one" },
  {
    types: "AveragePool MaxPool",
    since: 22,
    because: "leaves out windows that begin in the padding at the end",
    unless: "no-ceiling",
  },
  {
    types: "BatchNormalization",
    since: 14,
    because: "trains when training_mode says so, with statistics of its own",
    unless: "inference",
  },
  { types: "Dropout", since: 12, because: "trains when an input says so", unless: "inference" },
  { domain: "ai.onnx.ml", types: "LabelEncoder", since: 2, because: "maps by lists of keys, where it did by position" },
  { domain: "ai.onnx.ml", types: "LabelEncoder", since: 4, because: "takes the last of keys that repeat, and any NaN for NaN" },
];

/** What an attribute is where the version does not know it, if that is not the default of the next version that does. */
const IMPLIED: Readonly<Record<string, Default>> = {
  "RoiAlign.coordinate_transformation_mode": "output_half_pixel",
  "Concat.axis": 1,
  "Split.axis": 0,
  "BatchNormalization.is_test": 1,
  "Dropout.is_test": 1,
};

/** Attributes of some versions that say nothing the others do not know otherwise. */
const VOID = new Set(["consumed_inputs", "doc_string", "broadcast", "output_sequence"]);

/** Values that have another name in later versions: until, old, new. */
const RENAMED: Readonly<Record<string, readonly [number, Readonly<Record<string, string>>]>> = {
  "GridSample.mode": [20, { bilinear: "linear", bicubic: "cubic" }],
  "Upsample.mode": [7, { bilinear: "linear" }],
  "GRU.direction": [3, { foward: "forward" }],
  "Cast.to": [
    6,
    Object.fromEntries(
      "UNDEFINED FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 STRING BOOL FLOAT16 DOUBLE UINT32 UINT64 COMPLEX64 COMPLEX128"
        .split(" ")
        .map((name, code) => [name, String(code)]),
    ),
  ],
};

/** Inputs that had another name as attributes. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  "Pad.pads": ["pads", "paddings"],
  "Pad.constant_value": ["value"],
  "TopK.K": ["k"],
};

/** Every change of what an operator computes between two operator sets, in either order. */
export function changesBetween(domain: string, type: string, from: number, to: number): readonly Change[] {
  const [low, high] = from < to ? [from, to] : [to, from];
  if (low === high) return [];
  return CHANGES.filter(
    (change) =>
      change.since > low && change.since <= high && (change.domain ?? "") === domain && change.types.split(" ").includes(type),
  );
}

/** True when an attribute means nothing where two versions are compared. */
export const isVoid = (name: string, sameVersion: boolean): boolean =>
  VOID.has(name) && (!sameVersion || name === "consumed_inputs" || name === "doc_string");

/** The name that a value of an attribute has in the latest version. */
export function latestName(type: string, name: string, version: number, value: string): string {
  const renamed = RENAMED[`${type}.${name}`];
  return renamed === undefined || version >= renamed[0] ? value : (renamed[1][value] ?? value);
}

/** What stands for an attribute that a node does not have: the default of its version, or what a version without it does. */
export function meantBy(domain: string, type: string, version: number, name: string): Default | undefined {
  const own = schemaOf(domain, type, version)?.attributes.get(name);
  if (own?.default !== undefined) return own.default;
  const implied = domain === "" ? IMPLIED[`${type}.${name}`] : undefined;
  if (implied !== undefined || own !== undefined) return implied;
  const versions = versionsOf(domain, type);
  const has = ({ attributes }: OperatorSchema) => attributes.has(name);
  const next = versions.find((schema) => schema.since > version && has(schema));
  return (next ?? versions.findLast((schema) => schema.since < version && has(schema)))?.attributes.get(name)?.default;
}

/** The name an input has that stands at a position in any version of the operator; undefined where there is none. */
export function inputName(domain: string, type: string, index: number): string | undefined {
  const inputs = versionsOf(domain, type).findLast(({ inputs }) => inputs.length > index)?.inputs;
  return inputs?.[index].option === "variadic" ? undefined : inputs?.[index].name;
}

/** The attribute that a version has in the place of an input of later ones; undefined where it has none. */
export function movedFrom(domain: string, type: string, version: number, input: string): string | undefined {
  const schema = schemaOf(domain, type, version);
  if (schema === undefined || schema.inputs.some(({ name }) => name === input)) return undefined;
  return (ALIASES[`${type}.${input}`] ?? [input]).find((name) => schema.attributes.has(name));
}

/** True when an attribute is an input in later versions. */
export const isMoved = (domain: string, type: string, version: number, name: string): boolean =>
  versionsOf(domain, type).some(
    ({ since, inputs }) => since > version && inputs.some((input) => movedFrom(domain, type, version, input.name) === name),
  );

/** True when a node of the standard domain written for operator set `from` may stand, as it is, in a graph of operator set `to`. */
export function meansTheSame(type: string, from: number, to: number): boolean {
  if (from === to) return true;
  const versions = versionsOf("", type);
  if (versions.length === 0) return false;
  const [low, high] = from < to ? [from, to] : [to, from];
  const between = versions.filter(({ since }) => since > low && since <= high);
  if (from > to) return between.length === 0;
  if (changesBetween("", type, from, to).length > 0) return false;
  let before = schemaOf("", type, from);
  return between.every((schema) => {
    const stands = before !== undefined && schema.wider && takesAll(before, schema);
    before = schema;
    return stands;
  });
}

/** True when whatever fits one version of an operator fits the next, and an attribute left out means the same. */
function takesAll(before: OperatorSchema, after: OperatorSchema): boolean {
  if (after.deprecated || after.inputs.length < before.inputs.length || after.outputs.length < before.outputs.length)
    return false;
  const fits = (["inputs", "outputs"] as const).every((side) =>
    after[side].every(({ option, least }, i) => {
      const old = before[side][i];
      return old === undefined ? option === "optional" : option === old.option ? least <= old.least : option === "optional";
    }),
  );
  const names = [...new Set([...before.attributes.keys(), ...after.attributes.keys()])];
  return (
    fits &&
    names.every((name) => {
      const [p, q] = [before.attributes.get(name), after.attributes.get(name)];
      if (q === undefined || (q.required && p?.required !== true)) return false;
      const [x, y] = [before, after].map(({ domain, type, since }) => meantBy(domain, type, since, name));
      return (p === undefined || p.kind === q.kind) && String(x) === String(y);
    })
  );
}
