"""The aggregator over records in memory: updates, finals, late events and dead letters."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.aggregator.aggregate import FINALS, LATE, UPDATES, Aggregator
from agents.aggregator.domain.aggregation import OPEN, PROGRESS, ROWS, Aggregation
from agents.aggregator.domain.windows import DAY_MS
from fleet.lane import Emit, Forward
from fleet.lane.effects import Headers
from schemas.codec import Codec
from tests.support.agents_claims import NPI, TIME, a_claim
from tests.support.agents_memory import Partition
from tests.support.agents_schemas import warmed_codec
from tests.support.lane_fakes import SourceRecord

HOUR_START = TIME.replace(minute=0)
DAY_START = TIME.replace(hour=0, minute=0)
MUCH_LATER = TIME + timedelta(days=9)
PUBLISHED = TIME + timedelta(days=300)


@pytest.fixture
async def codec() -> Codec:
    """A codec over the catalogue's schemas."""
    return await warmed_codec()


def new_partition(codec: Codec, grace_ms: int = 7 * DAY_MS) -> Partition:
    """Return partition 0 of an aggregator that has processed nothing."""
    aggregator = Aggregator(codec, Aggregation(grace_ms=grace_ms))
    return Partition(aggregator.process, [ROWS, OPEN, PROGRESS])


def event(codec: Codec, offset: int = 0, headers: Headers = (), **fields: Any) -> SourceRecord:
    """Return a claim as a record of the canonical topic."""
    claim = a_claim(**fields)
    key = (claim["billing_provider"]["npi"] or "no-npi").encode()
    value = codec.encode("canonical.claim-value", claim)
    published_ms = int(PUBLISHED.timestamp() * 1000)
    return SourceRecord(value, offset, key, "canonical.claim", 0, published_ms, headers)


def read(codec: Codec, emits: list[Emit | Forward]) -> list[dict[str, Any]]:
    """Return the results in some outputs."""
    return [codec.decode(emit.value or b"") for emit in emits]


def test_a_chunk_updates_each_window_once(codec: Codec) -> None:
    """Two claims of one hour give one update of the hour and one of the day, with exact sums."""
    records = [event(codec, 0, charge="79.04"), event(codec, 1, charge="0.10")]
    partition = new_partition(codec).chunk(records)
    assert [emit.topic for emit in partition.emits] == [UPDATES, UPDATES]
    assert {emit.key for emit in partition.emits} == {NPI.encode()}
    shared = {
        "definition": "claims-by-provider",
        "key": NPI,
        "claims": 2,
        "charges": Decimal("79.14"),
        "final": False,
        "watermark": TIME,
        "late_claims": 0,
    }
    windows = {"hour": (HOUR_START, timedelta(hours=1)), "day": (DAY_START, timedelta(days=1))}
    assert read(codec, partition.emits) == [
        {**shared, "window_kind": kind, "window_start": start, "window_end": start + size}
        for kind, (start, size) in windows.items()
    ]


def test_a_result_says_what_it_is(codec: Codec) -> None:
    """Attributes name the definition, the group and the end of the window; the id names the record."""
    (first, _) = new_partition(codec).chunk([event(codec, 5)]).emits
    headers = {name: value.decode() for name, value in first.headers}
    start_ms = int(HOUR_START.timestamp() * 1000)
    assert headers["ce_id"] == f"canonical.claim/0/5/claims-by-provider/{NPI}/hour/{start_ms}"
    assert (headers["ce_type"], headers["ce_subject"]) == (UPDATES, NPI)
    assert headers["ce_time"] == "2026-01-05T14:00:00Z"


def test_a_window_ends_in_one_final(codec: Codec) -> None:
    """Once event time passes end and grace, the window's total is published once, and no more updated."""
    partition = new_partition(codec).chunk([event(codec, 0), event(codec, 1)])
    partition.chunk([event(codec, 2, time=MUCH_LATER)]).chunk([event(codec, 3, time=MUCH_LATER)])
    finals = read(codec, partition.to(FINALS))
    assert [(each["window_kind"], each["window_start"], each["claims"]) for each in finals] == [
        ("hour", HOUR_START, 2),
        ("day", DAY_START, 2),
    ]
    assert {each["final"] for each in finals} == {True}
    assert {each["charges"] for each in finals} == {Decimal("158.08")}
    cause = partition.to(FINALS)[0].cause
    assert cause.offset == 2


def test_a_late_event_is_kept_whole(codec: Codec) -> None:
    """It goes to the late topic as it is, with the window it missed; the final's row counts it."""
    partition = new_partition(codec).chunk([event(codec, 0), event(codec, 1, time=MUCH_LATER)])
    late = event(codec, 2, headers=(("ce_id", b"late"),), charge="10")
    partition.chunk([late])
    emits = partition.to(LATE)
    assert [emit.value for emit in emits] == [late.value, late.value]
    assert [emit.headers for emit in emits] == [
        (("ce_id", b"late"), ("fleet_late_window", f"{kind}/{start.isoformat()}".encode()))
        for kind, start in (("hour", HOUR_START), ("day", DAY_START))
    ]
    day = f"{NPI}|day|{int(DAY_START.timestamp() * 1000):014d}"
    row = partition.rows(ROWS)[day]
    assert (row["claims"], row["charges"], row["late"], row["final"]) == (1, "79.04", 1, True)


def test_providers_without_npi_are_one_group(codec: Codec) -> None:
    """Their claims are counted under the key that the normalizer gives them."""
    partition = new_partition(codec).chunk([event(codec, npi=None)])
    assert {key.split("|")[0] for key in partition.rows(ROWS)} == {"no-npi"}
    assert {emit.key for emit in partition.emits} == {b"no-npi"}


@pytest.mark.parametrize(
    ("value", "reason", "step"),
    [
        (None, "not_avro_wire_format", "decode"),
        (b"text", "not_avro_wire_format", "decode"),
        (b"\x00" + (987).to_bytes(4, "big"), "unknown_schema_id", "decode"),
        (b"\x00\x00\x00\x00\x02\xff", "not_avro", "decode"),
    ],
    ids=["tombstone", "text", "unknown id", "not Avro"],
)
async def test_an_event_that_cannot_be_read_is_one_dead_letter(
    value: bytes | None, reason: str, step: str, codec: Codec
) -> None:
    """It carries the record, and its neighbours in the chunk are aggregated as if it were not there."""
    bad = SourceRecord(value, 1, b"key", "canonical.claim", 0)
    await Aggregator(codec, Aggregation()).prepare([bad])
    good = [event(codec, 0), event(codec, 2)]
    partition = new_partition(codec).chunk([good[0], bad, good[1]])
    (letter,) = partition.dead_letters
    assert (letter.record, letter.reason, letter.step) == (bad, reason, step)
    assert partition.rows(ROWS) == new_partition(codec).chunk(good).rows(ROWS)


def test_an_event_of_another_schema_is_a_dead_letter(codec: Codec) -> None:
    """Sound Avro that is no claim is refused for the field it lacks."""
    (update, _) = new_partition(codec).chunk([event(codec)]).emits
    stray = SourceRecord(update.value, 3, b"key", "canonical.claim", 0)
    partition = new_partition(codec).chunk([stray])
    (letter,) = partition.dead_letters
    assert (letter.record, letter.reason, letter.step) == (stray, "missing_field", "aggregate")
    assert partition.rows(ROWS) == {}


def outcome(partition: Partition) -> tuple[Any, ...]:
    """Return all that must not depend on how the log was cut: finals with their headers, and state."""
    return (
        partition.to(FINALS),
        partition.to(LATE),
        partition.dead_letters,
        {name: dict(partition.rows(name)) for name in (ROWS, OPEN, PROGRESS)},
    )


@pytest.fixture(scope="module")
def log() -> tuple[Codec, list[SourceRecord]]:
    """A log of claims out of order over twelve days, some late, some unreadable."""
    codec = asyncio.run(warmed_codec())
    rng = random.Random(20260105)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    records: list[SourceRecord] = []
    for offset in range(120):
        if offset % 17 == 3:
            records.append(SourceRecord(b"junk", offset, b"key", "canonical.claim", 0))
            continue
        time = start + timedelta(hours=2.4 * offset - rng.uniform(0, 96))
        charge = str(rng.randrange(1, 10_000_000) / Decimal(100))
        records.append(event(codec, offset, npi=f"npi-{rng.randrange(4)}", time=time, charge=charge))
    return codec, records


@settings(deadline=None, max_examples=30)
@given(cuts=st.sets(st.integers(1, 119), max_size=40))
def test_results_do_not_depend_on_chunks(log: tuple[Codec, list[SourceRecord]], cuts: set[int]) -> None:
    """However the log is cut, finals, late events and the tables are those of one whole chunk."""
    codec, records = log
    whole = new_partition(codec, grace_ms=DAY_MS).chunk(records)
    assert len(whole.to(FINALS)) > 20
    assert len(whole.to(LATE)) > 5
    parts = new_partition(codec, grace_ms=DAY_MS)
    for begin, end in pairwise([0, *sorted(cuts), len(records)]):
        parts.chunk(records[begin:end])
    assert outcome(parts) == outcome(whole)


def test_an_event_from_the_future_is_set_aside_and_moves_no_watermark(codec: Codec) -> None:
    """One claim dated far ahead is a dead letter; what follows it is not late."""
    ahead = event(codec, 0, time=PUBLISHED + timedelta(days=1, seconds=1))
    allowed = event(codec, 1, time=PUBLISHED + timedelta(days=1))
    partition = new_partition(codec).chunk([ahead, event(codec, 2)])
    (letter,) = partition.dead_letters
    assert (letter.reason, letter.step, letter.record) == ("event_time_in_future", "aggregate", ahead)
    assert partition.to(LATE) == []
    assert new_partition(codec).chunk([allowed]).dead_letters == []
