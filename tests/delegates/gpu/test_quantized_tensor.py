"""Products of int8 by tensor cores: the bits of the bodies, with each tile, and which products are made so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.delegates.gpu.checks import check
from tests.delegates.gpu.test_quantized_products import CONV, FULL, PLAIN, RELU6, STRIDED, VALID, case, hybrid
from tests.ops.harness import Case
from tflite_cupy.delegates.gpu.kernels import quantized_tensor
from tflite_cupy.delegates.gpu.tiling import Choice, Tile

SMALLEST = quantized_tensor.TILES[-1]


def only(monkeypatch: pytest.MonkeyPatch, tile: Tile, parts: int = 1) -> list[Choice]:
    """Let all products that tensor cores can take be made of one tile; what was made is in the list."""
    real, launch = quantized_tensor.Bytes.choices, quantized_tensor.Bytes.launch
    made: list[Choice] = []

    def choices(product: Any, options: Any) -> tuple[Choice, ...]:
        return (Choice(tile, parts, 0.0),) if real(product, options) else ()

    def launched(product: Any, site: Any, choice: Choice) -> None:
        made.append(choice)
        launch(product, site, choice)

    monkeypatch.setattr(quantized_tensor.Bytes, "choices", choices)
    monkeypatch.setattr(quantized_tensor.Bytes, "launch", launched)
    return made


def checked(product: Case, monkeypatch: pytest.MonkeyPatch, tile: Tile, parts: int = 1) -> None:
    """Assert that a case is made of such tiles, and has the right bits."""
    made = only(monkeypatch, tile, parts)
    assert len(np.unique(check(product, launches=1).outputs[0])) > 3
    assert {(choice.tile, choice.parts) for choice in made} == {(tile, parts)}


@pytest.mark.parametrize("tile", quantized_tensor.TILES)
def test_each_tile_multiplies_what_is_no_multiple_of_it(tile: Tile, monkeypatch: pytest.MonkeyPatch) -> None:
    product = case(FULL, [tile.rows + 9, 208], [tile.columns + 8, 208], {"fused_activation_function": RELU6}, "")
    checked(product, monkeypatch, tile)


@pytest.mark.parametrize("tile", quantized_tensor.TILES[-2:])
def test_blocks_share_a_tile(tile: Tile, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = 4 * tile.depth + 16
    checked(case(CONV, [1, 5, 9, depth], [40, 1, 1, depth], PLAIN, "", per_channel=0), monkeypatch, tile, 3)


@pytest.mark.parametrize(
    "product",
    [
        case(CONV, [2, 9, 11, 16], [12, 3, 3, 16], STRIDED, "windows that reach out of the image", per_channel=0),
        case(CONV, [1, 7, 7, 24], [36, 1, 1, 24], PLAIN, "8 channels at once", bias=None),
        case(CONV, [1, 7, 6, 20], [10, 3, 2, 20], PLAIN | {"padding": VALID}, "4 channels at once"),
        case(CONV, [1, 6, 6, 32], [12, 3, 3, 16], PLAIN, "groups", per_channel=0),
    ],
    ids=str,
)
def test_convolutions(product: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    checked(product, monkeypatch, SMALLEST)


def test_images_with_zero_points_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    made = only(monkeypatch, SMALLEST)
    check(hybrid(CONV, [2, 9, 11, 16], [12, 3, 3, 16], PLAIN, "asymmetric", per_channel=0), launches=2, rtol=0, atol=0)
    assert made
