/** What two files promise to callers: declared types, defaults, validity, operator sets. */
import { describe, expect, it } from "vitest";
import { compareFaces, declaredNotes } from "../../src/verify/faces.ts";
import type { Contradicted } from "../../src/verify/proof/prover.ts";
import { float32, float64, int64, type ModelSpec, model, node, type ValueSpec } from "../helpers/build.ts";

const relu = node("Relu", ["x"], ["y"]);
const spec = (more: Partial<ModelSpec> = {}): ModelSpec => ({
  nodes: [relu],
  inputs: [{ name: "x", dims: [2, 3] }],
  outputs: [{ name: "y" }],
  ...more,
});
const found = (a: ModelSpec, b: ModelSpec) =>
  compareFaces(model(a), model(b)).map(({ weight, message }) => `${weight}: ${message}`);

describe("declared types", () => {
  const x = (type: Omit<ValueSpec, "name">) => spec({ inputs: [{ name: "x", ...type }] });
  it.each<[Omit<ValueSpec, "name">, Omit<ValueSpec, "name">, string[]]>([
    [{ dims: [2, 3] }, { dims: [2, 3] }, []],
    [{ dims: [2, 3] }, { dims: [2, 4] }, ["different: float32 [2, 3] in the first file, float32 [2, 4] in the second"]],
    [{ dims: [2, 3] }, { dims: [2, 3, 1] }, ["different: float32 [2, 3] in the first file, float32 [2, 3, 1] in the second"]],
    [{ dims: [2, 3] }, { dims: ["N", 3] }, ["note: float32 [2, 3] in the first file, float32 [N, 3] in the second"]],
    [{ dims: [2, undefined] }, { dims: [2, 3] }, ["note: float32 [2, ?] in the first file, float32 [2, 3] in the second"]],
    [{ dims: [2] }, {}, ["note: float32 [2] in the first file, float32 in the second"]],
    [{}, {}, []],
    [{ dims: [2] }, { dims: [2], dtype: "float16" }, ["different: float32 [2] in the first file, float16 [2] in the second"]],
    [{ kind: "sequence", dims: [2] }, { kind: "sequence", dims: [2] }, []],
    [
      { kind: "sequence", dims: [2] },
      { kind: "sequence", dims: [3] },
      ["different: sequence(float32 [2]) in the first file, sequence(float32 [3]) in the second"],
    ],
    [
      { kind: "optional-sequence", dims: [2] },
      { kind: "optional", dims: [2] },
      ["different: optional(sequence(float32 [2])) in the first file, optional(float32 [2]) in the second"],
    ],
  ])("%j beside %j", (one, other, said) => {
    expect(found(x(one), x(other)).filter((text) => text.includes('input "x"'))).toEqual(
      said.map((text) => text.replace(": ", ': input "x" is ')),
    );
  });
});

describe("inputs and outputs", () => {
  const z: ValueSpec = { name: "z", dims: [1] };
  const withZ = (more: Partial<ModelSpec> = {}) => spec({ inputs: [{ name: "x", dims: [2, 3] }, z], ...more });
  const zero = { initializers: { z: float32([1], [0]) } };
  it("only one file has: a needed input is a difference, an output more is none", () => {
    expect(found(spec(), withZ())).toEqual(['different: input "z" is only in the second file']);
    expect(found(withZ(), spec())).toEqual(['different: input "z" is missing from the second file']);
    expect(found(spec(), withZ(zero))).toEqual(['note: input "z" is only in the second file']);
    expect(found(withZ(zero), spec())).toEqual(['note: input "z" is missing from the second file']);
    const two = spec({ nodes: [relu, node("Neg", ["x"], ["w"])], outputs: [{ name: "y" }, { name: "w" }] });
    expect(found(spec({ nodes: two.nodes }), two)).toEqual(['note: output "w" is only in the second file']);
    expect(found(two, spec({ nodes: two.nodes }))).toEqual(['different: output "w" is missing from the second file']);
  });

  it("in another order are noted", () => {
    const turned = spec({ inputs: [z, { name: "x", dims: [2, 3] }] });
    expect(found(withZ(), turned)).toEqual([
      "note: the inputs are in another order (z, x): callers that pass them by position get others",
    ]);
  });

  it("may have a default, which is compared where somebody reads it", () => {
    const add = { nodes: [node("Add", ["x", "z"], ["y"])] };
    const of = (initializers: ModelSpec["initializers"], more: Partial<ModelSpec> = add) => withZ({ initializers, ...more });
    expect(found(of({ z: float32([1], [1]) }), of({ z: float32([1], [1]) }))).toEqual([]);
    expect(found(of({ z: float32([1], [1]) }), of({ z: float32([1], [2]) }))).toEqual([
      'different: the default of input "z" is another: at [0] 1 in the first file, 2 in the second',
    ]);
    expect(found(of({ z: float32([1], [1]) }, {}), of({ z: float32([1], [2]) }, {}))).toEqual([
      'note: the default of input "z" is another: at [0] 1 in the first file, 2 in the second',
    ]);
    expect(found(of({ z: float32([1], [0]) }), of({ z: float32([1], [-0]) }))).toHaveLength(1);
    expect(found(of({ z: float32([1], [1]) }), of({ z: float64([1], [1]) }))).toContain(
      'different: the default of input "z" is another: float32 [1] in the first file, float64 [1] in the second',
    );
    expect(found(of({}), of({ z: float32([1], [1]) }))).toContain('note: input "z" has a default in only the second file');
    expect(found(of({ z: float32([1], [1]) }), of({}))).toContain('note: input "z" has a default in only the first file');
    // The same numbers, stored in another way.
    expect(found(of({ z: float32([1], [1]) }), of({ z: { ...float32([1], [1]), encoding: "typed" } }))).toEqual([]);
    const sparse = (value: number) =>
      of({}, { ...add, sparse: { z: { dtype: "float32", dims: [1], indices: [0], values: [value] } } });
    expect(found(sparse(1), sparse(1))).toEqual([]);
    expect(found(of({ z: float32([1], [1]) }), sparse(2))).toContain(
      'different: the default of input "z" is another: at [0] 1 in the first file, 2 in the second',
    );
    // Before IR version 4 an initializer that is listed among the inputs is a constant.
    const old = { ...add, irVersion: 3, opset: 8 };
    expect(found(of({ z: float32([1], [1]) }, old), of({ z: float32([1], [2]) }, old))).toEqual([]);
  });

  it("have the place of the first number that differs", () => {
    const at = (values: number[]) => {
      const inputs = [
        { name: "x", dims: [2, 3] },
        { name: "z", dims: [2, 3] },
      ];
      return spec({ nodes: [node("Add", ["x", "z"], ["y"])], inputs, initializers: { z: float32([2, 3], values) } });
    };
    expect(found(at([1, 2, 3, 4, 5, 6]), at([1, 2, 3, 4, 7, 8]))[0]).toContain("at [1,1] 5 in the first file, 7 in the second");
  });
});

describe("validity and operator sets", () => {
  const bad = spec({ nodes: [node("Relu", ["nothing"], ["y"])] });
  it("say which file ONNX's checker refuses", () => {
    expect(found(spec(), bad).map((text) => text.slice(0, 39))).toEqual(["different: the second file is not valid"]);
    expect(found(bad, spec()).map((text) => text.slice(0, 33))).toEqual(["note: the first file is not valid"]);
    expect(found(bad, bad).map((text) => text.slice(0, 27))).toEqual(["note: neither file is valid"]);
    // Where the operator sets are others as well, the first file may be what the tool of the second mended.
    const lines = found({ ...bad, opset: 20 }, spec());
    expect(lines.map((text) => text.slice(0, 34))).toContain("doubt: the first file is not valid");
    expect(lines).toContain("note: operator set ai.onnx: version 20 in the first file, 21 in the second");
  });

  it("of domains that somebody uses are noted", () => {
    const own = { nodes: [node("Gelu", ["x"], ["y"], {}, { domain: "com.microsoft" })] };
    const sets = (version?: number) => ({
      ...own,
      opsets: { "": 21, ...(version === undefined ? {} : { "com.microsoft": version }) },
    });
    expect(found(spec(sets(1)), spec(sets(2)))).toContain(
      "note: operator set com.microsoft: version 1 in the first file, 2 in the second",
    );
    expect(found(spec(sets(1)), spec(sets()))).toContain(
      "note: operator set com.microsoft: version 1 in the first file, none in the second",
    );
    expect(found(spec(sets()), spec(sets(1)))).toContain(
      "note: operator set com.microsoft: version none in the first file, 1 in the second",
    );
    expect(found(spec({ opsets: { "": 21, other: 1 } }), spec({ opsets: { "": 21, other: 2 } }))).toEqual([]);
  });
});

describe("shapes declared of values inside", () => {
  const at = (name: string, file: Contradicted["file"]) =>
    ({ value: { name }, declared: [1, 4], inferred: [2, 3], file }) as unknown as Contradicted;
  it("are said once for both files, the first three of them by name", () => {
    expect(declaredNotes([])).toEqual([]);
    expect(declaredNotes([at("a", "first")])[0].message).toBe(
      'the first file declares "a" as [1, 4] where its operators make [2, 3]: what is declared of it decides nothing',
    );
    const [{ message }] = declaredNotes([..."abcde"].flatMap((name) => [at(name, "first"), at(name, "second")]));
    expect(message).toMatch(/^both files declare "a" .*"b" .*"c" .*, and so of 2 more: what is declared of it decides nothing$/);
  });
});

it("an integer default is compared as one", () => {
  const of = (value: bigint) =>
    spec({
      nodes: [node("Reshape", ["x", "z"], ["y"])],
      inputs: [
        { name: "x", dims: [2, 3] },
        { name: "z", dtype: "int64", dims: [1] },
      ],
      initializers: { z: int64([1], [value]) },
    });
  expect(found(of(2n ** 62n), of(2n ** 62n + 1n))[0]).toContain("4611686018427387904 in the first file, 4611686018427387905");
});
