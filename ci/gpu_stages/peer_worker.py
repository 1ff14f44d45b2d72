"""Times a network in torch or JAX, as told by lines of JSON on its input: [peer, model, batch, precision]."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

import numpy as np

from .benchmarks import SETS, made
from .clock import median, on_host
from .models import LIMITS
from .target import inputs_of, relative_error, runner
from .target import on_host as interpreter_on_host

LIBRARIES = {"torch eager": "torch", "torch graph": "torch", "torch.compile": "torch", "jax.jit": "jax"}
"""What a peer is made of; see peer_torch and peer_jax."""

SECONDS = 1.0  # for the calls of one measurement


def measured(peer: str, model: str, batch: int, precision: str, *, checked: bool) -> dict[str, Any]:
    """`device_ms`, `host_ms` as `benchmarks` has them; `error` of the result where it is checked."""
    library: Any = import_module(f"gpu_stages.peer_{LIBRARIES[peer]}")
    built, content = made(model, batch)
    host = interpreter_on_host(content)
    call = runner(host)
    names = list(call.get_input_details())
    sets = [list(inputs_of(call, seed).values()) for seed in range(SETS)]
    there = [[library.put(array, precision) for array in arrays] for arrays in sets]
    run = library.PEERS[peer](built.graphs[0], precision, there[0])
    result = library.get(run(there[0]))
    fields: dict[str, Any] = {}
    if checked:
        (want,) = call(**dict(zip(names, sets[0], strict=True))).values()
        fields["error"] = relative_error({"": result}, {"": want})
        if fields["error"] > max(LIMITS[precision], 1e-3):
            return {**fields, "verdict": "wrong", "why": "its result is not that of the CPU delegate"}
    fields["device_ms"] = median(lambda n: library.milliseconds(lambda: run(there[n // 2 % SETS])), seconds=SECONDS)

    def from_host(number: int) -> np.ndarray:
        found: np.ndarray = library.get(run([library.put(array, precision) for array in sets[number // 2 % SETS]]))
        return found

    fields["host_ms"] = median(lambda n: on_host(lambda: from_host(n)), seconds=SECONDS)
    return fields


def main() -> int:
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)  # what libraries print goes elsewhere
        for line in sys.stdin:
            peer, model, batch, precision = json.loads(line)
            try:
                result = measured(peer, model, batch, precision, checked=batch == 1)
            except Exception as error:  # whatever a peer dies of is what its row says
                result = {"verdict": "failed", "why": f"{type(error).__name__}: {error}"[:600]}
            out.write(json.dumps(result) + "\n")
            out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
