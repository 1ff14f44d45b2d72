"""What is timed: networks, batches and precisions, and the work that is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import NamedTuple

from networks import bert, efficientnet_b0, mobilenet_v2, resnet50

from tflite_cupy.delegates.gpu.listing import Listing, Storage
from tflite_cupy.interpreter.graph import Graph, Model

PRECISIONS = ("strict", "tf32", "fp16")


@dataclass(frozen=True, slots=True)
class Workload:
    """make(batch=...) gives the model."""

    name: str
    make: Callable[..., Model]
    precisions: tuple[str, ...] = PRECISIONS


WORKLOADS = {
    w.name: w
    for w in (
        Workload("MobileNetV2", mobilenet_v2),
        Workload("ResNet50", resnet50),
        Workload("EfficientNet-B0", efficientnet_b0),
        Workload("BERT-base", bert),
        Workload("MobileNetV2 int8", partial(mobilenet_v2, quantized=True), ("int8",)),
    )
}
BATCHES = (1, 64)

SMALL = {
    w.name: w
    for w in (
        Workload("MobileNetV2", partial(mobilenet_v2, resolution=32)),
        Workload("BERT", partial(bert, layers=1, width=32, heads=2, tokens=8, words=50)),
        Workload("ResNet50", partial(resnet50, resolution=32)),
        Workload("EfficientNet-B0", partial(efficientnet_b0, resolution=32)),
    )
}
"""To try the measuring itself."""


class Row(NamedTuple):
    """What one row of the table is about."""

    model: str
    batch: int
    precision: str


def rows(workloads: Mapping[str, Workload], batches: Sequence[int]) -> Iterator[Row]:
    """By model and batch, so that a model is made once."""
    for workload in workloads.values():
        for batch in batches:
            yield from (Row(workload.name, batch, precision) for precision in workload.precisions)


def urgency(row: Row) -> tuple[int, int]:
    """By which rows are sorted of which time may be too short for all."""
    return row.batch, ("tf32", "fp16", "int8", "strict").index(row.precision)


def operations(model: Model) -> int:
    """Additions and multiplications of the convolutions and matrix products of the first subgraph."""
    (graph, *_) = model.graphs
    return sum(2 * _products(graph, node.name, node.inputs, node.outputs[0]) for node in graph.nodes)


def _products(graph: Graph, name: str, inputs: Sequence[int], output: int) -> int:
    size = prod(graph.tensors[output].shape)
    if name in ("CONV_2D", "FULLY_CONNECTED"):
        return size * prod(graph.tensors[inputs[1]].shape[1:])
    if name == "DEPTHWISE_CONV_2D":
        return size * prod(graph.tensors[inputs[1]].shape[1:3])
    return size * graph.tensors[inputs[0]].shape[-1] if name == "BATCH_MATMUL" else 0


def moved_bytes(listing: Listing, graph: Graph) -> int:
    """What the steps read and write, each operand of a step once; of a table that is looked up, what comes out."""
    total = 0
    for step in listing.steps:
        found = [operand for operand in step.operands if operand.shape is not None]
        sizes = {(o.block, o.offset): o.nbytes for o in found}
        if any(graph.nodes[n].name == "GATHER" for n in step.nodes):
            written = max(o.nbytes for o in found if o.block in step.writes)
            sizes = {k: min(n, written) if k[0].storage is Storage.CONSTANT else n for k, n in sizes.items()}
        total += sum(sizes.values())
    return total


def floor(work: Mapping[str, float], ceilings: Mapping[str, float], precision: str) -> tuple[float, str]:
    """Milliseconds that nothing can pass, and what sets them: launches, arithmetic or bandwidth.

    work: `launches`, `operations`, `bytes`; ceilings as `ceilings.ceilings` names them, some of which may be missing.
    """
    limits = {
        "launches": work["launches"] * ceilings.get("node_us", 0.0) / 1e3,
        "arithmetic": work["operations"] / ceilings.get(f"{precision}_tflops", float("inf")) / 1e9,
        "bandwidth": work["bytes"] / ceilings.get("copy_gb_per_s", float("inf")) / 1e6,
    }
    name = max(limits, key=lambda key: limits[key])
    return limits[name], name
