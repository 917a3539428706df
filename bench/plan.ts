/**
 * Plan time against graph size: each family is planned at 10,000 and at 100,000 nodes; linear work gives a ratio of 10.
 *   npm run bench -- plan [nodes] [family]      default 100000
 */
import { plan } from "../src/fold/index.ts";
import { read } from "../src/onnx/read.ts";
import { memorySource } from "../src/onnx/source.ts";
import { float32, type ModelSpec, modelBytes, type NodeSpec, node, type TensorSpec } from "../test/helpers/build.ts";

type Initializers = Record<string, TensorSpec>;
const C = 4;
const ones = (dims: number[], value: number): TensorSpec => float32(dims, new Array(dims.reduce((n, d) => n * d, 1)).fill(value));
const norm = (init: Initializers, i: number): string[] => {
  for (const [name, value] of [
    ["s", 0.5],
    ["b", 0.25],
    ["m", 0.125],
    ["v", 1],
  ] as const)
    init[`${name}${i}`] = ones([C], value);
  return [`s${i}`, `b${i}`, `m${i}`, `v${i}`];
};
const spec = (nodes: NodeSpec[], initializers: Initializers, y: string): ModelSpec => ({
  nodes,
  initializers,
  inputs: [{ name: "x", dims: ["N", C, 8, 8] }],
  outputs: [{ name: y, dims: undefined }],
});

const families: Record<string, (n: number) => ModelSpec> = {
  "Conv-BN-Relu chain"(n) {
    const [nodes, init]: [NodeSpec[], Initializers] = [[], {}];
    let x = "x";
    for (let i = 0; i < n / 3; i++) {
      init[`w${i}`] = ones([C, C, 1, 1], 0.5);
      nodes.push(
        node("Conv", [x, `w${i}`], [`c${i}`]),
        node("BatchNormalization", [`c${i}`, ...norm(init, i)], [`n${i}`]),
        node("Relu", [`n${i}`], [`r${i}`]),
      );
      x = `r${i}`;
    }
    return spec(nodes, init, x);
  },
  "BN-Relu chain, nothing to fold into"(n) {
    const [nodes, init]: [NodeSpec[], Initializers] = [[], {}];
    let x = "x";
    for (let i = 0; i < n / 2; i++) {
      nodes.push(node("BatchNormalization", [x, ...norm(init, i)], [`n${i}`]), node("Relu", [`n${i}`], [`r${i}`]));
      x = `r${i}`;
    }
    return spec(nodes, init, x);
  },
  "Mul-Relu chain, nothing to fold into"(n) {
    const [nodes, init]: [NodeSpec[], Initializers] = [[], { k: ones([C, 1, 1], 2) }];
    let x = "x";
    for (let i = 0; i < n / 2; i++) {
      nodes.push(node("Mul", [x, "k"], [`n${i}`]), node("Relu", [`n${i}`], [`r${i}`]));
      x = `r${i}`;
    }
    return spec(nodes, init, x);
  },
  "residual chain"(n) {
    const [nodes, init]: [NodeSpec[], Initializers] = [[], {}];
    let x = "x";
    for (let i = 0; i < n / 4; i++) {
      init[`w${i}`] = ones([C, C, 1, 1], 0.5);
      nodes.push(node("Conv", [x, `w${i}`], [`c${i}`]), node("BatchNormalization", [`c${i}`, ...norm(init, i)], [`n${i}`]));
      nodes.push(node("Add", [`n${i}`, x], [`a${i}`]), node("Relu", [`a${i}`], [`r${i}`]));
      x = `r${i}`;
    }
    return spec(nodes, init, x);
  },
  "residual stream without activation"(n) {
    const [nodes, init]: [NodeSpec[], Initializers] = [[], {}];
    let x = "x";
    for (let i = 0; i < n / 3; i++) {
      init[`w${i}`] = ones([C, C, 1, 1], 0.5);
      nodes.push(
        node("BatchNormalization", [x, ...norm(init, i)], [`n${i}`]),
        node("Conv", [`n${i}`, `w${i}`], [`c${i}`]),
        node("Add", [`c${i}`, x], [`a${i}`]),
      );
      x = `a${i}`;
    }
    return spec(nodes, init, x);
  },
  "wide Concat of Conv, one BN"(n) {
    const [nodes, init]: [NodeSpec[], Initializers] = [[], { w: ones([C, C, 1, 1], 0.5) }];
    const parts: string[] = [];
    for (let i = 0; i < n; i++) {
      nodes.push(node("Conv", ["x", "w"], [`c${i}`]));
      parts.push(`c${i}`);
    }
    const all = C * n;
    for (const [name, value] of [
      ["s", 0.5],
      ["b", 0.25],
      ["m", 0.125],
      ["v", 1],
    ] as const)
      init[name] = ones([all], value);
    nodes.push(node("Concat", parts, ["j"], { axis: 1 }), node("BatchNormalization", ["j", "s", "b", "m", "v"], ["y"]));
    return spec(nodes, init, "y");
  },
  "many BN on one value, shared constants"(n) {
    const [nodes, init]: [NodeSpec[], Initializers] = [[], {}];
    const shared = norm(init, 0);
    for (let i = 0; i < n / 2; i++)
      nodes.push(node("BatchNormalization", ["x", ...shared], [`n${i}`]), node("Relu", [`n${i}`], [`r${i}`]));
    nodes.push(
      node(
        "Sum",
        Array.from({ length: Math.floor(n / 2) }, (_, i) => `r${i}`),
        ["y"],
      ),
    );
    return spec(nodes, init, "y");
  },
  "identity maps on one value"(n) {
    const [nodes, init]: [NodeSpec[], Initializers] = [[], { one: ones([], 1) }];
    nodes.push(node("Relu", ["x"], ["r"]));
    for (let i = 0; i < n / 2; i++) nodes.push(node("Mul", ["r", "one"], [`m${i}`]), node("Sigmoid", [`m${i}`], [`s${i}`]));
    nodes.push(
      node(
        "Sum",
        Array.from({ length: Math.floor(n / 2) }, (_, i) => `s${i}`),
        ["y"],
      ),
    );
    return spec(nodes, init, "y");
  },
};

const most = Number(process.argv[3] ?? 100_000);
const only = process.argv[4];
for (const [name, make] of Object.entries(families)) {
  if (only !== undefined && !name.includes(only)) continue;
  const times = [most / 10, most].map((n) => {
    const model = read(memorySource(modelBytes(make(n)), "bench.onnx"));
    const start = performance.now();
    const { data } = plan(model);
    return { ms: performance.now() - start, folds: data.folds.length, kept: data.kept.length };
  });
  const ratio = times[1].ms / times[0].ms;
  console.log(
    `${name.padEnd(42)} ${times.map((t) => `${t.ms.toFixed(0)} ms`.padStart(9)).join(" ")}  ratio ${ratio.toFixed(1)}  (${times[1].folds} folds, ${times[1].kept} kept)`,
  );
}
