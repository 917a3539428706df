/**
 * What attributes of standard operators mean when they are left out, and from which opset on: `Operator attribute@since=value …`, the
 * kind of the value in front of it, "none" where a later version has no default. A line that is indented goes on with the operator above it.
 * Made by fixtures/scripts/attribute_defaults.py from ONNX 1.23.
 */
const TABLE = `
Add broadcast@1=i:0 broadcast@7=none
AffineGrid align_corners@20=i:0
And broadcast@1=i:0 broadcast@7=none
ArgMax axis@1=i:0 keepdims@1=i:1 select_last_index@12=i:0
ArgMin axis@1=i:0 keepdims@1=i:1 select_last_index@12=i:0
Attention is_causal@23=i:0 left_window_size@25=i:-1 qk_matmul_output_mode@23=i:0 right_window_size@25=i:-1 softcap@23=f:0
AveragePool auto_pad@1=s:NOTSET ceil_mode@10=i:0 count_include_pad@7=i:0
BatchNormalization epsilon@1=f:9.999999747378752e-06 is_test@1=i:0 is_test@7=none momentum@1=f:0.8999999761581421
  spatial@1=i:1 spatial@9=none training_mode@14=i:0
BlackmanWindow output_datatype@17=i:1 periodic@17=i:1
Cast round_mode@24=s:up saturate@19=i:1
CastLike round_mode@24=s:up saturate@19=i:1
CausalConvWithState activation@27=s:none
Celu alpha@12=f:1
Clip max@6=f:3.4028234663852886e+38 max@11=none min@6=f:-3.4028234663852886e+38 min@11=none
ConcatFromSequence new_axis@11=i:0
Conv auto_pad@1=s:NOTSET group@1=i:1
ConvInteger auto_pad@10=s:NOTSET group@10=i:1
ConvTranspose auto_pad@1=s:NOTSET group@1=i:1
CumProd exclusive@26=i:0 reverse@26=i:0
CumSum exclusive@11=i:0 reverse@11=i:0
DFT axis@17=i:1 axis@20=none inverse@17=i:0 onesided@17=i:0
DeformConv group@19=i:1 offset_group@19=i:1
DepthToSpace mode@11=s:DCR
DequantizeLinear axis@13=i:1 block_size@21=i:0 output_dtype@23=i:0
Div broadcast@1=i:0 broadcast@7=none
Dropout is_test@1=i:0 is_test@7=none ratio@1=f:0.5 ratio@12=none
Elu alpha@1=f:1
Equal broadcast@1=i:0 broadcast@7=none
EyeLike k@9=i:0
Flatten axis@1=i:1
GRU direction@1=s:foward direction@3=s:forward layout@14=i:0 linear_before_reset@3=i:0 output_sequence@1=i:0
  output_sequence@7=none
Gather axis@1=i:0
GatherElements axis@11=i:0
GatherND batch_dims@12=i:0
Gelu approximate@20=s:none
Gemm alpha@1=f:1 beta@1=f:1 broadcast@1=i:0 broadcast@7=none transA@1=i:0 transB@1=i:0
GlobalLpPool p@1=f:2 p@2=i:2
Greater broadcast@1=i:0 broadcast@7=none
GridSample align_corners@16=i:0 mode@16=s:bilinear mode@20=s:linear padding_mode@16=s:zeros
GroupNormalization epsilon@18=f:9.999999747378752e-06 stash_type@21=i:1
HammingWindow output_datatype@17=i:1 periodic@17=i:1
HannWindow output_datatype@17=i:1 periodic@17=i:1
HardSigmoid alpha@1=f:0.20000000298023224 beta@1=f:0.5
Hardmax axis@1=i:1 axis@13=i:-1
ImageDecoder pixel_format@20=s:RGB
InstanceNormalization epsilon@1=f:9.999999747378752e-06
IsInf detect_negative@10=i:1 detect_positive@10=i:1
LRN alpha@1=f:9.999999747378752e-05 beta@1=f:0.75 bias@1=f:1
LSTM direction@1=s:forward input_forget@1=i:0 layout@14=i:0 output_sequence@1=i:0 output_sequence@7=none
LayerNormalization axis@17=i:-1 epsilon@17=f:9.999999747378752e-06 stash_type@17=i:1
LeakyRelu alpha@1=f:0.009999999776482582
Less broadcast@1=i:0 broadcast@7=none
LinearAttention chunk_size@27=i:64 scale@27=f:0 update_rule@27=s:gated_delta
LogSoftmax axis@1=i:1 axis@13=i:-1
LpNormalization axis@1=i:-1 p@1=i:2
LpPool auto_pad@1=s:NOTSET ceil_mode@18=i:0 p@1=f:2 p@2=i:2
MaxPool auto_pad@1=s:NOTSET ceil_mode@10=i:0 storage_order@8=i:0
MaxRoiPool spatial_scale@1=f:1
MeanVarianceNormalization axes@9=i:[0,2,3]
MelWeightMatrix output_datatype@17=i:1
Mod fmod@10=i:0
Mul broadcast@1=i:0 broadcast@7=none
Multinomial dtype@7=i:6 sample_size@7=i:1
NegativeLogLikelihoodLoss reduction@12=s:mean
NonMaxSuppression center_point_box@10=i:0
OneHot axis@9=i:-1
Or broadcast@1=i:0 broadcast@7=none
Pad mode@1=s:constant value@1=f:0 value@11=none
Pow broadcast@1=i:0 broadcast@7=none
QLinearConv auto_pad@10=s:NOTSET group@10=i:1
QuantizeLinear axis@13=i:1 block_size@21=i:0 output_dtype@21=i:0 precision@23=i:0 saturate@19=i:1
RMSNormalization axis@23=i:-1 epsilon@23=f:9.999999747378752e-06 stash_type@23=i:1
RNN activations@1=s:[Tanh,Tanh] direction@1=s:forward layout@14=i:0 output_sequence@1=i:0 output_sequence@7=none
RandomNormal dtype@1=i:1 mean@1=f:0 scale@1=f:1
RandomNormalLike mean@1=f:0 scale@1=f:1
RandomUniform dtype@1=i:1 high@1=f:1 low@1=f:0
RandomUniformLike high@1=f:1 low@1=f:0
Range stash_type@27=i:1
ReduceL1 keepdims@1=i:1 noop_with_empty_axes@18=i:0
ReduceL2 keepdims@1=i:1 noop_with_empty_axes@18=i:0
ReduceLogSum keepdims@1=i:1 noop_with_empty_axes@18=i:0
ReduceLogSumExp keepdims@1=i:1 noop_with_empty_axes@18=i:0
ReduceMax keepdims@1=i:1 noop_with_empty_axes@18=i:0
ReduceMean keepdims@1=i:1 noop_with_empty_axes@18=i:0
ReduceMin keepdims@1=i:1 noop_with_empty_axes@18=i:0
ReduceProd keepdims@1=i:1 noop_with_empty_axes@18=i:0
ReduceSum keepdims@1=i:1 noop_with_empty_axes@13=i:0
ReduceSumSquare keepdims@1=i:1 noop_with_empty_axes@18=i:0
Reshape allowzero@14=i:0
Resize antialias@18=i:0 coordinate_transformation_mode@11=s:half_pixel cubic_coeff_a@11=f:-0.75 exclude_outside@11=i:0
  extrapolation_value@11=f:0 keep_aspect_ratio_policy@18=s:stretch mode@10=s:nearest nearest_mode@11=s:round_prefer_floor
ReverseSequence batch_axis@10=i:1 time_axis@10=i:0
RoiAlign coordinate_transformation_mode@16=s:half_pixel mode@10=s:avg output_height@10=i:1 output_width@10=i:1
  sampling_ratio@10=i:0 spatial_scale@10=f:1
RotaryEmbedding interleaved@23=i:0 rotary_embedding_dim@23=i:0
STFT onesided@17=i:1
Scatter axis@9=i:0
ScatterElements axis@11=i:0 reduction@16=s:none
ScatterND reduction@16=s:none
Selu alpha@1=f:1.673200011253357 alpha@6=f:1.6732631921768188 gamma@1=f:1.0506999492645264 gamma@6=f:1.0507010221481323
Shape start@15=i:0
Shrink bias@9=f:0 lambd@9=f:0.5
Softmax axis@1=i:1 axis@13=i:-1
SoftmaxCrossEntropyLoss reduction@12=s:mean
SpaceToDepth mode@28=s:DCR
Split axis@2=i:0
SplitToSequence axis@11=i:0 keepdims@11=i:1
StringNormalizer case_change_action@10=s:NONE is_case_sensitive@10=i:0
Sub broadcast@1=i:0 broadcast@7=none
SwiGLU alpha@28=f:1
Swish alpha@24=f:1
TensorScatter axis@24=i:-2 mode@24=s:linear
ThresholdedRelu alpha@10=f:1
TopK axis@1=i:-1 largest@11=i:1 sorted@11=i:1
Trilu upper@14=i:1
Unique sorted@11=i:1
Upsample mode@1=s:nearest
Xor broadcast@1=i:0 broadcast@7=none
`;

/** A default: of a list, its elements. */
export interface AttributeDefault {
  readonly since: number;
  /** Undefined where the version has none. */
  readonly value: { readonly kind: "float" | "int" | "string"; readonly list: boolean; readonly text: string } | undefined;
}

type Defaults = ReadonlyMap<string, readonly AttributeDefault[]>;

const KINDS = { f: "float", i: "int", s: "string" } as const;

let table: ReadonlyMap<string, Defaults> | undefined;

function parsed(text: string): AttributeDefault["value"] {
  if (text === "none") return undefined;
  const list = text[2] === "[";
  return { kind: KINDS[text[0] as keyof typeof KINDS], list, text: list ? text.slice(3, -1) : text.slice(2) };
}

function parse(): ReadonlyMap<string, Defaults> {
  const rows = TABLE.trim().replaceAll("\n  ", " ").split("\n");
  return new Map(
    rows.map((row) => {
      const [op, ...entries] = row.split(" ");
      const found = new Map<string, AttributeDefault[]>();
      for (const entry of entries) {
        const [, name, since, text] = /^(\w+)@(\d+)=(.*)$/.exec(entry) as RegExpExecArray;
        found.set(name, [...(found.get(name) ?? []), { since: Number(since), value: parsed(text) }]);
      }
      return [op, found];
    }),
  );
}

/** The default of an attribute in an opset; undefined where ONNX gives none. */
export function attributeDefault(opType: string, name: string, version: number): AttributeDefault["value"] {
  table ??= parse();
  return table
    .get(opType)
    ?.get(name)
    ?.findLast(({ since }) => since <= version)?.value;
}

/** Every operator and attribute that has a default in some opset. */
export function attributesWithDefaults(): [opType: string, name: string][] {
  table ??= parse();
  return [...table].flatMap(([op, attributes]) => [...attributes.keys()].map((name): [string, string] => [op, name]));
}
