"""The same calls on two runtimes, side by side, and how far their outputs are apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..apart import Died
from ..interpreter.errors import InputError, TfliteError
from ..interpreter.graph import Model
from ..runtimes import entry
from .judge import Judge
from .measure import Kind, Measure
from .result import CallFailure
from .samples import Arrays, Call, Maker, Recipe, recipes
from .trace import Placement

Place = tuple[str | None, str]
"""An output: key of the signature, name."""


class Side(Protocol):
    """A runtime, or outputs that were saved of one."""

    title: str

    def call(self, key: str | None, inputs: Arrays) -> dict[str, np.ndarray]:
        """Outputs by name."""


SideOpener = Callable[[], AbstractContextManager[Any]]
"""Opens a side anew, with no history."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An output in the call (counted over all) in which it was furthest off: `excess` above 1 is too far."""

    kind: Kind
    call: int
    got: np.ndarray
    want: np.ndarray
    measure: Measure
    excess: float

    @property
    def failed(self) -> bool:
        return self.excess > 1

    @property
    def rank(self) -> tuple[float, float, float]:
        """Larger for what is further off."""
        return self.excess, self.measure.relative, self.measure.absolute


@dataclass(slots=True, eq=False)
class History:
    """What the calls gave. `placement`: who ran the candidate's nodes."""

    candidate: str
    reference: str
    calls: list[Call] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)  # the number of each call among those of its signature
    seen: dict[Place, Seen] = field(default_factory=dict)
    failures: dict[str | None, CallFailure] = field(default_factory=dict)
    placement: Placement = field(default_factory=dict)


class _Retry(Exception):
    """The reference can't take the inputs that were made up for a signature."""

    def __init__(self, key: str | None) -> None:
        self.key = key


class _Lost(Exception):
    """A side has ended in a call of a signature: it can't make the other calls any more."""

    def __init__(self, failure: CallFailure) -> None:
        self.failure = failure


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two sides and the calls to make: `samples` rounds over the signatures `keys`."""

    model: Model
    candidate: SideOpener
    reference: SideOpener
    maker: Maker
    keys: Sequence[str | None]
    samples: int
    judge: Judge
    progress: Callable[[int, int], object]

    def run(self) -> History:
        """All calls, with the first recipes for inputs that the reference can take. A signature of which a call fails
        for good is called no more; where that ended a runtime's process, the others are called anew without it.
        """
        tried = {key: iter(recipes(self.model, entry(self.model, key))) for key in self.keys}
        first = {key: next(tried[key]) for key in self.keys}
        chosen, final, lost = dict(first), set[str | None](), dict[str | None, CallFailure]()
        while True:
            try:
                return self._run_with(chosen, final, lost)
            except _Lost as loss:
                lost[loss.failure.signature] = loss.failure
            except _Retry as retry:
                recipe = next(tried[retry.key], None)
                chosen[retry.key] = first[retry.key] if recipe is None else recipe
                if recipe is None:
                    final.add(retry.key)

    def rerun(self, opener: SideOpener, calls: Sequence[Call]) -> list[dict[str, np.ndarray]]:
        """The outputs of the same calls on one side, opened anew."""
        with opener() as side:
            return [side.call(call.key, call.inputs) for call in calls]

    def _run_with(
        self,
        chosen: Mapping[str | None, Recipe],
        final: set[str | None],
        lost: Mapping[str | None, CallFailure],
    ) -> History:
        with self.candidate() as candidate, self.reference() as reference:
            history = History(candidate.title, reference.title, failures=dict(lost))
            for sample in range(self.samples):
                for key in self.keys:
                    if key in history.failures:
                        continue
                    call = Call(key, self.maker.inputs(key, entry(self.model, key), sample, chosen[key]))
                    failure = self._call(candidate, reference, call, history)
                    if failure is not None and failure.side != "candidate" and key not in final:
                        raise _Retry(key)
                    if failure is None:
                        history.calls.append(call)
                        history.samples.append(sample)
                    elif failure.crashed:
                        raise _Lost(replace(failure, sample=sample))
                    else:
                        history.failures[key] = replace(failure, sample=sample)
                self.progress(sample + 1, self.samples)
            history.placement = candidate.placement()
        return history

    def _call(self, candidate: Side, reference: Side, call: Call, history: History) -> CallFailure | None:
        """One call on both sides, added to what was seen; or which side fails."""
        got, want = self._attempt(candidate, call), self._attempt(reference, call)
        if isinstance(want, TfliteError) or isinstance(got, TfliteError):
            return _failure(call.key, candidate, got, reference, want)
        signature = entry(self.model, call.key)
        for name, index in signature.outputs.items():
            if name in want:
                pair, kind = (np.asarray(got[name]), np.asarray(want[name])), self.judge.kind(signature.graph, index)
                measured = self.judge.measure(signature.graph, index, *pair)
                seen = Seen(kind, len(history.calls), *pair, *measured)
                before = history.seen.get((call.key, name), seen)
                history.seen[call.key, name] = max(before, seen, key=lambda each: each.rank)
        return None

    def _attempt(self, side: Side, call: Call) -> dict[str, np.ndarray] | TfliteError:
        """The outputs of a call, or why it fails. What is wrong with inputs that are given is raised."""
        try:
            return side.call(call.key, call.inputs)
        except TfliteError as error:
            if isinstance(error, InputError) and self.maker.given.get(call.key):
                raise
            return error


def _failure(key: str | None, candidate: Side, got: object, reference: Side, want: object) -> CallFailure:
    """Of the errors of one side or of both, the one to tell: that of the reference, or the end of a process."""
    sides = {"reference": (reference, want), "candidate": (candidate, got)}
    errors = {name: (side, found) for name, (side, found) in sides.items() if isinstance(found, TfliteError)}
    side, error = next((pair for pair in errors.values() if isinstance(pair[1], Died)), next(iter(errors.values())))
    which = next(iter(errors)) if len(errors) == 1 else "both"
    said = str(error).removeprefix(side.title).removeprefix(":").lstrip()
    return CallFailure(key, 0, which, side.title, said, isinstance(error, Died))
