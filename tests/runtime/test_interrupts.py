"""An interrupt at any moment of a call: the turn that it had is free again, and variables are what they were."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.runtime.test_concurrency import WAIT_S, counter_with_signatures, open_interpreter
from tflite_cupy.interpreter.runtime import turns

RUNTIME = str(Path(turns.__file__).parent)
CHECKED = {"RESUME", "JUMP_BACKWARD", "CALL", "CALL_KW", "CALL_FUNCTION_EX"}
"""Instructions at whose end Python looks for signals."""


@cache
def handlers(code: CodeType) -> list[int]:
    """Where each instruction, by its offset, goes when it raises; -1 out of the function."""
    found = [-1] * len(code.co_code)
    for entry in dis.Bytecode(code).exception_entries:  # type: ignore[attr-defined]
        found[entry.start : entry.end] = [entry.target] * (entry.end - entry.start)
    return found


class Interrupt:
    """Raises KeyboardInterrupt where this thread, in the package's runtime, would hear of a signal: at the moment of a
    given number."""

    def __init__(self, moment: int) -> None:
        self._left = moment
        self._last: dict[FrameType, int] = {}  # the instruction that each frame is at

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Interrupt | None:
        if not frame.f_code.co_filename.startswith(RUNTIME):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self._left -= self._hears(frame, self._last.get(frame), frame.f_lasti)
            self._last[frame] = frame.f_lasti
            if not self._left:
                raise KeyboardInterrupt
        return self

    def _hears(self, frame: FrameType, before: int | None, now: int) -> bool:
        """Whether a signal is heard after the instruction before, and it makes no difference to be heard now."""
        if before is None:
            return True
        where = handlers(frame.f_code)
        return dis.opname[frame.f_code.co_code[before]] in CHECKED and where[before] == where[now]

    def during(self, call: Callable[[], Any]) -> bool:
        """Whether it came while `call` ran."""
        before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # Python 3.12 counts on settrace to find a frame that has asked for them
        sys.settrace(self)
        try:
            call()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False


@pytest.mark.parametrize("limits", [lite.Limits(), lite.Limits(max_concurrent_calls=1)], ids=["free", "queued"])
def test_at_every_moment(limits: lite.Limits) -> None:
    """Another thread calls after each. Interrupts that come when the call is as good as over find it done."""
    interpreter = open_interpreter(counter_with_signatures(), limits=limits)
    increment, read = (interpreter.get_signature_runner(key) for key in ("increment", "read"))
    one, moments, done, value = np.float32([1, 1]), 0, 0, 11.0
    increment(x=one)
    with ThreadPoolExecutor(1) as other:
        while Interrupt(moments + 1).during(lambda: increment(x=one)):
            moments += 1
            found = other.submit(read).result(WAIT_S)
            assert found["v"].tolist() == found["w"].tolist()
            done += int(found["v"][0] - value)
            value = float(found["v"][0])
    assert moments > 50
    assert done < moments / 5
