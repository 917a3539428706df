/** Stores for tests: small models, one of them broken, and a network of two levels of layers with its data. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convNet } from "../cli/bnfold.ts";
import { type ModelSpec, modelBytes } from "../helpers/build.ts";

export const isModel = (name: string): boolean => name.endsWith(".onnx");

/** A .npy file of float32 rows [2, 5, 5]. */
export function rows(count: number, seed: number): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${count}, 2, 5, 5), }`;
  const head = `${text.padEnd(117, " ")}\n`;
  const data = Float32Array.from({ length: count * 50 }, (_, i) => Math.sin(i * 0.7 + seed));
  return Buffer.concat([
    Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length, 0]),
    Buffer.from(head),
    Buffer.from(data.buffer),
  ]);
}

/** Models `zoo/m0.onnx` …, every third in a folder; that of `broken` is none. */
export function makeZoo(store: string, models: number, broken?: number): string {
  mkdirSync(join(store, "zoo/deep"), { recursive: true });
  for (let i = 0; i < models; i++) {
    const path = join(store, "zoo", i % 3 === 0 ? "deep" : "", `m${i}.onnx`);
    writeFileSync(path, i === broken ? "no model" : modelBytes(convNet({ variance: [1 + i, 2, 3] })));
  }
  return store;
}

/** Two normalizations, the second of what the first made, with statistics of their own. */
function twoLevels(): ModelSpec {
  const net = convNet({ kept: true });
  const own = ["scale", "shift", "mean", "var"];
  const nodes = net.nodes.map((one) =>
    one.name === "late" ? { ...one, inputs: one.inputs.map((name) => (own.includes(name) ? `late_${name}` : name)) } : one,
  );
  const late = Object.fromEntries(own.map((name) => [`late_${name}`, net.initializers?.[name] as never]));
  return { ...net, nodes, initializers: { ...net.initializers, ...late } };
}

/** `net.onnx`, whose second normalization reads what the first made, and `data/` with 29 samples in three files. */
export function makeNet(store: string, withData = true): string {
  mkdirSync(join(store, "data"), { recursive: true });
  writeFileSync(join(store, "net.onnx"), modelBytes(twoLevels()));
  if (!withData) return store;
  for (const [i, count] of [9, 1, 19].entries()) writeFileSync(join(store, "data", `part-${i}.npy`), rows(count, i));
  return store;
}
