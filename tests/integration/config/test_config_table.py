"""A config table that a process follows: what is bad in it does not undo what was good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from fleet.errors import PermanentError
from fleet.lane.config import LaneConfig
from fleet.settings import Settings
from tables.config import ConfigTable
from tables.config_log import ConfigLog, Write
from tables.log import View
from tests.support.api import ADMIN
from tests.support.lane_kafka import Cluster
from tests.support.polling import until

LIMIT_S = 30.0
Table = ConfigTable[tuple[dict[str, Any], int]]


def parse(key: str, value: bytes) -> int:
    """Return the number in a row."""
    number: int = orjson.loads(value)["version"]
    if number < 0:
        raise PermanentError(f"{key} is negative", reason="negative")
    return number


@asynccontextmanager
async def following(settings: Settings, topic: str, audit: str) -> AsyncIterator[Table]:
    """Follow a table, as a worker that starts does."""
    table: Table = ConfigTable(
        LaneConfig.of(settings), topic, parse, lambda rows, offset: (dict(rows), offset), audit
    )
    try:
        await table.ready()
        yield table
    finally:
        await table.stop()


@pytest.fixture
async def topics(stack_settings: Settings, unique: Callable[[str], str]) -> tuple[str, str]:
    """Return a table's topic and its audit's, with version 1 and 2 of a row in them."""
    topic, audit = unique("config"), unique("audit")
    cluster = Cluster(stack_settings.kafka)
    await cluster.create({topic: 1}, cleanup_policy="compact,delete")
    await cluster.create({audit: 1})
    log = ConfigLog(LaneConfig.of(stack_settings), topic, audit)
    for version in (1, 2):

        async def write(view: View, version: int = version) -> list[Write]:
            del view
            return [Write(name="a", action="update", after={"version": version})]

        await log.change(write, ADMIN)
    await log.stop()
    return topic, audit


async def bad_row(settings: Settings, topic: str, value: bytes) -> int:
    """Write a row past the log, and return its offset."""
    async with Cluster(settings.kafka).producer() as producer:
        return int((await producer.send_and_wait(topic, value, key=b"a")).offset)


async def compacted(settings: Settings, topic: str, offset: int) -> None:
    """Remove what is before `offset`, as compaction does in time."""
    tp = TopicPartition(topic, 0)
    cluster = Cluster(settings.kafka)
    async with cluster.admin() as admin:
        await admin.delete_records({tp: RecordsToDelete(before_offset=offset)})
    assert [row.offset for row in await cluster.read(topic)] == [offset]


@pytest.mark.parametrize("value", [b'{"version":-3}', b"junk"], ids=["refused", "junk"])
async def test_the_last_good_version_survives_a_restart(
    stack_settings: Settings, topics: tuple[str, str], value: bytes
) -> None:
    """Where the topic has the bad row alone, it is found in the audit; what is refused is said."""
    offset = await bad_row(stack_settings, topics[0], value)
    await compacted(stack_settings, topics[0], offset)
    async with following(stack_settings, *topics) as table:
        assert table.snapshot() == ({"a": 2}, offset + 1)
        assert table.refused["a"].startswith(f"offset {offset}: ")


async def test_the_snapshot_knows_its_offset(stack_settings: Settings, topics: tuple[str, str]) -> None:
    """Also while it stays as it is because the newest row is bad."""
    async with following(stack_settings, *topics) as table:
        rows, before = table.snapshot()
        assert rows == {"a": 2}
        offset = await bad_row(stack_settings, topics[0], b"junk")

        async def refused() -> bool:
            return "a" in table.refused

        await until(refused, LIMIT_S, "the refusal")
        assert before <= offset
        assert table.snapshot()[0] == {"a": 2}


async def test_processes_read_up_to_the_same_offset(
    stack_settings: Settings, topics: tuple[str, str]
) -> None:
    """One that follows a change gets as far as one that starts after it, past the end of its transaction."""
    topic, audit = topics
    async with following(stack_settings, topic, audit) as table:
        log = ConfigLog(LaneConfig.of(stack_settings), topic, audit)

        async def write(view: View) -> list[Write]:
            del view
            return [Write(name="a", action="update", after={"version": 3})]

        await log.change(write, ADMIN)
        await log.stop()
        async with following(stack_settings, topic, audit) as later:
            assert later.snapshot()[0] == {"a": 3}

            async def caught_up() -> bool:
                return table.offset == later.offset

            await until(caught_up, LIMIT_S, "the offset of the one that started later")
        assert table.snapshot()[0] == {"a": 3}
