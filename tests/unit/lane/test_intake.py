"""Records are taken in while nobody asks, in order, and within bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from fleet.lane.fetched import FetchedRecord
from fleet.lane.intake import MAX_COUNTED, Intake
from fleet.lane.progress import Progress
from tests.support.polling import until

ONE, TWO = TopicPartition("one", 0), TopicPartition("two", 0)
WAIT_MS = 20


def chunk_of(*values: bytes) -> list[FetchedRecord]:
    """Return records with `values`, at offsets from 0."""
    return [FetchedRecord("one", 0, at, 0, 0, None, value, ()) for at, value in enumerate(values)]


class Log:
    """What a reader is to give, a fetch at a time; then nothing, or an error."""

    def __init__(self, *fetches: dict[TopicPartition, list[Any]], error: Exception | None = None) -> None:
        self.fetches = list(fetches)
        self.error = error
        self.asked: list[int] = []

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """Give the next fetch, as the client does."""
        self.asked.append(max_records)
        await asyncio.sleep(0)
        if self.fetches:
            return self.fetches.pop(0)
        if self.error is not None:
            raise self.error
        await asyncio.sleep(timeout_ms / 1000)
        return {}


def intake_of(log: Log, *, most: int = 100, max_bytes: int = 1 << 20) -> tuple[Intake, Progress]:
    """Return an intake of `log`, and the progress that it tells."""
    progress = Progress("agent", 0)
    return Intake(log, progress, lambda: most, max_bytes), progress


async def drained(log: Log) -> None:
    """Wait until all of `log` is taken in."""

    async def empty() -> bool:
        return not log.fetches

    await until(empty, 10, "all fetches taken in", every_s=0)


async def test_it_fills_until_there_is_no_room() -> None:
    """Then at once, however long it might wait; with room, for as long as it may; it loses nothing."""
    a, b = chunk_of(b"a", b"b"), chunk_of(b"c")
    intake, _ = intake_of(Log({ONE: [*a]}), most=2)
    async with intake.open():
        await asyncio.wait_for(intake.fill(3600), 10)
        assert await intake.take(0) == {ONE: a}
    intake, _ = intake_of(Log({ONE: [*b]}), most=2)
    async with intake.open():
        await intake.fill(WAIT_MS / 1000)
        assert await intake.take(WAIT_MS) == {ONE: b}


async def test_what_came_meanwhile_is_taken_together() -> None:
    """Fetch after fetch, by partition and in order; and again nothing until more comes."""
    a, b, c = chunk_of(b"a"), chunk_of(b"b"), chunk_of(b"c")
    log = Log({ONE: [*a]}, {TWO: [*b]}, {ONE: [*c]})
    intake, progress = intake_of(log)
    async with intake.open():
        await drained(log)
        assert progress.waiting == 3
        assert await intake.take(WAIT_MS) == {ONE: [*a, *c], TWO: b}
        assert progress.waiting == 0
        assert await intake.take(WAIT_MS) == {}
        log.fetches.append({TWO: [*c]})
        assert await intake.take(10_000) == {TWO: c}


@pytest.mark.parametrize("bound", ["records", "bytes", "a large fetch"])
async def test_it_stops_at_its_bound(bound: str) -> None:
    """No more is fetched than fits, until it is taken."""
    large = chunk_of(*[b"v"] * (MAX_COUNTED + 1)) if bound == "a large fetch" else chunk_of(b"v" * 10, b"v")
    log = Log({ONE: large}, {ONE: chunk_of(b"last")})
    intake, progress = intake_of(
        log, most=2 if bound == "records" else 10**6, max_bytes=9 if bound == "bytes" else 1 << 20
    )
    async with intake.open():

        async def full() -> bool:
            return progress.waiting == len(large)

        await until(full, 10, "the bound", every_s=0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(log.asked) == 1
        assert await intake.take(WAIT_MS) == {ONE: large}
        assert [record.value for record in (await intake.take(10_000))[ONE]] == [b"last"]


async def test_only_what_there_is_room_for_is_asked_for() -> None:
    """So that what is in here and what is fetched next are one chunk."""
    log = Log({ONE: chunk_of(b"a", b"b", b"c")})
    intake, _ = intake_of(log, most=5)
    async with intake.open():
        await drained(log)
        await until(lambda: asyncio.sleep(0, len(log.asked) > 1), 10, "the second fetch", every_s=0)
    assert log.asked[:2] == [5, 2]


async def test_an_error_comes_after_the_records_before_it() -> None:
    """What was read is processed; then the task learns that nothing more comes."""
    log = Log({ONE: chunk_of(b"a")}, error=OSError("the broker is gone"))
    intake, _ = intake_of(log)
    async with intake.open():
        assert [record.value for record in (await intake.take(10_000))[ONE]] == [b"a"]
        with pytest.raises(OSError, match="gone"):
            await intake.take(10_000)


async def test_nothing_is_taken_in_after_its_block() -> None:
    """The reader is given up, and nothing waits in here any more."""
    log = Log({ONE: chunk_of(b"a")})
    intake, progress = intake_of(log)
    async with intake.open():
        await drained(log)
    asked = len(log.asked)
    log.fetches.append({ONE: chunk_of(b"b")})
    for _ in range(20):
        await asyncio.sleep(0)
    assert (len(log.asked), progress.waiting) == (asked, 0)
