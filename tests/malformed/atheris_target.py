"""Coverage-guided fuzzing of what parses bytes from strangers; needs the package `atheris`, which no test does.

    python -m tests.malformed.atheris_target reader CORPUS_FOLDER -max_total_time=120 -max_len=8192
    python -m tests.malformed.atheris_target flexbuffer CORPUS_FOLDER -max_total_time=120

The corpus folder is filled with the seeds of these tests. Anything but a TfliteError ends the run as a finding, as does
an input that takes long (`-timeout`) or much memory (`-rss_limit_mb`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped]

with atheris.instrument_imports(include=["tflite_cupy.interpreter.format"]):
    from tests.malformed.seeds import SEEDS, node_def, seed
    from tflite_cupy.interpreter.errors import TfliteError
    from tflite_cupy.interpreter.format.flexbuffer import read_flexbuffer, write_flexbuffer
    from tflite_cupy.interpreter.format.model import load_model
    from tflite_cupy.interpreter.format.nodedef import read_nodedef
    from tflite_cupy.interpreter.limits import Limits

LIMITS = Limits.untrusted()


def read_model(data: bytes) -> None:
    """Loads a model."""
    load_model(data, LIMITS)


def read_options(data: bytes) -> None:
    """Reads a FlexBuffer, and the NodeDef in it."""
    value = read_flexbuffer(data)
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], bytes):
        read_nodedef(value[1])


def models() -> list[bytes]:
    return [seed(name).data for name in SEEDS]


def options() -> list[bytes]:
    values = [None, 7, -1.5, "text", [1, 2.5, b"\0"], {"a": [1, {"b": True}]}, [b"Relu", node_def("Relu", T=b"\x30\1")]]
    return [write_flexbuffer(value) for value in values]


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "reader": (read_model, models),
    "flexbuffer": (read_options, options),
}


def main() -> None:
    target, seeds = TARGETS[sys.argv.pop(1)]
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (folder / f"seed_{number}").write_bytes(data)

    def run(data: bytes) -> None:
        try:
            target(data)
        except TfliteError:
            return

    atheris.Setup([*sys.argv, "-timeout=10", "-rss_limit_mb=2048"], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
