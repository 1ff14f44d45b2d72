"""Grouping keeps the order of a graph: whatever nodes are joined, each launch reads what earlier ones made."""

from __future__ import annotations

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.delegates.gpu import PlannedGpuDelegate
from tflite_cupy.delegates.gpu.listing import Listing, Storage
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

SHAPES = ([4, 6], [24], [6, 4], [1, 6])


class Listings(PlannedGpuDelegate):
    """Plans, and keeps what it planned."""

    def __init__(self) -> None:
        super().__init__()
        self.listings: list[tuple[Partition, Listing]] = []

    def compile(self, partition: Partition) -> Executable:
        planned = super().compile(partition)
        self.listings.append((partition, planned.listing))  # type: ignore[attr-defined]
        return planned


def random_graph(seed: int, size: int = 24) -> Graph:
    """Elementwise nodes, reshapes and transpositions with operands from anywhere before them, and several outputs."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder()
    known = [(b.input(F32, shape), shape) for shape in SHAPES]
    for _ in range(size):
        index, shape = known[rng.integers(max(0, len(known) - 6), len(known))]
        kind = rng.integers(8)
        if kind == 0:
            shape = SHAPES[rng.integers(3)] if np.prod(shape) == 24 else shape
            made = b.add("RESHAPE", [index, b.constant(np.int32(shape))], shape)
        elif kind == 1 and len(shape) == 2:
            shape = shape[::-1]
            made = b.add("TRANSPOSE", [index, b.constant(np.int32([1, 0]))], shape)
        elif kind < 5:
            made = b.add(["NEG", "RELU", "TANH"][kind - 2], [index])
        else:
            others = [other for other, dims in known if dims in (shape, [1, *shape[1:]])]
            made = b.add(["ADD", "SUB", "MAXIMUM"][kind - 5], [index, others[rng.integers(len(others))]], shape)
        known.append((made, shape))
    return b.graph([made for made, _ in known[-3:]])


@pytest.mark.parametrize("seed", range(40))
def test_each_step_reads_what_is_there(seed: int) -> None:
    delegate = Listings()
    content = lite.write_model(model(random_graph(seed)))
    lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]).allocate_tensors()
    ((partition, listing),) = delegate.listings
    made = set(listing.inputs)
    for step in listing.steps:
        needed = set(step.reads) - set(step.writes)
        assert all(block in made or block.storage is Storage.CONSTANT for block in needed)
        made.update(step.writes)
    assert all(operand.block in made for operand in listing.outputs)
    ran = [node for step in listing.steps for node in step.nodes]
    assert sorted([*ran, *listing.views]) == [bound.node.index for bound in partition.nodes]


@pytest.mark.parametrize("seed", range(3))
def test_random_graphs_run(seed: int) -> None:
    check(random_graph(seed, 12), [noise(*shape, seed=i) for i, shape in enumerate(SHAPES)], apart=seed == 0)
