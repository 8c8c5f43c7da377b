"""Waiting for something to become true, with a bound: what tests do in place of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.05


async def until(
    condition: Callable[[], Awaitable[T]], limit_s: float, what: str, *, every_s: float = POLL_S
) -> T:
    """Ask `condition` again and again, and return its first true answer.

    Raises:
        AssertionError: It was not true within `limit_s` seconds; names `what` and the last answer.
    """
    deadline = time.monotonic() + limit_s
    while not (answer := await condition()):
        if time.monotonic() > deadline:
            message = f"not within {limit_s:g} s: {what} (last seen: {answer!r})"
            raise AssertionError(message)
        await asyncio.sleep(every_s)
    return answer
