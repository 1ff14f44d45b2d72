"""Where the parts of a picture lie."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.report.models import branching, chain, on_fake_gpu, report, unsupported, zigzag
from tflite_cupy.interpreter.report.layout import LEFT, MOST, WIDTH, Layout, lay_out

NAMES = ("gpu", "cpu", "flex")


def laid(content: bytes) -> Layout:
    return lay_out(on_fake_gpu(content).subgraphs[0], NAMES, {"flex": "it is not here"})


@pytest.mark.parametrize("content", [zigzag(1), zigzag(30), branching(), unsupported(), chain(2)])
def test_boxes_follow_each_other_and_stay_in_their_lanes(content: bytes) -> None:
    layout = laid(content)
    lanes = {lane.name: lane for lane in layout.lanes}
    for row in layout.rows:
        edge = float(LEFT)
        for box in row.boxes:
            assert box.x >= edge
            edge = box.x + box.width
            assert not lanes[box.lane].why
        assert row.width <= WIDTH + 12
        assert all(arrow.points[-1][0] > arrow.points[0][0] - 1 for arrow in row.arrows)


def test_every_step_has_its_box_or_arrow() -> None:
    subgraph = on_fake_gpu(zigzag(30)).subgraphs[0]
    layout = laid(zigzag(30))
    boxes = [box.step for row in layout.rows for box in row.boxes if box.step is not None]
    copies = [arrow.copy for row in layout.rows for arrow in row.arrows if arrow.copy is not None]
    assert boxes == list(subgraph.partitions)
    assert copies == list(subgraph.copies)
    assert len(layout.rows) > 5
    assert layout.left_out == 0


def test_pictures_have_an_end() -> None:
    layout = laid(zigzag(100))
    assert layout.left_out == 400 - MOST
    assert not any(box.is_end for row in layout.rows for box in row.boxes)


def test_lanes() -> None:
    lanes = laid(unsupported()).lanes
    assert [lane.name for lane in lanes] == ["call", "gpu", "cpu", "flex", "nobody"]
    assert lanes[1].why == "nothing to do here"
    assert lanes[3].why == "not asked: it is not here"
    assert all(below.top > lane.top + lane.height for lane, below in pairwise(lanes))


def test_boxes_grow_with_their_nodes() -> None:
    def width(nodes: int) -> float:
        (part,) = (box for row in laid(chain(nodes)).rows for box in row.boxes if box.step is not None)
        return part.width

    assert width(1) < width(20) < width(60) < width(3000) == width(5000)


def test_the_text_of_a_box_fits() -> None:
    (box,) = (b for r in lay_out(report(branching()).subgraphs[0], NAMES, {}).rows for b in r.boxes if b.title == "IF")
    assert box.lines == ("runs subgraph 2", "and subgraph 3")
