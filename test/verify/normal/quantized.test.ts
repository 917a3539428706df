import { float32, int8, node, type TensorSpec, uint8 } from "../../helpers/build.ts";
import { judge, net } from "./pairs.ts";

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
