/**
 * An attribute left out means its default, one test for each default of ONNX (src/graph/schemas.ts), on the cases the laws are
 * checked on: the executor computes the same with it spelled out, the rules take the same maps, and the proof calls the two files equal; another
 * value with which the executor computes something else is never called equal.
 */
import { describe, expect, it } from "vitest";
import { allSchemas, schemaOf } from "../../src/graph/schemas.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { ruleOf } from "../../src/rules/index.ts";
import { isRefused } from "../../src/rules/types.ts";
import { prove } from "../../src/verify/proof.ts";
import { type AttributeSpec, f, fs, is, model } from "../helpers/build.ts";
import { subjects as ruled } from "./laws/all.ts";
import { places, scene, specOf } from "./laws/law.ts";
import { mapsOf } from "./laws/maps.ts";
import { type Case, labelOf, type Subject, subject, versionsOf, x } from "./laws/subject.ts";

/** A default: of a list, its elements. */
interface Row {
  readonly kind: "float" | "int" | "string";
  readonly list: boolean;
  readonly text: string;
}

function attributeDefault(op: string, name: string, version: number): Row | undefined {
  const { kind, default: value } = schemaOf("", op, version)?.attributes.get(name) ?? {};
  if (kind === undefined || value === undefined) return undefined;
  return { kind: kind.replace(/s$/, "") as Row["kind"], list: Array.isArray(value), text: String(value) };
}

/** Every operator and attribute that has a default in some operator set. */
const attributesWithDefaults = (): [op: string, name: string][] => {
  const pairs = allSchemas().flatMap(({ domain, type, attributes }) =>
    domain !== "" ? [] : [...attributes.values()].flatMap((one) => (one.default === undefined ? [] : [`${type}.${one.name}`])),
  );
  return [...new Set(pairs)].map((pair) => pair.split(".") as [string, string]);
};

/** Operators without a rule that have defaults, too. */
const others: readonly Subject[] = [
  subject("Elu", [1, 6, 22], { inputs: [x(2, 4)] }),
  subject("Selu", [6, 22], { inputs: [x(2, 4)] }),
  subject("Gelu", [20], { inputs: [x(2, 4)] }),
  subject("LRN", [1, 13], { inputs: [x(1, 4, 2, 2)], attributes: { size: 3 } }),
  subject("Softmax", [13], { inputs: [x(2, 4)] }),
];
const subjects: readonly Subject[] = [...ruled, ...others];

/** Other values of attributes that are text. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  auto_pad: ["SAME_UPPER", "VALID"],
  mode: ["edge", "linear", "CRD", "max", "bilinear", "nearest"],
  padding_mode: ["border"],
  direction: ["reverse"],
  coordinate_transformation_mode: ["asymmetric", "align_corners"],
  nearest_mode: ["ceil"],
  keep_aspect_ratio_policy: ["not_larger"],
  reduction: ["add"],
  approximate: ["tanh"],
};

function spelled({ kind, list, text }: Row): AttributeSpec {
  const items = text === "" ? [] : text.split(",");
  if (list) return kind === "string" ? items : kind === "float" ? fs(items.map(Number)) : is(items.map(Number));
  return kind === "float" ? f(Number(text)) : kind === "int" ? BigInt(text) : text;
}

function otherValues(name: string, { kind, list, text }: Row): AttributeSpec[] {
  if (list) return [];
  if (kind === "float") return [f(Number(text) + 0.5), f(2 * Number(text))];
  if (kind === "int") return [1, -1, 2].map((d) => BigInt(Number(text) + d));
  return (TEXTS[name] ?? []).filter((other) => other !== text);
}

/** What the model computes on its probe; the message when it cannot. */
function results(op: string, version: number, each: Case): string {
  try {
    return scene(op, version, each)
      .outputs.map((list) =>
        list.map((t) => (t === undefined ? "" : `[${t.dims}]${Array.from((t as Tensor).data as ArrayLike<number>)}`)),
      )
      .join("; ");
  } catch (error) {
    return `fails: ${(error as Error).message}`;
  }
}

/** Which maps the rule takes. */
function takes(op: string, version: number, each: Case): string {
  const [s, rule] = [scene(op, version, each), ruleOf(op)];
  const list: string[] = [];
  for (const [direction, kind, move] of [
    ["back", "scale", rule?.backScale],
    ["back", "shift", rule?.backShift],
    ["forward", "scale", rule?.forwardScale],
    ["forward", "shift", rule?.forwardShift],
  ] as const) {
    const [place] = places(s, direction);
    if (move === undefined || place === undefined) continue;
    const by = new Array(direction === "back" ? (each.outputs ?? 1) : each.inputs.length).fill(undefined);
    for (const map of mapsOf(place.dims, kind, true)) list.push(isRefused(move(s.at, by.with(place.index, map))) ? "-" : "+");
  }
  return list.join("");
}

const given = (each: Case, name: string, value: AttributeSpec): Case => ({
  ...each,
  attributes: { ...each.attributes, [name]: value },
});

interface Default {
  readonly op: string;
  readonly name: string;
  readonly uses: readonly { readonly each: Case; readonly version: number; readonly row: Row }[];
}

/** Every default with the cases, one or two a version, that leave it to ONNX. */
const defaults = attributesWithDefaults().flatMap(([op, name]): Default[] => {
  const uses = subjects
    .filter((s) => s.op === op)
    .flatMap((s) => s.cases.filter((each) => each.few !== true).map((each) => ({ s, each })))
    .flatMap(({ s, each }) =>
      versionsOf(s, each).flatMap((version) => {
        const row = attributeDefault(op, name, version);
        return row === undefined || each.attributes?.[name] !== undefined ? [] : [{ each, version, row }];
      }),
    );
  const seen = new Map<number, number>();
  const some = uses.filter(({ version }) => {
    seen.set(version, (seen.get(version) ?? 0) + 1);
    return (seen.get(version) as number) <= 2;
  });
  return some.length === 0 ? [] : [{ op, name, uses: some }];
});

describe("an attribute left out means its default:", () => {
  it.each(defaults.map((d) => [`${d.op}.${d.name}`, d] as const))("%s", (_label, { op, name, uses }) => {
    for (const { each, version, row } of uses) {
      const label = `${labelOf(op, each)} (version ${version})`;
      const explicit = given(each, name, spelled(row));
      const expected = results(op, version, each);
      expect(results(op, version, explicit), label).toBe(expected);
      expect(takes(op, version, explicit), label).toBe(takes(op, version, each));
      const [a, b] = [each, explicit].map((one) => model(specOf(op, version, one)));
      expect(prove(a, b).outcome, label).toBe("equal");
      expect(prove(b, a).outcome, label).toBe("equal");
      for (const other of otherValues(name, row)) {
        const changed = given(each, name, other);
        const computed = results(op, version, changed);
        if (computed === expected || computed.startsWith("fails")) continue;
        const c = model(specOf(op, version, changed));
        expect(
          prove(a, c).outcome,
          `${label}, ${name} ${JSON.stringify(String((other as { value?: unknown }).value ?? other))}`,
        ).not.toBe("equal");
        expect(prove(b, c).outcome, label).not.toBe("equal");
      }
    }
  });

  it("is tested for most operators that have one", () => {
    expect(defaults.length).toBeGreaterThan(100);
  });
});
