"""Operands that fit no operator: wrong shapes, huge and negative numbers, NaN. Allowed operators answer with an error.

Many of TensorFlow's kernels end the process on such operands, or try to allocate what they ask for, so the nodes run in
another process.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delegates.isolated import outcomes
from tests.delegates.test_flex_registered import REFUSALS
from tflite_cupy.delegates.flex.policy import known_ops

pytestmark = pytest.mark.flex

ONCE_FATAL = (
    "AdjustHue", "AudioSpectrogram", "AvgPoolGrad", "Conv2D", "Dequantize",
    "FakeQuantWithMinMaxVarsPerChannelGradient", "GatherV2", "LookupTableExportV2", "MatrixDiag", "MatrixDiagV3",
    "MaxPool", "MaxPool3D", "Qr", "QuantizeV2", "QuantizedAvgPool", "QuantizedInstanceNorm", "QuantizedMaxPool",
    "RaggedRange", "RandomGamma", "ResourceApplyAdaMax", "ResourceApplyGradientDescent", "ResourceGather",
    "ResourceGatherNd", "StatefulStandardNormalV2", "StatelessRandomGammaV2", "TensorListFromTensor",
    "TensorListPushBack", "TensorListScatterV2", "TensorMapSize",
)  # fmt: skip
"""Operators whose kernels ended or stalled the process on some drawing before their operands were checked."""

DRAWINGS = 5


def hold(jobs: list[str], folder: Path) -> None:
    results = dict(outcomes((f"pure\t{job}" for job in jobs), folder))
    assert len(results) == len(jobs)
    assert {job: outcome for job, outcome in results.items() if outcome not in {*REFUSALS, "ok"}} == {}


def test_operators_that_ended_the_process(tmp_path: Path) -> None:
    assert set(ONCE_FATAL) <= known_ops("pure").keys()
    hold([f"{name}/{number}" for name in ONCE_FATAL for number in range(DRAWINGS)], tmp_path)


@pytest.mark.slow
def test_all_allowed_operators(tmp_path: Path) -> None:
    names = known_ops("pure")
    whole = [f"{name}/{number}" for name in names for number in range(20)]
    spoilt = [f"{name}/{number}/{operand}/0" for name in names for number in range(5) for operand in (1, 2, 3)]
    hold([*whole, *spoilt], tmp_path)
