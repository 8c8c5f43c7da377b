"""Reading the tables of the peers."""

from __future__ import annotations

import struct

from benchmarks.aggregations import AGGREGATIONS
from benchmarks.engines import Aggregate
from benchmarks.peers.quix import command as quix
from benchmarks.peers.quix.command import json_row
from benchmarks.peers.streams import rows as streams
from benchmarks.peers.streams.rows import binary_row
from benchmarks.workers.job import AGGREGATE, AGGREGATE_HOPPING, AGGREGATE_SESSION, HOPPING, KEYED_SUM, Job

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


def job_of(case: str) -> Job:
    """Return a job with the aggregations of a case."""
    return Job(
        name="app",
        case=AGGREGATE,
        guarantee="exactly_once",
        bootstrap_servers="",
        registry_url="",
        source="claims",
        partitions=4,
        data_dir="",
        web_port=0,
        ready_path="",
        schema_path="",
        aggregations=AGGREGATIONS[case],
    )


def test_aggregates_of_kafka_streams_are_read() -> None:
    """A number for each function; a session ends a gap after its last event, which its key has first."""
    job = job_of(AGGREGATE_HOPPING)
    (changelog,) = streams.changelogs(job)
    row = struct.pack(">qq", 2, 30)
    found = streams.aggregate_row(job, changelog, b"P1" + struct.pack(">qi", START_MS, 0), row)
    assert found == Aggregate("provider-hop", f"P1/{START_MS}", (2, 30))
    job = job_of(AGGREGATE_SESSION)
    (changelog,) = streams.changelogs(job)
    found = streams.aggregate_row(job, changelog, b"P1" + struct.pack(">qq", START_MS + 5, START_MS), row)
    assert found == Aggregate("provider-session", f"P1/{START_MS}/{START_MS + 30_005}", (2, 30))


def test_aggregates_of_quix_streams_are_read() -> None:
    """A session ends just after its last event there; what it remembers of expired windows is no row."""
    job = job_of(AGGREGATE_HOPPING)
    (changelog,) = quix.changelogs(job)
    window = struct.pack(">QcQ", START_MS, b"|", START_MS + 60_000)
    found = quix.aggregate_row(job, changelog, b"P1|" + window, b"[2,30]")
    assert found == Aggregate("provider-hop", f"P1/{START_MS}", (2, 30))
    assert quix.aggregate_row(job, changelog, b"__expired__", b"1767225620000") is None
    job = job_of(AGGREGATE_SESSION)
    (changelog,) = quix.changelogs(job)
    window = struct.pack(">QcQ", START_MS, b"|", START_MS + 6)
    found = quix.aggregate_row(job, changelog, b"P1|" + window, b"[2,30]")
    assert found == Aggregate("provider-session", f"P1/{START_MS}/{START_MS + 30_005}", (2, 30))
