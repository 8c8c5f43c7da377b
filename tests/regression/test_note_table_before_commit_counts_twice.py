"""Field note: the table is written before the source is committed, so that a hard kill counts twice."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.polling import until
from tests.support.stock_faust import LIMIT_S, raw_topic, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

EVENTS = 10


async def test_stock_faust_counts_twice_what_it_had_not_committed(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ends between changelog and commit, as by a kill, leaves a count that the next doubles.

    The lane's half is `test_trap_5_one_exit_for_all_trouble` (a commit that is never sent) and the
    workers that `tests/faults` kills.
    """
    name, source = unique("app"), unique("source")
    await cluster.create({source: 1, f"{name}-counts-changelog": 1})
    await cluster.send(source, [(b"key", b"event")] * EVENTS, partitions=1, at=0)

    async def counted(at_least: int) -> int:
        """Run a worker until it has counted so far; more, where it was rebalanced meanwhile."""
        app = stock_app(name, tmp_path, cluster)
        table = app.Table("counts", default=int, partitions=1)

        async def agent(stream: Any) -> None:
            async for _ in stream:
                table["key"] += 1

        app.agent(raw_topic(app, source))(agent)
        last = 0

        async def written() -> bool:
            nonlocal last
            records = await cluster.read(f"{name}-counts-changelog")
            last = orjson.loads(records[-1].value) if records else 0
            return last >= at_least

        async with running(app):

            async def never_sent(_: Any) -> bool:
                return True

            monkeypatch.setattr(app.consumer, "_commit", never_sent)
            await until(written, LIMIT_S, f"a count of {at_least} in the changelog")
        return last

    async def counted_by_one_of(workers: int, at_least: int) -> int:
        """One that waits for ever at its start, as stock Faust may, is replaced."""
        for _ in range(workers - 1):
            with suppress(AssertionError):
                return await counted(at_least)
        return await counted(at_least)

    first = await counted_by_one_of(3, EVENTS)
    assert await counted_by_one_of(3, first + EVENTS) >= 2 * EVENTS
