"""Rows of `converter/rules/elementwise.py` and `composite.py`."""

from __future__ import annotations

import numpy as np

from tests.converter.oracle import Case, raw

INF, NAN = np.inf, np.nan
POSITIVE = {0: [[1, 2, 3], [0.5, 4, 9]]}
INSIDE = {0: [[-0.9, -0.5, 0], [1e-4, 0.5, 0.99]]}
WIDE = {0: [[-80, -3, -1e-4], [0, 1e-3, 80]]}
PAIR = ["?,3", "3"]
DIVISORS = {1: [1, 2, 3]}


def unary(name: str, ops: str, **options: object) -> Case:
    argument = "input" if name in ("Real", "Imag", "Angle", "Conj") else "x"
    return Case(raw(name, argument), ["?,3"], ops, **options)  # type: ignore[arg-type]


def binary(name: str, ops: str, **options: object) -> Case:
    return Case(raw(name, "x y"), PAIR, ops, **options)  # type: ignore[arg-type]


ROWS = {
    "Abs": unary("Abs", "ABS"),
    "AccumulateNV2": Case(lambda tf, x: tf.raw_ops.AccumulateNV2(inputs=[x, x], shape=[2, 3]), ["2,3"], "ADD"),
    "Acos": unary("Acos", "SUB ADD MUL SQRT ATAN2", values=INSIDE),
    "Acosh": unary("Acosh", "", values={0: [[1, 1.0001, 1.5], [2, 1e3, 1e30]]}),
    "Add": binary("Add", "ADD"),
    "AddN": Case(lambda tf, x: tf.add_n([x, x, x]), ["?,3"], "ADD_N"),
    "AddN: of two": Case(lambda tf, x: tf.add_n([x, x]), ["?,3"], "ADD"),
    "AddN: of one": Case(lambda tf, x: tf.raw_ops.AddN(inputs=[x]), ["?,3"]),
    "AddV2": binary("AddV2", "ADD"),
    "AddV2: to six dimensions": Case(raw("AddV2", "x y"), ["?,1,1,1,1,3", "2,1"], "ADD"),
    "AddV2: of a scalar": Case(raw("AddV2", "x y"), ["?,3", ""], "ADD"),
    "Angle": unary("Angle", "IMAG REAL ATAN2"),
    "ApproximateEqual": Case(raw("ApproximateEqual", "x y", tolerance=0.5), ["?,3", "?,3"], "SUB ABS LESS"),
    "Asin": unary("Asin", "SUB ADD MUL SQRT ATAN2", values=INSIDE),
    "Asinh": unary("Asinh", "", values={0: [[-1e30, -2, -1e-4], [0, 0.5, 1e10]]}),
    "Atan": unary("Atan", ""),
    "Atan2": Case(raw("Atan2", "y x"), ["?,3", "1,3"]),
    "Atanh": unary("Atanh", "", values=INSIDE),
    "BiasAdd": Case(raw("BiasAdd", "value bias"), ["?,3", "3"], "ADD"),
    "BitwiseAnd": binary("BitwiseAnd", ""),
    "BitwiseOr": binary("BitwiseOr", ""),
    "BitwiseXor": binary("BitwiseXor", "BITWISE_XOR"),
    "Cast: to float32": Case(lambda tf, x: tf.raw_ops.Cast(x=x, DstT=tf.float32), ["?,3"]),
    "Cast: to int32": Case(lambda tf, x: tf.raw_ops.Cast(x=x, DstT=tf.int32), ["?,3"]),
    "Cast: to uint8": Case(lambda tf, x: tf.raw_ops.Cast(x=tf.abs(x), DstT=tf.uint8), ["?,3"]),
    "Cast: to float16": Case(lambda tf, x: tf.raw_ops.Cast(x=x, DstT=tf.float16), ["?,3"]),
    "Cast: to bool": Case(lambda tf, x: tf.raw_ops.Cast(x=x, DstT=tf.bool), ["?,3"]),
    "Ceil": unary("Ceil", "CEIL"),
    "ClipByValue": Case(
        lambda tf, x, a: tf.raw_ops.ClipByValue(t=x, clip_value_min=a, clip_value_max=tf.cast(2, x.dtype)), ["?,3", ""]
    ),
    "ComplexAbs": unary("ComplexAbs", "COMPLEX_ABS"),
    "Cos": unary("Cos", "COS"),
    "Cosh": unary("Cosh", "SUB*2 NEG EXP*2 ADD", values=WIDE),
    "Div": binary("Div", "DIV", values=DIVISORS),
    "DivNoNan": binary("DivNoNan", "EQUAL DIV SELECT_V2", values={1: [0, 1, 2]}),
    "Equal": binary("Equal", "EQUAL"),
    "Exp": unary("Exp", "EXP"),
    "Expm1": unary("Expm1", "MUL*2 TANH EXP ADD", values=WIDE),
    "Floor": unary("Floor", "FLOOR"),
    "FloorDiv": binary("FloorDiv", "FLOOR_DIV", values=DIVISORS),
    "FloorMod": binary("FloorMod", "FLOOR_MOD", values=DIVISORS),
    "Greater": binary("Greater", "GREATER"),
    "GreaterEqual": binary("GreaterEqual", "GREATER_EQUAL"),
    "Imag": unary("Imag", "IMAG"),
    "Inv": unary("Inv", "DIV", values=POSITIVE),
    "Invert": unary("Invert", "BITWISE_XOR"),
    "IsFinite": unary("IsFinite", "ABS LESS", values={0: [[INF, NAN, 0], [-INF, -1, 1]]}),
    "IsInf": unary("IsInf", "ABS EQUAL", values={0: [[INF, NAN, 0], [-INF, -1, 1]]}),
    "IsNan": unary("IsNan", "NOT_EQUAL", values={0: [[INF, NAN, 0], [-INF, -1, 1]]}),
    "LeftShift": binary("LeftShift", ""),
    "Less": binary("Less", "LESS"),
    "LessEqual": binary("LessEqual", "LESS_EQUAL"),
    "Log": unary("Log", "LOG", values=POSITIVE),
    "Log1p": unary("Log1p", "", values={0: [[1e-6, -1e-4, 0], [-1, INF, 9]]}),
    "LogicalAnd": binary("LogicalAnd", "LOGICAL_AND"),
    "LogicalNot": unary("LogicalNot", "LOGICAL_NOT"),
    "LogicalOr": binary("LogicalOr", "LOGICAL_OR"),
    "Maximum": binary("Maximum", "MAXIMUM"),
    "Minimum": binary("Minimum", "MINIMUM"),
    "Mul": binary("Mul", "MUL"),
    "MulNoNan": binary("MulNoNan", "EQUAL MUL SELECT_V2", values={0: [[INF, NAN, 1], [2, 3, 4]], 1: [0, 0, 2]}),
    "Neg": unary("Neg", "NEG"),
    "NotEqual": binary("NotEqual", "NOT_EQUAL"),
    "OnesLike": unary("OnesLike", ""),
    "Pow": binary("Pow", "POW", values={**POSITIVE, **DIVISORS}),
    "Real": unary("Real", "REAL"),
    "RealDiv": binary("RealDiv", "DIV", values=DIVISORS),
    "Reciprocal": unary("Reciprocal", "DIV", values=POSITIVE),
    "RightShift": binary("RightShift", "RIGHT_SHIFT"),
    "Rint": unary("Rint", "ROUND", values={0: [[-2.5, -1.5, -0.5], [0.5, 1.5, 2.5]]}),
    "Round": unary("Round", "ROUND", values={0: [[-2.5, -1.5, -0.5], [0.5, 1.5, 2.5]]}),
    "Rsqrt": unary("Rsqrt", "RSQRT", values=POSITIVE),
    "Select": Case(raw("Select", "condition x y"), ["?:bool", "?,3", "?,3"], "SELECT"),
    "SelectV2": Case(raw("SelectV2", "condition t e"), ["?,1:bool", "?,3", "3"], "SELECT_V2"),
    "Sign": unary("Sign", "SIGN", values={0: [[-2, 0, 2], [-1, 1, 3]]}),
    "Sin": unary("Sin", "SIN"),
    "Sinh": unary("Sinh", "", values=WIDE),
    "Softplus": Case(raw("Softplus", "features"), ["?,3"], "", values=WIDE),
    "Softsign": Case(raw("Softsign", "features"), ["?,3"], "ABS ADD DIV"),
    "Selu": Case(raw("Selu", "features"), ["?,3"], ""),
    "Sqrt": unary("Sqrt", "SQRT", values=POSITIVE),
    "Square": unary("Square", "SQUARE"),
    "SquaredDifference": binary("SquaredDifference", "SQUARED_DIFFERENCE"),
    "Sub": binary("Sub", "SUB"),
    "Tan": unary("Tan", "SIN COS DIV"),
    "TruncateDiv": binary("TruncateDiv", "DIV", values={0: [[-7, 7, -5], [5, 0, 3]], 1: [2, -2, 3]}),
    "TruncateMod": binary("TruncateMod", "DIV MUL SUB", values={0: [[-7, 7, -5], [5, 0, 3]], 1: [2, -2, 3]}),
    "Xdivy": binary("Xdivy", "EQUAL DIV SELECT_V2", values={0: [[0, 0, 1], [2, 3, 4]], 1: [0, 1, 2]}),
    "Xlog1py": binary("Xlog1py", "", values={0: [[0, 0, 1], [2, 3, 4]], 1: [-1, 1, 2]}),
    "Xlogy": binary("Xlogy", "EQUAL LOG MUL SELECT_V2", values={0: [[0, 0, 1], [2, 3, 4]], 1: [0, 1, 2]}),
    "ZerosLike": unary("ZerosLike", "ZEROS_LIKE"),
}
