"""Lighter fetched records stand for the client's own, and the client uses them."""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from fleet.lane.fetched import FetchedRecord, LightRecords

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


def records(kind: Any, content: bytes, *, start: int = 0, aborted: Any = (), decode: Any = None) -> Any:
    """Return the records of `content`, made by `kind`."""
    parsed = MemoryRecords(content)
    return kind(PARTITION, parsed, list(aborted), start, decode, decode, True, fetcher.READ_COMMITTED)  # noqa: FBT003


def values(record: Any) -> list[Any]:
    """Return the fields that the client's own record has, in its order."""
    return [getattr(record, field.name) for field in fields(ConsumerRecord)]


def test_fields_and_their_order_are_the_clients() -> None:
    """A release of the client that changes its record is noticed."""
    assert list(FetchedRecord.__struct_fields__) == [field.name for field in fields(ConsumerRecord)]


def test_records_equal_the_clients_own() -> None:
    """Offsets, timestamps, null keys and values, sizes and repeated headers are the same."""
    own = list(records(LightRecords.__base__, batch()))
    light = list(records(LightRecords, batch()))
    assert {type(record) for record in own} == {ConsumerRecord}
    assert [values(record) for record in light] == [values(record) for record in own]
    assert [(record.key, record.value, list(record.headers)) for record in light] == WRITTEN


def test_records_before_the_position_are_left_out() -> None:
    """A batch fetched from its middle gives only what comes from there on."""
    assert [record.offset for record in records(LightRecords, batch(), start=2)] == [2]


def test_position_follows_the_records_taken() -> None:
    """A caller that stops early goes on with the next record, not after the batch."""
    fetched = records(LightRecords, batch())
    for _ in fetched:
        break
    assert fetched.next_fetch_offset == 1
    assert [record.offset for record in fetched] == [1, 2]
    assert fetched.next_fetch_offset == len(WRITTEN)
    assert list(fetched) == []


def test_aborted_transactions_are_left_out() -> None:
    """Records of a producer whose transaction was aborted are skipped, those of another are not."""
    assert list(records(LightRecords, batch(producer_id=9), aborted=ABORTED_BY_9)) == []
    assert len(list(records(LightRecords, batch(producer_id=8), aborted=ABORTED_BY_9))) == len(WRITTEN)


def test_deserializers_are_applied() -> None:
    """A consumer with deserializers gets what they return."""
    decoded = records(LightRecords, batch(), decode=lambda raw: raw and raw.decode())
    assert [(record.key, record.value) for record in decoded] == [("k0", "v0"), (None, "v1"), ("k2", None)]


def test_client_makes_light_records() -> None:
    """The client takes its records by the name that the lane replaces."""
    importlib.import_module("fleet.lane.clients")
    assert fetcher.PartitionRecords is LightRecords
    assert "PartitionRecords" in fetcher.Fetcher._proc_fetch_request.__code__.co_names
