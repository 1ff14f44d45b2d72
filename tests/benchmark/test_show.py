from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tflite_cupy.benchmark.agreement import Agreement
from tflite_cupy.benchmark.loading import Loading
from tflite_cupy.benchmark.results import Benchmark, Comparison, Row, Timing
from tflite_cupy.benchmark.show import many, short
from tflite_cupy.benchmark.statistics import Distribution
from tflite_cupy.benchmark.turns import WarmUp

OURS, THEIRS = "tflite-cupy 0.1.0 (oneDNN)", "LiteRT 2.3.0 (reference)"


def timing(title: str, seconds: float, batch: int | None) -> Timing:
    times = Distribution.of(np.linspace(0.9 * seconds, 1.1 * seconds, 51))
    return Timing(title, title, False, WarmUp(12, 0.1, True), times, batch)


def found(batch: int | None = 8, seconds: float = 0.0123) -> Benchmark:
    ratios = Distribution.of([1.5, 1.6, 1.7], (10, 90))
    comparison = Comparison("litert-reference", THEIRS, ratios, Agreement(3e-7, 1e-3, "y"))
    row = Row(
        batch,
        {"x": ("float32", (8, 224, 224, 3))},
        (timing(OURS, seconds, batch), timing(THEIRS, 20 * seconds, batch)),
        (comparison,),
    )
    loads = (Loading("auto", OURS, 0.0123, 0.25, 12_300_000, 4_500_000), Loading("x", THEIRS, 0.001, 2.0, None, None))
    machine = {"processor": "AMD EPYC", "processors": 2, "load": 0.5}
    return Benchmark("net.tflite", "serve", 2, {}, machine, 14_200_000, 13_900_000, 5_100_000, (row,), loads)


def test_text() -> None:
    assert found().text().splitlines() == [
        "net.tflite",
        "signature serve",
        "file of 14.2 MB, weights of 13.9 MB, arena of 5.1 MB",
        "AMD EPYC, 2 processors; 2 threads a runtime",
        "",
        "batch 8: x float32 [8, 224, 224, 3]",
        "",
        "ms                           p10   p50   p90   p99  mean    std    /s",
        "tflite-cupy 0.1.0 (oneDNN)  11.3  12.3  13.3  13.5  12.3  0.724   650",
        "LiteRT 2.3.0 (reference)     226   246   266   270   246   14.5  32.5",
        "",
        "51 runs each",
        "tflite-cupy 0.1.0 (oneDNN) / LiteRT 2.3.0 (reference): 1.60 times as long",
        "  (pairs: 1.52 to 1.68; outputs differ by 3.0e-07)",
        "",
        "Loading, in a process of its own:",
        "",
        "                            load ms  first call ms  peak MB  held MB",
        "tflite-cupy 0.1.0 (oneDNN)     12.3            250     12.3      4.5",
        "LiteRT 2.3.0 (reference)          1           2000        -        -",
    ]


@pytest.mark.parametrize("seconds", [1e-6, 3e-5, 1e-3, 0.1, 12.3])
@pytest.mark.parametrize("batch", [None, 1, 256])
def test_text_fits_a_terminal(seconds: float, batch: int | None) -> None:
    assert max(map(len, found(batch, seconds).text().splitlines())) <= 80


def test_short_times_are_microseconds() -> None:
    lines = found(None, 2e-5).text().splitlines()
    assert lines[5] == "inputs: x float32 [8, 224, 224, 3]"
    assert lines[7].split()[:2] == ["us", "p10"]
    assert lines[8].split()[3:5] == ["18.4", "20"]


def test_markdown() -> None:
    lines = found().markdown().splitlines()
    assert "| ms | p10 | p50 | p90 | p99 | mean | std | /s |" in lines
    assert "| --- | --: | --: | --: | --: | --: | --: | --: |" in lines
    assert "| LiteRT 2.3.0 (reference) | 1 | 2000 | - | - |" in lines


def test_what_spoils_a_measurement_is_told() -> None:
    whole = found()
    (row,) = whole.rows
    unsteady = replace(row.timings[0], warm_up=WarmUp(9, 5.0, False))
    busy = replace(whole, machine={**whole.machine, "load": 7.3}, rows=(replace(row, timings=(unsteady,)),))
    text = busy.text()
    assert "Other work keeps the machine busy (load 7.3): the ratios tell more" in text
    assert f"51 runs each; still getting faster when warmed up: {OURS}" in text
    assert max(map(len, text.splitlines())) <= 80


def test_numbers() -> None:
    assert [short(x) for x in (1234.5, 99.96, 0.123456, 1.5e-7, 0)] == ["1234", "100", "0.123", "1.5e-07", "0"]
    assert [many(x) for x in (9999, 12_345, 12_345_678)] == ["9999", "12.3k", "12.3M"]
