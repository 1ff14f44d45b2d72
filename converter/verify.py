"""What was converted, held against TensorFlow: each signature on the same inputs, from the same state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ..interpreter.classic import BaseInterpreter
from ..interpreter.errors import ConversionError, TfliteError
from ..interpreter.graph import Graph, Node
from ..interpreter.runner import SignatureRunner
from .difference import Difference, difference
from .examples import Samples, calls_of
from .load import Entry
from .oracle import Call, Oracle
from .report import OutputCheck
from .tfapi import tensorflow

TOLERANCE = 1e-3
"""How far a float may be from TensorFlow's, in parts of the output's largest element."""

COARSE = 2e-2
"""The same for types of 16 bits."""

Runtime: TypeAlias = Callable[..., BaseInterpreter]
Progress: TypeAlias = Callable[[int, int], object]


class Verifier:
    """One model in TensorFlow and in our runtime. Raises ConversionError where they disagree.

    content: the file. tolerance: None to measure only, as for quantised models; shapes must agree all the same.
    """

    def __init__(
        self, entries: Sequence[Entry], content: bytes, runtime: Runtime, tolerance: float | None = TOLERANCE
    ) -> None:
        self._entries, self._content, self._runtime, self._tolerance = entries, content, runtime, tolerance
        self._oracle = Oracle(entries)

    def verify(self, samples: Samples = None, progress: Progress | None = None) -> dict[str, tuple[OutputCheck, ...]]:
        """Differences of the outputs of each signature. Samples that are not given are made up. `progress` is told
        (calls done, calls)."""
        self._check_keys(samples)
        calls = [call for entry in self._entries for call in calls_of(entry, samples, self._oracle)]
        calls *= 2 if self._oracle.remembers else 1  # the second time each signature sees what the others have written
        checks: dict[tuple[str, str], OutputCheck] = {}
        expected = self._run_tensorflow(calls)
        interpreter = self._interpreter()
        for i, (call, results) in enumerate(zip(calls, expected, strict=True)):
            got = _outputs(interpreter, call)
            for name, want in zip(call.entry.outputs, results, strict=True):
                place = call.entry.key, name
                check = self._check(calls[: i + 1], name, got[name], want)
                before = checks.get(place, check)
                worst = before.difference.worse(check.difference)
                checks[place] = OutputCheck(name, worst, before.random or check.random)
            if progress is not None:
                progress(i + 1, len(calls))
        return {e.key: tuple(checks[e.key, name] for name in e.outputs) for e in self._entries}

    def _check_keys(self, samples: Samples) -> None:
        if samples is None or callable(samples):
            return
        if not isinstance(samples, Mapping):
            got = type(samples).__name__
            raise ConversionError(f"inputs to verify with are a {got}, expected a dict by signature, or a function")
        known = [entry.key for entry in self._entries]
        for key in samples:
            if key not in known:
                raise ConversionError(f"inputs are given for signature {key!r}; there are {', '.join(known)}.")

    def _interpreter(self) -> BaseInterpreter:
        return self._runtime(model_content=self._content, device="cpu")

    def _run_tensorflow(self, calls: Sequence[Call]) -> list[list[np.ndarray]]:
        try:
            return self._oracle.run(calls)
        except tensorflow().errors.OpError as error:
            raise ConversionError(f"TensorFlow fails on the inputs to verify with: {error.message}") from error

    def _check(self, calls: Sequence[Call], name: str, got: np.ndarray, want: np.ndarray) -> OutputCheck:
        """An output of the last of the calls."""
        found = difference(got, want)
        if not self._exceeds(found, want):
            return OutputCheck(name, found)
        entry = calls[-1].entry
        again = self._oracle.run(calls)[-1][entry.outputs.index(name)]
        if self._exceeds(difference(again, want), want) and got.shape == want.shape and got.dtype == want.dtype:
            return OutputCheck(name, Difference(), random=True)
        hint = "" if self._tolerance is None else self._first_divergence(calls)
        where = f"signature {entry.key!r}, output {name!r}"
        raise ConversionError(f"the converted model differs from TensorFlow: {found}.", where=where, hint=hint)

    def _exceeds(self, found: Difference, expected: np.ndarray) -> bool:
        if self._tolerance is None:
            return bool(found.problem)
        is_coarse = expected.dtype.itemsize == 2 and expected.dtype.kind in "fV"
        return not found.relative <= (max(self._tolerance, COARSE) if is_coarse else self._tolerance)

    def _first_divergence(self, calls: Sequence[Call]) -> str:
        """The first node of the last call's signature whose result is not TensorFlow's; tensors go by their names."""
        try:
            wanted = self._oracle.trace(calls)
        except (ValueError, tensorflow().errors.OpError) as error:
            return f"Which node diverges first can't be told: {error}"
        interpreter = self._interpreter()
        for call in calls[:-1]:
            _outputs(interpreter, call)
        runner = interpreter.get_signature_runner(calls[-1].entry.key)
        values = runner.tensors(_given(runner, calls[-1]))
        graph = interpreter.model.graphs[runner.signature.graph]
        for node, index in _named_once(graph):
            name = graph.tensors[index].name
            if index in values and name in wanted and _is_like(values[index], wanted[name]):
                found = difference(values[index], wanted[name])
                if self._exceeds(found, wanted[name]):
                    where = f"node {node.index} of subgraph {graph.index}"
                    return f"The first node that diverges is {node.name} {name!r} ({where}): {found}."
        return "All tensors that both compute agree: look at the last node before the output."


def _named_once(graph: Graph) -> Iterator[tuple[Node, int]]:
    """Results of nodes, in run order, whose names no other tensor has."""
    counts = Counter(tensor.name for tensor in graph.tensors)
    return ((node, i) for node in graph.nodes for i in node.outputs if counts[graph.tensors[i].name] == 1)


def _is_like(got: np.ndarray, want: np.ndarray) -> bool:
    """Whether two arrays may be the same tensor in the same form: not transposed, not of another type."""
    return got.dtype == want.dtype and (got.shape == want.shape or got.size != want.size)


def _outputs(interpreter: BaseInterpreter, call: Call) -> dict[str, np.ndarray]:
    """What our runtime gives for a call, quantised outputs as the floats that they stand for."""
    key = call.entry.key
    runner = interpreter.get_signature_runner(key)
    try:
        results = runner(**_given(runner, call))
    except TfliteError as error:
        text = f"our runtime fails where TensorFlow runs: {error}"
        raise ConversionError(text, where=f"signature {key!r}") from error
    details = runner.get_output_details()
    return {name: _as_float(np.asarray(array), details[name]["quantization"]) for name, array in results.items()}


def _given(runner: SignatureRunner, call: Call) -> dict[str, np.ndarray]:
    """The inputs of a call by name, quantised where the file takes them so."""
    details = runner.get_input_details()
    pairs = zip(call.entry.inputs, call.inputs, strict=True)
    return {name: _as_quantized(array, np.dtype(details[name]["dtype"]), *details[name]["quantization"])
            for name, array in pairs}  # fmt: skip


def _as_quantized(array: np.ndarray, dtype: np.dtype, scale: float, zero_point: int) -> np.ndarray:
    if not scale or array.dtype.kind != "f":
        return array
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(array / scale) + zero_point, limits.min, limits.max), dtype)


def _as_float(array: np.ndarray, quantization: tuple[float, int]) -> np.ndarray:
    scale, zero_point = quantization
    return np.asarray((array.astype(np.float64) - zero_point) * scale, np.float32) if scale else array
