"""Reading the tables of the peers."""

from __future__ import annotations

import struct

from benchmarks.peers.quix.command import json_row
from benchmarks.peers.streams.rows import binary_row
from benchmarks.workers.job import HOPPING, KEYED_SUM

START_MS = 1_767_225_620_000


def test_rows_of_kafka_streams_are_read() -> None:
    """Two 64-bit numbers; the key of a window ends with its start and a sequence number."""
    row = struct.pack(">qq", 2, 30)
    assert binary_row(KEYED_SUM, b"M0000001", row) == ("M0000001", (2, 30))
    key = b"M0000001" + struct.pack(">qi", START_MS, 0)
    assert binary_row(HOPPING, key, row) == (f"M0000001/{START_MS}", (2, 30))


def test_rows_of_quix_streams_are_read_and_its_own_marks_left_out() -> None:
    """JSON lists; windows by start and end; what it remembers of expired windows is no row."""
    assert json_row(KEYED_SUM, b'M0000001|"row"', b"[2,30]") == ("M0000001", (2, 30))
    window = struct.pack(">QcQ", START_MS, b"|", START_MS + 60_000)
    assert json_row(HOPPING, b"M0000001|" + window, b"[2,30]") == (f"M0000001/{START_MS}", (2, 30))
    assert json_row(HOPPING, b"__expired__", b"1767225620000") is None
