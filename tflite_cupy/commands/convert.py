"""`tflite-cupy convert MODEL -o FILE.tflite`: a TensorFlow model as a .tflite file.

MODEL is a SavedModel folder, a .keras or .h5 file, or, to be quantised, a .tflite file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

from .. import Interpreter, OpsSet, TFLiteConverter, load_model
from ..converter import ConversionReport, SignatureReport
from ..converter.verify import TOLERANCE
from ..quantizer_api import quantize
from . import calibration
from .arguments import UsageError, existing, known, need_tensorflow, writable
from .inspect import describe
from .output import json_value, progress, result, table

KERAS = (".keras", ".h5", ".hdf5")
FLOAT = "float32"


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "convert", help="make a .tflite file from a TensorFlow model", description=f"{__doc__}\n\n{calibration.__doc__}"
    )
    parser.add_argument("model", metavar="MODEL", help="SavedModel folder, .keras, .h5 or .tflite file")
    parser.add_argument("-o", "--output", metavar="FILE.tflite", required=True, help="where the result goes")
    parser.add_argument("--signature", metavar="KEY", action="append", default=[], help="once for each; default: all")
    parser.add_argument("--no-flex", action="store_true", help="an error if an operator has no builtin counterpart")
    parser.add_argument("--quantize", choices=("dynamic", "float16", "int8"), help="smaller and faster, less exact")
    parser.add_argument("--calibration", metavar="DATA.npz", help="inputs that --quantize int8 takes ranges from")
    parser.add_argument("--inference-type", choices=(FLOAT, "int8", "uint8"), default=FLOAT,
                        help=f"of inputs and outputs of an int8 model (default: {FLOAT})")  # fmt: skip
    parser.add_argument("--verify", action="store_true", help="run each signature in TensorFlow too, and compare")
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Convert, write the file, print what is in it; 0."""
    _check_options(arguments)
    target = writable(arguments.output)
    started = perf_counter()
    content, report = _made(arguments)
    try:
        target.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error}") from error
    _show(target, perf_counter() - started, report, arguments)
    return 0


def _made(arguments: argparse.Namespace) -> tuple[bytes, ConversionReport | None]:
    """The file, and what the converter reports where it had a part in it.

    A model that is quantised is compared with TensorFlow as it was converted, and measured as it was quantised, on
    calibration data where there is some.
    """
    if _is_tflite(arguments):
        content = existing(arguments.model).read_bytes()
        return _quantized(content, arguments, _samples(content, arguments)), None
    need_tensorflow("convert reads TensorFlow models")
    with progress("converting"):
        converter = _converter(arguments)
        content = converter.convert()
    if arguments.verify:
        _compare(converter, content, None, TOLERANCE)
    if arguments.quantize:
        samples = _samples(content, arguments)
        content = _quantized(content, arguments, samples)
        if arguments.verify:
            _compare(converter, content, samples, None)
    return content, converter.report()


def _samples(content: bytes, arguments: argparse.Namespace) -> calibration.Samples | None:
    if not arguments.calibration:
        return None
    return calibration.read(existing(arguments.calibration), Interpreter(model_content=content, device="cpu"))


def _quantized(content: bytes, arguments: argparse.Namespace, samples: calibration.Samples | None) -> bytes:
    ends = arguments.inference_type
    with progress("quantising") as told:
        return quantize(content, arguments.quantize, samples, inputs=ends, outputs=ends, progress=told)


def _compare(
    converter: TFLiteConverter, content: bytes, samples: calibration.Samples | None, tolerance: float | None
) -> None:
    with progress("comparing with TensorFlow") as told:
        converter.verify(content, samples, tolerance=tolerance, progress=told)


def _is_tflite(arguments: argparse.Namespace) -> bool:
    return Path(arguments.model).suffix == ".tflite"


def _check_options(arguments: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    is_int8 = arguments.quantize == "int8"
    if is_int8 and not arguments.calibration:
        raise UsageError("--quantize int8 needs inputs to take ranges from.", hint="Add --calibration DATA.npz.")
    if arguments.calibration and not is_int8:
        raise UsageError("--calibration is for --quantize int8.")
    if arguments.inference_type != FLOAT and not is_int8:
        raise UsageError(f"--inference-type {arguments.inference_type} is for --quantize int8.")
    if _is_tflite(arguments):
        if not arguments.quantize:
            raise UsageError(f"{arguments.model} is a .tflite file already.", hint="Add --quantize to quantise it.")
        if arguments.verify or arguments.signature or arguments.no_flex:
            raise UsageError("--verify, --signature and --no-flex are for TensorFlow models.")


def _converter(arguments: argparse.Namespace) -> TFLiteConverter:
    path = Path(arguments.model)
    if path.is_dir():
        if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise UsageError(f"there is no SavedModel in {path}: no file saved_model.pb.")
        converter = TFLiteConverter.from_saved_model(path, arguments.signature)
    elif existing(arguments.model).suffix in KERAS:
        for key in arguments.signature:
            known("signature", key, ["serving_default"])
        converter = TFLiteConverter.from_keras_file(path)
    else:
        raise UsageError(f"{path} is no SavedModel folder and no {', '.join(KERAS)} or .tflite file.")
    flex = () if arguments.no_flex else (OpsSet.SELECT_TF_OPS,)
    converter.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS, *flex]
    return converter


def _show(path: Path, seconds: float, report: ConversionReport | None, arguments: argparse.Namespace) -> None:
    facts = describe(load_model(path), path)
    signatures = () if report is None else report.signatures
    made = {s.key: _signature(s) for s in signatures}
    both = [{**signature, **made.get(signature["key"], {})} for signature in facts["signatures"]]

    def show() -> None:
        print(f"{path}: {facts['bytes']:,} bytes in {seconds:.1f} s")
        _tables(facts, report, verified=arguments.verify)

    entire = {**facts, "signatures": both, "seconds": round(seconds, 3), "quantized": arguments.quantize}
    result(arguments, show, **entire)


def _tables(facts: dict[str, Any], report: ConversionReport | None, *, verified: bool) -> None:
    if report is None:
        operators = sorted(facts["operators"].items(), key=lambda item: (-item[1], item[0]))
        table(("operator", "nodes"), operators)
        return
    headers = ("signature", "builtin", "Flex", *(["against TensorFlow"] if verified else []))
    signatures = report.signatures
    table(headers, [(s.key, s.builtin_count, s.flex_count, *([_peak(s)] if verified else [])) for s in signatures])
    flex = [(s.key, f"Flex{node.op}", node.name, node.reason) for s in signatures for node in s.flex]
    if flex:
        print()
        table(("signature", "operator", "node", "why it needs TensorFlow"), flex)


def _peak(signature: SignatureReport) -> str:
    return f"peak error {signature.peak_error:.1e}" if signature.peak_error else "equal"


def _signature(report: SignatureReport) -> dict[str, Any]:
    checks = [
        {
            "output": check.name,
            "random": check.random,
            "absolute": json_value(check.difference.absolute),
            "relative": json_value(check.difference.relative),
            "sqnr": json_value(check.difference.sqnr),
        }
        for check in report.checks or ()
    ]
    return {
        "builtin": dict(report.builtin),
        "builtin_count": report.builtin_count,
        "flex": [{"name": n.name, "op": n.op, "scope": n.scope, "reason": n.reason} for n in report.flex],
        "flex_count": report.flex_count,
        "custom": dict(report.custom),
        "checks": None if report.checks is None else checks,
        "peak_error": None if report.peak_error is None else json_value(report.peak_error),
    }
