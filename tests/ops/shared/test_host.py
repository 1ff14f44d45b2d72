"""Index-like operands on the host."""

from __future__ import annotations

import numpy as np
import pytest

from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.graph import TensorSpec, TensorType
from tflite_cupy.interpreter.ops.shared.host import (
    dimensions,
    host,
    integers,
    known,
    normalize_axes,
    normalize_axis,
    require_indices,
    scalar,
)


class OnDevice:
    """An array that host code gets at through `.get()` alone."""

    def __init__(self, values: list[int]) -> None:
        self.values = np.array(values)

    def get(self) -> np.ndarray:
        return self.values


def test_host_takes_numpy_arrays_as_they_are_and_device_arrays_through_get() -> None:
    array = np.arange(3)
    assert host(array) is array
    np.testing.assert_array_equal(host(OnDevice([1, 2])), [1, 2])


def test_known_prefers_the_constant() -> None:
    spec = TensorSpec(TensorType.INT32, (1,), value=np.int32([7]))
    np.testing.assert_array_equal(known(spec, OnDevice([1])), [7])
    np.testing.assert_array_equal(known(None, OnDevice([1])), [1])
    np.testing.assert_array_equal(known(TensorSpec(TensorType.INT32, (1,)), OnDevice([1])), [1])


@pytest.mark.parametrize(("axis", "rank", "expected"), [(0, 1, 0), (-1, 3, 2), (2, 3, 2), (-3, 3, 0)])
def test_normalize_axis(axis: int, rank: int, expected: int) -> None:
    assert normalize_axis(axis, rank) == expected


@pytest.mark.parametrize(("axis", "rank"), [(1, 1), (-2, 1), (0, 0)])
def test_an_axis_that_is_not_there(axis: int, rank: int) -> None:
    with pytest.raises(KernelError, match=f"axis {axis} is out of range for rank {rank}"):
        normalize_axis(axis, rank)


def test_normalize_axes_keeps_order_and_repeats() -> None:
    assert normalize_axes([1, -1, 0], 2) == (1, 1, 0)


def test_integers_are_python_integers() -> None:
    assert [type(n) for n in integers(np.int64([[1], [2]]))] == [int, int]


def test_scalar_takes_one_element_of_any_rank() -> None:
    assert scalar(np.int32([[5]]), "k") == 5
    with pytest.raises(KernelError, match="k has 2 elements, expected 1"):
        scalar(np.int32([1, 2]), "k")


@pytest.mark.parametrize("size", [-1, 2**31])
def test_dimensions_that_no_tensor_has(size: int) -> None:
    with pytest.raises(KernelError, match=f"dims has {size} as dimension 1"):
        dimensions([2, size], "dims")


def test_require_indices_names_the_first_wrong_one() -> None:
    require_indices(np, None, np.int32([0, 4]), 5, "off")
    require_indices(np, None, np.empty(0, np.int32), 0, "off")
    with pytest.raises(KernelError, match="off: got 5, expected 0 to 4"):
        require_indices(np, None, np.int32([0, 5, -1]), 5, "off")
    require_indices(np, None, np.int32([-1]), 5, "off", least=-1)
