"""Web views of workers, asked as anyone may ask them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.support.lane_processes import Worker

ASK_LIMIT_S = 15.0


@dataclass(frozen=True)
class Answer:
    """What a web view answered."""

    status: int
    body: Any
    headers: Mapping[str, str]


async def running(worker: Worker) -> list[int]:
    """Return the partitions that run on a worker: all its agents have them."""
    tasks = await worker.tasks()
    waiting = {task["partition"] for task in tasks if task["status"] != "running"}
    return sorted({task["partition"] for task in tasks} - waiting)


async def ask(worker: Worker, path: str, content: Any = None, **headers: str) -> Answer:
    """Return a worker's answer to a GET, or to a POST of JSON; status 0 where nobody answers.

    Args:
        worker: The worker.
        path: Path and query, already quoted.
        content: What to post; None to get.
        headers: Request headers, with ``_`` for ``-``.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    timeout = aiohttp.ClientTimeout(total=ASK_LIMIT_S)
    method = "GET" if content is None else "POST"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=named) as session,
            session.request(method, f"http://127.0.0.1:{worker.port}{path}", json=content) as response,
        ):
            is_json = response.content_type in ("application/json", "application/problem+json")
            body = await response.json(content_type=None) if is_json else None
            return Answer(response.status, body, dict(response.headers))
    except (aiohttp.ClientError, TimeoutError):
        return Answer(0, None, {})
