"""How shapes of operands meet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.graph import TensorSpec, TensorType
from tflite_cupy.interpreter.ops.shared.broadcast import broadcast_shapes

SHAPES = st.lists(st.lists(st.integers(0, 3), max_size=4).map(tuple), min_size=1, max_size=3)


@given(SHAPES)
def test_shapes_meet_as_in_numpy(shapes: list[tuple[int, ...]]) -> None:
    specs = [TensorSpec(TensorType.FLOAT32, shape) for shape in shapes]
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(KernelError, match="are not broadcastable"):
            broadcast_shapes(*specs)
    else:
        assert broadcast_shapes(*specs) == expected
