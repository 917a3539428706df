/**
 * Shapes of transforms of signals, of windows and of affine grids.
 * ONNX DFT 17 and 20, STFT 17, HannWindow, HammingWindow, BlackmanWindow and MelWeightMatrix 17, AffineGrid 20.
 */
import { intAttr } from "./attributes.ts";
import { type Dim, derived } from "./dims.ts";
import { type Infer, norm, withShape } from "./inference.ts";

const half = (n: Dim): Dim => derived("half", [n], (v) => Math.floor(v / 2) + 1);

/** The last axis holds real and imaginary parts; along the transformed one there are as many bins as places, or half of them. */
export const dft: Infer = (at) => {
  const [x] = at.shapes;
  const { record, version, inputs } = at.node;
  if (x === undefined) return undefined;
  const [inverse, onesided] = ["inverse", "onesided"].map((name) => intAttr(record, name, 0) !== 0);
  const given = inputs[2] === undefined ? -2 : at.facts.numbers(inputs[2])?.[0];
  const axis = version < 20 ? intAttr(record, "axis", 1) : given;
  const parts = inverse && onesided ? 1 : 2;
  if (axis === undefined) return withShape(at, [...x.slice(0, -1).map(at.unknown), parts]);
  const k = norm(axis, x.length);
  const whole = inverse && onesided ? derived("whole", [x[k]], (n) => 2 * (n - 1)) : x[k];
  const n = inputs[1] === undefined ? whole : (at.facts.elements(inputs[1])?.[0] ?? at.unknown());
  const bins = onesided && !inverse ? half(n) : n;
  return withShape(
    at,
    x.map((d, i) => (i === x.length - 1 ? parts : i === k ? bins : d)),
  );
};

export const stft: Infer = (at) => {
  const [x, , window] = at.shapes;
  const { inputs, record } = at.node;
  const [hop, length] = [at.facts.numbers(inputs[1])?.[0], at.facts.elements(inputs[3])?.[0]];
  const samples = x?.[1] ?? at.unknown();
  const own = inputs[2] === undefined ? samples : (window?.[0] ?? at.unknown());
  const size = inputs[3] === undefined ? own : (length ?? at.unknown());
  const frames =
    hop === undefined ? at.unknown() : derived(`frames${hop}`, [samples, size], (n, k) => 1 + Math.floor((n - k) / hop));
  return withShape(at, [x?.[0] ?? at.unknown(), frames, intAttr(record, "onesided", 1) === 0 ? size : half(size), 2]);
};

const FLOAT = 1;

export const window: Infer = ({ node, facts, unknown }) => [
  { dtype: intAttr(node.record, "output_datatype", FLOAT), shape: [facts.elements(node.inputs[0])?.[0] ?? unknown()] },
];

export const melWeights: Infer = ({ node, facts, unknown }) => {
  const [bins, length] = node.inputs.map((value) => facts.elements(value)?.[0] ?? unknown());
  return [{ dtype: intAttr(node.record, "output_datatype", FLOAT), shape: [half(length), bins] }];
};

/** [N, C, D1…Dk] asks for N × D1 × … × Dk places of k coordinates. */
export const affineGrid: Infer = (at) => {
  const size = at.node.inputs[1];
  const rank = at.facts.size(size, 0);
  if (rank === undefined) return undefined;
  const dims = Array.from({ length: rank }, (_, i) => at.facts.elements(size)?.[i] ?? at.unknown());
  return withShape(at, [dims[0], ...dims.slice(2), rank - 2]);
};
