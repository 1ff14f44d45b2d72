"""Recurrent layers, whose state lives in variable tensors, and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tflite_cupy.interpreter.graph import Quantization, TensorType
from tflite_cupy.interpreter.ops.base import Activation

from ..drafts import Chooser, Draft, Out, Slot, recipe
from ..kinds import BY_NAME, KINDS, Range
from .common import index

SMALL = Range(-0.5, 0.5)
OPTIONAL = (None, *KINDS)
STATE = tuple(BY_NAME[n] for n in ("f32", "f16", "bf16", "i8q", "u8q", "i16q"))
"""Kinds for a state, of which the reference's kernels see no more than the width."""

CELL = {TensorType.INT16: (2.0**-11, 0)}


def _weights(rows: int, columns: int) -> Slot:
    return Slot("w", (rows, columns), reach=SMALL, constant=True)


@recipe("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(c: Chooser, operator: str) -> Draft:
    units, depth, batch, steps = c.integer(2, 4), c.integer(2, 4), c.integer(1, 2), c.integer(1, 3)
    coupled = c.pick((False, True))
    gates = [None if coupled else _weights(units, depth), *(_weights(units, depth) for _ in range(3))]
    recurrent = [None if coupled else _weights(units, units), *(_weights(units, units) for _ in range(3))]
    peepholes = [None] * 3
    bias = [Slot("b", (units,), reach=SMALL, constant=True, product_of=("x", "w")) for _ in range(4)]
    biases = [None if coupled else bias[0], *bias[1:]]
    states = [
        Slot("h", (batch, units), state=True, kinds=STATE, reach=Range(-1, 1)),
        Slot("c", (batch, units), state=True, kinds=STATE, fixed=CELL),
    ]
    sequence = operator != "LSTM"
    time_major = c.pick((False, True)) if sequence else False
    x = ((steps, batch) if time_major else (batch, steps)) if sequence else (batch,)
    norms: list[Slot | None] = [None] * 4
    inputs = [Slot("x", (*x, depth)), *gates, *recurrent, *peepholes, *biases, None, None, *states, *norms]
    attributes: dict[str, Any] = {
        "fused_activation_function": Activation.TANH,
        "cell_clip": c.pick((0.0, 0.5)),
        "proj_clip": 0.0,
        "asymmetric_quantize_inputs": c.pick((False, True)),
    }
    attributes |= {"time_major": time_major} if sequence else {"kernel_type": 0}
    hidden = Quantization(np.float32([1 / 128]), np.int64([0]))
    return Draft(inputs, [Out("h")], attributes, intermediates=[hidden] * 5)


@recipe("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN")
def rnn(c: Chooser, operator: str) -> Draft:
    units, depth, batch, steps = c.integer(2, 4), c.integer(2, 4), c.integer(1, 2), c.integer(1, 3)
    sequence = operator != "RNN"
    time_major = c.pick((False, True)) if sequence else False
    x = ((steps, batch) if time_major else (batch, steps)) if sequence else (batch,)
    inputs = [Slot("x", (*x, depth)), _weights(units, depth), _weights(units, units)]
    inputs += [Slot("b", (units,), reach=SMALL, constant=True), Slot("h", (batch, units), state=True, kinds=STATE)]
    attributes: dict[str, Any] = {
        "fused_activation_function": c.pick((Activation.TANH, Activation.RELU, Activation.NONE)),
        "asymmetric_quantize_inputs": c.pick((False, True)),
    }
    return Draft(inputs, [Out("h")], attributes | ({"time_major": time_major} if sequence else {}))


@recipe("BIDIRECTIONAL_SEQUENCE_RNN")
def bidirectional_rnn(c: Chooser, operator: str) -> Draft:
    units, depth, batch, steps = c.integer(2, 4), c.integer(2, 4), c.integer(1, 2), c.integer(1, 3)
    time_major, merge = c.pick((False, True)), c.pick((True, False))
    x = (steps, batch) if time_major else (batch, steps)
    inputs: list[Slot | None] = [Slot("x", (*x, depth))]
    for _ in range(2):
        inputs += [_weights(units, depth), _weights(units, units)]
        inputs += [Slot("b", (units,), reach=SMALL, constant=True), Slot("h", (batch, units), state=True, kinds=STATE)]
    attributes = {
        "fused_activation_function": c.pick((Activation.TANH, Activation.RELU)),
        "asymmetric_quantize_inputs": c.pick((False, True)),
        "time_major": time_major,
        "merge_outputs": merge,
    }
    return Draft([*inputs, None, None, None], [Out("h")] * (1 if merge else 2), attributes)


@recipe("BIDIRECTIONAL_SEQUENCE_LSTM")
def bidirectional_lstm(c: Chooser, operator: str) -> Draft:
    units, depth, steps = c.integer(2, 4), c.integer(2, 4), c.integer(1, 3)
    batch = 1  # of larger ones whose outputs are merged, the reference reads past the state
    time_major, merge = c.pick((False, True)), c.pick((True, False))
    x = (steps, batch) if time_major else (batch, steps)
    inputs: list[Slot | None] = [Slot("x", (*x, depth))]
    for _ in range(2):
        inputs += [_weights(units, depth) for _ in range(4)] + [_weights(units, units) for _ in range(4)]
        inputs += [None] * 3 + [Slot("b", (units,), reach=SMALL, constant=True) for _ in range(4)] + [None] * 2
    inputs += [Slot("h", (batch, units), state=True, kinds=STATE) for _ in range(4)]
    inputs += [None] * 9
    attributes = {
        "fused_activation_function": Activation.TANH,
        "asymmetric_quantize_inputs": c.pick((False, True)),
        "time_major": time_major,
        "merge_outputs": merge,
    }
    return Draft(inputs, [Out("h")] * (1 if merge else 2), attributes)


@recipe("SVDF")
def svdf(c: Chooser, operator: str) -> Draft:
    units, depth, batch, memory, rank = (
        c.integer(2, 3),
        c.integer(2, 4),
        c.integer(1, 2),
        c.integer(2, 4),
        c.pick((1, 2)),
    )
    inputs = [
        Slot("x", (batch, depth)),
        Slot("w", (units * rank, depth), reach=SMALL, constant=True),
        Slot("time", (units * rank, memory), reach=SMALL, constant=True),
        Slot("b", (units,), kinds=OPTIONAL, reach=SMALL, constant=True),
        Slot("state", (batch, units * rank * memory), state=True, kinds=STATE),
    ]
    attributes = {
        "rank": rank,
        "fused_activation_function": c.pick((Activation.NONE, Activation.RELU)),
        "asymmetric_quantize_inputs": c.pick((False, True)),
    }
    return Draft(inputs, [Out("y", kinds=STATE)], attributes)


@recipe("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL")
def random(c: Chooser, operator: str) -> Draft:
    return Draft([index("i", [3, 4])], [Out("y")], {"seed": c.integer(1, 9), "seed2": c.integer(1, 9)}, random=True)


@recipe("MULTINOMIAL")
def multinomial(c: Chooser, operator: str) -> Draft:
    attributes = {"seed": c.integer(1, 9), "seed2": c.integer(1, 9)}
    return Draft([Slot("x", (2, 5)), index("n", 3)], [Out("y")], attributes, random=True)


@recipe("STABLEHLO_RNG_BIT_GENERATOR")
def rng_bit_generator(c: Chooser, operator: str) -> Draft:
    state = index("state", c.pick(([1, 2], [1, 2, 3])), constant=False)
    outs = [Out("state", shape=state.shape), Out("y", shape=(c.integer(1, 3), c.integer(1, 4)))]
    return Draft([state], outs, {"algorithm": c.pick((0, 1, 2))}, of_bytes=True)
