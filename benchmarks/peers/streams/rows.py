"""Reads the rows that the Kafka Streams worker leaves in its changelog."""

from __future__ import annotations

from struct import Struct

from benchmarks.engines import Row
from benchmarks.workers.job import WINDOWS

_SUM = Struct(">qq")
_WINDOW = Struct(">qi")  # Start in ms and a sequence number, after the key (WindowKeySchema).


def binary_row(case: str, key: bytes, value: bytes) -> Row:
    """Read a row: two big-endian 64-bit numbers, by member or by member and window."""
    count, cents = _SUM.unpack(value)
    if case not in WINDOWS:
        return key.decode(), (count, cents)
    member, window = key[: -_WINDOW.size], key[-_WINDOW.size :]
    start_ms, _ = _WINDOW.unpack(window)
    return f"{member.decode()}/{start_ms}", (count, cents)
