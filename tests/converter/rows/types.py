"""In which element types the rows become builtin operators, and in which they stay Flex nodes.

TensorFlow itself takes no others. The first type of a row is the one in which it is looked at most closely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_BUILTIN: Sequence[tuple[str, str]] = (
    ("float32 float16 bfloat16 int8 int16 int32 int64", "Abs; ParallelDynamicStitch"),
    (
        "float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 complex64",
        "AccumulateNV2; AddN; AddN: of two; AddN: of one; AddV2; AddV2: to six dimensions; AddV2: of a scalar; "
        "BiasAdd; Mul; Square; Bitcast",
    ),
    (
        "float32 float16 bfloat16",
        "Acos; Acosh; Asin; Asinh; Atan; Atanh; Ceil; Cos; Cosh; DivNoNan; Exp; Expm1; Floor; Inv; IsFinite; "
        "IsInf; IsNan; Log; Log1p; MulNoNan; RealDiv; Reciprocal; Round; Rsqrt; Sin; Sinh; Softplus; Softsign; "
        "Selu; Sqrt; Tan; Xdivy; Xlog1py; Xlogy; Elu; LeakyRelu; LogSoftmax; Relu; Relu6; Sigmoid; Softmax; "
        "Tanh; FusedBatchNormV2; FusedBatchNormV3; FusedBatchNormV3: in training; SoftmaxCrossEntropyWithLogits; "
        "SparseSoftmaxCrossEntropyWithLogits; EluGrad; InvGrad; LeakyReluGrad; ReciprocalGrad; Relu6Grad; "
        "ReluGrad; RsqrtGrad; SeluGrad; SigmoidGrad; SoftplusGrad; SoftsignGrad; SqrtGrad; TanhGrad; Conv2D; "
        "Conv2D: valid, strided; Conv2D: same, strided; Conv2D: dilated; Conv2D: explicit; "
        "DepthwiseConv2dNative; Conv2DBackpropInput; Conv2DBackpropFilter; Conv2DBackpropFilter: strided; "
        "Conv2DBackpropFilter: valid, strided; Conv2DBackpropFilter: explicit; Conv3D; Conv3DBackpropInputV2; "
        "AvgPool; AvgPool: valid; MaxPool; MaxPool: explicit; MaxPoolV2; SegmentMean; Mean; EuclideanNorm; "
        "MatMul; MatMul: with weights; MatMul: with turned weights; MatMul: of unknown shapes; "
        "MatMul: with weights on the left; BatchMatMul; BatchMatMulV2; BatchMatMulV2: with weights; Einsum; "
        "Einsum: of weights; Einsum: of weights on the left; Einsum: of two indices; Einsum: of attention; "
        "Einsum: of attention's values; Einsum: outer; Einsum: elementwise; Einsum: matrix and vector; "
        "Einsum: of ellipses; Einsum: of two ellipses; Einsum: of unequal ellipses; Einsum: that sums; "
        "Einsum: of one; Multinomial",
    ),
    ("float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 complex64", "Add"),
    ("complex64", "Angle; ComplexAbs; Imag; Real; Conj; FFT; IFFT; IRFFT"),
    (
        "float32",
        "ApproximateEqual; Rint; Gelu; FusedBatchNorm; AdjustContrastv2; NonMaxSuppression; Empty; LinSpace; "
        "Complex; RFFT; RFFT2D; RandomUniform; RandomStandardNormal; FakeQuantWithMinMaxArgs; "
        "FakeQuantWithMinMaxArgs: narrow; FakeQuantWithMinMaxVars; FakeQuantWithMinMaxVarsPerChannel",
    ),
    ("float32 float16 bfloat16 float64", "Atan2"),
    ("int8 int16 int32 int64 uint8 uint16 uint32 uint64", "BitwiseAnd"),
    ("int8 int16 int32 uint8 uint16 uint32", "BitwiseOr; BitwiseXor; Invert; RightShift"),
    (
        "float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 uint32 bool complex64",
        "Cast: to float32; Cast: to int32; Cast: to float16; Cast: to bool",
    ),
    ("float32 float16 bfloat16 int8 int16 int32 int64 complex64", "Cast: to uint8"),
    ("float32 float16 bfloat16 int8 int16 int32 int64 uint8 uint16", "ClipByValue"),
    (
        "float32 float16 bfloat16 int8 int16 int32 uint8 uint16",
        "Div; FloorDiv; ResizeNearestNeighbor; SegmentSum; SegmentProd; SegmentMax; SegmentMin; "
        "UnsortedSegmentSum; UnsortedSegmentProd",
    ),
    (
        "float32 float16 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 bool string",
        "Equal; NotEqual; GatherV2: by int64; GatherNd; DynamicPartition",
    ),
    (
        "float32 float16 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32",
        "FloorMod; Greater; GreaterEqual; Less; LessEqual; DepthToSpace; SpaceToDepth; ExtractImagePatches; "
        "ExtractImagePatches: valid; TopKV2; TopKV2: to int64; Unique; UniqueWithCounts; LowerBound; UpperBound; "
        "ListDiff; Cross; SparseToDense; TensorScatterAdd; TensorScatterSub; MatrixDiag; MatrixDiagV2; "
        "MatrixDiagV2: above; MatrixDiagV2: below; MatrixDiagV3; MatrixDiagV3: above; MatrixDiagV3: below; "
        "MatrixSetDiag; MatrixSetDiagV2; MatrixSetDiagV3; ReverseSequence; Split; SplitV; Max; Min; Prod; Sum; "
        "BiasAddGrad; Cumsum; Cumprod",
    ),
    ("int8 int16 int32 uint8 uint16", "LeftShift; TruncateDiv"),
    ("bool", "LogicalAnd; LogicalNot; LogicalOr; All; Any"),
    (
        "float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64",
        "Maximum; Minimum; SpaceToBatch; BatchToSpace; SpaceToBatchND; BatchToSpaceND; TensorScatterMax; "
        "TensorScatterMin",
    ),
    ("float32 float16 bfloat16 float64 int8 int16 int32 int64 complex64", "Neg"),
    ("float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 bool complex64", "OnesLike"),
    ("float32 float16 bfloat16 int8 int16 int32", "Pow"),
    (
        "float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64",
        "Select; SelectV2; ZerosLike; TensorScatterUpdate: of one row; TensorScatterUpdate: of one element; "
        "XlaDynamicUpdateSlice; TensorStridedSliceUpdate; TensorStridedSliceUpdate: of one row; MatrixDiagPart; "
        "MatrixDiagPartV2; MatrixDiagPartV2: above; MatrixDiagPartV2: below; MatrixDiagPartV3; "
        "MatrixDiagPartV3: above; MatrixDiagPartV3: below; MatrixBandPart; MatrixBandPart: of unknown size; "
        "BroadcastTo; Fill; MirrorPad; Transpose",
    ),
    ("float32 float16 bfloat16 float64 int8 int16 int32 int64", "Sign"),
    ("float32 float16 bfloat16 int32", "SquaredDifference"),
    ("float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 uint32 complex64", "Sub"),
    ("int32", "TruncateMod; UnravelIndex"),
    (
        "float32 float16",
        "LRN; NonMaxSuppressionV2; NonMaxSuppressionV3; NonMaxSuppressionV4; NonMaxSuppressionV4: filled; "
        "NonMaxSuppressionV5; NonMaxSuppressionV5: filled; L2Loss; Einsum: inner",
    ),
    ("float32 bfloat16", "AvgPool3D; AvgPool3D: valid; MaxPool3D; BatchMatMulV3"),
    ("float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16", "ResizeBilinear"),
    (
        "float32 float16 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 bool",
        "Gather; GatherV2; OneHot; DynamicStitch; Roll; ScatterNd; ScatterNd: by int64; Concat; ConcatV2; Pack; "
        "PadV2; ParallelConcat; ReverseV2",
    ),
    ("float32 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 bool", "Where"),
    ("float32 float64 int32 int64", "Bucketize"),
    ("int32 int64", "InvertPermutation; InvertPermutation: of unknown size; DenseBincount; BroadcastArgs"),
    (
        "float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool",
        "TensorScatterUpdate; TensorScatterUpdate: at unknown places",
    ),
    ("float32 int32", "UnsortedSegmentMax; UnsortedSegmentMin; DenseBincount: of weights"),
    ("float32 float16 int32 int64", "Diag"),
    ("float32 float16 float64 int32 int64 complex64", "DiagPart"),
    (
        "float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 string",
        "Copy; DebugIdentity; DebugIdentityV2; DeepCopy; EnsureShape; ExpandDims; Rank; Reshape; Shape; ShapeN; "
        "Size; Slice; Squeeze; StridedSlice; StridedSlice: at an input; Unpack",
    ),
    ("float32 float16 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 bool complex64", "Pad"),
    ("float32 float16 bfloat16 int32 int64", "Range"),
    ("float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint32 uint64 bool complex64 string", "Tile"),
    ("float32 float16 bfloat16 int8 int16 int32 uint8 uint16 bool", "ArgMax; ArgMin"),
)

_FLEX: Sequence[tuple[str, str]] = (
    (
        "float64",
        "Abs; ApproximateEqual; Ceil; Floor; IsFinite; IsInf; IsNan; Rint; Softplus; Softsign; Selu; Elu; "
        "LeakyRelu; LogSoftmax; Softmax; SoftmaxCrossEntropyWithLogits; SparseSoftmaxCrossEntropyWithLogits; "
        "EluGrad; LeakyReluGrad; SeluGrad; SoftplusGrad; SoftsignGrad; DepthwiseConv2dNative; "
        "Conv2DBackpropFilter; Conv3D; Conv3DBackpropInputV2; AvgPool; LinSpace; Range; L2Loss; RFFT; RFFT2D",
    ),
    (
        "float64 complex64",
        "Acos; Acosh; Asin; Asinh; Atan; Atanh; ClipByValue; Cos; Cosh; DivNoNan; Exp; Expm1; Inv; Log; Log1p; "
        "MulNoNan; RealDiv; Reciprocal; Rsqrt; Sin; Sinh; Sqrt; Tan; Xdivy; Xlog1py; Xlogy; Sigmoid; Tanh; "
        "InvGrad; ReciprocalGrad; RsqrtGrad; SigmoidGrad; SqrtGrad; TanhGrad; ParallelDynamicStitch; Diag",
    ),
    (
        "string",
        "Add; Select; SelectV2; ZerosLike; XlaDynamicUpdateSlice; TensorStridedSliceUpdate; BroadcastTo; Fill; "
        "MirrorPad; Transpose",
    ),
    ("int64 uint64", "BitwiseOr; BitwiseXor; Invert; RightShift"),
    (
        "float64 int64 uint32 uint64 complex64",
        "Div; SegmentSum; SegmentProd; UnsortedSegmentSum; UnsortedSegmentProd",
    ),
    (
        "float64 uint64 complex64",
        "Equal; NotEqual; ExtractImagePatches; GatherNd; Where; DynamicPartition; TensorScatterAdd; "
        "TensorScatterSub; Prod; Sum; BiasAddGrad; Cumsum; Cumprod",
    ),
    ("float64 int64 uint32 uint64", "FloorDiv; SegmentMax; SegmentMin; ArgMax; ArgMin"),
    (
        "float64 uint64",
        "FloorMod; Greater; GreaterEqual; Less; LessEqual; TopKV2; LowerBound; UpperBound; ListDiff; Cross; Max; Min",
    ),
    ("int64 uint32 uint64", "LeftShift"),
    ("float64 int64 complex64", "Pow; SquaredDifference"),
    ("float64 int32 int64", "Round"),
    ("complex64", "Sign"),
    ("float32 float16 bfloat16 float64 int64 uint32 uint64", "TruncateDiv"),
    ("float32 float64 int64", "TruncateMod"),
    ("float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64", "Relu; Relu6; Relu6Grad; ReluGrad; Multinomial"),
    ("float16 bfloat16 float64", "Gelu"),
    ("float64 int32", "Conv2D; Conv2DBackpropInput"),
    ("float64 int8 int16 int32 int64 uint8 uint16", "MaxPool; MaxPoolV2"),
    ("float64 int64", "ResizeNearestNeighbor"),
    (
        "float64 uint64 bool complex64 string",
        "DepthToSpace; SpaceToDepth; SparseToDense; ReverseSequence; Split; SplitV",
    ),
    (
        "float64 uint64 complex64 string",
        "Gather; GatherV2; OneHot; DynamicStitch; Roll; ScatterNd; Concat; ConcatV2; Pack; PadV2; "
        "ParallelConcat; ReverseV2",
    ),
    ("float64 uint64 bool", "Unique; UniqueWithCounts"),
    ("int64", "UnravelIndex"),
    ("complex64 string", "TensorScatterUpdate"),
    ("float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 complex64", "SegmentMean; Mean; EuclideanNorm"),
    (
        "float16 bfloat16 float64 int8 int16 int64 uint8 uint16 uint32 uint64",
        "UnsortedSegmentMax; UnsortedSegmentMin",
    ),
    (
        "float64 uint64 bool complex64",
        "MatrixDiag; MatrixDiagV2; MatrixDiagV3; MatrixSetDiag; MatrixSetDiagV2; MatrixSetDiagV3",
    ),
    ("float64 uint64 string", "Pad"),
    ("float64 int32 int64 complex64", "MatMul; BatchMatMul; Einsum"),
    ("float64 int16 int32 int64 complex64", "BatchMatMulV2; BatchMatMulV3"),
)


def _by_row(table: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(types.split()) for types, names in table for name in names.split("; ")}


BUILTIN: Mapping[str, Sequence[str]] = _by_row(_BUILTIN)
FLEX: Mapping[str, Sequence[str]] = _by_row(_FLEX)
