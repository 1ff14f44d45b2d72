"""The report as text."""

from __future__ import annotations

import pytest

from tests.report.models import EVIL, branching, chain, evil, on_fake_gpu, report, unknown_sizes, unsupported, zigzag


def test_the_whole_table() -> None:
    assert str(on_fake_gpu(zigzag(1))) == (
        "signature 's': 2 nodes\n"
        "  delegate  nodes  coverage  partitions  copied in  copied out\n"
        "  gpu           1     50.0%           1    65.5 kB     65.5 kB\n"
        "  cpu           1     50.0%           1          -           -\n"
        "  flex          0      0.0%           0          -           -\n"
        "\n"
        "  subgraph 0 'zigzag': 2 nodes\n"
        "    copy from call to gpu: 1 tensor, 65.5 kB\n"
        "    partition 0 on gpu: FULLY_CONNECTED\n"
        "    copy from gpu to cpu: 1 tensor, 65.5 kB\n"
        "    partition 1 on cpu: UNSORTED_SEGMENT_PROD\n"
        "\n"
        "  gpu refused 1: operator UNSORTED_SEGMENT_PROD runs on the host: it works on state, strings or\n"
        "    values that the host needs.\n"
        "\n"
        'gpu was not asked: device="cpu" was asked for.'
    )


def test_control_flow_and_what_does_not_run() -> None:
    text = str(on_fake_gpu(branching()))
    assert "signature 'pick': 4 nodes in 3 subgraphs\n" in text
    assert "    partition 0 on cpu: IF, runs subgraphs 2, 3\n" in text
    assert "    copy from control flow to cpu: 1 tensor, 16 bytes, where not there already\n" in text
    assert "    copy from gpu to call: 1 tensor, 16 bytes\n" in text
    assert "  folded        1  known before the call\n" in text
    assert "  gpu, cpu, flex refused 1: control flow runs between partitions. (IF)\n" in text
    assert "  gpu refused 1: its copies would cost more than it does. (ADD)" in text


def test_subgraphs_are_shown_once() -> None:
    made = report(branching())
    twice = type(made)(made.subgraphs, {"a": (0, 2, 3), "b": (2,), "c": (1,)}, made.titles)
    text = str(twice)
    assert "signature 'b': 1 node\n" in text
    assert "  subgraph 2 'EXP': 1 node, as above" in text
    assert text.count("partition 0 on cpu: EXP") == 1


def test_all_unsupported_nodes_are_listed() -> None:
    text = str(report(unsupported()))
    assert "  unsupported      3  nobody runs them\n" in text
    assert [line.strip() for line in text.splitlines() if "  nobody runs " in line and "#" in line] == [
        "nobody runs FakeOne#1: Encountered unresolved custom op: FakeOne.",
        "nobody runs UNKNOWN_OPERATOR_999#3: operator UNKNOWN_OPERATOR_999 is not supported.",
        "nobody runs FakeTwo#0: Encountered unresolved custom op: FakeTwo.",
    ]


def test_copies_of_unknown_size_are_said_to_be() -> None:
    text = str(on_fake_gpu(unknown_sizes()))
    assert "  at least 8,192 bytes  at least 0 bytes\n" in text
    assert "    copy from gpu to cpu: 1 tensor, size known in the call\n" in text


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("content", [branching(), unsupported(), evil(), unknown_sizes(), zigzag(3), chain(30)])
def test_lines_are_no_wider_than_asked(content: bytes, width: int) -> None:
    assert max(map(len, on_fake_gpu(content).to_text(width).splitlines())) <= width


def test_names_cannot_steer_a_terminal() -> None:
    text = str(report(evil()))
    assert EVIL not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\u202e\\x1b[31m" in text
