"""Stories that mostly wait, told side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping


async def together(stories: Mapping[str, Awaitable[None]], *, at_once: int) -> None:
    """Run all stories to their end, so many at once.

    Raises:
        ExceptionGroup: Some failed; each error names its story.
    """
    turns = asyncio.Semaphore(at_once)

    async def tell(name: str, story: Awaitable[None]) -> None:
        async with turns:
            try:
                await story
            except Exception as error:
                error.add_note(f"in: {name}")
                raise

    told = await asyncio.gather(*(tell(*each) for each in stories.items()), return_exceptions=True)
    if failed := [error for error in told if isinstance(error, Exception)]:
        raise ExceptionGroup("some stories failed", failed)
