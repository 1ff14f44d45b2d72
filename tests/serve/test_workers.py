"""The line before the threads: order, and waits that are given up."""

from __future__ import annotations

import asyncio

import pytest

from tflite_cupy.serve.faults import ClientGone, Refused
from tflite_cupy.serve.workers import Workers


async def never() -> None:
    await asyncio.Event().wait()


def test_the_line_keeps_its_order() -> None:
    async def scene() -> list[int]:
        workers, order = Workers(1, 8), list[int]()

        async def request(number: int) -> None:
            with workers.admitted() as place:
                await place.run(lambda: order.append(number), never)

        await asyncio.gather(*map(request, range(8)))
        assert (workers.running, workers.waiting) == (0, 0)
        workers.close()
        return order

    assert asyncio.run(scene()) == list(range(8))


def test_a_thread_that_came_when_the_wait_was_given_up_goes_to_the_next() -> None:
    async def scene() -> None:
        workers = Workers(1, 8)
        await workers.thread(never)
        second, third = (asyncio.ensure_future(workers.thread(never)) for _ in range(2))
        await asyncio.sleep(0)
        workers._release()  # the turn of the second
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await asyncio.wait_for(third, 5)
        assert workers.running == 1
        workers._release()
        assert workers.running == 0

    asyncio.run(scene())


def test_a_client_that_leaves() -> None:
    async def scene() -> None:
        workers, leaves = Workers(1, 8), asyncio.Event()
        await workers.thread(never)
        waits = asyncio.ensure_future(workers.thread(leaves.wait))
        await asyncio.sleep(0)
        leaves.set()
        with pytest.raises(ClientGone):
            await waits
        workers._release()
        assert workers.running == 0

    asyncio.run(scene())


def test_what_work_raises_is_raised() -> None:
    async def scene() -> None:
        workers = Workers(1, 0)
        with pytest.raises(ZeroDivisionError), workers.admitted() as place:
            await place.run(lambda: 1 / 0, never)
        with workers.admitted(), pytest.raises(Refused, match="1 requests wait already"), workers.admitted():
            pass
        with workers.admitted() as place:
            assert await place.run(lambda: 5, never) == 5

    asyncio.run(scene())
