import { float32, node } from "../../helpers/build.ts";
import { judge, net, type Pair } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 4] }];
const bounds = (lows: number[]) => ({ low: float32([lows.length === 1 ? 1 : 4], lows), c: float32([], [lows[0]]) });
const relu = node("Relu", ["x"], ["r"]);
/** A lower bound, with a Relu in front or without. */
const bounded = (op: "Clip" | "Max", lows: number[]): Pair => {
  const by = (from: string) => node(op, [from, op === "Clip" ? "c" : "low"], ["y"]);
  return [net(x, [relu, by("r")], bounds(lows), { opset: 13 }), net(x, [by("x")], bounds(lows), { opset: 13 })];
};
const turned = ([a, b]: Pair): Pair => [b, a];

judge(
  "a Relu in front of a bound",
  {
    "a Clip above zero": bounded("Clip", [0.5]),
    "a Clip at zero": turned(bounded("Clip", [0])),
    "a Max": bounded("Max", [0.5, 0, 2, 1]),
    "a Max on the left": [
      net(x, [relu, node("Max", ["low", "r"], ["y"])], bounds([0.25]), { opset: 13 }),
      bounded("Max", [0.25])[1],
    ],
    "two of them": [
      net(x, [relu, node("Relu", ["r"], ["s"]), node("Clip", ["s", "c"], ["y"])], bounds([0.5]), { opset: 13 }),
      bounded("Clip", [0.5])[1],
    ],
  },
  {
    "a Clip below zero": bounded("Clip", [-0.5]),
    "a Max below zero in one place": bounded("Max", [0.5, -0.5, 2, 1]),
    "a Min": [
      net(x, [relu, node("Min", ["r", "c"], ["y"])], bounds([0.5]), { opset: 13 }),
      net(x, [node("Min", ["x", "c"], ["y"])], bounds([0.5]), { opset: 13 }),
    ],
  },
);
