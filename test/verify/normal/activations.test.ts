/** What ONNX Runtime's fused layers end with. */
import { type AttributeSpec, f, float32, fs, node } from "../../helpers/build.ts";
import { judge, microsoft, net, type Pair, series } from "./pairs.ts";

const image = [{ name: "x", dims: ["N", 2, 5, 5] }];
const matrix = [{ name: "x", dims: ["N", 6] }];
const constants = { w: float32([3, 2, 2, 2], series(24)), m: float32([6, 3], series(18)), c: float32([3], series(3, 5)) };
type Attributes = Record<string, AttributeSpec>;

const fused = (layer: "Conv" | "Gemm", attributes: Attributes) =>
  net(
    layer === "Conv" ? image : matrix,
    [node(`Fused${layer}`, ["x", layer === "Conv" ? "w" : "m", "c"], ["y"], attributes, microsoft)],
    constants,
  );
const spelled = (layer: "Conv" | "Gemm", op: string, attributes: Attributes = {}, bounds: readonly number[] = []) =>
  net(
    layer === "Conv" ? image : matrix,
    [
      node(layer, ["x", layer === "Conv" ? "w" : "m", "c"], ["l"]),
      node(op, ["l", ...bounds.map((_, i) => `b${i}`)], ["y"], attributes),
    ],
    { ...constants, ...Object.fromEntries(bounds.map((b, i) => [`b${i}`, float32([], [b])])) },
  );
const conv = (activation: string, parameters: readonly number[] = []) =>
  fused("Conv", { activation, ...(parameters.length === 0 ? {} : { activation_params: fs(parameters) }) });
const gemm = (activation: string, alpha?: number, beta?: number) =>
  fused("Gemm", {
    activation,
    ...(alpha === undefined ? {} : { activation_alpha: f(alpha) }),
    ...(beta === undefined ? {} : { activation_beta: f(beta) }),
  });

const same: Record<string, Pair> = {
  "a Conv and a LeakyRelu": [conv("LeakyRelu", [0.25]), spelled("Conv", "LeakyRelu", { alpha: f(0.25) })],
  "a LeakyRelu of the slope that ONNX gives it": [conv("LeakyRelu"), spelled("Conv", "LeakyRelu")],
  "a HardSigmoid": [conv("HardSigmoid", [0.25, 0.75]), spelled("Conv", "HardSigmoid", { alpha: f(0.25), beta: f(0.75) })],
  "a HardSigmoid of ONNX's numbers": [conv("HardSigmoid"), spelled("Conv", "HardSigmoid")],
  "a Clip": [conv("Clip", [-0.5, 1.5]), spelled("Conv", "Clip", {}, [-0.5, 1.5])],
  "a Gemm and a LeakyRelu": [gemm("LeakyRelu", 0.25), spelled("Gemm", "LeakyRelu", { alpha: f(0.25) })],
  "a Gemm and a HardSigmoid": [
    gemm("HardSigmoid", 0.25, 0.75),
    spelled("Gemm", "HardSigmoid", { alpha: f(0.25), beta: f(0.75) }),
  ],
  "a Gemm and a Tanh": [gemm("Tanh"), spelled("Gemm", "Tanh")],
};
const unequal: Record<string, Pair> = {
  "another slope": [conv("LeakyRelu", [0.25]), spelled("Conv", "LeakyRelu", { alpha: f(0.5) })],
  "the slope that ONNX gives": [conv("LeakyRelu", [0.25]), spelled("Conv", "LeakyRelu")],
  "another offset": [conv("HardSigmoid", [0.25, 0.75]), spelled("Conv", "HardSigmoid", { alpha: f(0.25) })],
  "bounds exchanged": [conv("Clip", [-0.5, 1.5]), spelled("Conv", "Clip", {}, [1.5, -0.5])],
  "a Clip of one bound": [conv("Clip", [-0.5]), spelled("Conv", "Clip", {}, [-0.5])],
  "an activation that nobody knows": [conv("Swish"), spelled("Conv", "Sigmoid")],
  "another activation": [gemm("Tanh"), spelled("Gemm", "Sigmoid")],
};
judge("fused activations", same, unequal);
