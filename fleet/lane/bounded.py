"""Waiting with a bound that really bounds.

``asyncio.wait_for`` cancels and then awaits the cancelled work, so a body that hangs in
its own clean-up hangs the caller too; ``asyncio.wait`` returns at the bound, always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fleet.lane.errors import Lost

T = TypeVar("T")

_background: set[asyncio.Task[Any]] = set()


async def bounded(work: Coroutine[Any, Any, T], limit_s: float, what: str) -> T:
    """Await `work` for at most `limit_s` seconds.

    Work that is not done by then is cancelled and left to end in the background; its
    outcome is unknown, so the caller must treat whatever it touched as lost.

    Raises:
        Lost: The limit passed.
    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=limit_s)
    if not done:
        task.cancel()
        in_background(task)
        message = f"{what} did not end within {limit_s:g} s"
        raise Lost(message)
    return task.result()


def in_background(work: asyncio.Task[Any] | Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Let `work` go on unobserved, holding a reference and swallowing its outcome."""
    task = asyncio.ensure_future(work)
    _background.add(task)
    task.add_done_callback(_forget)
    return task


def _forget(task: asyncio.Task[Any]) -> None:
    _background.discard(task)
    if not task.cancelled():
        task.exception()


async def background_done(limit_s: float) -> None:
    """Wait for the work in the background, for at most `limit_s` seconds."""
    if _background:
        await asyncio.wait(set(_background), timeout=limit_s)
