"""How much a model file and a call may ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import InputError, LimitError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one interpreter. Who asks for more gets a LimitError that names the option, its value, what was asked
    for, and the node; None is no limit.

    Sizes are checked before memory is taken: those that the shapes tell when a call is planned, those that depend on
    values before the operator runs.

    Of the file: `max_model_bytes`, `max_tables`, `max_string_bytes` (each string), `max_ops`, `max_subgraphs`.
    Of a tensor: `max_tensor_bytes`, `max_rank`, and `max_view_rank` for operators that only rearrange elements.
    Of a call: `max_arena_bytes`, what its results take at a time (a float is a share of the memory that is free);
    `max_call_depth` of subgraphs; `max_while_iterations` of each loop; `deadline_ms`, looked at between nodes and turns
    of loops; `max_output_string_bytes`, the strings that an operator gives.
    Of TensorFlow nodes: `max_flex_const_bytes`, a tensor in their attributes; `flex`, which operators may run ("off",
    "pure", "codecs" or names).
    Of the surroundings: `max_concurrent_calls`, beyond which calls wait for `max_wait_ms`.
    """

    max_model_bytes: int | None = None
    max_tables: int = 2_000_000
    max_string_bytes: int = 1 << 20
    max_tensor_bytes: int | None = 16 << 30
    max_arena_bytes: int | float | None = 0.8
    max_rank: int = 8
    max_view_rank: int = 16
    max_ops: int = 1_000_000
    max_subgraphs: int = 4096
    max_call_depth: int = 32
    max_while_iterations: int | None = None
    deadline_ms: float | None = None
    max_output_string_bytes: int | None = 1 << 30
    max_flex_const_bytes: int | None = 256 << 20
    flex: str | tuple[str, ...] = "pure"
    max_concurrent_calls: int | None = None
    max_wait_ms: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name == "flex":
                continue
            kinds = (int, float) if "float" in str(field.type) else int
            is_number = isinstance(value, kinds) and not isinstance(value, bool) and value >= 0
            if not is_number and not (value is None and "None" in str(field.type)):
                raise InputError(f"{name}={value!r} is no limit: expected a number of 0 or more", where="limits")

    @classmethod
    def untrusted(cls) -> Limits:
        """Limits for models from strangers."""
        return cls(
            max_model_bytes=512 << 20,
            max_tables=200_000,
            max_string_bytes=64 << 10,
            max_tensor_bytes=256 << 20,
            max_arena_bytes=1 << 30,
            max_rank=8,
            max_view_rank=8,
            max_ops=20_000,
            max_subgraphs=64,
            max_call_depth=8,
            max_while_iterations=100_000,
            deadline_ms=5_000,
            max_output_string_bytes=16 << 20,
            max_flex_const_bytes=4 << 20,
            flex="off",
        )


DEFAULT_LIMITS = Limits()


def beyond(what: str, option: str, limit: float, *, where: str = "", of: str = "Limits") -> LimitError:
    """The error for `what`, a sentence's start that says what is asked for: "FILL#3 gives 64 bytes". `of`: whose
    argument `option` is."""
    hint = f"{of}({option}=...) sets another limit."
    return LimitError(f"{what}, more than {option} = {limit}.", where=where, hint=hint)
