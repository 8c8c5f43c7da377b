"""Field note: a worker that does not write to a GlobalTable stops seeing updates of it (fs#283)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fleet.lane.config import LaneConfig
from tables.config import ConfigTable
from tests.support.polling import until
from tests.support.stock_faust import LIMIT_S, raw_topic, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

UPDATES = 5
WAIT_S = 3.0


async def test_stock_faust_shows_a_default_in_place_of_updates(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """One of two workers counts, the other goes on saying 0, long after the changelog has the count."""
    name, source, tables = unique("app"), unique("source"), list[Any]()
    await cluster.create({source: 1, f"{name}-counts-changelog": 1})

    def new_worker(folder: Path) -> Any:
        folder.mkdir()
        app = stock_app(name, folder, cluster)
        table = app.GlobalTable("counts", default=int, partitions=1)
        tables.append(table)

        async def agent(stream: Any) -> None:
            async for _ in stream:
                table["key"] += 1

        app.agent(raw_topic(app, source))(agent)
        return app

    async def written() -> bool:
        rows = [orjson.loads(record.value) for record in await cluster.read(f"{name}-counts-changelog")]
        return rows[-1:] == [UPDATES]

    async def seen() -> list[Any] | None:
        counts = sorted(table.data.get("key", 0) for table in tables)
        return counts if counts[0] > 0 else None

    first, second = (new_worker(tmp_path / each) for each in ("first", "second"))
    async with running(first), running(second):
        await cluster.send(source, [(b"key", b"")] * UPDATES, partitions=1)
        await until(written, LIMIT_S, "the count in the changelog")
        with pytest.raises(AssertionError, match="not within"):
            await until(seen, WAIT_S, "the count on both workers")
        assert sorted(table.data.get("key", 0) for table in tables) == [0, UPDATES]


async def test_every_reader_of_a_config_table_follows_it(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Config is read by a reader of its own, to the end before its first use, and on from there."""
    topic = unique("config")
    await cluster.create({topic: 1}, cleanup_policy="compact")
    config = LaneConfig(bootstrap_servers=cluster.servers)
    readers = [
        ConfigTable(config, topic, lambda _, value: int(value), lambda rows, _: dict(rows)) for _ in range(2)
    ]
    try:
        for update in range(1, 4):
            await cluster.send(topic, [(b"key", b"%d" % update)], partitions=1)
            for reader in readers:
                await reader.ready()

            async def followed(update: int = update) -> bool:
                return all(reader.snapshot() == {"key": update} for reader in readers)

            await until(followed, LIMIT_S, f"update {update} in every snapshot")
    finally:
        for reader in readers:
            await reader.stop()
