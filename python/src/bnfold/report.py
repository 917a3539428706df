"""What bnfold reports, as data. Made by scripts/make_types.py from the schema of the JSON reports; edit that, not this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional, Union



Range = tuple[float, float]


@dataclass(frozen=True)
class Tool:
    name: Literal["bnfold"]
    version: str


@dataclass(frozen=True)
class SideFile:
    file: str
    """As the caller named it."""
    bytes: int
    sha256: Union[str, None]
    """null where nobody asked."""
    used_bytes: Optional[int] = None
    """Bytes of it that tensors of the model refer to."""


@dataclass(frozen=True)
class ModelProducer:
    name: str
    version: str


@dataclass(frozen=True)
class ModelTraining:
    """Nodes in training mode; absent when there are none."""
    batch_normalization: int
    dropout: int


@dataclass(frozen=True)
class Model:
    file: str
    """As the caller named it."""
    bytes: int
    sha256: Union[str, None]
    """null where nobody asked."""
    ir_version: int
    opsets: dict[str, int]
    """Version per domain."""
    producer: ModelProducer
    side_files: Optional[tuple[SideFile, ...]] = None
    """Files with external tensor data that belong to the model."""
    total_bytes: Optional[int] = None
    """Bytes of the model and its side files together: what it takes to load it."""
    missing: Optional[tuple[str, ...]] = None
    """Locations of side files that are not there; absent when all are."""
    training: Optional[ModelTraining] = None
    """Nodes in training mode; absent when there are none."""


@dataclass(frozen=True)
class Output:
    file: str
    """As the caller named it."""
    bytes: int
    sha256: Union[str, None]
    """null where nobody asked."""
    side_files: tuple[SideFile, ...]
    """Files with external tensor data that belong to the output."""
    total_bytes: Optional[int] = None
    """Bytes of the model and its side files together: what it takes to load it."""
    missing: Optional[tuple[str, ...]] = None
    """Locations of side files that are not there; absent when all are."""


@dataclass(frozen=True)
class NodeCounts:
    """before = folded + kept."""
    before: int
    folded: int
    kept: int


Operators = dict[str, int]


Kind = Literal["batch-normalization", "affine", "norm", "weight"]


@dataclass(frozen=True)
class Node:
    scope: str
    """ "" for the main graph, else the path of graphs or functions the node lies in."""
    index: int
    """Position in its graph's node list."""
    op_type: str
    name: str
    """May be empty."""
    output: str
    """First output."""


@dataclass(frozen=True)
class TensorChange:
    from_: str
    """Old tensor; empty when the operator had none."""
    to: str
    dtype: str
    dims: tuple[int, ...]
    copied: Optional[int] = None
    """Bytes of the new constant, where others still read the old one; absent where nobody does."""


@dataclass(frozen=True)
class FoldIntoItem:
    node: Node
    tensors: tuple[TensorChange, ...]


@dataclass(frozen=True)
class Fold:
    """One node removed, and the operators that took its scale and shift."""
    id: int
    node: Node
    kind: Kind
    direction: Literal["backward", "forward", "both", "merged", "evaluated"]
    through: tuple[Node, ...]
    """Operators crossed unchanged on the way."""
    into: tuple[FoldIntoItem, ...]
    scale_range: Range
    """Smallest and largest gain over channels."""
    shift_range: Range
    """Smallest and largest shift over channels."""
    bits_lost: float
    """Bits of the file's own precision that the fold can cost, estimated from constants; 0 where it costs none."""
    notes: tuple[str, ...]


RefusalCode = Literal[
    "training-mode", "extra-outputs-used", "not-channelwise", "parameter-not-constant", "parameter-is-input",
    "parameter-not-finite", "parameter-shape", "shape-unknown", "broadcast-grows", "call-stays", "is-graph-output",
    "other-reader", "captured-by-subgraph", "is-graph-input", "operator-blocks", "sign-blocks", "shift-blocks",
    "axis-blocks", "padding-blocks", "weight-not-constant", "needs-new-node", "storage-overflow", "storage-precision",
    "precision-loss", "would-grow", "quantized", "excluded-by-user", "not-proven", "malformed-graph"
]


@dataclass(frozen=True)
class Kept:
    """One node that stays, with the reason."""
    node: Node
    kind: Kind
    code: RefusalCode
    facts: dict[str, Union[str, float, bool, tuple[float, ...]]]
    message: str
    """One sentence a person can act on."""
    blocker: Optional[Node] = None
    """The node that blocks, when it is another one."""
    value: Optional[str] = None
    """The value at which the way ends."""
    advice: Optional[str] = None
    """What can be done about it, where that is not what the reason says of all its nodes."""


BeforeAfter = tuple[float, float]


@dataclass(frozen=True)
class Merge:
    """A region linear in one tensor that became one convolution."""
    id: int
    nodes: tuple[Node, ...]
    into: Node
    multiply_adds: BeforeAfter
    parameters: BeforeAfter


@dataclass(frozen=True)
class Inlined:
    """A model-local function whose calls were written out, because a fold needs what they give it."""
    function: str
    """domain:name, with :overload where it has one."""
    calls: tuple[str, ...]
    """Paths of the calls: graphs, functions and calls they lie in, and their own name."""
    dropped: bool
    """True when nothing calls it any more, so that it is not in the output."""


@dataclass(frozen=True)
class EqualizedValue:
    """Values that were scaled together."""
    values: tuple[str, ...]
    channels: int
    moved: int
    """Channels whose exponent is not 0."""
    exponents: Range
    """Smallest and largest e of old = 2^e times new."""
    clips: int
    """Clip operators that got a bound for each channel."""


@dataclass(frozen=True)
class EqualizedWeight:
    """A weight that can be equalised, whether it changed or not."""
    node: Node
    tensor: str
    dims: tuple[int, ...]
    changed: bool
    snr: Range
    """Signal over noise of int8 with one scale, before and after."""
    snr_per_channel: Range
    """The same with a scale for each output channel."""
    ranges: tuple[tuple[float, ...], tuple[float, ...]]
    """Largest number of each output channel, before and after."""


@dataclass(frozen=True)
class Equalized:
    """Channels between layers scaled by powers of two, and what quantisation to int8 makes of the weights; ratios are 
    decibels.
    """
    snr: Range
    """Signal over noise before and after, the noise of all weights (and measured values) added up."""
    activations: int
    """Values whose measured ranges counted."""
    moved: tuple[EqualizedValue, ...]
    left: int
    """Sets of values that were looked at and left as they are."""
    weights: tuple[EqualizedWeight, ...]


@dataclass(frozen=True)
class Unmerged:
    """A linear region left as it is, because one convolution would cost more."""
    nodes: tuple[Node, ...]
    reason: str
    multiply_adds: BeforeAfter


@dataclass(frozen=True)
class RegionProofAt:
    """Where the worst or first wrong coefficient stands."""
    tensor: str
    index: tuple[int, ...]
    expected: float
    got: float


@dataclass(frozen=True)
class RegionProof:
    outcome: Literal["equal", "different", "not-decided"]
    nodes: tuple[str, ...]
    value: str
    worst_half_ulps: float
    """Worst coefficient error, in half units in the last place of the storage type."""
    coefficients: int
    reason: Optional[str] = None
    hidden: Optional[bool] = None
    """True of a place that is not decided where an operator has other numbers than its counterpart for certain, and no
     input tried shows what comes of it.
    """
    at: Optional[RegionProofAt] = None
    """Where the worst or first wrong coefficient stands."""


@dataclass(frozen=True)
class Proof:
    outcome: Literal["equal", "different", "not-decided"]
    regions: tuple[RegionProof, ...]
    identical_nodes: int


@dataclass(frozen=True)
class OutputComparison:
    name: str
    dtype: str
    dims: tuple[int, ...]
    max_difference: float
    rms_difference: float
    rounding: float
    """Root-mean-square change that rounding the folded constants alone must make."""
    ratio: float
    """rmsDifference / rounding; at most 3 passes."""
    rms: float
    non_finite: int
    ok: bool
    storage_error_before: Optional[float] = None
    """Distance of the original, run in its storage types, from its float64 run: information."""
    storage_error_after: Optional[float] = None
    """The same for the folded model."""


@dataclass(frozen=True)
class Sample:
    kind: str
    """How the input was made, or the file it came from."""
    seed: float
    outputs: tuple[OutputComparison, ...]
    ok: bool
    shapes: Optional[dict[str, tuple[int, ...]]] = None
    """Sizes of the inputs, those of open axes among them."""


@dataclass(frozen=True)
class RegionRun:
    value: str
    """The value of the folded model that the region computes."""
    operators: tuple[int, ...]
    """How many operators of the original and of the folded model it is made of."""
    sizes: tuple[str, ...]
    """Shapes of what it was given, such as 1×64×3×3."""
    inputs: tuple[str, ...]
    """Kinds of made-up numbers it was given; given: values the original computes."""
    max_difference: float
    rms_difference: float
    rounding: float
    """Root-mean-square change that rounding the folded constants of the region alone must make."""
    ratio: float
    ok: bool
    problem: Optional[str] = None
    """What does not agree, where it is no distance."""


@dataclass(frozen=True)
class RunFirstDifferenceAgreeingItem:
    value: str
    max_difference: float


@dataclass(frozen=True)
class RunFirstDifference:
    value: str
    node: str
    max_difference: float
    channel: Optional[int] = None
    scale: Optional[float] = None
    """Root mean square of the value in the first model."""
    sample: Optional[str] = None
    between: Optional[tuple[str, ...]] = None
    """Operators between the values that still agree and this one."""
    agreeing: Optional[tuple[RunFirstDifferenceAgreeingItem, ...]] = None


@dataclass(frozen=True)
class Run:
    outcome: Literal["equal", "different", "not-run"]
    samples: tuple[Sample, ...]
    """Runs of the whole models; none where only what differs was run (regions)."""
    limit: Optional[float] = None
    """Largest ratio that passes, where a whole proof found coefficients further off than 3 allows; 3 when absent."""
    regions: Optional[tuple[RegionRun, ...]] = None
    """Runs of the parts that differ, each on its own."""
    reason: Optional[str] = None
    first_difference: Optional[RunFirstDifference] = None


@dataclass(frozen=True)
class Verdict:
    outcome: Literal["equivalent", "different", "undecided", "not-checked"]
    summary: str
    """What was shown and what was not, in words."""
    proof: Optional[Proof] = None
    run: Optional[Run] = None


@dataclass(frozen=True)
class Distance:
    """Largest and root-mean-square distance."""
    max: float
    rms: float


@dataclass(frozen=True)
class RuntimeSamplesItemOutputsItem:
    name: str
    dtype: str
    difference: Distance
    """Between its results for the two models."""
    mismatches: int
    """Elements that differ and are no finite floats; or all, when shapes or types differ."""
    error_before: Distance
    """Of its result for the first model from that model's float64 run."""
    error_after: Distance
    """Of its result for the second model from the same."""


@dataclass(frozen=True)
class RuntimeSamplesItem:
    kind: str
    seed: int
    outputs: tuple[RuntimeSamplesItemOutputsItem, ...]


@dataclass(frozen=True)
class Runtime:
    """What another runtime made of both models: information, never part of the verdict."""
    name: Literal["onnxruntime"]
    version: str
    outcome: Literal["run", "not-run"]
    samples: tuple[RuntimeSamplesItem, ...]
    notes: tuple[str, ...]
    """What it could not do, in words."""


@dataclass(frozen=True)
class BisectionGuiltyItem:
    nodes: tuple[str, ...]
    operators: tuple[str, ...]
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class Bisection:
    """Whose numbers make the second file different."""
    outcome: Literal["found", "not-separated"]
    guilty: tuple[BisectionGuiltyItem, ...]
    """With the numbers of all of these replaced the files agree; with any one left, they do not."""
    suspected: int
    trials: int
    judged_by: Optional[Literal["run", "proof"]] = None
    reference: Optional[Literal["first file", "first file folded"]] = None
    reason: Optional[str] = None


@dataclass(frozen=True)
class Timings:
    read_ms: float
    plan_ms: float
    proof_ms: float
    run_ms: float
    write_ms: float


@dataclass(frozen=True)
class FoldReportOperators:
    before: Operators
    after: Operators


@dataclass(frozen=True)
class FoldReportFrozenItem:
    node: Node
    change: str
    dropped_outputs: tuple[str, ...]


@dataclass(frozen=True)
class FoldReportBitsMeasured:
    """What the costliest folds cost by a run in the file's own precision near the statistics; absent where nothing was
     measured.
    """
    bits: float
    value: str
    """The value of the folded file that loses most."""


@dataclass(frozen=True)
class Certificate:
    """What a certificate of minimality shows of a fold."""
    file: str
    candidates: int
    kept: int
    least: int


@dataclass(frozen=True)
class LayerChannels:
    """The channels of a BatchNormalization; of many channels the largest of neighbours."""
    node: Node
    channels: int
    gains: tuple[float, ...]
    producer: Optional[str] = None
    """The layer in front whose weight would take the gains."""
    before: Optional[tuple[float, ...]] = None
    """Largest weight of each channel of the layer in front."""
    after: Optional[tuple[float, ...]] = None
    """The same with the gain in it."""


@dataclass(frozen=True)
class AroundNode:
    op_type: str
    name: str
    layer: int
    """Edges away, negative in front."""


@dataclass(frozen=True)
class Neighbourhood:
    """A node that stays, and what is around it."""
    node: Node
    nodes: tuple[AroundNode, ...]
    edges: tuple[tuple[int, ...], ...]
    """Places in nodes, from and to."""


@dataclass(frozen=True)
class FoldReport:
    """Printed by bnfold fold --json and written by --report."""
    version: Literal[1]
    tool: Tool
    input: Model
    output: Union[Output, None]
    """null when nothing was written."""
    batch_normalization: NodeCounts
    affine: NodeCounts
    """Other constant affine operators: Mul, Add, Sub, Div, Neg."""
    operators: FoldReportOperators
    bits_lost: float
    """Bits of the file's own precision that the costliest fold can cost, estimated from constants."""
    folds: tuple[Fold, ...]
    kept: tuple[Kept, ...]
    merges: tuple[Merge, ...]
    unmerged: tuple[Unmerged, ...]
    verdict: Verdict
    timings: Timings
    peak_memory_bytes: int
    frozen: Optional[tuple[FoldReportFrozenItem, ...]] = None
    """With --freeze: nodes that were given inference semantics first; everything else is said of that model."""
    bits_measured: Optional[FoldReportBitsMeasured] = None
    """What the costliest folds cost by a run in the file's own precision near the statistics; absent where nothing was
     measured.
    """
    inlined: Optional[tuple[Inlined, ...]] = None
    equalized: Optional[Equalized] = None
    certificate: Optional[Certificate] = None
    runtime: Optional[Runtime] = None
    norm: Optional[NodeCounts] = None
    """With --norms: other normalizations with a gain or shift of their own; folded counts those that lost them."""
    weight: Optional[NodeCounts] = None
    """With --norms: weights that constants compute; folded counts those that are written out."""
    channels: Optional[tuple[LayerChannels, ...]] = None
    """Where a page is written as well."""
    around: Optional[tuple[Neighbourhood, ...]] = None
    """Where a page is written as well."""


@dataclass(frozen=True)
class VerifyReport:
    """Printed by bnfold verify --json."""
    version: Literal[1]
    tool: Tool
    a: Model
    b: Model
    verdict: Verdict
    verify_ms: float
    bisection: Optional[Bisection] = None
    runtime: Optional[Runtime] = None


@dataclass(frozen=True)
class ActionFold:
    action: Literal["fold"]
    direction: Literal["backward", "forward", "both", "merged", "evaluated"]
    into: tuple[Node, ...]


@dataclass(frozen=True)
class ActionKeep:
    action: Literal["keep"]
    code: RefusalCode
    message: str


Action = Union[ActionFold, ActionKeep]


@dataclass(frozen=True)
class BatchNormalizationFacts:
    node: Node
    mode: Literal["inference", "training"]
    epsilon: float
    momentum: float
    channels: Union[int, None]
    """null when the parameters are not constant."""
    fold: Action
    """What bnfold fold would do with it."""


@dataclass(frozen=True)
class CertifyReport:
    """Printed by bnfold certify --json."""
    version: Literal[1]
    tool: Tool
    model: Model
    certificate: str
    """The certificate's file."""
    holds: bool
    candidates: int
    kept: int
    least: int
    """How many nodes stay at the least, by what is right of the certificate."""
    problems: tuple[str, ...]
    assumptions: tuple[str, ...]


@dataclass(frozen=True)
class NormFacts:
    node: Node
    kind: Literal["norm", "weight"]
    fold: Action


@dataclass(frozen=True)
class InspectReport:
    """Printed by bnfold inspect --json."""
    version: Literal[1]
    tool: Tool
    model: Model
    nodes: int
    functions: int
    operators: Operators
    batch_normalizations: tuple[BatchNormalizationFacts, ...]
    affine: NodeCounts
    merges: tuple[Merge, ...]
    unmerged: tuple[Unmerged, ...]
    norm: Optional[NodeCounts] = None
    """With --norms: other normalizations with a gain or shift of their own; folded counts those that lost them."""
    weight: Optional[NodeCounts] = None
    """With --norms: weights that constants compute; folded counts those that are written out."""
    norms: Optional[tuple[NormFacts, ...]] = None
    """With --norms: those normalizations and weights, and what fold would do with each."""
    kept: Optional[tuple[Kept, ...]] = None
    """Every node that stays, other constant operators too."""
    channels: Optional[tuple[LayerChannels, ...]] = None
    """Where a page is written as well."""
    around: Optional[tuple[Neighbourhood, ...]] = None
    """Where a page is written as well."""


@dataclass(frozen=True)
class TensorSummary:
    """A tensor in numbers. min, max, mean and rms are over the finite elements; null where there is none."""
    name: str
    dtype: str
    shape: tuple[int, ...]
    min: Union[float, None]
    max: Union[float, None]
    mean: Union[float, None]
    rms: Union[float, None]
    nan: int
    infinite: int
    first: tuple[Union[float, str], ...]
    """The first six elements; integers of 64 bits, NaN and infinities as text."""


@dataclass(frozen=True)
class ProfileNodesItem:
    name: str
    operator: str
    milliseconds: float
    output_bytes: int
    held_bytes: int
    multiply_adds: int


@dataclass(frozen=True)
class Profile:
    milliseconds: float
    multiply_adds: int
    peak_bytes: int
    """The most that values took at once, the kernels' own memory not counted."""
    nodes: tuple[ProfileNodesItem, ...]
    """In running order."""


@dataclass(frozen=True)
class RunReportRunsItem:
    name: str
    """The data set, or how the input was made."""
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    dumped: tuple[TensorSummary, ...]
    """Inner values asked for with --dump."""
    run_ms: float
    profile: Union[Profile, None]
    """null without --profile."""


@dataclass(frozen=True)
class RunReport:
    """Printed by bnfold run --json."""
    version: Literal[1]
    tool: Tool
    model: Model
    mode: Literal["float64", "storage"]
    seed: int
    threads: int
    runs: tuple[RunReportRunsItem, ...]
    """One for each data set."""
    saved: tuple[str, ...]
    """Files written."""


Framework = Literal["pytorch", "keras", "onnx", "tensorflow", "caffe", "mxnet", "flax", "haiku", "paddle", "darknet"]


@dataclass(frozen=True)
class MomentumSide:
    framework: Framework
    momentum: Union[float, None]
    """null for None."""
    update: str
    """The update formula with its numbers."""
    epsilon: float
    """The framework's default."""
    variance: Literal["biased", "unbiased"]
    """Which variance of a batch enters its running variance."""


@dataclass(frozen=True)
class MomentumReportHalfLife:
    old_weight: float
    """Weight of the old value at each update."""
    half: float
    """Batches until old statistics weigh one half."""
    hundredth: float
    """The same for one hundredth."""


@dataclass(frozen=True)
class MomentumReport:
    """Printed by bnfold momentum <number> --json."""
    version: Literal[1]
    tool: Tool
    from_: MomentumSide
    to: MomentumSide
    half_life: Union[MomentumReportHalfLife, None]
    """null for None."""
    notes: tuple[str, ...]
    """What looks wrong, and what the numbers do not say."""


@dataclass(frozen=True)
class MomentumModelReportLayersItemHalfLife:
    half: float
    hundredth: float


@dataclass(frozen=True)
class MomentumModelReportLayersItem:
    node: Node
    mode: Literal["inference", "training"]
    momentum: float
    converted: Union[float, None]
    """As the other framework writes it; null when the file's is not between 0 and 1."""
    half_life: Union[MomentumModelReportLayersItemHalfLife, None]
    """Batches until old statistics weigh one half, and one hundredth."""
    epsilon: float


@dataclass(frozen=True)
class MomentumModelReportWrittenItem:
    node: Node
    """The first of its nodes."""
    operators: tuple[str, ...]
    channels: int


@dataclass(frozen=True)
class MomentumModelReport:
    """Printed by bnfold momentum <model> --json."""
    version: Literal[1]
    tool: Tool
    model: Model
    output: Union[Output, None]
    """null when nothing was written."""
    from_: Framework
    to: Framework
    layers: tuple[MomentumModelReportLayersItem, ...]
    notes: tuple[str, ...]
    """Warnings, in words."""
    changes: tuple[str, ...]
    """What --write changed, in words."""
    written: Optional[tuple[MomentumModelReportWrittenItem, ...]] = None
    """Normalizations written as arithmetic: the file has neither their momentum nor their epsilon."""


@dataclass(frozen=True)
class OutputChange:
    """How far an output of the model moved."""
    name: str
    rms: float
    """Root mean square change."""
    max: float
    scale: float
    """Root mean square of the original output."""


@dataclass(frozen=True)
class FreezeReportFrozenItem:
    node: Node
    change: str
    dropped_outputs: tuple[str, ...]


@dataclass(frozen=True)
class FreezeReportChange:
    samples: int
    """Inputs it was measured on."""
    outputs: tuple[OutputChange, ...]
    problem: Optional[str] = None
    """Why it could not be measured."""


@dataclass(frozen=True)
class FreezeReport:
    """Printed by bnfold freeze --json."""
    version: Literal[1]
    tool: Tool
    input: Model
    output: Union[Output, None]
    """null when nothing was written."""
    frozen: tuple[FreezeReportFrozenItem, ...]
    """Nodes that trained."""
    dropped_graph_outputs: tuple[str, ...]
    change: FreezeReportChange


@dataclass(frozen=True)
class RecalibrateReportData:
    samples: int
    block: int


@dataclass(frozen=True)
class RecalibrateReportLayersItemMeanDrift:
    """|new mean - old mean| in old standard deviations, over the channels."""
    rms: float
    max: float


@dataclass(frozen=True)
class RecalibrateReportLayersItemDeviationRatio:
    """New over old standard deviation, over the channels."""
    min: float
    max: float


@dataclass(frozen=True)
class RecalibrateReportLayersItem:
    node: Node
    channels: int
    elements: int
    """Per channel, in all data."""
    mean_drift: RecalibrateReportLayersItemMeanDrift
    """|new mean - old mean| in old standard deviations, over the channels."""
    deviation_ratio: RecalibrateReportLayersItemDeviationRatio
    """New over old standard deviation, over the channels."""
    uses: Optional[int] = None
    """How often the network goes through the layer, where its tensors are shared."""


@dataclass(frozen=True)
class RecalibrateReportSkippedItem:
    node: Node
    reason: str


@dataclass(frozen=True)
class RecalibrateReport:
    """Printed by bnfold recalibrate --json."""
    version: Literal[1]
    tool: Tool
    input: Model
    output: Union[Output, None]
    """null when nothing was written."""
    data: Union[RecalibrateReportData, None]
    """null when only moments were given."""
    order: Literal["layers", "at-once"]
    variance: Literal["population", "unbiased"]
    engine: str
    layers: tuple[RecalibrateReportLayersItem, ...]
    skipped: tuple[RecalibrateReportSkippedItem, ...]
    change: tuple[OutputChange, ...]
    """On the first blocks of the data."""


@dataclass(frozen=True)
class Distribution:
    min: float
    lower_quartile: float
    median: float
    upper_quartile: float
    max: float
    mean: float


ChannelFlag = Literal[
    "dead", "constant", "negative-gain", "tiny-variance", "bad-variance", "float16-overflow", "widens-range"
]


@dataclass(frozen=True)
class ChannelsReportLayersItemDistributions:
    scale: Distribution
    bias: Distribution
    mean: Distribution
    variance: Distribution
    gain: Distribution


@dataclass(frozen=True)
class ChannelsReportLayersItemCounts:
    """Channels with each mark."""
    dead: int
    constant: int
    negative_gain: int
    tiny_variance: int
    bad_variance: int
    float16_overflow: int
    widens_range: int


@dataclass(frozen=True)
class ChannelsReportLayersItemChannelsItem:
    scale: float
    bias: float
    mean: float
    variance: float
    gain: float
    shift: float
    flags: tuple[ChannelFlag, ...]
    weight: Optional[float] = None
    """Largest weight of the row in front, before folding."""
    folded: Optional[float] = None
    """And after."""


@dataclass(frozen=True)
class ChannelsReportLayersItemRange:
    """Largest over median row of the weight in front, before and after folding."""
    before: float
    after: float


@dataclass(frozen=True)
class ChannelsReportLayersItem:
    node: Node
    epsilon: float
    before_relu: bool
    """A Relu is the only reader."""
    distributions: ChannelsReportLayersItemDistributions
    counts: ChannelsReportLayersItemCounts
    """Channels with each mark."""
    channels: tuple[ChannelsReportLayersItemChannelsItem, ...]
    producer: Optional[str] = None
    """The layer in front whose weight would take the gains."""
    weights_per_channel: Optional[int] = None
    """Of that layer."""
    range: Optional[ChannelsReportLayersItemRange] = None
    """Largest over median row of the weight in front, before and after folding."""


@dataclass(frozen=True)
class ChannelsReportPruning:
    channels: int
    dead: int
    constant: int
    removable_weights: int
    """Weights in the layers in front that make dead or constant channels."""
    weights: int
    """Weights of those layers."""


@dataclass(frozen=True)
class ChannelsReportWrittenItemDistributions:
    gain: Distribution
    shift: Distribution


@dataclass(frozen=True)
class ChannelsReportWrittenItemCounts:
    """Channels with each mark."""
    dead: int
    constant: int
    negative_gain: int
    tiny_variance: int
    bad_variance: int
    float16_overflow: int
    widens_range: int


@dataclass(frozen=True)
class ChannelsReportWrittenItemChannelsItem:
    gain: float
    shift: float
    flags: tuple[ChannelFlag, ...]
    weight: Optional[float] = None
    """Largest weight of the row in front, before folding."""
    folded: Optional[float] = None
    """And after."""


@dataclass(frozen=True)
class ChannelsReportWrittenItemRange:
    """Largest over median row of the weight in front, before and after folding."""
    before: float
    after: float


@dataclass(frozen=True)
class ChannelsReportWrittenItem:
    node: Node
    """The first of its nodes."""
    operators: tuple[str, ...]
    """Operators it is written as, in the order of the data."""
    distributions: ChannelsReportWrittenItemDistributions
    counts: ChannelsReportWrittenItemCounts
    """Channels with each mark."""
    channels: tuple[ChannelsReportWrittenItemChannelsItem, ...]
    producer: Optional[str] = None
    """The layer in front whose weight would take the gains."""
    range: Optional[ChannelsReportWrittenItemRange] = None
    """Largest over median row of the weight in front, before and after folding."""


@dataclass(frozen=True)
class ChannelsReport:
    """Printed by bnfold inspect --channels --json."""
    version: Literal[1]
    tool: Tool
    model: Model
    layers: tuple[ChannelsReportLayersItem, ...]
    unread: tuple[Node, ...]
    """Layers whose parameters are computed at run time."""
    pruning: ChannelsReportPruning
    written: Optional[tuple[ChannelsReportWrittenItem, ...]] = None
    """Normalizations written as arithmetic: gain and shift are all that can be known."""


@dataclass(frozen=True)
class BatchLineError:
    kind: str
    message: str
    hint: Optional[str] = None


@dataclass(frozen=True)
class BatchLine:
    """One line of the report of many models."""
    version: Literal[1]
    tool: Tool
    file: str
    """Below the folder that was folded."""
    status: Literal["done", "failed"]
    code: int
    """Exit code the model alone would have given."""
    content: Union[str, None]
    """SHA-256 over the model and its side files; null when they could not be read."""
    settings: str
    """SHA-256 over the version and the options that decide about the result."""
    seconds: float
    worker: int
    """Process that did it."""
    resumed: Optional[Literal[True]] = None
    """Taken over from an earlier run."""
    error: Optional[BatchLineError] = None
    report: Optional[FoldReport] = None


@dataclass(frozen=True)
class BatchReportFailedItem:
    file: str
    message: str


@dataclass(frozen=True)
class BatchReport:
    """Printed by bnfold fold --json of a folder or a pattern."""
    version: Literal[1]
    tool: Tool
    report: Union[str, None]
    """File with the lines of JSON; null when there is none."""
    models: int
    done: int
    resumed: int
    """Of those done, by an earlier run."""
    failed: tuple[BatchReportFailedItem, ...]


@dataclass(frozen=True)
class MergeReportFailedItem:
    file: str
    message: str


@dataclass(frozen=True)
class MergeReport:
    """Printed by bnfold report merge --json."""
    version: Literal[1]
    tool: Tool
    output: Union[str, None]
    """null when nothing was written."""
    models: int
    done: int
    resumed: int
    """Of those done, by an earlier run."""
    failed: tuple[MergeReportFailedItem, ...]


@dataclass(frozen=True)
class VerifyLineError:
    kind: str
    message: str
    hint: Optional[str] = None


@dataclass(frozen=True)
class VerifyLine:
    """One pair of two folders that were compared."""
    version: Literal[1]
    tool: Tool
    file: str
    """Below both folders."""
    status: Literal["equivalent", "different", "undecided", "missing", "failed"]
    code: int
    """Exit code it alone would have given."""
    seconds: float
    missing: Optional[Literal["first", "second"]] = None
    """The folder that does not have it."""
    error: Optional[VerifyLineError] = None
    report: Optional[VerifyReport] = None


@dataclass(frozen=True)
class InspectLineError:
    kind: str
    message: str
    hint: Optional[str] = None


@dataclass(frozen=True)
class InspectLine:
    """One of many models that were inspected."""
    version: Literal[1]
    tool: Tool
    file: str
    """As it was named or found."""
    status: Literal["inspected", "failed"]
    code: int
    """Exit code it alone would have given."""
    error: Optional[InspectLineError] = None
    report: Optional[InspectReport] = None


@dataclass(frozen=True)
class ManyReport:
    """Many models as one object: what verify of two folders and inspect of many print, and what --report writes to a 
    .json file.
    """
    version: Literal[1]
    tool: Tool
    kind: Literal["folds", "verifies", "inspects"]
    """What was done to them."""
    lines: tuple[Union[BatchLine, VerifyLine, InspectLine], ...]


@dataclass(frozen=True)
class TensorRef:
    """A constant of a graph."""
    scope: str
    name: str
    dtype: str
    """ONNX name of the element type."""
    dims: tuple[int, ...]


@dataclass(frozen=True)
class FactChange:
    """A property of the model as a whole; absent on a side that does not have it."""
    what: str
    a: Optional[str] = None
    b: Optional[str] = None


@dataclass(frozen=True)
class InterfaceChange:
    """An input or output of the model."""
    side: Literal["input", "output"]
    change: Literal["added", "removed", "renamed", "changed", "moved", "source"]
    name: str
    now: Optional[str] = None
    a: Optional[str] = None
    b: Optional[str] = None


@dataclass(frozen=True)
class AttributeChange:
    name: str
    a: Optional[str] = None
    b: Optional[str] = None


@dataclass(frozen=True)
class InputChange:
    index: int
    a: Union[str, None]
    b: Union[str, None]
    made: Optional[tuple[str, ...]] = None
    """What makes the two, where they have one name."""


@dataclass(frozen=True)
class NodeChange:
    """A node that has a counterpart, and how they differ."""
    node: Node
    now: Node
    attributes: tuple[AttributeChange, ...]
    inputs: tuple[InputChange, ...]
    outputs: Optional[tuple[int, ...]] = None
    """Number of outputs, where it differs."""


@dataclass(frozen=True)
class Numbers:
    """Distance of numbers that differ, over elements that are finite on both sides."""
    elements: int
    differing: int
    """Elements that are not the same, NaN being the same as NaN."""
    largest: float
    rms: float
    scale: float
    """Root mean square of the first tensor's finite elements."""


@dataclass(frozen=True)
class TensorDifference:
    tensor: TensorRef
    now: TensorRef
    numbers: Optional[Numbers] = None
    form: Optional[tuple[str, ...]] = None
    """dense or sparse, where that differs."""


@dataclass(frozen=True)
class ModelDiffFunctions:
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class ModelDiffNodes:
    before: int
    after: int
    matched: int
    added: tuple[Node, ...]
    removed: tuple[Node, ...]
    changed: tuple[NodeChange, ...]


@dataclass(frozen=True)
class ModelDiffTensors:
    before: int
    after: int
    added: tuple[TensorRef, ...]
    removed: tuple[TensorRef, ...]
    changed: tuple[TensorDifference, ...]


@dataclass(frozen=True)
class ModelDiffOperators:
    before: Operators
    after: Operators


@dataclass(frozen=True)
class ModelDiffSideFiles:
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class ModelDiffRenamed:
    nodes: int
    tensors: int
    values: int


@dataclass(frozen=True)
class ModelDiff:
    changes: int
    """Everything that counts as a change. Names of inner values and nodes, and their order, do not."""
    facts: tuple[FactChange, ...]
    interface: tuple[InterfaceChange, ...]
    functions: ModelDiffFunctions
    nodes: ModelDiffNodes
    tensors: ModelDiffTensors
    operators: ModelDiffOperators
    side_files: ModelDiffSideFiles
    renamed: ModelDiffRenamed
    reordered: bool
    """Nodes that have a counterpart stand in another order."""


@dataclass(frozen=True)
class DiffReport:
    """Printed by bnfold diff --json."""
    version: Literal[1]
    tool: Tool
    a: Model
    b: Model
    diff: ModelDiff
    diff_ms: float
    verdict: Optional[Verdict] = None
