"""The compiled records and batches do what their twins in Python do, byte for byte."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from fleet import native
from fleet.lane.batches import NativeBatch, PythonBatch
from fleet.lane.fetched import light_record
from fleet.lane.headers import HeaderSelector, plain_value_prefixes
from fleet.lane.partitioner import cached_partition_of, partition_of_record

_records: Any = native.load("fleet.lane._records")
if _records is None:
    pytest.skip("it is not compiled here, or switched off", allow_module_level=True)
fetched_native: Any = importlib.import_module("fleet.lane.fetched_native")

PARTITION = TopicPartition("claims", 3)
LARGE_BYTES = 1 << 20

CONTENT = st.none() | st.binary(max_size=40) | st.binary(min_size=100, max_size=400)
NAMES = st.sampled_from(["ce_id", "ce_type", "été", ""]) | st.text(max_size=8)
HEADERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=70)), max_size=5).map(tuple)
TIMES = st.integers(0, 1 << 20)
RECORDS = st.lists(st.tuples(TIMES, CONTENT, CONTENT, HEADERS), min_size=1, max_size=8)


def content_of(written: Any, *, compression: int = 0, transactional: bool = False) -> bytes:
    """Return one batch, made by the library."""
    builder = BatchBuilder(LARGE_BYTES, compression, is_transactional=int(transactional))
    for timestamp, key, value, headers in written:
        builder.append(timestamp=timestamp, key=key, value=value, headers=[*headers])
    return bytes(builder._build())


def placed(content: bytes, *, check: bool = True, start: int = 0) -> Any:
    """Return the compiled records of `content`."""
    log = fetched_native.PlacedBatches(content)
    return fetched_native.PlacedRecords(PARTITION, log, [], start, None, None, check, fetcher.READ_COMMITTED)


def parts(record: Any) -> Any:
    """Return what is in a record."""
    return record.offset, record.timestamp, record.key, record.value, tuple(record.headers)


@given(RECORDS, st.booleans(), st.integers(0, 1 << 40))
def test_batches_are_the_same_bytes(
    written: Any,
    transactional: bool,  # noqa: FBT001 - given
    producer: int,
) -> None:
    """Records, sizes, checksum and producer."""
    own = PythonBatch(LARGE_BYTES, transactional=transactional)
    compiled = NativeBatch(LARGE_BYTES, transactional=transactional)
    for timestamp, key, value, headers in written:
        for builder in (own, compiled):
            assert builder.add(timestamp, key, value, headers)
        assert (compiled.size(), compiled.record_count()) == (own.size(), own.record_count())
    for builder in (own, compiled):
        builder._set_producer_state(producer, 7, 11)
    assert compiled._build() == bytes(own._build())
    assert compiled.size() == own.size()


@given(RECORDS, HEADERS)
def test_a_forwarded_record_is_the_same_bytes(written: Any, headers: Any) -> None:
    """As if it had been taken apart and put together, with the headers after its own."""
    content = content_of(written)
    own, compiled = PythonBatch(LARGE_BYTES), NativeBatch(LARGE_BYTES)
    light = [light_record("claims", 3, record) for record in DefaultRecordBatch(content)]
    for ours, theirs in zip(placed(content).take(None), light, strict=True):
        assert compiled.forward(5, ours, headers)
        assert own.forward(5, theirs, headers)
    assert compiled._build() == bytes(own._build())


@given(RECORDS, st.integers(80, 900))
def test_a_batch_is_as_full_as_its_limit_allows(written: Any, limit: int) -> None:
    """The first record is always taken, then whatever fits; the library may leave a few bytes free."""
    fetched = placed(content_of(written)).take(None)
    added, forwarded = NativeBatch(limit), NativeBatch(limit)
    for (timestamp, key, value, headers), record in zip(written, fetched, strict=True):
        more = NativeBatch(LARGE_BYTES)
        for at in range(added.record_count()):
            more.add(*written[at])
        more.add(timestamp, key, value, headers)
        fits = more.size() <= limit or not added.record_count()
        assert added.add(timestamp, key, value, headers) is fits
        assert forwarded.forward(timestamp, record, ()) is fits
        if not fits:
            break
        assert added.size() == forwarded.size() == more.size()


def test_records_of_others_are_forwarded_too() -> None:
    """A dead letter that is sent again, say, was never fetched in this form."""
    record = SimpleNamespace(key=b"k", value=b"v", headers=(("a", b"1"),), partition=3)
    compiled = NativeBatch(LARGE_BYTES)
    assert compiled.forward(5, record, (("b", b"2"),))
    (found,) = placed(compiled._build()).take(None)
    assert parts(found) == (0, 5, b"k", b"v", (("a", b"1"), ("b", b"2")))
    assert partition_of_record(record, 4) == cached_partition_of(b"k", 4)


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        ("k", b"v", ()),
        (b"k", 3, ()),
        (b"k", b"v", (("h", "v"),)),
        (b"k", b"v", ((b"h", b"v"),)),
        (b"k", b"v", (1,)),
    ],
)
def test_what_is_not_bytes_is_refused(key: Any, value: Any, headers: Any) -> None:
    """As the library does, with nothing appended."""
    for kind in (PythonBatch, NativeBatch):
        builder = kind(LARGE_BYTES)
        before = builder.size()
        with pytest.raises((TypeError, AttributeError, ValueError)):
            builder.add(5, key, value, headers)
        assert (builder.size(), builder.record_count()) == (before, 0)


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4], ids=["none", "gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_read(compression: int) -> None:
    """Whatever a producer chose: teams compress as they like."""
    written = [(at, b"k%d" % at, b"v" * 100, (("h", b"1"),)) for at in range(5)]
    content = content_of(written, compression=compression)
    assert [parts(record)[1:] for record in placed(content).take(None)] == written


def test_an_unknown_codec_is_refused() -> None:
    """With its number; the bytes are not taken for records."""
    content = bytearray(content_of([(1, b"k", b"v", ())]))
    content[22] |= 5
    with pytest.raises(Exception, match="5"):
        placed(bytes(content), check=False).take(None)


@given(
    RECORDS, st.lists(st.tuples(st.integers(61, 2000), st.integers(0, 255)), max_size=3), st.integers(0, 30)
)
def test_damaged_bytes_are_refused_or_read_as_the_library_reads_them(
    written: Any, flips: list[tuple[int, int]], cut: int
) -> None:
    """Never past the end of the batch; without a checksum, as if it had been right."""
    content = bytearray(content_of(written))
    for at, byte in flips:
        content[61 + at % (len(content) - 61)] = byte
    if cut < len(content) - 61:
        content = content[: len(content) - cut]
        content[8:12] = (len(content) - 12).to_bytes(4, "big")
    try:
        ours: Any = [parts(record) for record in placed(bytes(content), check=False).take(None)]
    except CorruptRecordException:
        ours = None
    try:
        batch = MemoryRecords(bytes(content)).next_batch()
        theirs: Any = [parts(record) for record in batch]
    except Exception:  # noqa: BLE001 - the library lets through what decoding raises
        theirs = None
    if ours is not None and theirs is not None:
        assert ours == [record for record in theirs if record[0] >= 0]
    else:
        assert ours is None


def test_a_cut_off_batch_is_left_for_the_next_fetch() -> None:
    """Brokers send as many bytes as asked for, and end in the middle of a batch."""
    content = content_of([(1, b"k", b"v", ())])
    fetched = placed(content + content[:-1])
    assert len(fetched.take(None)) == 1
    assert not fetched_native.PlacedBatches(content[:-1]).has_next()
    assert fetched_native.PlacedBatches(content[:-1]).size_in_bytes() == len(content) - 1


def test_a_damaged_batch_raises_and_gives_nothing_more() -> None:
    """The client fetches it again, from the position that it had."""
    content = bytearray(content_of([(1, b"k", b"v", ())]))
    content[-2] ^= 1
    fetched = placed(bytes(content))
    with pytest.raises(CorruptRecordException, match="CRC"):
        fetched.take(None)
    assert fetched.next_fetch_offset == 0
    assert fetched.take(None) == []


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.lists(st.integers(1, 7), max_size=8))
def test_lists_and_single_records_take_turns(counts: list[int], limits: list[int]) -> None:
    """Whatever is taken, and how, each record comes once and in order."""
    content, offset = b"", 0
    for count in counts:
        piece = bytearray(content_of([(at, b"k", b"v", ()) for at in range(count)]))
        piece[:8] = offset.to_bytes(8, "big")
        content += bytes(piece)
        offset += count
    fetched, found = placed(content), []
    for limit in limits:
        taken = fetched.take(limit)
        assert len(taken) <= limit
        found += taken
        found += [record for record in [next(iter(fetched), None)] if record is not None]
        assert fetched.next_fetch_offset >= len(found)
    found += fetched.take(None)
    assert [record.offset for record in found] == list(range(offset))
    assert fetched.next_fetch_offset == offset


class _Assignment:
    """A partition that is assigned, as the client's fetcher sees it."""

    active = True

    def __init__(self) -> None:
        self.paused, self.position = False, 0

    def state_value(self, tp: TopicPartition) -> _Assignment:
        """Return the state of the one partition."""
        assert tp == PARTITION
        return self

    def consumed_to(self, position: int) -> None:
        """Move the position on."""
        self.position = position


@pytest.mark.parametrize("limit", [1, 2, 3, 5, None])
def test_a_fetch_is_drained_as_the_clients_own(limit: int | None) -> None:
    """Lists, positions, and when it is done."""
    content = content_of([(at, b"k", b"v", ()) for at in range(5)])

    def drained(result: Any, records: Any) -> list[Any]:
        assignment, steps = _Assignment(), []
        fetch = result(PARTITION, assignment=assignment, partition_records=records, backoff=0)
        while fetch.has_more():
            got = fetch.getall(limit)
            steps.append(([record.offset for record in got], assignment.position, fetch.has_more()))
        return steps

    own = fetched_native.PlacedResult.__base__
    theirs = fetched_native.LightRecords.__base__(
        PARTITION,
        MemoryRecords(content),
        [],
        0,
        None,
        None,
        True,  # noqa: FBT003
        fetcher.READ_COMMITTED,
    )
    assert drained(fetched_native.PlacedResult, placed(content)) == drained(own, theirs)


@given(RECORDS, st.lists(NAMES, max_size=4))
def test_headers_are_selected_alike(written: Any, names: list[str]) -> None:
    """The last of those with one name, None where there is none."""
    own, compiled = HeaderSelector(names), _records.HeaderSelector(names)
    for record in placed(content_of(written)).take(None):
        expected = own(SimpleNamespace(headers=record.headers))
        assert compiled(record) == own(record) == expected
        assert compiled(SimpleNamespace(headers=record.headers)) == expected


@given(RECORDS, st.integers(0, 6))
def test_values_begin_alike(written: Any, size: int) -> None:
    """Each beginning once, of records of the client too; tombstones have none."""
    fetched = placed(content_of(written)).take(None)
    light = [light_record("claims", 3, record) for record in DefaultRecordBatch(content_of(written))]
    expected = plain_value_prefixes(light, size)
    assert _records.value_prefixes(fetched, size) == expected
    assert _records.value_prefixes(light, size) == expected


@given(st.binary(max_size=64), st.integers(1, 1000))
def test_keys_go_to_the_same_partition(key: bytes, partitions: int) -> None:
    """By murmur2, as Java's client has it."""
    assert _records.partition_of(key, partitions) == cached_partition_of(key, partitions)
    (record,) = placed(content_of([(1, key, b"v", ())])).take(None)
    assert partition_of_record(record, partitions) == cached_partition_of(key, partitions)
    (keyless,) = placed(content_of([(1, None, b"v", ())])).take(None)
    assert partition_of_record(keyless, partitions) == PARTITION.partition % partitions
