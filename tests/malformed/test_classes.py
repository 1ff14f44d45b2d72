"""Every class of malformed model, made from every seed, is refused in time with a code and a path."""

from __future__ import annotations

import pytest

from tests.format.surgery import in_time
from tests.malformed import graphs, names, parameters, structure, tensors
from tests.malformed.catalogue import ACCEPTED, CLASSES, IDS, Case, provoke
from tests.malformed.seeds import SEEDS, seed

MODULES = (structure, graphs, tensors, parameters, names)


def cases(id: str, name: str) -> list[Case]:
    """The cases of a class; the many of operators are dealt out to the seeds, which they do not depend on."""
    made = list(CLASSES[id].make(seed(name)))
    return made[SEEDS.index(name) :: len(SEEDS)] if id.startswith("P") else made


def problem(case: Case, codes: frozenset[str]) -> str | None:
    """What is wrong with what a case gives; None if it is as it should be."""
    data = case.make()
    with in_time():
        error = provoke(case, data)
    if error is None:
        return None if case.code == ACCEPTED else "is accepted"
    if error.code not in ({case.code} if case.code else codes):
        return f"gives {error.code}: {error}"
    if not error.where or not error.where.startswith(case.at):
        return f"is placed at {error.where!r}, not {case.at!r}: {error}"
    return None if case.says in str(error) else f"does not say {case.says!r}: {error}"


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.parametrize("id", IDS)
def test_class(id: str, name: str) -> None:
    made = cases(id, name)
    assert made
    found = [(case.title, problem(case, CLASSES[id].codes)) for case in made]
    assert [f"{title} {wrong}" for title, wrong in found if wrong] == []
    assert seed(name).runs_right()


def test_classes_are_those_of_the_table() -> None:
    assert len(IDS) == 66
    assert set(CLASSES) == set(IDS)
