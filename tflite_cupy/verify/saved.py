"""Arrays of calls in files: `.npz` with `signature/name`, or `name` where one signature is meant."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np

from ..interpreter.errors import InputError
from ..interpreter.graph import Model, Signature, Tensor, TensorType
from ..runtimes import entry
from .samples import Arrays

Archive = str | os.PathLike[str] | Mapping[str, np.ndarray]
"""A path of a `.npz` file, or what it would hold."""


def read_archive(
    archive: Archive, model: Model, way: str, asked: Sequence[str | None] | None = None
) -> dict[str | None, dict[str, np.ndarray]]:
    """Arrays by signature key and name; `way` is "inputs" or "outputs". A name alone is one of the signatures `asked`
    (by default all). Raises InputError for names that the model does not have, also for a name alone that several of
    those have, and for what is no such file."""
    title, arrays = _loaded(archive)
    found: dict[str | None, dict[str, np.ndarray]] = {}
    for key in keys_of(model):
        signature = entry(model, key)
        tensors = model.graphs[signature.graph].tensors
        for name, index in _slots(signature, way).items():
            long = f"{key}/{name}" if key is not None else name
            is_asked = not asked or key in asked
            if (place := name if is_asked and long not in arrays else long) in arrays:
                found.setdefault(key, {})[name] = _value(arrays[place], tensors[index])
    _check_names(arrays, model, way, title, asked)
    return found


def keys_of(model: Model) -> Sequence[str | None]:
    """The keys of a model's signatures; None alone, for the primary subgraph, if there are none."""
    return [signature.key for signature in model.signatures] or [None]


def _check_names(arrays: Arrays, model: Model, way: str, title: str, asked: Sequence[str | None] | None) -> None:
    """Raises InputError for an array that belongs to no signature, or to several."""
    owners: dict[str, int] = {}
    for key in keys_of(model):
        for name in _slots(entry(model, key), way):
            owners[name] = owners.get(name, 0) + (not asked or key in asked)
            owners[f"{key}/{name}"] = 1
    for name in arrays:
        if name not in owners:
            known = ", ".join(n for n in owners if not n.startswith("None/"))
            raise InputError(f"{title} holds {name!r}, which is none of the model's {way}.", hint=f"They are: {known}.")
        if owners[name] > 1:
            hint = f"Call it signature/{name}."
            raise InputError(f"{title} holds {name!r}, and several signatures have such {way}.", hint=hint)


def _slots(signature: Signature, way: str) -> Mapping[str, int]:
    return signature.inputs if way == "inputs" else signature.outputs


def _loaded(archive: Archive) -> tuple[str, dict[str, np.ndarray]]:
    if isinstance(archive, Mapping):
        return "the mapping", {name: np.asarray(value) for name, value in archive.items()}
    path = Path(archive)
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("it holds one array")
        with file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(f"{path} can't be read as a .npz file: {error}") from error
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray):
            raise InputError(f"{path} holds {name!r}, which is no array.")
    return str(path), arrays


def _value(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    """An array as runtimes give it: types that NumPy's files do not know come back as bare bytes."""
    if tensor.type is TensorType.STRING:
        texts = np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array
        return texts.astype(object)
    bare = array.dtype.kind == "V" and array.dtype.itemsize == tensor.type.dtype.itemsize
    return array.view(tensor.type.dtype) if bare else array


class SavedOutputs:
    """Stands for a runtime whose outputs were saved."""

    def __init__(self, archive: Archive, model: Model, asked: Sequence[str | None] | None = None) -> None:
        self.title = "saved outputs" if isinstance(archive, Mapping) else os.fspath(archive)
        self.outputs = read_archive(archive, model, "outputs", asked)

    def call(self, key: str | None, inputs: Arrays) -> dict[str, np.ndarray]:
        """The outputs of a signature that were saved, whatever the inputs."""
        return self.outputs[key]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None
