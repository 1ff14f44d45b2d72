"""The report as GitHub's Markdown."""

from __future__ import annotations

from tests.report.models import branching, evil, many_signatures, on_fake_gpu, report, unsupported, zigzag


def test_the_whole_text() -> None:
    assert on_fake_gpu(zigzag(1)).to_markdown("model.tflite") == (
        "### model.tflite\n"
        "\n"
        "**Signature <code>s</code>**: 2 nodes\n"
        "\n"
        "| delegate | nodes | coverage | partitions | copied in | copied out |\n"
        "|:---|---:|---:|---:|---:|---:|\n"
        "| gpu | 1 | 50.0% | 1 | 66 kB | 66 kB |\n"
        "| cpu | 1 | 50.0% | 1 | - | - |\n"
        "| flex | 0 | 0.0% | 0 | - | - |\n"
        "\n"
        "<details><summary>Why 1 node did not go to the first delegate asked</summary>\n"
        "\n"
        "| nodes | refused by | reason | operators |\n"
        "|---:|:---|:---|:---|\n"
        "| 1 | gpu | operator UNSORTED&#95;SEGMENT&#95;PROD runs on the host&#58; it works on state, strings or values"
        " that the host needs. | <code>UNSORTED&#95;SEGMENT&#95;PROD</code> |\n"
        "\n"
        "</details>\n"
        "\n"
        '**gpu** was not asked: device="cpu" was asked for.\n'
    )


def test_rows_of_a_table_have_as_many_cells() -> None:
    for content in (branching(), unsupported(), evil(), zigzag(2)):
        tables = [line for line in on_fake_gpu(content).to_markdown().splitlines() if line.startswith("|")]
        assert {line.count("|") for line in tables} <= {7, 5}


def test_what_nobody_runs_comes_first() -> None:
    text = report(unsupported()).to_markdown()
    assert "nobody runs 3 nodes" in text
    assert "| 2 | all | Encountered unresolved custom op&#58; &#91;name&#93;. |" in text
    assert "<code>FakeOne</code>, <code>FakeTwo</code> |" in text


def test_names_make_no_markup_and_call_nobody() -> None:
    text = report(evil()).to_markdown(title="@octocat https://example.com <b>")
    assert "<script" not in text
    assert "<img" not in text
    assert "@" not in text
    assert "://" not in text
    assert text.startswith("### &#64;\u200boctocat https&#58;//example.com &#60;b&#62;\n")


def test_a_comment_is_no_longer_than_github_takes() -> None:
    text = report(many_signatures(400)).to_markdown()
    assert len(text) < 65_536
    assert "more signatures left out" in text
