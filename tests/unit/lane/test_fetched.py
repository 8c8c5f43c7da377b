"""Lighter fetched records stand for the client's own, and the client uses them."""

from __future__ import annotations

import importlib
from dataclasses import fields
from itertools import islice
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from fleet import native
from fleet.lane.fetched import LightRecords

fetched_native: Any = None
if native.load("fleet.lane._records") is not None:
    from fleet.lane import fetched_native

OWN: Any = LightRecords.__base__
LIGHT: list[Any] = [LightRecords] if fetched_native is None else [LightRecords, fetched_native.PlacedRecords]
each_kind = pytest.mark.parametrize("kind", LIGHT)
PARTITION = TopicPartition("claims", 3)
WRITTEN = [
    (b"k0", b"v0", []),
    (None, b"v1", [("ce_id", b"1"), ("ce_id", b"2")]),
    (b"k2", None, []),
]
ABORTED_BY_9 = [(9, 0)]


def batch(*, producer_id: int | None = None) -> bytes:
    """Return the written records as the bytes of one fetched batch."""
    builder = BatchBuilder(4096, 0, is_transactional=int(producer_id is not None))
    for at, (key, value, headers) in enumerate(WRITTEN):
        builder.append(timestamp=1000 + at, key=key, value=value, headers=headers)
    if producer_id is not None:
        builder._set_producer_state(producer_id, 0, 0)
    return bytes(builder._build())


def records(
    kind: Any,
    content: bytes,
    *,
    start: int = 0,
    aborted: Any = (),
    decode: Any = None,
    isolation: int = fetcher.READ_COMMITTED,
    check: bool = True,
) -> Any:
    """Return the records of `content`, made by `kind`."""
    placed = fetched_native is not None and kind is fetched_native.PlacedRecords
    log = fetched_native.PlacedBatches(content) if placed else MemoryRecords(content)
    return kind(PARTITION, log, sorted(aborted), start, decode, decode, check, isolation)


def values(record: Any) -> list[Any]:
    """Return the fields that the client's own record has, in its order."""
    return [getattr(record, field.name) for field in fields(ConsumerRecord)]


@each_kind
def test_attributes_are_the_clients(kind: Any) -> None:
    """A release of the client that changes its record is noticed."""
    light = next(iter(records(kind, batch())))
    assert all(hasattr(light, field.name) for field in fields(ConsumerRecord))


@each_kind
def test_records_equal_the_clients_own(kind: Any) -> None:
    """Offsets, timestamps, null keys and values, sizes and repeated headers are the same."""
    own = list(records(OWN, batch()))
    light = list(records(kind, batch()))
    assert {type(record) for record in own} == {ConsumerRecord}
    assert [values(record) for record in light] == [values(record) for record in own]
    assert [(record.key, record.value, list(record.headers)) for record in light] == WRITTEN


@each_kind
def test_records_before_the_position_are_left_out(kind: Any) -> None:
    """A batch fetched from its middle gives only what comes from there on."""
    assert [record.offset for record in records(kind, batch(), start=2)] == [2]


@each_kind
def test_position_follows_the_records_taken(kind: Any) -> None:
    """A caller that stops early goes on with the next record, not after the batch."""
    fetched = records(kind, batch())
    for _ in fetched:
        break
    assert fetched.next_fetch_offset == 1
    assert [record.offset for record in fetched] == [1, 2]
    assert fetched.next_fetch_offset == len(WRITTEN)
    assert list(fetched) == []


@each_kind
def test_aborted_transactions_are_left_out(kind: Any) -> None:
    """Records of a producer whose transaction was aborted are skipped, those of another are not."""
    assert list(records(kind, batch(producer_id=9), aborted=ABORTED_BY_9)) == []
    assert len(list(records(kind, batch(producer_id=8), aborted=ABORTED_BY_9))) == len(WRITTEN)


@each_kind
def test_deserializers_are_applied(kind: Any) -> None:
    """A consumer with deserializers gets what they return."""
    decoded = records(kind, batch(), decode=lambda raw: raw and raw.decode())
    assert [(record.key, record.value) for record in decoded] == [("k0", "v0"), (None, "v1"), ("k2", None)]


def test_client_makes_light_records() -> None:
    """The client takes its records by the names that the lane replaces."""
    importlib.import_module("fleet.lane.clients")
    assert fetcher.PartitionRecords is LIGHT[-1]
    used = fetcher.Fetcher._proc_fetch_request.__code__.co_names
    assert {"PartitionRecords", "MemoryRecords", "FetchResult"} <= set(used)


def piece(base_offset: int, kind: str, producer_id: int, count: int) -> bytes:
    """Return one batch of a log: records (``plain``, ``transaction``) or a marker (``commit``, ``abort``)."""
    control = kind in {"commit", "abort"}
    builder = BatchBuilder(4096, 0, is_transactional=int(kind != "plain"))
    for at in range(1 if control else count):
        key = {"abort": b"\0\0\0\0", "commit": b"\0\0\0\1"}.get(kind, b"k%d" % (base_offset + at))
        builder.append(timestamp=at, key=key, value=b"v", headers=[("h", b"1")] * (at % 2))
    if kind != "plain":
        builder._set_producer_state(producer_id, 0, 0)
    content = bytearray(builder._build())
    content[:8] = base_offset.to_bytes(8, "big")
    content[22] |= 0x20 if control else 0
    return bytes(content)


PIECES = st.tuples(
    st.sampled_from(["plain", "transaction", "commit", "abort"]), st.integers(1, 2), st.integers(1, 4)
)


@each_kind
@given(
    st.lists(PIECES, max_size=8),
    st.integers(0, 12),
    st.sets(st.tuples(st.integers(1, 2), st.integers(0, 20)), max_size=4),
    st.sampled_from([fetcher.READ_COMMITTED, fetcher.READ_UNCOMMITTED]),
    st.integers(0, 6),
)
def test_any_log_is_read_as_the_client_reads_it(
    kind: Any,
    pieces: list[tuple[str, int, int]],
    start: int,
    aborted: set[tuple[int, int]],
    isolation: int,
    taken: int,
) -> None:
    """Records and positions are the client's own, whatever is committed, aborted or before the start."""
    content, offset = b"", 0
    for name, producer_id, count in pieces:
        content += piece(offset, name, producer_id, count)
        offset += 1 if name in {"commit", "abort"} else count

    def read(kind: Any) -> list[Any]:
        found = records(kind, content, start=start, aborted=aborted, isolation=isolation, check=False)
        rest = iter(found)
        some = [(values(record), found.next_fetch_offset) for record in islice(rest, taken)]
        if len(some) == taken:
            some += [(values(record), found.next_fetch_offset) for record in rest]
        return [*some, found.next_fetch_offset]

    assert read(kind) == read(OWN)
