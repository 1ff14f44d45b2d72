"""ci/gpu_access: what kernels of a network waste, and the table that docs/measurements.md has of it."""

from __future__ import annotations

import gpu_access
import measured_access
import pytest
from gpu_access import Row

from tests.emulator.compiler import COMPILER
from tests.emulator.watched import Line

built = pytest.mark.skipif(COMPILER is None, reason="no g++ to build kernels for the host")


def first_of_each(model: str, precision: str, *kernels: str) -> dict[str, Row]:
    """The first launch of each of these kernels in a network, two blocks of it."""
    found: dict[tuple[str, str], Row] = {}
    for launch, times in gpu_access.launches(model, 1, precision, 90):
        if launch.name in kernels and (launch.name, precision) not in found:
            gpu_access.watch(found, launch, times, precision, 2)
    return {name: row for (name, _), row in found.items()}


@built
def test_numbers_of_channels_are_read_16_bytes_at_a_time() -> None:
    """Bias and factors of integers, one after the other by each thread, made most of the sectors once."""
    rows = first_of_each("MobileNetV2 int8", "int8", "quantized_tensor", "quantized_taps")
    assert rows["quantized_tensor"].of("global").factor < 1.6
    assert rows["quantized_taps"].of("global").factor < 1.3
    for row in rows.values():
        factors = [c.factor for (space, _, line), c in row.lines.items() if line.file == "quantized_stored.cuh"]
        assert factors, "nothing is read there"
        assert max(factors) <= 2


@built
def test_biases_are_read_16_bytes_at_a_time() -> None:
    lines = first_of_each("BERT-base", "tf32", "gemm")["gemm"].lines
    assert max(count.factor for (space, *_), count in lines.items() if space == "global") < 1.1


@built
def test_sums_of_pixels_are_added_without_conflicts() -> None:
    row = first_of_each("EfficientNet-B0", "tf32", "expanded")["expanded"]
    assert max(count.factor for (_, _, line), count in row.lines.items() if line.file == "expanded.cu") < 1.5


def counted(kernel: str, shared: float, far: float) -> Row:
    row = Row(kernel, "tf32", 3)
    for space, factor in (("shared", shared), ("global", far)):
        row.lines[space, "read", Line(f"{kernel}.cu", 7, "x[i] = y[i]:")].add(1, 10, 100 * factor, 100)
    return row


def test_the_table() -> None:
    kernels = [gpu_access.plain(row) for row in (counted("a", 1.0, 1.04), counted("b", 1.0, 1.5), counted("c", 2, 1))]
    text = measured_access.section({"kernels": kernels, "models": ["BERT-base"], "batch": 1, "arch": 90})
    assert [line for line in text.splitlines() if line.startswith("| ")][1:] == [
        "| c | tf32 | 3 | 2.00 | 1.00 | c.cu:7 |",
        "| b | tf32 | 3 | 1.00 | 1.50 | b.cu:7 |",
    ]
    assert "planned for compute capability 9.0" in text
    assert text.endswith("The other 1 of 3 rows are below 1.05.\n")
