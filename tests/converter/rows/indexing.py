"""Rows of `converter/rules/indexing.py`, `scatter.py`, `segment.py` and `matrices.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.converter.oracle import Case, raw

INDEX = "?,2:int32"
ORDER = [2, 0, 3, 1]


def scattered(name: str, **options: Any) -> Case:
    """Single elements, and rows."""
    return Case(
        lambda tf, x, u: (
            getattr(tf.raw_ops, name)(tensor=x, indices=[[0, 1], [3, 2]], updates=u[:, 0]),
            getattr(tf.raw_ops, name)(tensor=x, indices=[[[2], [0]]], updates=u[None]),
        ),
        ["4,3", "2,3"],
        **options,
    )


def dynamic_update_slice(tf: Any, x: Any, update: Any, indices: Any) -> Any:
    from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_dynamic_update_slice

    return xla_dynamic_update_slice(x, update, indices)


def segments(name: str) -> Case:
    return Case(raw(name, "data segment_ids"), ["4,3", "4:int32"], values={1: [0, 0, 2, 3]})


def unsorted_segments(name: str) -> Case:
    return Case(raw(name, "data segment_ids", num_segments=5), ["4,3", "4:int32"], values={1: [3, 0, 0, -1]})


def diagonals(name: str, version: str) -> dict[str, Case]:
    """One of the main diagonal, and one that is not on it."""
    argument = "diagonal" if name == "MatrixDiag" else "input"
    shape = ["?,4"] if name == "MatrixDiag" else ["?,4,5"]
    padding = {"num_rows": -1, "num_cols": -1} if name == "MatrixDiag" else {}

    def case(k: int) -> Case:
        return Case(
            lambda tf, x: getattr(tf.raw_ops, name + version)(
                **{argument: x}, k=k, padding_value=tf.zeros((), x.dtype), **padding
            ),
            shape,
        )

    return {f"{name}{version}": case(0), f"{name}{version}: above": case(1), f"{name}{version}: below": case(-2)}


ROWS = {
    "Gather": Case(raw("Gather", "params indices"), ["?,3", "2,2:int32"], "GATHER", values={1: [[0, 1], [1, 0]]}),
    "GatherV2": Case(
        lambda tf, x, i: (tf.gather(x, i, axis=1), tf.gather(x, i, axis=1, batch_dims=1)), ["?,5,3", INDEX], "GATHER*2"
    ),
    "GatherV2: by int64": Case(lambda tf, x, i: tf.gather(x, i), ["4", "?:int64"], "GATHER"),
    "GatherNd": Case(lambda tf, x: tf.gather_nd(x, [[0, 1], [1, 2]]), ["?,5"], "GATHER_ND"),
    "OneHot": Case(
        lambda tf, i, x: (
            tf.raw_ops.OneHot(indices=i, depth=5, on_value=x[0], off_value=x[1], axis=a) for a in (-1, 0)
        ),
        [INDEX, "2"],
    ),
    "TopKV2": Case(raw("TopKV2", "input", k=2), ["?,6"], "TOPK_V2"),
    "TopKV2: to int64": Case(
        lambda tf, x: tf.raw_ops.TopKV2(input=x, k=2, index_type=tf.int64), ["?,6"], "TOPK_V2 CAST"
    ),
    "Where": Case(raw("Where", "condition"), ["?,3"], "WHERE"),
    "Unique": Case(raw("Unique", "x"), ["6"], "UNIQUE", values={0: [3, 1, 3, 2, 1, 3]}),
    "UniqueWithCounts": Case(raw("UniqueWithCounts", "x"), ["6"], values={0: [3, 1, 3, 2, 1, 3]}),
    "Bucketize": Case(raw("Bucketize", "input", boundaries=[-1.0, 0.0, 2.0]), ["?,3"], "BUCKETIZE"),
    "LowerBound": Case(
        raw("LowerBound", "sorted_inputs values"), ["2,4", "2,3"], values={0: [[0, 1, 1, 2], [1, 2, 3, 4]]}
    ),
    "UpperBound": Case(
        raw("UpperBound", "sorted_inputs values"), ["2,4", "2,3"], values={0: [[0, 1, 1, 2], [1, 2, 3, 4]]}
    ),
    "InvertPermutation": Case(raw("InvertPermutation", "x"), ["4"], values={0: ORDER}),
    "InvertPermutation: of unknown size": Case(raw("InvertPermutation", "x"), ["?"], values={0: [1, 0]}),
    "DynamicPartition": Case(
        raw("DynamicPartition", "data partitions", num_partitions=3), ["4,3", "4:int32"], values={1: [0, 2, 0, 2]}
    ),
    "DynamicStitch": Case(
        lambda tf, x, y: tf.raw_ops.DynamicStitch(indices=[[0, 2], 1, [[3], [2]]], data=[x, y, x[:, None]]),
        ["2,3", "3"],
    ),
    "ParallelDynamicStitch": Case(
        lambda tf, x: tf.raw_ops.ParallelDynamicStitch(indices=[[0, 2], [1, 3]], data=[x, -x]), ["2,3"]
    ),
    "ListDiff": Case(raw("ListDiff", "x y"), ["4", "3"], values={0: [4, 1, 2, 4], 1: [2, 3, 5]}),
    "UnravelIndex": Case(raw("UnravelIndex", "indices", dims=[3, 4, 5]), ["4"], values={0: [0, 59, 17, 23]}),
    "Roll": Case(
        lambda tf, x: (
            tf.raw_ops.Roll(input=x, shift=[1, -2], axis=[0, 1]),
            tf.raw_ops.Roll(input=x, shift=3, axis=-1),
            tf.raw_ops.Roll(input=x, shift=tf.shape(x)[0], axis=1),
        ),
        ["?,5"],
    ),
    "Cross": Case(raw("Cross", "a b"), ["?,3", "?,3"], "GATHER*4 MUL*2 SUB"),
    "ScatterNd": Case(
        lambda tf, x: tf.raw_ops.ScatterNd(indices=[[1], [1]], updates=x, shape=[5, 3]), ["2,3"], "SCATTER_ND"
    ),
    "ScatterNd: by int64": Case(
        lambda tf, i, x: tf.raw_ops.ScatterNd(indices=i, updates=x, shape=tf.constant([5], tf.int64)),
        ["?,1:int64", "?"],
    ),
    "SparseToDense": Case(
        lambda tf, x: tf.raw_ops.SparseToDense(
            sparse_indices=[[0, 1], [2, 0]], output_shape=[3, 4], sparse_values=x, default_value=x[0]
        ),
        ["2"],
    ),
    "TensorScatterAdd": scattered("TensorScatterAdd"),
    "TensorScatterSub": scattered("TensorScatterSub"),
    "TensorScatterUpdate": scattered("TensorScatterUpdate"),
    "TensorScatterUpdate: of one row": Case(
        lambda tf, x, i, u: tf.tensor_scatter_nd_update(x, [[i]], u[None]),
        ["?,3", ":int32", "3"],
        values={1: 1},
    ),
    "TensorScatterUpdate: of one element": Case(
        lambda tf, x, i, u: tf.tensor_scatter_nd_update(x, [i], u), ["?,3", "2:int32", "1"], values={1: [1, 2]}
    ),
    "TensorScatterUpdate: at unknown places": Case(
        lambda tf, x, i, u: tf.tensor_scatter_nd_update(x, i, u),
        ["4,?,3", "?,1:int32", "?,?,3"],
        values={1: [[3], [0]]},
    ),
    "TensorScatterMax": scattered("TensorScatterMax"),
    "TensorScatterMin": scattered("TensorScatterMin"),
    "XlaDynamicUpdateSlice": Case(
        dynamic_update_slice,
        ["?,5", "1,2", "2:int32"],
        "DYNAMIC_UPDATE_SLICE",
        values={2: [1, 2]},
        runs=False,
    ),
    "TensorStridedSliceUpdate": Case(
        lambda tf, x, u: tf.raw_ops.TensorStridedSliceUpdate(
            input=x, begin=[0, 1], end=[0, -1], strides=[1, 1], value=u, begin_mask=1, end_mask=1
        ),
        ["4,5", "4,3"],
    ),
    "TensorStridedSliceUpdate: of one row": Case(
        lambda tf, x, u: tf.raw_ops.TensorStridedSliceUpdate(
            input=x, begin=[-1], end=[0], strides=[1], value=u, shrink_axis_mask=1
        ),
        ["4,?", "?"],
    ),
    "SegmentSum": segments("SegmentSum"),
    "SegmentProd": segments("SegmentProd"),
    "SegmentMax": segments("SegmentMax"),
    "SegmentMin": segments("SegmentMin"),
    "SegmentMean": segments("SegmentMean"),
    "UnsortedSegmentSum": unsorted_segments("UnsortedSegmentSum"),
    "UnsortedSegmentProd": unsorted_segments("UnsortedSegmentProd"),
    "UnsortedSegmentMax": unsorted_segments("UnsortedSegmentMax"),
    "UnsortedSegmentMin": unsorted_segments("UnsortedSegmentMin"),
    "DenseBincount": Case(
        lambda tf, i: tf.raw_ops.DenseBincount(input=i, size=tf.cast(4, i.dtype), weights=np.zeros(0, np.float32)),
        ["6"],
        values={0: [0, 1, 3, 3, 7, 0]},
    ),
    "DenseBincount: of weights": Case(
        lambda tf, i, w: tf.raw_ops.DenseBincount(input=i, size=tf.reduce_max(i), weights=w),
        ["6:int32", "6"],
        values={0: [0, 1, 3, 3, 7, 0]},
    ),
    "Diag": Case(raw("Diag", "diagonal"), ["4"], "MATRIX_DIAG"),
    "DiagPart": Case(raw("DiagPart", "input"), ["4,4"]),
    "MatrixDiag": Case(raw("MatrixDiag", "diagonal"), ["?,4"], "MATRIX_DIAG"),
    **diagonals("MatrixDiag", "V2"),
    **diagonals("MatrixDiag", "V3"),
    "MatrixDiagPart": Case(raw("MatrixDiagPart", "input"), ["?,4,4"]),
    **diagonals("MatrixDiagPart", "V2"),
    **diagonals("MatrixDiagPart", "V3"),
    "MatrixSetDiag": Case(raw("MatrixSetDiag", "input diagonal"), ["?,4,3", "?,3"], "MATRIX_SET_DIAG"),
    "MatrixSetDiagV2": Case(raw("MatrixSetDiagV2", "input diagonal", k=0), ["?,4,3", "?,3"], "MATRIX_SET_DIAG"),
    "MatrixSetDiagV3": Case(raw("MatrixSetDiagV3", "input diagonal", k=0), ["?,4,3", "?,3"], "MATRIX_SET_DIAG"),
    "MatrixBandPart": Case(raw("MatrixBandPart", "input", num_lower=1, num_upper=0), ["?,4,3"], "SELECT_V2"),
    "MatrixBandPart: of unknown size": Case(raw("MatrixBandPart", "input", num_lower=-1, num_upper=1), ["2,?,?"]),
}
