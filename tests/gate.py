"""An operator that waits until it is told to go on, for tests of what happens meanwhile."""

from __future__ import annotations

import threading

import numpy as np

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model


def gated(nodes: int = 1) -> bytes:
    """s(x float32 [?]) -> y: `nodes` times the custom operator Gate, which gives what it gets."""
    b = GraphBuilder()
    x = b.input(F32, [None], "x")
    y = x
    for _ in range(nodes):
        (y,) = b.op("Gate", [y], [b.tensor(F32, [None])], custom=True)
    return lite.write_model(model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})}))


class Gate:
    """The operator: each run waits until it is open, at most 20 s."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Semaphore(0), threading.Event()
        self.runs = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.runs += 1
        self.entered.release()
        assert self.opened.wait(20)
        return x.copy()

    @property
    def op(self) -> lite.CustomOp:
        return lite.custom_op("Gate", register=False)(lambda x: self(x))
