/** Recurrent operators step by step; and cells that read other gates, states or steps. */
import { float32, int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, series } from "./pairs.ts";

const [INPUTS, HIDDEN, STEPS] = [3, 2, 2];
const small = (count: number, step: number) => series(count, step).map((v) => v / 4);
const rows = (values: number[], width: number, from: number, to: number) => values.slice(from * width, to * width);

/** RNN of two steps, as the operator and by Gemms. */
const W = small(HIDDEN * INPUTS, 7);
const R = small(HIDDEN * HIDDEN, 5);
const B = small(2 * HIDDEN, 3);
const x = [{ name: "x", dims: [STEPS, 2, INPUTS] }];
const line = (nodes: NodeSpec[], more: Record<string, TensorSpec>) => net(x, nodes, more, { opsets: { "": 17 } });
const told = (attributes: NodeSpec["attributes"]) =>
  line([node("RNN", ["x", "w", "r", "b"], ["", "y"], { hidden_size: HIDDEN, ...attributes })], {
    w: float32([1, HIDDEN, INPUTS], W),
    r: float32([1, HIDDEN, HIDDEN], R),
    b: float32([1, 2 * HIDDEN], B),
  });
const activations = (name: string): NodeSpec["attributes"] => ({ activations: { kind: "strings", value: [name] } });
const operator = told({});
const steps = (order: [number, number], act = "Tanh") =>
  line(
    [
      ...order.flatMap((at, t): NodeSpec[] => [
        node("Gather", ["x", `t${at}`], [`x${t}`], { axis: 0 }),
        node("Gemm", [`x${t}`, "w", "wb"], [`p${t}`], { transB: 1 }),
        node("Gemm", [t === 0 ? "zeros" : `h${t - 1}`, "r", "rb"], [`q${t}`], { transB: 1 }),
        node("Add", [`p${t}`, `q${t}`], [`s${t}`]),
        node(act, [`s${t}`], [`h${t}`]),
      ]),
      node("Unsqueeze", ["h1", "first"], ["y"]),
    ],
    {
      ...{ t0: int64([], [0]), t1: int64([], [1]), first: int64([1], [0]), zeros: float32([2, HIDDEN], [0, 0, 0, 0]) },
      ...{ w: float32([HIDDEN, INPUTS], W), r: float32([HIDDEN, HIDDEN], R) },
      ...{ wb: float32([HIDDEN], B.slice(0, HIDDEN)), rb: float32([HIDDEN], B.slice(HIDDEN)) },
    },
  );

/** One step of an LSTM: all gates at once, cut apart in an order. */
const [LW, LR, LB] = [small(4 * HIDDEN * INPUTS, 7), small(4 * HIDDEN * HIDDEN, 5), small(8 * HIDDEN, 3)];
const states = [
  { name: "h", dims: [1, 2, HIDDEN] },
  { name: "c", dims: [1, 2, HIDDEN] },
];
const once = (nodes: NodeSpec[], more: Record<string, TensorSpec>) =>
  net([{ name: "x", dims: [1, 2, INPUTS] }, ...states], nodes, more, { opsets: { "": 17 } });
const lstm = (attributes: NodeSpec["attributes"] = {}) =>
  once([node("LSTM", ["x", "w", "r", "b", "", "h", "c"], ["", "y"], { hidden_size: HIDDEN, ...attributes })], {
    w: float32([1, 4 * HIDDEN, INPUTS], LW),
    r: float32([1, 4 * HIDDEN, HIDDEN], LR),
    b: float32([1, 8 * HIDDEN], LB),
  });
const cell = (gates: string[]) =>
  once(
    [
      ...["x", "h", "c"].map((name) => node("Squeeze", [name, "first"], [`${name}0`])),
      node("Gemm", ["x0", "w", "wb"], ["p"], { transB: 1 }),
      node("Gemm", ["h0", "r", "rb"], ["q"], { transB: 1 }),
      node("Add", ["p", "q"], ["s"]),
      node("Split", ["s"], gates, { axis: 1 }),
      ...["i", "o", "f"].map((gate) => node("Sigmoid", [gate], [`${gate}s`])),
      node("Tanh", ["g"], ["gs"]),
      ...[node("Mul", ["fs", "c0"], ["k"]), node("Mul", ["is", "gs"], ["n"]), node("Add", ["k", "n"], ["d"])],
      ...[node("Tanh", ["d"], ["e"]), node("Mul", ["os", "e"], ["z"]), node("Unsqueeze", ["z", "first"], ["y"])],
    ],
    {
      first: int64([1], [0]),
      ...{ w: float32([4 * HIDDEN, INPUTS], LW), r: float32([4 * HIDDEN, HIDDEN], LR) },
      ...{ wb: float32([4 * HIDDEN], rows(LB, HIDDEN, 0, 4)), rb: float32([4 * HIDDEN], rows(LB, HIDDEN, 4, 8)) },
    },
  );

judge(
  "recurrent operators",
  {
    "two steps": [operator, steps([0, 1])],
    "two steps of the usual curve": [told(activations("Tanh")), steps([0, 1])],
    "one step of an LSTM": [lstm(), cell(["i", "o", "f", "g"])],
  },
  {
    "the other step first": [operator, steps([1, 0])],
    "told to bend otherwise": [told(activations("Relu")), steps([0, 1])],
    "bent otherwise": [operator, steps([0, 1], "Sigmoid")],
    "gates in another order": [lstm(), cell(["i", "f", "o", "g"])],
    "a gate that depends on another": [lstm({ input_forget: 1 }), cell(["i", "o", "f", "g"])],
  },
);
