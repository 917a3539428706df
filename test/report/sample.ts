/** A report with every optional field present somewhere, for tests of its shape and its text. */
import type { Fold, Kept, NodeRef, PlanData } from "../../src/fold/types.ts";
import type { ModelFacts, OutputFacts, ReportParts } from "../../src/report/report.ts";
import type { Verdict } from "../../src/verify/types.ts";

export const sha = (digit: string): string => digit.repeat(64);

const at = (opType: string, name: string, index: number, scope = ""): NodeRef => ({
  scope,
  index,
  opType,
  name,
  output: `${name || opType}_out`,
});

const fold = (id: number, kind: Fold["kind"], from: NodeRef, to: NodeRef, through: NodeRef[] = []): Fold => ({
  id,
  node: from,
  kind,
  direction: "backward",
  through,
  into: [
    {
      node: to,
      tensors: [
        { from: `${to.name}.weight`, to: `${to.name}.weight_folded`, dtype: "float32", dims: [8, 3, 3, 3] },
        { from: "", to: `${to.name}.bias`, dtype: "float32", dims: [8] },
      ],
    },
  ],
  scaleRange: [0.25, 1.75],
  shiftRange: [-1, 2],
  bitsLost: 0,
  notes: id === 0 ? ["2 channels have variance 0"] : [],
});

const kept: Kept = {
  node: at("BatchNormalization", "bn3", 7),
  kind: "batch-normalization",
  code: "other-reader",
  blocker: at("Add", "skip", 8),
  value: "conv3_out",
  facts: { readers: 2, value: "conv3_out", static: true, dims: [1, 8] },
  message: 'The value "conv3_out" is also read by Add "skip".',
};

export const plan: PlanData = {
  folds: [
    fold(0, "batch-normalization", at("BatchNormalization", "bn1", 1), at("Conv", "conv1", 0)),
    fold(1, "affine", at("Mul", "", 4), at("Conv", "conv2", 2), [at("Identity", "same", 3)]),
  ],
  kept: [kept],
  merges: [
    {
      id: 1,
      nodes: [at("Conv", "a", 0), at("Conv", "b", 1), at("Add", "sum", 2)],
      into: at("Conv", "a", 0),
      multiplyAdds: [90, 72],
      parameters: [100, 80],
    },
  ],
  unmerged: [
    { nodes: [at("Conv", "deep", 5), at("Conv", "wise", 6)], reason: "one convolution would cost more", multiplyAdds: [20, 400] },
  ],
  inlined: [{ function: "local:ConvBN", calls: ["block", "If_0/then_branch/block"], dropped: true }],
  before: {
    nodes: 9,
    batchNormalizations: 2,
    affines: 1,
    operators: { Add: 1, BatchNormalization: 2, Conv: 3, Identity: 1, Mul: 1, Relu: 1 },
  },
  after: {
    nodes: 7,
    batchNormalizations: 1,
    affines: 0,
    operators: { Add: 1, BatchNormalization: 1, Conv: 3, Identity: 1, Relu: 1 },
  },
};

export const input: ModelFacts = {
  file: "model.onnx",
  bytes: 1_234_567,
  sha256: sha("a"),
  sideFiles: [{ file: "model.data", bytes: 3_000_000, sha256: null, usedBytes: 3_000_000 }],
  totalBytes: 4_234_567,
  irVersion: 9,
  opsets: { "ai.onnx": 17, "com.example": 1 },
  producer: { name: "pytorch", version: "2.9" },
};

export const output: OutputFacts = {
  file: "folded.onnx",
  bytes: 1_200_000,
  sha256: sha("b"),
  sideFiles: [{ file: "folded.data", bytes: 10, sha256: sha("c"), usedBytes: 10 }],
  totalBytes: 1_200_010,
};

export const good: Verdict = {
  outcome: "equivalent",
  summary: "Equivalent: proven on the constants. Proof: all 1 place computes the same. Run: equal on 1 input.",
  proof: {
    outcome: "equal",
    identicalNodes: 5,
    regions: [{ outcome: "equal", nodes: ["conv1"], value: "bn1_out", worstHalfUlps: 0.998, coefficients: 224 }],
  },
  run: {
    outcome: "equal",
    samples: [
      {
        kind: "normal",
        seed: 1,
        ok: true,
        outputs: [
          {
            name: "y",
            dtype: "float32",
            dims: [1, 8],
            maxDifference: 1e-7,
            rmsDifference: 3e-8,
            rounding: 3e-8,
            ratio: 1,
            rms: 0.5,
            storageErrorBefore: 1e-7,
            storageErrorAfter: 2e-7,
            nonFinite: 0,
            ok: true,
          },
        ],
      },
    ],
  },
};

export const bad: Verdict = {
  outcome: "different",
  summary: "Different: one coefficient is off.",
  proof: {
    outcome: "different",
    identicalNodes: 5,
    regions: [
      {
        outcome: "different",
        nodes: ["conv1"],
        value: "bn1_out",
        worstHalfUlps: Number.POSITIVE_INFINITY,
        coefficients: 224,
        reason: "a weight is off",
        at: { tensor: "conv1.weight", index: [0, 1, 2, 0], expected: 0.5, got: 0.75 },
      },
    ],
  },
  run: {
    outcome: "different",
    reason: "only the first output could be compared",
    samples: [
      {
        kind: "border",
        seed: 1,
        ok: false,
        outputs: [
          {
            name: "y",
            dtype: "float32",
            dims: [1, 8],
            maxDifference: 0.25,
            rmsDifference: 0.1,
            rounding: 0,
            ratio: Number.POSITIVE_INFINITY,
            rms: Number.NaN,
            nonFinite: 1,
            ok: false,
          },
        ],
      },
    ],
    firstDifference: { value: "bn1_out", node: 'Conv "conv1"', channel: undefined, maxDifference: 0.25 },
  },
};

export const parts: ReportParts = {
  input,
  output,
  plan,
  verdict: good,
  timings: { readMs: 1, planMs: 2.5, proofMs: 3, runMs: 1400, writeMs: 5 },
  peakMemoryBytes: 87_654_321,
};
