/**
 * Every operator that ONNX 1.23.2 defines, in every version: made by fixtures/scripts/operator_schemas.py, which says how
 * it is written. Read through schemas.ts.
 */
export const SCHEMAS = `
#
Abs 1;X;Y;consumed_inputs:is
 6+ 13+;X;Y;
Acos 7 22+;input;output;
Acosh 9 22+;input;output;
Add 1;A B;C;axis:i broadcast:i=0 consumed_inputs:is
 6+;A B;C;axis:i broadcast:i=0
 7+ 13+ 14+;A B;C;
AffineGrid 20;theta size;grid;align_corners:i=0
And 1;A B;C;axis:i broadcast:i=0
 7+;A B;C;
ArgMax 1 11+;data;reduced;axis:i=0 keepdims:i=1
 12+ 13+;data;reduced;axis:i=0 keepdims:i=1 select_last_index:i=0
ArgMin 1 11+;data;reduced;axis:i=0 keepdims:i=1
 12+ 13+;data;reduced;axis:i=0 keepdims:i=1 select_last_index:i=0
Asin 7 22+;input;output;
Asinh 9 22+;input;output;
Atan 7 22+;input;output;
Atanh 9 22+;input;output;
Attention 23;Q K V attn_mask? past_key? past_value?;Y present_key? present_value? qk_matmul_output?;is_causal:i=0 kv_num_heads:i q_num_heads:i qk_matmul_output_mode:i=0 scale:f softcap:f=0 softmax_precision:i
 24+;Q K V attn_mask? past_key? past_value? nonpad_kv_seqlen?;Y present_key? present_value? qk_matmul_output?;is_causal:i=0 kv_num_heads:i q_num_heads:i qk_matmul_output_mode:i=0 scale:f softcap:f=0 softmax_precision:i
 25+;Q K V attn_mask? past_key? past_value? nonpad_kv_seqlen?;Y present_key? present_value? qk_matmul_output?;is_causal:i=0 kv_num_heads:i left_window_size:i=-1 q_num_heads:i qk_matmul_output_mode:i=0 right_window_size:i=-1 scale:f softcap:f=0 softmax_precision:i
AveragePool 1;X;Y;auto_pad:s=NOTSET kernel_shape:is! pads:is strides:is
 7+;X;Y;auto_pad:s=NOTSET count_include_pad:i=0 kernel_shape:is! pads:is strides:is
 10+ 11+;X;Y;auto_pad:s=NOTSET ceil_mode:i=0 count_include_pad:i=0 kernel_shape:is! pads:is strides:is
 19+ 22+;X;Y;auto_pad:s=NOTSET ceil_mode:i=0 count_include_pad:i=0 dilations:is kernel_shape:is! pads:is strides:is
BatchNormalization 1;X scale B mean var;Y mean? var? saved_mean? saved_var?;consumed_inputs:is! epsilon:f=1e-05 is_test:i=0 momentum:f=0.9 spatial:i=1
 6+;X scale B mean var;Y mean? var? saved_mean? saved_var?;epsilon:f=1e-05 is_test:i=0 momentum:f=0.9 spatial:i=1
 7+;X scale B mean var;Y mean? var? saved_mean? saved_var?;epsilon:f=1e-05 momentum:f=0.9 spatial:i=1
 9+;X scale B mean var;Y mean? var? saved_mean? saved_var?;epsilon:f=1e-05 momentum:f=0.9
 14+ 15+;X scale B input_mean input_var;Y running_mean? running_var?;epsilon:f=1e-05 momentum:f=0.9 training_mode:i=0
Bernoulli 15 22+;input;output;dtype:i seed:f
BitCast 26;input;output;to:i!
BitShift 11 28+;X Y;Z;direction:s!
BitwiseAnd 18;A B;C;
BitwiseNot 18;X;Y;
BitwiseOr 18;A B;C;
BitwiseXor 18;A B;C;
BlackmanWindow 17;size;output;output_datatype:i=1 periodic:i=1
Cast 1;input;output;to:s!
 6+ 9+ 13+;input;output;to:i!
 19+ 21+ 23+;input;output;saturate:i=1 to:i!
 24+ 25+ 28+;input;output;round_mode:s=up saturate:i=1 to:i!
CastLike 15;input target_type;output;
 19+ 21+ 23+;input target_type;output;saturate:i=1
 24+ 25+;input target_type;output;round_mode:s=up saturate:i=1
CausalConvWithState 27;input weight bias? past_state?;output present_state;activation:s=none
Ceil 1;X;Y;consumed_inputs:is
 6+ 13+;X;Y;
Celu 12 28+;X;Y;alpha:f=1
CenterCropPad 18;input_data shape;output_data;axes:is
Clip 1;input;output;consumed_inputs:is max:f min:f
 6+;input;output;max:f=3.4028235e38 min:f=-3.4028235e38
 11+ 12+ 13+;input min? max?;output;
Col2Im 18;input image_shape block_shape;output;dilations:is pads:is strides:is
Compress 9 11+ 28+;input condition;output;axis:i
Concat 1;inputs*1;concat_result;axis:i
 4+ 11+ 13+;inputs*1;concat_result;axis:i!
ConcatFromSequence 11;input_sequence;concat_result;axis:i! new_axis:i=0
Constant 1 9+;;output;value:t!
 11+;;output;sparse_value:sp value:t
 12+ 13+ 19+ 21+ 23+ 24+ 25+;;output;sparse_value:sp value:t value_float:f value_floats:fs value_int:i value_ints:is value_string:s value_strings:ss
ConstantOfShape 9 20+ 21+ 23+ 24+ 25+;input;output;value:t
Conv 1 11+ 22+;X W B?;Y;auto_pad:s=NOTSET dilations:is group:i=1 kernel_shape:is pads:is strides:is
ConvInteger 10;x w x_zero_point? w_zero_point?;y;auto_pad:s=NOTSET dilations:is group:i=1 kernel_shape:is pads:is strides:is
ConvTranspose 1 11+ 22+;X W B?;Y;auto_pad:s=NOTSET dilations:is group:i=1 kernel_shape:is output_padding:is output_shape:is pads:is strides:is
Cos 7 22+;input;output;
Cosh 9 22+;input;output;
CumProd 26;x axis;y;exclusive:i=0 reverse:i=0
CumSum 11 14+;x axis;y;exclusive:i=0 reverse:i=0
DFT 17;input dft_length?;output;axis:i=1 inverse:i=0 onesided:i=0
 20+;input dft_length? axis?;output;inverse:i=0 onesided:i=0
DeformConv 19 22+;X W offset B? mask?;Y;dilations:is group:i=1 kernel_shape:is offset_group:i=1 pads:is strides:is
DepthToSpace 1;input;output;blocksize:i!
 11+ 13+ 28+;input;output;blocksize:i! mode:s=DCR
DequantizeLinear 10;x x_scale x_zero_point?;y;
 13+ 19+;x x_scale x_zero_point?;y;axis:i=1
 21+;x x_scale x_zero_point?;y;axis:i=1 block_size:i=0
 23+ 24+ 25+ 28+;x x_scale x_zero_point?;y;axis:i=1 block_size:i=0 output_dtype:i=0
Det 11 22+;X;Y;
Div 1;A B;C;axis:i broadcast:i=0 consumed_inputs:is
 6+;A B;C;axis:i broadcast:i=0
 7+ 13+ 14+;A B;C;
Dropout 1;data;output mask?;consumed_inputs:is is_test:i=0 ratio:f=0.5
 6+;data;output mask?;is_test:i=0 ratio:f=0.5
 7+ 10;data;output mask?;ratio:f=0.5
 12+ 13+ 22+;data ratio? training_mode?;output mask?;seed:i
DynamicQuantizeLinear 11;x;y y_scale y_zero_point;
Einsum 12 28+;Inputs*1;Output;equation:s!
Elu 1;X;Y;alpha:f=1 consumed_inputs:is
 6+ 22+;X;Y;alpha:f=1
Equal 1;A B;C;axis:i broadcast:i=0
 7+ 11+ 13+ 19+;A B;C;
Erf 9 13;input;output;
Exp 1;input;output;consumed_inputs:is
 6+ 13+;input;output;
Expand 8 13+;input shape;output;
EyeLike 9 22+;input;output;dtype:i k:i=0
Flatten 1 9+ 11+ 13+ 21+ 23+ 24+ 25+;input;output;axis:i=1
Floor 1;X;Y;consumed_inputs:is
 6+ 13+;X;Y;
GRU 1;X W R B? sequence_lens? initial_h?;Y? Y_h;activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s=foward hidden_size:i output_sequence:i=0
 3+;X W R B? sequence_lens? initial_h?;Y? Y_h?;activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s=forward hidden_size:i linear_before_reset:i=0 output_sequence:i=0
 7+;X W R B? sequence_lens? initial_h?;Y? Y_h?;activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s=forward hidden_size:i linear_before_reset:i=0
 14+ 22+;X W R B? sequence_lens? initial_h?;Y? Y_h?;activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s=forward hidden_size:i layout:i=0 linear_before_reset:i=0
Gather 1 11+ 13+;data indices;output;axis:i=0
GatherElements 11 13+;data indices;output;axis:i=0
GatherND 11;data indices;output;
 12+ 13+;data indices;output;batch_dims:i=0
Gelu 20;X;Y;approximate:s=none
Gemm 1 6+;A B C;Y;alpha:f=1 beta:f=1 broadcast:i=0 transA:i=0 transB:i=0
 7+ 9+;A B C;Y;alpha:f=1 beta:f=1 transA:i=0 transB:i=0
 11+ 13+;A B C?;Y;alpha:f=1 beta:f=1 transA:i=0 transB:i=0
GlobalAveragePool 1 22+;X;Y;
GlobalLpPool 1;X;Y;p:f=2
 2+ 22+;X;Y;p:i=2
GlobalMaxPool 1 22+;X;Y;
Greater 1;A B;C;axis:i broadcast:i=0
 7+ 9+ 13+;A B;C;
GreaterOrEqual 12 16+;A B;C;
GridSample 16;X grid;Y;align_corners:i=0 mode:s=bilinear padding_mode:s=zeros
 20+ 22+;X grid;Y;align_corners:i=0 mode:s=linear padding_mode:s=zeros
GroupNormalization 18-;X scale bias;Y;epsilon:f=1e-05 num_groups:i!
 21+;X scale bias;Y;epsilon:f=1e-05 num_groups:i! stash_type:i=1
HammingWindow 17;size;output;output_datatype:i=1 periodic:i=1
HannWindow 17;size;output;output_datatype:i=1 periodic:i=1
HardSigmoid 1;X;Y;alpha:f=0.2 beta:f=0.5 consumed_inputs:is
 6+ 22+;X;Y;alpha:f=0.2 beta:f=0.5
HardSwish 14 22+;X;Y;
Hardmax 1 11+;input;output;axis:i=1
 13+;input;output;axis:i=-1
Identity 1 13+ 14+ 16+ 19+ 21+ 23+ 24+ 25+;input;output;
If 1 11+ 13+ 16+ 19+ 21+ 23+ 24+ 25+;cond;outputs*1;else_branch:g! then_branch:g!
ImageDecoder 20;encoded_stream;image;pixel_format:s=RGB
InstanceNormalization 1;input scale B;output;consumed_inputs:is epsilon:f=1e-05
 6+ 22+;input scale B;output;epsilon:f=1e-05
IsInf 10 20+;X;Y;detect_negative:i=1 detect_positive:i=1
IsNaN 9 13+ 20+;X;Y;
LRN 1 13+;X;Y;alpha:f=0.0001 beta:f=0.75 bias:f=1 size:i!
LSTM 1;X W R B? sequence_lens? initial_h? initial_c? P?;Y? Y_h? Y_c?;activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s=forward hidden_size:i input_forget:i=0 output_sequence:i=0
 7+;X W R B? sequence_lens? initial_h? initial_c? P?;Y? Y_h? Y_c?;activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s=forward hidden_size:i input_forget:i=0
 14+ 22+;X W R B? sequence_lens? initial_h? initial_c? P?;Y? Y_h? Y_c?;activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s=forward hidden_size:i input_forget:i=0 layout:i=0
LayerNormalization 17;X Scale B?;Y Mean? InvStdDev?;axis:i=-1 epsilon:f=1e-05 stash_type:i=1
LeakyRelu 1;X;Y;alpha:f=0.01 consumed_inputs:is
 6+ 16+;X;Y;alpha:f=0.01
Less 1;A B;C;axis:i broadcast:i=0
 7+ 9+ 13+;A B;C;
LessOrEqual 12 16+;A B;C;
LinearAttention 27;query key value past_state? decay? beta?;output present_state;chunk_size:i=64 kv_num_heads:i! q_num_heads:i! scale:f=0 update_rule:s=gated_delta
Log 1;input;output;consumed_inputs:is
 6+ 13+;input;output;
LogSoftmax 1 11+;input;output;axis:i=1
 13+;input;output;axis:i=-1
Loop 1;M? cond? v_initial*1;v_final_and_scan_outputs*1;body:g!
 11+ 13+ 16+ 19+ 21+ 23+ 24+ 25+;M? cond? v_initial*0;v_final_and_scan_outputs*1;body:g!
LpNormalization 1 22+;input;output;axis:i=-1 p:i=2
LpPool 1;X;Y;auto_pad:s=NOTSET kernel_shape:is p:f=2 pads:is strides:is
 2+ 11+;X;Y;auto_pad:s=NOTSET kernel_shape:is! p:i=2 pads:is strides:is
 18+ 22+;X;Y;auto_pad:s=NOTSET ceil_mode:i=0 dilations:is kernel_shape:is! p:i=2 pads:is strides:is
MatMul 1 9+ 13+;A B;Y;
MatMulInteger 10;A B a_zero_point? b_zero_point?;Y;
Max 1;data_0*1;max;consumed_inputs:is
 6+ 8+ 12+ 13+;data_0*1;max;
MaxPool 1;X;Y;auto_pad:s=NOTSET kernel_shape:is! pads:is strides:is
 8+;X;Y Indices?;auto_pad:s=NOTSET kernel_shape:is! pads:is storage_order:i=0 strides:is
 10+ 11+ 12+ 22+;X;Y Indices?;auto_pad:s=NOTSET ceil_mode:i=0 dilations:is kernel_shape:is! pads:is storage_order:i=0 strides:is
MaxRoiPool 1 22+;X rois;Y;pooled_shape:is! spatial_scale:f=1
MaxUnpool 9 11+ 22+;X I output_shape?;output;kernel_shape:is! pads:is strides:is
Mean 1;data_0*1;mean;consumed_inputs:is
 6+ 8+ 13+;data_0*1;mean;
MeanVarianceNormalization 9 13+;X;Y;axes:is=0,2,3
MelWeightMatrix 17;num_mel_bins dft_length sample_rate lower_edge_hertz upper_edge_hertz;output;output_datatype:i=1
Min 1;data_0*1;min;consumed_inputs:is
 6+ 8+ 12+ 13+;data_0*1;min;
Mish 18 22+;X;Y;
Mod 10 13+ 28+;A B;C;fmod:i=0
Mul 1;A B;C;axis:i broadcast:i=0 consumed_inputs:is
 6+;A B;C;axis:i broadcast:i=0
 7+ 13+ 14+;A B;C;
Multinomial 7 22+;input;output;dtype:i=6 sample_size:i=1 seed:f
Neg 1;X;Y;consumed_inputs:is
 6+ 13+;X;Y;
NegativeLogLikelihoodLoss 12 13+ 22+;input target weight?;loss;ignore_index:i reduction:s=mean
NonMaxSuppression 10 11+;boxes scores max_output_boxes_per_class? iou_threshold? score_threshold?;selected_indices;center_point_box:i=0
NonZero 9 13+;X;Y;
Not 1;X;Y;
OneHot 9 11+ 28+;indices depth values;output;axis:i=-1
Optional 15 28+;input?;output;type:tp
OptionalGetElement 15 18+ 28+;input;output;
OptionalHasElement 15;input;output;
 18+ 28+;input?;output;
Or 1;A B;C;axis:i broadcast:i=0
 7+;A B;C;
PRelu 1;X slope;Y;consumed_inputs:is
 6+ 7+ 9+ 16+;X slope;Y;
Pad 1;data;output;mode:s=constant paddings:is! value:f=0
 2+;data;output;mode:s=constant pads:is! value:f=0
 11+ 13+;data pads constant_value?;output;mode:s=constant
 18+ 19+ 21+ 23+ 24+ 25+;data pads constant_value? axes?;output;mode:s=constant
Pow 1;X Y;Z;axis:i broadcast:i=0
 7+ 12+ 13+ 15+;X Y;Z;
QLinearConv 10;x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B?;y;auto_pad:s=NOTSET dilations:is group:i=1 kernel_shape:is pads:is strides:is
QLinearMatMul 10 21+;a a_scale a_zero_point b b_scale b_zero_point y_scale y_zero_point;y;
QuantizeLinear 10;x y_scale y_zero_point?;y;
 13+;x y_scale y_zero_point?;y;axis:i=1
 19+;x y_scale y_zero_point?;y;axis:i=1 saturate:i=1
 21+;x y_scale y_zero_point?;y;axis:i=1 block_size:i=0 output_dtype:i=0 saturate:i=1
 23+ 24+ 25+ 28+;x y_scale y_zero_point?;y;axis:i=1 block_size:i=0 output_dtype:i=0 precision:i=0 saturate:i=1
RMSNormalization 23;X scale;Y;axis:i=-1 epsilon:f=1e-05 stash_type:i=1
RNN 1;X W R B? sequence_lens? initial_h?;Y? Y_h?;activation_alpha:fs activation_beta:fs activations:ss=Tanh,Tanh clip:f direction:s=forward hidden_size:i output_sequence:i=0
 7+;X W R B? sequence_lens? initial_h?;Y? Y_h?;activation_alpha:fs activation_beta:fs activations:ss=Tanh,Tanh clip:f direction:s=forward hidden_size:i
 14+ 22+;X W R B? sequence_lens? initial_h?;Y? Y_h?;activation_alpha:fs activation_beta:fs activations:ss=Tanh,Tanh clip:f direction:s=forward hidden_size:i layout:i=0
RandomNormal 1 22+;;output;dtype:i=1 mean:f=0 scale:f=1 seed:f shape:is!
RandomNormalLike 1 22+;input;output;dtype:i mean:f=0 scale:f=1 seed:f
RandomUniform 1 22+;;output;dtype:i=1 high:f=1 low:f=0 seed:f shape:is!
RandomUniformLike 1 22+;input;output;dtype:i high:f=1 low:f=0 seed:f
Range 11;start limit delta;output;
 27+;start limit delta;output;stash_type:i=1
Reciprocal 1;X;Y;consumed_inputs:is
 6+ 13+;X;Y;
ReduceL1 1 11+ 13+;data;reduced;axes:is keepdims:i=1
 18+;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceL2 1 11+ 13+;data;reduced;axes:is keepdims:i=1
 18+;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceLogSum 1 11+ 13+;data;reduced;axes:is keepdims:i=1
 18+ 28;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceLogSumExp 1 11+ 13+;data;reduced;axes:is keepdims:i=1
 18+ 28;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceMax 1 11+ 12+ 13+;data;reduced;axes:is keepdims:i=1
 18+ 20+;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceMean 1 11+ 13+;data;reduced;axes:is keepdims:i=1
 18+;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceMin 1 11+ 12+ 13+;data;reduced;axes:is keepdims:i=1
 18+ 20+;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceProd 1 11+ 13+;data;reduced;axes:is keepdims:i=1
 18+;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceSum 1 11+;data;reduced;axes:is keepdims:i=1
 13+;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
ReduceSumSquare 1 11+ 13+;data;reduced;axes:is keepdims:i=1
 18+;data axes?;reduced;keepdims:i=1 noop_with_empty_axes:i=0
RegexFullMatch 20;X;Y;pattern:s
Relu 1;X;Y;consumed_inputs:is
 6+ 13+ 14+;X;Y;
Reshape 1;data;reshaped;consumed_inputs:is shape:is
 5+ 13+;data shape;reshaped;
 14+ 19+ 21+ 23+ 24+ 25+;data shape;reshaped;allowzero:i=0
Resize 10;X scales;Y;mode:s=nearest
 11+;X roi scales sizes?;Y;coordinate_transformation_mode:s=half_pixel cubic_coeff_a:f=-0.75 exclude_outside:i=0 extrapolation_value:f=0 mode:s=nearest nearest_mode:s=round_prefer_floor
 13+;X roi? scales? sizes?;Y;coordinate_transformation_mode:s=half_pixel cubic_coeff_a:f=-0.75 exclude_outside:i=0 extrapolation_value:f=0 mode:s=nearest nearest_mode:s=round_prefer_floor
 18+ 19+;X roi? scales? sizes?;Y;antialias:i=0 axes:is coordinate_transformation_mode:s=half_pixel cubic_coeff_a:f=-0.75 exclude_outside:i=0 extrapolation_value:f=0 keep_aspect_ratio_policy:s=stretch mode:s=nearest nearest_mode:s=round_prefer_floor
ReverseSequence 10 28+;input sequence_lens;Y;batch_axis:i=1 time_axis:i=0
RoiAlign 10;X rois batch_indices;Y;mode:s=avg output_height:i=1 output_width:i=1 sampling_ratio:i=0 spatial_scale:f=1
 16+ 22+;X rois batch_indices;Y;coordinate_transformation_mode:s=half_pixel mode:s=avg output_height:i=1 output_width:i=1 sampling_ratio:i=0 spatial_scale:f=1
RotaryEmbedding 23;X cos_cache sin_cache position_ids?;Y;interleaved:i=0 num_heads:i rotary_embedding_dim:i=0
Round 11 22+;X;Y;
STFT 17;signal frame_step window? frame_length?;output;onesided:i=1
Scan 8;sequence_lens? initial_state_and_scan_inputs*1;final_state_and_scan_outputs*1;body:g! directions:is num_scan_inputs:i!
 9+ 11+ 16+ 19+ 21+ 23+ 24+ 25+;initial_state_and_scan_inputs*1;final_state_and_scan_outputs*1;body:g! num_scan_inputs:i! scan_input_axes:is scan_input_directions:is scan_output_axes:is scan_output_directions:is
Scatter 9 11-;data indices updates;output;axis:i=0
ScatterElements 11 13+;data indices updates;output;axis:i=0
 16+ 18+;data indices updates;output;axis:i=0 reduction:s=none
ScatterND 11 13+;data indices updates;output;
 16+ 18+;data indices updates;output;reduction:s=none
Selu 1;X;Y;alpha:f=1.6732 consumed_inputs:is gamma:f=1.0507
 6+ 22+;X;Y;alpha:f=1.6732632 gamma:f=1.050701
SequenceAt 11;input_sequence position;tensor;
SequenceConstruct 11;inputs*1;output_sequence;
SequenceEmpty 11;;output;dtype:i
SequenceErase 11;input_sequence position?;output_sequence;
SequenceInsert 11;input_sequence tensor position?;output_sequence;
SequenceLength 11;input_sequence;length;
SequenceMap 17;input_sequence additional_inputs*0;out_sequence*1;body:g!
Shape 1 13+;data;shape;
 15+ 19+ 21+ 23+ 24+ 25+;data;shape;end:i start:i=0
Shrink 9;input;output;bias:f=0 lambd:f=0.5
Sigmoid 1;X;Y;consumed_inputs:is
 6+ 13+;X;Y;
Sign 9 13+;input;output;
Sin 7 22+;input;output;
Sinh 9 22+;input;output;
Size 1 13+ 19+ 21+ 23+ 24+ 25+;data;size;
Slice 1;data;output;axes:is ends:is! starts:is!
 10+ 11+ 13+;data starts ends axes? steps?;output;
Softmax 1 11+;input;output;axis:i=1
 13+;input;output;axis:i=-1
SoftmaxCrossEntropyLoss 12 13+;scores labels weights?;output log_prob?;ignore_index:i reduction:s=mean
Softplus 1 22+;X;Y;
Softsign 1 22+;input;output;
SpaceToDepth 1 13+;input;output;blocksize:i!
 28+;input;output;blocksize:i! mode:s=DCR
Split 1;input split?;outputs*1;axis:i split:is
 2+ 11+;input;outputs*1;axis:i=0 split:is
 13+;input split?;outputs*1;axis:i=0
 18+;input split?;outputs*1;axis:i=0 num_outputs:i
SplitToSequence 11 24+;input split?;output_sequence;axis:i=0 keepdims:i=1
Sqrt 1;X;Y;consumed_inputs:is
 6+ 13+;X;Y;
Squeeze 1 11+;data;squeezed;axes:is
 13+ 21+ 23+ 24+ 25+;data axes?;squeezed;
StringConcat 20;X Y;Z;
StringNormalizer 10;X;Y;case_change_action:s=NONE is_case_sensitive:i=0 locale:s stopwords:ss
StringSplit 20;X;Y Z;delimiter:s maxsplit:i
Sub 1;A B;C;axis:i broadcast:i=0 consumed_inputs:is
 6+;A B;C;axis:i broadcast:i=0
 7+ 13+ 14+;A B;C;
Sum 1;data_0*1;sum;consumed_inputs:is
 6+ 8+ 13+;data_0*1;sum;
SwiGLU 28;A B;Y;alpha:f=1
Swish 24;X;Y;alpha:f=1
Tan 7 22+;input;output;
Tanh 1;input;output;consumed_inputs:is
 6+ 13+;input;output;
TensorScatter 24;past_cache update write_indices?;present_cache;axis:i=-2 mode:s=linear
TfIdfVectorizer 9;X;Y;max_gram_length:i! max_skip_count:i! min_gram_length:i! mode:s! ngram_counts:is! ngram_indexes:is! pool_int64s:is pool_strings:ss weights:fs
ThresholdedRelu 10 22+;X;Y;alpha:f=1
Tile 1;input tiles axis;output;
 6 13+;input repeats;output;
TopK 1;X;Values Indices;axis:i=-1 k:i!
 10+;X K;Values Indices;axis:i=-1
 11+ 24+;X K;Values Indices;axis:i=-1 largest:i=1 sorted:i=1
Transpose 1 13+ 21+ 23+ 24+ 25+;data;transposed;perm:is
Trilu 14;input k?;output;upper:i=1
Unique 11 28+;X;Y indices? inverse_indices? counts?;axis:i sorted:i=1
Unsqueeze 1 11+;data;expanded;axes:is!
 13+ 21+ 23+ 24+ 25+;data axes;expanded;
Upsample 1;X;Y;height_scale:f! mode:s=nearest width_scale:f!
 7+;X;Y;mode:s=nearest scales:fs!
 9+ 10-;X scales;Y;mode:s=nearest
Where 9 16+;condition X Y;output;
Xor 1;A B;C;axis:i broadcast:i=0
 7+;A B;C;
#ai.onnx.ml
ArrayFeatureExtractor 1;X Y;Z;
Binarizer 1;X;Y;threshold:f=0
CastMap 1;X;Y;cast_to:s=TO_FLOAT map_form:s=DENSE max_map:i=1
CategoryMapper 1;X;Y;cats_int64s:is cats_strings:ss default_int64:i=-1 default_string:s=_Unused
DictVectorizer 1;X;Y;int64_vocabulary:is string_vocabulary:ss
FeatureVectorizer 1;X*1;Y;inputdimensions:is
Imputer 1;X;Y;imputed_value_floats:fs imputed_value_int64s:is replaced_value_float:f=0 replaced_value_int64:i=0
LabelEncoder 1;X;Y;classes_strings:ss default_int64:i=-1 default_string:s=_Unused
 2+;X;Y;default_float:f=-0 default_int64:i=-1 default_string:s=_Unused keys_floats:fs keys_int64s:is keys_strings:ss values_floats:fs values_int64s:is values_strings:ss
 4+;X;Y;default_float:f=-0 default_int64:i=-1 default_string:s=_Unused default_tensor:t keys_floats:fs keys_int64s:is keys_strings:ss keys_tensor:t values_floats:fs values_int64s:is values_strings:ss values_tensor:t
LinearClassifier 1;X;Y Z;classlabels_ints:is classlabels_strings:ss coefficients:fs! intercepts:fs multi_class:i=0 post_transform:s=NONE
LinearRegressor 1;X;Y;coefficients:fs intercepts:fs post_transform:s=NONE targets:i=1
Normalizer 1;X;Y;norm:s=MAX
OneHotEncoder 1;X;Y;cats_int64s:is cats_strings:ss zeros:i=1
SVMClassifier 1;X;Y Z;classlabels_ints:is classlabels_strings:ss coefficients:fs kernel_params:fs kernel_type:s=LINEAR post_transform:s=NONE prob_a:fs prob_b:fs rho:fs support_vectors:fs vectors_per_class:is
SVMRegressor 1;X;Y;coefficients:fs kernel_params:fs kernel_type:s=LINEAR n_supports:i=0 one_class:i=0 post_transform:s=NONE rho:fs support_vectors:fs
Scaler 1;X;Y;offset:fs scale:fs
TreeEnsemble 5;X;Y;aggregate_function:i=1 leaf_targetids:is! leaf_weights:t! membership_values:t n_targets:i nodes_falseleafs:is! nodes_falsenodeids:is! nodes_featureids:is! nodes_hitrates:t nodes_missing_value_tracks_true:is nodes_modes:t! nodes_splits:t! nodes_trueleafs:is! nodes_truenodeids:is! post_transform:i=0 tree_roots:is!
TreeEnsembleClassifier 1;X;Y Z;base_values:fs class_ids:is class_nodeids:is class_treeids:is class_weights:fs classlabels_int64s:is classlabels_strings:ss nodes_falsenodeids:is nodes_featureids:is nodes_hitrates:fs nodes_missing_value_tracks_true:is nodes_modes:ss nodes_nodeids:is nodes_treeids:is nodes_truenodeids:is nodes_values:fs post_transform:s=NONE
 3+ 5-;X;Y Z;base_values:fs base_values_as_tensor:t class_ids:is class_nodeids:is class_treeids:is class_weights:fs class_weights_as_tensor:t classlabels_int64s:is classlabels_strings:ss nodes_falsenodeids:is nodes_featureids:is nodes_hitrates:fs nodes_hitrates_as_tensor:t nodes_missing_value_tracks_true:is nodes_modes:ss nodes_nodeids:is nodes_treeids:is nodes_truenodeids:is nodes_values:fs nodes_values_as_tensor:t post_transform:s=NONE
TreeEnsembleRegressor 1;X;Y;aggregate_function:s=SUM base_values:fs n_targets:i nodes_falsenodeids:is nodes_featureids:is nodes_hitrates:fs nodes_missing_value_tracks_true:is nodes_modes:ss nodes_nodeids:is nodes_treeids:is nodes_truenodeids:is nodes_values:fs post_transform:s=NONE target_ids:is target_nodeids:is target_treeids:is target_weights:fs
 3+ 5-;X;Y;aggregate_function:s=SUM base_values:fs base_values_as_tensor:t n_targets:i nodes_falsenodeids:is nodes_featureids:is nodes_hitrates:fs nodes_hitrates_as_tensor:t nodes_missing_value_tracks_true:is nodes_modes:ss nodes_nodeids:is nodes_treeids:is nodes_truenodeids:is nodes_values:fs nodes_values_as_tensor:t post_transform:s=NONE target_ids:is target_nodeids:is target_treeids:is target_weights:fs target_weights_as_tensor:t
ZipMap 1;X;Z;classlabels_int64s:is classlabels_strings:ss
#ai.onnx.preview
FlexAttention 1;Q K V;Y;prob_mod:g scale:f score_mod:g softmax_precision:i
#ai.onnx.preview.training
Adagrad 1;R T inputs*1;outputs*1;decay_factor:f=0 epsilon:f=1e-06 norm_coefficient:f=0
Adam 1;R T inputs*1;outputs*1;alpha:f=0.9 beta:f=0.999 epsilon:f=1e-06 norm_coefficient:f=0 norm_coefficient_post:f=0
Gradient 1;Inputs*1;Outputs*1;xs:ss! y:s! zs:ss
Momentum 1;R T inputs*1;outputs*1;alpha:f! beta:f! mode:s! norm_coefficient:f!
`;
