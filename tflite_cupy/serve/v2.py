"""The Open Inference Protocol (KServe v2), with the extension for binary tensor data: requests and answers as data.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .faults import bad
from .repository import VERSION, Port, Repository, Served
from .strict_json import as_kind, dump, field, flattened, parse
from .tensors import checked_shape, dtype_of, from_bytes, plain, to_bytes, to_text

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Header that tells how much of a body is JSON; binary data follows."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request for one call."""

    id: str | None
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, bool]  # those wanted, and whether as binary data
    timeout_ms: float | None  # the request's own, which it gives in microseconds


def read(body: bytes, header_length: str | None, served: Served) -> InferRequest:
    """The request that a body holds. Raises Refused (400)."""
    length = _header_length(header_length, len(body))
    request = parse(memoryview(body)[:length], "the request")
    parameters = field(request, "parameters", dict, "the request", {})
    timeout = field(parameters, "timeout", int, "the request's parameters")
    binary = field(parameters, "binary_data_output", bool, "the request's parameters", False)
    return InferRequest(
        field(request, "id", str, "the request"),
        _inputs(field(request, "inputs", list, "the request", []), memoryview(body)[length:], served),
        _wanted(field(request, "outputs", list, "the request", []), binary, served),
        timeout / 1e3 if timeout and timeout > 0 else None,
    )


def _header_length(text: str | None, size: int) -> int:
    if text is None:
        return size
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) > size:
        raise bad(f"{HEADER_LENGTH}: {text[:40]!r} is no part of the body's {size} bytes.")
    return int(text)


def _inputs(listed: list[Any], binary: memoryview, served: Served) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    start = 0
    for place, item in enumerate(listed):
        what = f"input {place}"
        entry = as_kind(item, dict, what)
        name = _named(entry, what)
        if name in arrays:
            raise bad(f"input {name!r} is given twice.")
        what = f"input {name!r}"
        shape = checked_shape(field(entry, "shape", list, what, []), what)
        datatype = field(entry, "datatype", str, what, "")
        size = _binary_size(field(entry, "parameters", dict, what, {}), what)
        if size is None:
            arrays[name] = _from_json(entry, datatype, shape, served.inputs.get(name), what)
            continue
        if "data" in entry:
            raise bad(f"{what} has both 'data' and 'binary_data_size'.")
        if start + size > len(binary):
            raise bad(f"{what}: binary_data_size is {size}, and {len(binary) - start} bytes of binary data are left.")
        arrays[name] = from_bytes(binary[start : start + size], datatype, shape, what)
        start += size
    if start != len(binary):
        raise bad(f"the inputs take {start} bytes of binary data, the body holds {len(binary)}.")
    return arrays


def _named(entry: dict[str, Any], what: str) -> str:
    name = field(entry, "name", str, what)
    if name is None:
        raise bad(f"{what} has no name.")
    return str(name)


def _binary_size(parameters: dict[str, Any], what: str) -> int | None:
    if "shared_memory_region" in parameters:
        raise bad(f"{what}: shared memory is not supported.")
    size = field(parameters, "binary_data_size", int, what)
    if size is not None and size < 0:
        raise bad(f"{what}: binary_data_size is {size}.")
    return None if size is None else int(size)


def _from_json(
    entry: dict[str, Any], datatype: str, shape: tuple[int, ...], port: Port | None, what: str
) -> np.ndarray:
    dtype = dtype_of(datatype, what)
    if "data" not in entry:
        raise bad(f"{what} has neither 'data' nor 'binary_data_size'.")
    elements, nested = flattened(as_kind(entry["data"], list, f"'data' of {what}"), what)
    if len(nested) > 1 and nested != shape:
        raise bad(f"{what}: shape is {list(shape)}, the nested lists are {list(nested)}.")
    if len(elements) != prod(shape):
        raise bad(f"{what}: shape {list(shape)} does not have {len(elements)} elements.")
    if port is None or port.datatype != datatype:
        return np.zeros(shape, dtype)  # only its type is looked at: the signature has no such input
    return port.array(elements).reshape(shape)


def _wanted(listed: list[Any], binary: bool, served: Served) -> dict[str, bool]:
    """The outputs that are asked for, by default all, and whether as binary data."""
    wanted: dict[str, bool] = {}
    for place, item in enumerate(listed):
        entry = as_kind(item, dict, f"output {place}")
        name = _named(entry, f"output {place}")
        if name not in served.outputs:
            known = ", ".join(served.outputs) or "none"
            raise bad(f"Invalid Output name ({name[:200]}) for SignatureDef. Known names: {known}.")
        asked = field(entry, "parameters", dict, f"output {name!r}", {})
        if "classification" in asked or "shared_memory_region" in asked:
            raise bad(f"output {name!r}: classification and shared memory are not supported.")
        wanted[name] = field(asked, "binary_data", bool, f"output {name!r}", binary)
    return wanted or dict.fromkeys(served.outputs, binary)


def answer(
    request: InferRequest, served: Served, name: str, results: Mapping[str, np.ndarray]
) -> tuple[bytes, dict[str, str]]:
    """The body of an answer and its headers. Raises Refused (400) for strings that JSON can't hold."""
    outputs, chunks = [], []
    for output, is_binary in request.outputs.items():
        array = results[output]
        entry: dict[str, Any] = {
            "name": output,
            "datatype": served.outputs[output].datatype,
            "shape": list(array.shape),
        }
        if is_binary:
            chunks.append(to_bytes(array))
            entry["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            entry["data"] = _to_json(array, f"output {output!r}")
        outputs.append(entry)
    about = {"id": request.id} if request.id is not None else {}
    header = dump({"model_name": name, "model_version": VERSION, **about, "outputs": outputs})
    if not chunks:
        return header, {"Content-Type": "application/json"}
    return b"".join([header, *chunks]), {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}


def _to_json(array: np.ndarray, what: str) -> list[Any]:
    elements: list[Any] = plain(array).reshape(-1).tolist()
    return [to_text(item, what) for item in elements] if array.dtype.hasobject else elements


def server_metadata(version: str) -> dict[str, Any]:
    """What the server is."""
    return {"name": "tflite-cupy", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(served: Served, name: str) -> dict[str, Any]:
    """Inputs and outputs of a signature, which goes by `name`."""
    return {
        "name": name,
        "versions": [VERSION],
        "platform": "tflite",
        "inputs": [_port(port) for port in served.inputs.values()],
        "outputs": [_port(port) for port in served.outputs.values()],
    }


def _port(port: Port) -> dict[str, Any]:
    return {"name": port.name, "datatype": port.datatype, "shape": port.shape}


def index(repository: Repository, *, is_ready: bool) -> list[dict[str, str]]:
    """Every signature that is served, and whether it can be asked."""
    state = {"state": "READY", "reason": ""} if is_ready else {"state": "UNAVAILABLE", "reason": "not ready"}
    return [{"name": name, "version": VERSION, **state} for name in repository.signatures]
