"""What a comparison found: per output a verdict, and where it fails, the node to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..interpreter.words import aligned
from .measure import Measure


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first node whose result the candidate gets wrong.

    own: its error when it is given the reference's operands (None: it could not be run so). accumulated: its error in
    the call as it was. operands: the largest error of its operands there. within: the control flow around it.
    certain: whether its own error is larger than allowed; if not, it is the node with the largest one.
    adds_up: whether such errors explain how far the output is off.
    """

    subgraph: int
    node: int
    operator: str
    output: str
    own: Measure | None
    accumulated: Measure
    operands: Measure
    delegate: str | None
    within: tuple[str, ...] = ()
    certain: bool = True
    adds_up: bool = True

    @property
    def where(self) -> str:
        """As reports name it."""
        name = self.output.partition(";")[0]  # fused nodes have the names of all that went into them
        place = f"{self.operator}#{self.node} (subgraph {self.subgraph}, output {name!r}"
        place += f", on {self.delegate})" if self.delegate else ")"
        return ", in ".join((place, *reversed(self.within)))

    def __str__(self) -> str:
        if self.own is None:
            return f"first node that differs: {self.where}: {self.accumulated}; nodes could not be run on their own"
        if self.certain:
            agree = "equal" if self.operands.equal else f"off by {self.operands}"
            own = f"its own error is {self.own}, its operands in the call are {agree}"
            return f"first diverging node: {self.where}: {own}"
        if self.own.equal:
            return f"every node agrees on its own; the first that differs in the call: {self.where}: {self.accumulated}"
        agree = "each node alone, given the reference's operands, is as near as it must be"
        together = (
            "; small differences add up" if self.adds_up else ", which does not explain how far the output is off"
        )
        return f"{agree}{together}. Furthest off: {self.where}: {self.own}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "subgraph": self.subgraph,
            "node": self.node,
            "operator": self.operator,
            "output": self.output,
            "own": self.own.to_json() if self.own is not None else None,
            "accumulated": self.accumulated.to_json(),
            "operands": self.operands.to_json(),
            "delegate": self.delegate,
            "within": list(self.within),
            "certain": self.certain,
            "adds_up": self.adds_up,
        }


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """One output over all calls: the largest difference and what was allowed.

    random: its values differ between two runs of one runtime, so that only type and shape were compared. rounding: it
    is off by more than allowed, but each node on its own is not, and the difference is what those of the nodes add up
    to. sample: the call in which it was furthest off.
    """

    signature: str | None
    output: str
    type: str
    shape: tuple[int, ...]
    measure: Measure
    allowed: str
    passed: bool
    random: bool = False
    rounding: bool = False
    sample: int = 0
    divergence: Divergence | None = None
    remark: str = ""

    @property
    def verdict(self) -> str:
        """PASS, FAIL, or why it is neither: "random" or "rounding"."""
        if not self.passed:
            return "FAIL"
        return "random" if self.random else "rounding" if self.rounding else "PASS"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "signature": self.signature,
            "output": self.output,
            "type": self.type,
            "shape": list(self.shape),
            **self.measure.to_json(),
            "allowed": self.allowed,
            "passed": self.passed,
            "random": self.random,
            "rounding": self.rounding,
            "sample": self.sample,
            "divergence": self.divergence.to_json() if self.divergence is not None else None,
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call that could not be done by one side, "candidate" or "reference", or by "both".

    crashed: whether it has ended the process of the runtime; `error` then says how.
    """

    signature: str | None
    sample: int
    side: str
    runtime: str
    error: str
    crashed: bool = False

    def __str__(self) -> str:
        where = "the primary subgraph" if self.signature is None else f"signature {self.signature!r}"
        said = self.error if self.crashed else f"fails: {self.error}"
        also = f"{'.' if self.crashed else ''} The other one fails, too." if self.side == "both" else ""
        return f"{where}, call {self.sample}: {self.runtime} {said}{also}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        names = ("signature", "sample", "side", "runtime", "error", "crashed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model on two runtimes. `str()` gives a table, `to_json()` plain data."""

    candidate: str
    reference: str
    samples: int
    seed: int
    outputs: tuple[OutputVerdict, ...]
    failures: tuple[CallFailure, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all outputs passed and all calls ran."""
        return not self.failures and all(output.passed for output in self.outputs)

    def cells(self) -> list[tuple[str, ...]]:
        """A table, its headers first; columns in which no output has anything are left out."""
        rows = [_row(output) for output in self.outputs]
        filled = [column for column in zip(HEADERS, *rows, strict=True) if any(column[1:])]
        return list(zip(*filled, strict=True)) or [HEADERS]

    def explanations(self) -> list[str]:
        """A line for each call that failed and for each output with something to say about it."""
        lines = [str(failure) for failure in self.failures]
        for output in self.outputs:
            name = output.output if output.signature is None else f"{output.signature}/{output.output}"
            if output.divergence is not None:
                lines.append(f"{name}: {output.divergence}")
            if output.remark:
                lines.append(f"{name}: {output.remark}")
        return lines

    def __str__(self) -> str:
        rows = aligned(self.cells(), left=range(len(HEADERS)))
        title = f"{self.candidate} against {self.reference}: {'PASS' if self.passed else 'FAIL'}"
        return "\n".join([title, *(f"  {row}" for row in rows), *self.explanations()])

    def to_json(self) -> Mapping[str, Any]:
        """Plain data."""
        return {
            "candidate": self.candidate,
            "reference": self.reference,
            "samples": self.samples,
            "seed": self.seed,
            "passed": self.passed,
            "outputs": [output.to_json() for output in self.outputs],
            "failures": [failure.to_json() for failure in self.failures],
        }


HEADERS = ("signature", "output", "type", "absolute", "of the peak", "SQNR", "steps", "allowed", "verdict")


def _row(output: OutputVerdict) -> tuple[str, ...]:
    m = output.measure
    shown = ("random", "", "", "") if output.random else (m.problem, "", "", "") if m.problem else _numbers(m)
    kind = f"{output.type} {list(output.shape)}"
    return output.signature or "-", output.output, kind, *shown, output.allowed, output.verdict


def _numbers(m: Measure) -> tuple[str, str, str, str]:
    steps = "" if m.steps is None else str(m.steps)
    if m.equal:
        return "equal", "", "", steps
    return f"{m.absolute:.1e}", f"{m.relative:.1e}", f"{m.sqnr:.0f} dB", steps
