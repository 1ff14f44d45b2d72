"""Where the stages run models: the GPU, or the emulated device, which tries the stages themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

import tflite_cupy as lite
from tflite_cupy.delegates.gpu import GpuDelegate
from tflite_cupy.delegates.gpu.cupy_device import CupyDevice, CupyMemory
from tflite_cupy.delegates.gpu.program import Program
from tflite_cupy.delegates.gpu.space import DeviceSpace
from tflite_cupy.interpreter.errors import TfliteError
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

POISON = 0xFF  # makes NaN of all floating-point types

FAR = 1e9

NAMES = ("gpu", "emulated")


class PoisonedDevice(CupyDevice):
    """A GPU whose fresh memory holds NaN, as the emulated device's does."""

    def memory(self, nbytes: int) -> CupyMemory:
        memory = super().memory(nbytes)
        memory.bytes.fill(POISON)
        return memory


class RecordedDelegate(GpuDelegate):
    """The GPU delegate; keeps its programs, whose listings tell what a call launches."""

    def __init__(self, space: DeviceSpace, *, precision: str, apart: bool, library: bool, tune: bool) -> None:
        self.programs: list[Program] = []
        super().__init__(space, "CupyGpuDelegate", precision=precision, apart=apart, library=library, tune=tune)

    def compile(self, partition: Partition) -> Executable:
        program = super().compile(partition)
        assert isinstance(program, Program)
        self.programs.append(program)
        return program


class Target:
    """One device. Its delegates share memory and compiled kernels."""

    def __init__(self, name: str, *, poisoned: bool = False) -> None:
        assert name in NAMES
        self.name, self.is_real, self._poisoned = name, name == "gpu", poisoned

    @cached_property
    def device(self) -> Any:
        """A `delegates.gpu.device.Device`."""
        if self.is_real:
            return PoisonedDevice() if self._poisoned else CupyDevice()
        from tests.emulator.device import HostDevice

        return HostDevice()

    @cached_property
    def space(self) -> DeviceSpace:
        return DeviceSpace(self.device)

    def delegate(
        self, precision: str = "strict", *, apart: bool = False, library: bool = True, tune: bool = False
    ) -> Any:
        """A new one, with a list `programs`."""
        options: dict[str, Any] = {"precision": precision, "apart": apart, "library": library, "tune": tune}
        if self.is_real:
            return RecordedDelegate(self.space, **options)
        from tests.emulator.device import EmulatedGpuDelegate

        return EmulatedGpuDelegate(self.device, **options)

    def interpreter(self, content: bytes, precision: str = "strict", *, apart: bool = False) -> lite.Interpreter:
        return lite.Interpreter(model_content=content, device="cpu", delegates=[self.delegate(precision, apart=apart)])

    def works(self) -> bool:
        """Whether this process can use the device: after a fault of a kernel it can't any more."""
        try:
            self.space.get([self.space.put(np.zeros(1, np.float32))])
        except (TfliteError, *self.device.errors):
            return False
        return True

    def put(self, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Arrays on the device."""
        return {name: self.space.put(np.asarray(value)) for name, value in values.items()}

    def get(self, outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """On the host, whatever they are: a call gives NumPy arrays where its inputs were such."""
        there = {name: value for name, value in outputs.items() if self.space.owns(value)}
        host = dict(zip(there, self.space.get(list(there.values())), strict=True))
        return {name: host.get(name, value) for name, value in outputs.items()}


def on_host(content: bytes, *, exact: bool = False) -> lite.Interpreter:
    """What results are held against: the CPU delegate. exact: by NumPy, whose integers a GPU gives, too."""
    return lite.Interpreter(model_content=content, device="cpu", cpu_kernels="numpy" if exact else "auto")


def runner(interpreter: lite.Interpreter, key: str | None = None) -> lite.SignatureRunner:
    """Of a signature, by default the first."""
    return interpreter.get_signature_runner(key or next(iter(interpreter.get_signature_list())))


def inputs_of(runner: lite.SignatureRunner, seed: int, shapes: Mapping[str, Sequence[int]] | None = None) -> Any:
    """Random inputs of a network by name: images, token ids below 50, masks and segments of 0 and 1."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    for name, detail in runner.get_input_details().items():
        shape = (shapes or {}).get(name, detail["shape"])
        if detail["dtype"] == np.int32:
            top = 2 if "mask" in name or "type" in name else 50
            made[name] = rng.integers(0, top, shape).astype(np.int32)
        elif detail["dtype"] == np.int8:
            made[name] = np.clip(np.rint(rng.normal(scale=30, size=shape)), -128, 127).astype(np.int8)
        else:
            made[name] = rng.normal(size=shape).astype(detail["dtype"])
    return made


def same_bits(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return all(np.asarray(a[name]).tobytes() == np.asarray(b[name]).tobytes() for name in a)


def relative_error(got: Mapping[str, Any], want: Mapping[str, Any]) -> float:
    """Largest relative RMS error of an output; `FAR` where one is not finite or has another shape."""
    worst = 0.0
    for name, right in want.items():
        a, b = np.asarray(got[name]).astype(np.float64), np.asarray(right).astype(np.float64)
        if a.shape != b.shape or not np.isfinite(a).all():
            return FAR
        size = float(np.sqrt(np.mean(b**2))) or 1.0
        worst = max(worst, float(np.sqrt(np.mean((a - b) ** 2))) / size)
    return worst
