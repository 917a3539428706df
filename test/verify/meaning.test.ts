import { describe, expect, it } from "vitest";
import { CHANGES, meantBy } from "../../src/graph/op-versions.ts";
import { type OperatorSchema, versionsOf } from "../../src/graph/schemas.ts";
import { verifyModels } from "../../src/verify/index.ts";
import { prove } from "../../src/verify/proof.ts";
import { f, float32, int64, model, node, ref } from "../helpers/build.ts";
import { another, oneNode, type Place, plainSchemas, shownEqual, spelled } from "./operators.ts";

const label = ({ domain, type, since }: OperatorSchema, name = ""): string => `${domain}:${type} ${since} ${name}`.trim();

describe("attribute defaults", () => {
  const cases = plainSchemas().flatMap((schema) =>
    [...schema.attributes.values()].flatMap(({ name, kind, default: value }) =>
      value === undefined ? [] : [{ schema, name, kind, value }],
    ),
  );

  it("written out equal those left out, in every operator and version", () => {
    expect(cases.length).toBeGreaterThan(550);
    const wrong = cases.filter(({ schema, name, kind, value }) => {
      const spelt = oneNode(schema, { attributes: { [name]: spelled(kind, value) } });
      const left = oneNode(schema);
      return !shownEqual(left, spelt) || !shownEqual(spelt, left);
    });
    expect(wrong.map(({ schema, name }) => label(schema, name))).toEqual([]);
  });

  it("are never another value", () => {
    /**
     * What means nothing there: the shapes of a valid file are equal or broadcast, there is no C, no dropping out, whole numbers saturate
     * whatever is said, the type that is named is the one that follows from the operands or is there already, and no zeros are there to be counted.
     */
    const typed = "^:DequantizeLinear \\d+ output_dtype$|QuantizeLinear \\d+ saturate$|^:QuantizeLinear \\d+ precision$";
    const none = "^:CastLike \\d+ (saturate|round_mode)$|^:AveragePool \\d+ count_include_pad$";
    const idle = new RegExp(`^:Gemm [16] broadcast$|^:Gemm 1[13] beta$|^:Dropout |${typed}|${none}`);
    const wrong = cases.filter(({ schema, name, kind, value }) => {
      const other = oneNode(schema, { attributes: { [name]: spelled(kind, another(value)) } });
      return shownEqual(oneNode(schema), other) || shownEqual(other, oneNode(schema));
    });
    expect(wrong.map(({ schema, name }) => label(schema, name)).filter((one) => !idle.test(one))).toEqual([]);
  });
});

describe("versions of operators", () => {
  const neighbours = plainSchemas().flatMap((schema) => {
    const before = versionsOf(schema.domain, schema.type).findLast(({ since }) => since < schema.since);
    return before === undefined || before.deprecated || schema.inputs.length === 0 ? [] : [{ before, schema }];
  });
  const isChange = ({ domain, type, since }: OperatorSchema) =>
    CHANGES.some((c) => (c.domain ?? "") === domain && c.types.split(" ").includes(type) && c.since === since);
  const defaults = ({ domain, type }: OperatorSchema, since: number) =>
    versionsOf(domain, type)
      .flatMap(({ attributes }) => [...attributes.keys()])
      .map((name) => `${name}=${meantBy(domain, type, since, name)}`)
      .join();

  it("that changed what they compute, or a default, are never equal: in the graph, in a branch, in a function", () => {
    const other = neighbours.filter(
      ({ before, schema }) =>
        isChange(schema) || ["RoiAlign 16", "Selu 6"].includes(`${schema.type} ${schema.since}`) || before.type === "DFT",
    );
    const names = other.map(({ schema }) => `${schema.type} ${schema.since}`);
    expect(names).toEqual(
      expect.arrayContaining([
        "Softmax 13",
        "LogSoftmax 13",
        "Hardmax 13",
        "RoiAlign 16",
        "DFT 20",
        "PRelu 7",
        "OneHot 11",
        "Selu 6",
      ]),
    );
    for (const { before, schema } of other) {
      const flags = ({ attributes }: OperatorSchema) =>
        Object.fromEntries(["ceil_mode", "training_mode"].filter((name) => attributes.has(name)).map((name) => [name, 1]));
      for (const place of ["main", "If", "function"] as const satisfies readonly Place[]) {
        const a = oneNode(before, {
          place,
          version: schema.since - 1,
          attributes: flags(before),
        });
        // Dropout and BatchNormalization that do not train are the same: an input or attribute says that they do.
        const b = oneNode(schema, { place, attributes: flags(schema), inputs: schema.type === "Dropout" ? 3 : undefined });
        expect(shownEqual(a, b), `${label(schema)} in ${place}`).toBe(false);
        expect(shownEqual(b, a), `${label(schema)} in ${place}, the other way`).toBe(false);
      }
    }
  });

  it("that did not are equal where they are written alike", () => {
    const written = (schema: OperatorSchema) =>
      [schema.inputs, schema.outputs].map((list) => list.filter(({ option }) => option !== "optional").length).join() +
      [...schema.attributes.values()].filter(({ required }) => required).map(({ name }) => name);
    const alike = neighbours.filter(
      ({ before, schema }) =>
        !isChange(schema) &&
        !["Cast 6", "DFT 20"].includes(`${schema.type} ${schema.since}`) &&
        written(before) === written(schema) &&
        defaults(schema, before.since) === defaults(schema, schema.since),
    );
    expect(alike.length).toBeGreaterThan(250);
    const wrong = alike.filter(
      ({ before, schema }) => !shownEqual(oneNode(before, { version: schema.since - 1 }), oneNode(schema)),
    );
    expect(wrong.map(({ schema }) => label(schema))).toEqual([]);
  });

  it("take as inputs what they took as attributes", () => {
    const x = { name: "x", dims: [2, 3, 4, 5] };
    const y = { name: "y" };
    const one = (
      op: string,
      opset: number,
      attributes: object,
      operands: readonly (ReturnType<typeof int64> | undefined)[] = [],
    ) =>
      model({
        nodes: [
          node(op, ["x", ...operands.map((o, i) => (o === undefined ? "" : `c${i}`))], ["y"], { ...attributes }, { name: "n" }),
        ],
        initializers: Object.fromEntries(operands.flatMap((o, i) => (o === undefined ? [] : [[`c${i}`, o]]))),
        inputs: [x],
        outputs: [y],
        opset,
      });
    const ints = (...list: number[]) => int64([list.length], list);
    const bool = (value: number) => ({ dtype: "bool", dims: [], values: [value] });
    const pairs: [string, ReturnType<typeof model>, ReturnType<typeof model>, boolean][] = [
      ["ReduceSum", one("ReduceSum", 11, { axes: [1, 2] }), one("ReduceSum", 13, {}, [ints(-2, 1)]), true],
      ["ReduceSum over other axes", one("ReduceSum", 11, { axes: [1, 2] }), one("ReduceSum", 13, {}, [ints(1, 3)]), false],
      ["ReduceMax over all", one("ReduceMax", 11, {}), one("ReduceMax", 18, {}, [ints(0, 1, 2, 3)]), true],
      ["ReduceMax over none", one("ReduceMax", 11, {}), one("ReduceMax", 18, { noop_with_empty_axes: 1 }), false],
      [
        "Clip",
        one("Clip", 6, { max: f(6) }),
        one("Clip", 13, {}, [float32([], [-3.4028234663852886e38]), float32([], [6])]),
        true,
      ],
      ["Clip above only", one("Clip", 6, { max: f(6) }), one("Clip", 13, {}, [undefined, float32([], [6])]), true],
      ["Clip at another", one("Clip", 6, { max: f(6) }), one("Clip", 13, {}, [undefined, float32([], [7])]), false],
      ["Clip not at all", one("Clip", 6, { max: f(6) }), one("Clip", 13, {}), false],
      ["Slice", one("Slice", 9, { starts: [1], ends: [9], axes: [-1] }), one("Slice", 13, {}, [ints(1), ints(5), ints(3)]), true],
      [
        "Slice elsewhere",
        one("Slice", 9, { starts: [1], ends: [9], axes: [-1] }),
        one("Slice", 13, {}, [ints(1), ints(4), ints(3)]),
        false,
      ],
      [
        "Pad",
        one("Pad", 2, { pads: [0, 0, 1, 1, 0, 0, 1, 1] }),
        one("Pad", 18, {}, [ints(1, 1, 1, 1), undefined, ints(2, -1)]),
        true,
      ],
      [
        "Pad by another",
        one("Pad", 2, { pads: [0, 0, 1, 1, 0, 0, 1, 1] }),
        one("Pad", 11, {}, [ints(0, 0, 1, 1, 0, 0, 1, 2)]),
        false,
      ],
      [
        "Pad with another",
        one("Pad", 2, { pads: [0, 0, 1, 1, 0, 0, 1, 1], value: f(2) }),
        one("Pad", 11, {}, [ints(0, 0, 1, 1, 0, 0, 1, 1)]),
        false,
      ],
      ["TopK", one("TopK", 9, { k: 2 }), one("TopK", 11, { largest: 1 }, [ints(2)]), true],
      ["TopK of more", one("TopK", 9, { k: 2 }), one("TopK", 11, {}, [ints(3)]), false],
      ["Split", one("Split", 2, { split: [4], axis: 2 }), one("Split", 18, { axis: -2, num_outputs: 1 }), true],
      ["DFT", one("DFT", 17, { axis: 2 }), one("DFT", 20, {}), true],
      [
        "GridSample",
        one("GridSample", 16, { mode: "bicubic" }, [float32([2, 1, 1, 2], [0, 0, 1, 1])]),
        one("GridSample", 20, { mode: "cubic" }, [float32([2, 1, 1, 2], [0, 0, 1, 1])]),
        true,
      ],
      ["Dropout", one("Dropout", 10, {}), one("Dropout", 13, {}, [float32([], [0.5]), bool(0)]), true],
      ["Dropout that trains", one("Dropout", 10, {}), one("Dropout", 13, {}, [float32([], [0.5]), bool(1)]), false],
      ["Softmax over the last axis", one("Softmax", 11, { axis: 3 }), one("Softmax", 13, {}), true],
      ["Softmax", one("Softmax", 11, {}), one("Softmax", 13, { axis: 1 }), false],
      [
        "MaxPool that fits",
        one("MaxPool", 12, { kernel_shape: [2, 2], ceil_mode: 1 }),
        one("MaxPool", 22, { kernel_shape: [2, 2], ceil_mode: 1 }),
        true,
      ],
      [
        "MaxPool that does not",
        one("MaxPool", 12, { kernel_shape: [1, 1], strides: [3, 3], pads: [1, 1, 2, 2], ceil_mode: 1 }),
        one("MaxPool", 22, { kernel_shape: [1, 1], strides: [3, 3], pads: [1, 1, 2, 2], ceil_mode: 1 }),
        false,
      ],
    ];
    for (const [what, a, b, same] of pairs) {
      expect(shownEqual(a, b), what).toBe(same);
      expect(shownEqual(b, a), `${what}, the other way`).toBe(same);
    }
  });
});

describe("operands left out", () => {
  const x = { name: "x", dims: [2, 3, 4, 5] };
  const y = { name: "y" };
  const one = (op: string, operands: Readonly<Record<string, object>>, inputs: readonly string[], dtype = "float32") =>
    model({
      nodes: [node(op, inputs, ["y"], {}, { name: "n" })],
      initializers: operands as Record<string, ReturnType<typeof int64>>,
      inputs: [{ ...x, dtype }],
      outputs: [y],
    });
  const scale = float32([], [0.5]);
  const byte = (dtype: string, value: number) => ({ dtype, dims: [], values: [value] });

  it("equal the constant that stands for them, and no other", () => {
    const quantized = (zero?: object, op = "QuantizeLinear", dtype = "float32") =>
      one(op, { s: scale, ...(zero === undefined ? {} : { z: zero }) }, ["x", "s", ...(zero === undefined ? [] : ["z"])], dtype);
    expect(shownEqual(quantized(), quantized(byte("uint8", 0)))).toBe(true);
    expect(shownEqual(quantized(), quantized(byte("uint8", 1)))).toBe(false);
    // Without a zero point it makes unsigned bytes.
    expect(shownEqual(quantized(), quantized(byte("int8", 0)))).toBe(false);
    expect(
      shownEqual(quantized(undefined, "DequantizeLinear", "int8"), quantized(byte("int8", 0), "DequantizeLinear", "int8")),
    ).toBe(true);
    const padded = (value?: number) =>
      one("Pad", { p: int64([8], [0, 0, 1, 1, 0, 0, 1, 1]), ...(value === undefined ? {} : { v: float32([], [value]) }) }, [
        "x",
        "p",
        ...(value === undefined ? [] : ["v"]),
      ]);
    expect(shownEqual(padded(), padded(0))).toBe(true);
    expect(shownEqual(padded(), padded(1))).toBe(false);
    const clipped = (low?: number) =>
      one("Clip", low === undefined ? {} : { l: float32([], [low]) }, ["x", ...(low === undefined ? [] : ["l"])]);
    expect(shownEqual(clipped(), clipped(-3.4028234663852886e38))).toBe(true);
    expect(shownEqual(clipped(), clipped(-1e38))).toBe(false);
  });

  it("Slice by steps of one, along the first axes, to the end however it is written", () => {
    const ints = (...list: number[]) => int64([list.length], list);
    const sliced = (end: number, more: Readonly<Record<string, object>> = {}) =>
      one("Slice", { s: ints(0, 1), e: ints(2, end), ...more }, ["x", "s", "e", ...Object.keys(more)]);
    expect(shownEqual(sliced(3), sliced(2 ** 31 - 1, { a: ints(0, 1), t: ints(1, 1) }))).toBe(true);
    expect(shownEqual(sliced(3), sliced(2))).toBe(false);
    expect(shownEqual(sliced(3), sliced(3, { a: ints(0, 2) }))).toBe(false);
  });
});

describe("functions", () => {
  const x = { name: "x", dims: [2, 3] };
  const y = { name: "y", dims: [2, 3] };
  const calling = (standing: number, given?: number, version = 1) =>
    model({
      nodes: [node("F", ["x"], ["y"], given === undefined ? {} : { al: f(given) }, { domain: "loc", name: "call" })],
      functions: [
        {
          ...{ name: "F", domain: "loc", inputs: ["a"], outputs: ["b"], opsets: { "": 21, acme: version } },
          defaults: { al: f(standing) },
          nodes: [
            node("LeakyRelu", ["a"], ["c"], { alpha: { ...ref("al") } }, { name: "leaky" }),
            node("Foo", ["c"], ["b"], {}, { domain: "acme", name: "foo" }),
          ],
        },
      ],
      inputs: [x],
      outputs: [y],
      opsets: { "": 21, loc: 1, acme: version },
    });

  it("with another default are other functions, where a call leaves it to them", () => {
    expect(shownEqual(calling(0.1), calling(0.1))).toBe(true);
    expect(shownEqual(calling(0.1), calling(0.2))).toBe(false);
    expect(shownEqual(calling(0.1), calling(0.2, 0.1))).toBe(true);
    expect(shownEqual(calling(0.1, 0.3), calling(0.2, 0.3))).toBe(true);
    expect(prove(calling(0.1), calling(0.2)).outcome).not.toBe("equal");
  });

  it("and operators of another version of a custom domain are not decided", () => {
    const verdict = verifyModels(calling(0.1), calling(0.1, undefined, 2));
    expect(verdict.outcome).toBe("undecided");
    expect(verdict.summary).toMatch(/version 1 of acme in the first file and of version 2 in the second/);
  });
});

describe("what a weight says already", () => {
  const filled = (...dims: number[]) =>
    float32(
      dims,
      Array.from({ length: dims.reduce((n, d) => n * d, 1) }, (_, i) => (i % 5) - 2),
    );
  const conv = (attributes: Record<string, readonly number[]>, bias: boolean) =>
    model({
      nodes: [node("Conv", bias ? ["x", "w", "b"] : ["x", "w"], ["y"], attributes)],
      initializers: { w: filled(4, 3, 3, 3), b: filled(4) },
      inputs: [{ name: "x", dims: [1, 3, 8, 8] }],
      outputs: [{ name: "y" }],
    });
  const lstm = (hidden?: number) =>
    model({
      nodes: [node("LSTM", ["x", "w", "r"], ["y"], hidden === undefined ? {} : { hidden_size: hidden })],
      initializers: { w: filled(1, 12, 5), r: filled(1, 12, 3) },
      inputs: [{ name: "x", dims: [2, 1, 5] }],
      outputs: [{ name: "y" }],
    });

  it("may be left out, and not be contradicted", () => {
    for (const bias of [false, true]) {
      expect(prove(conv({}, bias), conv({ kernel_shape: [3, 3] }, bias)).outcome).toBe("equal");
      // No runtime takes it.
      expect(prove(conv({}, bias), conv({ kernel_shape: [2, 2] }, bias)).outcome).not.toBe("equal");
    }
    expect(prove(lstm(), lstm(3)).outcome).toBe("equal");
    expect(prove(lstm(), lstm(5)).outcome).not.toBe("equal");
  });
});

describe("a PRelu of another operator set", () => {
  const prelu = (opset: number, slopes: readonly number[], dims: readonly number[]) =>
    model({
      opset,
      nodes: [node("PRelu", ["x", "p"], ["y"])],
      initializers: { p: float32(dims, slopes) },
      inputs: [{ name: "x", dims: [1, 3, 2, 3] }],
      outputs: [{ name: "y" }],
    });

  it("is the same with one slope, and with three lies along another axis", () => {
    expect(prove(prelu(6, [0.25], [1]), prelu(9, [0.25], [1])).outcome).toBe("equal");
    expect(prove(prelu(9, [0.25], [1]), prelu(6, [0.25], [1])).outcome).toBe("equal");
    expect(prove(prelu(6, [0.25, 0.5, 2], [3]), prelu(9, [0.25, 0.5, 2], [3])).outcome).not.toBe("equal");
  });
});
