from __future__ import annotations

import pytest

from tflite_cupy.benchmark.statistics import Distribution, geometric_mean


def test_a_distribution() -> None:
    found = Distribution.of([4.0, 1.0, 3.0, 2.0], percentiles=(0, 50, 75))
    assert (found.count, found.mean, found.low, found.high, found.median) == (4, 2.5, 1, 4, 2.5)
    assert found.std == pytest.approx(1.25**0.5)
    assert found.percentiles == {0: 1, 50: 2.5, 75: 3.25}


def test_one_number_is_all_of_its_distribution() -> None:
    found = Distribution.of([0.25])
    assert (found.mean, found.std, found.median) == (0.25, 0, 0.25)
    assert set(found.percentiles.values()) == {0.25}


def test_json_names_percentiles_and_rounds() -> None:
    found = Distribution.of([0.0011111111, 0.0011111111], percentiles=(10, 99.9)).to_json(1e-3)
    assert found == {
        "count": 2, "mean": 1.11111, "std": 0, "min": 1.11111, "median": 1.11111, "max": 1.11111, "p10": 1.11111,
        "p99.9": 1.11111,
    }  # fmt: skip


def test_a_geometric_mean() -> None:
    assert geometric_mean([0.5, 2, 8]) == pytest.approx(2)
