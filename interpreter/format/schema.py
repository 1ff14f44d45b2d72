"""The .tflite schema as one declarative table, used both ways: the reader walks it, the writer follows it.

The texts below are all there is: enums, unions, tables and operators as the file format numbers them (schema.fbs,
version 3d). The rest of the module turns them into `ENUMS`, `UNIONS`, `TABLES`, `OPERATORS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

FILE_IDENTIFIER = b"TFL3"
VERSION = 3

# Name and scalar type, then the members, which count from 0.
_ENUMS = """
TensorType:byte FLOAT32 FLOAT16 INT32 UINT8 INT64 STRING BOOL INT16 COMPLEX64 INT8 FLOAT64 COMPLEX128 UINT64
    RESOURCE VARIANT UINT32 UINT16 INT4 BFLOAT16 INT2 UINT4 FLOAT8_E4M3FN FLOAT8_E5M2
DimensionType:byte DENSE SPARSE_CSR
StablehloPrecisionConfig:uint DEFAULT HIGH HIGHEST
StablehloComparisonDirection:uint STABLEHLO_COMPARISON_DIRECTION_EQ STABLEHLO_COMPARISON_DIRECTION_NE
    STABLEHLO_COMPARISON_DIRECTION_GE STABLEHLO_COMPARISON_DIRECTION_GT STABLEHLO_COMPARISON_DIRECTION_LE
    STABLEHLO_COMPARISON_DIRECTION_LT
StablehloComparisonType:uint STABLEHLO_COMPARISON_TYPE_NOTYPE STABLEHLO_COMPARISON_TYPE_FLOAT
    STABLEHLO_COMPARISON_TYPE_FLOAT_TOTAL_ORDER STABLEHLO_COMPARISON_TYPE_SIGNED
    STABLEHLO_COMPARISON_TYPE_UNSIGNED
RngAlgorithm:byte DEFAULT PHILOX THREEFRY
Padding:byte SAME VALID
ActivationFunctionType:byte NONE RELU RELU_N1_TO_1 RELU6 TANH SIGN_BIT
LSHProjectionType:byte UNKNOWN SPARSE DENSE
FullyConnectedOptionsWeightsFormat:byte DEFAULT SHUFFLED4x16INT8
LSTMKernelType:byte FULL BASIC
CombinerType:byte SUM MEAN SQRTN
MirrorPadMode:byte REFLECT SYMMETRIC
ReduceWindowFunction:int UNSUPPORTED ADD MUL MINIMUM MAXIMUM ALL ANY
CustomOptionsFormat:byte FLEXBUFFERS
"""

# Name, then the member tables, whose tags count from 1; tag 0 is "none".
_UNIONS = """
QuantizationDetails CustomQuantization BlockwiseQuantization MultiAxisQuantization
SparseIndexVector Int32Vector Uint16Vector Uint8Vector
"""

# Name, then the fields in slot order: `name:type`, `name:type=default`, `[type]` for a vector, `-` for a slot that is
# no longer used. A union takes two slots: its tag and its value.
_TABLES = """
Model version:uint operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string buffers:[Buffer]
    metadata_buffer:[int] metadata:[Metadata] signature_defs:[SignatureDef]
    external_buffer_groups:[ExternalBufferGroup] external_buffers:[ExternalBuffer]
OperatorCode deprecated_builtin_code:byte custom_code:string version:int=1 builtin_code:BuiltinOperator
SubGraph tensors:[Tensor] inputs:[int] outputs:[int] operators:[Operator] name:string
    debug_metadata_index:int=-1
Tensor shape:[int] type:TensorType buffer:uint name:string quantization:QuantizationParameters is_variable:bool
    sparsity:SparsityParameters shape_signature:[int] has_rank:bool variant_tensors:[VariantSubType]
    external_buffer:uint
QuantizationParameters min:[float] max:[float] scale:[float] zero_point:[long] details:QuantizationDetails
    quantized_dimension:int
CustomQuantization custom:[ubyte]
BlockwiseQuantization scales:int zero_points:int block_size:int block_shape:[int]
MultiAxisQuantization scales:int zero_points:int block_size:int quantized_dimensions:[int]
SparsityParameters traversal_order:[int] block_map:[int] dim_metadata:[DimensionMetadata]
DimensionMetadata format:DimensionType dense_size:int array_segments:SparseIndexVector
    array_indices:SparseIndexVector
Int32Vector values:[int]
Uint16Vector values:[ushort]
Uint8Vector values:[ubyte]
VariantSubType shape:[int] type:TensorType has_rank:bool
Operator opcode_index:uint inputs:[int] outputs:[int] builtin_options:BuiltinOptions custom_options:[ubyte]
    custom_options_format:CustomOptionsFormat mutating_variable_inputs:[bool] intermediates:[int]
    large_custom_options_offset:ulong large_custom_options_size:ulong builtin_options_2:BuiltinOptions2
    debug_metadata_index:int=-1
Buffer data:[ubyte] offset:ulong size:ulong
Metadata name:string buffer:uint
SignatureDef inputs:[TensorMap] outputs:[TensorMap] signature_key:string - subgraph_index:uint
TensorMap name:string tensor_index:uint
ExternalBufferGroup name:string
ExternalBuffer id:uint group:uint offset:ulong length:ulong packing:string
"""

# Options of operators, in the order of their tags in the union BuiltinOptions.
_OPTIONS = """
Conv2DOptions padding:Padding stride_w:int stride_h:int fused_activation_function:ActivationFunctionType
    dilation_w_factor:int=1 dilation_h_factor:int=1 quantized_bias_type:TensorType
DepthwiseConv2DOptions padding:Padding stride_w:int stride_h:int depth_multiplier:int
    fused_activation_function:ActivationFunctionType dilation_w_factor:int=1 dilation_h_factor:int=1
ConcatEmbeddingsOptions num_channels:int num_columns_per_channel:[int] embedding_dim_per_channel:[int]
LSHProjectionOptions type:LSHProjectionType
Pool2DOptions padding:Padding stride_w:int stride_h:int filter_width:int filter_height:int
    fused_activation_function:ActivationFunctionType
SVDFOptions rank:int fused_activation_function:ActivationFunctionType asymmetric_quantize_inputs:bool
RNNOptions fused_activation_function:ActivationFunctionType asymmetric_quantize_inputs:bool
FullyConnectedOptions fused_activation_function:ActivationFunctionType
    weights_format:FullyConnectedOptionsWeightsFormat keep_num_dims:bool asymmetric_quantize_inputs:bool
    quantized_bias_type:TensorType quant_spec:[ubyte]
SoftmaxOptions beta:float
ConcatenationOptions axis:int fused_activation_function:ActivationFunctionType
AddOptions fused_activation_function:ActivationFunctionType pot_scale_int16:bool=true
L2NormOptions fused_activation_function:ActivationFunctionType
LocalResponseNormalizationOptions radius:int bias:float alpha:float beta:float
LSTMOptions fused_activation_function:ActivationFunctionType cell_clip:float proj_clip:float
    kernel_type:LSTMKernelType asymmetric_quantize_inputs:bool
ResizeBilinearOptions - - align_corners:bool half_pixel_centers:bool
CallOptions subgraph:uint
ReshapeOptions new_shape:[int]
SkipGramOptions ngram_size:int max_skip_size:int include_all_ngrams:bool
SpaceToDepthOptions block_size:int
EmbeddingLookupSparseOptions combiner:CombinerType
MulOptions fused_activation_function:ActivationFunctionType
PadOptions
GatherOptions axis:int batch_dims:int
BatchToSpaceNDOptions
SpaceToBatchNDOptions
TransposeOptions
ReducerOptions keep_dims:bool
SubOptions fused_activation_function:ActivationFunctionType pot_scale_int16:bool=true
DivOptions fused_activation_function:ActivationFunctionType
SqueezeOptions squeeze_dims:[int]
SequenceRNNOptions time_major:bool fused_activation_function:ActivationFunctionType
    asymmetric_quantize_inputs:bool
StridedSliceOptions begin_mask:int end_mask:int ellipsis_mask:int new_axis_mask:int shrink_axis_mask:int
    offset:bool
ExpOptions
TopKV2Options
SplitOptions num_splits:int
LogSoftmaxOptions
CastOptions in_data_type:TensorType out_data_type:TensorType
DequantizeOptions
MaximumMinimumOptions
ArgMaxOptions output_type:TensorType
LessOptions
NegOptions
PadV2Options
GreaterOptions
GreaterEqualOptions
LessEqualOptions
SelectOptions
SliceOptions
TransposeConvOptions padding:Padding stride_w:int stride_h:int fused_activation_function:ActivationFunctionType
    quantized_bias_type:TensorType
SparseToDenseOptions validate_indices:bool
TileOptions
ExpandDimsOptions
EqualOptions
NotEqualOptions
ShapeOptions out_type:TensorType
PowOptions
ArgMinOptions output_type:TensorType
FakeQuantOptions min:float max:float num_bits:int narrow_range:bool
PackOptions values_count:int axis:int
LogicalOrOptions
OneHotOptions axis:int
LogicalAndOptions
LogicalNotOptions
UnpackOptions num:int axis:int
FloorDivOptions
SquareOptions
ZerosLikeOptions
FillOptions
BidirectionalSequenceLSTMOptions fused_activation_function:ActivationFunctionType cell_clip:float
    proj_clip:float merge_outputs:bool time_major:bool=true asymmetric_quantize_inputs:bool
BidirectionalSequenceRNNOptions time_major:bool fused_activation_function:ActivationFunctionType
    merge_outputs:bool asymmetric_quantize_inputs:bool
UnidirectionalSequenceLSTMOptions fused_activation_function:ActivationFunctionType cell_clip:float
    proj_clip:float time_major:bool asymmetric_quantize_inputs:bool diagonal_recurrent_tensors:bool
FloorModOptions
RangeOptions
ResizeNearestNeighborOptions align_corners:bool half_pixel_centers:bool
LeakyReluOptions alpha:float
SquaredDifferenceOptions
MirrorPadOptions mode:MirrorPadMode
AbsOptions
SplitVOptions num_splits:int
UniqueOptions idx_out_type:TensorType=INT32
ReverseV2Options
AddNOptions
GatherNdOptions
CosOptions
WhereOptions
RankOptions
ReverseSequenceOptions seq_dim:int batch_dim:int
MatrixDiagOptions
QuantizeOptions
MatrixSetDiagOptions
HardSwishOptions
IfOptions then_subgraph_index:int else_subgraph_index:int
WhileOptions cond_subgraph_index:int body_subgraph_index:int
DepthToSpaceOptions block_size:int
NonMaxSuppressionV4Options
NonMaxSuppressionV5Options
ScatterNdOptions
SelectV2Options
DensifyOptions
SegmentSumOptions
BatchMatMulOptions adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool
CumsumOptions exclusive:bool reverse:bool
CallOnceOptions init_subgraph_index:int
BroadcastToOptions
Rfft2dOptions
Conv3DOptions padding:Padding stride_d:int stride_w:int stride_h:int
    fused_activation_function:ActivationFunctionType dilation_d_factor:int=1 dilation_w_factor:int=1
    dilation_h_factor:int=1
HashtableOptions table_id:int key_dtype:TensorType value_dtype:TensorType
HashtableFindOptions
HashtableImportOptions
HashtableSizeOptions
VarHandleOptions container:string shared_name:string
ReadVariableOptions
AssignVariableOptions
RandomOptions seed:long seed2:long
BucketizeOptions boundaries:[float]
GeluOptions approximate:bool
DynamicUpdateSliceOptions
UnsortedSegmentProdOptions
UnsortedSegmentMaxOptions
UnsortedSegmentMinOptions
UnsortedSegmentSumOptions
ATan2Options
SignOptions
BitcastOptions
BitwiseXorOptions
RightShiftOptions
"""

# The same for BuiltinOptions2.
_OPTIONS_2 = """
StablehloConcatenateOptions dimension:long
StablehloBroadcastInDimOptions broadcast_dimensions:[long]
StablehloSliceOptions start_indices:[long] limit_indices:[long] strides:[long]
StablehloConvolutionOptions window_strides:[long] padding:[long] lhs_dilation:[long] rhs_dilation:[long]
    window_reversal:[bool] input_batch_dimension:long input_feature_dimension:long
    input_spatial_dimensions:[long] kernel_input_feature_dimension:long kernel_output_feature_dimension:long
    kernel_spatial_dimensions:[long] output_batch_dimension:long output_feature_dimension:long
    output_spatial_dimensions:[long] feature_group_count:long batch_group_count:long
    precision_config:[StablehloPrecisionConfig]
StablehloCustomCallOptions call_target_name:string has_side_effect:bool backend_config:string api_version:int
    called_computations:[int] custom_attributes:[ubyte]
StablehloReduceOptions dimensions:[long] body_subgraph_index:int
StablehloScatterOptions indices_are_sorted:bool update_window_dims:[long] inserted_window_dims:[long]
    scatter_dims_to_operand_dims:[long] index_vector_dim:long unique_indices:bool
    update_computation_subgraph_index:int
StablehloCompareOptions comparison_direction:StablehloComparisonDirection compare_type:StablehloComparisonType
StablehloDynamicSliceOptions slice_sizes:[long]
StablehloPadOptions edge_padding_low:[long] edge_padding_high:[long] interior_padding:[long]
StablehloIotaOptions iota_dimension:long
StablehloDotGeneralOptions lhs_batching_dimensions:[long] rhs_batching_dimensions:[long]
    lhs_contracting_dimensions:[long] rhs_contracting_dimensions:[long]
    precision_config:[StablehloPrecisionConfig]
StablehloReduceWindowOptions window_dimensions:[long] window_strides:[long] base_dilations:[long]
    window_dilations:[long] padding:[long] body_subgraph_index:int
StablehloSortOptions dimension:long is_stable:bool comparator_subgraph_index:int
StablehloWhileOptions cond_subgraph_index:int body_subgraph_index:int
StablehloGatherOptions offset_dims:[long] collapsed_slice_dims:[long] start_index_map:[long]
    index_vector_dim:long slice_sizes:[long] indices_are_sorted:bool
StablehloTransposeOptions permutation:[long]
DilateOptions
StablehloRngBitGeneratorOptions algorithm:RngAlgorithm
ReduceWindowOptions reduce_function:ReduceWindowFunction
StableHLOCompositeOptions name:string decomposition_subgraph_index:int composite_attributes:[ubyte]
    composite_attributes_format:CustomOptionsFormat version:int
StablehloShiftLeftOptions
StablehloCaseOptions branch_subgraph_indices:[int]
"""

# Builtin operators, which count from 0, each with the options table it reads (without the suffix "Options").
_OPERATORS = """
ADD:Add AVERAGE_POOL_2D:Pool2D CONCATENATION:Concatenation CONV_2D:Conv2D DEPTHWISE_CONV_2D:DepthwiseConv2D
DEPTH_TO_SPACE:DepthToSpace DEQUANTIZE:Dequantize EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED:FullyConnected
HASHTABLE_LOOKUP L2_NORMALIZATION:L2Norm L2_POOL_2D:Pool2D LOCAL_RESPONSE_NORMALIZATION:LocalResponseNormalization
LOGISTIC LSH_PROJECTION:LSHProjection LSTM:LSTM MAX_POOL_2D:Pool2D MUL:Mul RELU RELU_N1_TO_1 RELU6 RESHAPE:Reshape
RESIZE_BILINEAR:ResizeBilinear RNN:RNN SOFTMAX:Softmax SPACE_TO_DEPTH:SpaceToDepth SVDF:SVDF TANH
CONCAT_EMBEDDINGS:ConcatEmbeddings SKIP_GRAM:SkipGram CALL:Call CUSTOM EMBEDDING_LOOKUP_SPARSE:EmbeddingLookupSparse
PAD:Pad UNIDIRECTIONAL_SEQUENCE_RNN:SequenceRNN GATHER:Gather BATCH_TO_SPACE_ND:BatchToSpaceND
SPACE_TO_BATCH_ND:SpaceToBatchND TRANSPOSE:Transpose MEAN:Reducer SUB:Sub DIV:Div SQUEEZE:Squeeze
UNIDIRECTIONAL_SEQUENCE_LSTM:UnidirectionalSequenceLSTM STRIDED_SLICE:StridedSlice
BIDIRECTIONAL_SEQUENCE_RNN:BidirectionalSequenceRNN EXP:Exp TOPK_V2:TopKV2 SPLIT:Split LOG_SOFTMAX:LogSoftmax
DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM:BidirectionalSequenceLSTM CAST:Cast PRELU MAXIMUM:MaximumMinimum ARG_MAX:ArgMax
MINIMUM:MaximumMinimum LESS:Less NEG:Neg PADV2:PadV2 GREATER:Greater GREATER_EQUAL:GreaterEqual LESS_EQUAL:LessEqual
SELECT:Select SLICE:Slice SIN TRANSPOSE_CONV:TransposeConv SPARSE_TO_DENSE:SparseToDense TILE:Tile
EXPAND_DIMS:ExpandDims EQUAL:Equal NOT_EQUAL:NotEqual LOG SUM:Reducer SQRT RSQRT SHAPE:Shape POW:Pow ARG_MIN:ArgMin
FAKE_QUANT:FakeQuant REDUCE_PROD:Reducer REDUCE_MAX:Reducer PACK:Pack LOGICAL_OR:LogicalOr ONE_HOT:OneHot
LOGICAL_AND:LogicalAnd LOGICAL_NOT:LogicalNot UNPACK:Unpack REDUCE_MIN:Reducer FLOOR_DIV:FloorDiv REDUCE_ANY:Reducer
SQUARE:Square ZEROS_LIKE:ZerosLike FILL:Fill FLOOR_MOD:FloorMod RANGE:Range
RESIZE_NEAREST_NEIGHBOR:ResizeNearestNeighbor LEAKY_RELU:LeakyRelu SQUARED_DIFFERENCE:SquaredDifference
MIRROR_PAD:MirrorPad ABS:Abs SPLIT_V:SplitV UNIQUE:Unique CEIL REVERSE_V2:ReverseV2 ADD_N:AddN GATHER_ND:GatherNd
COS:Cos WHERE:Where RANK:Rank ELU REVERSE_SEQUENCE:ReverseSequence MATRIX_DIAG:MatrixDiag QUANTIZE:Quantize
MATRIX_SET_DIAG:MatrixSetDiag ROUND HARD_SWISH:HardSwish IF:If WHILE:While
NON_MAX_SUPPRESSION_V4:NonMaxSuppressionV4 NON_MAX_SUPPRESSION_V5:NonMaxSuppressionV5 SCATTER_ND:ScatterNd
SELECT_V2:SelectV2 DENSIFY:Densify SEGMENT_SUM:SegmentSum BATCH_MATMUL:BatchMatMul PLACEHOLDER_FOR_GREATER_OP_CODES
CUMSUM:Cumsum CALL_ONCE:CallOnce BROADCAST_TO:BroadcastTo RFFT2D:Rfft2d CONV_3D:Conv3D IMAG REAL COMPLEX_ABS
HASHTABLE:Hashtable HASHTABLE_FIND:HashtableFind HASHTABLE_IMPORT:HashtableImport HASHTABLE_SIZE:HashtableSize
REDUCE_ALL:Reducer CONV_3D_TRANSPOSE:Conv3D VAR_HANDLE:VarHandle READ_VARIABLE:ReadVariable
ASSIGN_VARIABLE:AssignVariable BROADCAST_ARGS RANDOM_STANDARD_NORMAL:Random BUCKETIZE:Bucketize
RANDOM_UNIFORM:Random MULTINOMIAL:Random GELU:Gelu DYNAMIC_UPDATE_SLICE:DynamicUpdateSlice RELU_0_TO_1
UNSORTED_SEGMENT_PROD:UnsortedSegmentProd UNSORTED_SEGMENT_MAX:UnsortedSegmentMax
UNSORTED_SEGMENT_SUM:UnsortedSegmentSum ATAN2:ATan2 UNSORTED_SEGMENT_MIN:UnsortedSegmentMin SIGN:Sign
BITCAST:Bitcast BITWISE_XOR:BitwiseXor RIGHT_SHIFT:RightShift STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE
STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE:StablehloConcatenate
STABLEHLO_BROADCAST_IN_DIM:StablehloBroadcastInDim STABLEHLO_CONVOLUTION:StablehloConvolution
STABLEHLO_SLICE:StablehloSlice STABLEHLO_CUSTOM_CALL:StablehloCustomCall STABLEHLO_REDUCE:StablehloReduce
STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM
STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT
STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER:StablehloScatter STABLEHLO_COMPARE:StablehloCompare
STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE:StablehloDynamicSlice STABLEHLO_DYNAMIC_UPDATE_SLICE
STABLEHLO_PAD:StablehloPad STABLEHLO_IOTA:StablehloIota STABLEHLO_DOT_GENERAL:StablehloDotGeneral
STABLEHLO_REDUCE_WINDOW:StablehloReduceWindow STABLEHLO_SORT:StablehloSort STABLEHLO_WHILE:StablehloWhile
STABLEHLO_GATHER:StablehloGather STABLEHLO_TRANSPOSE:StablehloTranspose DILATE:Dilate
STABLEHLO_RNG_BIT_GENERATOR:StablehloRngBitGenerator REDUCE_WINDOW:ReduceWindow
STABLEHLO_COMPOSITE:StableHLOComposite STABLEHLO_SHIFT_LEFT:StablehloShiftLeft STABLEHLO_CBRT
STABLEHLO_CASE:StablehloCase
"""


class Kind(Enum):
    """How a field is stored: inline, or as an offset to a string, a table or a vector."""

    SCALAR = 1
    STRING = 2
    TABLE = 3
    UNION = 4
    SCALARS = 5
    TABLES = 6


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table: its slot in the vtable, how it is stored, what it holds."""

    name: str
    slot: int
    kind: Kind
    type: str  # scalar type, enum, table or union by name
    dtype: np.dtype[Any]  # of the scalar, of the elements of a vector of scalars, else of an offset
    default: Any = None  # what an absent field means: a scalar, "" or (); None for tables and unions

    @property
    def width(self) -> int:
        """Bytes that the field takes inside its table."""
        return self.dtype.itemsize if self.kind is Kind.SCALAR else 4

    def column(self, count: int) -> np.ndarray:
        """What so many tables that lack the field hold: the default, or position 0."""
        is_scalar = self.kind is Kind.SCALAR
        return np.full(count, self.default if is_scalar else 0, self.dtype if is_scalar else np.int64)


@dataclass(frozen=True, slots=True)
class Table:
    """A table type: its name and its fields in slot order."""

    name: str
    fields: tuple[Field, ...]

    def __getitem__(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)


@dataclass(frozen=True, slots=True)
class Operator:
    """A builtin operator: its code, its options table ("" for none), the union (1 or 2) and tag that name the table."""

    name: str
    code: int
    options: str
    union: int
    tag: int


_SCALARS = {
    "bool": np.dtype(np.bool_),
    "byte": np.dtype("i1"),
    "ubyte": np.dtype("u1"),
    "ushort": np.dtype("<u2"),
    "int": np.dtype("<i4"),
    "uint": np.dtype("<u4"),
    "long": np.dtype("<i8"),
    "ulong": np.dtype("<u8"),
    "float": np.dtype("<f4"),
    "BuiltinOperator": np.dtype("<i4"),
}
_OFFSET = _SCALARS["uint"]


def _entries(text: str) -> Iterator[list[str]]:
    """Words of each entry; an indented line continues the one above it."""
    for entry in text.strip().replace("\n    ", " ").split("\n"):
        yield entry.split()


def _enums() -> Iterator[tuple[str, dict[str, int]]]:
    for head, *members in _entries(_ENUMS):
        name, base = head.split(":")
        _SCALARS[name] = _SCALARS[base]
        yield name, {member: value for value, member in enumerate(members)}


def _field(slot: int, word: str) -> Field:
    name, declared = word.split(":")
    declared, _, default = declared.partition("=")
    kind = declared.strip("[]")
    if declared.startswith("["):
        if kind in _SCALARS:
            return Field(name, slot, Kind.SCALARS, kind, _SCALARS[kind], ())
        return Field(name, slot, Kind.TABLES, kind, _OFFSET, ())
    if kind in _SCALARS:
        dtype = _SCALARS[kind]
        value = ENUMS.get(kind, {}).get(default, default) or 0
        return Field(
            name, slot, Kind.SCALAR, kind, dtype, dtype.type(default == "true" if kind == "bool" else value).item()
        )
    if kind == "string":
        return Field(name, slot, Kind.STRING, kind, _OFFSET, "")
    return Field(name, slot, Kind.UNION if kind in UNIONS else Kind.TABLE, kind, _OFFSET)


def _table(name: str, words: list[str]) -> Table:
    fields: list[Field] = []
    slot = 0
    for word in words:
        if word != "-":
            field = _field(slot, word)
            if field.kind is Kind.UNION:
                fields.append(Field(f"{field.name}_type", slot, Kind.SCALAR, "ubyte", _SCALARS["ubyte"], 0))
                slot += 1
                field = Field(field.name, slot, Kind.UNION, field.type, _OFFSET)
            fields.append(field)
        slot += 1
    return Table(name, tuple(fields))


def _operators() -> Iterator[Operator]:
    for code, word in enumerate(_OPERATORS.split()):
        name, _, options = word.partition(":")
        options = options and f"{options}Options"
        union = 2 if options in UNIONS["BuiltinOptions2"] else 1
        members = UNIONS["BuiltinOptions2" if union == 2 else "BuiltinOptions"]
        yield Operator(name, code, options, union, members.index(options) if options else 0)


ENUMS: dict[str, dict[str, int]] = {
    "BuiltinOperator": {word.partition(":")[0]: code for code, word in enumerate(_OPERATORS.split())},
    **dict(_enums()),
}
"""Enum -> member -> number."""

UNIONS: dict[str, tuple[str, ...]] = {
    **{name: ("", *members) for name, *members in _entries(_UNIONS)},
    "BuiltinOptions": ("", *(name for name, *_ in _entries(_OPTIONS))),
    "BuiltinOptions2": ("", *(name for name, *_ in _entries(_OPTIONS_2))),
}
"""Union -> table of each tag; tag 0 is ""."""

TABLES: dict[str, Table] = {
    name: _table(name, words) for text in (_TABLES, _OPTIONS, _OPTIONS_2) for name, *words in _entries(text)
}
"""Table types by name, each before the types that it refers to."""

OPERATORS: tuple[Operator, ...] = tuple(_operators())
"""Builtin operators by code."""

OPERATORS_BY_NAME: dict[str, Operator] = {operator.name: operator for operator in OPERATORS}

CUSTOM = OPERATORS_BY_NAME["CUSTOM"].code
