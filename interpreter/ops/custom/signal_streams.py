"""TensorFlow Lite Micro's operators on streams: each call goes on where the last one of the interpreter ended.

`reset_all_variables` starts them anew. Dimensions before the last ones are streams of their own.
"""

from __future__ import annotations

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import FLOAT, INT16, StatefulOp, op
from ..shared.host import dimensions, require_rank, shape_of
from ..shared.resources import Memories


@op("SignalFramer", INT16)
class SignalFramer(StatefulOp):
    """Samples [..., n] -> frames [..., n / frame_step, frame_size], one every frame_step samples, and if all are there.

    The first frames lack samples, unless `prefill` puts frame_size - frame_step zeros before the stream. Those that
    lack any are zeros here; the reference leaves its memory as it is.
    """

    frame_size: int = 0
    frame_step: int = 0
    prefill: bool = False

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, ...]:
        size, step = self.frame_size, self.frame_step
        if size < 1 or step < 1 or (self.prefill and size < step):
            raise KernelError(f"{self.name}: frame_size is {size} and frame_step {step}, expected positive numbers.")
        if input.rank == 0 or shape_of(input)[-1] < step or shape_of(input)[-1] % step:
            raise KernelError(f"{self.name} got {input}, expected a multiple of frame_step {step} samples.")
        *outer, samples = shape_of(input)
        shape = dimensions((*outer, samples // step, size), f"{self.name}: the result")
        return TensorSpec(TensorType.INT16, shape), TensorSpec(TensorType.BOOL, ())

    def run_with(self, state: Memories, input: np.ndarray) -> tuple[np.ndarray, ...]:
        *outer, samples = input.shape
        before = self.frame_size - self.frame_step if self.prefill else 0
        memory = state.memory(self.place, np.zeros((*outer, before), np.int16))
        held = memory.read()
        count, lacking = samples // self.frame_step, self.frame_size - held.shape[-1] - self.frame_step
        late = min(max(0, -(-lacking // self.frame_step)), count)  # frames that come too early
        stream = np.concatenate([held, input], axis=-1)
        frames = np.zeros((*outer, count, self.frame_size), np.int16)
        if late < count:
            windows = np.lib.stride_tricks.sliding_window_view(stream, self.frame_size, axis=-1)
            frames[..., late:, :] = windows[..., :: self.frame_step, :][..., : count - late, :]
        memory.assign(stream[..., (count - late) * self.frame_step :])
        return frames, np.array(late == 0)


@op("SignalDelay", INT16)
class SignalDelay(StatefulOp):
    """The stream, delay_length samples later; zeros come first."""

    delay_length: int = 0

    def infer(self, input: TensorSpec) -> TensorSpec:
        if input.rank == 0 or self.delay_length < 0:
            raise KernelError(
                f"{self.name} got {input} and delay_length {self.delay_length}, expected samples [..., n]."
            )
        return TensorSpec(input.type, input.shape)

    def run_with(self, state: Memories, input: np.ndarray) -> np.ndarray:
        memory = state.memory(self.place, np.zeros((*input.shape[:-1], self.delay_length), np.int16))
        stream = np.concatenate([memory.read(), input], axis=-1)
        memory.assign(stream[..., input.shape[-1] :])
        return stream[..., : input.shape[-1]]


@op("SignalOverlapAdd", FLOAT | INT16)
class SignalOverlapAdd(StatefulOp):
    """Frames [..., n, size] -> samples [..., n * frame_step]: their sum, each frame_step after the one before.

    Sums of integers are cut to int16 after every frame.
    """

    frame_step: int = 0

    def infer(self, input: TensorSpec) -> TensorSpec:
        if input.rank < 2 or not 1 <= self.frame_step <= shape_of(input)[-1]:
            raise KernelError(
                f"{self.name} got {input}, expected frames of frame_step {self.frame_step} samples or more."
            )
        *outer, count, _ = shape_of(input)
        return TensorSpec(input.type, (*outer, count * self.frame_step))

    def run_with(self, state: Memories, input: np.ndarray) -> np.ndarray:
        *outer, count, size = input.shape
        memory = state.memory(self.place, np.zeros((*outer, size), input.dtype))
        total = memory.read()
        samples = np.empty((*outer, count, self.frame_step), input.dtype)
        for index in range(count):
            total = _sum(total, input[..., index, :])
            samples[..., index, :] = total[..., : self.frame_step]
            total = np.concatenate([total[..., self.frame_step :], np.zeros_like(samples[..., 0, :])], axis=-1)
        memory.assign(total)
        return samples.reshape(*outer, count * self.frame_step)


def _sum(a: Array, b: Array) -> Array:
    """a + b, cut to int16 if it is of integers."""
    if a.dtype == np.float32:
        return a + b
    return np.clip(a.astype(np.int32) + b, -(2**15), 2**15 - 1).astype(np.int16)


@op("SignalStacker", INT16)
class SignalStacker(StatefulOp):
    """[num_channels] -> the last left context + 1 + right context frames as one, and if there are enough of them.

    One comes every stacker_step frames; the first frame stands for those before it. Without one the result is zeros
    here; the reference leaves its memory as it is.
    """

    num_channels: int = 0
    stacker_left_context: int = 0
    stacker_right_context: int = 0
    stacker_step: int = 0

    @property
    def _frames(self) -> int:
        return self.stacker_left_context + 1 + self.stacker_right_context

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, ...]:
        require_rank(input, (1,), f"{self.name}: input")
        contexts = self.stacker_left_context, self.stacker_right_context
        if self.num_channels < 1 or min(contexts) < 0 or not 1 <= self.stacker_step <= self._frames:
            raise KernelError(f"{self.name}: an attribute is out of range: {self.attributes}.")
        if shape_of(input)[0] < self.num_channels:
            raise KernelError(f"{self.name} got {input}, expected num_channels {self.num_channels} numbers.")
        shape = dimensions([self._frames * self.num_channels], f"{self.name}: the result")
        return TensorSpec(input.type, shape), TensorSpec(TensorType.BOOL, ())

    def run_with(self, state: Memories, input: np.ndarray) -> tuple[np.ndarray, ...]:
        nothing_yet = np.zeros((0, 0), np.int16)
        memory = state.memory(self.place, nothing_yet)
        frame, held = input[None, : self.num_channels], memory.read()
        if held.shape == nothing_yet.shape:
            held = np.repeat(frame, self.stacker_left_context, axis=0)
        held = np.concatenate([held, frame])
        complete = len(held) >= self._frames
        memory.assign(held[self.stacker_step :] if complete else held)
        stacked = held if complete else np.zeros((self._frames, self.num_channels), np.int16)
        return stacked.reshape(-1), np.array(complete)
