/** Models of any size for measurements, written front to back. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { concat, header, intField, lengthDelimited, textField } from "../src/onnx/put.ts";

const CHANNELS = 512;
const WIDE = 4096;

/** A file written front to back, with holes. */
export class Sink {
  size = 0;
  private readonly fd: number;

  constructor(path: string) {
    this.fd = openSync(path, "w");
  }

  put(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done, bytes.length - done, this.size + done);
    this.size += bytes.length;
  }

  skip(bytes: number): void {
    this.size += bytes;
  }

  close(): void {
    ftruncateSync(this.fd, this.size);
    closeSync(this.fd);
  }
}

const noise = new Float32Array(1 << 20);
for (let i = 0, x = 1; i < noise.length; i++) {
  x = (Math.imul(x, 1664525) + 1013904223) | 0;
  noise[i] = (x / 2 ** 31) * 0.05;
}
const noiseBytes = new Uint8Array(noise.buffer);

interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly touched: boolean;
}

const bytesOf = (dims: readonly number[]): number => 4 * dims.reduce((n, d) => n * d, 1);

function payload(sink: Sink, { dims, touched }: Weight, dense: boolean): void {
  let left = bytesOf(dims);
  if (!touched && !dense) {
    sink.skip(left);
    return;
  }
  for (; left > 0; left -= noiseBytes.length) sink.put(noiseBytes.subarray(0, Math.min(left, noiseBytes.length)));
}

const node = (op: string, inputs: readonly string[], output: string, ...more: Uint8Array[]): Uint8Array =>
  lengthDelimited(
    1,
    concat([...inputs.map((x) => textField(1, x)), textField(2, output), textField(3, output), textField(4, op), ...more]),
  );
const ints = (name: string, values: readonly number[]): Uint8Array =>
  lengthDelimited(5, concat([textField(1, name), ...values.map((v) => intField(8, v)), intField(20, 7)]));

const value = (field: number, name: string, dims: readonly number[]): Uint8Array => {
  const shape = concat(dims.map((d) => lengthDelimited(1, intField(1, d))));
  const type = lengthDelimited(1, concat([intField(1, 1), lengthDelimited(2, shape)]));
  return lengthDelimited(field, concat([textField(1, name), lengthDelimited(2, type)]));
};

const head = ({ name, dims }: Weight): Uint8Array =>
  concat([...dims.map((d) => intField(1, d)), intField(2, 1), textField(8, name)]);

/** [Conv, BatchNormalization, Relu] × convolutions, a pool, and fully connected layers. */
function plan(kind: string, total: number): { nodes: Uint8Array; weights: Weight[]; vectors: string[] } {
  const one = bytesOf([CHANNELS, CHANNELS, 3, 3]);
  const convolutions = kind === "two" ? 2 : Math.max(1, Math.round((kind === "vgg" ? 0.1 * total : total) / one));
  const layers = kind !== "resnet" ? Math.round((total - convolutions * one) / bytesOf([WIDE, WIDE])) : 0;
  const [nodes, weights, vectors]: [Uint8Array[], Weight[], string[]] = [[], [], []];
  let x = "x";
  for (let i = 0; i < convolutions; i++) {
    weights.push({ name: `w${i}`, dims: [CHANNELS, CHANNELS, 3, 3], touched: true });
    const params = ["scale", "shift", "mean", "var"].map((name) => `${name}${i}`);
    vectors.push(...params);
    nodes.push(node("Conv", [x, `w${i}`], `c${i}`, ints("kernel_shape", [3, 3]), ints("pads", [1, 1, 1, 1])));
    nodes.push(node("BatchNormalization", [`c${i}`, ...params], `n${i}`), node("Relu", [`n${i}`], `r${i}`));
    x = `r${i}`;
  }
  nodes.push(node("GlobalAveragePool", [x], "pool"), node("Flatten", ["pool"], "flat"));
  x = "flat";
  for (let i = 0; i < layers; i++) {
    weights.push({ name: `f${i}`, dims: i === 0 ? [CHANNELS, WIDE] : [WIDE, WIDE], touched: false });
    nodes.push(node("MatMul", [x, `f${i}`], `m${i}`), node("Relu", [`m${i}`], `s${i}`));
    x = `s${i}`;
  }
  nodes.push(node("Identity", [x], "y"));
  return { nodes: concat(nodes), weights, vectors };
}

/** Writes a model of about `total` bytes ("vgg", "resnet" or "two"); returns its files. Payloads that stay are holes, or noise where it is `dense`. */
export function generate(folder: string, kind: string, total: number, external: boolean, dense: boolean): string[] {
  const { nodes, weights, vectors } = plan(kind, total);
  const path = join(folder, "model.onnx");
  const files = external ? [path, join(folder, "model.onnx.data")] : [path];
  const side = external ? new Sink(files[1]) : undefined;
  const width = kind === "resnet" ? CHANNELS : WIDE;
  const small = vectors.map((name, i) => {
    const data = new Uint8Array(
      noise.slice(i, i + CHANNELS).map((v, k) => (name.startsWith("var") ? 1 + v : v + (k % 2 ? 0.9 : -1.1))).buffer,
    );
    return lengthDelimited(5, concat([head({ name, dims: [CHANNELS], touched: true }), lengthDelimited(9, data)]));
  });
  const entries = weights.map((weight) => {
    const length = bytesOf(weight.dims);
    if (side === undefined) return { weight, bytes: concat([head(weight), header(9, length)]), length };
    side.skip((4096 - (side.size % 4096)) % 4096);
    const entry = (key: string, text: string) => lengthDelimited(13, concat([textField(1, key), textField(2, text)]));
    const place = [entry("location", "model.onnx.data"), entry("offset", String(side.size)), entry("length", String(length))];
    payload(side, weight, dense);
    return { weight, bytes: concat([head(weight), ...place, intField(14, 1)]), length: 0 };
  });
  side?.close();
  const faces = concat([value(11, "x", [1, CHANNELS, 4, 4]), value(12, "y", [1, width])]);
  const tensors = entries.reduce(
    (n, { bytes, length }) => n + header(5, bytes.length + length).length + bytes.length + length,
    0,
  );
  const smallBytes = concat(small);
  const graph = nodes.length + textField(2, "g").length + tensors + smallBytes.length + faces.length;
  const sink = new Sink(path);
  sink.put(
    concat([
      intField(1, 8),
      lengthDelimited(8, concat([textField(1, ""), intField(2, 17)])),
      header(7, graph),
      nodes,
      textField(2, "g"),
    ]),
  );
  for (const { weight, bytes, length } of entries) {
    sink.put(concat([header(5, bytes.length + length), bytes]));
    if (side === undefined) payload(sink, weight, dense);
  }
  sink.put(concat([smallBytes, faces]));
  sink.close();
  return files;
}
