/** The closed table of reasons for keeping a node: code → title and advice. Each has a page in docs/reasons/. */

export type Says =
  /** Only "nothing here": the reason of the other direction is more useful. */
  | "vague"
  /** What exactly blocks. */
  | "concrete"
  /** Something of a function's inputs and outputs: writing out its calls may overcome it. */
  | "boundary"
  /** That the map does not pass, and not only that too little is known. */
  | "impassable"
  /** Nothing of whether a map passes. */
  | "open";

/** Why a node stays as it is: an entry of `REASONS`. */
export interface Reason {
  readonly title: string;
  /** What a person can do about it. */
  readonly advice: string;
  readonly says?: readonly Says[];
}

/** Every reason for keeping a node, by its code. `kept` of a plan or a report gives codes; `docs/reasons/<code>.md` tells more of each. */
export const REASONS = {
  "training-mode": {
    title: "The node computes batch statistics",
    advice: "Export in evaluation mode, or run `bnfold freeze` to switch the file to inference semantics.",
  },
  "extra-outputs-used": {
    title: "Other outputs of the node are read",
    advice: "Remove the readers of the running statistics, then fold.",
  },
  "not-channelwise": {
    title: "The neighbour has parameters for each activation, not for each channel",
    advice: "Nothing to do: the neighbour normalizes with spatial=0.",
  },
  "parameter-not-constant": {
    title: "A parameter is computed at run time",
    advice: "Make the parameter an initializer, if it is the same in every run.",
    says: ["boundary"],
  },
  "parameter-is-input": {
    title: "A parameter is an initializer that is also a graph input",
    advice: "Pass --assume-constant if no caller overrides it.",
    says: ["concrete"],
  },
  "parameter-not-finite": {
    title: "A parameter is NaN or infinite, or variance + epsilon is not positive",
    advice: "The trained statistics are broken: recalibrate or retrain this layer.",
  },
  "parameter-shape": {
    title: "A parameter's shape or type does not fit the channels",
    advice: "The file is inconsistent here; export it again.",
  },
  "shape-unknown": {
    title: "A rank or size needed to be sure of the channel axis is unknown",
    advice: "Run ONNX shape inference on the file, or export with static shapes.",
    says: ["boundary", "open"],
  },
  "broadcast-grows": {
    title: "The constant broadcasts the tensor to a larger shape",
    advice: "Nothing to do: removing the node would change the shape.",
  },
  "call-stays": {
    title: "The node is in a function whose calls cannot be written out",
    advice: "Export or convert the model and its functions to one operator set version, or inline the functions first.",
  },
  "is-graph-output": {
    title: "The value that would change is a graph output",
    advice: "Remove the output if nobody needs it.",
    says: ["vague", "boundary"],
  },
  "other-reader": {
    title: "The value that would change has another reader",
    advice: "None of its other readers was found to make up for the change. Before a Relu, --relu-to-max may let it go forward.",
    says: ["vague", "impassable"],
  },
  "captured-by-subgraph": {
    title: "The value that would change is read inside a subgraph",
    advice: "Nothing to do: the body needs the unscaled value.",
  },
  "is-graph-input": {
    title: "The way ends at a graph input",
    advice: "Nothing to do: there is no producer to absorb it.",
    says: ["vague", "boundary"],
  },
  "operator-blocks": {
    title: "An operator on the way neither absorbs nor passes the map",
    advice: "Nothing to do: it is not linear, or not in what the map is on.",
    says: ["vague", "boundary"],
  },
  "sign-blocks": {
    title: "A gain is zero or negative where only positive gains pass",
    advice: "Nothing to do: the operator does not commute with that sign.",
    says: ["concrete", "impassable"],
  },
  "shift-blocks": {
    title: "The shift cannot pass the operator",
    advice: "Nothing to do: only a gain passes it.",
    says: ["vague", "impassable"],
  },
  "axis-blocks": {
    title: "The map lies on other axes than the weight's channels",
    advice: "Nothing to do if the axes are as meant: equal lengths are not equal axes.",
    says: ["concrete"],
  },
  "padding-blocks": {
    title: "Zero padding would see a different border value",
    advice: "Export the convolution without padding, or with an explicit Pad.",
    says: ["concrete", "impassable"],
  },
  "weight-not-constant": {
    title: "The weight or bias of the neighbour is not constant",
    advice: "Make it an initializer, if it is the same in every run.",
    says: ["concrete", "boundary"],
  },
  "needs-new-node": {
    title: "Absorbing it would leave as many nodes as before",
    advice: "Pass --partial to allow it.",
    says: ["concrete"],
  },
  "storage-overflow": {
    title: "A folded constant does not fit its storage type",
    advice: "Convert the layer to float32 first, then fold.",
    says: ["concrete", "open"],
  },
  "storage-precision": {
    title: "A folded constant cannot be stored to the precision of its type",
    advice: "Convert the layer to float32 first, then fold.",
    says: ["concrete", "open"],
  },
  "precision-loss": {
    title: "Folding it would cost more bits of precision than are allowed",
    advice: "Pass --max-bits-lost with the number of bits it names to fold it anyway.",
    says: ["concrete"],
  },
  "would-grow": {
    title: "Folding it would make the file larger than it was, and it is no normalization",
    advice: "Pass --max-growth with the bytes it names (or a part of the file, as 10%) to fold it anyway.",
  },
  quantized: {
    title: "The neighbour is quantised",
    advice: "Fold before quantising. With --partial a shift that no zero point takes stays as an Add.",
    says: ["concrete"],
  },
  "not-proven": {
    title: "The fold was planned, but the check could not show it right",
    advice: "Nothing to do: the node is left as it was. Please report the model, so that the proof can learn it.",
  },
  "excluded-by-user": {
    title: "Excluded by --only, --skip or --no-… options",
    advice: "Change the pattern to include it.",
  },
  "malformed-graph": {
    title: "The graph is inconsistent around the node",
    advice: "Run ONNX's checker on the file.",
    says: ["open"],
  },
} as const satisfies Record<string, Reason>;

/** The code of a reason: a key of `REASONS`. */
export type RefusalCode = keyof typeof REASONS;

/** What can be done about a node that stays: what was found for this one, else what its reason says of all. */
export const adviceFor = ({ code, advice }: { readonly code: RefusalCode; readonly advice?: string }): string =>
  advice ?? REASONS[code]?.advice ?? "";

/** True of a reason that says one of these things. */
export function says(code: RefusalCode, ...what: readonly Says[]): boolean {
  const { says: said = [] }: Reason = REASONS[code];
  return said.some((one) => what.includes(one));
}
