/** Models of one node, for any operator that ONNX's schemas describe: dynamic inputs of unknown shape, dummies for what is required. */
import { finish } from "../../src/diag/steps.ts";
import { meantBy } from "../../src/graph/op-versions.ts";
import { type AttributeKind, allSchemas, type Default, type OperatorSchema } from "../../src/graph/schemas.ts";
import type { Model } from "../../src/onnx/records.ts";
import { alignCalls } from "../../src/verify/proof/calls.ts";
import { sideOf } from "../../src/verify/proof/classes.ts";
import { foresee } from "../../src/verify/proof/foresight.ts";
import { normalForm } from "../../src/verify/proof/normal.ts";
import { Prover } from "../../src/verify/proof/prover.ts";
import { FOREIGN } from "../../src/verify/proof/rows.ts";
import { type AttributeSpec, float32, type GraphSpec, model, type NodeSpec } from "../helpers/build.ts";

export type Place = "main" | "If" | "function";

/** What is required of some operators, so that their other attributes matter. */
const REQUIRED: Readonly<Record<string, AttributeSpec>> = { "Cast.to": 17 };

const DUMMIES: Partial<Record<AttributeKind, AttributeSpec>> = {
  float: { kind: "float", value: 1 },
  int: 1,
  string: "x",
  floats: { kind: "floats", value: [1] },
  ints: [1],
  strings: ["x"],
  tensor: float32([1], [1]),
};

export const spelled = (kind: AttributeKind, value: Default): AttributeSpec => {
  if (kind === "float") return { kind: "float", value: value as number };
  if (kind === "floats") return { kind: "floats", value: value as number[] };
  if (kind === "ints") return { kind: "ints", value: value as number[] };
  if (kind === "strings") return { kind: "strings", value: value as string[] };
  return value as number | string;
};

/** Another value of the same kind, as far from rounding as one likes. */
export function another(value: Default): Default {
  if (typeof value === "number") return value === 0 ? 1 : Math.abs(value) > 1e30 ? value / 2 : value + 1;
  if (typeof value === "string") return `${value}_other`;
  return (value as readonly Default[]).map(another) as Default;
}

/** Operators without subgraphs; those with them are given bodies elsewhere. */
export const plainSchemas = (): OperatorSchema[] =>
  allSchemas().filter(
    ({ attributes, deprecated }) =>
      !deprecated && ![...attributes.values()].some(({ kind, required }) => kind === "graph" && required),
  );

export interface OneNode {
  readonly attributes?: Readonly<Record<string, AttributeSpec>>;
  /** The operator set; by default the one that defines the schema. */
  readonly version?: number;
  readonly place?: Place;
  /** Number of inputs; by default as few as there can be. */
  readonly inputs?: number;
  readonly initializers?: GraphSpec["initializers"];
}

export function oneNode(
  schema: OperatorSchema,
  { attributes, version, place = "main", inputs, initializers }: OneNode = {},
): Model {
  const { domain, type } = schema;
  const least = schema.inputs.reduce((n, { option, least: few }) => n + (option === "optional" ? 0 : Math.max(few, 1)), 0);
  const names = Array.from({ length: inputs ?? least }, (_, i) => `i${i}`);
  const required = Object.fromEntries(
    [...schema.attributes.values()].flatMap(({ name, kind, required: needed }) => {
      const dummy = kind === "int" ? (REQUIRED[`${type}.${name}`] ?? DUMMIES.int) : DUMMIES[kind];
      return needed && dummy !== undefined ? [[name, dummy]] : [];
    }),
  );
  const outputs = schema.outputs.slice(0, 1).map((_, i) => `o${i}`);
  const made: NodeSpec = { op: type, domain, name: "node", inputs: names, outputs, attributes: { ...required, ...attributes } };
  const fed = names.filter((name) => initializers?.[name] === undefined).map((name) => ({ name }));
  const opset = version ?? schema.since;
  const faces = { outputs: outputs.map((name) => ({ name })), ...(initializers === undefined ? {} : { initializers }) };
  if (place === "main") return model({ nodes: [made], inputs: fed, ...faces, opsets: { "": 21, [domain]: opset } });
  if (place === "If") {
    const branch = (suffix: string): GraphSpec => ({
      nodes: [{ ...made, name: `node_${suffix}`, outputs: [`${suffix}`] }],
      outputs: [{ name: suffix }],
    });
    const held: NodeSpec = {
      ...{ op: "If", name: "if", inputs: ["cond"], outputs },
      attributes: { then_branch: branch("then"), else_branch: branch("else") },
    };
    const cond = { name: "cond", dtype: "bool", dims: [] };
    return model({ nodes: [held], inputs: [cond, ...fed], ...faces, opsets: { "": 21, [domain]: opset } });
  }
  const call: NodeSpec = { op: "F", domain: "loc", name: "call", inputs: names, outputs };
  const fn = { name: "F", domain: "loc", inputs: names, outputs, nodes: [made], opsets: { "": 21, [domain]: opset } };
  return model({ nodes: [call], functions: [fn], inputs: fed, ...faces, opsets: { "": 21, loc: 1 } });
}

/** True when some look of the proof shows two files equal; nothing is run, as `prove` does where none does. */
export function shownEqual(first: Model, second: Model): boolean {
  const [a, b] = alignCalls(first, second);
  const looks = [
    () => new Prover(sideOf(a), sideOf(b), FOREIGN),
    () => new Prover(sideOf(a), sideOf(b), FOREIGN, false, foresee),
    () => new Prover(sideOf(normalForm(a)), sideOf(normalForm(b)), FOREIGN, true, foresee),
  ];
  return looks.some((look) => finish(look().walk()).outcome === "equal");
}

/** The default of an attribute, or what a version that lacks it does. */
export const standing = ({ domain, type }: OperatorSchema, version: number, name: string): Default | undefined =>
  meantBy(domain, type, version, name);
