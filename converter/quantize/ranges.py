"""Calibration: the least and greatest number of each tensor over all samples, seen by running the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...interpreter.classic import BaseInterpreter
from ...interpreter.errors import ConversionError, InputError
from ...interpreter.format.writer import write_model
from ...interpreter.graph import Graph, Model, Signature, TensorType
from ...interpreter.ops.base import ControlOp
from ...interpreter.ops.binding import bind
from .recurrent import CellReach
from .samples import Calibration, samples_of

UNNAMED = "main"
"""The key under which a model without signatures is calibrated; its inputs go by the names of their tensors."""


@dataclass(slots=True)
class Ranges:
    """What was seen of float32 tensors: (least, greatest) by subgraph and tensor."""

    seen: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)  # how many each signature had

    def note(self, graph: int, tensor: int, values: np.ndarray) -> None:
        """Widen the range of a tensor by the finite numbers among `values`."""
        finite = values[np.isfinite(values)] if not np.isfinite(values).all() else values
        if not finite.size:
            return
        low, high = float(finite.min()), float(finite.max())
        least, greatest = self.seen.get((graph, tensor), (low, high))
        self.seen[graph, tensor] = min(low, least), max(high, greatest)

    def of(self, graph: Graph, tensor: int) -> tuple[float, float] | None:
        """The range of a tensor; None if no sample gave it a value. A constant's is that of its values."""
        data = graph.tensors[tensor].data
        if data is not None and data.size:
            return float(np.min(data)), float(np.max(data))
        return self.seen.get((graph.index, tensor))


def calibrate(
    model: Model,
    calibration: Calibration,
    interpret: Callable[..., BaseInterpreter],
    progress: Callable[[int, int], None] | None = None,
) -> Ranges:
    """Run every sample and note the ranges of all float32 tensors, those of loop bodies in each turn.

    `interpret(model_content=...)` makes the interpreter. `progress(done, total)` is called after each sample, `total` 0
    where it is not known. Raises ConversionError, naming the signature, for a signature with float32 tensors that has
    no sample, and for samples that it can't take.
    """
    named = with_signature(model)
    ranges = Ranges(samples={signature.key: 0 for signature in named.signatures})
    observer = _Observer(named, interpret, ranges)
    total = _count(calibration)
    for done, (key, sample) in enumerate(samples_of(calibration, named), 1):
        observer.run(key, sample)
        ranges.samples[key] += 1
        if progress is not None:
            progress(done, total)
    _check_covered(named, ranges)
    return ranges


def with_signature(model: Model) -> Model:
    """The model, one without signatures with `UNNAMED`, whose names are those of the tensors."""
    if model.signatures:
        return model
    graph = model.graphs[0]
    signature = Signature(UNNAMED, _by_name(graph, graph.inputs), _by_name(graph, graph.outputs), 0)
    return replace(model, signatures=(signature,))


def _by_name(graph: Graph, tensors: tuple[int, ...]) -> dict[str, int]:
    names: dict[str, int] = {}
    for index in tensors:
        name = graph.tensors[index].name
        names[f"{name}:{index}" if name in names or not name else name] = index
    return names


class _Observer:
    """Runs samples and notes what every tensor holds."""

    def __init__(self, model: Model, interpret: Callable[..., BaseInterpreter], ranges: Ranges) -> None:
        self._interpreter = interpret(model_content=write_model(model))
        self._model, self._ranges = model, ranges
        self._cells = [CellReach(graph) for graph in model.graphs]

    def run(self, key: str, sample: Mapping[str, Any]) -> None:
        """Raises ConversionError for a sample that the signature can't take."""
        runner = self._interpreter.get_signature_runner(key)
        try:
            tensors = runner.tensors(_converted(sample, self._model, runner.signature), self._note)
        except InputError as error:
            raise ConversionError(f"a calibration sample does not fit: {error}", where=f"signature {key!r}") from error
        self._note(runner.signature.graph, tensors)

    def _note(self, graph: int, tensors: Mapping[int, np.ndarray]) -> None:
        declared = self._model.graphs[graph].tensors
        for tensor, values in tensors.items():
            if declared[tensor].type is TensorType.FLOAT32 and declared[tensor].data is None:
                self._ranges.note(graph, tensor, np.asarray(values))
        for tensor, values in self._cells[graph].of(tensors):
            self._ranges.note(graph, tensor, values)


def _converted(sample: Mapping[str, Any], model: Model, signature: Signature) -> dict[str, Any]:
    """The sample with numbers in the types of the inputs, as people give float64 and Python numbers."""
    tensors = model.graphs[signature.graph].tensors
    kinds = {name: tensors[index].type for name, index in signature.inputs.items()}
    return {
        name: np.asarray(value, kinds[name].dtype) if name in kinds and not kinds[name].is_object else value
        for name, value in sample.items()
    }


def _count(calibration: Calibration) -> int:
    if callable(calibration):
        return 0
    parts = list(calibration.values()) if isinstance(calibration, Mapping) else [calibration]
    sized = [part for part in parts if isinstance(part, Sized)]
    return sum(map(len, sized)) if len(sized) == len(parts) else 0


def _check_covered(model: Model, ranges: Ranges) -> None:
    for signature in model.signatures:
        if ranges.samples[signature.key] or not any(_is_float(model.graphs[i]) for i in _reached(model, signature)):
            continue
        raise ConversionError(
            f"signature {signature.key!r} computes on real numbers and has no calibration data.",
            hint="Give at least one sample for each signature; without, the ranges of its tensors are not known.",
        )


def _is_float(graph: Graph) -> bool:
    return any(tensor.type is TensorType.FLOAT32 and tensor.data is None for tensor in graph.tensors)


def _reached(model: Model, signature: Signature) -> Iterator[int]:
    """The subgraph of a signature and those that control flow reaches from it."""
    waiting, known = [signature.graph], {signature.graph}
    while waiting:
        index = waiting.pop()
        yield index
        found = called_by(model.graphs[index]) - known
        known |= found
        waiting += found


def called_by(graph: Graph) -> set[int]:
    """Subgraphs that control flow of a subgraph runs."""
    ops = (bind(node, graph) for node in graph.nodes)
    return {index for op in ops if isinstance(op, ControlOp) for index in op.subgraphs}
