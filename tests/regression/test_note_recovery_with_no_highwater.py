"""Field note: under ``exactly_once`` Faust takes an end it does not know yet for "nothing to recover"."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.structs import TopicPartition
from faust.tables.recovery import Recovery
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from tests.support.stock_faust import stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack


async def test_stock_faust_recovers_nothing_before_the_first_fetch(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """Twenty rows are there, and the highwater is -1: a worker is ready with an empty table.

    The lane asks Kafka for the end: `test_trap_8_loaders_read_from_the_beginning`.
    """
    changelog = unique("changelog")
    await cluster.create({changelog: 1})
    await cluster.send(changelog, [(b"key-%d" % row, b"1") for row in range(20)], partitions=1)
    tp = TopicPartition(changelog, 0)
    async with cluster.reader() as reader:
        reader.assign([tp])
        assert await reader.end_offsets([tp]) == {tp: 20}
        thread: Any = SimpleNamespace(
            consumer=SimpleNamespace(in_transaction=True), _ensure_consumer=lambda: reader
        )

        async def highwaters(*tps: Any) -> Any:
            return await AIOKafkaConsumerThread._highwaters(thread, list(tps))

        consumer: Any = SimpleNamespace(highwaters=highwaters)
        app = stock_app(unique("app"), tmp_path)
        found: Counter[Any] = Counter()
        await Recovery(app, app.tables)._build_highwaters(consumer, {tp}, found, "active")
    assert found == {tp: -1}
