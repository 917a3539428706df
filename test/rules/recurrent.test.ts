import { describe, expect, it } from "vitest";
import { f, float32, type ModelSpec, node } from "../helpers/build.ts";
import { batchNorm, check, floats, operators, whole } from "./check.ts";

const GATES = { LSTM: 4, GRU: 3, RNN: 1 } as const;

/** x [N, 5, L] → batch normalization → Transpose → recurrent layer with 3 hidden units. */
function net(
  op: keyof typeof GATES,
  more: { bias?: boolean; layout?: number; directions?: number; attributes?: Record<string, number> } = {},
): ModelSpec {
  const { bias = true, layout = 0, directions = 1 } = more;
  const rows = GATES[op] * 3;
  const bn = batchNorm("x", "n", 5);
  return {
    nodes: [
      bn.node,
      node("Transpose", ["n"], ["t"], { perm: layout === 0 ? [2, 0, 1] : [0, 2, 1] }),
      node(op, bias ? ["t", "w", "r", "b"] : ["t", "w", "r"], ["y"], {
        hidden_size: 3,
        ...(layout === 0 ? {} : { layout }),
        ...(directions === 2 ? { direction: "bidirectional" } : {}),
        ...more.attributes,
      }),
    ],
    initializers: {
      ...bn.initializers,
      w: whole([directions, rows, 5]),
      r: whole([directions, rows, 3], 3),
      ...(bias ? { b: whole([directions, 2 * rows], 5) } : {}),
    },
    inputs: [floats("x", [2, 5, 4])],
    outputs: [floats("y")],
  };
}

describe("recurrent layers take an affine map of their features", () => {
  for (const op of ["LSTM", "GRU", "RNN"] as const) {
    it(`${op}, with and without bias, both directions`, () => {
      for (const bias of [true, false]) {
        for (const directions of [1, 2]) {
          const done = check(net(op, { bias, directions }), { folds: 1, tolerance: 1e-12 });
          expect(operators(done)).toEqual(["Transpose", op]);
        }
      }
    });
  }

  it("layout 1, and GRU with linear_before_reset", () => {
    check(net("LSTM", { layout: 1 }), { folds: 1, tolerance: 1e-12 });
    check(net("GRU", { attributes: { linear_before_reset: 1 } }), { folds: 1, tolerance: 1e-12 });
  });

  it("clipped arguments: the argument as a whole does not change", () => {
    const spec = net("LSTM");
    const layer = spec.nodes[2];
    check(
      { ...spec, nodes: [...spec.nodes.slice(0, 2), { ...layer, attributes: { ...layer.attributes, clip: f(2) } }] },
      { folds: 1, tolerance: 1e-12 },
    );
  });

  it("not along the sequence, even of as many steps as features", () => {
    const spec = net("LSTM");
    const straight = {
      ...spec,
      nodes: spec.nodes.map((n) => (n.op === "Transpose" ? node("Transpose", ["n"], ["t"], { perm: [1, 0, 2] }) : n)),
      inputs: [floats("x", [2, 5, 5])],
    };
    check(straight, { folds: 0, refused: "axis-blocks" });
  });

  it("not from the states' side: a map after the layer stays", () => {
    const spec = net("LSTM");
    check(
      {
        nodes: [node("LSTM", ["x", "w", "r", "b"], ["y"], { hidden_size: 3 }), node("Mul", ["y", "g"], ["z"])],
        initializers: {
          w: spec.initializers?.w as never,
          r: spec.initializers?.r as never,
          b: spec.initializers?.b as never,
          g: float32([3], [2, 4, 8]),
        },
        inputs: [floats("x", [4, 2, 5])],
        outputs: [floats("z")],
      },
      { folds: 0 },
    );
  });

  it("a weight that other layers share is copied", () => {
    const spec = net("RNN");
    const bn = batchNorm("x", "n", 5);
    const two: ModelSpec = {
      ...spec,
      nodes: [...spec.nodes, node("RNN", ["raw", "w", "r", "b"], ["y2"], { hidden_size: 3 })],
      initializers: { ...spec.initializers, ...bn.initializers },
      inputs: [...(spec.inputs ?? []), floats("raw", [4, 2, 5])],
      outputs: [...spec.outputs, floats("y2")],
    };
    check(two, { folds: 1, tolerance: 1e-12 });
  });
});

describe("a recurrent layer whose bias is computed", () => {
  it.each(["LSTM", "GRU", "RNN"] as const)("%s takes no shift", (op) => {
    const spec = net(op);
    const { b, ...initializers } = spec.initializers ?? {};
    const fed = { ...spec, initializers, inputs: [...(spec.inputs ?? []), floats("b", b.dims)] };
    check(fed, { folds: 0, because: /forward, \w+ "y" reads "b", which callers feed/, tolerance: 1e-12 });
  });
});
