"""Mutants of sound files run, or are refused with an error of ours, in time and in little memory."""

from __future__ import annotations

import random
import sys

import pytest

from tests.malformed.fuzz import Outcome, fuzz
from tests.malformed.mutants import Subject
from tests.malformed.seeds import SEEDS, seed


def check(outcome: Outcome, count: int) -> None:
    assert outcome.findings == []
    assert outcome.counts.total() == count
    refused = sum(n for ended, n in outcome.counts.items() if ended.startswith("load: invalid"))
    assert count / 4 < refused < count


@pytest.mark.parametrize("name", SEEDS)
def test_mutants(name: str) -> None:
    check(fuzz(name, 1000), 1000)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_many_mutants(name: str) -> None:
    check(fuzz(name, 12_000, first=1000), 12_000)


def test_mutants_are_the_same_in_each_run() -> None:
    subject, other = Subject(seed("sparse").data), Subject(seed("sparse").data)
    made = [subject.mutant(random.Random(number)) for number in range(50)]
    assert made == [other.mutant(random.Random(number)) for number in range(50)]
    assert len(set(made)) > 35  # some change a number to what it was


@pytest.mark.parametrize(("fault", "finding"), [("os.abort()", "died (-6)"), ("time.sleep(60)", "hung")])
def test_the_next_process_goes_on_after_one_that_ends(fault: str, finding: str) -> None:
    script = (
        "import os, sys, time\n"
        "first, count = int(sys.argv[3]), int(sys.argv[5])\n"
        "for number in range(first, first + count):\n"
        f"    if number == 3: {fault}\n"
        '    print(\'["ran", ""]\', flush=True)\n'
    )
    outcome = fuzz("sparse", 6, child=(sys.executable, "-c", script), silence=5)
    assert outcome.counts.total() == 6
    assert outcome.findings == [f"mutant 3 of sparse: {finding}"]
