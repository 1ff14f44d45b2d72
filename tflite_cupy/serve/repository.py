"""What is served: model files by name, and their signatures as what requests are for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from os import PathLike
from typing import Any

import numpy as np

from ..interpreter.details import as_array, blank
from ..interpreter.errors import InputError, KernelError, TfliteError, UnsupportedError
from ..interpreter.graph import Signature, Tensor, TensorType
from ..interpreter.runner import SignatureRunner
from ..interpreter_api import Interpreter
from ..runtimes import entry
from .faults import Refused, bad, refusal
from .strict_json import KINDS, flattened
from .tensors import datatype_of

VERSION = "1"
"""Every model has this one version."""

DEFAULT_KEY = "serving_default"
FLOATS = (TensorType.FLOAT64, TensorType.FLOAT32, TensorType.FLOAT16, TensorType.BFLOAT16)
MAX_NAME = 1000


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a signature."""

    name: str
    index: int
    tensor: Tensor

    @property
    def datatype(self) -> str:
        """As the v2 protocol names it."""
        return datatype_of(self.tensor.type) or ""

    @property
    def shape(self) -> list[int]:
        """Declared sizes, -1 where the file does not tell; [-1] for an unknown rank."""
        dims = self.tensor.dims
        return [-1] if dims is None else [-1 if n is None else n for n in dims]

    def array(self, value: Any) -> np.ndarray:
        """Nested lists of JSON as the array that the signature takes. Raises Refused (400), in the runtime's words."""
        elements, shape = flattened(value, f"input {self.name!r}")
        strange = set(map(type, elements)) - {int, float, bool}
        if strange and not self.tensor.type.is_object:
            raise bad(f"input {self.name!r} takes numbers, got {', '.join(sorted(KINDS[kind] for kind in strange))}.")
        try:
            if self.tensor.type in FLOATS:
                elements = list(map(float, elements))  # JSON's numbers are of one kind, with a point or without
            return as_array(elements, self.tensor, self.index).reshape(shape)
        except OverflowError:
            raise bad(f"input {self.name!r} takes numbers that a float can hold.") from None
        except InputError as error:
            raise refusal(error) from error

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises Refused (400) for another shape than the declared one."""
        dims = self.tensor.dims
        if dims is None:
            return
        if len(shape) != len(dims) or any(want not in (None, n) for want, n in zip(dims, shape, strict=True)):
            raise bad(f"input {self.name!r} takes shape {self.shape}, got {list(shape)}. -1 is any size.")


class Served:
    """A signature of a model, to be called by any number of threads."""

    def __init__(self, model: str, interpreter: Interpreter, signature: Signature) -> None:
        graph, engine = interpreter.model.graphs[signature.graph], interpreter._engine
        tensors = graph.tensors
        self.name, self.key = f"{model}.{signature.key}", signature.key
        self.has_state = not engine.latest_plan(graph).access.is_none
        self.inputs = {name: Port(name, index, tensors[index]) for name, index in signature.inputs.items()}
        self.outputs = {name: Port(name, index, tensors[index]) for name, index in signature.outputs.items()}
        self._runner = SignatureRunner(engine, signature)

    def arrays(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of JSON as arrays; those that go by no input's name as they are, for `call` to refuse."""
        return {name: self.inputs[name].array(v) if name in self.inputs else v for name, v in values.items()}

    def call(self, arrays: Mapping[str, Any], deadline_ms: float | None) -> dict[str, np.ndarray]:
        """Outputs by name. Raises Refused, with the runtime's words: 400 for names, dtypes and shapes that the
        signature does not take, 500 where a node fails on values, 504 after `deadline_ms`."""
        for name, array in arrays.items():
            if name in self.inputs:
                self.inputs[name].check_shape(array.shape)
            elif len(name) > MAX_NAME:  # which the runtime would compare with those that it knows
                raise bad(f"no input has a name of {len(name)} characters.")
        try:
            results = self._runner.call(arrays, outputs="host", deadline_ms=deadline_ms)
        except KernelError as error:
            raise self._blamed(error, arrays) from error
        except TfliteError as error:
            raise refusal(error) from error
        return {name: np.asarray(value) for name, value in results.items()}

    def _blamed(self, error: KernelError, arrays: Mapping[str, Any]) -> Refused:
        """400 where the shapes can't be taken, which shows before a node runs; else 500."""
        try:
            self._runner.check(arrays)
        except KernelError:
            return bad(str(error))
        return refusal(error)

    def warm_up(self) -> None:
        """One call on zeros of the declared shape, 1 where a size is unknown. Raises Refused."""
        self.call({name: blank(port.tensor, port.tensor.shape) for name, port in self.inputs.items()}, None)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model file: its signatures by key, and how many nodes each delegate runs."""

    name: str
    signatures: Mapping[str, Served]
    nodes: Mapping[str, int]

    def signature(self, key: str | None) -> Served | None:
        """The signature `key`, by default `serving_default` or the only one."""
        if key is None:
            key = next(iter(self.signatures)) if len(self.signatures) == 1 else DEFAULT_KEY
        return self.signatures.get(key)


class Repository:
    """Models by name, and signatures by `MODEL.SIGNATURE`; `MODEL` alone is its default signature."""

    def __init__(self, models: Collection[ServedModel]) -> None:
        """Raises InputError where two would go by one name."""
        self.models = {model.name: model for model in models}
        self.signatures = {served.name: served for model in models for served in model.signatures.values()}
        defaults = {model.name: default for model in models if (default := model.signature(None))}
        names = [served.name for model in models for served in model.signatures.values()] + [*defaults]
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"two things would be served as {name!r}", hint="Give a model another name: NAME=PATH."
                )
        self._by_name = defaults | self.signatures

    def find(self, name: str) -> Served:
        """The signature that goes by `name`. Raises Refused (404)."""
        if name not in self._by_name:
            raise Refused(404, f"no model is named {name[:200]!r}.{self._signatures_of(name)}")
        return self._by_name[name]

    def find_model(self, name: str) -> ServedModel:
        """The model that goes by `name`. Raises Refused (404)."""
        if name not in self.models:
            raise Refused(404, f"no model is named {name[:200]!r}.")
        return self.models[name]

    def _signatures_of(self, name: str) -> str:
        model = self.models.get(name)
        names = [served.name for served in model.signatures.values()] if model else []
        return f" Its signatures are models: {', '.join(names)}." if names else ""

    @classmethod
    def load(
        cls, paths: Mapping[str, str | PathLike[str]], *, signatures: Collection[str] = (), **options: Any
    ) -> Repository:
        """Opens model files, by the names they are to go by; `options` are those of `Interpreter`.

        signatures: those to be served, as SIGNATURE or MODEL.SIGNATURE; by default all. A model without signatures has
        one that is called serving_default, its primary subgraph.

        Raises ModelError for what is no model, UnsupportedError for one with nodes that nobody runs or with types that
        the protocols do not know, InputError for signatures that no model has.
        """
        models, wanted = [], set(signatures)
        for name, path in paths.items():
            interpreter = Interpreter(model_path=path, **options)
            declared = interpreter.model.signatures or (replace(entry(interpreter.model, None), key=DEFAULT_KEY),)
            chosen = [s for s in declared if not signatures or {s.key, f"{name}.{s.key}"} & set(signatures)]
            wanted -= {text for s in chosen for text in (s.key, f"{name}.{s.key}")}
            models.append(_opened(name, interpreter, chosen))
        if wanted:
            there = ", ".join(s.name for model in models for s in model.signatures.values())
            hint = f"There are: {there}." if there else ""
            raise InputError(f"no model has a signature {min(wanted)!r}", hint=hint)
        return cls([model for model in models if model.signatures])


def _opened(name: str, interpreter: Interpreter, signatures: Collection[Signature]) -> ServedModel:
    report = interpreter.delegation_report()
    for subgraph in report.subgraphs:
        for node in subgraph.nodes:
            if node.note == "unsupported":
                raise UnsupportedError(f"model {name!r} can't be served: {node.reason}")
    nodes = {delegate: total.nodes for delegate, total in report.totals().items()}
    return ServedModel(name, {s.key: _served(name, interpreter, s) for s in signatures}, nodes)


def _served(model: str, interpreter: Interpreter, signature: Signature) -> Served:
    tensors = interpreter.model.graphs[signature.graph].tensors
    for name, index in chain(signature.inputs.items(), signature.outputs.items()):
        if datatype_of(tensors[index].type) is None:
            raise UnsupportedError(
                f"{name!r} is of type {tensors[index].type.name}, which the protocols do not know",
                where=f"model {model!r}, signature {signature.key!r}",
                hint="Choose others with --signature.",
            )
    return Served(model, interpreter, signature)
