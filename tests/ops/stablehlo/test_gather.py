"""STABLEHLO_GATHER against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix

X = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
RNG = np.random.default_rng(3)
PAIRS = {
    "offset_dims": (2, 3),
    "collapsed_slice_dims": (0,),
    "start_index_map": (1, 0),
    "index_vector_dim": 2,
    "slice_sizes": (1, 2, 2),
}


def gather(x: Any, shape: tuple[int, ...], dtype: Any = np.int32, label: str = "", **attributes: Any) -> Case:
    """Indices reach out of the operand on both sides."""
    more = {key: attributes.pop(key) for key in ("raises", "unreferenced", "refused") if key in attributes}
    return Case("STABLEHLO_GATHER", [x, RNG.integers(-2, 6, shape).astype(dtype)], PAIRS | attributes, label=label,
                **more)  # fmt: skip


CASES = [
    *(
        gather(X.astype(dtype), (2, 3, 2), np.int64, label=np.dtype(dtype).name)
        for dtype in (np.float64, np.float16, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)
    ),
    gather(X, (2, 3, 2), label="pairs"),
    gather(X, (2, 5), label="offsets apart", offset_dims=(0, 2), index_vector_dim=0, collapsed_slice_dims=(1,),
           start_index_map=(0, 2), slice_sizes=(2, 1, 2)),
    gather(X, (5, 3), label="elements", offset_dims=(), index_vector_dim=1, collapsed_slice_dims=(0, 1, 2),
           start_index_map=(0, 1, 2), slice_sizes=(1, 1, 1)),
    gather(X, (1,), label="one slice", offset_dims=(0, 1, 2), index_vector_dim=0, collapsed_slice_dims=(),
           start_index_map=(1,), slice_sizes=(1, 2, 2)),
    Case("STABLEHLO_GATHER", [X, np.int32([-1, 0, 1, 5])],
         {"offset_dims": (1,), "index_vector_dim": 1, "collapsed_slice_dims": (0, 2), "start_index_map": (2,),
          "slice_sizes": (1, 3, 1)},
         label="no dimension of parts", expect=[X[0, :3, [0, 0, 1, 1]]], unreferenced="it reads past the indices"),
    gather(X > 3, (2, 3, 2), label="bool"),
    Case("STABLEHLO_GATHER", [X, const(np.int32([[0, 2]]))], PAIRS | {"offset_dims": (1, 2), "index_vector_dim": 1},
         label="constant", expect=[X[2:3, 0:2]]),
    gather(X, (2, 3, 3), raises="3 parts, expected 2", unreferenced="it takes any", label="too many parts"),
    gather(X, (2, 3, 2), raises="slice_sizes", unreferenced="it takes any", label="large", slice_sizes=(1, 5, 2)),
    gather(X, (2, 3, 2), raises="collapses", unreferenced="it takes any", label="lost", collapsed_slice_dims=(1,)),
    gather(X, (2, 3, 2), raises="offset_dims", unreferenced="it takes any", label="offsets", offset_dims=(2,)),
    gather(X, (2, 3, 2), raises="index_vector_dim", unreferenced="it takes any", label="vector", index_vector_dim=4),
    gather(X, (2, 3, 2), np.int16, refused="not supported with int16", label="int16 indices"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_an_operand_without_dimensions() -> None:
    attributes = {"start_index_map": (), "index_vector_dim": 1}
    case = Case("STABLEHLO_GATHER", [np.float32(5), np.zeros((2, 0), np.int32)], attributes,
                expect=[np.float32([5, 5])])  # fmt: skip
    check(case)
