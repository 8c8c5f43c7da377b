"""A bound that holds whatever the bounded work does."""

from __future__ import annotations

import asyncio

import pytest

from fleet.lane.bounded import background_done, bounded
from fleet.lane.errors import Lost


async def test_gives_the_result() -> None:
    """Work that ends in time is as if it were awaited."""

    async def work() -> int:
        return 7

    assert await bounded(work(), 5, "work") == 7


async def test_raises_what_the_work_raises() -> None:
    """An error of the work is its own, no time-out."""

    async def work() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        await bounded(work(), 5, "work")


async def test_returns_though_the_work_ignores_its_cancellation() -> None:
    """Where `asyncio.wait_for` would wait for the clean-up for ever, this is at its bound."""
    never, cancelled = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await never.wait()
        except asyncio.CancelledError:
            cancelled.set()
            await never.wait()

    with pytest.raises(Lost, match=r"commit did not end within 0\.01 s"):
        await bounded(stubborn(), 0.01, "commit")
    await cancelled.wait()
    never.set()
    await background_done(5)


async def test_an_error_after_the_bound_disturbs_nobody() -> None:
    """The outcome of given-up work is taken note of, so that no loop reports it."""
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    async def fails_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    with pytest.raises(Lost):
        await bounded(fails_late(), 0.01, "work")
    await background_done(5)
    assert reported == []
