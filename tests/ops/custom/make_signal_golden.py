"""Runs the cases of signal_cases.py on TensorFlow Lite Micro and stores what it gives in signal_golden.npz:
the bytes of all outputs of all calls, by the name of the case.

    python tests/ops/custom/make_signal_golden.py /path/to/python-with-tflite_micro

That Python needs the package `tflite_micro` and NumPy, this one the project.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).with_name("signal_golden.npz")
RUN_ON_MICRO = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro.runtime import Interpreter

given, results = np.load(sys.argv[1]), {}
for name in given["names"]:
    interpreter = Interpreter.from_bytes(given[f"{name}/model"].tobytes(), arena_size=1 << 22)
    calls, inputs, outputs, reset = given[f"{name}/counts"]
    for call in range(calls):
        if call == reset:
            interpreter.reset()
        for i in range(inputs):
            interpreter.set_input(given[f"{name}/{call}/{i}"], i)
        interpreter.invoke()
        got = [interpreter.get_output(i) for i in range(outputs)]
        if got[-1].dtype == bool and not got[-1]:  # the others are whatever was in memory
            got[:-1] = [np.zeros_like(g) for g in got[:-1]]
        results.setdefault(name, []).extend(g.tobytes() for g in got)
np.savez_compressed(sys.argv[2], **{name: np.frombuffer(b"".join(r), np.uint8) for name, r in results.items()})
"""


def main(python: str) -> None:
    """Write the models and their inputs to a temporary file, and have `python` run them."""
    from tests.ops.custom.signal_cases import STATELESS, STREAMS
    from tests.ops.harness import Operand, one_op_model
    from tflite_cupy.interpreter.format.writer import write_model

    fed = [(case, [[x for x in case.inputs if not isinstance(x, Operand)]], -1) for case in STATELESS]
    fed += [(stream.case, [[x] for x in stream.calls], stream.reset) for stream in STREAMS]
    given = {"names": np.array([str(case) for case, _, _ in fed])}
    for case, calls, reset in fed:
        given[f"{case}/model"] = np.frombuffer(write_model(one_op_model(case)), np.uint8)
        given[f"{case}/counts"] = np.array([len(calls), len(calls[0]), len(case.outputs), reset])
        given |= {f"{case}/{c}/{i}": np.asarray(x) for c, inputs in enumerate(calls) for i, x in enumerate(inputs)}
    assert len({str(case) for case, _, _ in fed}) == len(fed), "two cases have one name"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "given.npz")
        np.savez(path, **given)  # type: ignore[arg-type]
        subprocess.run([python, "-c", RUN_ON_MICRO, str(path), str(GOLDEN)], check=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(sys.argv[1])
