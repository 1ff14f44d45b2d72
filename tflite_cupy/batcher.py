"""`SignatureBatcher`: a signature as a function of batches, for data pipelines that send it to other processes."""

from __future__ import annotations

import inspect
import os
import uuid
import warnings
import weakref
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Self

import numpy as np

from .interpreter.details import as_array, blank
from .interpreter.errors import InputError, did_you_mean
from .interpreter.graph import Signature, Tensor
from .interpreter.runner import SignatureRunner
from .interpreter_api import Interpreter

_OWN = frozenset({"self", "model_path", "model_content", "dry_run", "device"})
_OPTIONS = frozenset(inspect.signature(Interpreter.__init__).parameters) - _OWN


@dataclass(frozen=True, slots=True)
class _Opened:
    """A signature, ready to be called in this process."""

    runner: SignatureRunner
    inputs: Mapping[str, Tensor]
    rows: int | None  # of each call; None: as many as the batch has

    @property
    def where(self) -> str:
        return f"signature {self.runner.signature.key!r}"


_lock = Lock()
_opened: dict[tuple[int, str], _Opened] = {}
"""What is open, by process and batcher: copies of a batcher that pickling has made share it."""


def _after_fork() -> None:
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)  # a thread may have held it that a forked process does not have


class SignatureBatcher:
    """Runs a signature on batches: a dict of columns in, a dict of columns out.

        score = SignatureBatcher("model.tflite", "score", keep=["id"])
        score({"id": ids, "x": x})       # ids [n], x float32 [n, 3] -> {"id": ids, "scores": float32 [n, 4]}

    A column is an array (or list) whose leading axis counts rows, any number of them. Each input `[batch, ...]` of the
    signature takes the column of its name: `[n, ...]`, of the input's dtype, read-only and strided ones included; an
    object column of n arrays of one shape is stacked, strings are `str` or `bytes`. Each output `[batch, ...]` gives a
    column `[n, ...]`. One row must not depend on others, since batches are cut and filled up:

    mode "dynamic": the batch of the model is unknown in the file, and a batch runs as it is.
    mode "padded": the model has a batch of its own, or `pad_batch` sets one. Calls have that many rows, the last one
        repeats a row to fill up, and what that gives is cut off.
    mode "loop": the model has a batch of 1. Rows run one at a time, and a UserWarning says so once in a process.

    The model is opened on the first call in each process, once for all threads and unpickled copies. So a batcher may
    be pickled, with a path (made absolute; processes of one machine share the mapped file) or with the model's bytes.
    It stays open until `close()`, the end of the process, or the end of the batcher that was made there.

    model: path or bytes.
    signature: its key; may be left out if the model has just one.
    device, options: those of `Interpreter`. They are pickled too.
    pad_batch: rows of each call of a model whose batch is unknown, so that one plan serves batches of all lengths.
    keep: names of columns that are passed on unchanged, before the outputs; True for all, inputs included. A column
        that is neither kept nor an input is an error.

    Raises InputError for unknown options here, and in calls for names, dtypes and shapes, and for signatures that are
    not functions of rows; beyond that what `Interpreter` and `SignatureRunner` raise.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        signature: str | None = None,
        device: str = "auto",
        pad_batch: int | None = None,
        *,
        keep: bool | Collection[str] = (),
        **options: Any,
    ) -> None:
        if isinstance(model, str | os.PathLike):
            model = os.path.abspath(os.fspath(model))
        elif not isinstance(model, bytes | bytearray | memoryview):
            raise InputError(f"A model is a path or bytes, not {type(model).__name__}.")
        is_count = isinstance(pad_batch, int) and not isinstance(pad_batch, bool) and pad_batch > 0
        if pad_batch is not None and not is_count:
            raise InputError(f"pad_batch={pad_batch!r} is no number of rows", hint="Use a whole number of 1 or more.")
        if isinstance(keep, str) or not isinstance(keep, bool | Collection):
            raise InputError(f"keep={keep!r} is no list of columns", hint="Use a list of names, or True for all.")
        for name in options:
            if name not in _OPTIONS:
                raise InputError(f"{name!r} is no option of Interpreter", hint=_suggestion(name, sorted(_OPTIONS)))
        self._model = model if isinstance(model, str) else bytes(model)
        self._signature, self._pad_batch = signature, pad_batch
        self._keep = keep if isinstance(keep, bool) else frozenset(keep)
        self._options: dict[str, Any] = {"device": device, **options}
        self._token = uuid.uuid4().hex
        weakref.finalize(self, _forget, self._token)  # not of unpickled copies: pools make one for every task

    @property
    def mode(self) -> str:
        """How batches run: "dynamic", "padded" or "loop". Opens the model."""
        return {None: "dynamic", 1: "loop"}.get(self._open().rows, "padded")

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Columns that are kept, in the batch's order, then outputs in the signature's; new arrays of n rows."""
        if not isinstance(batch, Mapping):
            raise InputError(f"a batch is a dict of columns by name, not {type(batch).__name__}")
        opened = self._open()
        kept = self._kept(batch, opened)
        columns = {name: _column(batch[name], tensor, name) for name, tensor in opened.inputs.items()}
        return kept | _outputs(opened, columns, _count_rows(columns | kept))

    def close(self) -> None:
        """Give back what is open in this process; a later call opens the model again."""
        _forget(self._token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> _Opened:
        opened = _opened.get((os.getpid(), self._token))
        if opened is not None:
            return opened
        with _lock:
            key = os.getpid(), self._token
            if key not in _opened:
                _opened[key] = self._load()
            return _opened[key]

    def _load(self) -> _Opened:
        if isinstance(self._model, str):
            interpreter = Interpreter(model_path=self._model, **self._options)
        else:
            interpreter = Interpreter(model_content=self._model, **self._options)
        runner = interpreter.get_signature_runner(self._signature)
        signature = runner.signature
        tensors = interpreter.model.graphs[signature.graph].tensors
        inputs = {name: tensors[index] for name, index in signature.inputs.items()}
        own = _batch_of(inputs, signature)
        if own is not None and self._pad_batch not in (None, own):
            what = f"pad_batch={self._pad_batch}, but the model's own batch is {own}"
            raise InputError(what, where=f"signature {signature.key!r}", hint="Leave pad_batch out.")
        if own == 1 and self._pad_batch is None:
            warnings.warn(
                f"Signature {signature.key!r} has a batch of 1, so its rows run one at a time. A model converted with "
                "an unknown batch runs them together; pad_batch=1 silences this.",
                UserWarning,
                stacklevel=4,
            )
        return _Opened(runner, inputs, own or self._pad_batch)

    def _kept(self, batch: Mapping[str, Any], opened: _Opened) -> dict[str, Any]:
        """The columns that are passed on. Raises InputError where names of columns, inputs and outputs do not fit."""
        inputs, keep = opened.inputs, self._keep
        for name in inputs:
            if name not in batch:
                spare = [column for column in batch if column not in inputs]
                raise InputError(f"no column for input {name!r}", where=opened.where, hint=_suggestion(name, spare))
        if keep is True:
            kept = dict(batch)
        else:
            names: Iterable[str] = keep or ()
            for name in names:
                if name not in batch:
                    raise InputError(f"no column {name!r}, which keep names", hint=_suggestion(name, list(batch)))
            kept = {name: column for name, column in batch.items() if name in names}
            for name in batch:
                if name not in kept and name not in inputs:
                    hint = f"{_suggestion(name, list(inputs))} Add it to keep to pass it on."
                    raise InputError(f"column {name!r} is no input", where=opened.where, hint=hint)
        for name in opened.runner.signature.outputs:
            if name in kept:
                what = f"column {name!r} is kept, and an output has the same name"
                raise InputError(what, where=opened.where, hint="Rename the column, or don't keep it.")
        return kept


def _forget(token: str) -> None:
    _opened.pop((os.getpid(), token), None)


def _suggestion(name: object, known: Collection[str]) -> str:
    return f"{did_you_mean(name, known)}Known names: {', '.join(map(str, known)) or 'none'}."


def _batch_of(inputs: Mapping[str, Tensor], signature: Signature) -> int | None:
    """Rows that the model takes at a time, None for any number. Raises InputError if its inputs do not say that."""
    where = f"signature {signature.key!r}"
    if not inputs:
        raise InputError("the signature has no inputs, so a batch has no rows", where=where)
    leading: dict[str, int] = {}
    for name, tensor in inputs.items():
        if tensor.dims is None:
            continue
        if tensor.dims[:1] in ((), (0,)):
            what = "has no elements" if tensor.dims else "is a scalar"
            raise InputError(f"input {name!r} {what}, so it has no axis of rows", where=where)
        if tensor.dims[0] is not None:
            leading[name] = tensor.dims[0]
    if len(set(leading.values())) > 1:
        sizes = ", ".join(f"{name} {size}" for name, size in leading.items())
        raise InputError(f"the leading axes of the inputs differ, so they can't all count rows: {sizes}", where=where)
    return next(iter(leading.values()), None)


def _column(value: Any, tensor: Tensor, name: str) -> np.ndarray:
    """The column of an input as an array [n, ...] of its type and row shape. Raises InputError."""
    where = f"column {name!r}"
    try:
        array = as_array(_stacked(value, tensor), tensor, 0)
    except InputError as error:
        raise InputError(error.what.split(" for input ")[0], where=where, hint=error.hint) from error
    if array.ndim == 0:
        raise InputError("a column has an axis of rows, got a scalar", where=where)
    dims = tensor.dims
    if dims is None:
        return array
    if len(array) == 0 and array.ndim == 1:
        return blank(tensor, (0, *tensor.shape[1:]))
    got = array.shape[1:]
    if len(got) != len(dims) - 1 or any(want not in (None, n) for want, n in zip(dims[1:], got, strict=True)):
        want = ", ".join("?" if n is None else str(n) for n in dims[1:])
        raise InputError(f"rows of shape {list(got)}, the model takes [{want}]", where=where)
    return array


def _stacked(value: Any, tensor: Tensor) -> Any:
    """An object array of equal arrays, as lists in tables come, as one array; anything else as it is.

    An array without rows is of the right type whatever its own: tables do not know better then.
    """
    if not isinstance(value, np.ndarray):
        return value
    if value.shape[:1] == (0,):
        return np.empty(value.shape, tensor.type.dtype)
    if value.dtype != object or value.ndim != 1 or (tensor.type.is_object and len(tensor.dims or ()) < 2):
        return value
    try:
        return np.stack([np.asarray(row) for row in value])
    except (TypeError, ValueError) as error:
        raise InputError(f"rows can't be stacked: {error}") from error


def _count_rows(columns: Mapping[str, Any]) -> int:
    """How many rows all columns have. Raises InputError where they do not agree."""
    counts: dict[str, int] = {}
    for name, column in columns.items():
        try:
            counts[name] = len(column)
        except TypeError as error:
            raise InputError("a column has an axis of rows, got a scalar", where=f"column {name!r}") from error
    if len(set(counts.values())) > 1:
        raise InputError(f"columns of one batch have as many rows each, got {counts}")
    return next(iter(counts.values()))


def _outputs(opened: _Opened, columns: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """Outputs [count, ...] by name. Where there are no rows, a blank one tells shapes and types."""
    rows = opened.rows or max(count, 1)
    parts = []
    for start in range(0, max(count, 1), rows):
        inputs = {name: _filled(column[start : start + rows], rows) for name, column in columns.items()}
        parts.append(opened.runner.call(inputs, outputs="host"))
        _check_rows(parts[-1], rows, opened.where)
    return {name: _joined([part[name] for part in parts], count, name) for name in parts[0]}


def _filled(array: np.ndarray, rows: int) -> np.ndarray:
    """`array` with its last row, or a blank one, repeated until there are `rows`."""
    if len(array) == rows:
        return array
    nothing = b"" if array.dtype == object else 0
    last = array[-1:] if len(array) else np.full((1, *array.shape[1:]), nothing, array.dtype)
    return np.concatenate([array, np.repeat(last, rows - len(array), axis=0)])


def _check_rows(outputs: Mapping[str, Any], rows: int, where: str) -> None:
    for name, output in outputs.items():
        shape = np.shape(output)
        if shape[:1] != (rows,):
            what = f"output {name!r} is {list(shape)} for {rows} rows: its leading axis is not the batch"
            raise InputError(what, where=where, hint="Outputs need a row for each row of the inputs.")


def _joined(parts: list[np.ndarray], count: int, name: str) -> np.ndarray:
    """The parts one after another, without the rows that only fill up."""
    if len(parts) == 1 and len(parts[0]) == count:
        return parts[0]
    shapes = sorted({part.shape[1:] for part in parts})
    if len(shapes) > 1:
        raise InputError(f"output {name!r} has rows of different shapes: {', '.join(str(list(s)) for s in shapes)}")
    return np.concatenate(parts)[:count]
