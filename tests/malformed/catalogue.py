"""Classes of malformed model: what makes files of each from a sound one, and what a user must be told.

    @malformed("T5", FORMAT)
    def buffers(seed):
        yield record(seed, "out of range", {"subgraphs[0].tensors[0]": {"buffer": 999}}, at="subgraphs[0].tensors[0]")

A case is met where loading, allocating or running its file raises an error of one of the class's codes, at a path that
begins as the case says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.build import GraphBuilder
from tests.format.surgery import Patient, edited, part
from tests.malformed.seeds import Seed
from tflite_cupy import Interpreter
from tflite_cupy.interpreter.errors import TfliteError
from tflite_cupy.interpreter.format.emit import Record
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph, Model, Signature
from tflite_cupy.interpreter.limits import Limits

FORMAT, GRAPH, LIMIT, UNSUPPORTED = "invalid_format", "invalid_graph", "limit", "unsupported"
POLICY, INPUT, KERNEL = "policy", "invalid_input", "kernel"
ACCEPTED = "accepted"
LIMITS = replace(Limits.untrusted(), max_while_iterations=2000, flex="pure")
FAULT = "fault"
"""Key of the signature that a graft adds."""

IDS = (
    *(f"S{n}" for n in range(1, 19)),
    *(f"G{n}" for n in range(1, 15)),
    *(f"T{n}" for n in range(1, 14)),
    *(f"P{n}" for n in range(1, 13)),
    *(f"N{n}" for n in range(1, 4)),
    *(f"X{n}" for n in range(1, 7)),
)


@dataclass(frozen=True, eq=False)
class Case:
    """A malformed file, made when it is asked for."""

    title: str
    make: Callable[[], bytes]
    at: str = ""  # what the error's path begins with
    calls: tuple[Mapping[str, Any], ...] = ()  # inputs of the grafted signature that provoke the error
    says: str = ""
    code: str = ""  # the one code that fits, where the class has several; ACCEPTED for what the reference runs too
    limits: Limits = LIMITS

    def followed_by(self, tail: Callable[[bytes], bytes]) -> Case:
        """The case with its file changed once more."""
        return replace(self, make=lambda: tail(self.make()))


Generator = Callable[[Seed], Iterator[Case]]


@dataclass(frozen=True)
class Class:
    """A class of malformed models."""

    id: str
    codes: frozenset[str]
    make: Generator


CLASSES: dict[str, Class] = {}


def malformed(id: str, *codes: str) -> Callable[[Generator], Generator]:
    """Registers what makes the cases of class `id`, whose errors have one of `codes`."""

    def register(make: Generator) -> Generator:
        assert id not in CLASSES
        CLASSES[id] = Class(id, frozenset(codes), make)
        return make

    return register


def provoke(case: Case, data: bytes) -> TfliteError | None:
    """The error that loading, allocating and running a case's file gives; None where all goes well."""
    try:
        interpreter = Interpreter(model_content=data, device="cpu", limits=case.limits)
        for inputs in case.calls:
            interpreter.get_signature_runner(FAULT)(**inputs)
        if not case.calls:
            interpreter.allocate_tensors()
            interpreter.invoke()
            for key in interpreter.get_signature_list().keys() - {"flex"}:  # which would import TensorFlow
                interpreter.get_signature_runner(key).allocate_tensors()
    except TfliteError as error:
        return error
    return None


def damaged(seed: Seed, title: str, edit: Callable[[Patient], object], at: str = "", **more: Any) -> Case:
    """A file with other bytes at places found by name."""

    def make() -> bytes:
        patient = Patient(seed.data)
        edit(patient)
        return bytes(patient.data)

    return Case(title, make, at, **more)


def poked(seed: Seed, format: str, place: Callable[[Patient], int], value: int, at: str = "", **more: Any) -> Case:
    """A file with another number at a place."""
    title = more.pop("title", str(value))
    return damaged(seed, title, lambda patient: patient.put(format, place(patient), value), at, **more)


def record(seed: Seed, title: str, changes: Mapping[str, Mapping[str, Any]], at: str = "", **more: Any) -> Case:
    """A file with other fields in tables given by path."""

    def edit(root: Record) -> None:
        for path, fields in changes.items():
            part(root, path).update(fields)

    return Case(title, lambda: edited(seed.model, edit), at, **more)


def node(seed: Seed) -> str:
    """Path of the first node of the primary subgraph that takes operands."""
    return f"subgraphs[0].operators[{seed.operator}]"


def remade(title: str, made: Model, at: str = "", **more: Any) -> Case:
    """A model that the writer takes and that is no sound one all the same."""
    return Case(title, lambda: write_model(made), at, **more)


def grafted(seed: Seed, *graphs: Graph) -> Model:
    """The seed's model with further subgraphs; the signature `fault`, with inputs a, b, ..., runs the first of them."""
    before = seed.model.graphs
    numbered = tuple(replace(graph, index=len(before) + i) for i, graph in enumerate(graphs))
    inputs = {chr(ord("a") + i): tensor for i, tensor in enumerate(graphs[0].inputs)}
    outputs = {f"out{i}": tensor for i, tensor in enumerate(graphs[0].outputs)}
    fault = Signature(FAULT, inputs, outputs, len(before))
    return replace(seed.model, graphs=before + numbered, signatures=(*seed.model.signatures, fault))


def faulty(
    seed: Seed,
    title: str,
    build: Callable[[GraphBuilder], int | tuple[int, ...]],
    *values: Any,
    at: str = "",
    **more: Any,
) -> Case:
    """A file with a subgraph more, made by `build`, which returns its outputs; it is called with `values`.

    The error is expected at its only node, or at `at` within the subgraph.
    """

    def make() -> bytes:
        b = GraphBuilder(FAULT)
        outputs = build(b)
        graph = b.graph(outputs if isinstance(outputs, tuple) else (outputs,))
        return write_model(grafted(seed, graph))

    inputs = {chr(ord("a") + i): np.asarray(value) for i, value in enumerate(values)}
    where = f"subgraphs[{len(seed.model.graphs)}]{at or '.operators[0]'}"
    return Case(title, make, where, (inputs,), **more)
