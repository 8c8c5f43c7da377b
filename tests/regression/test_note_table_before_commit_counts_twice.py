"""Field note: the table is written before the source is committed, so that a hard kill counts twice."""

from __future__ import annotations

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

    async def counted(times: int) -> None:
        app = stock_app(name, tmp_path, cluster)
        table = app.Table("counts", default=int, partitions=1)

        async def agent(stream: Any) -> None:
            async for _ in stream:
                table["key"] += 1

        app.agent(raw_topic(app, source))(agent)

        async def written() -> bool:
            rows = [orjson.loads(record.value) for record in await cluster.read(f"{name}-counts-changelog")]
            return rows[-1:] == [times]

        async with running(app):

            async def never_sent(_: Any) -> bool:
                return True

            monkeypatch.setattr(app.consumer, "_commit", never_sent)
            await until(written, LIMIT_S, f"a count of {times} in the changelog")

    await counted(EVENTS)
    await counted(2 * EVENTS)
