"""N1 to N3 and X1 to X6: signatures, custom operators, and what else a file carries."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from tests.build import F32, STRING, GraphBuilder
from tests.format.surgery import Patient
from tests.malformed.catalogue import (
    ACCEPTED,
    FORMAT,
    GRAPH,
    LIMIT,
    LIMITS,
    POLICY,
    UNSUPPORTED,
    Case,
    damaged,
    faulty,
    grafted,
    malformed,
    record,
    remade,
)
from tests.malformed.seeds import Seed, node_def
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import Graph

SIGNATURE = "signature_defs[0]"
TEXT = np.array([b"a"], object)


@malformed("N1", GRAPH)
def signature_index(seed: Seed) -> Iterator[Case]:
    for index in (len(seed.model.graphs), 2**31, 2**32 - 1):
        yield record(seed, f"subgraph {index}", {SIGNATURE: {"subgraph_index": index}}, SIGNATURE)
    for index in (9999, 2**31, 2**32 - 1):
        for side in ("inputs", "outputs"):
            where = f"{SIGNATURE}.{side}[0]"
            yield record(seed, f"{side} {index}", {where: {"tensor_index": index}}, where)


@malformed("N2", GRAPH, FORMAT)
def keys(seed: Seed) -> Iterator[Case]:
    for value in ("", None):
        yield record(seed, f"key {value!r}", {SIGNATURE: {"signature_key": value}}, SIGNATURE, code=GRAPH)
        yield record(seed, f"name {value!r}", {f"{SIGNATURE}.outputs[0]": {"name": value}}, SIGNATURE, code=GRAPH)
    first = seed.model.signatures[0]
    made = replace(seed.model, signatures=(first, *seed.model.signatures))
    yield remade("key twice", made, "signature_defs[1]", code=GRAPH)
    for table, field in (("SignatureDef", "signature_key"), ("TensorMap", "name")):
        yield damaged(seed, f"{field} not UTF-8", partial(_not_text, table=table, field=field), code=FORMAT)
    twice = {f"{SIGNATURE}.outputs[1]": {"name": next(iter(first.outputs))}}
    if len(first.outputs) > 1:
        yield record(seed, "name twice", twice, f"{SIGNATURE}.outputs[1]", code=GRAPH)


def _not_text(patient: Patient, table: str, field: str) -> None:
    patient.put("<B", patient.target(table, field) + 4, 0xFF)


@malformed("N3", GRAPH)
def strangers(seed: Seed) -> Iterator[Case]:
    signature = seed.model.signatures[0]
    graph = seed.model.graphs[signature.graph]
    stranger = next(i for i in range(len(graph.tensors)) if i not in graph.inputs)
    where = f"{SIGNATURE}.inputs"
    yield record(seed, "no input of the graph", {f"{where}[0]": {"tensor_index": stranger}}, where)
    lost = grafted(seed, _with_lost_tensor())
    lost = replace(lost, signatures=(*seed.model.signatures, replace(lost.signatures[-1], outputs={"y": 1})))
    where = f"signature_defs[{len(seed.model.signatures)}].outputs"
    yield replace(remade("no output of any node", lost, where), calls=({"a": np.float32([1, 2])},))


def _with_lost_tensor() -> Graph:
    """x, and a tensor that nothing makes."""
    b = GraphBuilder("lost")
    x = b.input(F32, [2])
    b.tensor(F32, [2])
    return b.graph([x])


def _custom(seed: Seed, title: str, name: str, options: bytes, **more: Any) -> Case:
    def build(b: GraphBuilder) -> tuple[int, ...]:
        return b.op(name, [b.input(STRING, [1])], [b.tensor(STRING, [1])], options=options, custom=True)

    return faulty(seed, title, build, TEXT, **more)


@malformed("X1", GRAPH, LIMIT, UNSUPPORTED, POLICY)
def custom_names(seed: Seed) -> Iterator[Case]:
    yield _custom(seed, "unknown", "NoSuchOperator", b"", code=UNSUPPORTED)
    yield _custom(seed, "Flex alone", "Flex", write_flexbuffer([b"", node_def("")]), code=POLICY)
    yield replace(_custom(seed, "1 MB", "N" * (1 << 20), b"", code=LIMIT), at="operator_codes[")
    nameless = _custom(seed, "empty", "NoSuchOperator", b"", code=GRAPH).followed_by(_nameless)
    yield replace(nameless, at="operator_codes[")


def _nameless(data: bytes) -> bytes:
    """The file with an empty name in place of that of `NoSuchOperator`: its length and its first byte are 0."""
    at = data.index(b"NoSuchOperator")
    return data[: at - 4] + bytes(5) + data[at + 1 :]


@malformed("X2", FORMAT, GRAPH)
def flexbuffers(seed: Seed) -> Iterator[Case]:
    for title, options in {
        "empty": b"",
        "two bytes": b"\1\1",
        "width 3": bytes([0, 4, 3]),
        "width 0": bytes([0, 4, 0]),
        "width 255": bytes([0, 4, 255]),
        "refers to itself": bytes([1, 0, 0, 10 << 2, 1]),
        "past its start": bytes([200, 10 << 2, 1]),
        "unknown type": bytes([0, 63 << 2, 1]),
        "vector of 2^63": (2**63).to_bytes(8, "little") + bytes(8) + bytes([8, 0, 0, 0, 0, 0, 0, 0, 10 << 2 | 3, 8]),
        "DAG": dag(40),
        "nested": write_flexbuffer(nested(20)),
        "a number": write_flexbuffer(7),
        "a map": write_flexbuffer({"a": 1}),
        "three strings": write_flexbuffer([b"Relu", b"", b""]),
    }.items():
        yield _custom(seed, title, "FlexStringUpper", options)


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def dag(levels: int) -> bytes:
    """Vectors of two elements, both of them the vector before: 2^levels values in a few bytes each."""
    data = bytearray([2, 1, 1, 4, 4])  # [1, 1]: length, elements, their types
    start = 1
    for _ in range(levels):
        at = len(data) + 1
        data += bytes([2, at - start, at + 1 - start, 10 << 2, 10 << 2])
        start = at
    return bytes(data) + bytes([len(data) - start, 10 << 2, 1])


@malformed("X3", GRAPH, FORMAT)
def node_defs(seed: Seed) -> Iterator[Case]:
    upper = node_def("StringUpper")
    for title, message in {
        "ends in a field": upper[:-1],
        "wire type 3": b"\x0b" + upper,
        "a length past its end": b"\x0a\xff\xff\xff\xff\x0f",
        "a number of 11 bytes": b"\x08" + b"\xff" * 11,
        "a number for a name": b"\x08\x05" + upper,
        "name not UTF-8": b"\x12\x02\xff\xfe",
        "another operator": node_def("StringLower"),
        "no operator": b"",
    }.items():
        yield _custom(seed, title, "FlexStringUpper", write_flexbuffer([b"StringUpper", message]))
    yield _custom(seed, "two names", "FlexStringUpper", write_flexbuffer([b"StringLower", upper]))
    yield _custom(seed, "bytes", "FlexStringUpper", write_flexbuffer([b"\xff\xfe", upper]))


def _flex(seed: Seed, title: str, op: str, *, extra: bytes = b"", **attributes: bytes) -> Case:
    message = node_def(op, **attributes) + extra
    return _custom(seed, title, f"Flex{op}", write_flexbuffer([op.encode(), message]))


@malformed("X4", POLICY)
def denied(seed: Seed) -> Iterator[Case]:
    for op in (
        "ReadFile",
        "WriteFile",
        "MatchingFiles",
        "ImmutableConst",
        "PyFunc",
        "EagerPyFunc",
        "Abort",
        "NoSuchOp",
    ):
        yield _flex(seed, op, op)
    yield _flex(seed, "function attribute", "StringUpper", f=b"\x52\x03\x0a\x01f")
    yield _flex(seed, "unknown attribute", "StringUpper", colour=b"\x18\x01")
    for device in (b"/job:worker/task:1", b"/device:GPU:0", b"/job:localhost/replica:0/task:0/device:TPU:0"):
        field = bytes([0x22, len(device)]) + device
        yield _flex(seed, device.decode(), "StringUpper", extra=field)
    yield _flex(seed, "control input", "StringUpper", extra=b"\x1a\x02^a")
    case = _flex(seed, "Flex is off", "StringUpper")
    yield replace(case, limits=replace(LIMITS, flex="off"))


@malformed("X5", POLICY, LIMIT)
def constants(seed: Seed) -> Iterator[Case]:
    dims = b"\x12\x0c\x12\x0a\x08" + b"\x80\x80\x80\x80\x80\x80\x80\x80\x02"  # [2^57]
    yield _flex(seed, "of 2^57 elements", "Const", value=_tensor(b"\x08\x01" + dims), dtype=b"\x30\x01")
    yield _flex(seed, "of resources", "Const", value=_tensor(b"\x08\x14"), dtype=b"\x30\x14")


def _tensor(message: bytes) -> bytes:
    return b"\x42" + bytes([len(message)]) + message


@malformed("X6", FORMAT, GRAPH)
def metadata(seed: Seed) -> Iterator[Case]:
    made = replace(seed, model=replace(seed.model, metadata={"a": b"1"}))
    for index in (999, 2**31, 2**32 - 1):
        yield record(made, f"buffer {index}", {"metadata[0]": {"buffer": index}}, "metadata[0].buffer")
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("../../escape", b"")
    archive = file.getvalue()
    yield Case("an archive with ../ behind it", lambda: seed.data + archive, code=ACCEPTED)  # nobody unpacks it
