"""Reads the rows that the Kafka Streams worker leaves in its changelogs."""

from __future__ import annotations

import struct
from struct import Struct

from benchmarks.engines import Aggregate, Row
from benchmarks.workers.job import WINDOWS, Job

_SUM = Struct(">qq")
_WINDOW = Struct(">qi")  # Start in ms and a sequence number, after the key (WindowKeySchema).
_SESSION = Struct(">qq")  # Time of the last and of the first event in ms, after the key (SessionKeySchema).


def binary_row(case: str, key: bytes, value: bytes) -> Row:
    """Read a row: two big-endian 64-bit numbers, by member or by member and window."""
    count, cents = _SUM.unpack(value)
    if case not in WINDOWS:
        return key.decode(), (count, cents)
    member, window = key[: -_WINDOW.size], key[-_WINDOW.size :]
    start_ms, _ = _WINDOW.unpack(window)
    return f"{member.decode()}/{start_ms}", (count, cents)


def repartitions(job: Job) -> list[str]:
    """Return the topic through which the events of each aggregation go to their group's partition."""
    return [f"{job.name}-{each.name}-repartition" for each in job.aggregations]


def changelogs(job: Job) -> list[str]:
    """Return the topic of the rows of each aggregation."""
    return [f"{job.name}-{each.name}-changelog" for each in job.aggregations]


def aggregate_row(job: Job, topic: str, key: bytes, value: bytes) -> Aggregate:
    """Read a row: a big-endian 64-bit number for each function, by group and window or session."""
    found = next(each for each in job.aggregations if topic == f"{job.name}-{each.name}-changelog")
    values = struct.unpack(f">{len(found.functions)}q", value)
    if found.session is None:
        start_ms, _ = _WINDOW.unpack(key[-_WINDOW.size :])
        return Aggregate(found.name, f"{key[: -_WINDOW.size].decode()}/{start_ms}", values)
    last_ms, start_ms = _SESSION.unpack(key[-_SESSION.size :])
    row = f"{key[: -_SESSION.size].decode()}/{start_ms}/{last_ms + found.session.gap_ms}"
    return Aggregate(found.name, row, values)
