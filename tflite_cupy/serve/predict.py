"""TensorFlow Serving's REST protocol: requests and answers as data.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..interpreter.graph import TensorType
from .faults import Refused, bad
from .repository import DEFAULT_KEY, VERSION, Port, Served, ServedModel
from .strict_json import as_kind, dump, field, parse
from .tensors import plain

_TYPES = {
    TensorType.FLOAT32: "DT_FLOAT",
    TensorType.FLOAT64: "DT_DOUBLE",
    TensorType.FLOAT16: "DT_HALF",
}  # others are called DT_ and the type's own name
_BYTES_SUFFIX = "_bytes"
"""Outputs whose names end so are base64, as TensorFlow Serving has it."""


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A request for one call."""

    served: Served
    inputs: Mapping[str, Any]
    rows: int | None  # how many instances the inputs hold; None in the format by columns


def read(body: bytes, model: ServedModel) -> PredictRequest:
    """The request that a body holds. Raises Refused (400)."""
    request = parse(body)
    key = field(request, "signature_name", str, "the request")
    served = model.signature(key or None)
    if served is None:
        known = ", ".join(model.signatures)
        raise bad(f'Invalid signature_key provided: "{(key or DEFAULT_KEY)[:200]}". The signatures are {known}.')
    if ("instances" in request) == ("inputs" in request):
        raise bad("a request has either 'instances' (rows) or 'inputs' (columns).")
    if "inputs" in request:
        return PredictRequest(served, served.arrays(_columns(request["inputs"], served)), None)
    instances = as_kind(request["instances"], list, "'instances'")
    return PredictRequest(served, served.arrays(_rows(instances, served)), len(instances))


def _columns(value: Any, served: Served) -> dict[str, Any]:
    if isinstance(value, dict) and not _is_encoded(value, served):
        return {name: _decoded(item, served.inputs.get(name)) for name, item in value.items()}
    port = _only_input(served)
    return {port.name: _decoded(value, port)}


def _rows(instances: list[Any], served: Served) -> dict[str, Any]:
    """The inputs that instances hold, each with an axis of rows before its own."""
    if not instances:
        raise bad("'instances' is empty.")
    if not isinstance(instances[0], dict) or _is_encoded(instances[0], served):
        port = _only_input(served)
        return {port.name: _decoded(instances, port)}
    names = instances[0].keys()
    for place, instance in enumerate(instances):
        if not isinstance(instance, dict) or instance.keys() != names:
            raise bad(f"instance {place} does not have the inputs of instance 0: {', '.join(names)[:200]}.")
    return {name: _decoded([row[name] for row in instances], served.inputs.get(name)) for name in names}


def _only_input(served: Served) -> Port:
    if len(served.inputs) != 1:
        raise bad(f"signature {served.key!r} has several inputs or none, so name them: {', '.join(served.inputs)}.")
    return next(iter(served.inputs.values()))


def _is_encoded(value: dict[str, Any], served: Served) -> bool:
    """Whether an object is a string in base64, and not inputs by name."""
    return value.keys() == {"b64"} and "b64" not in served.inputs


def _decoded(value: Any, port: Port | None) -> Any:
    """`value` with the bytes that it holds in base64, where the input takes strings. Raises Refused (400)."""
    if port is None or port.tensor.type is not TensorType.STRING:
        return value
    return _mapped(value, port.name)


def _mapped(value: Any, name: str, depth: int = 0) -> Any:
    if isinstance(value, list):
        if depth == 32:
            raise bad(f"input {name!r}: lists are nested too deeply.")
        return [_mapped(item, name, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    text = value.get("b64")
    if value.keys() != {"b64"} or not isinstance(text, str):
        raise bad(f'input {name!r} takes strings, or bytes as {{"b64": "..."}}.')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad(f"input {name!r}: {text[:40]!r} is no base64: {error}.") from None


def answer(request: PredictRequest, results: Mapping[str, np.ndarray]) -> bytes:
    """The body of an answer. Raises Refused (400) for outputs that do not have a row for each instance."""
    if request.rows is not None:
        for name, array in results.items():
            if array.shape[:1] != (request.rows,):
                shape = list(array.shape)
                raise Refused(400, f"output {name!r} is {shape} for {request.rows} instances. Send 'inputs' instead.")
    values = {name: _to_json(array, encode=name.endswith(_BYTES_SUFFIX)) for name, array in results.items()}
    only = next(iter(values.values())) if len(values) == 1 else None
    if request.rows is None:
        return dump({"outputs": values if only is None else only})
    if only is not None:
        return dump({"predictions": only})
    return dump({"predictions": [{name: rows[i] for name, rows in values.items()} for i in range(request.rows)]})


def _to_json(array: np.ndarray, *, encode: bool) -> Any:
    if not array.dtype.hasobject:
        return plain(array).tolist()
    texts = np.empty(array.shape, object)
    texts.reshape(-1)[:] = [_text(item, encode) for item in array.reshape(-1).tolist()]
    return texts.tolist()


def _text(item: bytes, encode: bool) -> Any:
    """A string as JSON has it: as text, or in base64 if it is asked for or no UTF-8."""
    if not encode:
        try:
            return item.decode()
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(item).decode()}


def status(*, is_ready: bool) -> dict[str, Any]:
    """State of a model's only version."""
    state = "AVAILABLE" if is_ready else "LOADING"
    fine = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": VERSION, "state": state, "status": fine}]}


def metadata(model: ServedModel) -> dict[str, Any]:
    """The model's signatures, as a SavedModel's would be."""
    definitions = {
        key: {
            "inputs": {name: _tensor_info(port) for name, port in served.inputs.items()},
            "outputs": {name: _tensor_info(port) for name, port in served.outputs.items()},
            "method_name": "tensorflow/serving/predict",
        }
        for key, served in model.signatures.items()
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": {"signature_def": definitions}},
    }


def _tensor_info(port: Port) -> dict[str, Any]:
    dims = port.tensor.dims
    sizes = [{"size": str(size), "name": ""} for size in ([] if dims is None else port.shape)]
    return {
        "name": port.tensor.name,
        "dtype": _TYPES.get(port.tensor.type, f"DT_{port.tensor.type.name}"),
        "tensor_shape": {"dim": sizes, "unknown_rank": dims is None},
    }
