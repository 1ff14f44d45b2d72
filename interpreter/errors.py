"""Every error that tflite-cupy raises on purpose.

    TfliteError                       .code and .where tell a program what a person reads in the message
    ├── ModelError (ValueError)       the bytes are no valid model                       code "invalid_format"
    │   └── GraphError                the bytes are well formed, the graph is not        code "invalid_graph"
    ├── InputError (ValueError)       a call got a wrong name, dtype, shape or value     code "invalid_input"
    ├── StateError (RuntimeError)     a call came too early, too late or twice           code "invalid_state"
    ├── UnsupportedError (RuntimeError)   an operator, version or dtype we do not run    code "unsupported"
    ├── DelegationError (RuntimeError)    `require=` asked for a delegate that refused   code "not_delegated"
    ├── PolicyError (RuntimeError)    the model asks for something the host forbids      code "policy"
    ├── LimitError (RuntimeError)     the model or call needs more than `Limits` allow   code "limit"
    ├── KernelError (RuntimeError)    an operator failed on these values                 code "kernel"
    ├── MissingDependencyError (RuntimeError)  a package or device is not there          code "environment"
    └── ConversionError (ValueError)  a TensorFlow model can't be converted as asked     code "conversion"

Each also derives from the builtin type that the reference runtime raises in the same place, and its text starts with
the reference's words where those exist, so code written for `tf.lite.Interpreter` keeps working.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class TfliteError(Exception):
    """Base of all errors of this package.

    `what` says what is wrong, with what was got and what was expected; `where` is a path into the model or the call,
    such as ``subgraphs[3].operators[5].outputs[0]``; `hint` says what to do about it.
    """

    code: ClassVar[str] = "error"

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        text = what
        if where:
            text += f" [at {where}]"
        if hint:
            text += f" {hint}"
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.hint)


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """The start of a hint, "Did you mean 'x'? ", if one of `names` is like `name`; else ""."""
    near = difflib.get_close_matches(str(name), map(str, names), 1)
    return f"Did you mean {near[0]!r}? " if near else ""


def _rebuild(kind: type[TfliteError], what: str, where: str, hint: str) -> TfliteError:
    return kind(what, where=where, hint=hint)


class ModelError(TfliteError, ValueError):
    """The bytes are not a valid model."""

    code = "invalid_format"


class GraphError(ModelError):
    """The file is well formed, but what it describes is not a graph that can run."""

    code = "invalid_graph"


class InputError(TfliteError, ValueError):
    """A call was given a wrong name, dtype, shape or value."""

    code = "invalid_input"


class StateError(TfliteError, RuntimeError):
    """A call came before what it needs, or after what it needs was given up."""

    code = "invalid_state"


class UnsupportedError(TfliteError, RuntimeError):
    """The model uses an operator, an operator version or a dtype that no delegate runs."""

    code = "unsupported"


class DelegationError(TfliteError, RuntimeError):
    """A node would not run on the delegate that the caller requires."""

    code = "not_delegated"


class PolicyError(TfliteError, RuntimeError):
    """The model asks for something that the host does not allow."""

    code = "policy"


class LimitError(TfliteError, RuntimeError):
    """The model or the call needs more than the limits in force allow."""

    code = "limit"


class KernelError(TfliteError, RuntimeError):
    """An operator failed on the values that it was given."""

    code = "kernel"


class MissingDependencyError(TfliteError, RuntimeError):
    """A package or device that the call needs is not there."""

    code = "environment"


class ConversionError(TfliteError, ValueError):
    """A TensorFlow model can't be converted as asked."""

    code = "conversion"
