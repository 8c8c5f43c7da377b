"""Reads back, with read_committed, what a worker wrote, and compares it with what must be there."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from zlib import crc32

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from benchmarks.charges import Sums
from benchmarks.claims import Routed
from benchmarks.engines import Aggregates, Engine
from benchmarks.measure import MeasureError
from benchmarks.timed_claims import Rows
from benchmarks.workers.job import RULE_HEADER, Job

FETCH_TIMEOUT_MS = 500
FETCH_BYTES = 8 << 20
MAX_EMPTY_FETCHES = 20


async def records(bootstrap_servers: str, topic: str, partitions: int) -> AsyncIterator[list[ConsumerRecord]]:
    """Yield all committed records of `topic`, a fetch at a time.

    Raises:
        MeasureError: The topic gives nothing more before its end.
    """
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await reader.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in range(partitions)]
        begins = await reader.beginning_offsets(tps)
        ends = await reader.end_offsets(tps)
        reader.assign(tps)
        for tp in tps:
            reader.seek(tp, begins[tp])
        empty = 0
        while behind := [tp for tp in tps if await reader.position(tp) < ends[tp]]:
            fetched = await reader.getmany(*behind, timeout_ms=FETCH_TIMEOUT_MS)
            empty = 0 if fetched else empty + 1
            if empty > MAX_EMPTY_FETCHES:
                raise MeasureError(f"{topic} cannot be read to its end")
            for found in fetched.values():
                yield found
    finally:
        await reader.stop()


async def check_routed(job: Job, expected: Routed) -> None:
    """Check that each target topic holds every event that belongs there, once, by the right rule.

    Raises:
        MeasureError: Outputs are missing, doubled or not the ones they should be.
    """
    rules: Counter[bytes] = Counter()
    for topic, (wanted, wanted_checksum) in expected.topics.items():
        count = checksum = 0
        async for found in records(job.bootstrap_servers, topic, job.partitions):
            count += len(found)
            checksum += sum(crc32(record.value) for record in found)
            rules.update(_rule(record) for record in found)
        if count != wanted:
            raise MeasureError(f"{topic} holds {count:,} outputs, not {wanted:,}")
        if checksum != wanted_checksum:
            raise MeasureError(f"{topic} holds other outputs than it should: the checksums differ")
    by_rule = {name.decode(errors="replace"): count for name, count in rules.items()}
    if by_rule != expected.rules:
        raise MeasureError(f"outputs by rule are {by_rule}, not {expected.rules}")


def _rule(record: ConsumerRecord) -> bytes:
    return bytes(dict(record.headers).get(RULE_HEADER) or b"(no rule header)")


async def check_rows(engine: Engine, job: Job, expected: Sums) -> None:
    """Check every row that the table's changelog ends with.

    Raises:
        MeasureError: A row is missing, wrong, or should not be there.
    """
    changelog = engine.changelog(job)
    raw: dict[bytes, bytes | None] = {}
    async for found in records(job.bootstrap_servers, changelog, job.partitions):
        raw.update((record.key, record.value) for record in found)
    rows = (engine.row(job.case, key, value) for key, value in raw.items() if value is not None)
    refuse_wrong(changelog, dict(row for row in rows if row is not None), expected)


async def check_aggregates(aggregates: Aggregates, job: Job, expected: Mapping[str, Rows]) -> None:
    """Check every row of every aggregation.

    Args:
        aggregates: Reads the rows.
        job: What the worker was told.
        expected: What they must be, by aggregation.

    Raises:
        MeasureError: A row is missing, wrong, or should not be there.
    """
    tables: dict[str, dict[str, tuple[int, ...]]] = {name: {} for name in expected}
    for changelog in aggregates.changelogs(job):
        raw: dict[bytes, bytes | None] = {}
        partitions = aggregates.partitions or job.partitions
        async for found in records(job.bootstrap_servers, changelog, partitions):
            raw.update((record.key, record.value) for record in found)
        for key, value in raw.items():
            row = None if value is None else aggregates.row(job, changelog, key, value)
            if row is not None:
                tables.setdefault(row.aggregation, {})[row.row] = row.values
    for name, table in tables.items():
        refuse_wrong(name, table, expected.get(name, {}))


def refuse_wrong(
    what: str, table: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Compare the rows of a table with what they should be.

    Raises:
        MeasureError: They differ.
    """
    wrong = sum(table.get(key) != row for key, row in expected.items())
    strange = len(table.keys() - expected.keys())
    if wrong or strange:
        of_all = f"{wrong:,} of {len(expected):,} rows are wrong"
        raise MeasureError(f"{what}: {of_all}, and {strange:,} rows should not be there")
