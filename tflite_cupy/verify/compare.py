"""A model held against another runtime, or against outputs that were saved.

An output that differs between two runs of the reference is random: only its type and shape count. One that is off by
more than the default tolerance passes as rounding if no node is off by more than a node may be when it has the
reference's operands, and if that explains how far the output is off.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

from ..apart import Host
from ..delegates.gpu import available
from ..interpreter.errors import InputError
from ..interpreter.format.model import load_model
from ..interpreter.graph import Model, TensorType
from ..runtimes import NAMES, OURS, Source, entry, open_runtime
from .choose import default_reference
from .history import Pair
from .judge import Judge
from .measure import Tolerance
from .result import Comparison
from .samples import Arrays, Maker
from .saved import Archive, SavedOutputs, keys_of, read_archive
from .trace import Opener
from .verdicts import located, random_outputs, verdicts_of


def compare_runtimes(
    model: Source,
    candidate: str | Opener = "auto",
    against: str | Opener | Archive | None = None,
    *,
    signatures: Sequence[str] | None = None,
    inputs: Archive | Mapping[str | None, Arrays] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    samples: int = 3,
    seed: int = 0,
    tolerance: float | None = None,
    steps: int | None = None,
    locate: bool = True,
    precision: str = "strict",
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Comparison:
    """Run `model` (a path, or its bytes) on the runtime `candidate`, and hold what it gives against another one.

    candidate, against: names of `runtimes.NAMES`, or functions that open a model; `against` may also be saved outputs:
        a path that ends in .npz, or a mapping, with `signature/output` or `output`. None: `choose.default_reference`.
    signatures: keys; by default all. Calls go round them `samples` times, in the file's order, on one instance of each
        runtime, so that both have the same history where the model remembers something.
    inputs: arrays for every call: a .npz or mapping with `signature/input` or `input`, or a mapping by key and name.
        Others are made up from `seed`, of `input_shapes` (by input name) where the model leaves dimensions open; where
        the reference can't take them, smaller ones.
    tolerance: of floats, in parts of an output's largest element; by default 1e-4, and more where numbers of 16 bits
        or quantised ones have a part in them. steps: of quantised integers. All else must be equal.
    locate: whether to look for the first node that diverges.
    precision: of float32 products on a GPU, as `Interpreter` takes it; all but "strict" round them to 10 bits.

    Runtimes that are not this package's run in a process of their own: a call that ends it is a failure like others.
    Raises MissingDependencyError for a runtime that is not installed, InputError for names that are not there and
    inputs that can't be taken, and what opening the model raises: `apart.Died` where that ends the process.
    """
    loaded = load_model(model if isinstance(model, bytes) else os.fspath(model))
    if against is None:
        against = default_reference(candidate if isinstance(candidate, str) else "cpu", loaded)
    saved = _saved(against, loaded, signatures)
    keys, given = _chosen(loaded, signatures, saved), _given(inputs, loaded, signatures)
    once = saved is not None or all(_is_settled(loaded, given, key) for key in keys)
    with ExitStack() as stack:
        opened = _opener(candidate, threads, precision, stack)
        other = None if saved is not None else _opener(against, threads, precision, stack)
        pair = Pair(
            model=loaded,
            candidate=partial(opened, model),
            reference=partial(_reference, model, saved, other),
            maker=Maker(loaded, seed, given, input_shapes or {}),
            keys=keys,
            samples=1 if once else _counted(samples),
            judge=Judge(loaded, Tolerance.of(tolerance, steps, rough=_is_rough(precision, candidate, against))),
            progress=progress or (lambda done, total: None),
        )
        return _compared(pair, opened, other, locate=locate)


def _compared(pair: Pair, candidate: Opener, reference: Opener | None, *, locate: bool) -> Comparison:
    """What the calls of a pair show. `reference` is None where the other side was saved."""
    history = pair.run()
    verdicts = verdicts_of(pair, history, random_outputs(pair, history, saved=reference is None))
    if locate and reference is not None and not all(v.passed for v in verdicts):
        verdicts = located(pair, history, verdicts, candidate, reference)
    failures = tuple(history.failures.values())
    return Comparison(history.candidate, history.reference, pair.samples, pair.maker.seed, tuple(verdicts), failures)


def _counted(samples: int) -> int:
    if samples < 1:
        raise InputError("at least one call is needed", where=f"samples={samples}")
    return samples


def _is_rough(precision: str, *sides: object) -> bool:
    """Whether a GPU has a part in it that computes float32 products in fewer bits."""
    return precision != "strict" and available()[0] and any(side in ("auto", "gpu") for side in sides)


def _opener(runtime: Any, threads: int | None, precision: str, stack: ExitStack) -> Opener:
    """Opens models in a runtime: one of this package here, others in a process that ends with `stack`."""
    if callable(runtime):
        return runtime  # type: ignore[no-any-return]
    if runtime in NAMES and runtime not in OURS:
        return stack.enter_context(Host(runtime, threads)).open
    return partial(open_runtime, runtime, threads=threads, precision=precision)


def _reference(model: Source, saved: SavedOutputs | None, opener: Opener | None) -> AbstractContextManager[Any]:
    """The side to hold the candidate against: saved outputs, or a runtime opened anew."""
    if saved is not None:
        return saved
    assert opener is not None
    return opener(model)


def _saved(against: Any, model: Model, asked: Sequence[str] | None) -> SavedOutputs | None:
    is_saved = isinstance(against, Mapping | os.PathLike) or (isinstance(against, str) and against.endswith(".npz"))
    return SavedOutputs(against, model, asked) if is_saved else None


def _chosen(model: Model, asked: Sequence[str] | None, saved: SavedOutputs | None) -> list[str | None]:
    """The signatures to call, in the file's order; of those, the ones with saved outputs if there are such."""
    keys = keys_of(model)
    for key in asked or ():
        if key not in keys:
            known = ", ".join(k for k in keys if k is not None) or "none"
            raise InputError(f"the model has no signature {key!r}", hint=f"Its signatures: {known}.")
    chosen = [key for key in keys if asked is None or key in asked]
    if saved is not None:
        chosen = [key for key in chosen if key in saved.outputs]
        if not chosen:
            raise InputError(f"{saved.title} holds no outputs of these signatures.")
    return chosen


def _given(inputs: Any, model: Model, asked: Sequence[str] | None) -> Mapping[str | None, Arrays]:
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping) and all(isinstance(value, Mapping) for value in inputs.values()):
        return inputs
    return read_archive(inputs, model, "inputs", asked)


def _is_settled(model: Model, given: Mapping[str | None, Arrays], key: str | None) -> bool:
    """Whether all calls of a signature would be alike: all inputs are given, and the model remembers nothing."""
    tensors = (tensor for graph in model.graphs for tensor in graph.tensors)
    remembers = any(t.is_variable or t.type is TensorType.RESOURCE for t in tensors)
    return not remembers and set(entry(model, key).inputs) <= set(given.get(key, ()))
