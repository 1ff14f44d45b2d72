"""Work done by several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def side_by_side(count: int, work: Callable[[int], None]) -> None:
    """work(0), work(1), ... in threads of their own that start together; raises what one of them raises."""
    barrier = threading.Barrier(count)

    def start(number: int) -> None:
        barrier.wait()
        work(number)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(start, range(count)))
