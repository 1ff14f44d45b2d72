"""Products of matrices: all tiles, and on tensor cores the right rounding."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, compare, noise
from tests.ops.harness import Case
from tflite_cupy.delegates.gpu.kernels import products
from tflite_cupy.delegates.gpu.kernels.tiles import PIPELINED, PRECISIONS, TILES
from tflite_cupy.delegates.gpu.tiling import Choice, Tile
from tflite_cupy.interpreter.graph import Graph

EACH = [(precision, tile) for precision in PRECISIONS for tile in (*TILES[precision], *PIPELINED[precision])]
SHARED = [(precision, tile) for precision in PRECISIONS for tile in PIPELINED[precision][-2:]]
TOLERANCES = {"strict": 1e-5, "tf32": 1e-3, "fp16": 1e-2}


def rounded(x: np.ndarray, precision: str) -> np.ndarray:
    """Operands as tensor cores get them, in float64."""
    if precision == "fp16":
        return x.astype(np.float16).astype(np.float64)
    if precision == "tf32":
        return ((x.view(np.uint32) + 0x1000) & ~np.uint32(0x1FFF)).view(np.float32).astype(np.float64)
    return x.astype(np.float64)


def dense(rows: int, depth: int, units: int) -> tuple[Graph, np.ndarray, np.ndarray]:
    b = GraphBuilder()
    x, weights = noise(rows, depth), noise(units, depth, seed=1)
    y = b.add("FULLY_CONNECTED", [b.input(F32, [rows, depth]), b.constant(weights), -1], [rows, units])
    return b.graph([y]), x, weights


def only(monkeypatch: pytest.MonkeyPatch, tile: Tile, parts: int = 1) -> None:
    """Let all products be made of one tile."""
    monkeypatch.setattr(products, "_is_pipelined", lambda *_, **__: bool(tile.stages))
    monkeypatch.setattr(products, "candidates", lambda *_, **__: (Choice(tile, parts, 0.0),))


@pytest.mark.parametrize(("precision", "tile"), EACH)
def test_each_tile_multiplies_what_is_no_multiple_of_it(
    precision: str, tile: Tile, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, tile)
    graph, x, weights = dense(tile.rows + 9, 136, tile.columns + 8)
    (y,) = check(graph, [x], launches=1, precision=precision, atol=TOLERANCES[precision]).outputs
    want = rounded(x, precision) @ rounded(weights, precision).T
    compare(y, want.astype(np.float32), 1e-5, 1e-6)
    exact = x.astype(np.float64) @ weights.T.astype(np.float64)
    assert np.abs(y - exact).max() < TOLERANCES[precision] * np.abs(exact).max()


@pytest.mark.parametrize(("precision", "tile"), SHARED)
def test_blocks_share_a_tile(precision: str, tile: Tile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again in a second call, for which counts have to be zero."""
    only(monkeypatch, tile, parts=3)
    graph, x, weights = dense(tile.rows + 9, 4 * tile.depth + 8, tile.columns + 8)
    (y,) = check(graph, [x], launches=1, precision=precision, atol=TOLERANCES[precision]).outputs
    compare(y, (rounded(x, precision) @ rounded(weights, precision).T).astype(np.float32), 1e-5, 1e-6)


def test_blocks_share_a_tile_of_odd_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are then stored one by one, by other threads than those that added up the parts."""
    precision, tile = SHARED[0]
    only(monkeypatch, tile, parts=3)
    graph, x, weights = dense(tile.rows + 9, 4 * tile.depth + 8, tile.columns + 7)
    (y,) = check(graph, [x], launches=1, precision=precision).outputs
    compare(y, (rounded(x, precision) @ rounded(weights, precision).T).astype(np.float32), 1e-5, 1e-6)


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_tensor_cores_take_windows_and_columns(precision: str) -> None:
    steps = {"stride_h": 2, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    options = {"launches": 1, "precision": precision, "atol": TOLERANCES[precision]}
    check(Case("CONV_2D", [noise(1, 9, 9, 4), noise(12, 3, 3, 4, seed=1), None], steps), **options)
    check(Case("BATCH_MATMUL", [noise(2, 20, 24), noise(2, 24, 36, seed=1)]), **options)
