"""Operators on elements."""

from __future__ import annotations

from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation

from ..drafts import SPAN, Chooser, Draft, Out, Slot, TypeOf, recipe
from ..kinds import BY_NAME, Range
from .common import (
    CLIPS,
    INTEGERS,
    POSITIVE,
    SIGMOID_SCALE,
    TANH_SCALE,
    WEIGHTS,
    WHOLE_BYTES,
    broadcast_pair,
    moved,
    shape,
    unary,
)

BOOL = BY_NAME["bool"]


@recipe("ABS", "NEG", "SIN", "COS", "SQUARE", "SIGN", "ZEROS_LIKE", "LOGICAL_NOT", "HARD_SWISH", "ELU", "COMPLEX_ABS")
def function(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c)))


@recipe("FLOOR", "CEIL", "ROUND", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1")
def function_on_the_same_scale(c: Chooser, operator: str) -> Draft:
    return Draft(*moved(shape(c)))


@recipe("REAL", "IMAG")
def part(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c)))


@recipe("EXP")
def exponential(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c), reach=Range(-3, 1)))


@recipe("LOG", "SQRT", "RSQRT")
def function_of_positive_numbers(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c), POSITIVE))


@recipe("LOGISTIC", "TANH")
def saturating_function(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c), fixed=TANH_SCALE if operator == "TANH" else SIGMOID_SCALE))


@recipe("GELU")
def gelu(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c)), {"approximate": c.pick((False, True))})


@recipe("LEAKY_RELU")
def leaky_relu(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c)), {"alpha": c.pick((0.2, 1.5, -0.5))})


@recipe("PRELU")
def prelu(c: Chooser, operator: str) -> Draft:
    x, _ = broadcast_pair(c)
    alpha = c.pick((x[-1:], x, (1,)))
    return Draft([Slot("x", x), Slot("alpha", alpha, reach=Range(-1, 1))], [Out("y")])


@recipe("CAST")
def cast(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c)), {"in_data_type": TypeOf("x"), "out_data_type": TypeOf("y")})


@recipe("BITCAST")
def bitcast(c: Chooser, operator: str) -> Draft:
    # the reference runs past the ends of packed tensors
    x = Slot("x", (*shape(c, 1, 2), c.pick((2, 4, 8))), kinds=WHOLE_BYTES)
    return Draft([x], [Out("y", kinds=WHOLE_BYTES)], of_bytes=True)


@recipe("ADD", "SUB", "MUL", "DIV")
def arithmetic(c: Chooser, operator: str) -> Draft:
    a, b = broadcast_pair(c)
    attributes = {"fused_activation_function": c.pick(CLIPS)}
    second = POSITIVE if operator == "DIV" else SPAN
    return Draft([Slot("a", a), Slot("b", b, reach=second)], [Out("y", reach=Range(-6, 6))], attributes)


@recipe("MAXIMUM", "MINIMUM", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM")
def extremum(c: Chooser, operator: str) -> Draft:
    a, b = broadcast_pair(c) if not operator.startswith("STABLEHLO") else (shape(c),) * 2
    return Draft([Slot("a", a), Slot("a", b, like="a")], [Out("a")])


@recipe("FLOOR_DIV", "FLOOR_MOD", "ATAN2", "SQUARED_DIFFERENCE")
def binary(c: Chooser, operator: str) -> Draft:
    a, b = broadcast_pair(c)
    if operator == "ATAN2":
        b = a
    second = Range(1, 4) if operator.startswith("FLOOR") else SPAN
    return Draft([Slot("a", a), Slot("b", b, reach=second)], [Out("y", reach=Range(0, 20))])


@recipe("POW")
def power(c: Chooser, operator: str) -> Draft:
    a, b = broadcast_pair(c)
    units = {TensorType.INT32: (1.0, 0)}
    x, exponent = Slot("a", a, reach=POSITIVE, fixed=units), Slot("b", b, reach=Range(0, 2), fixed=units)
    return Draft([x, exponent], [Out("y", fixed=units)])


@recipe("BITWISE_XOR", "RIGHT_SHIFT", "STABLEHLO_SHIFT_LEFT", "STABLEHLO_AND")
def bits(c: Chooser, operator: str) -> Draft:
    a, b = broadcast_pair(c) if not operator.startswith("STABLEHLO") else (shape(c),) * 2
    # shifts by more than the bits that there are have no meaning in C++
    second = Slot("a", b, data=c.rng.integers(0, 4, b)) if "SHIFT" in operator else Slot("a", b)
    return Draft([Slot("a", a), second], [Out("a")])


@recipe("LOGICAL_AND", "LOGICAL_OR")
def logical(c: Chooser, operator: str) -> Draft:
    a, b = broadcast_pair(c)
    return Draft([Slot("a", a), Slot("b", b)], [Out("y")])


@recipe("STABLEHLO_ADD", "STABLEHLO_MULTIPLY")
def stablehlo_arithmetic(c: Chooser, operator: str) -> Draft:
    a = shape(c)
    return Draft([Slot("a", a), Slot("a", a)], [Out("a", rescaled=True)])


@recipe("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
def comparison(c: Chooser, operator: str) -> Draft:
    a, b = broadcast_pair(c)
    return Draft([Slot("a", a), Slot("b", b)], [Out("y", kinds=(BOOL,))])


@recipe("ADD_N")
def add_n(c: Chooser, operator: str) -> Draft:
    dims = shape(c)
    return Draft([Slot("a", dims), Slot("a", dims), Slot("a", dims)], [Out("a", rescaled=True)])


@recipe("SELECT", "SELECT_V2")
def select(c: Chooser, operator: str) -> Draft:
    a, b = broadcast_pair(c) if operator == "SELECT_V2" else (shape(c),) * 2
    return Draft([Slot("condition", a, kinds=INTEGERS), Slot("a", a), Slot("a", b, like="a")], [Out("a")])


@recipe("FAKE_QUANT")
def fake_quant(c: Chooser, operator: str) -> Draft:
    attributes = {"min": -2.0, "max": 2.5, "num_bits": c.pick((8, 4, 16)), "narrow_range": c.pick((False, True))}
    return Draft(*moved(shape(c)), attributes)


@recipe("QUANTIZE")
def quantize(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c), reach=Range(-4, 3)), steps=1)


@recipe("DEQUANTIZE")
def dequantize(c: Chooser, operator: str) -> Draft:
    return Draft([Slot("x", shape(c, 2, 4), kinds=WEIGHTS)], [Out("y")])


@recipe("BUCKETIZE")
def bucketize(c: Chooser, operator: str) -> Draft:
    return Draft(*unary(shape(c), kinds=INTEGERS), {"boundaries": [-1.5, 0.0, 0.5, 2.0]})


@recipe("SOFTMAX", "LOG_SOFTMAX")
def softmax(c: Chooser, operator: str) -> Draft:
    log = {TensorType.INT8: (16 / 256, 127), TensorType.UINT8: (16 / 256, 255)}
    attributes = {} if operator == "LOG_SOFTMAX" else {"beta": c.pick((1.0, 0.5))}
    return Draft(*unary(shape(c), fixed=log if operator == "LOG_SOFTMAX" else SIGMOID_SCALE), attributes)


@recipe("L2_NORMALIZATION")
def l2_normalization(c: Chooser, operator: str) -> Draft:
    attributes = {"fused_activation_function": Activation.NONE}
    return Draft(*unary(shape(c, 2, 4), fixed=TANH_SCALE), attributes)


@recipe("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(c: Chooser, operator: str) -> Draft:
    attributes = {"radius": c.integer(1, 3), "bias": 1.0, "alpha": 0.5, "beta": 0.75}
    return Draft(*unary(shape(c, 4, 4)), attributes)
