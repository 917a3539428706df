import { float32, int8, node, type TensorSpec, uint8 } from "../../helpers/build.ts";
import { judge, microsoft, net } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 4] }];
const s = float32([], [0.1]);
const pair = (z: TensorSpec, back = z, scale = s) =>
  net(
    x,
    [
      node("QuantizeLinear", ["x", "s", "z"], ["q"]),
      node("DequantizeLinear", ["q", "t", "w"], ["d"]),
      node("Relu", ["d"], ["y"]),
    ],
    { s, z, w: back, t: scale },
  );
const seen = (z: TensorSpec) => ({
  ...net(x, [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])], { s, z }),
  outputs: [{ name: "y" }, { name: "q", dtype: z.dtype }],
});

judge(
  "codes with and without a sign",
  {
    "128 more": [pair(int8([], [-3])), pair(uint8([], [125]))],
    "none, and 128": [pair(int8([], [0])), pair(uint8([], [128]))],
    "other zero points, both moved": [pair(int8([], [5]), int8([], [2])), pair(uint8([], [133]), uint8([], [130]))],
  },
  {
    "127 more": [pair(int8([], [-3])), pair(uint8([], [124]))],
    "the same number": [pair(int8([], [3])), pair(uint8([], [3]))],
    "only one of them moved": [pair(int8([], [5]), int8([], [2])), pair(uint8([], [133]), uint8([], [131]))],
    "another scale": [pair(int8([], [-3])), pair(uint8([], [125]), uint8([], [125]), float32([], [0.2]))],
    "codes that are an output": [seen(int8([], [-3])), seen(uint8([], [125]))],
  },
);

const int16 = (z: number): TensorSpec => ({ dtype: "int16", dims: [], values: [z] });
const chain = (more: { q?: object; dq?: object; at?: object; z?: TensorSpec; names?: string[] } = {}) =>
  net(
    x,
    [
      node("QuantizeLinear", ["x", "s", ...(more.names ?? ["z"])], ["q"], { ...more.q }, { ...more.at }),
      node("DequantizeLinear", ["q", "s", "z"], ["d"], { ...more.dq }, { ...more.at }),
      node("Relu", ["d"], ["y"]),
    ],
    { s, z: more.z ?? int8([], [0]) },
  );
const [INT8, FLOAT] = [3, 1];

judge(
  "what quantising says without being told",
  {
    "an axis that one scale does not have": [chain(), chain({ q: { axis: 0 }, dq: { axis: 1 } })],
    "blocks of nothing, saturation of whole numbers": [
      chain(),
      chain({ q: { block_size: 0, saturate: 1 }, dq: { block_size: 0 } }),
    ],
    "the type of the zero point": [chain(), chain({ q: { output_dtype: INT8 } })],
    "the type instead of a zero point of zero": [chain(), chain({ q: { output_dtype: INT8 }, names: [] })],
    "uint8 without either": [chain({ z: uint8([], [0]) }), chain({ z: uint8([], [0]), names: [] })],
    "operators of ONNX Runtime, 16 bits": [chain({ z: int16(3) }), chain({ z: int16(3), at: microsoft })],
    "the same in eight": [chain(), chain({ at: microsoft, q: { axis: 1 } })],
  },
  {
    "another type": [chain({ z: int16(0) }), chain({ z: int16(0), q: { output_dtype: INT8 }, names: [] })],
    "another type of the zero point": [chain(), chain({ z: uint8([], [0]) })],
    "another zero point, of ONNX Runtime's operators": [chain({ z: int16(3) }), chain({ z: int16(4), at: microsoft })],
    "no zero point where there was one": [chain({ z: uint8([], [3]) }), chain({ z: uint8([], [3]), names: [] })],
  },
);

const spelled = (steps: string, scale: number, zero: number) => {
  const c = {
    s,
    z: uint8([], [3]),
    k: float32([1, 4], [1, 2, 4, 0.5]),
    n: float32([], [zero]),
    t: float32(
      [1, 4],
      [0.1, 0.2, 0.4, 0.05].map((v) => v * scale),
    ),
  };
  const q = node("QuantizeLinear", ["x", "s", "z"], ["q"]);
  const made =
    steps === "quantised"
      ? [q, node("DequantizeLinear", ["q", "s", "z"], ["d"]), node("Mul", ["d", "k"], ["y"])]
      : [q, node("Cast", ["q"], ["f"], { to: FLOAT }), node("Sub", ["f", "n"], ["d"]), node("Mul", ["d", "t"], ["y"])];
  return net(x, made, c);
};

judge(
  "codes that are made real numbers by arithmetic",
  { "the same scale and zero point": [spelled("quantised", 1, 3), spelled("arithmetic", 1, 3)] },
  {
    "another scale": [spelled("quantised", 1, 3), spelled("arithmetic", 2, 3)],
    "another zero point": [spelled("quantised", 1, 3), spelled("arithmetic", 1, 2)],
  },
);

const offset = (by: number, z: TensorSpec) =>
  net(
    x,
    [
      node("Add", ["x", "c"], ["a"]),
      node("QuantizeLinear", ["a", "s", "z"], ["q"]),
      node("DequantizeLinear", ["q", "s", "z"], ["d"]),
      node("Relu", ["d"], ["y"]),
    ],
    { s, z, c: float32([1, 4], [0.01, 0.02, by, 0.04]) },
  );

judge(
  "what is added in front of the rounding",
  { "the same, as codes without a sign": [offset(0.03, int8([], [0])), offset(0.03, uint8([], [128]))] },
  {
    "more, by less than a step": [offset(0.03, uint8([], [128])), offset(0.12, uint8([], [128]))],
    "more, at an odd zero point": [offset(0.03, int8([], [-3])), offset(0.12, int8([], [-3]))],
    "more, by a few steps": [offset(0.03, int8([], [0])), offset(0.33, int8([], [0]))],
  },
);
