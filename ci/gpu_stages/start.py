"""From a new process to the first result of MobileNetV2, without kernels on disk, and with those that this leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from networks import mobilenet_v2

import tflite_cupy as lite

from .progress import Progress
from .target import Target, inputs_of

CI = Path(__file__).resolve().parents[1]

SCRIPT = """
import json, sys, time
began = time.perf_counter()
sys.path[:0] = sys.argv[1:3]
import numpy as np
import tflite_cupy as lite
from gpu_stages.target import Target
imported = time.perf_counter()
target = Target(sys.argv[3])
target.device
opened = time.perf_counter()
call = target.interpreter(open(sys.argv[4], "rb").read(), "tf32").get_signature_runner()
planned = time.perf_counter()
with np.load(sys.argv[5]) as stored:
    target.get(call(**stored))
ended = time.perf_counter()
names = "import_s", "device_s", "plan_s", "call_s"
times = imported - began, opened - imported, planned - opened, ended - planned
print(json.dumps(dict(zip(names, (round(t, 3) for t in times)))))
"""


def run(target: Target, progress: Progress) -> None:
    """`load_s` is from the file to the result, without imports and what CUDA itself takes to open the device."""
    model = mobilenet_v2() if target.is_real else mobilenet_v2(resolution=32)
    content = lite.write_model(model)
    with tempfile.TemporaryDirectory() as folder:
        path, feeds = Path(folder) / "model.tflite", Path(folder) / "inputs.npz"
        path.write_bytes(content)
        reader = lite.Interpreter(model_content=content, device="cpu").get_signature_runner()
        np.savez(feeds, **inputs_of(reader, 1))
        environment = {**os.environ, "CUPY_CACHE_DIR": f"{folder}/kept", "CUPY_CACHE_IN_MEMORY": "0"}
        command = [sys.executable, "-c", SCRIPT, str(CI), str(CI.parent), target.name, str(path), str(feeds)]
        for state in ("without kernels on disk", "with kernels on disk"):
            with progress.attempt("rows", state=state) as row:
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                row |= json.loads(done.stdout.splitlines()[-1])
                row["load_s"] = round(row["plan_s"] + row["call_s"], 3)
    progress.finish()
