"""STABLEHLO_CONVOLUTION against its definition, tap by tap."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix
from tflite_cupy.interpreter.graph import TensorType

RNG = np.random.default_rng(6)
LAYOUTS = {  # positions of batch, features, then the spatial dimensions; of the kernel: input features, output features
    0: ((0, 1), (1, 0), (1, 0)),
    1: ((0, 2, 1), (1, 0, 2), (2, 1, 0)),
    2: ((0, 3, 1, 2), (2, 3, 0, 1), (0, 3, 1, 2)),
    3: ((1, 0, 4, 2, 3), (4, 2, 0, 1, 3), (3, 0, 1, 4, 2)),
}


def defined(x: np.ndarray, w: np.ndarray, a: dict[str, Any]) -> np.ndarray:
    """The result [batch, features, *spatial] for operands [batch, features, *spatial] and [in, out, *spatial]."""
    n = x.ndim - 2
    spread = np.zeros([*x.shape[:2], *((s - 1) * d + 1 for s, d in zip(x.shape[2:], a["lhs_dilation"], strict=True))])
    spread[(slice(None),) * 2 + tuple(slice(None, None, d) for d in a["lhs_dilation"])] = x
    borders = list(zip(a["padding"][::2], a["padding"][1::2], strict=True))
    padded = np.pad(spread, [(0, 0), (0, 0), *((max(low, 0), max(high, 0)) for low, high in borders)])
    cuts = (slice(max(-low, 0), s - max(-high, 0)) for s, (low, high) in zip(padded.shape[2:], borders, strict=True))
    padded = padded[(slice(None),) * 2 + tuple(cuts)]
    w = w[(slice(None),) * 2 + tuple(slice(None, None, -1 if flag else 1) for flag in a["window_reversal"])]
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], a["rhs_dilation"], strict=True)]
    outs = [(s - k) // t + 1 for s, k, t in zip(padded.shape[2:], spans, a["window_strides"], strict=True)]
    groups, batches = a["feature_group_count"], a["batch_group_count"]
    batch, depth, filters = x.shape[0] // batches, w.shape[0], w.shape[1]
    result = np.zeros((batch, filters, *outs))
    for f, place in product(range(filters), product(*map(range, outs))):
        group = f // (filters // (groups * batches))
        rows = padded[group * batch : (group + 1) * batch] if batches > 1 else padded
        rows = rows[:, group * depth : (group + 1) * depth] if groups > 1 else rows
        taps = (slice(p * t, p * t + s, d) for p, t, s, d in
                zip(place, a["window_strides"], spans, a["rhs_dilation"], strict=True))  # fmt: skip
        window = rows[(slice(None),) * 2 + tuple(taps)]
        result[(slice(None), f, *place)] = (window * w[:, f]).sum(axis=tuple(range(1, n + 2)))
    return result


def convolution(n: int, label: str, dtypes: Any = (np.float32, np.float32), **changes: Any) -> Case:
    sizes = {"batch": 2, "features": 2, "filters": 3, "groups": 1, "batches": 1} | changes.pop("sizes", {})
    attributes: dict[str, Any] = {
        "window_strides": (1,) * n,
        "padding": (0, 0) * n,
        "lhs_dilation": (1,) * n,
        "rhs_dilation": (1,) * n,
        "window_reversal": (False,) * n,
    } | changes
    attributes |= {"feature_group_count": sizes["groups"], "batch_group_count": sizes["batches"]}
    low, high = (-9, 10)
    depth = sizes["features"] // sizes["groups"]
    x = RNG.integers(low, high, (sizes["batch"], sizes["features"], *(5, 6, 4)[:n])).astype(dtypes[0])
    w = RNG.integers(low, high, (depth, sizes["filters"], *(2, 3, 2)[:n])).astype(dtypes[0])
    layouts = LAYOUTS[n]
    for name, second, layout in zip(
        ("input_batch", "kernel_input_feature", "output_batch"),
        ("input_feature", "kernel_output_feature", "output_feature"), layouts, strict=True,
    ):  # fmt: skip
        attributes |= {f"{name}_dimension": layout[0], f"{second}_dimension": layout[1]}
        attributes[f"{name.split('_')[0]}_spatial_dimensions"] = layout[2:]
    y = defined(x.real.astype(np.float64), w.real.astype(np.float64), attributes).astype(dtypes[1])
    operands = [array.transpose(np.argsort(layout)) for array, layout in zip((x, w), layouts[:2], strict=True)]
    return Case("STABLEHLO_CONVOLUTION", operands, attributes, outputs=[TensorType.of(dtypes[1])], label=label,
                expect=[y.transpose(np.argsort(layouts[2]))], unreferenced="it has no kernel")  # fmt: skip


def wrong(label: str, raises: str, **changes: Any) -> Case:
    fine = convolution(2, label)
    return Case(fine.operator, fine.inputs, {**fine.attributes, **changes}, outputs=fine.outputs, label=label,
                raises=raises, unreferenced="it has no kernel")  # fmt: skip


ALL = {"window_strides": (2, 1), "padding": (1, 2, -1, 3), "lhs_dilation": (2, 1), "rhs_dilation": (1, 2),
       "window_reversal": (True, False)}  # fmt: skip
GROUPS = {"features": 4, "filters": 6, "groups": 2}
BATCHES = {"batch": 6, "filters": 6, "batches": 3}
CASES = [
    *(convolution(n, f"{n}-D") for n in range(4)),
    convolution(2, "strides", window_strides=(2, 3)),
    convolution(2, "borders", padding=(1, 0, 2, 3)),
    convolution(2, "cut", padding=(-1, 0, 0, -2)),
    convolution(2, "dilated input", lhs_dilation=(2, 3)),
    convolution(2, "dilated kernel", rhs_dilation=(2, 2)),
    convolution(2, "reversed", window_reversal=(False, True)),
    convolution(2, "all", **ALL),
    convolution(3, "in three dimensions", window_strides=(1, 2, 1), window_reversal=(True, True, False)),
    convolution(2, "groups", sizes=GROUPS, **ALL),
    convolution(2, "batch groups", sizes=BATCHES, **ALL),
    convolution(0, "groups of matrices", sizes=GROUPS),
    convolution(0, "batch groups of matrices", sizes=BATCHES),
    convolution(2, "int8", (np.int8, np.int32), **ALL),
    convolution(2, "int32", (np.int32, np.int32), **ALL),
    convolution(2, "float16", (np.float16, np.float16), **ALL),
    convolution(1, "complex64", (np.complex64, np.complex64)),
    wrong("padding", "got padding", padding=(1, 2)),
    wrong("strides", "got strides", window_strides=(0, 1)),
    wrong("reversal", "got window_reversal", window_reversal=(True,)),
    wrong("dilation", "got lhs_dilation", lhs_dilation=(0, 1)),
    wrong("cut", "the operand with its borders has -1", padding=(-3, -3, 0, 0)),
    wrong("groups", "do not fit 2 feature groups", feature_group_count=2),
    wrong("both", "2 feature groups and 2 batch groups", feature_group_count=2, batch_group_count=2),
    wrong("dimensions", "output dimensions", output_feature_dimension=0),
    wrong("rank", "kernel dimensions", kernel_spatial_dimensions=(0,)),
    Case("STABLEHLO_CONVOLUTION", [np.zeros((1, 1)), np.zeros((1, 1), np.int8)], refused="not supported from"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)
