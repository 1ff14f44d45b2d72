"""The report as a page: all of it is there, and nothing of the model's is interpreted."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from tests.fakes import FakeGpuDelegate
from tests.models import add_sub
from tests.report.models import (
    EVIL,
    branching,
    chain,
    evil,
    interpreter,
    many_signatures,
    on_fake_gpu,
    report,
    shared_subgraph,
    unknown_sizes,
    unsupported,
    zigzag,
)
from tflite_cupy.interpreter.report import DelegationReport, is_page

VOID = {"meta", "br", "hr"}
CONTENTS = {
    "branching": branching(),
    "unsupported": unsupported(),
    "zigzag": zigzag(4),
    "evil": evil(),
    "unknown sizes": unknown_sizes(),
    "signatures": many_signatures(20),
    "two": add_sub(),
}


class Reader(HTMLParser):
    """Checks that tags are balanced, and collects tags, ids, links and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.fixture(params=CONTENTS)
def made(request: pytest.FixtureRequest) -> DelegationReport:
    return on_fake_gpu(CONTENTS[request.param])


def test_tags_are_balanced_and_ids_are_there_once(made: DelegationReport) -> None:
    reader = Reader(made.to_html())
    ids = reader.all("id")
    assert len(ids) == len(set(ids))
    links = reader.all("href")
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_nothing_is_loaded_and_nothing_runs(made: DelegationReport) -> None:
    page = made.to_html()
    reader = Reader(page)
    allowed = "html head meta title style body header main footer section nav details summary div p ul li h1 h2 h3 h4"
    drawing = "svg g a path rect circle line text span bdi b i small table thead tbody tr th td"
    assert set(reader.tags) <= {*allowed.split(), *drawing.split()}
    names = {name for name, _ in reader.attributes}
    assert not [name for name in names if name.startswith("on") or name in ("style", "src", "srcset", "action")]
    assert all(link.startswith("#") for link in reader.all("href"))
    assert not re.search(r"url\(|@import|javascript:", page)


def test_the_policy_allows_this_style_and_nothing_else() -> None:
    page = report(add_sub()).to_html()
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', page)
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_every_node_partition_copy_and_reason_is_on_the_page(made: DelegationReport) -> None:
    reader = Reader(made.to_html())
    ids, told = set(reader.all("id")), reader.all("aria-label")
    for subgraph in made.subgraphs:
        assert f"g{subgraph.index}" in ids
        for node in subgraph.nodes:
            assert f"g{subgraph.index}n{node.index}" in ids
            for sentence in [node.reason] if node.reason else node.refusals.values():
                assert sentence.split(node.name)[-1] in reader.text
        for part in subgraph.partitions:
            assert f"g{subgraph.index}p{part.index}" in ids
    assert sum(label.startswith("partition ") for label in told) == sum(len(s.partitions) for s in made.subgraphs)
    assert sum(label.startswith("copy ") for label in told) == sum(len(s.copies) for s in made.subgraphs)


def test_copies_have_their_bytes() -> None:
    reader = Reader(on_fake_gpu(zigzag(1)).to_html())
    assert [label for label in reader.all("aria-label") if label.startswith("copy ")] == [
        "copy from call to gpu: 1 tensor, 65.5 kB",
        "copy from gpu to cpu: 1 tensor, 65.5 kB",
    ]
    assert reader.text.count("66 kB") == 2
    assert "131.1 kB copied" in reader.text


def test_names_stay_text() -> None:
    page = report(evil()).to_html(title=EVIL, subtitle=EVIL)
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "--><!--" not in page
    assert page.count("</style>") == 1
    reader = Reader(page)
    assert "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\\u202e\\x1b[31m" in reader.text
    assert "long" * 200 not in reader.text


def test_what_nobody_runs_stands_out() -> None:
    reader = Reader(report(unsupported()).to_html())
    assert "Nobody runs these" in reader.text
    assert "the model can't run here" in reader.text
    assert sum(label.startswith("nobody runs these") for label in reader.all("aria-label")) == 3


def test_signatures_are_linked() -> None:
    made = report(many_signatures(20))
    reader = Reader(made.to_html())
    assert "nav" in reader.tags
    assert {f"#s{i}" for i in range(20)} <= set(reader.all("href"))
    assert "nav" not in Reader(made.only("sig_3").to_html()).tags


def test_signatures_of_one_subgraph_show_their_own_names() -> None:
    page = report(shared_subgraph()).to_html()
    first, second, third = re.findall(r'<section class="entry".*?</section>', page, re.DOTALL)
    for section, names in ((first, "xy"), (second, "uv")):
        assert re.findall(r'aria-label="(?:inputs|outputs): (.*?)"', section) == list(names)
    assert "is shown above" in third
    assert "picture" not in third
    assert "are listed above" in second
    ids = Reader(page).all("id")
    assert len(ids) == len(set(ids))


def test_bodies_name_the_nodes_that_run_them() -> None:
    page = on_fake_gpu(branching()).to_html()
    assert '<a href="#g0n0"><bdi>IF#0</bdi></a>' in page
    assert "runs subgraph 2" in page
    assert "and subgraph 3" in page


def test_a_page_of_a_large_model_is_of_reasonable_size() -> None:
    made = report(chain(3000))
    page = made.to_html()
    assert len(page) < 1_500_000
    assert page.count("<tr id=") == 3000


def test_reasons_with_many_nodes_give_them_by_number() -> None:
    made = interpreter(zigzag(100), FakeGpuDelegate()).delegation_report()
    text = Reader(made.to_html()).text
    assert "steps, listed below" in text
    assert "and 52 more: subgraph 0: 97, 99, 101" in text


def test_pages_are_known_again() -> None:
    page = report(add_sub()).to_html().encode()
    assert is_page(page[:4096])
    assert not is_page(b"<!DOCTYPE html><html>")
