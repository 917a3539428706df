import { readFileSync } from "node:fs";
import onnxProto from "onnx-proto";
import { describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { type ByteSource, memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { isEmpty, type ModelEdits, NO_EDITS, type WriteOptions, write } from "../../src/onnx/write.ts";
import { type Bytes, bytesOf, f32, group, len, model, num, onnxFiles, vi } from "./bytes.ts";

const { onnx } = onnxProto;
/** Fields the reader of onnx-proto (ONNX 1.10) does not know, at several depths. */
const unknown = [...len(77, "u"), ...group(78, num(1, 1), group(2, num(3, 4)))];
const raw = (...xs: number[]): number[] => len(9, bytesOf(Float32Array.from(xs)));
const entry = (key: string, value: string) => len(13, [...len(1, key), ...len(2, value)]);

const node = (inputs: string[], outputs: string[], op: string, ...rest: Bytes[]) => [
  ...inputs.flatMap((name) => len(1, name)),
  ...outputs.flatMap((name) => len(2, name)),
  ...len(4, op),
  ...rest.flat(),
];

const epsilon = [...unknown, ...len(1, "epsilon"), ...f32(2, 1e-5), ...len(13, "doc"), ...num(20, 1)];
const pads = [...num(20, 7), ...len(1, "pads"), ...len(8, [...vi(1), ...vi(2, 3)])];
const weight = [
  ...len(12, "doc"),
  ...len(1, [2, 1]),
  ...unknown,
  ...num(2, 1),
  ...len(8, "w"),
  ...len(9, bytesOf(Float32Array.of(1, 2)), 3),
];
const bias = [...num(1, 2), ...num(2, 1), ...f32(4, 3), ...f32(4, 4), ...len(8, "b")];
const side = [
  ...num(1, 2),
  ...num(2, 1),
  ...len(8, "e"),
  ...entry("location", "s"),
  ...entry("offset", "4"),
  ...entry("checksum", "x"),
  ...num(14, 1),
  ...len(12, "d"),
];
const valueInfo = [...len(1, "y"), ...len(2, len(1, num(1, 1)))];

const file = model(
  len(2, "graph", 2),
  len(1, node(["x", "w", ""], ["y"], "Conv", len(5, pads), unknown, len(3, "conv")), 3),
  len(1, node(["y", "b", "b"], ["z"], "BatchNormalization", len(5, epsilon), len(6, "doc"))),
  len(1, node(["z", "e"], ["out"], "Add")),
  len(5, weight),
  len(5, bias),
  len(5, side),
  len(13, valueInfo),
  len(11, len(1, "x")),
  len(12, len(1, "out")),
  unknown,
);

const external = (): ByteSource => memorySource(Uint8Array.from([0, 0, 0, 0, ...bytesOf(Float32Array.of(8, 9))]), "s");
const open = (bytes: Uint8Array = file, resolve: (location: string) => ByteSource = external): Model =>
  read(memorySource(bytes), { external: resolve });

function edited(edits: Partial<ModelEdits>, options?: WriteOptions, from = open()) {
  const written = write(from, { ...NO_EDITS, ...edits }, options);
  const bytes = collect(written.main);
  return {
    bytes,
    written,
    model: open(bytes, (location) =>
      location === "s" ? external() : memorySource(collect(written.sideFiles[0].pieces), location),
    ),
  };
}

/** The same file with one part of its bytes exchanged; lengths around it put right by building it anew is not possible here. */
function expectInside(bytes: Uint8Array, part: Bytes) {
  expect(Buffer.from(bytes).includes(Buffer.from(part))).toBe(true);
}

describe("no edits", () => {
  it("give the source itself", () => {
    const m = open();
    expect(isEmpty(NO_EDITS)).toBe(true);
    expect(write(m, NO_EDITS).main).toEqual([{ source: m.files.main, start: 0, end: file.length }]);
    expect(write(m, NO_EDITS).keptFiles).toEqual(["s"]);
  });

  const files = [...onnxFiles("fixtures"), ...onnxFiles("../shared/corpus"), ...onnxFiles("../shared/conformance")];
  it.skipIf(files.length === 0)(
    `leave ${files.length} models as they are, and a no-op edit too`,
    () => {
      for (const path of files) {
        const bytes = readFileSync(path);
        const m = read(memorySource(bytes, path));
        const [first] = m.graph.nodes;
        // Every name written with its own value: fields are looked at, none may change.
        const same =
          first === undefined ? [] : [{ node: first, inputs: first.inputs, outputs: first.outputs, opType: first.opType }];
        expect(Buffer.compare(collect(write(m, { ...NO_EDITS, rewriteNodes: same }).main), bytes), path).toBe(0);
        // Every inline tensor encoded again from its numbers: the bytes must be the same, NaN payloads and padding apart.
        const replaceTensors = m.graph.initializers
          .filter(
            ({ external, dataType, raw: span }) =>
              external === undefined && span !== undefined && [1, 6, 7, 11].includes(dataType),
          )
          .map((tensor) => ({ tensor, values: () => decode(tensor).data }));
        expect(Buffer.compare(collect(write(m, { ...NO_EDITS, replaceTensors }).main), bytes), path).toBe(0);
      }
    },
    300_000,
  );
});

describe("nodes", () => {
  it("are dropped and the rest stays byte for byte", () => {
    const m = open();
    const { bytes } = edited(
      { dropNodes: [m.graph.nodes[1]], dropValueInfos: m.graph.valueInfos, dropTensors: [m.graph.initializers[1]] },
      {},
      m,
    );
    const expected = model(
      len(2, "graph", 2),
      len(1, node(["x", "w", ""], ["y"], "Conv", len(5, pads), unknown, len(3, "conv")), 3),
      len(1, node(["z", "e"], ["out"], "Add")),
      len(5, weight),
      len(5, side),
      len(11, len(1, "x")),
      len(12, len(1, "out")),
      unknown,
    );
    expect(Buffer.from(bytes).equals(expected)).toBe(true);
  });

  it("are rewritten field by field", () => {
    const m = open();
    const [conv, bn, add] = m.graph.nodes;
    const { bytes, model: now } = edited(
      {
        rewriteNodes: [
          { node: conv, inputs: ["x", "w2", "", "more"], outputs: ["z"], set: { pads: { ints: [3, -1] }, group: { int: 1 } } },
          { node: bn, set: { epsilon: { float: 0.5 } }, inputs: ["y"], opType: "Affine" },
          { node: add, inputs: [], remove: ["none"] },
        ],
      },
      {},
      m,
    );
    const group1 = [...len(1, "group"), ...num(3, 1), ...num(20, 2)];
    expectInside(
      bytes,
      len(
        1,
        [
          ...node(
            ["x", "w2", "", "more"],
            ["z"],
            "Conv",
            len(5, [...num(20, 7), ...len(1, "pads"), ...len(8, [...vi(3), ...vi(-1)])]),
            len(5, group1),
          ),
          ...unknown,
          ...len(3, "conv"),
        ],
        3,
      ),
    );
    const eps = [...unknown, ...len(1, "epsilon"), ...f32(2, 0.5), ...len(13, "doc"), ...num(20, 1)];
    expectInside(bytes, len(1, node(["y"], ["z"], "Affine", len(5, eps), len(6, "doc"))));
    expectInside(bytes, len(1, node([], ["out"], "Add")));
    expect(now.graph.nodes.map(({ inputs }) => inputs)).toEqual([["x", "w2", "", "more"], ["y"], []]);
  });

  it("may change the kind of an attribute, or lose it", () => {
    const m = open();
    const [conv, bn] = m.graph.nodes;
    const { model: now } = edited(
      {
        rewriteNodes: [
          { node: conv, remove: ["pads"] },
          { node: bn, set: { epsilon: { floats: [1, 2] }, s: { string: "text" } } },
        ],
      },
      {},
      m,
    );
    expect([...now.graph.nodes[0].attributes.keys()]).toEqual([]);
    const attribute = now.graph.nodes[1].attributes.get("epsilon");
    expect(attribute).toMatchObject({ type: 6, floats: [1, 2], f: undefined });
    expect(now.graph.nodes[1].attributes.get("s")).toMatchObject({ type: 3, s: new TextEncoder().encode("text") });
  });

  it("are inserted before another, at the end, and into a graph without any", () => {
    const m = open();
    const spec = (opType: string) => ({
      opType,
      inputs: ["x"],
      outputs: ["q"],
      name: "n",
      domain: "d",
      attributes: { a: { int: -1 } },
    });
    const { model: now, bytes } = edited(
      {
        insertNodes: [
          { into: m.graph, before: m.graph.nodes[1], node: spec("A") },
          { into: m.graph, before: undefined, node: spec("C") },
          { into: m.graph, before: m.graph.nodes[1], node: spec("B") },
        ],
        dropNodes: [m.graph.nodes[1]],
      },
      {},
      m,
    );
    expect(now.graph.nodes.map(({ opType }) => opType)).toEqual(["Conv", "A", "B", "Add", "C"]);
    expectInside(
      bytes,
      len(1, [
        ...node(["x"], ["q"], "", []).slice(0, -2),
        ...len(3, "n"),
        ...len(4, "A"),
        ...len(5, [...len(1, "a"), ...num(3, -1), ...num(20, 2)]),
        ...len(7, "d"),
      ]),
    );
    const empty = open(model(len(2, "g")));
    const filled = edited(
      {
        insertNodes: [{ into: empty.graph, before: undefined, node: spec("A") }],
        addTensors: [
          { graph: empty.graph, tensor: { name: "t", dims: [1], dtype: "float32", values: () => Float64Array.of(7) } },
        ],
      },
      {},
      empty,
    );
    expect(filled.model.graph.nodes).toHaveLength(1);
    expect(decode(filled.model.graph.initializers[0]).data).toEqual(Float64Array.of(7));
  });
});

describe("tensors", () => {
  it("change in place, in their own encoding", () => {
    const m = open();
    const [w, b] = m.graph.initializers;
    const { bytes } = edited(
      {
        replaceTensors: [
          { tensor: w, values: () => Float64Array.of(5, 6) },
          { tensor: b, values: () => Float64Array.of(0.1, 7) },
        ],
      },
      {},
      m,
    );
    expect(bytes.length).toBe(file.length);
    expectInside(
      bytes,
      len(5, [
        ...len(12, "doc"),
        ...len(1, [2, 1]),
        ...unknown,
        ...num(2, 1),
        ...len(8, "w"),
        ...len(9, bytesOf(Float32Array.of(5, 6)), 3),
      ]),
    );
    expectInside(bytes, len(5, [...num(1, 2), ...num(2, 1), ...f32(4, 0.1), ...f32(4, 7), ...len(8, "b")]));
  });

  it("take new dims, packed or not as they were", () => {
    const m = open();
    const [w, b] = m.graph.initializers;
    const { bytes, model: now } = edited(
      {
        replaceTensors: [
          { tensor: w, dims: [3], values: () => Float64Array.of(5, 6, 7) },
          { tensor: b, dims: [1, 1], values: () => Float64Array.of(8) },
        ],
      },
      {},
      m,
    );
    expectInside(
      bytes,
      len(5, [
        ...len(12, "doc"),
        ...len(1, [3]),
        ...unknown,
        ...num(2, 1),
        ...len(8, "w"),
        ...len(9, bytesOf(Float32Array.of(5, 6, 7)), 3),
      ]),
    );
    expectInside(bytes, len(5, [...num(1, 1), ...num(1, 1), ...num(2, 1), ...f32(4, 8), ...len(8, "b")]));
    expect(decode(now.graph.initializers[0])).toEqual({ dtype: "float32", dims: [3], data: Float64Array.of(5, 6, 7) });
    const scalar = edited({ replaceTensors: [{ tensor: w, dims: [], values: () => Float64Array.of(5) }] }, {}, m).model;
    expect(scalar.graph.initializers[0].dims).toEqual([]);
    expect(() => edited({ replaceTensors: [{ tensor: w, dims: [3], values: () => Float64Array.of(5) }] }, {}, m)).toThrow(
      /got 1 numbers, expected 3/,
    );
  });

  it("are added like another, or from nothing", () => {
    const m = open();
    const [w, b] = m.graph.initializers;
    const values = () => Float64Array.of(0.1, 2);
    const { bytes, model: now } = edited(
      {
        addTensors: [
          { graph: m.graph, tensor: { name: "w2", dims: [2, 1], dtype: "float32", like: w, values } },
          { graph: m.graph, tensor: { name: "b2", dims: [2], dtype: "float16", like: b, values } },
          { graph: m.graph, tensor: { name: "plain", dims: [2], dtype: "float64", values } },
        ],
      },
      {},
      m,
    );
    expectInside(bytes, [
      ...len(5, side),
      ...len(5, [
        ...len(12, "doc"),
        ...len(1, [2, 1]),
        ...unknown,
        ...num(2, 1),
        ...len(8, "w2"),
        ...len(9, bytesOf(Float32Array.of(0.1, 2)), 3),
      ]),
    ]);
    expect(now.graph.initializers.slice(3).map((t) => [t.name, decode(t).dtype, [...(decode(t).data as Float64Array)]])).toEqual([
      ["w2", "float32", [Math.fround(0.1), 2]],
      ["b2", "float16", [0.0999755859375, 2]],
      ["plain", "float64", [0.1, 2]],
    ]);
  });

  it("change inside an attribute", () => {
    const constant = [...len(1, "value"), ...len(5, [...num(1, 1), ...num(2, 7), ...num(7, 5)]), ...num(20, 4)];
    const m = open(model(len(1, node([], ["c"], "Constant", len(5, constant)))));
    const tensor = m.graph.nodes[0].attributes.get("value")?.t;
    if (tensor === undefined) throw new Error("no tensor");
    const { bytes } = edited({ replaceTensors: [{ tensor, dims: [2], values: () => BigInt64Array.of(-1n, 300n) }] }, {}, m);
    const now = [...len(1, "value"), ...len(5, [...num(1, 2), ...num(2, 7), ...num(7, -1), ...num(7, 300)]), ...num(20, 4)];
    expect([...bytes]).toEqual([...model(len(1, node([], ["c"], "Constant", len(5, now))))]);
  });

  it("are not made before they are written", () => {
    const m = open();
    let calls = 0;
    const values = () => {
      calls++;
      return Float64Array.of(1, 2);
    };
    const { main } = write(m, { ...NO_EDITS, replaceTensors: [{ tensor: m.graph.initializers[0], values }] });
    expect(calls).toBe(0);
    collect(main);
    expect(calls).toBe(1);
  });
});

describe("external data", () => {
  it("goes to one fresh side file, aligned; untouched tensors stay", () => {
    const m = open();
    const e = m.graph.initializers[2];
    const like = (name: string) => ({
      graph: m.graph,
      tensor: { name, dims: [1], dtype: "float32" as const, like: e, values: () => Float64Array.of(3) },
    });
    const {
      written,
      bytes,
      model: now,
    } = edited(
      { replaceTensors: [{ tensor: e, values: () => Float64Array.of(1, 2) }], addTensors: [like("e2")] },
      { sideFileName: "new.data" },
      m,
    );
    expect(written.keptFiles).toEqual([]);
    expect(written.sideFiles.map(({ location }) => location)).toEqual(["new.data"]);
    const data = collect(written.sideFiles[0].pieces);
    expect([...data]).toEqual([...bytesOf(Float32Array.of(1, 2)), ...new Array(56).fill(0), ...bytesOf(Float32Array.of(3))]);
    expectInside(
      bytes,
      len(5, [
        ...num(1, 2),
        ...num(2, 1),
        ...len(8, "e"),
        ...entry("location", "new.data"),
        ...entry("offset", "0"),
        ...entry("length", "8"),
        ...num(14, 1),
        ...len(12, "d"),
      ]),
    );
    expect(now.graph.initializers.slice(2).map((t) => [...(decode(t).data as Float64Array)])).toEqual([[1, 2], [3]]);
    expect(now.graph.initializers[3].external).toMatchObject({
      location: "new.data",
      offset: 64,
      length: 4,
      checksum: undefined,
    });
    expect(edited({ addTensors: [like("e2")] }, { sideFileName: "new.data" }, m).written.keptFiles).toEqual(["s"]);
  });

  it("needs a name for its side file, or one for each", () => {
    const m = open();
    const replaceTensors = [{ tensor: m.graph.initializers[2], values: () => Float64Array.of(1, 2) }];
    expect(() => edited({ replaceTensors }, {}, m)).toThrow(expect.objectContaining({ kind: "usage" }));
    const options = (sideFileName: WriteOptions["sideFileName"]) => ({
      external: "copy" as const,
      sideFileName,
      sideFileLimit: 8,
    });
    const like = {
      name: "e2",
      dims: [2],
      dtype: "float32" as const,
      like: m.graph.initializers[2],
      values: () => Float64Array.of(3, 4),
    };
    for (const [name, second] of [
      ["n", "n.2"],
      [(k: number) => `part${k}`, "part2"],
    ] as const) {
      const { written } = edited({ replaceTensors, addTensors: [{ graph: m.graph, tensor: like }] }, options(name), m);
      expect(written.sideFiles.map(({ location }) => location)[1]).toBe(second);
      const parts = written.sideFiles.map(({ pieces }) => [...collect(pieces)]);
      expect(parts).toEqual([bytesOf(Float32Array.of(1, 2)), bytesOf(Float32Array.of(3, 4))]);
    }
  });

  it("moves into the model, touched or not", () => {
    const m = open();
    const inlined = len(5, [...num(1, 2), ...num(2, 1), ...len(8, "e"), ...raw(8, 9), ...len(12, "d")]);
    const one = edited({}, { external: "inline" }, m);
    expectInside(one.bytes, inlined);
    expect(one.model.externalTensors).toEqual([]);
    const e = m.graph.initializers[2];
    const two = edited({ replaceTensors: [{ tensor: e, values: () => Float64Array.of(1, 2) }] }, { external: "inline" }, m);
    expectInside(two.bytes, len(5, [...num(1, 2), ...num(2, 1), ...len(8, "e"), ...raw(1, 2), ...len(12, "d")]));
    const three = edited({ dropTensors: [e] }, { external: "inline" }, m);
    expect(three.model.graph.initializers).toHaveLength(2);
  });
});

describe("an independent reader", () => {
  it("sees the edits and nothing else", () => {
    const m = open();
    const plain = (bytes: Uint8Array) =>
      onnx.ModelProto.toObject(onnx.ModelProto.decode(bytes), { longs: Number, bytes: Array }) as {
        graph: Record<string, Record<string, unknown>[]>;
      };
    const { bytes } = edited(
      {
        dropNodes: [m.graph.nodes[1]],
        rewriteNodes: [{ node: m.graph.nodes[0], outputs: ["z"] }],
        replaceTensors: [{ tensor: m.graph.initializers[0], values: () => Float64Array.of(5, 6) }],
      },
      {},
      m,
    );
    const expected = plain(file);
    expected.graph.node.splice(1, 1);
    expected.graph.node[0].output = ["z"];
    expected.graph.initializer[0].rawData = bytesOf(Float32Array.of(5, 6));
    expect(plain(bytes)).toEqual(expected);
  });
});
