"""`tflite-cupy demo`: TensorFlow models converted, run by signature, and held against TensorFlow."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import Interpreter, OpsSet, TFLiteConverter
from . import demo_models
from .arguments import add_device, need_tensorflow
from .output import STDOUT, progress, result, table

RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""How far a float may be from TensorFlow's."""

Values = Mapping[str, np.ndarray]


class Call(NamedTuple):
    """One call of one signature, and what TensorFlow says it gives."""

    signature: str
    inputs: Values
    expected: Values


class Demo(NamedTuple):
    """A converted model and the calls that it is shown with."""

    title: str
    content: bytes
    calls: list[Call]


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo", help="convert TensorFlow models and run them", description=__doc__
    )
    add_device(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 if every output is TensorFlow's, else 1. Raises MissingDependencyError without TensorFlow."""
    need_tensorflow("the demo converts TensorFlow models")
    checks = [check for demo in _demos() for check in _show(demo, arguments.device, quiet=arguments.json == STDOUT)]
    passed = all(check["passed"] for check in checks)

    def show() -> None:
        rows = [(c["model"], c["signature"], c["output"], c["difference"], "same" if c["passed"] else "DIFFERS")
                for c in checks]  # fmt: skip
        headers = ("model", "signature", "output", "largest difference", "")
        table(headers, rows, f"== Against TensorFlow (relative {RELATIVE:g}, absolute {ABSOLUTE:g}; strings equal)")

    result(arguments, show, passed=passed, checks=checks)
    return 0 if passed else 1


def _demos() -> Iterator[Demo]:
    guide = demo_models.guide_model()
    functions = demo_models.signatures(guide)
    encode = _expect("encode", functions, x=np.array([1, 2, 3], np.float32))
    calls = [encode, _expect("decode", functions, x=encode.expected["encoded_result"])]
    with tempfile.TemporaryDirectory() as folder:
        demo_models.save(guide, folder, functions)
        yield Demo("guide, from its SavedModel", _convert(TFLiteConverter.from_saved_model(folder)), calls)
    yield Demo("guide, from its functions", _convert(TFLiteConverter.from_concrete_functions(functions, guide)), calls)

    generator = np.random.default_rng(0)
    network = demo_models.keras_cnn()
    images = generator.random((2, 32, 32, 3), np.float32)
    call = Call("serving_default", {"image": images}, {"output_0": network(images).numpy()})
    yield Demo("Keras network", _convert(TFLiteConverter.from_keras_model(network)), [call])

    mixed = demo_models.mixed_model()
    functions = demo_models.signatures(mixed)
    features = generator.random((3, 8), np.float32)
    calls = [_expect(key, functions, features=features) for key in functions]
    yield Demo("dense and strings", _convert(TFLiteConverter.from_concrete_functions(functions, mixed)), calls)


def _convert(converter: TFLiteConverter) -> bytes:
    converter.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS, OpsSet.SELECT_TF_OPS]
    with progress("converting"):
        return converter.convert()


def _expect(key: str, functions: Mapping[str, Any], **inputs: np.ndarray) -> Call:
    return Call(key, inputs, demo_models.outputs(functions[key], inputs))


def _show(demo: Demo, device: str, *, quiet: bool) -> list[dict[str, Any]]:
    """Run a demo's calls, print them unless `quiet`, and compare: one check for each output."""
    interpreter = Interpreter(model_content=demo.content, device=device)
    lines, checks = [f"== {demo.title}: {len(demo.content):,} bytes", f"{interpreter.get_signature_list()}", ""], []
    for call in demo.calls:
        outputs = interpreter.get_signature_runner(call.signature)(**call.inputs)
        lines += [f"{call.signature}({_values(call.inputs)})", f"  -> {_values(outputs)}"]
        named = {"model": demo.title, "signature": call.signature}
        checks += [{**named, "output": n, **_compare(outputs[n], e)} for n, e in call.expected.items()]
    if not quiet:
        print("\n".join([*lines, "", str(interpreter.delegation_report()), ""]))
    return checks


def _values(values: Values) -> str:
    return ", ".join(f"{name}={_brief(value)}" for name, value in values.items())


def _brief(array: np.ndarray) -> str:
    return str(array) if array.size <= 4 else f"{array.dtype}{list(array.shape)}"


def _compare(got: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    if got.shape != expected.shape:
        return {"passed": False, "difference": f"shape {list(got.shape)}, expected {list(expected.shape)}"}
    if expected.dtype.kind == "O":
        wrong = int(np.count_nonzero(got != expected))
        return {"passed": wrong == 0, "difference": f"{wrong} of {expected.size} strings differ"}
    largest = np.abs(got - expected).max(initial=0)
    close = np.allclose(got, expected, RELATIVE, ABSOLUTE)
    return {"passed": bool(close), "difference": f"{largest:.1e}"}
