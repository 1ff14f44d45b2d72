"""The tables of measurements: writes them into README.md and docs/measurements.md, or with `--check` fails if they are
out of date.

They come from the files of ci/results; that of the GPU from the newest file of ci/gpu_results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import measured_access
import measured_convert
import measured_cpu
import measured_gpu
import measured_scaling

ROOT = Path(__file__).parents[1]
RESULTS, GPU_RESULTS = ROOT / "ci" / "results", ROOT / "ci" / "gpu_results"
PAGES = ("README.md", "docs/measurements.md")
BEGIN, END = "<!-- begin: python ci/measured.py ({}) -->\n", "<!-- end -->"


def sections() -> dict[str, str]:
    """What stands between the marks, by the name in the first one."""
    return {
        "CPU": measured_cpu.section(_numbers("bench_cpu")),
        "GPU": measured_gpu.section(measured_gpu.newest(GPU_RESULTS)),
        "loading": measured_cpu.loading(_numbers("bench_cpu")),
        "overlapping calls": measured_scaling.section(_numbers("scaling")),
        "accesses to memory": measured_access.section(_numbers("gpu_access")),
        "conversions": measured_convert.section(_numbers("convert")),
    }


def replaced(text: str, begin: str, body: str) -> str:
    """`text` with another body between `begin` and the next `END`."""
    head, found, rest = text.partition(begin)
    assert found, f"no page has {begin.strip()}"
    return head + begin + body + END + rest.partition(END)[2]


def _numbers(name: str) -> Any:
    """What a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def main() -> int:
    before = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    fresh = dict(before)
    for name, body in sections().items():
        begin = BEGIN.format(name)
        page = next((page for page, text in before.items() if begin in text), PAGES[0])
        fresh[page] = replaced(fresh[page], begin, body)
    stale = [page for page in PAGES if fresh[page] != before[page]]
    if "--check" in sys.argv[1:]:
        for page in stale:
            print(f"measurements in {page} are out of date; run: python ci/measured.py", file=sys.stderr)
        return 1 if stale else 0
    for page in stale:
        (ROOT / page).write_text(fresh[page], encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
