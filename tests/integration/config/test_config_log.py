"""Changes to a config log: fenced, tried again, and done once whatever Kafka answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio

from fleet.errors import PermanentError, TransientError
from fleet.lane.config import LaneConfig
from fleet.lane.errors import Lost
from fleet.lane.transaction import Transactor
from fleet.settings import Settings
from tables import config_log
from tables.audit import verify
from tables.config_log import ConfigLog, Write
from tables.log import View
from tests.support.api import ADMIN
from tests.support.lane_kafka import Cluster

NewLog = Callable[[], ConfigLog]
Commit = Callable[..., Awaitable[Any]]


@pytest_asyncio.fixture
async def new_log(stack_settings: Settings, unique: Callable[[str], str]) -> AsyncIterator[NewLog]:
    """Make writers of one config log, each as another process would."""
    topic, audit = unique("config"), unique("audit")
    cluster = Cluster(stack_settings.kafka)
    await cluster.create({topic: 1}, cleanup_policy="compact", max_message_bytes="1048588")
    await cluster.create({audit: 1}, max_message_bytes="4194304")
    made: list[ConfigLog] = []

    def new() -> ConfigLog:
        made.append(ConfigLog(LaneConfig.of(stack_settings), topic, audit))
        return made[-1]

    yield new
    for log in made:
        await log.stop()


async def count_up(view: View) -> list[Write]:
    """Count the row ``c`` up by one."""
    row = view.rows.get("c")
    version = orjson.loads(row.value)["version"] if row else 0
    return [Write(name="c", action="update", after={"version": version + 1})]


async def versions(log: ConfigLog) -> list[int]:
    """Return the versions in the audit, after checking its chain and the row."""
    values = [record.value async for record in log.records()]
    assert verify(values).intact
    found = [orjson.loads(value)["version_after"] for value in values]
    (row,) = (await log.view()).rows.values()
    assert orjson.loads(row.value)["version"] == found[-1]
    return found


async def test_a_writer_that_was_fenced_tries_again(
    new_log: NewLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Two writers by turns fence each other each time, and every change is done once."""
    one, two = new_log(), new_log()
    with caplog.at_level(logging.INFO, "tables.config_log"):
        for _ in range(3):
            for log in (one, two):
                await log.change(count_up, ADMIN)
    assert await versions(one) == [1, 2, 3, 4, 5, 6]
    assert "is tried again" in caplog.text


async def test_what_is_written_before_the_fence_counts(new_log: NewLog) -> None:
    """A writer that decided by what it read without the fence decides anew where another came before it."""
    one, two = new_log(), new_log()
    decided: list[int] = []

    async def overtaken(view: View) -> list[Write]:
        decided.append(len(view.rows))
        if len(decided) == 1:
            await one.change(count_up, ADMIN)
        return await count_up(view)

    await two.change(overtaken, ADMIN)
    assert decided == [0, 1]
    assert await versions(two) == [1, 2]


async def test_a_writer_alone_keeps_its_producer(new_log: NewLog) -> None:
    """A change costs one transaction: no fence, no connection."""
    log = new_log()
    await log.change(count_up, ADMIN)
    held, began = log._transactor, time.monotonic()
    for _ in range(20):
        await log.change(count_up, ADMIN)
    print(f"{(time.monotonic() - began) / 20 * 1000:.1f} ms a change")  # noqa: T201 - for people
    assert held is not None
    assert log._transactor is held


async def test_changes_of_one_process_wait_for_each_other(new_log: NewLog) -> None:
    """Ten at once are done one after the other, each on what the one before left."""
    log = new_log()
    done = await asyncio.gather(*(log.change(count_up, ADMIN) for _ in range(10)))
    assert sorted(change.writes[0].after["version"] for change in done) == list(range(1, 11))
    assert await versions(log) == list(range(1, 11))


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])
async def test_an_unknown_outcome_is_looked_up(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    """Whether the commit went through before its answer was lost or not: the change is there once."""
    log, commit = new_log(), Transactor.commit
    lost: list[bool] = []

    async def losing(self: Transactor, *arguments: Any) -> Any:
        if lost:
            return await commit(self, *arguments)
        if committed:
            await commit(self, *arguments)
        lost.append(committed)
        raise Lost("the answer was lost")

    monkeypatch.setattr(Transactor, "commit", losing)
    change = await log.change(count_up, ADMIN)
    assert lost == [committed]
    assert (change.writes[0].after, change.offset) == ({"version": 1}, (await log.view()).offset - 1)
    assert await versions(log) == [1]


async def test_an_outcome_that_stays_unknown_is_said_to_be(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded time; not that it failed, for it may not have."""

    async def losing(self: Transactor, *arguments: Any) -> Any:
        del self, arguments
        raise Lost("the answer was lost")

    monkeypatch.setattr(Transactor, "commit", losing)
    monkeypatch.setattr(config_log, "CHANGE_LIMIT_S", 0.5)
    with pytest.raises(TransientError, match="is not known"):
        await new_log().change(count_up, ADMIN)


async def test_a_refusal_fences_nobody(new_log: NewLog) -> None:
    """What is refused by what is read, or is so already, leaves the writer that is at work alone."""
    one, two = new_log(), new_log()
    await one.change(count_up, ADMIN)

    async def refuse(view: View) -> list[Write]:
        assert "c" in view.rows
        raise PermanentError("no", reason="no")

    async def nothing(view: View) -> list[Write]:
        del view
        return []

    with pytest.raises(PermanentError):
        await two.change(refuse, ADMIN)
    assert (await two.change(nothing, ADMIN)).writes == ()
    held = one._transactor
    await one.change(count_up, ADMIN)
    assert one._transactor is held


async def test_rows_of_one_change_are_written_together(new_log: NewLog) -> None:
    """One audit record each, with the offset that its row has, all of one change."""
    log = new_log()

    async def three(view: View) -> list[Write]:
        del view
        return [Write(name=name, action="create", after={"version": 1, "of": name}) for name in "abc"]

    change = await log.change(three, ADMIN, "together")
    records = [orjson.loads(record.value) async for record in log.records()]
    rows = (await log.view()).rows
    assert [each["config_offset"] for each in records] == [rows[name].offset for name in "abc"]
    assert {each["change_id"] for each in records} == {change.change_id}
    assert {each["reason"] for each in records} == {"together"}
    assert [each["number"] for each in records] == [1, 2, 3]


@pytest.mark.parametrize(
    ("after", "part"),
    [
        ({"version": 1, "text": "x" * 1_100_000}, "is too large for"),
        ({"version": 10**30}, "holds what JSON has not"),
    ],
    ids=["size", "number"],
)
async def test_what_kafka_cannot_take_is_refused(new_log: NewLog, after: dict[str, Any], part: str) -> None:
    """Before anything is written, and the log goes on."""
    log = new_log()

    async def write(view: View) -> list[Write]:
        del view
        return [Write(name="c", action="create", after=after)]

    with pytest.raises(PermanentError, match=part):
        await log.change(write, ADMIN)
    await log.change(count_up, ADMIN)
    assert await versions(log) == [1]


async def test_a_long_audit_is_continued_from_its_end(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new writer reads its newest records alone, however far back the last one is behind markers."""
    log = new_log()
    for _ in range(5):
        await log.change(count_up, ADMIN)
    monkeypatch.setattr("tables.log.AUDIT_TAIL", 1)
    other = new_log()
    await other.change(count_up, ADMIN)
    assert await versions(other) == [1, 2, 3, 4, 5, 6]
