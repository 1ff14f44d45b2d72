"""Verdicts on outputs, from what the calls gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..interpreter.errors import TfliteError
from ..runtimes import entry
from .history import History, Pair, Place, Seen
from .judge import Judge
from .locate import Finding, Locator
from .result import OutputVerdict
from .trace import Opener

AMPLIFIED = 4
"""How much further off an output may be than in any of the calls when every tensor is kept, for rounding to explain it:
small differences grow to ones of about the same size, not of the same value."""


def random_outputs(pair: Pair, history: History, *, saved: bool) -> set[Place]:
    """Of the outputs that failed, those in which the reference differs from itself (the candidate, if the other side
    was saved)."""
    failed = {place: seen for place, seen in history.seen.items() if seen.failed}
    if not failed:
        return set()
    last = max(seen.call for seen in failed.values())
    again = pair.rerun(pair.candidate if saved else pair.reference, history.calls[: last + 1])
    found = set()
    for (key, name), seen in failed.items():
        signature = entry(pair.model, key)
        before = seen.got if saved else seen.want
        _, excess = pair.judge.measure(signature.graph, signature.outputs[name], again[seen.call][name], before)
        if excess > 1:
            found.add((key, name))
    return found


def verdicts_of(pair: Pair, history: History, random: set[Place]) -> list[OutputVerdict]:
    """A verdict for each output, before any node is looked for."""
    model, judge, verdicts = pair.model, pair.judge, []
    for (key, name), seen in history.seen.items():
        signature = entry(model, key)
        index = signature.outputs[name]
        alike = seen.got.shape == seen.want.shape and seen.got.dtype == seen.want.dtype
        verdicts.append(
            OutputVerdict(
                signature=key,
                output=name,
                type=model.graphs[signature.graph].tensors[index].type.name.lower(),
                shape=seen.want.shape,
                measure=seen.measure,
                allowed=judge.allowed(signature.graph, index),
                passed=not seen.failed or ((key, name) in random and alike),
                random=(key, name) in random,
                sample=history.samples[seen.call],
            )
        )
    return verdicts


def located(
    pair: Pair, history: History, verdicts: Sequence[OutputVerdict], candidate: Opener, reference: Opener
) -> list[OutputVerdict]:
    """The verdicts, those that failed with the first diverging node, or passed as rounding."""
    for_nodes = Judge(pair.model, pair.judge.tolerance.for_nodes())
    with Locator(pair.model, candidate, reference, for_nodes, history.placement) as locator:
        return [v if v.passed else _located(locator, pair.judge, history, v) for v in verdicts]


def _located(locator: Locator, judge: Judge, history: History, verdict: OutputVerdict) -> OutputVerdict:
    """A verdict with the first diverging node, or why it can't be told."""
    seen = history.seen[verdict.signature, verdict.output]
    try:
        found = locator.locate(history.calls, seen.call, verdict.output)
    except TfliteError as error:
        return replace(verdict, remark=f"which node diverges first can't be told: {error}")
    if found.divergence is None:
        return replace(verdict, remark="with every tensor kept, which keeps nodes from being fused, the two agree")
    rounding = _is_rounding(found, judge, seen)
    return replace(verdict, divergence=found.divergence, rounding=rounding, passed=rounding)


def _is_rounding(found: Finding, judge: Judge, seen: Seen) -> bool:
    """Whether an output is off by what its nodes, none of which is off by more than it may be, add up to.

    It must be about as far off when every tensor is kept: else nodes that run together are at fault. Not where the user
    has said how far it may be off.
    """
    node = found.divergence
    if node is None or node.certain or node.own is None or seen.measure.problem:
        return False
    if seen.kind in judge.tolerance.strict:
        return False
    return seen.excess <= AMPLIFIED * judge.tolerance.excess(seen.kind, found.output)
